"""The commands as a user types them: the three steps, wrong input, exit codes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def exported(experiment, tmp_path_factory) -> Path:
    """The three scripts of the example page on a configuration of their own."""
    directory = tmp_path_factory.mktemp("cli")
    text = (experiment / "config.yaml").read_text()
    text = text.replace(f"{experiment}/training", f"{directory}/training")
    text = text.replace(f"{experiment}/trafo", f"{directory}/trafo")
    (directory / "config.yaml").write_text(text)
    for script, *more in (
        ("create_trafo_model.py",),
        ("train_model.py",),
        ("export_manager.py", "-o", directory / "exported"),
    ):
        done = subprocess.run([sys.executable, ROOT / "experiments" / script, directory / "config.yaml", *more],
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
    return directory


def test_three_scripts_give_a_model_that_fits_events(exported, experiment, command, tmp_path):
    output = tmp_path / "fits.hdf5"
    file = experiment / "events" / "small_000002.hdf5"
    code, out, err = command("reconstruct", exported / "exported", file, "-o", output)
    assert (code, out.strip().splitlines()[-1]) == (0, f"20 events fitted, 0 failed; wrote {output}"), err
    with h5py.File(output) as table:
        rows = table["Variables"][:]
        assert json.loads(json.dumps([str(n) for n in table["Variables"].attrs["parameter_names"]]))[0] == "cascade_x"
    assert np.all(rows["log_likelihood"] >= rows["log_likelihood_seed"])
    assert np.all(np.isfinite(rows["cascade_energy"]))
    before = output.read_bytes()
    code, _, err = command("reconstruct", exported / "exported", file, "-o", output)
    assert code == 2 and "exists already" in err and output.read_bytes() == before


def test_events_with_a_missing_seed_are_marked_and_the_run_goes_on(exported, experiment, command, tmp_path):
    file = tmp_path / "events.hdf5"
    shutil.copy(experiment / "events" / "small_000002.hdf5", file)
    with h5py.File(file, "r+") as events:
        rows = events["SmearedSeed"][:]
        rows["x"][3] = np.nan
        events["SmearedSeed"][:] = rows
    code, out, _ = command("reconstruct", exported / "exported", file, "-o", tmp_path / "fits.hdf5")
    assert code == 3 and "19 events fitted, 1 failed" in out
    with h5py.File(tmp_path / "fits.hdf5") as table:
        rows = table["Variables"][:]
    assert rows["status"][3].decode() == "failed: the seed is missing or not finite"
    assert np.isnan(rows["log_likelihood"][3]) and np.all(np.isfinite(rows["log_likelihood"][4:]))


WRONG = {
    "unknown key": (("num_training_iterations: 12", "num_training_iteration: 12"), "train",
                    "training_settings.num_training_iteration: unknown key", "num_training_iterations"),
    "missing key": (("num_training_iterations: 12,", ""), "train",
                    "training_settings.num_training_iterations: is missing"),
    "mistyped value": (("batch_size: 4, num_jobs: 0, num_add_files", "batch_size: four, num_jobs: 0, num_add_files"),
                       "train", "data_iterator_settings.training.batch_size: got 'four'"),
    "unknown class": (("cascade.default.DefaultCascadeModel", "cascade.default.DefaultCascadModel"), "train",
                      "model_class: 'egenerator.model.source.cascade.default.DefaultCascadModel' is unknown",
                      "DefaultCascadeModel"),
    "outputs": (("[8, 8, 10]", "[8, 8, 11]"), "train", "num_filters_list ends with 11 outputs", "need 2 (charge) + 8"),
    "schedule": (("'boundaries': [5, 10]", "'boundaries': [5]"), "train", "1 boundaries need 2 scheduler_settings, got 3"),
    "no file": (("{unique_name}_00000[01].hdf5", "nothing_*.hdf5"), "train", "no file matches"),
    "no trafo": (("/trafo}", "/elsewhere}"), "train", "no data transformation there", "create-trafo"),
    "other labels": (("label_key: LabelsMCCascade, trafo_log", "label_key: LabelsMcCascade, trafo_log"), "create-trafo",
                     "table 'LabelsMcCascade' is missing", "LabelsMCCascade"),
    "no yaml": (("unique_name: small", "unique_name: [small"), "train", "no valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_configurations_give_one_line_and_touch_nothing(case, experiment, command, tmp_path):
    (old, new), name, *expected = WRONG[case]
    text = (experiment / "config.yaml").read_text().replace(f"{experiment}/training", f"{tmp_path}/training")
    assert old in text
    (tmp_path / "config.yaml").write_text(text.replace(old, new))
    code, out, err = command(name, tmp_path / "config.yaml")
    assert code == 2 and "Traceback" not in err
    for part in expected:
        assert part in err
    if case not in ("no trafo", "other labels"):  # those name the file that is wrong
        assert err.splitlines()[-1].startswith("error: ") and str(tmp_path / "config.yaml") in err
    assert len([line for line in err.splitlines() if line.startswith("error:")]) == 1
    assert not (tmp_path / "training").exists()


def test_wrong_arguments(command, exported, tmp_path):
    assert command("train", tmp_path / "none.yaml")[0] == 2
    assert command("trian", "x")[0] == 2
    code, _, err = command("export", exported / "config.yaml", "-o", exported / "exported")
    assert code == 2 and "exists already" in err
    code, _, err = command("reconstruct", tmp_path, "x.hdf5", "-o", tmp_path / "out.hdf5")
    assert code == 2 and str(tmp_path) in err
    code, _, err = command("reconstruct", exported / "exported", "x*.hdf5", "-o", tmp_path / "out.hdf5")
    assert code == 2 and "no file matches 'x*.hdf5'" in err
    assert command("--help")[0] == 0


def set_run(node, run: int) -> None:
    if isinstance(node, h5py.Dataset) and "Run" in (node.dtype.names or ()):
        rows = node[:]
        rows["Run"] = run
        node[:] = rows


def test_a_stopped_run_over_many_files_continues(exported, experiment, command, tmp_path, monkeypatch):
    """Each event once; a file that turns out corrupt is told and the others are kept; another model is refused."""
    files = tmp_path / "files"
    files.mkdir()
    for i in range(3):
        shutil.copy(experiment / "events" / "small_000002.hdf5", files / f"{i}.hdf5")
        with h5py.File(files / f"{i}.hdf5", "r+") as events:
            events.visititems(lambda name, node, run=i + 1: set_run(node, run))
    (files / "1.hdf5").write_bytes(b"no HDF5 at all")
    output, run = (
        tmp_path / "fits.hdf5",
        ("reconstruct", exported / "exported", files / "*.hdf5", "-o", tmp_path / "fits.hdf5"),
    )

    from evgen_jax.reconstruction import program

    def stop_at_the_last(path, *arguments, **more):
        if str(path).endswith("2.hdf5"):
            raise KeyboardInterrupt
        return read(path, *arguments, **more)

    read = program.read_event_file
    with monkeypatch.context() as patch:
        patch.setattr(program, "read_event_file", stop_at_the_last)
        assert command(*run)[0] == 130
    assert not output.exists() and (tmp_path / "fits.hdf5.parts" / "000000.hdf5").is_file()
    code, _, err = command(*run, "--columns", "reference")
    assert code == 2 and "unfinished run with another value of 'settings'" in err
    seen = []
    monkeypatch.setattr(program, "read_event_file", lambda path, *a, **k: seen.append(str(path)) or read(path, *a, **k))
    code, out, _ = command(*run)
    assert code == 3 and "40 events fitted, 0 failed, 1 files could not be read" in out
    assert [Path(p).name for p in seen] == ["1.hdf5", "2.hdf5"]  # the first was done
    with h5py.File(output) as table:
        rows, attributes = table["Variables"][:], dict(table["Variables"].attrs)
    assert sorted(set(rows["Run"])) == [1, 3] and len({(r["Run"], r["Event"]) for r in rows}) == 40
    assert "cascade_energy_unc: GeV" in list(attributes["units"]) and len(attributes["model_identity"]) == 16
    assert np.all(rows["cascade_x_unc"] > 0) and np.all(np.isfinite(rows["angular_unc"]))
    assert not (tmp_path / "fits.hdf5.parts").exists()


def test_columns_of_the_reference_parquet_and_dark_events(exported, experiment, command, tmp_path):
    import pyarrow.parquet

    file = tmp_path / "events.hdf5"
    shutil.copy(experiment / "events" / "small_000002.hdf5", file)
    with h5py.File(file, "r+") as events:
        pulses, seeds = events["MCPulses"][:], events["SmearedSeed"][:]
        first, second = (seeds["Event"][i] for i in (0, 1))
        del events["MCPulses"]
        events["MCPulses"] = pulses[pulses["Event"] != first]
        seeds["x"][1] = 9e4
        events["SmearedSeed"][:] = seeds
    code, out, err = command(
        "reconstruct", exported / "exported", file, "-o", tmp_path / "fits.parquet", "--columns", "reference"
    )
    assert code == 3 and "18 events fitted, 1 failed, 1 without a usable pulse" in out, err
    table = pyarrow.parquet.read_table(tmp_path / "fits.parquet")
    assert {"cascade_x_reco", "cascade_x_seed", "cascade_x_unc_sandwhich", "loss_reco", "circular_unc"} <= set(
        table.column_names
    )
    status = dict(zip(table["Event"].to_pylist(), table["status"].to_pylist(), strict=True))
    assert status[first] == "no usable pulse" and "m outside the detector" in status[second]
    assert b"model_identity" in table.schema.metadata
