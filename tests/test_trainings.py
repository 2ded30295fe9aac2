"""Trainings beside each other: evgen-jax compare and plot-training."""

import json
import shutil

import h5py
import pytest
import yaml

from evgen_jax.config.validate import load_config
from evgen_jax.errors import DataError
from evgen_jax.report.trainings import compare_trainings, read_training, results

ROWS = [
    {"step": 1, "kind": "training", "loss": 900.0, "loss_per_pe": 9.0, "gradient_norm": 3.0, "learning_rate": 1e-3},
    {"step": 2, "kind": "training", "loss": 800.0, "loss_per_pe": 8.0, "gradient_norm": 2.0, "learning_rate": 1e-3},
    {"step": 2, "kind": "validation", "loss": 850.0, "loss_per_pe": 8.5},
    {"step": 4, "kind": "validation", "loss": 700.0, "loss_per_pe": 7.0},
    {"step": 6, "kind": "validation", "loss": 710.0, "loss_per_pe": 7.1},
]


def write(directory, settings, rows=ROWS):
    directory.mkdir()
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 7, "ki')
    times = [
        {"step": 0, "time": 100.0},
        {"step": 4, "time": 102.0},
        {"step": 4, "time": 900.0},
        {"step": 6, "time": 901.0},
    ]
    (directory / "times.jsonl").write_text("".join(json.dumps(row) + "\n" for row in times))
    history = [
        {"run": 1, "first_step": 0, "config": "config_0001.yaml", "date": "", "versions": {"jax": settings.pop("jax")}}
    ]
    (directory / "training_steps.json").write_text(json.dumps(history))
    return directory


@pytest.fixture
def two(experiment, tmp_path):
    runs = []
    for name, jax, steps in (("one", "0.10.1", 12), ("two", "0.12.0", 24)):
        runs.append(write(tmp_path / name, {"jax": jax}))
        config = load_config(experiment / "config.yaml", [f"training_settings.num_training_iterations={steps}"])
        (runs[-1] / "config_0001.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return runs


def test_results_are_those_of_the_record(two):
    found = results(read_training(two[0]))
    assert found == {
        "steps": "6",
        "training loss per photoelectron, median of the last tenth": "8.00000",
        "validation loss per event, first": "850.00",
        "validation loss per event, last": "710.00",
        "validation loss per event, lowest": "700.00 (step 4)",
        "validation loss per photoelectron, lowest": "7.00000",
        "time of the steps": "0.1 min",
        "steps per second": "2.0",  # 6 steps in 3 s, the pause between two runs left out
    }


def test_what_differs_is_listed_and_nothing_else(two, command):
    text = compare_trainings([read_training(run) for run in two])
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    settings = rows[[row.startswith("| setting") for row in rows].index(True) + 1 :]
    assert settings == [
        "| training_settings.num_training_iterations | 12 | 24 |",
        "| version of jax | 0.10.1 | 0.12.0 |",
    ]
    code, out, err = command("compare", *two)
    assert code == 0 and out == text + "\n", err
    shutil.copytree(two[0], two[0].parent / "copy")
    assert "Their configurations and versions are the same." in command("compare", two[0], two[0].parent / "copy")[1]


def test_what_is_no_training_is_told(two, command, tmp_path):
    (tmp_path / "empty").mkdir()
    for run, message in (
        (tmp_path / "none", "no such directory"),
        (tmp_path / "empty", "holds no metrics of a training"),
    ):
        for arguments in (("compare", two[0], run), ("plot-training", run, "-o", tmp_path / "t.png")):
            code, _, err = command(*arguments)
            assert code == 2 and message in err and err.count("\n") == 1
    code, _, err = command("compare", two[0])
    assert code == 2 and "give two or more directories" in err
    code, _, err = command("plot-training", two[0], "-o", tmp_path / "t.jpeg")
    assert code == 2 and "ends with .png, .pdf or .svg" in err and not (tmp_path / "t.jpeg").exists()
    with pytest.raises(DataError, match="no such directory"):
        read_training(tmp_path / "none")


def test_a_figure_with_the_true_likelihood(two, command, tmp_path):
    code, out, err = command("plot-training", *two, "--true-likelihood", "-o", tmp_path / "t.png")
    assert code == 0 and (tmp_path / "t.png").stat().st_size > 10000, err


def test_events_of_others_have_no_true_likelihood(two, experiment, command, tmp_path):
    """Their light is none that we know, though a weight-free model of the same parameters exists."""
    path = shutil.copy(sorted((experiment / "events").glob("*.hdf5"))[0], tmp_path / "foreign.hdf5")
    with h5py.File(path, "r+") as file:
        del file.attrs["provenance"]
    config = load_config(
        experiment / "config.yaml", [f"data_iterator_settings.validation.input_data={path}"]
    ).model_dump(mode="json")
    (two[0] / "config_0001.yaml").write_text(yaml.safe_dump(config))
    code, _, err = command("plot-training", two[0], "--true-likelihood", "-o", tmp_path / "t.png")
    assert code == 2 and "foreign.hdf5: nobody knows the true likelihood of its events" in err and err.count("\n") == 1
    assert "nothing of its light" in err and not (tmp_path / "t.png").exists()
