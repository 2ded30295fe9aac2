"""`evgen-jax import`."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import say
from evgen_jax.cli.reference_options import log_level, num_threads, output_dir, reco_config_file


@click.command("import", cls=Command)
@click.argument("directory", metavar="DIR", type=click.Path())
@output_dir("Directory to make; must not exist.", required=True, type=click.Path())
@reco_config_file("Configuration with the loss and the settings of data and fits (default: that in DIR).")
@click.option(
    "--densities-per-microsecond",
    is_flag=True,
    help="Keep its time densities, per microsecond for light and per ns for noise: its log-likelihoods come out, for comparison.",
)
@log_level
@num_threads
def import_model(
    directory: str, output_dir: str, reco_config_file: str | None, densities_per_microsecond: bool
) -> None:
    """Turn the model in DIR, which Event-Generator trained with TensorFlow, into a model directory.

    DIR is an export, a training, or a model in either (DIR/models_0000/cascade). TensorFlow is not needed. What the model
    does in another way than there is said, and kept in its history.
    """
    from evgen_jax.errors import ModelDirectoryError
    from evgen_jax.files import check_writable
    from evgen_jax.importing.event_generator import import_model as read

    target = Path(output_dir)
    if target.exists():
        raise ModelDirectoryError(f"{target}: exists already. Give another name or remove it first.")
    check_writable(target.parent, f"-o {target}")
    found = read(directory, reco_config_file, densities_per_microsecond=densities_per_microsecond)
    written = found.save(target)
    origin = found.origins[0]
    count = f"{len(found.origins)} models, the first: " if len(found.origins) > 1 else ""
    say(
        f"wrote {written}: {count}{origin['class'].rsplit('.', 1)[-1]} after {origin['training_steps']} steps of training"
    )
    say("differences from Event-Generator:")
    for text in found.told:
        say(f"- {text}")
    say(
        "Its own log-likelihoods, with all of this, in Python: eg.event_generator_losses(eg.load_model(DIR), hypothesis, event)"
    )
