"""Steps per second of the training loop, with a small network on 60 modules and with a device that needs 2 ms per step.

    python benchmarks/training_loop.py [--steps S]

The second row of each pair waits for every step, as a loop does that reads its numbers at once. The device of 2 ms is a
thread that sleeps: what the loop takes beyond that is the host's.
"""

import argparse
import queue
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import batch_of, build_network, machine, print_head, print_row, synthetic_event

from evgen_jax.data.batches import Batch, Position
from evgen_jax.interruption import Interruption
from evgen_jax.measurement.detector import load_detector
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.divergence import Divergence
from evgen_jax.training.loop import Loop
from evgen_jax.training.metrics import JsonLines
from evgen_jax.training.step import TrainState, init_state, make_guarded_step, make_train_step
from evgen_jax.training.tensorboard import TensorBoard
from evgen_jax.training.writers import AllWriters

MODULES, BATCH, PULSES, WARM = 60, 4, 100, 100
STEP_SECONDS = 0.002


class Repeated:
    """A stream that gives one batch again and again."""

    def __init__(self, batch: Batch):
        self._batch, self.position = batch, Position()

    def __next__(self) -> Batch:
        self.position = replace(self.position, batch=self.position.batch + 1)
        return self._batch


class Later:
    """A number that the sleeping device gives when it has come to it."""

    def __init__(self, done: threading.Event):
        self._done = done

    def block_until_ready(self) -> None:
        self._done.wait()

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        self._done.wait()
        return np.asarray(1.0, dtype)

    def __float__(self) -> float:
        self._done.wait()
        return 1.0


class SleepingDevice:
    """Takes steps one after the other in a thread; each is a sleep of 2 ms and changes nothing but the step's number."""

    def __init__(self) -> None:
        self._steps: queue.Queue[threading.Event] = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            done = self._steps.get()
            time.sleep(STEP_SECONDS)
            done.set()

    def step(self, carry, events, labels):
        done = threading.Event()
        self._steps.put(done)
        names = ("loss", "loss_per_pe", "penalty", "gradient_norm", "finite", "learning_rate")
        state = carry.state.replace(step=np.int32(carry.state.step + 1))
        return carry.replace(state=state), {name: Later(done) for name in names}


def rate(step, state: TrainState, batch: Batch, log_every: int, steps: int) -> float:
    """Steps per second of a loop, of which the first `WARM` steps and the last checkpoint do not count."""
    times = []
    with tempfile.TemporaryDirectory() as name, Interruption() as interruption:
        directory = Path(name)
        writer = AllWriters((JsonLines(directory, 0), TensorBoard(directory)))
        checkpoints = Checkpoints(directory / "checkpoints")
        divergence = Divergence(step, lambda: state, checkpoints)

        def timed(*arguments):
            times.append(time.perf_counter())
            return step(*arguments)

        loop = Loop(
            timed,
            lambda *_: {},
            Repeated(batch),
            None,
            writer,
            checkpoints,
            10**9,
            None,
            10**9,
            {},
            divergence,
            interruption,
            log_every,
        )
        loop.run(state, steps, progress=False)
        checkpoints.close()
        writer.close()
    return (len(times) - WARM - 1) / (times[-1] - times[WARM])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.steps < WARM + 2:
        parser.error(f"--steps {arguments.steps}: the first {WARM} steps do not count; give {WARM + 2} at least.")
    print(machine())
    whole = load_detector()
    detector = whole.modules(np.arange(MODULES))
    model, optimizer = build_network("tiny", detector), optax.adam(1e-4)
    events, labels = batch_of([synthetic_event(i, PULSES, MODULES) for i in range(BATCH)])
    batch = Batch(jax.tree.map(np.asarray, events), np.asarray(labels))
    schedule = optax.polynomial_schedule(1e-3, 1e-4, 1, arguments.steps)
    step = jax.jit(make_guarded_step(make_train_step(model, optimizer), schedule), donate_argnums=0)
    state = init_state(model.variables, optimizer)
    empty = TrainState({"w": jnp.zeros(())}, (), np.int32(0))
    print_head("device", "log_every", "steps per second")
    for name, taken, start in (("this one", step, state), ("sleeps 2 ms", None, empty)):
        for log_every in (50, 1):
            speed = rate(taken or SleepingDevice().step, start, batch, log_every, arguments.steps)
            print_row(name, log_every, f"{speed:.0f}")


if __name__ == "__main__":
    main()
