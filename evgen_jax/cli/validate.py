"""`evgen-jax validate`."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import other_configuration, place, say, settings
from evgen_jax.cli.fit_settings import check_model, data_and_fit
from evgen_jax.cli.reference_options import log_level, num_threads, output_dir


@click.command(cls=Command)
@click.argument("model", type=click.Path())
@click.argument("files", nargs=-1, required=True)
@output_dir("The page and its figures go here.", required=True, type=click.Path(path_type=Path))
@other_configuration
@settings
@place
@click.option(
    "--events", default=500, show_default=True, type=click.IntRange(min=1), help="Events compared at their truth."
)
@click.option("--fits", default=100, show_default=True, type=click.IntRange(min=0), help="Events that are fitted.")
@log_level
@num_threads
def validate(
    model: str,
    files: tuple[str, ...],
    output_dir: Path,
    config: tuple[str, ...],
    settings: tuple[str, ...],
    detector: str | None,
    medium: str | None,
    events: int,
    fits: int,
) -> None:
    """Say whether MODEL is trained enough: compare it with the events in FILES, whose truth is known.

    Charges and arrival times at the truth, pulls and coverage of fits that begin there, as numbers with limits and as a
    page of figures. FILES hold events that took no part in the training.
    """
    from evgen_jax.model.ensemble import check_no_ensemble, members_of
    from evgen_jax.reconstruction.run.workers import load_models
    from evgen_jax.report.validate_files import validate_files

    check_model(model, "FILES")
    loaded = load_models((model,), detector, medium)
    check_no_ensemble(loaded)
    handler, fit = data_and_fit(model, loaded, config, settings, files)
    name = Path(model).name
    _, text = validate_files(members_of(loaded)[0], name, files, output_dir, handler, fit, events, fits)
    say(f"{text}\n\nwrote {output_dir / 'index.html'}")
