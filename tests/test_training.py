"""Training: devices, interruption, checkpoints, schedules."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from evgen_jax.building.directory import load_model
from evgen_jax.building.experiment import build_model, open_stream
from evgen_jax.config.records import ClassSettings
from evgen_jax.config.validate import load_config
from evgen_jax.errors import CheckpointError, ConfigError, DataError
from evgen_jax.light.source import with_dropout_keys
from evgen_jax.sources.linen_source import empty_event
from evgen_jax.training import history
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.export import export_model
from evgen_jax.training.metrics import read_metrics
from evgen_jax.training.optimizer import build_optimizer
from evgen_jax.training.restore import manager_directory, trained_model
from evgen_jax.training.run import train
from evgen_jax.training.schedules import build_schedule
from evgen_jax.training.step import init_state, make_train_step
from evgen_jax.version import __version__


def config_for(experiment: Path, directory: Path, *changes: tuple[str, str]):
    text = (experiment / "config.yaml").read_text()
    for old, new in ((f"{experiment}/training", f"{directory}/training"), *changes):
        assert old in text
        text = text.replace(old, new)
    path = directory / "config.yaml"
    path.write_text(text)
    return load_config(path)


def curve(directory: Path) -> list[dict]:
    return [m for m in read_metrics(directory / "training") if m["kind"] == "training"]


def latest(checkpoints: Path) -> int:
    return max([int(p.name) for p in checkpoints.glob("*") if p.name.isdigit()], default=0)


def interrupt(config_path: Path, checkpoints: Path, how: signal.Signals) -> subprocess.Popen:
    """Starts a training and interrupts it once it has written a checkpoint; its readers end with it."""
    before = latest(checkpoints)
    # A shell's background jobs ignore Ctrl-C and hand that on; a user's terminal does not.
    python = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv = sys.argv[:1] + "
    python += f"['train', {str(config_path)!r}]; from evgen_jax.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", python], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    limit = time.monotonic() + 300
    while latest(checkpoints) == before and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)
    readers = children(process.pid)
    process.send_signal(how)
    process.communicate(timeout=300)
    limit = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in readers) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not [pid for pid in readers if Path(f"/proc/{pid}").exists()]
    return process


def children(parent: int) -> list[int]:
    """Processes started by another one, where the system tells."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            found += [int(path.parent.name)] * (path.read_text().rsplit(")", 1)[1].split()[1] == str(parent))
    return found


@pytest.mark.parametrize("ctrl_c", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_interrupted_training_gives_the_same_curve_and_weights(experiment, tmp_path, ctrl_c):
    """kill -9, in the nightly run then Ctrl-C (test_training_ends.py), then to the end: bit for bit the uninterrupted run."""
    changes = (
        ("num_training_iterations: 12", "num_training_iterations: 400"),
        ("save_frequency: 4", "save_frequency: 50"),
        ("validation_frequency: 4", "validation_frequency: 50"),
        ("batch_size: 4, num_jobs: 0, num_add_files: 1", "batch_size: 4, num_jobs: 1, num_add_files: 1"),
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = train(config_for(experiment, tmp_path / "a", *changes), progress=False)
    config = config_for(experiment, tmp_path / "b", *changes)
    checkpoints = tmp_path / "b" / "training" / "checkpoints"
    killed = interrupt(tmp_path / "b" / "config.yaml", checkpoints, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    if ctrl_c:
        stopped = interrupt(tmp_path / "b" / "config.yaml", checkpoints, signal.SIGINT)
        assert stopped.returncode == 130
    assert 50 <= len(curve(tmp_path / "b")) < 400
    resumed = train(config, progress=False)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(curve(tmp_path / "a")) == 400
    assert curve(tmp_path / "a") == curve(tmp_path / "b")


def test_a_run_that_is_not_continued_is_kept(experiment, tmp_path):
    short = ("num_training_iterations: 12", "num_training_iterations: 4")
    config = config_for(experiment, tmp_path, short)
    train(config, progress=False)
    assert int(train(config, progress=False).step) == 4  # nothing left to do
    with pytest.raises(CheckpointError, match=r"in the model, not on disk[\s\S]*layer_01_kernel"):
        train(config_for(experiment, tmp_path, short, ("[8, 8, 10]", "[8, 9, 10]")), progress=False)
    afresh = config_for(
        experiment,
        tmp_path,
        ("restore_model: True", "restore_model: False"),
        ("num_training_iterations: 12", "num_training_iterations: 2"),
    )
    assert int(train(afresh, progress=False).step) == 2
    assert len(curve(tmp_path)) == 2
    assert len(read_metrics(tmp_path / "training.old-1")) >= 4


def test_full_disk_leaves_the_previous_checkpoint(experiment, tmp_path):
    """A limit on the size of files stands for a full disk."""
    train(
        config_for(experiment, tmp_path, ("num_training_iterations: 12", "num_training_iterations: 4")), progress=False
    )
    longer = config_for(experiment, tmp_path)
    python = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (20000, r.RLIM_INFINITY)); import sys; sys.argv = "
    python += f"['evgen-jax', 'train', {str(tmp_path / 'config.yaml')!r}]; from evgen_jax.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", python],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
    )
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "could not be written (File too large). Earlier ones are untouched" in line
    assert int(trained_state(longer).step) == 4
    assert int(train(longer, progress=False).step) == 12


