"""`evgen-jax init`: a configuration to start from."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import say
from evgen_jax.cli.reference_options import log_level, num_threads


def _divided(path: Path) -> str:
    """How events that lie in one place become two files."""
    if path.is_dir():
        return f"Give the files of its table of the truth one by one ({path.name}/TABLE/*.parquet), or further folders."
    if path.suffix == ".db":
        events = "--set data_handler_settings.format_settings.events=[FIRST,BEHIND_LAST]"
        return f"Divide it, each part by: evgen-jax convert {path.name} -o PART {events}"
    return "Divide it, or give further files."


@click.command(cls=Command)
@click.argument("files", nargs=-1)
@click.option(
    "--hypothesis", default="cascade", show_default=True, help="cascade, two-cascades, starting-track or track."
)
@click.option("--detector", type=click.Path(), default="icecube86", show_default=True, help="Table of modules.")
@click.option("--medium", default="south_pole", show_default=True, help="Ice or water: a name or a file.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write (default: the hypothesis, .yaml); must not exist.",
)
@log_level
@num_threads
def init(files: tuple[str, ...], hypothesis: str, detector: str, medium: str, output: Path | None) -> None:
    """Write a commented configuration that runs: for the events in FILES, or for events that it simulates.

    Of FILES, the tables of pulses, exclusions, readout windows and truth are found by their columns; the last file takes no
    part in the training.
    """
    from evgen_jax.building.start import beginning, doubt_about, parameters_in, starting_configuration
    from evgen_jax.config.records import DataHandlerSettings
    from evgen_jax.config.validate import validate
    from evgen_jax.data.event_file import read_event_file
    from evgen_jax.data.found_tables import find_labels, find_seeds, find_tables
    from evgen_jax.errors import ConfigError, DataError
    from evgen_jax.files import write_whole
    from evgen_jax.measurement.detector import load_detector

    own = beginning(hypothesis)
    path = output or Path(f"{hypothesis}.yaml")
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"-o {path}: expected a name that ends with .yaml.")
    if path.exists():
        raise ConfigError(f"{path}: is there already. Give another name: -o NAME.yaml")
    loaded = load_detector(detector, medium)
    geometry = detector if detector == "icecube86" else str(Path(detector).resolve())
    if Path(medium).is_file():
        medium = str(Path(medium).resolve())
    if doubt := doubt_about(own, loaded):
        raise ConfigError(f"--hypothesis {hypothesis}: {doubt}")
    about: dict[str, object] = {}
    if files:
        from evgen_jax.data.batches import files_as_given

        paths = [str(found.resolve()) for found in files_as_given(files)]
        if len(paths) < 2:
            raise DataError(
                f"{paths[0]}: is the only file; one more is needed that takes no part in the training. {_divided(Path(paths[0]))}"
            )
        parameters = parameters_in(own, loaded)
        labels = find_labels(paths[0], parameters)
        if not labels:
            names = ", ".join(parameter.name for parameter in parameters[:12])
            raise DataError(
                f"{paths[0]}: no table, or more than one, has the columns of this hypothesis ({names}"
                f"{', ...' if len(parameters) > 12 else ''}). Name these columns so, or start from a configuration without "
                "FILES and set data_handler_settings.label_settings by hand; `evgen-jax check` says what the file has."
            )
        handler = validate(DataHandlerSettings, {"data_settings": {}, **labels}, paths[0])
        try:
            read_event_file(Path(paths[0]), handler, loaded, parameters=parameters)
        except DataError as error:  # of another detector, mostly
            first, _, _ = str(error).partition(" Use the model or ")
            raise DataError(
                f"{first} Give --detector FILE, if '{detector}' is not the detector of the events."
            ) from None
        key = labels["label_settings"]["label_key"]
        about = {
            "tables": {"time_exclusions_key": None, **find_tables(paths[0], {"event_id_key": key})},
            "label_key": key,
            "label_names": labels["label_settings"]["parameter_names"],
            "seed": find_seeds(paths[0], parameters, key) or "pulses",
            "training": paths[:-1],
            "validation": paths[-1:],
        }
    text = starting_configuration(own, loaded, name=path.stem, geometry=geometry, medium=medium, **about)  # type: ignore[arg-type]
    try:
        write_whole(path, text)
    except OSError as error:
        raise ConfigError(f"-o {path}: cannot be written ({error.strerror}).") from None
    commands = [line.strip("# ") for line in text.splitlines() if line.startswith("#   evgen-jax ")]
    say(f"wrote {path}. Next, in its folder:\n" + "\n".join(f"  {line}" for line in commands))
