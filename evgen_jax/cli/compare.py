"""`evgen-jax compare`."""

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.reference_options import log_level, num_threads


@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@log_level
@num_threads
def compare(runs: tuple[str, ...]) -> None:
    """Print what trainings differ in: their results, and the settings that are not the same in all.

    RUNS are directories of trainings, manager_dir of their configurations; two or more.
    """
    from evgen_jax.errors import DataError
    from evgen_jax.report.trainings import compare_trainings, read_training

    if len(runs) < 2:
        raise DataError(f"{runs[0]}: one training has nothing to be compared with; give two or more directories.")
    click.echo(compare_trainings([read_training(run) for run in runs]))
