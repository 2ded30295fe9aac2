"""The host does not wait for the device between log points, and nothing is lost by that."""

import itertools
import sys
import types
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from test_training import config_for
from test_training_ends import BATCH, Stream, make_loop, run

from evgen_jax import extras
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import Batch
from evgen_jax.data.prefetch import place
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.metrics import read_metrics
from evgen_jax.training.run import train
from evgen_jax.training.step import is_sound
from evgen_jax.training.unread import Dispatched, Unread
from evgen_jax.training.writers import open_writers


class Number:
    """Stands for a number on the device; remembers when the host asks for it."""

    def __init__(self, value: float, asked):
        self.value, self.asked = value, asked

    def __array__(self, dtype=None, copy=None):
        self.asked()
        return np.asarray(self.value, dtype)

    def __float__(self):
        self.asked()
        return self.value


def watched(loop, asked) -> list[int]:
    """Makes `asked(step)` follow every conversion of a number of this step; the list of steps that were dispatched."""
    step, dispatched = loop.step, []

    def spy(carry, events, labels):
        carry, metrics = step(carry, events, labels)
        dispatched.append(len(dispatched) + 1)
        number = dispatched[-1]
        return carry, {k: Number(float(v), lambda: asked(number)) for k, v in metrics.items()}

    loop.step = spy
    return dispatched


def test_numbers_are_asked_for_at_log_points_alone(tmp_path):
    """Every five steps, and then not of the two that the device has before it; all of them at the end."""
    loop = replace(make_loop(tmp_path, Stream(), rate=lambda step: 0.01, log_every=5), ahead=2)
    seen: list[tuple[int, int]] = []  # (steps dispatched, step that was asked for)
    dispatched = watched(loop, lambda number: seen.append((dispatched[-1], number)))
    run(loop, total=12)
    asked = {now: sorted({number for at, number in seen if at == now}) for now, _ in seen}
    assert asked == {5: [1, 2, 3], 10: [4, 5, 6, 7, 8], 12: [9, 10, 11, 12]}
    assert [line["step"] for line in read_metrics(tmp_path)] == list(range(1, 13))


def test_every_step_is_asked_for_with_log_every_1(tmp_path):
    loop = make_loop(tmp_path, Stream(), rate=lambda step: 0.01, log_every=1)
    seen: set[tuple[int, int]] = set()
    dispatched = watched(loop, lambda number: seen.add((dispatched[-1], number)))
    run(loop, total=4)
    assert seen == {(1, 1), (2, 2), (3, 3), (4, 4)}


def test_lines_and_weights_are_those_of_a_loop_that_reads_every_step(tmp_path):
    weights = []
    for every in (1, 3, 50):
        state = run(make_loop(tmp_path / str(every), Stream(), rate=lambda step: 0.01, log_every=every), total=11)
        weights.append(float(state.variables["w"]))
        assert read_metrics(tmp_path / str(every)) == read_metrics(tmp_path / "1")
    assert len(set(weights)) == 1 and int(state.step) == 11
    rates = {line["learning_rate"] for line in read_metrics(tmp_path / "1")}
    assert list(rates) == [pytest.approx(0.01)]
    assert list(read_metrics(tmp_path / "1")[0])[:3] == ["step", "kind", "learning_rate"]


@pytest.mark.parametrize("every", [1, 3, 50])
@pytest.mark.parametrize("place_of_bad", [1, 5, 12])
def test_a_bad_step_is_found_exactly_and_never_trained_on(tmp_path, every, place_of_bad):
    """Good batches follow on the bad one before its numbers are read: they change nothing."""
    bad = replace(BATCH, labels=np.array([[1.0], [np.nan], [1.0], [1.0]]))
    loop = make_loop(tmp_path, Stream(place_of_bad, lambda: bad), rate=lambda step: 0.01, log_every=every)
    with pytest.raises(DataError, match=rf"step {place_of_bad}: the loss is nan.*At fault: run 1, event 1 of") as error:
        run(loop, total=12)
    done = place_of_bad - 1
    assert [line["step"] for line in read_metrics(tmp_path)] == list(range(1, place_of_bad))
    found = Checkpoints(tmp_path / "checkpoints")
    if done == 0:
        assert "No step was finished." in str(error.value) and found.steps() == []
    else:
        state, meta = found.restore(loop.divergence.fresh())
        weight = 0.0
        for _ in range(done):
            weight += 0.01 / (1 - weight)
        assert float(state.variables["w"]) == pytest.approx(weight, rel=1e-5)
        assert int(state.step) == done == meta["positions"]["training"]["batch"]
    found.close()


