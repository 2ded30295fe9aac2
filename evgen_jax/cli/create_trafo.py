"""`evgen-jax create-trafo`."""

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import bar, configuration, naming, say, settings
from evgen_jax.cli.reference_options import log_level, num_threads


@click.command("create-trafo", cls=Command)
@configuration
@settings
@log_level
@num_threads
def create_trafo(config: tuple[str, ...], settings: tuple[str, ...]) -> None:
    """Fit the data transformation of CONFIG and save it."""
    from evgen_jax.building.experiment import create_trafo as run
    from evgen_jax.config.validate import load_config

    with naming(config):
        say(f"wrote {run(load_config(config, settings), bar('file', 'trafo'), say)}")
