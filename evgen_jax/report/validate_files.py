"""Validation of a model on files: reads events with their truth, writes the page with its figures."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.data.batches import files_as_given
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.labels import label_names, labels_are
from evgen_jax.errors import DataError
from evgen_jax.files import check_writable, write_whole
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.usable_pulses import is_dark
from evgen_jax.model.model import Model
from evgen_jax.progress import stage
from evgen_jax.reconstruction.run.file_fit import make_configured_fitter
from evgen_jax.report.plots.canvas import write
from evgen_jax.report.plots.recovery import coverage
from evgen_jax.report.plots.validation import arrival_shares, charge_ratios, light_by_distance, pull_histograms
from evgen_jax.report.text_page import text_page
from evgen_jax.report.validation import Validation, summary, validate_model

Figure = tuple[str, Path]
"""Heading and file of a figure."""


def labelled_events(
    model: Model, files: Sequence[str], handler: DataHandlerSettings, count: int
) -> tuple[list[Event], np.ndarray]:
    """Reads the first events of files that can be used and have a truth.

    Args:
      model: whose hypothesis the labels are.
      files: with events, or patterns of their names.
      handler: section data_handler_settings of a configuration.
      count: largest number of events.

    Returns:
      Events [E], and their labels [E, H], physical units.

    Raises:
      DataError: a file that cannot be read, labels of another hypothesis, or no event.
    """
    if not labels_are(handler, model.parameters):
        raise DataError(
            f"the labels {', '.join(label_names(handler)) or 'of no table'} are not the hypothesis of the model, "
            f"{', '.join(model.parameter_names)}. Name the table of the truth: -c CONFIG, or --set "
            "data_handler_settings.label_settings.label_key=NAME"
        )
    events: list[Event] = []
    truth: list[np.ndarray] = []
    for path in files_as_given(files):
        file = read_event_file(path, handler, model.detector, parameters=model.parameters)
        assert file.labels is not None  # they were asked for
        for i in file.good:
            if len(events) == count:
                break
            event = file.event(i)
            if not is_dark(event):
                events.append(event)
                truth.append(np.asarray(file.labels[i], np.float64))
    if not events:
        raise DataError(
            f"{', '.join(map(str, files))}: no event with pulses and a truth; there is nothing to validate."
        )
    return events, np.stack(truth)


def validate_files(
    model: Model,
    name: str,
    files: Sequence[str],
    directory: Path,
    handler: DataHandlerSettings,
    settings: ReconstructionSettings,
    num_events: int,
    num_fits: int,
) -> tuple[Validation, str]:
    """Validates a model on files and writes index.html, validation.json and figures.

    Args:
      model: trained.
      name: of the model, for titles.
      files: with events that took no part in the training, or patterns of their names.
      directory: of the page, made if needed.
      handler: section data_handler_settings of a configuration.
      settings: section reconstruction_settings of a configuration.
      num_events: largest number of events that are compared at their truth.
      num_fits: largest number of events that are fitted.

    Returns:
      What was found, and the summary in Markdown.

    Raises:
      DataError: files without usable events, or labels of another hypothesis.
      ConfigError: a directory that cannot be written.
    """
    check_writable(directory, f"-o {directory}")
    settings = settings.model_copy(update={"calculate_covariance_matrix": True})
    fit = make_configured_fitter(model, settings)
    with stage("read"):
        events, truth = labelled_events(model, files, handler, max(num_events, num_fits))
    with stage("validate"):
        found = validate_model(model, events, truth, fit, num_fits)
    directory.mkdir(parents=True, exist_ok=True)
    text = summary(name, ", ".join(map(str, files)), found)
    with stage("figures"):
        drawn = _figures(directory / "figures", name, model, found)
    write_whole(directory / "index.html", text_page(text, drawn, directory))
    checks = [{**check._asdict(), "passed": check.passed} for check in found.checks]
    write_whole(directory / "validation.json", json.dumps({"model": name, "checks": checks}, indent=1) + "\n")
    return found, text


def _figures(directory: Path, name: str, model: Model, found: Validation) -> list[Figure]:
    own = found.at_truth
    at_truth = f"{name}: {own.events} events at their truth"
    drawn = [
        ("Charges", "charges.png", charge_ratios(own, title=at_truth)),
        ("Arrival times", "arrival_times.png", arrival_shares(own, title=at_truth)),
    ]
    if own.bands is not None:
        drawn.insert(1, ("Light", "light.png", light_by_distance(own, title=at_truth)))
    if found.fits:
        title = f"{name}: {len(found.fits)} fits from the truth"
        drawn.append(("Pulls", "pulls.png", pull_histograms(model.parameter_names, found.pulls, title=title)))
        if found.levels is not None:
            drawn.append(("Coverage", "coverage.png", coverage({name: found.levels}, title=title)))
    return [(heading, write(directory / file, figure)) for heading, file, figure in drawn]
