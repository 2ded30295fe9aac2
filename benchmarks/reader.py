"""Reading: HDF5 tables and converted events to padded batches, and how long a training step waits for them.

python benchmarks/reader.py [--events E] [--files F] [--steps S] [--grain]
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from common import HYPOTHESIS, build_network, machine, print_head, print_row

from evgen_jax.config.records import DataHandlerSettings, IteratorSettings
from evgen_jax.data.batch import make_batch
from evgen_jax.data.batches import BatchStream, find_files
from evgen_jax.data.conversion import Conversion
from evgen_jax.data.convert import convert
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.labels import CASCADE
from evgen_jax.data.prefetch import Prefetch
from evgen_jax.data.writer import write_events
from evgen_jax.measurement.detector import load_detector
from evgen_jax.training.step import init_state, make_train_step

BATCH = 32
BRIGHTNESS = {50: 30, 100: 50, 150: 60, 762: 200}
"""Pulses per event -> modules that see them."""
GPU_STEP = 3e-3
"""Seconds of a step that the processor spends waiting, as it does for a GPU."""


def write(directory: Path, detector, files: int, events: int, pulses: int) -> None:
    """Files of random pulses, so many events each."""
    bad = ~np.asarray(detector.usable)
    directory.mkdir()
    for number in range(files):
        rng = np.random.default_rng(number)
        counts = rng.poisson(pulses, events)
        event = np.repeat(np.arange(events), counts)
        # Every event lights its own modules.
        modules = BRIGHTNESS[pulses]
        doms = np.argsort(rng.random((events, 5160)), axis=1)[:, :modules]
        dom = doms[event, rng.integers(modules, size=len(event))]
        values = np.tile(HYPOTHESIS, (events, 1)).T
        write_events(
            directory / f"events_{number}.hdf5",
            number,
            events,
            {
                "event": event,
                "string": np.asarray(detector.string)[dom],
                "om": np.asarray(detector.om)[dom],
                "time": 10000 + rng.gamma(2, 500, len(event)),
                "charge": rng.uniform(0.3, 2, len(event)),
            },
            {"LabelsMCCascade": dict(zip(CASCADE, values, strict=True))},
            pulse_key="MCPulses",
            dom_tables={"BadDomsList": (np.asarray(detector.string)[bad], np.asarray(detector.om)[bad])},
            detector=detector,
            notice="random pulses of a benchmark",
        )


def handler() -> DataHandlerSettings:
    return DataHandlerSettings(
        data_settings={"pulse_key": "MCPulses", "event_id_key": "LabelsMCCascade", "dom_exclusions_key": "BadDomsList"},
        label_settings={"label_key": "LabelsMCCascade"},
    )


def stream_of(path: Path, detector, jobs: int = 0, forever: bool = False) -> BatchStream:
    """Batches of the files of a directory, or of converted events."""
    source = str(path / "*.hdf5") if any(path.glob("*.hdf5")) else str(path)
    settings = IteratorSettings(
        input_data=source, batch_size=BATCH, num_jobs=jobs, num_add_files=0, pick_random_files_forever=forever
    )
    return BatchStream(settings, handler(), detector, seed=1)


def rates(batches: Iterator[Any], count: int | None = None) -> tuple[int, float, float]:
    """Events, events per second, and events per second of one core's computing time."""
    start, computing = time.perf_counter(), time.process_time()
    events = 0
    for batch in batches:
        events += len(batch.labels)
        if count is not None and events >= count:
            break
    return events, events / (time.perf_counter() - start), events / (time.process_time() - computing)


