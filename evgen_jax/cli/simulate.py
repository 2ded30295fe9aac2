"""`evgen-jax simulate`."""

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import bar, configuration, naming, say, settings
from evgen_jax.cli.reference_options import log_level, num_threads, output_dir


@click.command(cls=Command)
@configuration
@settings
@output_dir("Directory for the HDF5 files.", required=True, type=click.Path())
@log_level
@num_threads
def simulate(config: tuple[str, ...], settings: tuple[str, ...], output_dir: str) -> None:
    """Simulate events with the analytic sources, or a trained model, into HDF5 tables."""
    from evgen_jax.config.validate import load_config
    from evgen_jax.simulation.simulate import simulate as run

    with naming(config):
        files = run(load_config(config, settings), output_dir, bar("file", "simulate"))
    say(f"{len(files)} files in {output_dir}")
