"""Reading: HDF5 tables to padded batches, and how long a training step waits for them.

python benchmarks/reader.py [--events E] [--files F] [--steps S]
"""

import argparse
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import optax
from common import HYPOTHESIS, build_network, machine, print_head, print_row

from evgen_jax.config.records import DataHandlerSettings, IteratorSettings
from evgen_jax.data.batches import BatchStream
from evgen_jax.data.labels import CASCADE
from evgen_jax.data.prefetch import Prefetch
from evgen_jax.data.writer import write_events
from evgen_jax.measurement.detector import load_detector
from evgen_jax.training.step import init_state, make_train_step

PULSES, BATCH = 762, 32


def write(directory: Path, detector, files: int, events: int) -> None:
    """Files of random pulses, so many events each."""
    bad = ~np.asarray(detector.usable)
    for number in range(files):
        rng = np.random.default_rng(number)
        counts = rng.poisson(PULSES, events)
        event = np.repeat(np.arange(events), counts)
        # Every event lights its own 200 modules.
        doms = np.argsort(rng.random((events, 5160)), axis=1)[:, :200]
        dom = doms[event, rng.integers(200, size=len(event))]
        pulses = {
            "event": event,
            "string": np.asarray(detector.string)[dom],
            "om": np.asarray(detector.om)[dom],
            "time": 10000 + rng.gamma(2, 500, len(event)),
            "charge": rng.uniform(0.3, 2, len(event)),
        }
        values = np.tile(HYPOTHESIS, (events, 1)).T
        write_events(
            directory / f"events_{number}.hdf5",
            number,
            events,
            pulses,
            {"LabelsMCCascade": dict(zip(CASCADE, values, strict=True))},
            pulse_key="MCPulses",
            dom_tables={"BadDomsList": (np.asarray(detector.string)[bad], np.asarray(detector.om)[bad])},
            notice="random pulses of a benchmark",
        )


def handler() -> DataHandlerSettings:
    return DataHandlerSettings(
        data_settings={"pulse_key": "MCPulses", "event_id_key": "LabelsMCCascade", "dom_exclusions_key": "BadDomsList"},
        label_settings={"label_key": "LabelsMCCascade"},
    )


def reading(directory: Path, detector) -> None:
    """One process, no prefetching: files to batches."""
    settings = IteratorSettings(
        input_data=f"{directory}/*.hdf5", batch_size=BATCH, num_jobs=0, num_add_files=0, pick_random_files_forever=False
    )
    start = time.perf_counter()
    events = sum(len(batch.labels) for batch in BatchStream(settings, handler(), detector, seed=1))
    seconds = time.perf_counter() - start
    size = sum(f.stat().st_size for f in directory.iterdir()) / 1e6
    print_head(
        "reading in one process: events", f"seconds, {PULSES} pulses each", "events/s", "M pulses/s", "MB/s of file"
    )
    speeds = f"{events / seconds:.0f}", f"{events * PULSES / seconds / 1e6:.2f}", f"{size / seconds:.0f}"
    print_row(events, f"{seconds:.2f}", *speeds)
    print()


def waiting(directory: Path, detector, steps: int) -> None:
    """Share of the time that the tiny network's training step waits for data, with one reader process."""
    settings = IteratorSettings(input_data=f"{directory}/*.hdf5", batch_size=BATCH, num_jobs=1, num_add_files=0)
    stream = Prefetch(BatchStream(settings, handler(), detector, seed=1))
    model, optimizer = build_network("tiny"), optax.adam(1e-3)
    step, state = jax.jit(make_train_step(model, optimizer), donate_argnums=0), None
    state = init_state(model.variables, optimizer)
    for _ in range(5):
        batch = next(stream)
        state, metrics = step(state, batch.events, batch.labels)
    float(metrics["loss"])
    start, waited = time.perf_counter(), 0.0
    for _ in range(steps):
        before = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - before
        state, metrics = step(state, batch.events, batch.labels)
        float(metrics["loss"])
    total = time.perf_counter() - start
    stream.close()
    print_head("training, tiny network: steps", "seconds each", "of it waiting for data")
    print_row(steps, f"{total / steps:.2f}", f"{100 * waited / total:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=2000, help="of each file")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30, help="of the training that waits for data")
    arguments = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        detector = load_detector()
        write(Path(name), detector, arguments.files, arguments.events)
        reading(Path(name), detector)
        waiting(Path(name), detector, arguments.steps)


if __name__ == "__main__":
    main()
