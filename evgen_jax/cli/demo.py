"""`evgen-jax demo`."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import say, settings
from evgen_jax.cli.reference_options import log_level, num_threads, output_dir


@click.command(cls=Command)
@output_dir("Where everything goes.", default="evgen_jax_demo", type=click.Path())
@click.option("--steps", default=None, type=click.IntRange(min=1), help="Training steps (default: as configured).")
@click.option("--config", default=None, type=click.Path(path_type=Path), help="Another configuration of this kind.")
@settings
@click.option("--fits", default=None, type=click.IntRange(min=1), help="How many held-out events are fitted.")
@log_level
@num_threads
def demo(output_dir: str, steps: int | None, config: Path | None, settings: tuple[str, ...], fits: int | None) -> None:
    """Simulate, train, export, fit and plot with an embedded example: minutes on a laptop."""
    from evgen_jax.cli.demonstration import NUM_FITS, run_demo

    say(run_demo(Path(output_dir), steps, config, fits or NUM_FITS, settings))