def test_a_device_that_fails_later_is_told_with_what_is_lost(tmp_path, caplog):
    """Its error comes where the numbers are read: nothing is saved under a wrong number."""
    loop = make_loop(tmp_path, Stream(), rate=lambda step: 0.01, save_every=4)

    def fail(number: int) -> None:
        if number == 6:
            raise RuntimeError("the device is gone")

    watched(loop, fail)
    with pytest.raises(RuntimeError, match="the device is gone"):
        run(loop, total=9)
    assert "What was trained after step 4 is lost" in caplog.text and "continues from step 4" in caplog.text
    assert Checkpoints(tmp_path / "checkpoints").steps() == [4]


def test_the_device_and_the_host_agree_on_what_is_finite(tmp_path):
    loop = make_loop(tmp_path, Stream())
    for loss, norm, finite, allowed in itertools.product(
        (1.0, np.nan, np.inf), (1.0, np.nan), (0.0, 1.0), (False, True)
    ):
        metrics = {"loss": loss, "gradient_norm": norm, "finite": finite}
        assert bool(is_sound(metrics, allowed)) == (not replace(loop.divergence, nan_gradients=allowed).wrong(metrics))
    loop.writer.close()
    loop.checkpoints.close()


def test_steps_that_wait_keep_no_batch_on_the_device():
    unread = Unread(ahead=2)
    batch = place(Batch(jnp.ones(3), np.ones((3, 1))))
    assert batch.placed is not None
    for number in range(1, 5):
        unread.add(Dispatched(number, {"loss": jnp.asarray(float(number))}, batch, {}))
    read = list(unread.read(in_flight=True))
    assert [(step.number, values) for step, values in read] == [(1, {"loss": 1.0}), (2, {"loss": 2.0})]
    assert all(step.batch.placed is None for step, _ in read) and len(unread) == 2
    unread.add(Dispatched(5, {"loss": jnp.asarray(5.0)}, batch, {}))
    assert [step.number for step, _ in unread.read(in_flight=False)] == [3, 4, 5] and len(unread) == 0


class FakeRun:
    """A run of Weights & Biases that records its calls."""

    id = "run7"

    def __init__(self):
        self.calls: list[tuple] = []

    def define_metric(self, name, step_metric=None):
        self.calls.append(("define", name, step_metric))

    def log(self, values):
        self.calls.append(("log", values))

    def finish(self):
        self.calls.append(("finish",))


@pytest.fixture
def services(monkeypatch):
    """Both packages, as fakes that record what they are asked for."""
    run, begun, sent = FakeRun(), [], []
    wandb = types.ModuleType("wandb")
    wandb.init = lambda **settings: begun.append(settings) or run  # type: ignore[attr-defined]
    mlflow = types.ModuleType("mlflow")

    def start_run(run_id, run_name):
        begun.append({"run_id": run_id, "run_name": run_name})
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="m3"))

    mlflow.start_run = start_run  # type: ignore[attr-defined]
    mlflow.log_dict = lambda values, name: sent.append((name, values))  # type: ignore[attr-defined]
    mlflow.entities = types.SimpleNamespace(Metric=lambda *fields: fields)  # type: ignore[attr-defined]
    mlflow.MlflowClient = lambda: types.SimpleNamespace(  # type: ignore[attr-defined]
        log_batch=lambda run_id, metrics: sent.append((run_id, list(metrics)))
    )
    mlflow.end_run = lambda: sent.append(("end",))  # type: ignore[attr-defined]
    for module in (wandb, mlflow):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return types.SimpleNamespace(wandb=wandb, mlflow=mlflow, run=run, begun=begun, sent=sent)


