"""Batches of simulated events for training: seeded order, exact position, reader processes that stay ahead.

The stream is a pure function of (files, seed, position): step k of a run sees the same batch however often the run was
interrupted. Files are visited in pools of 1 + num_add_files; the events of a pool are shuffled, repeated
num_repetitions times and cut into batches. Every pass over the files has an order of its own.
"""

import glob
import logging
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings, IteratorSettings
from evgen_jax.data.event_file import EventFile, read_event_file
from evgen_jax.detector import Detector
from evgen_jax.errors import DataError
from evgen_jax.event import Event
from evgen_jax.main_guard import check_guarded
from evgen_jax.packing import pad_events

LOGGER = logging.getLogger("evgen_jax")


@dataclass(frozen=True)
class Batch:
    """Events with a leading axis B and their labels [B, H] (float32)."""

    events: Event
    labels: np.ndarray


@dataclass(frozen=True)
class Position:
    """Where a stream stands: pass over the files, pool within it, batch within the pool."""

    epoch: int = 0
    pool: int = 0
    batch: int = 0


def find_files(patterns: str | Sequence[str]) -> list[Path]:
    """Files that match the glob patterns, sorted, each once.

    Raises:
      DataError: a pattern without a match.
    """
    found: set[Path] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        matches = glob.glob(pattern, recursive=True)
        if not matches:
            raise DataError(f"input_data: no file matches '{pattern}'. Check the path.")
        found.update(Path(m) for m in matches)
    return sorted(found)


class BatchStream:
    """Iterator over batches whose `position` can be saved and given again."""

    def __init__(
        self,
        settings: IteratorSettings,
        handler: DataHandlerSettings,
        detector: Detector,
        seed: int,
        position: Position | None = None,
        labels: bool = True,
    ):
        self.position = position or Position()
        self._settings, self._handler, self._detector, self._seed = settings, handler, detector, seed
        self._labels = labels
        self._files = find_files(settings.input_data)
        self._workers = settings.num_jobs
        if self._workers > 0:
            check_guarded("reading ahead", "set num_jobs: 0 in data_iterator_settings")
        self._executor: ProcessPoolExecutor | None = None
        self._ahead: dict[tuple[int, int], list[Future]] = {}
        self._skipped: set[Path] = set()
        self._batches = self._generate()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return next(self._batches)

    def close(self) -> None:
        """Stops the reader processes."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

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
            if not forever:
                return
            if seen == 0 and from_its_start:
                raise DataError("input_data: none of the files has a usable event.")

    def _order(self, epoch: int, number: int, events: list[tuple[EventFile, int]]) -> np.ndarray:
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
        if self._workers > 0 and following not in self._ahead:
            upcoming = pools if following[0] == epoch else self._pools(epoch + 1)
            if following[0] == epoch or self._settings.pick_random_files_forever:
                self._ahead[following] = self._submit(upcoming[following[1]])
        events: list[tuple[EventFile, int]] = []
        for path, future in zip(pools[number], futures, strict=True):
            result = future.result()
            if isinstance(result, DataError):
                if self._settings.strict or len(self._files) == 1:
                    raise result
                if path not in self._skipped:
                    self._skipped.add(path)
                    LOGGER.warning("skipped %s (file %d skipped so far)", result, len(self._skipped))
                if len(self._skipped) == len(self._files):
                    raise DataError(f"none of the {len(self._files)} files can be used; the last one: {result}")
                continue
            events.extend((result, i) for i in range(len(result)))
        return events

    def _submit(self, paths: list[Path]) -> list[Future]:
        arguments = [(path, self._handler, self._detector, self._labels) for path in paths]
        if self._workers == 0:
            return [_done(_read_or_error(*a)) for a in arguments]
        if self._executor is None:
            # Spawned, not forked: a forked copy of a process that runs JAX may hang.
            self._executor = ProcessPoolExecutor(
                self._workers, mp_context=get_context("spawn"), initializer=_ignore_interrupts
            )
        return [self._executor.submit(_read_or_error, *a) for a in arguments]


def _ignore_interrupts() -> None:
    # Ctrl-C reaches every process of a terminal; the trainer ends its readers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _done(result: EventFile | DataError) -> Future:
    future: Future = Future()
    future.set_result(result)
    return future


def _read_or_error(path: Path, handler: DataHandlerSettings, detector: Detector, labels: bool):
    try:
        return read_event_file(path, handler, detector, labels=labels)
    except DataError as error:
        return error


def make_batch(events: list[tuple[EventFile, int]], chosen: np.ndarray) -> Batch:
    """Pads the chosen events to common buckets, coarse ones: training compiles once for each of them."""
    padded = pad_events([(events[i][0].packed, events[i][1]) for i in chosen], factor=4, time_dtype=np.float32)
    labels = [events[i][0].labels for i in chosen]
    values = (
        np.zeros((len(chosen), 0))
        if labels[0] is None
        else np.stack([file[events[i][1]] for file, i in zip(labels, chosen, strict=True)])
    )
    return Batch(padded, values.astype(np.float32))
