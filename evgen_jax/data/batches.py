"""Batches of simulated events for training: seeded order, exact position, reader processes that stay ahead.

The stream is a pure function of (files, seed, position): step k of a run sees the same batch however often the run was
interrupted. Files are visited in pools of 1 + num_add_files; the events of a pool are shuffled, repeated
num_repetitions times and cut into batches. Every pass over the files has a different order.
"""

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.config.records import DataHandlerSettings, IteratorSettings
from evgen_jax.data.batch import Batch, make_batch
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.file_events import EventFile
from evgen_jax.data.readers import Readers
from evgen_jax.data.sections import is_converted, is_section, sections_of
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.measurement.detector import Detector

LOGGER = logging.getLogger("evgen_jax")
INSPECTED_FILES = 3
"""Number of files of an iterator that are checked before a training begins."""


@dataclass(frozen=True)
class Position:
    """Says where a stream stands.

    Attributes:
      epoch: passes over the files that are complete.
      pool: number of the pool of files within the pass.
      batch: number of the next batch within the pool.
    """

    epoch: int = 0
    pool: int = 0
    batch: int = 0


def find_files(patterns: str | Sequence[str]) -> list[Path]:
    """Finds the files that match glob patterns.

    Args:
      patterns: one pattern or several; `**` matches any folders.

    Returns:
      Paths, sorted, each once.

    Raises:
      DataError: a pattern without a match.
    """
    return sorted(files_as_given(patterns))


def files_as_given(patterns: str | Sequence[str]) -> list[Path]:
    """Finds the files of one or several glob patterns, in their order, those of one pattern sorted, each file once.

    In the place of a directory of converted events, or of a shard, stand the sections of it.

    Raises:
      DataError: a pattern without a match, or a conversion that is not complete.
    """
    found: dict[str, Path] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = sorted(map(Path, glob.glob(pattern, recursive=True)))
        if not matches:
            raise DataError(f"input_data: no file matches '{pattern}'. Check the path.")
        for match in matches:
            for path in sections_of(match) if is_converted(match) else [match]:
                found.setdefault(os.path.abspath(path), path)
    return list(found.values())