def trained_state(config):
    model = build_model(config)
    checkpoints = Checkpoints(manager_directory(config) / "checkpoints")
    state, _ = checkpoints.restore(init_state(model.variables, build_optimizer(config.training_settings)[0]))
    checkpoints.close()
    return state


def test_latest_and_best_checkpoints_are_kept(experiment, tmp_path):
    model = build_model(load_config(experiment / "config.yaml"))
    state = init_state(model.variables, optax.sgd(1.0))
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for number, loss in enumerate([5.0, 1.0, 4.0, 3.0, 2.0], start=1):
        checkpoints.save(state.replace(step=np.int32(number)), {"positions": {}}, loss)
    checkpoints.close()
    kept = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit())
    assert kept == [2, 4, 5]  # the best and the latest two
    again = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert again.latest_step() == 5 and int(again.restore(state, 2)[0].step) == 2
    again.close()


def test_one_bad_file_among_many(experiment, tmp_path, caplog):
    shutil.copytree(experiment / "events", tmp_path / "events")
    bad = tmp_path / "events" / "small_000001.hdf5"
    bad.write_bytes(bad.read_bytes()[:3000])
    here = (
        f"'{experiment}/events/{{unique_name}}_00000[01].hdf5'",
        f"'{tmp_path}/events/{{unique_name}}_00000[01].hdf5'",
    )
    short = ("num_training_iterations: 12", "num_training_iterations: 2")
    train(config_for(experiment, tmp_path, here, short), progress=False)
    warnings = [r.getMessage() for r in caplog.records if r.name == "evgen_jax"]
    warnings = [line for line in warnings if "without effect here" not in line]  # keys of the file
    assert len(warnings) == 1 and str(bad) in warnings[0] and "skipped" in warnings[0]
    strict = config_for(
        experiment,
        tmp_path,
        here,
        ("num_training_iterations: 12", "num_training_iterations: 4"),
        ("num_repetitions: 2", "num_repetitions: 2, strict: True"),
    )
    with pytest.raises(DataError, match="small_000001.hdf5: cannot be read as HDF5"):
        train(strict, progress=False)


