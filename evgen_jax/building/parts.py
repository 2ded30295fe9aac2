"""Models from what lies on disk: exported ones, training runs as they stand, and parts of either, which a model may be made of."""

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from evgen_jax.building.directory import load_model, part_of
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import (
    build_source,
    check_particle_mapping,
    init_variables,
    resolve_settings,
)
from evgen_jax.building.model_files import CHECKPOINTS, HISTORY, is_model, is_run, shipped_path
from evgen_jax.building.stored_checkpoints import StoredCheckpoints
from evgen_jax.config.reader import read_yaml_file
from evgen_jax.config.records import ExperimentConfig, ModelSettings
from evgen_jax.config.validate import validate
from evgen_jax.data.labels import label_names
from evgen_jax.errors import CheckpointError, ConfigError, MediumError
from evgen_jax.hypothesis.joint_prior import check_priors
from evgen_jax.hypothesis.names import check_labels
from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.measurement.detector import Detector, fingerprint, load_detector
from evgen_jax.measurement.site import SITES, Site
from evgen_jax.model.model import Model
from evgen_jax.physics.media import load_medium
from evgen_jax.physics.medium import Medium
from evgen_jax.physics.medium import fingerprint as medium_fingerprint

LOGGER = logging.getLogger("evgen_jax")


def read_history(directory: Path) -> list[dict[str, Any]]:
    """What a run directory remembers of its runs, in order; empty where there is nothing."""
    path = directory / HISTORY
    return json.loads(path.read_text()) if path.is_file() else []


def load_run(directory: Path) -> Model:
    """The model of the latest checkpoint of a training run, with the configuration that was in force; says which it was.

    Raises:
      CheckpointError: nothing was saved yet, the checkpoint does not fit, or the detector is another one now.
    """
    checkpoints = StoredCheckpoints(directory / CHECKPOINTS)
    try:
        step = checkpoints.latest_step()
    finally:
        checkpoints.close()
    history = read_history(directory)
    if step is None or not history:
        raise CheckpointError(f"{directory}: holds no checkpoint yet. Train it with: evgen-jax train CONFIG")
    return _load(directory.absolute(), history[-1]["config"], step)


@lru_cache(maxsize=8)
def _load(directory: Path, name: str, step: int) -> Model:
    """Loaded once per process: building a model with it asks several times."""
    path = directory / name
    config = validate(ExperimentConfig, read_yaml_file(path), str(path))
    checkpoints = StoredCheckpoints(directory / CHECKPOINTS)
    try:
        meta = checkpoints.meta(step)
        # As it was in the training; the file may hold another one by now.
        stored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in meta["trafo"].items()}
        trafo = Trafo(**stored)
        model = assemble(config, trafo)
        if meta["detector"] != fingerprint(model.detector):
            raise CheckpointError(
                f"{directory}: was trained for another detector than {config.detector_settings.geometry} holds now, or in "
                f"another medium than {config.detector_settings.medium}. Put the earlier tables back."
            )
        variables, _ = checkpoints.restore_weights(model.variables, step)
        checkpoints.refuse_not_finite(variables, step, "train")
    finally:
        checkpoints.close()
    LOGGER.warning("loaded the weights of step %d from the training run %s", step, directory)
    return model.with_variables(variables)


def experiment_detector(config: ExperimentConfig) -> Detector:
    """Loads the detector of a configuration, in its medium.

    Args:
      config: names the table of modules and the medium.

    Returns:
      The detector.

    Raises:
      ConfigError: no such medium, or one that is impossible.
      DetectorError: the table cannot be read.
    """
    settings = config.detector_settings
    try:
        medium = load_medium(settings.medium)
    except MediumError as error:
        raise ConfigError(f"detector_settings.medium: {error}") from None
    detector = load_detector(settings.geometry, medium, settings.kinds)
    if settings.site is None:
        return detector
    site = SITES[settings.site] if isinstance(settings.site, str) else Site(**settings.site.model_dump())
    return detector.replace(site=site)


def experiment_source(config: ExperimentConfig) -> Source:
    """The source of a configuration, before its data transformation exists: names, shapes and settings alone."""
    return build_source(config.model_settings, None, load_part)[0]