class BatchStream:
    """Iterates over batches; its `position` can be saved and given again.

    Args:
      settings: files, order and size of batches, number of reader processes.
      handler: which tables and columns hold pulses and labels.
      detector: to which the events belong.
      seed: of the order of files and events.
      position: where to begin; None: at the first batch.
      labels: whether labels are read.
      parameters: of the model, which say what the labels are; None: their names say it.

    Raises:
      DataError: no file matches; while iterating, a file cannot be used or none of the files has a usable event.

    Attributes:
      position: of the next batch.
    """

    def __init__(
        self,
        settings: IteratorSettings,
        handler: DataHandlerSettings,
        detector: Detector,
        seed: int,
        position: Position | None = None,
        labels: bool = True,
        parameters: Sequence[Parameter] | None = None,
    ):
        self.position = position or Position()
        self._settings, self._handler, self._detector, self._seed = settings, handler, detector, seed
        self._labels, self._parameters = labels, parameters
        self._files = find_files(settings.input_data)
        self._readers, self._here = Readers(settings.num_jobs), Readers(0)
        self._ahead: dict[tuple[int, int], list[Future[Any]]] = {}
        self._skipped: set[Path] = set()
        self._noted: set[Path] = set()
        self._counted = np.zeros(3, np.int64)  # files, events, events without a pulse
        self._batches = self._generate()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return next(self._batches)

    def close(self) -> None:
        """Stops the reader processes."""
        self._readers.close()

    def _pools(self, epoch: int) -> list[list[Path]]:
        files = list(self._files)
        if self._settings.sample_randomly:
            np.random.default_rng((self._seed, epoch, 0)).shuffle(files)
        size = 1 + self._settings.num_add_files
        return [files[i : i + size] for i in range(0, len(files), size)]

    def _generate(self) -> Iterator[Batch]:
        forever = self._settings.pick_random_files_forever
        while True:
            epoch = self.position.epoch
            if epoch > 0 and not forever:
                return
            pools = self._pools(epoch)
            # A position saved after the last batch of an epoch resumes in one that has nothing left, which is no error.
            from_its_start, seen = self.position == Position(epoch), 0
            for number in range(self.position.pool, len(pools)):
                events = self._read(epoch, number, pools)
                order = self._order(epoch, number, events)
                size = self._settings.batch_size
                # A pool smaller than a batch is filled up with its own events, so that every batch has one shape.
                last = len(order) // size * size if forever and len(order) >= size else len(order)
                for index in range(self.position.batch, -(-last // size)):
                    chosen = order[index * size : (index + 1) * size]
                    if forever and 0 < len(chosen) < size:
                        chosen = np.resize(chosen, size)
                    self.position = Position(epoch, number, index + 1)
                    seen += 1
                    yield make_batch(events, chosen)
                self.position = Position(epoch, number + 1)
            self.position = Position(epoch + 1)
            if seen == 0 and from_its_start:
                raise DataError("input_data: none of the files has a usable event.")
            if epoch == 0:
                self._tell_dark_events()

    def _order(self, epoch: int, number: int, events: list[tuple[EventFile, int]]) -> np.ndarray:
        """Returns the order of a pool's events, num_repetitions times behind each other."""
        repeated = []
        for repetition in range(self._settings.num_repetitions):
            order = np.arange(len(events))
            if self._settings.sample_randomly:
                np.random.default_rng((self._seed, epoch, 1 + number, repetition)).shuffle(order)
            repeated.append(order)
        return np.concatenate(repeated)

    def _read(self, epoch: int, number: int, pools: list[list[Path]]) -> list[tuple[EventFile, int]]:
        """Events of a pool as (file, index); reading of the next pool starts in the background."""
        futures = self._ahead.pop((epoch, number), None) or self._submit(pools[number])
        following = (epoch, number + 1) if number + 1 < len(pools) else (epoch + 1, 0)
        if self._settings.num_jobs > 0 and following not in self._ahead:
            upcoming = pools if following[0] == epoch else self._pools(epoch + 1)
            if following[0] == epoch or self._settings.pick_random_files_forever:
                self._ahead[following] = self._submit(upcoming[following[1]])
        events: list[tuple[EventFile, int]] = []
        for path, future in zip(pools[number], futures, strict=True):
            result = self._readers.result(future)
            if isinstance(result, DataError):
                if self._settings.strict or len(self._files) == 1:
                    raise result
                if path not in self._skipped:
                    self._skipped.add(path)
                    LOGGER.warning("skipped %s (file %d skipped so far)", result, len(self._skipped))
                if len(self._skipped) == len(self._files):
                    raise DataError(f"none of the {len(self._files)} files can be used; the last one: {result}")
                continue
            if result.notes() and path not in self._noted:
                self._noted.add(path)
                LOGGER.warning("%s", result.notes())
            events.extend((result, i) for i in result.good)
            if epoch == 0:
                self._counted += np.array([1, len(result.good), dark_events(result)[result.good].sum()])
        return events

    def _tell_dark_events(self) -> None:
        files, count, dark = self._counted.tolist()
        if dark and files > INSPECTED_FILES:
            LOGGER.warning("input_data: %s", dark_share(dark, count, files))

    def _submit(self, paths: list[Path]) -> list[Future[Any]]:
        rest = (self._handler, self._detector, self._labels, self._settings.strict, self._parameters)
        return [
            # What is mapped into memory is not sent through pipes.
            (self._here if is_section(path) else self._readers).submit(_read_or_error, path, *rest)
            for path in paths
        ]


def _read_or_error(
    path: Path,
    handler: DataHandlerSettings,
    detector: Detector,
    labels: bool,
    strict: bool,
    parameters: Sequence[Parameter] | None,
) -> EventFile | DataError:
    try:
        return read_event_file(path, handler, detector, labels=labels, parameters=parameters, strict=strict)
    except DataError as error:
        return error


def dark_events(file: EventFile) -> np.ndarray:
    """Returns flags [E]: which events of a file have no pulse that takes part."""
    pulses = np.concatenate([[0], np.cumsum(file.packed.pulses["mask"])])
    return np.diff(pulses[file.packed.pulses.offsets]) == 0


def dark_share(dark: int, count: int, files: int) -> str:
    """Returns a warning about `dark` events without a pulse, of `count` events in `files` files."""
    return (
        f"{dark} of {count} events ({dark / count:.1%}) in {files} file{'s' * (files > 1)} have no pulse. They train the "
        "model to expect no light: check pulse_key, the origin of the coordinates and, in IceCube files, NullSplit frames; "
        "filter_settings leave events out."
    )
