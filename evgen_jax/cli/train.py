"""`evgen-jax train`."""

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import configuration, naming, say, settings
from evgen_jax.cli.reference_options import log_level, num_threads


@click.command(cls=Command)
@configuration
@settings
@click.option("--step", type=click.IntRange(min=0), help="Checkpoint to go on from (default: the latest).")
@click.option("--fresh-optimizer", is_flag=True, help="Keep the weights, start the optimiser's state anew.")
@click.option(
    "--cache",
    type=click.Path(),
    help="Convert the training files into this directory first (see convert), unless done.",
)
@log_level
@num_threads
def train(
    config: tuple[str, ...], settings: tuple[str, ...], step: int | None, fresh_optimizer: bool, cache: str | None
) -> None:
    """Train the model of CONFIG; run again to continue where it stopped."""
    from evgen_jax.config.validate import load_config
    from evgen_jax.progress import is_quiet
    from evgen_jax.training.restore import manager_directory
    from evgen_jax.training.run import train as run

    with naming(config):
        loaded = load_config(config, settings)
        state = run(loaded, progress=not is_quiet(), step=step, fresh_optimizer=fresh_optimizer, cache=cache)
    done, wanted = int(state.step), loaded.training_settings.num_training_iterations
    more = f", more than the {wanted} of num_training_iterations: nothing to do" if done > wanted else ""
    say(f"{done} steps done{more}; the model is in {manager_directory(loaded)}")
