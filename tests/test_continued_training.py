"""A training that goes on with other settings, from another checkpoint, or with another optimiser."""

import shutil
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from evgen_jax.building.directory import load_model
from evgen_jax.building.experiment import build_model
from evgen_jax.config.validate import load_config
from evgen_jax.errors import CheckpointError
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.metrics import read_metrics
from evgen_jax.training.optimizer import build_optimizer
from evgen_jax.training.restore import resume, trained_model
from evgen_jax.training.step import init_state


@pytest.fixture(scope="module")
def four_steps(experiment, tmp_path_factory):
    """A directory with a configuration whose training has checkpoints of the steps 2 and 4."""
    from evgen_jax.training.run import train

    directory = tmp_path_factory.mktemp("four")
    train(load_config(changed(experiment, directory)), progress=False)
    return directory


def changed(experiment: Path, directory: Path, *changes: tuple[str, str]) -> Path:
    text = (experiment / "config.yaml").read_text()
    usual = (
        (f"{experiment}/training", f"{directory}/training"),
        ("iterations: 12", "iterations: 4"),
        ("save_frequency: 4", "save_frequency: 2"),
    )
    for old, new in (*usual, *changes):
        assert old in text, old
        text = text.replace(old, new)
    path = directory / "config.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def run(four_steps, tmp_path):
    """The training of its own for a test."""
    shutil.copytree(four_steps / "training", tmp_path / "training")
    return tmp_path


CLIPPED = ("clip_gradients_value': ", "clip_gradients_value': 1.0e+9")
SGD = ("'Adam'", "'SGD'")


def steps(directory: Path) -> list[int]:
    return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit())


