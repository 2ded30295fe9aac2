"""The command `evgen-jax`: a group of commands, each in a file of its own; errors become one line and an exit code."""

import os
import sys

import click

from evgen_jax.cli.batch import batch
from evgen_jax.cli.check import check
from evgen_jax.cli.commands import KEY, Group, tell_interrupted
from evgen_jax.cli.compare import compare
from evgen_jax.cli.compile_cache import use_compile_cache
from evgen_jax.cli.convert import convert
from evgen_jax.cli.create_trafo import create_trafo
from evgen_jax.cli.demo import demo
from evgen_jax.cli.detector import detector
from evgen_jax.cli.export import export
from evgen_jax.cli.import_ import import_model
from evgen_jax.cli.init import init
from evgen_jax.cli.logging import NORMAL, set_verbosity
from evgen_jax.cli.own_sources import run_files
from evgen_jax.cli.plot_training import plot_training
from evgen_jax.cli.reconstruct import reconstruct
from evgen_jax.cli.schema import schema
from evgen_jax.cli.show import show
from evgen_jax.cli.simulate import simulate
from evgen_jax.cli.train import train
from evgen_jax.cli.validate import validate
from evgen_jax.errors import EvgenError
from evgen_jax.interruption import Interruption, computing
from evgen_jax.version import __version__


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--cache-dir", type=click.Path(), help="Keep compiled programs here instead of the user's cache folder.")
@click.option("--cache/--no-cache", default=True, help="Whether compiled programs are kept for the next command.")
@click.option(
    "--sources",
    multiple=True,
    type=click.Path(),
    help="Python file that registers sources, decoders or loss terms of your own.",
)
@click.pass_context
def cli(context: click.Context, cache_dir: str | None, cache: bool, sources: tuple[str, ...]) -> None:
    """Learned likelihoods for neutrino telescopes: simulate, train, export, reconstruct."""
    set_verbosity(context.meta.get(KEY, NORMAL))
    use_compile_cache(cache_dir, cache)
    run_files(sources)


for _command in (
    init,
    create_trafo,
    train,
    plot_training,
    compare,
    export,
    simulate,
    reconstruct,
    show,
    validate,
    import_model,
    batch,
    convert,
    check,
    detector,
    demo,
    schema,
):
    cli.add_command(_command)


def main(command: click.Command = cli) -> None:
    """Runs a command; errors that a user can mend are one line on standard error and exit code 2.

    Args:
      command: to run; default all of `evgen-jax`.
    """
    try:
        _run(command)
    except SystemExit as stop:
        if computing():
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(stop.code if isinstance(stop.code, int) else 1)
        raise


def _run(command: click.Command) -> None:
    try:
        with Interruption():
            command(standalone_mode=False)
    except EvgenError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
        else:
            command_path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
            advice = f" See {command_path} --help." if command_path else ""
            click.echo(f"error: {error.format_message()}{advice}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort) as error:
        cause = error.__cause__ or error  # click hides one in the other
        tell_interrupted(cause)
        sys.exit(getattr(cause, "exit_code", 130))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        sys.exit(2)
