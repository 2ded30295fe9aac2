"""The model that is given to a command, and how to read and fit with it."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from evgen_jax.errors import ConfigError, EvgenError

if TYPE_CHECKING:
    from evgen_jax.config.records import DataHandlerSettings, ExperimentConfig, ReconstructionSettings
    from evgen_jax.measurement.detector import Detector
    from evgen_jax.model.ensemble import AnyModel

LOGGER = logging.getLogger("evgen_jax")


def _tell_other_detector(experiment: "ExperimentConfig", own: "Detector", config: tuple[str, ...]) -> None:
    """Warns where -r names another detector than the model's: it says how to read and fit, not where modules are."""
    from evgen_jax.building.experiment import experiment_detector
    from evgen_jax.measurement.detector import geometry_fingerprint

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
            experiment.detector_settings.get("geometry"),
            own.name,
        )


def data_and_fit(
    model: str, loaded: "AnyModel", config: tuple[str, ...], settings: tuple[str, ...] = ()
) -> "tuple[DataHandlerSettings, ReconstructionSettings]":
    """Reads the sections of a configuration that a fit needs.

    They are those of the given configuration, or of that which the model was trained with.

    Args:
      model: directory of the model.
      loaded: the model.
      config: files of another configuration; none for the one that the model was trained with.
      settings: 'section.key=value' each, which override either.

    Returns:
      Sections data_handler_settings and reconstruction_settings.

    Raises:
      EvgenError: a file or a setting that cannot be read or does not fit the model.
    """
    from evgen_jax.config.reader import with_settings
    from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
    from evgen_jax.config.validate import load_config, validate

    if config:
        experiment = load_config(config, settings)
        _tell_other_detector(experiment, loaded.detector, config)
        return experiment.data_handler_settings, experiment.reconstruction_settings
    stored = f"{model}/model.json"
    if "data_handler_settings" not in loaded.settings:
        raise ConfigError(
            f"{stored}: the model was made in Python and does not say how files are read; give a configuration with -r."
        )
    kept = {name: loaded.settings.get(name, {}) for name in ("data_handler_settings", "reconstruction_settings")}
    values = with_settings(kept, settings)
    where = ", ".join([stored, *(f"--set {text}" for text in settings)])
    return (
        validate(DataHandlerSettings, values["data_handler_settings"], where),
        validate(ReconstructionSettings, values["reconstruction_settings"], where),
    )


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
