"""The command `evgen-jax`: one function per sub-command; errors become one line and an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from evgen_jax.cli.commands import KEY, Group, tell_interrupted
from evgen_jax.cli.compile_cache import use_compile_cache
from evgen_jax.cli.fit_settings import check_model, data_and_fit
from evgen_jax.cli.logging import NORMAL, set_verbosity
from evgen_jax.cli.reference_options import log_level, num_threads, output_dir, reco_config_file
from evgen_jax.errors import ConfigError, EvgenError
from evgen_jax.interruption import Interruption
from evgen_jax.version import __version__

configs = click.argument("config", nargs=-1, required=True, type=click.Path())


@contextmanager
def _naming(config: tuple[str, ...]) -> Iterator[None]:
    """Messages about settings say which file they stand in, also where the program looks at them later."""
    try:
        yield
    except EvgenError as error:
        text = str(error)
        about_settings = isinstance(error, ConfigError) or text.startswith("input_data")
        if not about_settings or text.startswith(config):
            raise
        raise type(error)(f"{', '.join(config)}: {text}") from None


def _say(text: str) -> None:
    """What came out, unless errors alone are wanted."""
    from evgen_jax.progress import is_quiet

    if not is_quiet():
        click.echo(text)


def _bar(unit: str, description: str):
    from evgen_jax.progress import counted

    return lambda items: counted(items, description, unit)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--cache-dir", type=click.Path(), help="Keep compiled programs here instead of the user's cache folder.")
@click.option("--cache/--no-cache", default=True, help="Whether compiled programs are kept for the next command.")
@click.option("--sources", multiple=True, type=click.Path(), help="Python file that registers sources of your own.")
@click.pass_context
def cli(context: click.Context, cache_dir: str | None, cache: bool, sources: tuple[str, ...]) -> None:
    """Learned likelihoods for neutrino telescopes: simulate, train, export, reconstruct."""
    set_verbosity(context.meta.get(KEY, NORMAL))
    use_compile_cache(cache_dir, cache)
    _run_sources(sources)


def _run_sources(paths: tuple[str, ...]) -> None:
    from evgen_jax.cli.own_sources import run_file

    for path in paths:
        run_file(path)


def _prepare_worker(verbosity: int, sources: tuple[str, ...]) -> None:
    """Makes another process say as much as this one, and know the same sources."""
    set_verbosity(verbosity)
    _run_sources(sources)


@cli.command("create-trafo")
@configs
@log_level
@num_threads
def create_trafo(config: tuple[str, ...]) -> None:
    """Fit the data transformation of CONFIG and save it."""
    from evgen_jax.building.experiment import create_trafo as run
    from evgen_jax.config.validate import load_config

    with _naming(config):
        _say(f"wrote {run(load_config(config), _bar('file', 'trafo'), _say)}")


@cli.command()
@configs
@click.option("--step", type=click.IntRange(min=0), help="Checkpoint to go on from (default: the latest).")
@click.option("--fresh-optimizer", is_flag=True, help="Keep the weights, start the optimiser's state anew.")
@log_level
@num_threads
def train(config: tuple[str, ...], step: int | None, fresh_optimizer: bool) -> None:
    """Train the model of CONFIG; run again to continue where it stopped."""
    from evgen_jax.config.validate import load_config
    from evgen_jax.progress import is_quiet
    from evgen_jax.training.restore import manager_directory
    from evgen_jax.training.run import train as run

    with _naming(config):
        loaded = load_config(config)
        state = run(loaded, progress=not is_quiet(), step=step, fresh_optimizer=fresh_optimizer)
    done, wanted = int(state.step), loaded.training_settings.num_training_iterations
    more = f", more than the {wanted} of num_training_iterations: nothing to do" if done > wanted else ""
    _say(f"{done} steps done{more}; the model is in {manager_directory(loaded)}")


@cli.command()
@configs
@output_dir("Directory to make; must not exist.", required=True, type=click.Path())
@click.option("--step", type=click.IntRange(min=0), help="Checkpoint to export (default: the latest).")
@reco_config_file("Another configuration, whose settings of fits and of the likelihood are exported.")
@log_level
@num_threads
def export(config: tuple[str, ...], output_dir: str, step: int | None, reco_config_file: str | None) -> None:
    """Write the trained model of CONFIG as a directory that loads on its own; of several configurations, an ensemble."""
    from evgen_jax.config.validate import load_members
    from evgen_jax.training.export import export_ensemble, export_model, with_fit_of

    with _naming(config):
        members = load_members(config)
        if reco_config_file:
            members = [with_fit_of(member, reco_config_file) for member in members]
        if len(members) == 1:
            written = export_model(members[0], output_dir, step)
        else:
            written = export_ensemble(members, output_dir, step)
    _say(f"wrote {written}")


@cli.command()
@configs
@output_dir("Directory for the HDF5 files.", required=True, type=click.Path())
@log_level
@num_threads
def simulate(config: tuple[str, ...], output_dir: str) -> None:
    """Simulate events with the analytic sources, or a trained model, into HDF5 tables."""
    from evgen_jax.config.validate import load_config
    from evgen_jax.simulation.simulate import simulate as run

    with _naming(config):
        files = run(load_config(config), output_dir, _bar("file", "simulate"))
    _say(f"{len(files)} files in {output_dir}")


@cli.command()
@click.argument("model", type=click.Path())
@click.argument("files", nargs=-1, required=True)
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="Table to write, .hdf5, .parquet or .csv; must not exist."
)
@click.option("--config", "-r", "--reco-config-file", "--reco_config_file", "config", multiple=True, type=click.Path(),
              help="Settings of data and fit (default: those the model was trained with).")  # fmt: skip
@click.option("--seed", help="Table with the seeds, x_parameters for the labels, or pulses for none at all.")
@click.option(
    "--ensemble", multiple=True, type=click.Path(), help="Further MODEL of the same hypothesis, fitted together."
)
@click.option("--workers", default=1, type=click.IntRange(min=1), help="Processes that share the files.")
@click.option("--scheduler", help="Address of a Dask scheduler whose workers share the files, tcp://HOST:PORT.")
@click.option("--columns", type=click.Choice(["evgen_jax", "reference"]),
              help="Column names: ours, or those of Event-Generator's tables.")  # fmt: skip
@log_level
@num_threads
@click.pass_context
def reconstruct(
    context: click.Context, model: str, files: tuple[str, ...], output: str, config: tuple[str, ...],
    seed: str | None, ensemble: tuple[str, ...], workers: int, scheduler: str | None, columns: str | None,
) -> None:  # fmt: skip
    """Fit the events in FILES with the exported MODEL and write a table."""
    from evgen_jax.extras import need
    from evgen_jax.progress import is_quiet
    from evgen_jax.reconstruction.run.program import reconstruct_files
    from evgen_jax.reconstruction.run.workers import check_scheduler, in_processes, load_models, make_recipe, on_cluster

    check_model(model, "FILES")
    if scheduler:
        need("distributed", "--scheduler")
        if workers > 1:
            raise ConfigError("--workers and --scheduler: the files are shared by one or the other; give one of them.")
        check_scheduler(scheduler)
    directories = [str(Path(d).absolute()) for d in (model, *ensemble)]
    loaded = load_models(directories)
    handler, settings = data_and_fit(model, loaded, config)
    if seed:
        settings = settings.model_copy(update={"seed": seed})
    if columns:
        settings = settings.model_copy(update={"column_names": columns})
    root = context.find_root()
    prepare = partial(_prepare_worker, root.meta.get(KEY, NORMAL), root.params["sources"])
    recipe = make_recipe(directories, handler, settings, prepare)
    spread = None
    if scheduler:
        spread = partial(on_cluster, recipe, scheduler)
    elif workers > 1:
        spread = partial(in_processes, recipe, workers)
    done = reconstruct_files(loaded, files, output, handler, settings, not is_quiet(), spread)
    _say(f"{done}; wrote {output}")
    if done.failed or done.lost:
        sys.exit(3)


@cli.command()
@click.argument("model", type=click.Path())
@click.argument("file", type=click.Path())
@output_dir("One folder per event goes here.", required=True, type=click.Path(path_type=Path))
@click.option("--config", "-r", "--reco-config-file", "--reco_config_file", "config", multiple=True, type=click.Path(),
              help="As in reconstruct.")  # fmt: skip
@log_level
@num_threads
@click.option("--seed", help="As in reconstruct.")
@click.option("--ensemble", multiple=True, type=click.Path(), help="As in reconstruct.")
@click.option("--event", "numbers", multiple=True, type=click.IntRange(min=0),
              help="Place of an event in FILE, from 0; may be given several times (default: 0).")  # fmt: skip
@click.option("--scan", "scans", multiple=True, help="Parameter to scan, all others fitted.")
@click.option("--sky-map", is_flag=True, help="Adaptive sky map, as figure and FITS.")
@click.option("--posterior", is_flag=True, help="Samples of the posterior with the priors of the configuration.")
@click.option("--notice", default="", help="A line on every figure.")
def show(
    model: str, file: str, output_dir: Path, config: tuple[str, ...], seed: str | None, ensemble: tuple[str, ...],
    numbers: tuple[int, ...], scans: tuple[str, ...], sky_map: bool, posterior: bool, notice: str,
) -> None:  # fmt: skip
    """Fit single events of FILE and draw them: light against pulses, residuals, scans, sky map, posterior."""
    from evgen_jax.progress import counted
    from evgen_jax.reconstruction.run.workers import load_models
    from evgen_jax.report.file import report_file
    from evgen_jax.report.findings import ReportSettings

    check_model(model, "FILE")
    loaded = load_models([model, *ensemble])
    handler, settings = data_and_fit(model, loaded, config)
    if seed:
        settings = settings.model_copy(update={"seed": seed})
    wanted = ReportSettings(scans, sky_map, posterior, dict(settings.priors), notice)
    numbers = numbers or (0,)
    pages = report_file(loaded, file, output_dir, handler, settings, numbers, wanted)
    for page in counted(pages, "show", "event", len(numbers)):
        _say(f"wrote {page}")


@cli.command()
@output_dir("Where everything goes.", default="evgen_jax_demo", type=click.Path())
@click.option("--steps", default=None, type=click.IntRange(min=1), help="Training steps (default: as configured).")
@click.option("--config", default=None, type=click.Path(path_type=Path), help="Another configuration of this kind.")
@click.option("--fits", default=None, type=click.IntRange(min=1), help="How many held-out events are fitted.")
@log_level
@num_threads
def demo(output_dir: str, steps: int | None, config: Path | None, fits: int | None) -> None:
    """Simulate, train, export, fit and plot with an embedded example: minutes on a laptop."""
    from evgen_jax.cli.demo import NUM_FITS, run_demo

    _say(run_demo(Path(output_dir), steps, config, fits or NUM_FITS))


def main(command: click.Command = cli) -> None:
    """Entry point: errors that a user can mend are one line and exit code 2."""
    try:
        with Interruption():
            command(standalone_mode=False)
    except EvgenError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort) as error:
        cause = error.__cause__ or error  # click hides one in the other
        tell_interrupted(cause)
        sys.exit(getattr(cause, "exit_code", 130))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        sys.exit(2)
