"""What may end a training, and what is on disk afterwards."""

import errno
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import full_disk

from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import Batch, Position
from evgen_jax.errors import CheckpointError, DataError, EvgenError
from evgen_jax.interruption import Interrupted, Interruption
from evgen_jax.training import run as training_run
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.divergence import Diverged, Divergence
from evgen_jax.training.lock import FILE, locked, set_run_aside
from evgen_jax.training.loop import Loop
from evgen_jax.training.metrics import JsonLines, read_metrics
from evgen_jax.training.step import all_finite, init_state, make_guarded_step
from evgen_jax.training.tensorboard import TensorBoard
from evgen_jax.training.validation import ValidationSet


class Light(dict):
    """Stands for the events of a batch."""

    charge = np.ones((4, 2))


jax.tree_util.register_pytree_node(Light, lambda x: ((x["x"],), None), lambda _, x: Light(x=x[0]))
BATCH = Batch(Light(x=np.ones(4)), np.ones((4, 1)), tuple(f"run 1, event {i} of f.hdf5" for i in range(4)))  # type: ignore[arg-type]


class Stream:
    """Batches, and something that happens instead of, or with, one of them."""

    def __init__(self, place: int = 0, happens=None):
        self.position, self.place, self.happens = Position(), place, happens

    def __next__(self) -> Batch:
        number = self.position.batch + 1
        batch = BATCH
        if number == self.place:
            batch = self.happens() or BATCH
        self.position = replace(self.position, batch=number)
        return batch


def make_loop(
    directory: Path, stream: Stream, rate=lambda step: 0.1, save_every: int = 1000, validation=None, log_every: int = 50
) -> Loop:
    """A model of one weight with the loss -log(1 - w) sum x; it is not finite from w = 1 on."""
    chex.clear_trace_counter()
    optimizer = optax.sgd(rate)

    def loss(weights, events, labels):
        w = weights["w"]
        return -jnp.mean(jnp.log(1 - w) * events["x"] * labels[:, 0])

    def plain(state, events, labels):
        value, gradient = jax.value_and_grad(loss)(state.variables, events, labels)
        updates, optimizer_state = optimizer.update(jax.tree.map(jnp.negative, gradient), state.optimizer_state)
        variables = optax.apply_updates(state.variables, updates)
        metrics = {"loss": value, "gradient_norm": jnp.abs(gradient["w"]), "finite": all_finite(variables)}
        return state.replace(variables=variables, optimizer_state=optimizer_state, step=state.step + 1), metrics

    step = jax.jit(chex.assert_max_traces(make_guarded_step(plain, rate), n=1), donate_argnums=0)

    def terms(weights, events, labels):
        return {"loss": jnp.abs(weights["w"] - 0.25) * events["x"]}

    checkpoints = Checkpoints(directory / "checkpoints")
    return Loop(
        step,
        terms,
        stream,
        validation,
        JsonLines(directory, 0),
        checkpoints,
        2,
        None,
        save_every,
        {},
        Divergence(step, lambda: init_state({"w": jnp.zeros(())}, optimizer), checkpoints),
        Interruption(),
        log_every,
    )


def run(loop: Loop, total: int = 6):
    with loop.interruption:
        try:
            return loop.run(loop.divergence.fresh(), total, progress=False)
        finally:
            loop.checkpoints.close()
            loop.writer.close()


def fail(error: BaseException):
    def happens():
        raise error

    return happens


@pytest.mark.parametrize(
    ("happens", "saved", "error", "message"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 4, Interrupted, "interrupted by SIGTERM. Step 4 is saved in"),
        (lambda: os.kill(os.getpid(), signal.SIGINT), 4, Interrupted, "interrupted by SIGINT. Step 4 is saved in"),
        (fail(DataError("f.hdf5: is gone.")), 3, DataError, "f.hdf5: is gone. Step 3 is saved in"),
        (
            lambda: (os.kill(os.getpid(), signal.SIGTERM), fail(DataError("a reader was ended."))()),
            3,
            Interrupted,
            "interrupted by SIGTERM. Step 3 is saved in",
        ),
        (fail(RuntimeError("out of memory")), 3, RuntimeError, "out of memory"),
        (fail(StopIteration()), 3, None, ""),
    ],
)
def test_whatever_ends_a_training_the_finished_steps_are_saved(tmp_path, happens, saved, error, message, caplog):
    handler = signal.getsignal(signal.SIGTERM)
    loop = make_loop(tmp_path, Stream(4, happens), rate=lambda step: 0.01)
    if error is None:
        assert int(run(loop).step) == saved
        assert "the training data ended after step 3" in caplog.text
    else:
        with pytest.raises(error) as raised:
            run(loop)
        assert str(raised.value).startswith(message)
    assert signal.getsignal(signal.SIGTERM) == handler
    found = Checkpoints(tmp_path / "checkpoints")
    state, meta = found.restore(loop.divergence.fresh())
    assert int(state.step) == saved and meta["positions"]["training"]["batch"] == saved
    # 0.01 / (1 - w) is added in each step.
    weight = 0.0
    for _ in range(saved):
        weight += 0.01 / (1 - weight)
    assert float(state.variables["w"]) == pytest.approx(weight, rel=1e-5)
    found.close()


