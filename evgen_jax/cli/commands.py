"""What all commands have: -v and -q, and one line where JAX finds no device of the wanted kind."""

import logging
import os
import sys
from typing import Any

import click

from evgen_jax.cli.logging import NORMAL, QUIET, set_verbosity
from evgen_jax.errors import ConfigError
from evgen_jax.interruption import Interrupted
from evgen_jax.version import __version__

LOGGER = logging.getLogger("evgen_jax")
KEY = "evgen_jax.verbosity"
"""Key of the verbosity in the context of click."""


def _choose(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Options of a command add to those of the group before it."""
    if not value:
        return
    level = QUIET if parameter.name == "quiet" else int(value)
    if level * context.find_root().meta.get(KEY, NORMAL) < 0:
        raise click.UsageError("-v says more, -q says less; give one of them.", context)
    choose_verbosity(context, level)


def choose_verbosity(context: click.Context, level: int) -> None:
    """Sets how much is said, here and in the processes that a command starts later.

    Args:
      context: of the command.
      level: QUIET, NORMAL, VERBOSE or DEBUG of `cli.logging`.
    """
    context.find_root().meta[KEY] = level
    set_verbosity(level)


def verbosity_options() -> list[click.Parameter]:
    """Makes the options -v/--verbose (twice for debugging) and -q/--quiet.

    Returns:
      The two options.
    """
    return [
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_choose,
            help="Say what is done; twice: everything.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_choose,
            help="Say errors alone, show no bars.",
        ),
    ]


def check_platform() -> None:
    """Checks that JAX finds the kind of device that the environment names.

    Raises:
      ConfigError: JAX_PLATFORMS or JAX_PLATFORM_NAME names a device that JAX cannot use here.
    """
    name = next((n for n in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME") if os.environ.get(n)), None)
    if name is None:
        return
    import jax

    try:
        jax.devices()
    except Exception as error:  # JAX raises errors of several kinds, AssertionError among them
        reason = (str(error).strip().splitlines() or ["no such device"])[0].rstrip(".")
        raise ConfigError(
            f"{name}={os.environ[name]}: JAX cannot use it here ({reason}). Unset {name} to compute with what there is, or "
            "install what it needs: pip install 'evgen_jax[cuda13]' (or cuda12) for NVIDIA GPUs."
        ) from None


def tell_interrupted(stop: BaseException | None) -> None:
    """Writes one line to standard error: what ended the command and how it goes on.

    Args:
      stop: the interruption; None: of unknown cause.
    """
    text = str(stop) if isinstance(stop, Interrupted) else "interrupted"
    click.echo(text if ". " in text else f"{text}; run the same command again to continue", err=True)


class Command(click.Command):
    """A command with -v and -q."""

    def __init__(self, *arguments: Any, **settings: Any):
        super().__init__(*arguments, **settings)
        self.params += verbosity_options()

    def invoke(self, context: click.Context) -> Any:
        """Runs the command, after its options were read.

        Args:
          context: of the command.

        Returns:
          What the command returns.
        """
        check_platform()
        if LOGGER.isEnabledFor(logging.INFO):
            import jax

            devices = ", ".join(f"{d.platform} {d.device_kind}" for d in jax.devices())
            LOGGER.info("evgen_jax %s, JAX %s on %s", __version__, jax.__version__, devices)
        try:
            return super().invoke(context)
        except Interrupted as stop:
            tell_interrupted(stop)
            sys.exit(stop.exit_code)


class Group(click.Group):
    """A group of such commands, with -v and -q before their names."""

    command_class = Command

    def __init__(self, *arguments: Any, **settings: Any):
        super().__init__(*arguments, **settings)
        self.params += verbosity_options()
