"""Models that Event-Generator trained with TensorFlow: an export, a training or a part of one becomes a model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from evgen_jax.building.directory import save_ensemble, save_model
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source
from evgen_jax.config.reader import read_yaml
from evgen_jax.config.records import DataHandlerSettings, LossSettings, ModelSettings, ReconstructionSettings, Record
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError, ModelDirectoryError, TrafoError
from evgen_jax.hypothesis.joint_prior import check_priors
from evgen_jax.hypothesis.parameters import Parameter, parameters_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.importing.component import DESCRIPTION, Component, read_component
from evgen_jax.importing.differences import differences
from evgen_jax.importing.sections import MULTI_SOURCES, SOURCES, check_class, model_section
from evgen_jax.importing.transformation import read_trafo
from evgen_jax.importing.weights import check_no_weights, source_weights
from evgen_jax.light.source import Source, Variables
from evgen_jax.measurement.detector import Detector, load_detector
from evgen_jax.model.ensemble import AnyModel, Ensemble
from evgen_jax.model.likelihood import Loss
from evgen_jax.model.model import Model

MANAGER = "SourceManager"
"""Class of the outermost directory, which holds the models of an ensemble, or one."""
SETTINGS = "reco_config.yaml"
"""File of an export with the settings of fits and the loss."""
RECORDS: dict[str, type[Record]] = {
    "data_handler_settings": DataHandlerSettings,
    "reconstruction_settings": ReconstructionSettings,
}
"""Sections that are taken over, beside those of the loss."""
TRAINED_WITH = "training/step_*/training_config.yaml"
"""Files with the configurations of a training, below each of its models."""


@dataclass(frozen=True)
class Imported:
    """Holds what was imported.

    Attributes:
      model: one model, or an ensemble.
      told: what it does in another way than Event-Generator, one entry each.
      origins: where every model comes from: directory, class, version, steps of its training, and what was told.
    """

    model: AnyModel
    told: tuple[str, ...]
    origins: tuple[dict[str, Any], ...]

    def save(self, directory: str | Path) -> Path:
        """Writes the model, or every model of an ensemble, as a model directory.

        Args:
          directory: must not exist; it appears under its name only when complete.

        Returns:
          The directory.

        Raises:
          ModelDirectoryError: it exists or cannot be written.
        """
        if isinstance(self.model, Ensemble):
            return save_ensemble(self.model.members, directory, [[origin] for origin in self.origins])
        return save_model(self.model, directory, [self.origins[0]])


def import_model(
    directory: str | Path, reco_config: str | Path | None = None, *, densities_per_microsecond: bool = False
) -> Imported:
    """Reads a trained model of Event-Generator 2; TensorFlow is not needed, and nothing that a file names is run.

    Args:
      directory: of an export, of a training, or of a model in either, as `DIR/models_0000/cascade`.
      reco_config: configuration with the loss and the settings of data and fits; None: that of the export or training.
      densities_per_microsecond: whether time densities stay per microsecond beside those of noise per ns, so that the
        log-likelihoods of Event-Generator come out; for comparison alone.

    Returns:
      The model, or the ensemble, and what it does in another way.

    Raises:
      ModelDirectoryError: no export, of another version, or with a pickle that asks for more than arrays.
      ConfigError: a class or an option that is not known here, or settings that do not fit.
      CheckpointError: weights that are missing, damaged or of another architecture.
      TrafoError: a normalisation of other parameters.

    Example:
      `import_model("exported_models/cascade_7param").save("cascade_7param")`
    """
    top = read_component(Path(directory))
    if top.kind == MANAGER:
        found = {name: part for name, part in top.parts.items() if re.fullmatch(r"models_\d{4}", name)}
        if not found:
            raise ModelDirectoryError(f"{top.directory}: holds no models_0000, models_0001 and so on.")
        top.check_no_data()
        parts = [found[name] for name in sorted(found)]
    else:
        check_class(top, SOURCES + MULTI_SOURCES, "model")
        parts = [top]
    detector = jax.tree.map(jnp.asarray, load_detector())
    sections = [model_section(part, densities_per_microsecond) for part in parts]
    models, origins = [], []
    for part, section in zip(parts, sections, strict=True):
        settings, loss = _settings(part, reco_config)
        told = tuple(differences(section, loss, len(parts)))
        source, variables, trafo, steps = _build(part, section, detector)
        check_priors([prior for _, prior in loss.priors], parameters_of(source))
        settings["model_settings"] = section.model_dump(mode="json")
        models.append(Model(source, variables, trafo, detector, loss, settings))
        origins.append(_origin(part, steps) | {"differences": list(told)})
    try:
        return Imported(models[0] if len(models) == 1 else Ensemble(models), told, tuple(origins))
    except ConfigError as error:
        raise ConfigError(f"{top.directory}: {error}") from None


def _origin(component: Component, steps: int) -> dict[str, Any]:
    """Where a model comes from, for its history."""
    return {
        "imported_from": str(component.directory.absolute()),
        "class": component.description.class_string,
        "event_generator": component.description.event_generator_version,
        "training_steps": steps,
    }


def _build(component: Component, section: ModelSettings, detector: Detector) -> tuple[Source, Variables, Trafo, int]:
    """Source, weights, normalisation and training steps of a model, which is built of its parts first."""
    if not section.multi_source_bases:
        trafo = _trafo(component, parameters_of(_source(component, section)[0]))
        source, _ = _source(component, section, trafo)
        variables, steps = source_weights(component, source, detector)
        return source, variables, trafo, steps
    steps = check_no_weights(component)
    parts: dict[str, Model] = {}
    for name, base in section.multi_source_bases.items():
        source, variables, own, _ = _build(component.parts[name], base, detector)
        parts[name] = Model(source, variables, own, detector)
    loaded = section.model_copy(update={"multi_source_bases": {name: ModelSettings(load_dir=name) for name in parts}})
    trafo = _trafo(component, parameters_of(_source(component, loaded, None, parts)[0]))
    source, variables = _source(component, loaded, trafo, parts)
    return source, variables, trafo, steps


def _source(
    component: Component, section: ModelSettings, trafo: Trafo | None = None, parts: Mapping[str, Model] | None = None
) -> tuple[Source, Variables]:
    """The source of a section and the weights of its parts; messages name the file of its component."""
    try:
        return build_source(section, trafo, (parts or {}).__getitem__)
    except ConfigError as error:
        raise ConfigError(f"{component.directory / DESCRIPTION}: {error}") from None


def _trafo(component: Component, parameters: Sequence[Parameter]) -> Trafo:
    """The normalisation of a model, which one without parameters does not need."""
    if not parameters:
        return Trafo((), (), (), ())
    if "data_trafo" not in component.parts:
        raise TrafoError(
            f"{component.directory / DESCRIPTION}: has no data_trafo, the normalisation of {', '.join(p.name for p in parameters)}."
        )
    return read_trafo(component.parts["data_trafo"], parameters)


def _settings(component: Component, reco_config: str | Path | None) -> tuple[dict[str, Any], Loss]:
    """Sections of the settings of a model beside its own, as plain values: loss, data, fits; and the loss."""
    path = Path(reco_config) if reco_config else _settings_file(component.directory)
    content = read_yaml(path)
    if "loss_module_settings" not in content:
        raise ConfigError(
            f"{path}: has no loss_module_settings: of which terms the likelihood consists. Name another file with -r."
        )
    losses = content["loss_module_settings"]
    where = f"{path}: loss_module_settings"
    entries = tuple(
        validate(LossSettings, entry, where) for entry in (losses if isinstance(losses, list) else [losses])
    )
    try:
        loss = build_loss(entries)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    found: dict[str, Any] = {
        "unique_name": str(content.get("unique_name", component.directory.name)),
        "loss_module_settings": [entry.model_dump(mode="json") for entry in entries],
    }
    for key, record in RECORDS.items():
        if key in content:
            found[key] = validate(record, content[key], f"{path}: {key}").model_dump(mode="json")
    return found, loss


def _settings_file(directory: Path) -> Path:
    """Where the loss of a model stands: in the export of which it is a part, or with its own training."""
    above = directory.absolute()
    while (above / DESCRIPTION).is_file():
        if (above / SETTINGS).is_file():
            return above / SETTINGS
        above = above.parent
    if runs := sorted(directory.glob(TRAINED_WITH)):
        return runs[-1]
    raise ConfigError(
        f"{directory}: no {SETTINGS} there or above, and no {TRAINED_WITH}: of which terms the likelihood consists is not known. "
        "Name the configuration of the training with -r."
    )