def test_a_device_that_fails_for_good_leaves_the_last_step(tmp_path, caplog):
    loop = make_loop(tmp_path, Stream(), rate=lambda step: 0.01)
    step, broken = loop.step, []

    def fails_after_three(carry, events, labels):
        if broken or int(carry.state.step) == 3:
            broken.append(True)
            raise RuntimeError("RESOURCE_EXHAUSTED")
        return step(carry, events, labels)

    loop.step = fails_after_three
    loop.divergence = replace(loop.divergence, step=fails_after_three)
    with pytest.raises(RuntimeError, match="RESOURCE_EXHAUSTED"):
        run(loop)
    assert "RuntimeError: Step 3 is saved" in caplog.text
    found = Checkpoints(tmp_path / "checkpoints")
    assert found.steps() == [3]
    found.close()


def test_a_diverging_training_keeps_the_last_good_weights(tmp_path):
    """The third step goes beyond w = 1, where the next loss is nan: its weights are finite and no good."""
    loop = make_loop(tmp_path, Stream(), rate=lambda step: jnp.where(step < 2, 0.1, 100.0), save_every=1)
    with pytest.raises(Diverged, match=r"step 3: its weights are not saved, with them the loss is nan.*from step 2 in"):
        run(loop)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [1, 2]
    loop = make_loop(tmp_path / "b", Stream(), rate=lambda step: jnp.where(step < 2, 0.1, 100.0))
    with pytest.raises(
        Diverged, match=r"step 4: the loss is nan, where untrained .* diverged. Lower the learning rate"
    ):
        run(loop)
    assert Checkpoints(tmp_path / "b" / "checkpoints").steps() == []


def test_bad_data_are_named_and_not_the_learning_rate(tmp_path):
    bad = replace(BATCH, labels=np.array([[1.0], [1.0], [np.nan], [1.0]]))
    with pytest.raises(
        DataError, match=r"step 3: the loss is nan.*At fault: run 1, event 2 of f.hdf5 .the loss"
    ) as error:
        run(make_loop(tmp_path, Stream(3, lambda: bad)))
    assert "learning rate" not in str(error.value) and "Step 2 is saved" in str(error.value)


def test_a_checkpoint_of_a_diverged_run_is_not_continued_from(tmp_path):
    loop = make_loop(tmp_path, Stream())
    metrics = {"loss": float("nan"), "gradient_norm": 1.0, "finite": 1.0}
    for step in (3, 7):
        loop.checkpoints.save(loop.divergence.fresh().replace(step=jnp.asarray(step)), {}, 1.0)
    with pytest.raises(
        Diverged, match="step 8: .* checkpoint 7 holds .*Start from an earlier one with train --step N; there are: 3"
    ):
        loop.divergence.check(8, metrics, BATCH, resumed=True)
    loop.writer.close()
    loop.checkpoints.refuse_not_finite({"w": np.ones(2)}, 7, "train")
    with pytest.raises(
        CheckpointError,
        match=r"7: holds weights that are not finite. Take another one with export --step N; there are: 3",
    ):
        loop.checkpoints.refuse_not_finite({"w": np.array([1, np.inf])}, 7, "export")
    nan_allowed = replace(loop.divergence, nan_gradients=True)
    odd = {"loss": 1.0, "gradient_norm": float("nan"), "finite": 1.0}
    assert not nan_allowed.wrong(odd) and "gradient is not finite" in loop.divergence.wrong(odd)
    assert nan_allowed.wrong({**odd, "finite": 0.0})
    loop.checkpoints.close()