def test_an_earlier_checkpoint_gives_the_same_curve_and_later_ones_are_kept(experiment, run, command, caplog):
    before = read_metrics(run / "training")
    code, _, err = command("train", changed(experiment, run), "--step", "3")
    assert code == 2 and "--step 3: there is no such checkpoint; there are: 2, 4." in err
    code, out, err = command("train", changed(experiment, run, CLIPPED), "--step", "2")
    assert code == 0 and out.startswith("4 steps done; the model is in"), err
    assert (
        "clip_gradients_value: None before, clip_gradients_value: 1000000000.0 now. Its state is kept." in caplog.text
    )
    assert (
        "continues with other settings than before: training_settings.clip_gradients_value: None -> 1000000000.0"
        in caplog.text
    )
    kept = run / "training" / "checkpoints.old-1"
    assert f"continues from step 2: later checkpoints are kept in {kept}" in caplog.text
    assert steps(kept) == [4] and steps(run / "training" / "checkpoints") == [2, 4]
    # The clipping takes nothing away here: with the optimiser's state of step 2 every number comes again (up to the last
    # digit, from another compiled program).
    assert read_metrics(kept) == before
    for now, was in zip(read_metrics(run / "training"), before, strict=True):
        assert now.pop("kind") == was.pop("kind") and now == pytest.approx(was, rel=1e-5)
    weights = []
    for directory in (run / "training" / "checkpoints", kept):
        checkpoints = Checkpoints(directory)
        weights.append(checkpoints.restore_weights(build_model(load_config(run / "config.yaml")).variables)[0])
        checkpoints.close()
    for a, b in zip(*map(jax.tree.leaves, weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    code, out, _ = command("train", changed(experiment, run, ("iterations: 4", "iterations: 3")))
    assert code == 0 and "4 steps done, more than the 3 of num_training_iterations: nothing to do" in out


def test_the_history_of_norms_goes_on(experiment, run, command, caplog):
    by_history = ("'clip_gradients_value': ,", "clip_gradients_by_history: 2.0,")
    code, _, err = command("train", changed(experiment, run, by_history, ("iterations: 4", "iterations: 6")))
    assert code == 0, err
    assert (
        "clip_gradients_by_history: None before, clip_gradients_by_history: 2.0 now. Its state is kept." in caplog.text
    )
    config = load_config(run / "config.yaml")
    model, (optimizer, _) = build_model(config), build_optimizer(config.training_settings)
    checkpoints = Checkpoints(run / "training" / "checkpoints")
    state, _ = resume(checkpoints, model, optimizer, config)
    checkpoints.close()
    assert int(state.step) == 6 and float(state.optimizer_state[0].weight) == pytest.approx(1 - 0.99**2)  # of two steps
    assert np.isfinite(float(state.optimizer_state[0].total))


def test_a_training_with_muon_goes_on(experiment, run, command):
    muon = ("'Adam'", "'muon'")
    code, _, err = command(
        "train", "--fresh-optimizer", changed(experiment, run, muon, ("iterations: 4", "iterations: 5"))
    )
    assert code == 0, err
    code, out, err = command("train", changed(experiment, run, muon, ("iterations: 4", "iterations: 6")))
    assert code == 0 and out.startswith("6 steps done"), err


def test_another_optimiser_is_told_and_starts_anew_on_demand(experiment, run, command):
    code, _, err = command("train", changed(experiment, run, SGD, ("iterations: 4", "iterations: 6")))
    assert code == 2 and "the optimiser settings changed: optimizer_name: adam before, optimizer_name: sgd now." in err
    assert "evgen-jax train --fresh-optimizer CONFIG" in err and "damaged" not in err
    config = load_config(run / "config.yaml")
    model, (optimizer, _) = build_model(config), build_optimizer(config.training_settings)
    checkpoints = Checkpoints(run / "training" / "checkpoints")
    state, meta = resume(checkpoints, model, optimizer, config, 2, fresh_optimizer=True)
    adam, _ = build_optimizer(load_config(changed(experiment, run)).training_settings)
    stored, _ = checkpoints.restore(init_state(model.variables, adam), 2)
    checkpoints.close()
    for a, b in zip(*map(jax.tree.leaves, (state.variables, stored.variables)), strict=True):
        np.testing.assert_array_equal(a, b)
    counts = [s.count for s in jax.tree.leaves(state.optimizer_state, is_leaf=is_schedule) if is_schedule(s)]
    assert [int(c) for c in counts] == [2] == [int(state.step)]  # the learning rate goes on
    assert "training" in meta["positions"]
    code, out, err = command(
        "train", changed(experiment, run, SGD, ("iterations: 4", "iterations: 6")), "--fresh-optimizer"
    )
    assert code == 0 and "6 steps done" in out, err
    rates = {m["step"]: m["learning_rate"] for m in read_metrics(run / "training") if m["kind"] == "training"}
    assert sorted(rates) == [1, 2, 3, 4, 5, 6] and rates[5] > rates[4]


def is_schedule(node) -> bool:
    return isinstance(node, optax.ScaleByScheduleState)


def test_export_takes_weights_alone_of_any_checkpoint_and_tells_changes(experiment, run, command, caplog, monkeypatch):
    loss = ("loss_function_name: dom_charge_pdf", "loss_function_name: negative_binomial_charge_pdf")
    code, _, err = command("export", changed(experiment, run, SGD, loss), "-o", run / "model", "--step", "2")
    assert code == 0, err
    assert (
        "loss_module_settings[1].config.loss_function_name: dom_charge_pdf -> negative_binomial_charge_pdf"
        in caplog.text
    )
    checkpoints = Checkpoints(run / "training" / "checkpoints")
    stored, _ = checkpoints.restore_weights(build_model(load_config(run / "config.yaml")).variables, 2)
    checkpoints.close()
    for a, b in zip(*map(jax.tree.leaves, (stored, load_model(run / "model").variables)), strict=True):
        np.testing.assert_array_equal(a, b)
    code, _, err = command("export", run / "config.yaml", "-o", run / "other", "--step", "7")
    assert code == 2 and "there are: 2, 4" in err and not (run / "other").exists()
    elsewhere = load_config(changed(experiment, run, (f"manager_dir: {run}/training", "manager_dir: training")))
    (run / "folder").mkdir()
    monkeypatch.chdir(run / "folder")
    with pytest.raises(
        CheckpointError, match=f"Looked in {run}/folder/training: relative paths start where the command runs"
    ):
        trained_model(elsewhere)


def test_weights_that_are_not_finite_are_neither_exported_nor_continued_from(experiment, run, command):
    config = load_config(changed(experiment, run))
    model, (optimizer, _) = build_model(config), build_optimizer(config.training_settings)
    checkpoints = Checkpoints(run / "training" / "checkpoints")
    state, meta = checkpoints.restore(init_state(model.variables, optimizer))
    bad = jax.tree.map(lambda w: w * np.float32(np.nan), state.variables)
    checkpoints.save(state.replace(variables=bad, step=np.int32(5)), meta, 1.0)
    checkpoints.close()
    for program, *options in (("train",), ("export", "-o", run / "model")):
        code, _, err = command(program, run / "config.yaml", *options)
        assert (
            code == 2
            and f"5: holds weights that are not finite. Take another one with {program} --step N; there are: 2, 4"
            in err
        )
    assert not (run / "model").exists()
