"""`evgen-jax reconstruct`."""

import sys
from functools import partial
from pathlib import Path

import click

from evgen_jax.cli.commands import KEY, Command
from evgen_jax.cli.configuration import other_configuration, place, say, settings
from evgen_jax.cli.fit_settings import check_model, data_and_fit
from evgen_jax.cli.logging import NORMAL, set_verbosity
from evgen_jax.cli.own_sources import run_files
from evgen_jax.cli.reference_options import log_level, num_threads
from evgen_jax.errors import ConfigError


def prepare_worker(verbosity: int, sources: tuple[str, ...]) -> None:
    """Makes another process say as much as this one, and know its sources.

    Args:
      verbosity: level of `set_verbosity`.
      sources: Python files that register sources.
    """
    set_verbosity(verbosity)
    run_files(sources)


@click.command(cls=Command)
@click.argument("model", type=click.Path())
@click.argument("files", nargs=-1, required=True)
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="Table to write, .hdf5, .parquet or .csv; must not exist."
)
@other_configuration
@settings
@click.option("--seed", help="Table with the seeds, x_parameters for the labels, or pulses for none at all.")
@click.option(
    "--ensemble", multiple=True, type=click.Path(), help="Further MODEL of the same hypothesis, fitted together."
)
@place
@click.option("--workers", default=1, type=click.IntRange(min=1), help="Processes that share the files.")
@click.option("--scheduler", help="Address of a Dask scheduler whose workers share the files, tcp://HOST:PORT.")
@click.option(
    "--columns",
    type=click.Choice(["evgen_jax", "reference"]),
    help="Column names: ours, or those of Event-Generator's tables.",
)
@click.option(
    "--shard",
    help="i/n: fit the i-th of n parts of FILES, into OUTPUT_i_of_n; done already: nothing (for batch systems).",
)
@log_level
@num_threads
@click.pass_context
def reconstruct(
    context: click.Context,
    model: str,
    files: tuple[str, ...],
    output: str,
    config: tuple[str, ...],
    settings: tuple[str, ...],
    seed: str | None,
    ensemble: tuple[str, ...],
    detector: str | None,
    medium: str | None,
    workers: int,
    scheduler: str | None,
    columns: str | None,
    shard: str | None,
) -> None:
    """Fit the events in FILES with the exported MODEL and write a table.

    MODEL is a directory, or icecube86-table: a cascade with noise that needs no training.
    """
    from evgen_jax.building.directory import model_identity
    from evgen_jax.extras import need
    from evgen_jax.progress import is_quiet
    from evgen_jax.reconstruction.run.program import reconstruct_files
    from evgen_jax.reconstruction.run.shards import is_done, read_shard, shard_files, shard_notes, shard_output
    from evgen_jax.reconstruction.run.workers import check_scheduler, in_processes, load_models, make_recipe, on_cluster

    check_model(model, "FILES")
    if scheduler:
        need("distributed", "--scheduler")
        if workers > 1:
            raise ConfigError("--workers and --scheduler: the files are shared by one or the other; give one of them.")
        check_scheduler(scheduler)
    loaded = load_models((model, *ensemble), detector, medium)
    handler, fit = data_and_fit(model, loaded, config, settings, files, seed)
    if columns:
        fit = fit.model_copy(update={"column_names": columns})
    notes: dict[str, str] = {}
    if shard:
        part = read_shard(shard)
        files, output = tuple(shard_files(files, part)), str(shard_output(Path(output), part))
        notes = shard_notes(files)
        if is_done(Path(output), files, model_identity(loaded)):
            say(f"shard {part} is done: {output}")
            return
    root = context.find_root()
    prepare = partial(prepare_worker, root.meta.get(KEY, NORMAL), root.params["sources"])
    recipe = make_recipe((model, *ensemble), handler, fit, detector, medium, prepare)
    spread = None
    if scheduler:
        spread = partial(on_cluster, recipe, scheduler)
    elif workers > 1:
        spread = partial(in_processes, recipe, workers)
    done = reconstruct_files(loaded, files, output, handler, fit, not is_quiet(), spread, notes)
    say(f"{done}; wrote {output}")
    if done.failed or done.lost:
        sys.exit(3)
