"""`evgen-jax convert`."""

import logging
from typing import TYPE_CHECKING

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import bar, say, settings
from evgen_jax.cli.reference_options import log_level, num_threads, output_dir
from evgen_jax.errors import ConfigError

if TYPE_CHECKING:
    from evgen_jax.data.conversion import Conversion

LOGGER = logging.getLogger("evgen_jax")


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True)
@output_dir("Directory of the converted events.", required=True, type=click.Path())
@click.option(
    "--config",
    multiple=True,
    type=click.Path(),
    help="Configuration that says which tables, labels and detector (default: tables by their columns, no labels); "
    "later files override.",
)
@settings
@click.option("--detector", type=click.Path(), help="Detector table, or icecube86 (default: that of --config).")
@click.option("--medium", help="Medium: a name or a file (default: that of --config, else south_pole).")
@click.option("--seed", "seeds", multiple=True, help="Table with seeds that is kept (several times).")
@click.option("--labels/--no-labels", default=True, help="Whether labels are kept.")
@click.option("--workers", default=0, type=click.IntRange(min=0), help="Processes that read the files (default: one).")
@log_level
@num_threads
def convert(
    files: tuple[str, ...],
    output_dir: str,
    config: tuple[str, ...],
    settings: tuple[str, ...],
    detector: str | None,
    medium: str | None,
    seeds: tuple[str, ...],
    labels: bool,
    workers: int,
) -> None:
    """Convert the events in FILES into memory-mapped arrays, which train and all others take in place of FILES.

    Run again after an interruption, it goes on where it stopped.
    """
    from evgen_jax.data.convert_files import convert as run

    conversion = _with_config if config else _without_config
    done = run(
        conversion(files, config, settings, detector, medium, seeds, labels),
        output_dir,
        jobs=workers,
        progress=bar("file", "convert"),
    )
    say(f"{done}; they are in {output_dir}")


def _with_config(
    files: tuple[str, ...],
    config: tuple[str, ...],
    settings: tuple[str, ...],
    detector: str | None,
    medium: str | None,
    seeds: tuple[str, ...],
    labels: bool,
) -> "Conversion":
    """Tables, labels, seeds and detector of a configuration; a detector of its own is in the configuration's medium."""
    from evgen_jax.building.parts import experiment_detector, hypothesis_parameters
    from evgen_jax.config.validate import load_config
    from evgen_jax.data.conversion import Conversion
    from evgen_jax.data.labels import label_names
    from evgen_jax.reconstruction.run.seeds import defaults_of_seeds, seed_columns

    loaded = load_config(config, settings)
    place = {key: value for key, value in (("geometry", detector), ("medium", medium)) if value is not None}
    loaded = loaded.model_copy(update={"detector_settings": loaded.detector_settings.model_copy(update=place)})
    handler, fit, parameters = (
        loaded.data_handler_settings,
        loaded.reconstruction_settings,
        hypothesis_parameters(loaded),
    )
    columns = seed_columns(parameters, fit, handler) if seeds else ()
    return Conversion(
        files,
        handler,
        experiment_detector(loaded),
        labels and bool(label_names(handler)),
        parameters,
        seeds,
        columns,
        defaults_of_seeds(columns, fit, handler),
    )


def _without_config(
    files: tuple[str, ...],
    config: tuple[str, ...],
    settings: tuple[str, ...],
    detector: str | None,
    medium: str | None,
    seeds: tuple[str, ...],
    labels: bool,
) -> "Conversion":
    """Tables of the first file by their columns; labels and seeds where --set names their columns."""
    from evgen_jax.config.reader import with_settings
    from evgen_jax.config.records import DataHandlerSettings, FormatSettings, LabelSettings, ReconstructionSettings
    from evgen_jax.config.validate import validate
    from evgen_jax.data.conversion import Conversion
    from evgen_jax.data.convert_files import files_to_convert
    from evgen_jax.data.formats.open import open_tables
    from evgen_jax.data.found_tables import find_tables
    from evgen_jax.hypothesis.names import read_parameters
    from evgen_jax.measurement.detector import load_detector
    from evgen_jax.reconstruction.run.seeds import defaults_of_seeds, seed_columns

    if detector is None:
        raise ConfigError(
            "--detector: is missing. Name the table of the modules, icecube86, or a configuration with --config."
        )
    values = with_settings({"data_handler_settings": {}, "reconstruction_settings": {}}, settings)
    given, first = values["data_handler_settings"], files_to_convert(files)[0]
    where = ", ".join(f"--set {text}" for text in settings) or "convert"
    formats = validate(FormatSettings, given.get("format_settings", {}), where)
    given["data_settings"] = find_tables(first, given.get("data_settings", {}), formats)
    handler = validate(DataHandlerSettings, given, where)
    fit = validate(ReconstructionSettings, values["reconstruction_settings"], where)
    columns = fit.seed_parameter_names or handler.misc_settings.seed_parameter_names
    if seeds and not columns:
        raise ConfigError(
            f"--seed {seeds[0]}: nothing says which columns its seeds have. Name them with --config, or with --set "
            "reconstruction_settings.seed_parameter_names=[x,y,z,zenith,azimuth,energy,time]."
        )
    with open_tables(first, formats) as file:
        labelled = "label_key" in file.defaults or file.has(LabelSettings.model_fields["label_key"].default)
    with_labels = labels and (labelled or bool({"label_module", "label_settings"} & set(given)))
    if labels and not with_labels:
        LOGGER.warning(
            "labels are not kept: nothing says which they are. They are needed for training; name them with --config, or with "
            "--set data_handler_settings.label_settings.label_key=TABLE."
        )
    names = tuple(name for entry in columns for name in ([entry] if isinstance(entry, str) else [entry[0]] * entry[1]))
    columns = seed_columns(read_parameters(names), fit, handler) if seeds else ()
    defaults = defaults_of_seeds(columns, fit, handler)
    place = load_detector(detector, medium)
    return Conversion(files, handler, place, with_labels, None, seeds, columns, defaults)
