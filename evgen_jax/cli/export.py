"""`evgen-jax export`."""

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import configuration, naming, say, settings
from evgen_jax.cli.reference_options import log_level, num_threads, output_dir, reco_config_file


@click.command(cls=Command)
@configuration
@settings
@output_dir("Directory to make; must not exist.", required=True, type=click.Path())
@click.option("--step", type=click.IntRange(min=0), help="Checkpoint to export (default: the latest).")
@reco_config_file("Another configuration, whose settings of fits and of the likelihood are exported.")
@log_level
@num_threads
def export(
    config: tuple[str, ...], settings: tuple[str, ...], output_dir: str, step: int | None, reco_config_file: str | None
) -> None:
    """Write the trained model of CONFIG as a directory that loads on its own; of several configurations, an ensemble."""
    from evgen_jax.config.validate import load_members
    from evgen_jax.training.export import export_ensemble, export_model, with_fit_of

    with naming(config):
        members = load_members(config, settings)
        if reco_config_file:
            members = [with_fit_of(member, reco_config_file) for member in members]
        if len(members) == 1:
            written = export_model(members[0], output_dir, step)
        else:
            written = export_ensemble(members, output_dir, step)
    say(f"wrote {written}")