def test_services_get_every_entry_and_a_continued_run_goes_on_there(services, experiment, tmp_path):
    config = load_config(experiment / "config.yaml")
    for attempt in range(2):
        writer = open_writers(("json_lines", "wandb", "mlflow"), tmp_path, config, 0)
        writer.write("training", 1, {"loss": 2.0, "learning_rate": 0.5})
        writer.flush()
        writer.write("validation", 1, {"loss": 3.0})
        writer.close()
        wandb, mlflow = services.begun[-2:]
        assert (wandb["id"], mlflow["run_id"]) == ((None, None) if attempt == 0 else ("run7", "m3"))
        assert wandb["name"] == config.unique_name and wandb["config"]["unique_name"] == config.unique_name
        assert mlflow["run_name"] == (config.unique_name if attempt == 0 else None)
    assert services.run.calls[:5] == [
        ("define", "step", None),
        ("define", "*", "step"),
        ("log", {"step": 1, "training/loss": 2.0, "training/learning_rate": 0.5}),
        ("log", {"step": 1, "validation/loss": 3.0}),
        ("finish",),
    ]
    (name, stored), (run_id, first), (_, second), end = services.sent[:4]
    assert name == "config.json" and stored["unique_name"] == config.unique_name and run_id == "m3" and end == ("end",)
    assert [(m[0], m[1], m[3]) for m in first] == [("training/loss", 2.0, 1), ("training/learning_rate", 0.5, 1)]
    assert [(m[0], m[1], m[3]) for m in second] == [("validation/loss", 3.0, 1)]


def test_a_service_that_fails_does_not_end_a_training(services, experiment, tmp_path, caplog):
    config = load_config(experiment / "config.yaml")

    def fail(*_, **__):
        raise ConnectionError("no route to host\n(and a page of advice)")

    services.run.log = fail
    writer = open_writers(("json_lines", "wandb"), tmp_path, config, 0)
    for step in (1, 2):
        writer.write("training", step, {"loss": 1.0})
    writer.close()
    assert caplog.text.count("wandb takes no more metrics (ConnectionError: no route to host)") == 1
    assert len(read_metrics(tmp_path)) == 2
    services.wandb.init = fail
    with pytest.raises(ConfigError, match=r"metric_writers: wandb: cannot begin a run .*no route to host.*Log in or"):
        open_writers(("json_lines", "wandb"), tmp_path, config, 0)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_writer_that_is_not_installed_or_not_known(name, experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda package: None)
    wanted = ("num_training_iterations: 12,", f"num_training_iterations: 12, metric_writers: [{name}],")
    with pytest.raises(ConfigError, match=rf"metric_writers: {name} needs {name}\. Install .*evgen_jax\[{name}\]"):
        train(config_for(experiment, tmp_path, wanted), progress=False)
    assert not (tmp_path / "training").exists()
    with pytest.raises(ConfigError, match=rf"metric_writers: got '{name}s'; .* Did you mean '{name}'"):
        config_for(experiment, tmp_path, (wanted[0], wanted[1].replace(name, f"{name}s")))


def test_log_every_and_writers_of_a_configuration_count(experiment, tmp_path: Path):
    wanted = (
        "num_training_iterations: 12,",
        "num_training_iterations: 3, log_every: 2, metric_writers: [tensorboard],",
    )
    train(config_for(experiment, tmp_path, wanted), progress=False)
    assert (
        list((tmp_path / "training" / "tensorboard").iterdir())
        and not (tmp_path / "training" / "metrics.jsonl").exists()
    )
    with pytest.raises(ConfigError, match=r"training_settings.log_every: got 0; expected"):
        config_for(experiment, tmp_path, (wanted[0], "num_training_iterations: 3, log_every: 0,"))
    with pytest.raises(ConfigError, match=r"training_settings.num_training_iterations: got 0; expected"):
        config_for(experiment, tmp_path, ("num_training_iterations: 12,", "num_training_iterations: 0,"))