def test_every_event_of_the_validation_counts_once_and_the_best_is_kept(tmp_path):
    """The loss |w - 0.25| is least at step 3; the two events that fill the last batch up do not count."""
    validation = ValidationSet(
        (BATCH, replace(BATCH, events=Light(x=np.array([3.0, 3, 9, 9])))), (np.ones(4), np.array([1.0, 1, 0, 0])), 6
    )
    loop = make_loop(tmp_path, Stream(), rate=lambda step: 0.08, save_every=1, validation=validation)
    run(loop, total=6)
    lines = [m for m in read_metrics(tmp_path) if m["kind"] == "validation"]
    assert [m["step"] for m in lines] == [2, 4, 6]
    mean, weight = (4 * 1 + 2 * 3) / 6, 0.0
    for number in range(1, 7):
        weight += 0.08 / (1 - weight)
        if number % 2 == 0:
            line = lines[number // 2 - 1]
            assert line["loss"] == pytest.approx(abs(weight - 0.25) * mean, rel=1e-5)
            assert line["loss_per_pe"] == pytest.approx(line["loss"] / 2, rel=1e-6)  # 2 PE per event
    assert Checkpoints(tmp_path / "checkpoints").steps() == [3, 4, 5, 6]  # the best, and the last three


def test_one_training_per_directory(tmp_path, capsys):
    directory = tmp_path / "some" / "training"
    with locked(directory):
        with (
            pytest.raises(
                CheckpointError, match=f"another training uses this directory .process {os.getpid()} on host"
            ),
            locked(directory),
        ):
            pass
        (directory / "metrics.jsonl").write_text("{}")
        assert set_run_aside(directory) == tmp_path / "some" / "training.old-1"
        assert sorted(p.name for p in directory.iterdir()) == [FILE]
    assert not directory.exists()  # nothing was left in it
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = {"host": socket.gethostname(), "date": "today", "key": "k"}
    dead = [{**here, "pid": gone.pid, "started": "1"}, {**here, "pid": os.getpid(), "started": "another start"}]
    held = [
        ({**here, "host": "node17", "pid": 5, "started": "1"}, "process 5 on host node17.*remove .*training.lock"),
        ("half a lo", "is no lock that can be read. Remove it"),
    ]
    directory.mkdir(parents=True)
    for lock in dead if sys.platform == "linux" else dead[:1]:
        (directory / FILE).write_text(json.dumps(lock))
        with pytest.raises(ValueError, match="released"), locked(directory):
            raise ValueError("released")
        assert not (directory / FILE).exists()
    for lock, message in held:
        (directory / FILE).write_text(lock if isinstance(lock, str) else json.dumps(lock))
        with pytest.raises(CheckpointError, match=message), locked(directory):
            pass
        assert (directory / FILE).exists()


@pytest.mark.parametrize("what", ["reader", "SIGTERM"])
def test_a_killed_reader_and_a_signal_end_the_command_in_order(experiment, tmp_path, command, what):
    """Real processes and signals: a definite exit code, one line, a checkpoint, no reader left, no lock left."""
    text = (experiment / "config.yaml").read_text()
    for old, new in (
        (f"{experiment}/training", f"{tmp_path}/training"),
        ("iterations: 12", "iterations: 1000000"),
        ("save_frequency: 4", "save_frequency: 1000000"),
        ("validation_frequency: 4", "validation_frequency: 1000000"),
        ("batch_size: 4, num_jobs: 0, num_add_files: 1", "batch_size: 4, num_jobs: 1, num_add_files: 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "config.yaml").write_text(text)
    readers: list[int] = []

    def disturb() -> None:
        limit = time.monotonic() + 200
        while len(read_metrics(tmp_path / "training")) < 3 and time.monotonic() < limit:
            time.sleep(0.05)
        readers.extend(p.pid for p in multiprocessing.active_children() if p.pid)
        for pid in [os.getpid()] if what == "SIGTERM" else readers:
            os.kill(pid, signal.SIGTERM if what == "SIGTERM" else signal.SIGKILL)

    thread = threading.Thread(target=disturb)
    thread.start()
    code, _, err = command("train", tmp_path / "config.yaml")
    thread.join()
    last = err.strip().splitlines()[-1]
    assert code == (143 if what == "SIGTERM" else 2), err
    assert last.startswith("interrupted by SIGTERM." if what == "SIGTERM" else "error: "), last
    assert "Run the same command again to continue." in last
    assert what == "SIGTERM" or "a reader process was ended from outside" in last
    (step,) = [int(p.name) for p in (tmp_path / "training" / "checkpoints").iterdir()]
    assert f"Step {step} is saved" in last and step >= 3
    assert load_config(tmp_path / "config.yaml") and not (tmp_path / "training" / FILE).exists()
    limit = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < limit:
        time.sleep(0.05)
    assert readers and not multiprocessing.active_children()


def test_a_full_disk_is_told_with_the_directory(experiment, command, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")  # as Python's writing says it, without a name

    monkeypatch.setattr(training_run, "_train", full)
    code, _, err = command("train", experiment / "config.yaml")
    assert code == 2 and err.splitlines()[-1].startswith(f"error: {experiment}/training")
    assert "cannot be written (No space left on device). The last complete checkpoint is kept" in err


def test_errors_of_a_training_are_those_of_the_package():
    assert issubclass(Diverged, EvgenError) and Interrupted(signal.SIGTERM).exit_code == 143


def test_metrics_on_a_full_disk_raise(tmp_path):
    """And do not wait for a thread that writes them and has died of it."""
    for writer in (JsonLines(tmp_path, 0), TensorBoard(tmp_path)):
        with full_disk(), pytest.raises(OSError, match="File too large"):
            for step in range(100):
                writer.write("train", step, {f"value_{i}": 1.0 for i in range(50)})
            writer.flush()
        writer.close()
