"""The model that is given to a command, and how to read and fit with it."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evgen_jax.errors import ConfigError, EvgenError

if TYPE_CHECKING:
    from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
    from evgen_jax.measurement.detector import Detector
    from evgen_jax.model.ensemble import AnyModel

LOGGER = logging.getLogger("evgen_jax")
NEEDED = ("data_handler_settings", "reconstruction_settings")
"""Sections that say how events are read and fitted."""


def _tell_other_detector(experiment: Any, own: "Detector", config: tuple[str, ...]) -> None:
    """Warns where -r names another detector than the model's: it says how to read and fit, not where modules are."""
    from evgen_jax.building.parts import experiment_detector
    from evgen_jax.measurement.detector import geometry_fingerprint
    from evgen_jax.physics.medium import fingerprint as medium_fingerprint

    if "detector_settings" not in experiment.model_fields_set:
        return
    try:
        named = experiment_detector(experiment)
    except EvgenError:
        return  # the table is of the machine of the training, and is not needed here
    if geometry_fingerprint(named) != geometry_fingerprint(own):
        LOGGER.warning(
            "%s: detector_settings.geometry: '%s' is not the detector '%s' of the model, which counts.",
            ", ".join(config),
            experiment.detector_settings.geometry,
            own.name,
        )
    if medium_fingerprint(named.medium) != medium_fingerprint(own.medium):
        LOGGER.warning(
            "%s: detector_settings.medium: '%s' is not the medium '%s' of the model, which counts.",
            ", ".join(config),
            named.medium.name,
            own.medium.name,
        )


def data_and_fit(
    model: str,
    loaded: "AnyModel",
    config: tuple[str, ...],
    settings: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    seed: str | None = None,
) -> "tuple[DataHandlerSettings, ReconstructionSettings]":
    """Reads the sections of a configuration that a fit needs.

    They are those of the given configuration, or of that which the model was trained with; a section that the given files
    lack is that of the training. For a model that was trained with none the tables of the first file are told by their
    columns, and events are fitted without seeds.

    Args:
      model: directory of the model.
      loaded: the model.
      config: files of another configuration; none for the one that the model was trained with.
      settings: 'section.key=value' each, which override either.
      files: with events, or patterns of their names.
      seed: table of seeds instead of that of the settings; None: theirs.

    Returns:
      Sections data_handler_settings and reconstruction_settings.

    Raises:
      EvgenError: a file or a setting that cannot be read or does not fit the model.
    """
    handler, fit = _data_and_fit(model, loaded, config, settings, files)
    return handler, fit.model_copy(update={"seed": seed}) if seed else fit


def _data_and_fit(
    model: str, loaded: "AnyModel", config: tuple[str, ...], settings: tuple[str, ...], files: tuple[str, ...]
) -> "tuple[DataHandlerSettings, ReconstructionSettings]":
    """The sections as files and settings say them."""
    from evgen_jax.config.keys import check_keys
    from evgen_jax.config.reader import read_yaml, with_settings
    from evgen_jax.config.records import FormatSettings
    from evgen_jax.config.validate import is_whole, load_config, validate, validate_sections
    from evgen_jax.data.batches import find_files
    from evgen_jax.data.found_tables import find_labels, find_tables

    given = read_yaml(config) if config else {}
    if config and is_whole(given):
        experiment = load_config(config, settings)
        _tell_other_detector(experiment, loaded.detector, config)
        return experiment.data_handler_settings, experiment.reconstruction_settings
    own = {name: given.get(name, loaded.settings.get(name, {})) for name in NEEDED}
    source = ", ".join(config) or f"{model}/model.json"
    if config:
        sections = validate_sections(given, source)
        check_keys(sections, source)
        _tell_other_detector(sections, loaded.detector, config)
        if lacking := [name for name in NEEDED if name not in given]:
            if len(lacking) == len(NEEDED):
                raise ConfigError(f"{source}: has neither {' nor '.join(NEEDED)}; nothing says how to read or fit.")
            LOGGER.info("%s: has no %s; that of the model's training counts.", source, lacking[0])
    values = with_settings(own, settings)
    handler = "data_handler_settings"
    if handler not in loaded.settings and handler not in given:
        source = source if config else model
        reading = values[handler]
        path = next(iter(find_files(files)))
        formats = validate(FormatSettings, reading.get("format_settings", {}), source)
        tables = {"data_settings": find_tables(path, reading.get("data_settings", {}), formats)}
        labels = {} if "label_settings" in reading else find_labels(path, loaded.parameters, formats)
        values[handler] = {**reading, **labels, **tables}
        values["reconstruction_settings"] = {"seed": "pulses", **values["reconstruction_settings"]}
    found = validate_sections(values, ", ".join([source, *(f"--set {text}" for text in settings)]))
    return found.data_handler_settings, found.reconstruction_settings


def check_model(model: str, files: str) -> None:
    """Checks that the model is a directory.

    Args:
      model: path that was given as the model.
      files: name of the argument that follows it, for the message.

    Raises:
      ConfigError: a file stands in the place of the model.
    """
    if Path(model).is_file():
        raise ConfigError(
            f"{model}: is a file, where the directory of an exported model is expected. The model comes first: "
            f"MODEL {files} -o ..."
        )
