"""Trainings beside each other: what their configurations and their results differ in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from evgen_jax.building.analytic import analytic_counterpart, analytic_model
from evgen_jax.building.experiment import iterator
from evgen_jax.building.losses import build_loss
from evgen_jax.building.parts import experiment_detector, load_part, read_history
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.data.batches import INSPECTED_FILES, find_files
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.writer import TABLE_LIGHT
from evgen_jax.errors import DataError
from evgen_jax.report.text_page import table
from evgen_jax.training.history import flat, last_configuration
from evgen_jax.training.metrics import read_metrics, read_times
from evgen_jax.training.step import make_loss_terms
from evgen_jax.training.validation import read_validation_set

LONGEST = 60
"""Largest number of characters of a value in a table."""


@dataclass(frozen=True)
class Training:
    """Holds what the directory of a training says.

    Attributes:
      directory: of the training.
      settings: leaves of its last configuration by key path; empty where there is none that can be read.
      versions: of packages in the last run, by name.
      metrics: rows of `read_metrics`.
      times: rows of `read_times`.
    """

    directory: Path
    settings: dict[str, Any]
    versions: dict[str, str]
    metrics: list[dict[str, Any]]
    times: list[dict[str, Any]]


def read_training(directory: str | Path) -> Training:
    """Reads the record of a training.

    Args:
      directory: `manager_dir` of its configuration.

    Returns:
      The record.

    Raises:
      DataError: no directory of a training, or one without a finished step.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory}: no such directory. Give that of a training: manager_dir of its configuration.")
    metrics = read_metrics(directory)
    if not metrics:
        raise DataError(
            f"{directory}: holds no metrics of a training (metrics.jsonl). Give manager_dir of a configuration whose training has "
            "begun, with json_lines among its metric_writers."
        )
    history = read_history(directory)
    settings = last_configuration(directory) or {}
    leaves = {key: value for name, section in settings.items() for key, value in flat(section, name).items()}
    versions = history[-1]["versions"] if history else {}
    return Training(directory, leaves, versions, metrics, read_times(directory))


def true_validation_loss(own: Training) -> float:
    """Computes the validation loss of the likelihood that simulated the events.

    Args:
      own: record of a training on events in the light of the tables, whose files are still there.

    Returns:
      The loss per photoelectron.

    Raises:
      EvgenError: a configuration of another version, files that are gone or whose events nobody drew from the light tables,
        or a source that has no analytic counterpart.
    """
    plain = last_configuration(own.directory)
    if plain is None:
        raise DataError(
            f"{own.directory}: its configuration cannot be read by this version; there is no true likelihood."
        )
    config = ExperimentConfig.model_validate(plain)
    detector = experiment_detector(config)
    section = analytic_counterpart(config.model_settings, lambda path: load_part(path).settings["model_settings"])
    truth = replace(analytic_model(detector, section), loss=build_loss(config.loss_module_settings))
    for path in find_files(iterator(config, "validation").input_data)[:INSPECTED_FILES]:
        file = read_event_file(path, config.data_handler_settings, detector, parameters=truth.parameters)
        if file.provenance != TABLE_LIGHT:
            raise DataError(
                f"{path}: nobody knows the true likelihood of its events. It is known of those that evgen-jax simulate drew from light "
                f"tables (simulation_settings.light: table); this file says: {file.provenance or 'nothing of its light'}. Leave out "
                "--true-likelihood."
            )
    validation = read_validation_set(config, detector, truth.parameters)
    return validation.loss(jax.jit(make_loss_terms(truth)), truth.variables)[1]


def results(own: Training) -> dict[str, str]:
    """Lists the results of a training.

    Args:
      own: its record.

    Returns:
      Text by its heading: steps, losses, time.
    """
    validation = [row for row in own.metrics if row["kind"] == "validation"]
    training = [row["loss_per_pe"] for row in own.metrics if row["kind"] == "training"]
    found = {"steps": f"{max(row['step'] for row in own.metrics)}"}
    if training:
        found["training loss per photoelectron, median of the last tenth"] = (
            f"{np.median(training[-max(len(training) // 10, 1) :]):.5f}"
        )
    if validation:
        best = min(validation, key=lambda row: row["loss"])
        found["validation loss per event, first"] = f"{validation[0]['loss']:.2f}"
        found["validation loss per event, last"] = f"{validation[-1]['loss']:.2f}"
        found["validation loss per event, lowest"] = f"{best['loss']:.2f} (step {best['step']})"
        found["validation loss per photoelectron, lowest"] = f"{best['loss_per_pe']:.5f}"
    passed = np.diff([row["time"] for row in own.times])
    going = np.diff([row["step"] for row in own.times]) > 0
    if going.any():
        seconds = float(passed[going].sum())
        found["time of the steps"] = f"{seconds / 60:.1f} min"
        found["steps per second"] = (
            f"{np.diff([row['step'] for row in own.times])[going].sum() / max(seconds, 1e-9):.1f}"
        )
    return found


def compare_trainings(trainings: Sequence[Training]) -> str:
    """Writes what trainings differ in.

    Args:
      trainings: two or more records.

    Returns:
      Markdown: a table of results, one of settings that are not the same in all.
    """
    names = [str(own.directory) for own in trainings]
    lines = ["# Trainings beside each other", ""]
    found = [results(own) for own in trainings]
    keys = list(dict.fromkeys(key for own in found for key in own))
    lines += table(("result", *names), [(key, *(own.get(key, "-") for own in found)) for key in keys])
    settings = [{**own.settings, **{f"version of {k}": v for k, v in own.versions.items()}} for own in trainings]
    keys = list(dict.fromkeys(key for own in settings for key in own))
    rows = [
        (key, *(_shown(own, key) for own in settings))
        for key in keys
        if len({_shown(own, key) for own in settings}) > 1
    ]
    lines.append("")
    lines += table(("setting", *names), rows) if rows else ["Their configurations and versions are the same."]
    return "\n".join(lines)


def _shown(settings: dict[str, Any], key: str) -> str:
    """A value, shortened; '-' where there is no such key."""
    if key not in settings:
        return "-"
    text = str(settings[key]).replace("|", "/")
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
