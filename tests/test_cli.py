"""The commands as a user runs them."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np


def run(*arguments, script=None):
    command = [sys.executable, script] if script else [sys.executable, "-m", "evgen_jax.cli"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_the_three_steps_and_a_fit(experiment, tmp_path):
    text = (experiment / "config.yaml").read_text()
    text = text.replace(f"{experiment}/training", f"{tmp_path}/training").replace(
        f"{experiment}/trafo", f"{tmp_path}/trafo"
    )
    config = tmp_path / "config.yaml"
    config.write_text(text.replace("num_training_iterations: 12", "num_training_iterations: 2"))
    experiments = Path(__file__).parent.parent / "experiments"
    for name, extra in (("create_trafo_model", ()), ("train_model", ()), ("export_manager", ("-o", tmp_path / "out"))):
        done = run(config, *extra, script=experiments / f"{name}.py")
        assert done.returncode == 0, done.stderr
    events = experiment / "events" / "small_000002.hdf5"
    done = run("reconstruct", tmp_path / "out", events, "-o", tmp_path / "fits.hdf5")
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "fits.hdf5") as file:
        table = file["Variables"][:]
    assert len(table) == 20
    assert np.all(table["log_likelihood"] >= table["log_likelihood_seed"])
    again = run("reconstruct", tmp_path / "out", events, "-o", tmp_path / "fits.hdf5")
    assert again.returncode == 2 and "exists already" in again.stderr
    again = run("export", config, "-o", tmp_path / "out")
    assert again.returncode == 2 and "exists already" in again.stderr


def test_mistakes_are_one_line_and_exit_code_2(experiment, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text((experiment / "config.yaml").read_text().replace("save_frequency", "save_frequenci"))
    for arguments, message in (
        (("train", bad), "Did you mean 'save_frequency'"),
        (("train", tmp_path / "none.yaml"), "no such configuration file"),
        (("reconstruct", tmp_path, "x.hdf5", "-o", tmp_path / "y"), "is no model directory"),
        (("trane", bad), "No such command"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
