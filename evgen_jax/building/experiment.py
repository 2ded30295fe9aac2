"""From a configuration to the pieces of an experiment: detector, transformation, model. Shared by all programs."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from evgen_jax.building.directory import is_model, is_run, load_model, part_of
from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import (
    build_source,
    check_particle_mapping,
    init_variables,
    parameter_names,
    resolve_settings,
)
from evgen_jax.config.records import ExperimentConfig, IteratorSettings, ModelSettings
from evgen_jax.data.batches import BatchStream, dark_share, find_files
from evgen_jax.data.detector_match import compare_with_detector
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.labels import label_log_flags, label_names
from evgen_jax.data.plausibility import LabelReport, usable_labels
from evgen_jax.errors import ConfigError, DataError, TrafoError
from evgen_jax.files import set_aside
from evgen_jax.hypothesis.priors import check_priors
from evgen_jax.hypothesis.trafo import TRAFO_FILE, Trafo, fit_trafo, load_trafo
from evgen_jax.measurement.detector import Detector, fingerprint, load_detector
from evgen_jax.model.model import Model

LOGGER = logging.getLogger("evgen_jax")


def experiment_detector(config: ExperimentConfig) -> Detector:
    return load_detector(config.detector_settings.get("geometry"))


def hypothesis_names(config: ExperimentConfig) -> tuple[str, ...]:
    """Parameters of the model, checked against the number of labels.

    Raises:
      ConfigError: the labels are not as many as the model's parameters (both are listed).
    """
    names = parameter_names(config.model_settings, load_part)
    labels = label_names(config.data_handler_settings)
    if labels and len(labels) != len(names):
        raise ConfigError(
            f"data_handler_settings.label_settings: {len(labels)} labels ({', '.join(labels)}) do not fit the "
            f"{len(names)} parameters of the model ({', '.join(names)}); they are matched in this order."
        )
    return names


def iterator(config: ExperimentConfig, name: str) -> IteratorSettings:
    settings = getattr(config.data_iterator_settings, name)
    if settings is None:
        raise ConfigError(f"data_iterator_settings.{name}: is missing and has no default.")
    return settings


def create_trafo(
    config: ExperimentConfig, progress=lambda files: files, show: Callable[[str], None] = lambda text: None
) -> Path:
    """Fits the transformation on the labels of the `trafo` iterator's files and saves it, with what it was made from.

    Labels that cannot belong to the detector and the pulses, and events without a pulse, are told as warnings.

    Args:
      config: the experiment.
      progress: wraps the list of files, for a progress bar.
      show: takes a table of mean, spread and range of every parameter.

    Raises:
      DataError: a file that cannot be used, if it is the only one or `strict` is set, or none of them can.
      TrafoError: no events, or labels of which no transformation can be made.
    """
    settings = trafo_iterator(config)
    names, log = hypothesis_names(config), label_log_flags(config.data_handler_settings)
    detector = experiment_detector(config)
    remaining = config.data_trafo_settings.num_batches * settings.batch_size
    skipped: list[DataError] = []
    files, report = find_files(settings.input_data), LabelReport(names, detector)

    def batches():
        nonlocal remaining
        for path in progress(files):
            if remaining <= 0:
                return
            try:
                file = read_event_file(path, config.data_handler_settings, detector, strict=settings.strict)
                labels = usable_labels(file)
            except DataError as error:
                if settings.strict or len(files) == 1:
                    raise
                skipped.append(error)
                if len(skipped) == len(files):
                    raise DataError(f"none of the {len(files)} files can be used; the last one: {error}") from None
                continue
            report.add(file, remaining)
            if file.notes():
                LOGGER.warning("%s", file.notes())
            compare_with_detector(file, detector)
            yield labels[:remaining]
            remaining -= len(labels)

    trafo = fit_trafo(batches(), names, log, config.data_trafo_settings.norm_constant)
    path = Path(config.data_trafo_settings.model_dir) / TRAFO_FILE
    origin = {**trafo_origin(config, detector), "num_events": report.count}
    if _is_there(path, trafo):
        # It serves both, with or without a prefix of its names; what it was made from is this as well.
        load_trafo(path).save(path, origin)
    else:
        # Models trained with an earlier transformation need it: it is kept.
        earlier = set_aside(path)
        trafo.save(path, origin)
        if earlier is not None:
            print(f"the earlier transformation is kept in {earlier}")
    for error in skipped:
        print(f"skipped: {error}")
    show(report.table())
    if remaining <= 0:
        show(
            f"these are the first events of the files: data_trafo_settings.num_batches times batch_size = {report.count}"
        )
    if report.dark:
        LOGGER.warning("input_data: %s", dark_share(report.dark, report.count, report.files))
    for doubt in report.doubts():
        LOGGER.warning("parameter %s", doubt)
    return path


def trafo_iterator(config: ExperimentConfig) -> IteratorSettings:
    """The iterator whose labels the transformation is fitted on."""
    return config.data_iterator_settings.trafo or config.data_iterator_settings.training


def trafo_origin(config: ExperimentConfig, detector: Detector) -> dict[str, Any]:
    """What a transformation of this configuration is made from, as plain values.

    Raises:
      DataError: no file matches.
    """
    handler = config.data_handler_settings.model_dump(mode="json")
    keys = ("label_module", "label_settings", "filter_settings")
    return {
        "files": [path.name for path in find_files(trafo_iterator(config).input_data)],
        "detector": fingerprint(detector),
        "norm_constant": config.data_trafo_settings.norm_constant,
        **{key: handler[key] for key in keys},
    }


def _is_there(path: Path, trafo: Trafo) -> bool:
    try:
        return load_trafo(path, trafo.parameter_names) == trafo
    except TrafoError:
        return False


def experiment_trafo(config: ExperimentConfig) -> Trafo:
    """The transformation of the model's parameters; that of the same parameters under another prefix serves as well.

    Raises:
      TrafoError: missing, of other parameters, or with logarithms where the labels of this configuration have none.
    """
    path = Path(config.data_trafo_settings.model_dir) / TRAFO_FILE
    names, flags = hypothesis_names(config), label_log_flags(config.data_handler_settings)
    trafo = load_trafo(path, names)
    for name, own, wanted in zip(names, trafo.log, flags, strict=False):  # no flags where there are no labels
        if own != wanted:
            raise TrafoError(
                f"{path}: takes '{name}' {'as ln(1 + p)' if own else 'as it is'}, but label_settings.trafo_log of this "
                f"configuration says {wanted}. Give one of them another file, or run create-trafo with this configuration."
            )
    return trafo


def build_model(config: ExperimentConfig, trafo: Trafo | None = None) -> Model:
    """The model with fresh weights (or those of `load_dir`), its detector, transformation and loss."""
    own = config.model_settings.data_trafo_settings
    if own and config.model_settings.load_dir is None and own.get("model_dir") != config.data_trafo_settings.model_dir:
        raise ConfigError(
            f"model_settings.data_trafo_settings: names {own.get('model_dir')}, but the transformation of the whole model is "
            f"that of data_trafo_settings, {config.data_trafo_settings.model_dir}. Leave it out here."
        )
    detector = jax.tree.map(jnp.asarray, experiment_detector(config))
    trafo = experiment_trafo(config) if trafo is None else trafo
    if not config.model_manager_settings.allow_rebuild_base_models:
        _check_loaded(config.model_settings, "model_settings")
    source, loaded = build_source(config.model_settings, trafo, lambda path: _load_base(path, detector))
    variables = init_variables(source, loaded, jax.random.key(config.training_settings.random_seed), detector)
    loss = build_loss(config.loss_module_settings)
    check_particle_mapping(
        config.model_manager_settings.config.I3ParticleMapping or {}, source.parameter_names,
        "model_manager_settings.config.I3ParticleMapping",
    )  # fmt: skip
    check_priors([prior for _, prior in loss.priors], source.parameter_names)
    return Model(source, variables, trafo, detector, loss, saved_settings(config))


def load_part(path: str) -> Model:
    """An exported model or that of the latest checkpoint of a training run, or a part of it: 'RUN/track/cascade'.

    'models_0000', which Event-Generator has between a run and its parts, may be left out or stand there.

    Raises:
      EvgenError: nothing of that kind lies there, or not the part.
    """
    # The programs of training use this file.
    from evgen_jax.training.load import load_run

    for directory in (Path(path), *Path(path).parents):
        parts = Path(path).relative_to(directory).parts
        parts = parts[1:] if parts[:1] == ("models_0000",) else parts
        if is_model(directory):
            return part_of(load_model(directory), parts, str(directory))
        if is_run(directory):
            return part_of(load_run(directory), parts, str(directory))
    return load_model(path)  # which says what lies there


def _load_base(directory: str, detector: Detector) -> Model:
    """A trained model as a part of this one; it must be for the same detector."""
    base = load_part(directory)
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


def open_stream(config: ExperimentConfig, name: str, detector: Detector, position=None) -> BatchStream:
    """The batch stream of an iterator section; every iterator has a seed of its own."""
    seed = config.training_settings.random_seed * 1000 + sum(map(ord, name))
    return BatchStream(iterator(config, name), config.data_handler_settings, detector, seed, position)