def hypothesis_parameters(config: ExperimentConfig) -> tuple[Parameter, ...]:
    """Parameters of the model, checked against the labels.

    Raises:
      ConfigError: the labels are not as many as the model's parameters (both are listed), or the name of one tells of another
        parameter than that of its place.
    """
    parameters = parameters_of(experiment_source(config))
    names, labels = names_of(parameters), label_names(config.data_handler_settings)
    if labels and len(labels) != len(names):
        raise ConfigError(
            f"data_handler_settings.label_settings: {len(labels)} labels ({', '.join(labels)}) do not fit the "
            f"{len(names)} parameters of the model ({', '.join(names)}); they are matched in this order."
        )
    if labels:
        check_labels(labels, parameters, "data_handler_settings.label_settings", ConfigError)
    return parameters


def assemble(config: ExperimentConfig, trafo: Trafo) -> Model:
    """The model of a configuration with fresh weights, or those of `load_dir`, its detector and its loss.

    Args:
      config: the experiment.
      trafo: normalisation of hypotheses and light.

    Raises:
      EvgenError: whatever the configuration makes impossible, or a part that cannot be loaded.
    """
    own = config.model_settings.data_trafo_settings
    if own and config.model_settings.load_dir is None and own.get("model_dir") != config.data_trafo_settings.model_dir:
        raise ConfigError(
            f"model_settings.data_trafo_settings: names {own.get('model_dir')}, but the transformation of the whole model is "
            f"that of data_trafo_settings, {config.data_trafo_settings.model_dir}. Leave it out here."
        )
    detector = jax.tree.map(jnp.asarray, experiment_detector(config))
    if not config.model_manager_settings.allow_rebuild_base_models:
        _check_loaded(config.model_settings, "model_settings")
    source, loaded = build_source(config.model_settings, trafo, lambda path: _load_base(path, detector))
    variables = init_variables(source, loaded, jax.random.key(config.training_settings.random_seed), detector)
    loss = build_loss(config.loss_module_settings)
    check_particle_mapping(
        config.model_manager_settings.config.I3ParticleMapping or {},
        source.parameter_names,
        "model_manager_settings.config.I3ParticleMapping",
    )
    check_priors([prior for _, prior in loss.priors], parameters_of(source))
    return Model(source, variables, trafo, detector, loss, saved_settings(config))


def load_part(path: str) -> Model:
    """An exported model or that of the latest checkpoint of a training run, or a part of it: 'RUN/track/cascade'.

    'models_0000', which Event-Generator has between a run and its parts, may be left out or stand there.

    Raises:
      EvgenError: nothing of that kind lies there, or not the part.
    """
    whole = shipped_path(path)
    for directory in (whole, *whole.parents):
        parts = whole.relative_to(directory).parts
        parts = parts[1:] if parts[:1] == ("models_0000",) else parts
        if is_model(directory):
            return part_of(load_model(directory), parts, str(directory))
        if is_run(directory):
            return part_of(load_run(directory), parts, str(directory))
    return load_model(path)  # which says what lies there


def check_medium(trained: Medium, medium: Medium, where: str) -> None:
    """Checks that a model is used in the medium in which it was trained.

    Args:
      trained: medium of the model.
      medium: of the configuration.
      where: key or directory of the model, for the message.

    Raises:
      ConfigError: they differ.
    """
    if medium_fingerprint(trained) != medium_fingerprint(medium):
        same = " of other numbers" if trained.name == medium.name else ""
        raise ConfigError(
            f"{where}: was trained in the medium '{trained.name}', which is not '{medium.name}'{same} of "
            "detector_settings.medium. Name the medium or file of the model there, or train another model."
        )


def _load_base(directory: str, detector: Detector) -> Model:
    """A trained model as a part of this one; it must be for the same detector."""
    base = load_part(directory)
    check_medium(base.detector.medium, detector.medium, directory)
    if fingerprint(base.detector) != fingerprint(detector):
        raise ConfigError(
            f"{directory} was trained for the detector '{base.detector.name}' with "
            f"{base.detector.num_doms} DOMs, which is not '{detector.name}' of detector_settings.geometry with "
            f"{detector.num_doms} DOMs."
        )
    return base


def _check_loaded(settings: ModelSettings, where: str) -> None:
    for name, base in settings.multi_source_bases.items():
        if base.load_dir is None:
            raise ConfigError(
                f"{where}.multi_source_bases.{name}: would start from random weights, but "
                "model_manager_settings.allow_rebuild_base_models is False. Give its load_dir or set it to True."
            )


def saved_settings(config: ExperimentConfig) -> dict[str, Any]:
    """What an exported model says about itself, as plain values."""
    plain = config.model_dump(mode="json")
    plain["model_settings"] = resolve_settings(config.model_settings, load_part)
    return plain
