"""From a configuration to the pieces of an experiment: detector, transformation, model. Shared by all programs."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.building.parts import assemble, experiment_detector, experiment_source, hypothesis_parameters
from evgen_jax.building.sphere_around import sphere_doubt
from evgen_jax.config.records import ExperimentConfig, FormatSettings, IteratorSettings
from evgen_jax.data.batches import BatchStream, Position, dark_share, find_files
from evgen_jax.data.detector_match import compare_with_detector
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.labels import label_log_flags
from evgen_jax.data.plausibility import LabelReport, usable_labels
from evgen_jax.errors import ConfigError, DataError, TrafoError
from evgen_jax.files import set_aside
from evgen_jax.hypothesis.parameters import Parameter, names_of
from evgen_jax.hypothesis.trafo import TRAFO_FILE, Trafo, fit_trafo, load_trafo
from evgen_jax.measurement.detector import Detector, fingerprint
from evgen_jax.model.model import Model

LOGGER = logging.getLogger("evgen_jax")


def iterator(config: ExperimentConfig, name: str) -> IteratorSettings:
    """The data of one purpose.

    Args:
      config: the experiment.
      name: of the purpose: training, trafo, validation or test.

    Raises:
      ConfigError: the configuration has no such data.
    """
    settings = getattr(config.data_iterator_settings, name)
    if settings is None:
        raise ConfigError(f"data_iterator_settings.{name}: is missing and has no default.")
    return settings


def create_trafo(
    config: ExperimentConfig,
    progress: Callable[[list[Path]], Iterable[Path]] = lambda files: files,
    show: Callable[[str], None] = lambda text: None,
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
    parameters, log = hypothesis_parameters(config), label_log_flags(config.data_handler_settings)
    detector = experiment_detector(config)
    remaining = config.data_trafo_settings.num_batches * settings.batch_size
    skipped: list[DataError] = []
    files, report = find_files(settings.input_data), LabelReport(parameters, detector)

    def batches() -> Iterator[np.ndarray]:
        nonlocal remaining
        for path in progress(files):
            if remaining <= 0:
                return
            try:
                file = read_event_file(
                    path, config.data_handler_settings, detector, parameters=parameters, strict=settings.strict
                )
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

    trafo = fit_trafo(batches(), names_of(parameters), log, config.data_trafo_settings.norm_constant)
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
            LOGGER.warning("the earlier transformation is kept in %s", earlier)
    for error in skipped:
        LOGGER.warning("skipped: %s", error)
    show(report.table())
    if remaining <= 0:
        show(
            f"these are the first events of the files: data_trafo_settings.num_batches times batch_size = {report.count}"
        )
    if report.dark:
        LOGGER.warning("input_data: %s", dark_share(report.dark, report.count, report.files))
    for doubt in report.doubts():
        LOGGER.warning("parameter %s", doubt)
    if sphere := sphere_doubt(experiment_source(config), detector):
        LOGGER.warning("%s", sphere)
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
    keys = ["label_module", "label_settings", "filter_settings"]
    if config.data_handler_settings.format_settings != FormatSettings():
        keys.append("format_settings")
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
    names, flags = names_of(hypothesis_parameters(config)), label_log_flags(config.data_handler_settings)
    trafo = load_trafo(path, names)
    for name, own, wanted in zip(names, trafo.log, flags, strict=False):  # no flags where there are no labels
        if own != wanted:
            raise TrafoError(
                f"{path}: takes '{name}' {'as ln(1 + p)' if own else 'as it is'}, but label_settings.trafo_log of this "
                f"configuration says {wanted}. Give one of them another file, or run create-trafo with this configuration."
            )
    return trafo


def build_model(config: ExperimentConfig, trafo: Trafo | None = None) -> Model:
    """The model with fresh weights (or those of `load_dir`), its detector, transformation and loss.

    Args:
      config: the experiment.
      trafo: normalisation of hypotheses and light; default: that of `data_trafo_settings`.

    Raises:
      EvgenError: whatever the configuration makes impossible.
    """
    return assemble(config, experiment_trafo(config) if trafo is None else trafo)


def open_stream(
    config: ExperimentConfig,
    name: str,
    detector: Detector,
    position: Position | None = None,
    parameters: tuple[Parameter, ...] | None = None,
) -> BatchStream:
    """The batch stream of an iterator section; every iterator has a seed of its own.

    Args:
      config: the experiment.
      name: of the iterator.
      detector: where the DOMs are.
      position: where to begin; default: at the first batch.
      parameters: of the model; default: those of the configuration.

    Raises:
      ConfigError: no such section, or labels that do not fit the model.
      DataError: no file matches.
    """
    seed = config.training_settings.random_seed * 1000 + sum(map(ord, name))
    parameters = hypothesis_parameters(config) if parameters is None else parameters
    handler = config.data_handler_settings
    return BatchStream(iterator(config, name), handler, detector, seed, position, parameters=parameters)