def test_exported_model_and_its_part_equal_the_trained_ones(experiment, tmp_path):
    config = config_for(experiment, tmp_path, ("num_training_iterations: 12", "num_training_iterations: 3"))
    with pytest.raises(CheckpointError, match="holds no trained model"):
        trained_model(config)
    train(config, progress=False)
    model = trained_model(config)
    directory = export_model(config, tmp_path / "exported")
    loaded = load_model(directory)
    assert loaded.parameter_names == model.parameter_names
    for a, b in zip(jax.tree.leaves(model.variables), jax.tree.leaves(loaded.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    part = load_model(directory / "cascade")
    assert part.parameter_names == ("x", "y", "z", "zenith", "azimuth", "energy", "time")
    h = np.array([0, 0, 0, 1.0, 1.0, 1000.0, 1e4], np.float32)
    event = empty_event(108, (0.0, 2e4))
    alone = part.source.light_yield(part.variables, h, event, part.detector)
    base = dict(model.source.bases)["cascade"]
    within = base.light_yield(model.variables["cascade"], h, event, model.detector)
    np.testing.assert_array_equal(alone.charge, within.charge)

    block = "model_class: 'egenerator.model.source.cascade.default.DefaultCascadeModel',"
    (tmp_path / "reuse").mkdir()
    reuse = config_for(experiment, tmp_path / "reuse", (block, f"load_dir: {directory}/cascade, {block}"))
    from evgen_jax.building.experiment import build_model

    reused = build_model(reuse)
    for a, b in zip(
        jax.tree.leaves(model.variables["cascade"]), jax.tree.leaves(reused.variables["cascade"]), strict=True
    ):
        np.testing.assert_array_equal(a, b)

    from evgen_jax.errors import ModelDirectoryError

    with pytest.raises(ModelDirectoryError, match="exists already"):
        export_model(config, tmp_path / "exported")
    shutil.copytree(directory, tmp_path / "damaged")
    weights = tmp_path / "damaged" / "cascade" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelDirectoryError, match="weights.npz: was changed or damaged"):
        load_model(tmp_path / "damaged")


@pytest.mark.parametrize("count", [4, pytest.param(8, marks=pytest.mark.nightly)])
def test_pmap_equals_one_device_on_the_joined_batch(experiment, count):
    code = f"""
import jax, numpy as np, optax
from evgen_jax.config.validate import load_config
from evgen_jax.building.experiment import build_model, open_stream
from evgen_jax.training.parallel import AXIS, data_parallel
from evgen_jax.training.step import init_state, make_train_step
assert jax.local_device_count() == {count}
config = load_config({str(experiment / "config.yaml")!r})
iterators = config.data_iterator_settings
iterators = iterators.model_copy(update={{"training": iterators.training.model_copy(update={{"batch_size": 8}})}})
config = config.model_copy(update={{"data_iterator_settings": iterators}})
model = build_model(config)
batch = next(open_stream(config, "training", jax.tree.map(np.asarray, model.detector)))
optimizer = optax.sgd(1.0)  # the change of the weights is the gradient
single = jax.jit(make_train_step(model, optimizer))
several = data_parallel(make_train_step(model, optimizer, axis_name=AXIS), {count})
a = b = init_state(model.variables, optimizer)
a, ma = jax.block_until_ready(single(a, batch.events, batch.labels))
b, mb = jax.block_until_ready(several(b, batch.events, batch.labels))
np.testing.assert_allclose(ma["loss"], mb["loss"], rtol=1e-6)
for x, y, start in zip(*map(jax.tree.leaves, (a.variables, b.variables, model.variables))):
    np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(x - start).max()))
"""
    devices = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **devices}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_dropout_acts_in_training_alone(experiment, tmp_path):
    config = config_for(
        experiment,
        tmp_path,
        ("use_dropout_list: False", "use_dropout_list: [False, True, False]"),
        ("keep_prob: ,", "keep_prob: 0.5,"),
    )
    model = build_model(config)
    plain = build_model(load_config(experiment / "config.yaml"))
    h = np.array([0, 0, 0, 1.0, 1.0, 1000.0, 1e4], np.float32)
    event = empty_event(108, (0.0, 2e4))

    def charge(model, variables):
        return np.asarray(model.source.light_yield(variables, h, event, model.detector).charge)

    np.testing.assert_array_equal(charge(model, model.variables), charge(plain, plain.variables))
    variables = jax.tree.map(lambda x: x + 0.1, model.variables)  # so that every layer matters
    keys = [with_dropout_keys(variables, jax.random.key(i)) for i in (0, 0, 1)]
    one, same, other = (charge(model, v) for v in keys)
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other) and np.any(one != charge(model, variables))
    np.testing.assert_array_equal(charge(plain, keys[0]), charge(plain, variables))

    batch = next(open_stream(config, "training", jax.tree.map(np.asarray, model.detector)))
    step = jax.jit(make_train_step(model, optax.sgd(0.0), seed=3))
    state = init_state(variables, optax.sgd(0.0))
    losses = []
    for _ in range(3):  # the weights stay, the random numbers follow the number of the step
        state, metrics = step(state, batch.events, batch.labels)
        losses.append(float(metrics["loss"]))
    assert len(set(losses)) == 3
    _, again = step(state.replace(step=state.step - 1), batch.events, batch.labels)
    assert float(again["loss"]) == losses[2]


def test_a_changed_transformation_or_detector_is_refused(experiment, tmp_path):
    shutil.copytree(experiment / "trafo", tmp_path / "trafo")
    shutil.copy(experiment / "detector.csv", tmp_path / "detector.csv")
    here = (
        (f"{experiment}/trafo", f"{tmp_path}/trafo"),
        (f"{experiment}/detector.csv", f"{tmp_path}/detector.csv"),
        ("num_training_iterations: 12", "num_training_iterations: 2"),
    )
    config = config_for(experiment, tmp_path, *here)
    train(config, progress=False)
    changes = {
        "trafo/trafo.json": ('"norm_constant": 1e-06', '"norm_constant": 2e-06'),
        "detector.csv": ("\n1,1,-110.0", "\n1,1,-111.0"),
    }
    for name, (old, new) in changes.items():
        path = tmp_path / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        # The files know their detector, so a training does not even come to its checkpoint.
        first = (DataError, "whose modules or positions are not those") if name == "detector.csv" else None
        trained = (CheckpointError, "was trained with other values than .* holds now")
        for function, (kind, text_) in (
            (lambda: train(config, progress=False), first or trained),
            (lambda: trained_model(config), trained),
        ):
            with pytest.raises(kind, match=text_):
                function()
        path.write_text(text)
    assert trained_model(config).parameter_names[0] == "cascade_x"
    other = config.model_copy(
        update={"detector_settings": config.detector_settings.model_copy(update={"medium": "mediterranean_water"})}
    )
    with pytest.raises(
        CheckpointError, match="in the medium 'mediterranean_water' holds now .*medium: south_pole -> mediter"
    ):
        trained_model(other)


