"""The loss of events that do not train, equal ones in every run, so that two states of a model can be compared."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evgen_jax.building.experiment import iterator
from evgen_jax.building.parts import hypothesis_parameters
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.data.batch import Batch, make_batch
from evgen_jax.data.batches import find_files
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.file_events import EventFile
from evgen_jax.data.sections import file_of
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.light.source import Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.training.step import LossTerms

LOGGER = logging.getLogger("evgen_jax")
SEED = 1
"""Seed of the choice of events, which is not that of the training, so that trainings of any seed stay comparable."""


@dataclass(frozen=True)
class ValidationSet:
    """Events to validate on, in batches of one size.

    Attributes:
      batches: the last one is filled up with events that have the weight 0.
      weights: one array [B] per batch, 1 or 0.
      available: how many events the files that were read hold; more than `count` if a part was chosen.
    """

    batches: tuple[Batch, ...]
    weights: tuple[np.ndarray, ...]
    available: int

    @property
    def count(self) -> int:
        """Returns the number of events with weight 1."""
        return int(sum(w.sum() for w in self.weights))

    def loss(
        self, terms: LossTerms, variables: Variables, check: Callable[[], None] = lambda: None
    ) -> tuple[dict[str, float], float]:
        """Computes the mean loss per event of every term, and the total per photoelectron.

        Args:
          terms: (variables, events [B], labels [B, H]) -> {name: [B]}, the total under 'loss'.
          variables: weights of the model.
          check: called before every batch; what it raises ends the validation.

        Returns:
          {name: mean loss per event}, and the mean total per photoelectron.
        """
        sums: dict[str, float] = {}
        charge = 0.0
        for batch, weight in zip(self.batches, self.weights, strict=True):
            check()
            used = weight > 0
            for name, values in terms(variables, batch.events, batch.labels).items():
                sums[name] = sums.get(name, 0.0) + float(np.asarray(values, np.float64)[used].sum())
            charge += float(np.asarray(batch.events.charge, np.float64)[used].sum())
        means = {name: value / self.count for name, value in sums.items()}
        return means, means["loss"] / max(charge / self.count, 1.0)

    def not_finite(self, terms: LossTerms, variables: Variables) -> list[str]:
        """Finds the events whose loss is not finite.

        Args:
          terms: (variables, events [B], labels [B, H]) -> {name: [B]}, the total under 'loss'.
          variables: weights of the model.

        Returns:
          Where each of them comes from: file and number.
        """
        bad = []
        for batch, weight in zip(self.batches, self.weights, strict=True):
            finite = np.isfinite(np.asarray(terms(variables, batch.events, batch.labels)["loss"]))
            bad += [name for name, good, w in zip(batch.names, finite, weight, strict=True) if w > 0 and not good]
        return bad


def read_validation_set(
    config: ExperimentConfig, detector: Detector, parameters: tuple[Parameter, ...] | None = None
) -> ValidationSet:
    """Reads all events of the validation files, or `validation_events` of them, equal ones in every run.

    Files are read in a fixed random order until there are enough events; a random part of these is taken.

    Args:
      config: the experiment.
      detector: where the DOMs are.
      parameters: of the model; default: those of the configuration.

    Returns:
      The events in batches.

    Raises:
      DataError: no file matches, none can be read (one is enough to refuse with `strict`), or there is no event.
    """
    settings, wanted = iterator(config, "validation"), config.training_settings.validation_events
    parameters = hypothesis_parameters(config) if parameters is None else parameters
    files = find_files(settings.input_data)
    _tell_overlap(config, files)
    rng = np.random.default_rng(SEED)
    events: list[tuple[EventFile, int]] = []
    error: DataError | None = None
    for i in rng.permutation(len(files)):
        try:
            file = read_event_file(
                files[i], config.data_handler_settings, detector, parameters=parameters, strict=settings.strict
            )
        except DataError as problem:
            if settings.strict:
                raise
            LOGGER.warning("skipped %s", problem)
            error = problem
            continue
        events += [(file, k) for k in file.good]
        if file.notes():
            LOGGER.warning("%s", file.notes())
        if len(events) >= wanted:
            break
    if not events:
        raise error or DataError("data_iterator_settings.validation.input_data: the files hold no event.")
    chosen = rng.permutation(len(events))[:wanted]
    batches, weights, size = [], [], min(settings.batch_size, len(chosen))
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        filled = np.resize(part, size)
        batches.append(make_batch(events, filled))
        weights.append((np.arange(size) < len(part)).astype(np.float64))
    return ValidationSet(tuple(batches), tuple(weights), len(events))


def _tell_overlap(config: ExperimentConfig, files: list[Path]) -> None:
    training = {file_of(path).resolve() for path in find_files(iterator(config, "training").input_data)}
    both = [path for path in files if file_of(path).resolve() in training]
    if both:
        LOGGER.warning(
            "data_iterator_settings: %d of %d validation files train the model as well (%s%s): what was learned "
            "by heart does not show in the validation.",
            len(both),
            len(files),
            both[0],
            ", ..." if len(both) > 1 else "",
        )