def size_of(path: Path) -> float:
    """Size of a directory, MB."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def reading(directory: Path, detector, files: int, events: int) -> None:
    """One process, no prefetching: HDF5 and converted events to batches, with few and with many pulses."""
    print_head("pulses of an event", "read from", "events", "events/s", "events/s of one core", "kB of an event")
    for pulses in BRIGHTNESS:
        plain, converted = directory / f"plain_{pulses}", directory / f"converted_{pulses}"
        write(plain, detector, files, events, pulses)
        total = files * events
        count, speed, own = rates(stream_of(plain, detector))
        print_row(pulses, "HDF5", count, f"{speed:.0f}", f"{own:.0f}", f"{1e3 * size_of(plain) / total:.1f}")
        start, computing = time.perf_counter(), time.process_time()
        convert(Conversion(str(plain / "*.hdf5"), handler(), detector), converted)
        speeds = total / (time.perf_counter() - start), total / (time.process_time() - computing)
        print_row(pulses, "HDF5, converting", total, *(f"{speed:.0f}" for speed in speeds), "")
        for what in ("converted, first pass with checksums", "converted, second pass"):
            count, speed, own = rates(stream_of(converted, detector))
            print_row(pulses, what, count, f"{speed:.0f}", f"{own:.0f}", f"{1e3 * size_of(converted) / total:.1f}")
    print()


def waiting(directory: Path, detector, steps: int) -> None:
    """Share of the time that a training step waits for data: the tiny network here, and a step that is a GPU's."""
    print_head("step", "read from", "steps", "ms each", "of it waiting for data")
    for pulses in (100, 762):
        plain, converted = directory / f"plain_{pulses}", directory / f"converted_{pulses}"
        for name, path, jobs in (("HDF5, one reader", plain, 1), ("converted", converted, 0)):
            waited, total = _waited(
                stream_of(path, detector, jobs, forever=True), lambda batch: time.sleep(GPU_STEP), 300
            )
            print_row(
                f"sleeps {1e3 * GPU_STEP:.0f} ms, {pulses} pulses",
                name,
                300,
                f"{1e3 * total / 300:.1f}",
                f"{waited:.0%}",
            )
    model, optimizer = build_network("tiny"), optax.adam(1e-3)
    step = jax.jit(make_train_step(model, optimizer))
    state = init_state(model.variables, optimizer)

    def train(batch) -> None:
        nonlocal state
        state, metrics = step(state, batch.events, batch.labels)
        float(metrics["loss"])

    waited, total = _waited(stream_of(plain, detector, 1, forever=True), train, steps)
    print_row("tiny network, 762 pulses", "HDF5, one reader", steps, f"{1e3 * total / steps:.0f}", f"{waited:.0%}")
    print()


def _waited(batches: BatchStream, step, steps: int) -> tuple[float, float]:
    """Share of the time that steps wait for batches that a thread reads ahead, and seconds of all steps."""
    stream = Prefetch(batches)
    for _ in range(5):
        step(next(stream))
    start, waited = time.perf_counter(), 0.0
    for _ in range(steps):
        before = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - before
        step(batch)
    total = time.perf_counter() - start
    stream.close()
    return waited / total, total


class Numbers:
    """A source for grain: numbers of events."""

    def __init__(self, count: int):
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> int:
        return i


class Batches:
    """A source for grain and its workers: whole batches of converted events, in an order of ours."""

    def __init__(self, path: Path):
        self._path, self._events = path, None

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, k: int):
        if self._events is None:
            detector = load_detector()
            files = [read_event_file(own, handler(), detector) for own in find_files(str(self._path))]
            self._events = [(file, i) for file in files for i in file.good]
            self._order = np.random.default_rng(1).permutation(len(self._events))
        begin = k * BATCH % (len(self._events) - BATCH)
        return self.batch(self._order[begin : begin + BATCH])

    def batch(self, chosen):
        own = make_batch(self._events, np.asarray(chosen))
        return own.events, own.labels


def by_grain(path: Path, count: int) -> None:
    """The same batches in the hands of grain (pip install grain), without and with its worker processes."""
    import grain
    from absl import flags

    flags.FLAGS([""])
    here = Batches(path)
    here[0]
    alone = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    shuffled = grain.MapDataset.source(Numbers(len(here._events))).shuffle(seed=1).repeat()
    single = shuffled.batch(BATCH, drop_remainder=True, batch_fn=here.batch).to_iter_dataset(alone)
    whole = grain.MapDataset.source(Batches(path)).to_iter_dataset(alone)
    print_head("100 pulses, converted; order and batches by", "events/s", "events/s of one core, the consumer's")
    for name, dataset in (
        ("make_batch alone", None),
        ("grain, event by event", single),
        ("grain, whole batches", whole),
        ("grain, whole batches, 1 worker process", whole.mp_prefetch(grain.MultiprocessingOptions(num_workers=1))),
        ("grain, whole batches, 2 worker processes", whole.mp_prefetch(grain.MultiprocessingOptions(num_workers=2))),
    ):
        batches = (here[k] for k in range(10**6)) if dataset is None else iter(dataset)
        for _ in range(50):
            next(batches)
        start, computing = time.perf_counter(), time.process_time()
        for _ in range(count // BATCH):
            next(batches)
        speeds = count / (time.perf_counter() - start), count / (time.process_time() - computing)
        print_row(name, *(f"{speed:.0f}" for speed in speeds))
    print()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=2000, help="of each file")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30, help="of the training that waits for data")
    parser.add_argument("--grain", action="store_true", help="also with grain, which must be installed")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        detector = load_detector()
        reading(Path(name), detector, arguments.files, arguments.events)
        waiting(Path(name), detector, arguments.steps)
        if arguments.grain:
            by_grain(Path(name) / "converted_100", 32000)


if __name__ == "__main__":
    main()
