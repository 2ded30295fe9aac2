"""A look at the data before a training writes anything: can they be read, is there light, do labels and settings fit."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.building.experiment import iterator, trafo_origin
from evgen_jax.building.parts import hypothesis_parameters
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.data.batches import INSPECTED_FILES, dark_share, find_files
from evgen_jax.data.detector_match import compare_with_detector
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.plausibility import LabelReport
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.hypothesis.trafo import TRAFO_FILE, Trafo, read_origin
from evgen_jax.measurement.detector import Detector

LOGGER = logging.getLogger("evgen_jax")
OUTSIDE = 5.0
"""Standard deviations of the transformation beyond which half of the labels may not be."""


def check_data(
    config: ExperimentConfig,
    name: str,
    detector: Detector,
    trafo: Trafo,
    parameters: tuple[Parameter, ...] | None = None,
) -> None:
    """Reads the first files of an iterator, so that what is wrong shows before anything is written.

    Warnings tell events without a pulse, labels that cannot belong to detector and pulses or lie far outside the
    transformation, and a transformation that was made from other data or settings.

    Args:
      config: the experiment.
      name: of the iterator.
      detector: where the DOMs are.
      trafo: of the model's parameters.
      parameters: of the model; default: those of the configuration.

    Raises:
      DataError: no file matches, none of the files can be read, or no event of any file has a pulse.
    """
    parameters = hypothesis_parameters(config) if parameters is None else parameters
    settings, report = iterator(config, name), LabelReport(parameters, detector)
    files = find_files(settings.input_data)
    problem: DataError | None = None
    unusable, faulty = 0, None
    for path in files:
        # If the first files are dark, the others may not be.
        if report.files >= INSPECTED_FILES and report.dark < report.count:
            break
        try:
            file = read_event_file(
                path, config.data_handler_settings, detector, parameters=parameters, strict=settings.strict
            )
            compare_with_detector(file, detector)
            report.add(file)
            if file.faults:
                unusable, faulty = unusable + len(file.faults), faulty or file
        except DataError as error:
            if settings.strict:
                raise
            problem = error
    if not report.files and problem is not None:
        raise problem
    if not report.count:
        if faulty is not None:
            first = min(faulty.faults)
            raise DataError(
                f"data_iterator_settings.{name}.input_data: none of the {unusable} events in {len(files)} files can be used; "
                f"the first: {faulty.name(first)} of {faulty.path}: {faulty.faults[first]}."
            )
        raise DataError(f"data_iterator_settings.{name}.input_data: the {len(files)} files hold no event.")
    if report.dark == report.count:
        raise DataError(
            f"data_iterator_settings.{name}.input_data: none of the {report.count} events in {report.files} files has a "
            "pulse that takes part; there is nothing to learn from. Check pulse_key, the origin of the coordinates and, in "
            "IceCube files, NullSplit frames."
        )
    if report.dark:
        LOGGER.warning("input_data: %s", dark_share(report.dark, report.count, report.files))
    for doubt in report.doubts():
        LOGGER.warning("parameter %s", doubt)
    for doubt in outside_of_trafo(report, trafo):
        LOGGER.warning("parameter %s", doubt)
    _check_trafo(config, detector)


def outside_of_trafo(report: LabelReport, trafo: Trafo) -> list[str]:
    """Finds the parameters that the transformation maps far away from 0.

    Args:
      report: of files that are read.
      trafo: normalisation of the H parameters.

    Returns:
      One line per parameter.
    """
    labels = report.sample()[0]
    if not len(labels) or not report.parameters:
        return []
    log = np.asarray(trafo.log, bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(log, np.log1p(np.where(log, labels, 0.0)), labels)
    far = np.abs((values - np.asarray(trafo.mean)) / trafo.scale())
    low, high = trafo.centre(-1), trafo.centre(1)
    return [
        f"'{parameter.name}' from {report.low[i]:.4g} to {report.high[i]:.4g}: half of the events are more than "
        f"{np.median(far[:, i]):.3g} standard deviations from the mean of the transformation, which knows {low[i]:.4g} "
        f"to {high[i]:.4g}: was it made from other data, or in another unit?"
        for i, parameter in enumerate(report.parameters)
        if np.median(far[:, i]) > OUTSIDE
    ]


def _check_trafo(config: ExperimentConfig, detector: Detector) -> None:
    path = Path(config.data_trafo_settings.model_dir) / TRAFO_FILE
    was = read_origin(path)
    if was is None:
        return  # of an earlier version
    try:
        now: dict[str, Any] = trafo_origin(config, detector)
    except DataError as error:
        LOGGER.warning("%s: the data it was made from are gone (%s)", path, error)
        return
    changes = [_change(key, was[key], value) for key, value in now.items() if was.get(key, value) != value]
    if changes:
        LOGGER.warning(
            "%s: was made from other data or settings than this configuration has: %s. Run create-trafo again, or go on "
            "if that is meant.",
            path,
            "; ".join(changes),
        )


def _change(key: str, was: Any, now: Any) -> str:
    if key == "files":
        added, gone = [f for f in now if f not in was], [f for f in was if f not in now]
        named = [
            f"{len(part)} {what} ({part[0]}{', ...' * (len(part) > 1)})"
            for what, part in (("more", added), ("gone", gone))
            if part
        ]
        return f"files: {len(was)} then, {len(now)} now, {', '.join(named) or 'in another order'}"
    if key == "detector":
        return "another detector"
    if isinstance(now, dict) and isinstance(was, dict):
        keys = [k for k in now if was.get(k) != now[k]]
        return "; ".join(f"{key}.{k}: {was.get(k)} -> {now[k]}" for k in keys)
    return f"{key}: {was} -> {now}"