def test_penalties_have_their_strengths(experiment):
    model = build_model(load_config(experiment / "config.yaml"))
    event = jax.tree.map(lambda x: np.asarray(x)[None], empty_event(108, (0.0, 2e4)))
    labels = np.array([[0, 0, 0, 1.0, 1.0, 1000.0, 1e4]], np.float32)
    weights = [np.asarray(w, np.float64) for w in jax.tree.leaves(model.variables)]
    absolute, square = (sum(float(f(w).sum()) for w in weights) for f in (np.abs, np.square))
    for l1, l2 in ((0.0, 0.0), (0.25, 0.0), (0.0, 3.0)):
        optimizer = optax.sgd(1.0)
        step = jax.jit(make_train_step(model, optimizer, l1=l1, l2=l2))
        state, metrics = step(init_state(model.variables, optimizer), event, labels)
        assert float(metrics["penalty"]) == pytest.approx(l1 * absolute + l2 * square, rel=1e-4)
        moved = [
            np.asarray(a - b) for a, b in zip(*map(jax.tree.leaves, (model.variables, state.variables)), strict=True)
        ]
        if l1 == l2 == 0.0:
            plain = moved
        for a, b, w in zip(moved, plain, weights, strict=True):
            np.testing.assert_allclose(a - b, l1 * np.sign(w) + 2 * l2 * w, rtol=1e-3, atol=1e-3)


def test_loss_per_photoelectron(experiment, tmp_path):
    """`normalize_by_total_charge` and an evaluation of every term."""
    config = config_for(
        experiment,
        tmp_path,
        (
            "num_training_iterations: 12,",
            "num_training_iterations: 4, evaluation_frequency: 2,"
            " additional_loss_module_kwargs: {normalize_by_total_charge: True},",
        ),
        ("{'evaluation_module': , config: {}}", "{'evaluation_module': LossTerms, config: {}}"),
    )
    train(config, progress=False)
    metrics = read_metrics(manager_directory(config))
    assert all(m["loss"] == m["loss_per_pe"] for m in metrics if m["kind"] == "training")
    evaluated = [m for m in metrics if m["kind"] == "evaluation"]
    assert [m["step"] for m in evaluated] == [2, 4]
    for m in evaluated:
        assert m["loss"] == pytest.approx(m["unbinned_pulse_time_llh"] + m["dom_charge_pdf"], rel=1e-5)


def polynomial(start, stop, steps, power=1):
    return {
        "full_class_string": "x.PolynomialDecay",
        "settings": {"initial_learning_rate": start, "end_learning_rate": stop, "decay_steps": steps, "power": power},
    }


def schedule(boundaries, pieces):
    return build_schedule(
        ClassSettings(
            full_class_string="MultiLearningRateScheduler",
            settings={"boundaries": boundaries, "scheduler_settings": pieces},
        )
    )


def test_three_phases_of_the_learning_rate():
    pieces = [polynomial(1e-5, 1e-3, 1000), polynomial(1e-3, 1e-3, 999000), polynomial(1e-3, 1e-6, 500000, 2)]
    rate = schedule([1000, 1000000], pieces)
    for step, expected in ((0, 1e-5), (1000, 1e-3), (500000, 1e-3), (1250000, 2.5075e-4), (1500000, 1e-6)):
        assert float(rate(step)) == pytest.approx(expected, rel=1e-3)
    with pytest.raises(ConfigError, match="1 boundaries need 2 scheduler_settings, got 3"):
        schedule([1000], pieces)


def test_metrics_are_json_lines(experiment, tmp_path):
    config = config_for(experiment, tmp_path, ("num_training_iterations: 12", "num_training_iterations: 1"))
    train(config, progress=False)
    lines = (manager_directory(config) / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["step"] == 1


def test_history_of_a_checkout_that_is_not_installed(experiment, tmp_path, monkeypatch):
    def version(package: str) -> str:
        if package == "evgen_jax":
            raise PackageNotFoundError(package)
        return "1.2"

    monkeypatch.setattr(history, "version", version)
    config = load_config(experiment / "config.yaml")
    for first in (0, 7):
        history.record_start(tmp_path, config, first)
    one, two = history.read_history(tmp_path)
    assert (one["first_step"], two["first_step"]) == (0, 7) and one["versions"]["jax"] == "1.2"
    assert one["versions"]["evgen_jax"] == __version__
    assert load_config(tmp_path / two["config"]).unique_name == config.unique_name
