"""The commands as a user types them: the three steps, wrong input, exit codes."""

import csv
import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

import chex
import h5py
import numpy as np
import pytest
from astropy.io import fits
from conftest import processes_left, programs_built

from evgen_jax.building.directory import load_model
from evgen_jax.building.experiment import create_trafo
from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.config.validate import load_config, validate
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.event_ids import ID_COLUMNS
from evgen_jax.reconstruction.fit.batching import shape_of
from evgen_jax.training.export import export_model
from evgen_jax.training.run import train

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def exported(experiment, tmp_path_factory) -> Path:
    """Transformation, training and export of a configuration of its own."""
    directory = tmp_path_factory.mktemp("cli")
    text = (experiment / "config.yaml").read_text()
    text = text.replace(f"{experiment}/training", f"{directory}/training")
    text = text.replace(f"{experiment}/trafo", f"{directory}/trafo")
    (directory / "config.yaml").write_text(text)
    config = load_config(directory / "config.yaml")
    create_trafo(config)
    train(config, progress=False)
    export_model(config, directory / "exported")
    return directory


def test_an_exported_model_fits_events(exported, experiment, command, tmp_path):
    output, file = tmp_path / "fits.hdf5", tmp_path / "events.hdf5"
    write_events(experiment, file, range(6))
    code, out, err = command("reconstruct", exported / "exported", file, "-o", output)
    assert (code, out.strip().splitlines()[-1]) == (
        0,
        f"6 events fitted (6 not converged), 0 failed; wrote {output}",
    ), err
    assert "6/6" in err and "event" in err and "fit (compiling)" in err  # the bar counts events
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
    write_events(experiment, file, range(6))
    with h5py.File(file, "r+") as events:
        rows = events["SmearedSeed"][:]
        rows["x"][3] = np.nan
        events["SmearedSeed"][:] = rows
    code, out, _ = command("reconstruct", exported / "exported", file, "-o", tmp_path / "fits.csv")
    # Three iterations, as the configuration has them, are too few.
    assert code == 3 and "5 events fitted (5 not converged), 1 failed" in out
    with (tmp_path / "fits.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["status"] for row in rows[2:4]] == ["iteration limit", "failed: the seed is missing or not finite"]
    value = np.array([float(row["log_likelihood"]) for row in rows])
    assert np.isnan(value[3]) and np.all(np.isfinite(value[4:]))
    assert json.loads((tmp_path / "fits.csv.json").read_text())["units"]["cascade_energy"] == "GeV"


WRONG = {
    "unknown key": (
        ("num_training_iterations: 12", "num_training_iteration: 12"),
        "train",
        "training_settings.num_training_iteration: unknown key",
        "num_training_iterations",
    ),
    "missing key": (
        ("num_training_iterations: 12,", ""),
        "train",
        "training_settings.num_training_iterations: is missing",
    ),
    "mistyped value": (
        ("batch_size: 4, num_jobs: 0, num_add_files", "batch_size: four, num_jobs: 0, num_add_files"),
        "train",
        "data_iterator_settings.training.batch_size: got 'four'",
    ),
    "unknown class": (
        ("cascade.default.DefaultCascadeModel", "cascade.default.DefaultCascadModel"),
        "train",
        "model_class: 'egenerator.model.source.cascade.default.DefaultCascadModel' is unknown",
        "DefaultCascadeModel",
    ),
    "outputs": (("[8, 8, 10]", "[8, 8, 11]"), "train", "num_filters_list ends with 11 outputs", "need 2 (charge) + 8"),
    "schedule": (
        ("'boundaries': [5, 10]", "'boundaries': [5]"),
        "train",
        "1 boundaries need 2 scheduler_settings, got 3",
    ),
    "text for a switch": (
        ("[8, 8, 10]", "[8, 8, 10], opening_angle_as_cosine: 'False'"),
        "train",
        "opening_angle_as_cosine: expected True or False, got 'False'",
    ),
    "text for a layer's switch": (
        ("[8, 8, 10]", "[8, 8, 10], use_residual_list: ['no', True, False]"),
        "train",
        "use_residual_list: expected True or False, got 'no'",
    ),
    "text for an option": (
        ("[8, 8, 10]", "[8, 8, 10], num_local_vars: four"),
        "train",
        "num_local_vars: expected a whole number >= 0, got 'four'",
    ),
    "no file": (("{unique_name}_00000[01].hdf5", "nothing_*.hdf5"), "train", "no file matches"),
    "no trafo": (("/trafo}", "/elsewhere}"), "train", "no data transformation there", "create-trafo"),
    "other labels": (
        ("label_key: LabelsMCCascade, trafo_log", "label_key: LabelsMcCascade, trafo_log"),
        "create-trafo",
        "table 'LabelsMcCascade' is missing",
        "LabelsMCCascade",
    ),
    "no yaml": (("unique_name: small", "unique_name: [small"), "train", "no valid YAML"),
}


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
    code, _, err = command("reconstruct", exported / "exported", exported / "config.yaml", "-o", tmp_path / "fits.txt")
    assert code == 2 and "the ending '.txt' says no kind of table" in err and not (tmp_path / "fits.txt.parts").exists()
    assert command("--help")[0] == 0
    wrong = tmp_path / "wrong.yaml"
    text = (exported / "config.yaml").read_text()
    wrong.write_text(
        text.replace(
            "settings: {seed: SmearedSeed,",
            "settings: {seed: SmearedSeed, minimize_parameter_dict: {cascade_w: false},",
        )
    )
    code, _, err = command(
        "reconstruct",
        exported / "exported",
        "x",
        "-o",
        tmp_path / "o.hdf5",
        "--workers",
        "2",
        "--scheduler",
        "tcp://h:1",
    )
    assert code == 2 and "--workers and --scheduler" in err
    code, _, err = command(
        "-q", "reconstruct", exported / "exported", exported / "config.yaml", "-o", tmp_path / "o.hdf5"
    )
    assert code == 2 and err.count("cannot be read as HDF5") == 1 and err.count("\n") == 1
    file = exported / "config.yaml"  # any file that exists; it is not opened
    code, _, err = command("reconstruct", exported / "exported", file, "-o", tmp_path / "o.hdf5", "--config", wrong)
    assert code == 2 and "'cascade_w' is no parameter" in err and not (tmp_path / "o.hdf5.parts").exists()


def test_a_training_run_serves_as_load_dir(exported, command, tmp_path, caplog):
    """The latest checkpoint, whole or a part; as the model of a command it is told how to export it."""
    from evgen_jax.building.parts import load_part
    from evgen_jax.errors import EvgenError

    run, part = exported / "training", load_model(exported / "exported" / "cascade")
    for path in (run / "cascade", run / "models_0000" / "cascade", exported / "exported" / "models_0000" / "cascade"):
        found = load_part(path)
        assert found.parameter_names == part.parameter_names and found.trafo == part.trafo
        assert found.settings["model_settings"] == part.settings["model_settings"]
        chex.assert_trees_all_equal(found.variables, part.variables)
    assert caplog.text.count(f"loaded the weights of step 12 from the training run {run}") == 1
    with pytest.raises(EvgenError, match=r"has no part 'cascad'; parts: cascade, noise\. Did you mean 'cascade'"):
        load_part(run / "cascad")
    code, _, err = command("reconstruct", run, "x.hdf5", "-o", tmp_path / "fits.hdf5")
    assert (
        code == 2
        and f"is a training run, not an exported model. Export it with: evgen-jax export {run}/config_0001" in err
    )
    text, start = (exported / "config.yaml").read_text(), "cascade: {\n            model_class"
    assert start in text
    text = text.replace(start, start.replace("model_class", f"load_dir: {tmp_path}/nothing, model_class"))
    (tmp_path / "config.yaml").write_text(text)
    for name, *more in (("train",), ("simulate", "-o", tmp_path / "events")):
        code, _, err = command(name, tmp_path / "config.yaml", *more)
        assert code == 2 and "multi_source_bases.cascade.load_dir: " in err and "does not exist" in err


def test_option_names_of_event_generator_work_beside_ours():
    from evgen_jax.cli.main import cli

    names = {command: {o for p in cli.commands[command].params for o in p.opts} for command in cli.commands}
    del names["batch"]  # hands on what it is given
    for command, own in names.items():
        assert {"--log_level", "--num_threads"} <= own, command
        assert ("--output_dir" in own) == ("--output-dir" in own), command
    for command in ("export", "reconstruct", "show"):
        assert {"-r", "--reco_config_file"} <= names[command]


def test_threads_and_messages_are_as_asked_for():
    """XLA starts so many threads as the option says; what the option cannot change any more is told."""
    script = """
import logging, os, jax
from evgen_jax.cli.main import cli
for arguments in (["--num_threads", "3", "--log_level", "debug"], ["--log-level", "DEBUG", "--num-threads", "2"]):
    try:
        cli(["train", "nothing.yaml", *arguments], standalone_mode=False)
    except Exception as error:
        print(error)
    jax.numpy.zeros(3).block_until_ready()
names = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
print(logging.getLogger("evgen_jax").level, sum("XLAEigen" in name for name in names))
"""
    if sys.platform != "linux":
        pytest.skip("looks at the threads of Linux")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    first, second, last = done.stdout.strip().splitlines()
    assert first == "nothing.yaml: no such configuration file.", done.stderr
    assert second.startswith("--num_threads 2: comes too late") and last == "10 3"


def test_several_configurations_are_exported_as_an_ensemble(exported, command, tmp_path):
    """And loaded as one; -r brings other settings of the fit."""
    from evgen_jax.errors import EvgenError
    from evgen_jax.model.ensemble import Ensemble
    from evgen_jax.reconstruction.run.workers import load_models

    first, second = exported / "config.yaml", tmp_path / "second.yaml"
    shutil.copytree(exported / "training", tmp_path / "training")
    second.write_text(first.read_text().replace(f"{exported}/training", f"{tmp_path}/training"))
    (tmp_path / "reco.yaml").write_text("reconstruction_settings: {max_iterations: 77}\n")
    output, more = tmp_path / "ensemble", ("-r", tmp_path / "reco.yaml", "--log_level", "WARNING")
    code, out, err = command("export", first, second, "--output_dir", output, *more)
    assert (code, out) == (0, f"wrote {output}\n"), err
    assert [p.name for p in sorted(output.iterdir())] == ["models_0000", "models_0001"]
    model = load_models([str(output)])
    assert isinstance(model, Ensemble) and len(model.members) == 2
    assert model.settings["reconstruction_settings"]["max_iterations"] == 77
    for arguments, message in (
        ((first, first, "-o", tmp_path / "none"), "is the training of two members of the ensemble"),
        ((first, second, "-o", output), "exists already"),
        (
            (first, second, tmp_path / "reco.yaml", "-o", tmp_path / "none"),
            "reco.yaml: has no model_settings, but 2 other",
        ),
        ((first, "-o", tmp_path / "none", "-r", tmp_path / "reco.yaml.txt"), "no such configuration file"),
    ):
        code, _, err = command("export", *arguments)
        assert code == 2 and message in err and "Traceback" not in err and not (tmp_path / "none").exists()
    with pytest.raises(EvgenError, match="is an ensemble, .* single models in it: models_0000, models_0001"):
        load_model(output)


def test_test_data_are_fitted_with_the_model_as_it_stands(exported, experiment, tmp_path, monkeypatch, capsys):
    """The script under Event-Generator's name gives the table that the exported model gives."""
    write_events(experiment, tmp_path / "events.hdf5", (0, 1))
    text = (exported / "config.yaml").read_text()
    files = f"test: {{input_data: ['{experiment}/events/{{unique_name}}_000002.hdf5']"
    assert files in text
    config, script = tmp_path / "config.yaml", ROOT / "experiments" / "reconstruct_test_data.py"
    config.write_text(text.replace(files, f"test: {{input_data: ['{tmp_path}/events.hdf5']"))
    fit = f"{{seed: SmearedSeed, max_iterations: 3, reco_output_file: '{tmp_path}/fits.hdf5'}}"
    (tmp_path / "reco.yaml").write_text(f"reconstruction_settings: {fit}\n")
    arguments = [
        str(script),
        str(config),
        "-r",
        str(tmp_path / "reco.yaml"),
        "--log_level",
        "WARNING",
        "--num_threads",
        "0",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(script), run_name="__main__")
    # Three iterations are not enough, which is told.
    assert capsys.readouterr().out == f"2 events fitted (2 not converged), 0 failed; wrote {tmp_path}/fits.hdf5\n"
    with h5py.File(tmp_path / "fits.hdf5") as table:
        rows = table["Variables"][:]
    assert len(rows) == 2 and np.all(rows["log_likelihood"] >= rows["log_likelihood_seed"])
    monkeypatch.setattr(sys, "argv", arguments[:2])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(script), run_name="__main__")
    assert "config.yaml: reconstruction_settings.reco_output_file: is missing" in capsys.readouterr().err


def test_a_stopped_run_over_many_files_continues(exported, experiment, command, tmp_path, monkeypatch):
    """Each event once; a file that turns out corrupt is told and the others are kept; another model is refused."""
    files = tmp_path / "files"
    files.mkdir()
    for i in range(3):
        write_events(experiment, files / f"{i}.hdf5", range(6), run=i + 1)
    (files / "1.hdf5").write_bytes(b"no HDF5 at all")
    output = tmp_path / "fits.hdf5"
    run = ("reconstruct", exported / "exported", files / "*.hdf5", "-o", output)

    from evgen_jax.reconstruction.run import seeds

    def stop_at_the_last(path, *arguments, **more):
        if str(path).endswith("2.hdf5"):
            raise KeyboardInterrupt
        return read(path, *arguments, **more)

    read = seeds.read_event_file
    with monkeypatch.context() as patch:
        patch.setattr(seeds, "read_event_file", stop_at_the_last)
        assert command(*run)[0] == 130
    assert not output.exists() and (tmp_path / "fits.hdf5.parts" / "000000.hdf5").is_file()
    code, _, err = command(*run, "--columns", "reference")
    assert code == 2 and "unfinished run with another value of 'settings'" in err
    seen = []
    monkeypatch.setattr(seeds, "read_event_file", lambda path, *a, **k: seen.append(str(path)) or read(path, *a, **k))
    code, out, _ = command(*run)
    assert code == 3 and "12 events fitted (12 not converged), 0 failed, 1 files could not be read" in out
    assert [Path(p).name for p in seen] == ["1.hdf5", "2.hdf5"]  # the first was done
    with h5py.File(output) as table:
        rows, attributes = table["Variables"][:], dict(table["Variables"].attrs)
    assert sorted(set(rows["Run"])) == [1, 3] and len({(r["Run"], r["Event"]) for r in rows}) == 12
    assert "cascade_energy_unc: GeV" in list(attributes["units"]) and len(attributes["model_identity"]) == 16
    assert np.all(rows["cascade_x_unc"] > 0) and np.all(np.isfinite(rows["angular_unc"]))
    assert not (tmp_path / "fits.hdf5.parts").exists()


def test_columns_of_the_reference_parquet_and_dark_events(exported, experiment, command, tmp_path):
    import pyarrow.parquet

    file = tmp_path / "events.hdf5"
    write_events(experiment, file, range(6))
    with h5py.File(file, "r+") as events:
        pulses, seeds = events["MCPulses"][:], events["SmearedSeed"][:]
        first, second = (seeds["Event"][i] for i in (0, 1))
        del events["MCPulses"]
        events["MCPulses"] = pulses[pulses["Event"] != first]
        seeds["x"][1] = 9e4
        truth = events["LabelsMCCascade"][:]
        for name in ("x", "y", "z", "zenith", "azimuth", "energy", "time"):
            seeds[name][3] = truth[f"cascade_{name}"][3]
        events["SmearedSeed"][:] = seeds
    code, out, err = command(
        "reconstruct", exported / "exported", file, "-o", tmp_path / "fits.parquet", "--columns", "reference"
    )
    assert code == 3 and "4 events fitted (4 not converged), 1 failed, 1 without a usable pulse" in out, err
    table = pyarrow.parquet.read_table(tmp_path / "fits.parquet")
    columns = {"cascade_x", "cascade_x_unc_sandwhich", "loss_reco", "loss_seed", "loss_true", "cov_zenith_azimuth"}
    assert columns <= set(table.column_names)
    rows = {name: np.array(table[name].to_pylist(), float) for name in columns}
    np.testing.assert_array_equal(rows["cascade_x"], truth["cascade_x"])
    assert rows["loss_true"][3] == pytest.approx(rows["loss_seed"][3], rel=1e-5)  # this seed is the truth
    assert rows["loss_true"][2] != pytest.approx(rows["loss_seed"][2], rel=1e-2)
    assert np.all(np.isfinite(rows["loss_true"]))
    status = dict(zip(table["Event"].to_pylist(), table["status"].to_pylist(), strict=True))
    assert status[first] == "no usable pulse" and "m outside the detector" in status[second]
    assert b"model_identity" in table.schema.metadata


@pytest.fixture(scope="module")
def three_files(experiment, tmp_path_factory):
    """Few events each, runs 1 to 3."""
    directory = tmp_path_factory.mktemp("three")
    for i in range(3):
        write_events(experiment, directory / f"{i}.hdf5", range(4), run=i + 1)
    return directory


def write_events(experiment: Path, path: Path, numbers: Collection[int], run: int = 1) -> None:
    """A file with some events of the last one."""
    with h5py.File(experiment / "events" / "small_000002.hdf5") as old, h5py.File(path, "w") as new:
        for name in old:
            if isinstance(old[name], h5py.Dataset):
                rows = old[name][:]
                rows = rows[np.isin(rows["Event"], list(numbers))]
                rows["Run"] = run
                new[name] = rows


@pytest.mark.parametrize("how", ["processes", "cluster"])
def test_files_are_shared_by_processes_and_by_a_cluster(how, exported, three_files, command, tmp_path, caplog):
    """Every event once, and a file that cannot be read is told."""
    (tmp_path / "3.hdf5").write_bytes(b"no HDF5 at all")
    run = [
        "reconstruct",
        exported / "exported",
        three_files / "*.hdf5",
        tmp_path / "3.hdf5",
        "-o",
        tmp_path / "fits.hdf5",
    ]
    if how == "processes":
        code, out, err = command(*run, "--workers", "2")
    else:
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
        ) as cluster:
            code, out, err = command(*run, "--scheduler", cluster.scheduler_address)
    assert code == 3 and "1 files could not be read" in out and "3.hdf5" in caplog.text, err
    assert "12/12" in err  # events, of the files that can be read
    with h5py.File(tmp_path / "fits.hdf5") as table:
        rows = table["Variables"][:]
    assert sorted(set(rows["Run"])) == [1, 2, 3]
    assert len({(r["Run"], r["Event"]) for r in rows}) == len(rows) > 3


def test_sigterm_ends_a_run_and_its_workers(exported, three_files, command, tmp_path):
    """A definite exit code, a line that says how to go on, no process left."""
    workers: list[int] = []

    def disturb() -> None:
        limit = time.monotonic() + 200
        while len(workers) < 2 and time.monotonic() < limit:
            workers[:] = [p.pid for p in multiprocessing.active_children() if p.pid]
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=disturb)
    thread.start()
    code, _, err = command(
        "-q", "reconstruct", exported / "exported", three_files / "*.hdf5", "-o", tmp_path / "f.csv", "--workers", "2"
    )
    thread.join()
    assert code == 143, err
    assert err == (
        f"interrupted by SIGTERM. Finished files are kept in {tmp_path}/f.csv.parts: run the same command again to "
        "continue.\n"
    )
    assert len(workers) == 2 and not processes_left()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_with_a_parent_that_is_killed():
    script = """
import multiprocessing, threading, time
from functools import partial
from pathlib import Path
from evgen_jax.reconstruction.run.workers import Recipe, in_processes
def tell():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.05)
    time.sleep(4)
    print(*(p.pid for p in multiprocessing.active_children()), flush=True)
threading.Thread(target=tell).start()
list(in_processes(Recipe((), "", "", prepare=partial(time.sleep, 500)), 2, [(Path("a"), Path("b"))] * 2))
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as told:
        workers = [int(pid) for pid in told.readline().split()]
        parent.kill()
        parent.wait()
    limit = time.monotonic() + 20
    while (left := [pid for pid in workers if _runs(pid)]) and time.monotonic() < limit:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert len(workers) == 2 and not left


def _runs(pid: int) -> bool:
    try:  # the state of one that nobody has waited for yet is Z
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_prepares_once_for_all_of_its_files(exported):
    """Every job brings a copy of the recipe; what was compiled for the first must serve the next."""
    from evgen_jax.config.records import ReconstructionSettings
    from evgen_jax.reconstruction.run import workers

    handler, calls = load_config(exported / "config.yaml").data_handler_settings, []
    recipe = workers.make_recipe(
        [str(exported / "exported")], handler, ReconstructionSettings(), prepare=partial(calls.append, 1)
    )
    first = workers._prepared(recipe)
    copy = replace(recipe, prepare=partial(calls.append, 1))
    assert workers._prepared(copy) is first and calls == [1]


def test_nobody_answers_at_the_scheduler(exported, three_files, command, tmp_path, monkeypatch):
    import distributed

    def refuse(address, timeout):
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", refuse)
    code, _, err = command(
        "reconstruct",
        exported / "exported",
        three_files / "0.hdf5",
        "-o",
        tmp_path / "f.hdf5",
        "--scheduler",
        "tcp://127.0.0.1:1",
    )
    assert code == 2 and "no Dask scheduler answers at tcp://127.0.0.1:1" in err
    assert list(tmp_path.iterdir()) == []  # a run that never began


def test_rows_stand_in_the_order_of_the_files_and_equal_ids_are_told(exported, experiment, command, tmp_path, caplog):
    for name, numbers, run in (("a", (0, 1), 1), ("b", (2, 3), 2), ("c", (1, 2), 1)):
        write_events(experiment, tmp_path / f"{name}.hdf5", numbers, run)
    files = [tmp_path / "b.hdf5", tmp_path / "[ac].hdf5", tmp_path / "." / "b.hdf5"]
    code, _, err = command("reconstruct", exported / "exported", *files, "-o", tmp_path / "fits.hdf5")
    assert code == 0, err
    with h5py.File(tmp_path / "fits.hdf5") as table:
        rows = table["Variables"][:]
    assert [(r["Run"], r["Event"]) for r in rows] == [(2, 2), (2, 3), (1, 0), (1, 1), (1, 1), (1, 2)]
    told = [r.getMessage() for r in caplog.records if "in more than one file" in r.getMessage()]
    assert len(told) == 1 and told[0].startswith("1 event ids (Run, Event, SubEvent, SubEventStream)")
    caplog.clear()
    command("reconstruct", exported / "exported", *files[:1], tmp_path / "a.hdf5", "-o", tmp_path / "other.hdf5")
    assert "in more than one file" not in caplog.text


def test_fits_from_pulses_with_goodness_of_fit(exported, experiment, command, tmp_path):
    write_events(experiment, tmp_path / "events.hdf5", (0,))
    config = tmp_path / "config.yaml"
    text = (exported / "config.yaml").read_text()
    old = "reconstruction_settings: {seed: SmearedSeed,"
    assert old in text
    config.write_text(text.replace(old, "reconstruction_settings: {seed: pulses, calculate_goodness_of_fit: true,"))
    model = exported / "exported"
    code, out, err = command(
        "reconstruct", model, tmp_path / "events.hdf5", "-o", tmp_path / "fits.hdf5", "--config", config
    )
    assert code == 0 and "0 failed" in out, err
    with h5py.File(tmp_path / "fits.hdf5") as table:
        rows = table["Variables"][:]
    assert np.all(np.isfinite(rows["log_likelihood"])) and np.all(np.isnan(rows["cascade_x_seed"]))
    assert np.all((rows["goodness_of_fit"] > 0) & (rows["goodness_of_fit"] <= 1))
    found = {}
    for refit in ("false", "true"):
        config.write_text(text.replace(old, f"{old} calculate_covariance_matrix: false, refit_directions: {refit},"))
        output = tmp_path / f"{refit}.hdf5"
        code, _, err = command("reconstruct", model, tmp_path / "events.hdf5", "-o", output, "--config", config)
        assert code == 0, err
        with h5py.File(output) as table:
            found[refit] = table["Variables"][:]
    assert np.all(found["true"]["log_likelihood"] >= found["false"]["log_likelihood"] - 1e-6)
    assert np.any(found["true"]["log_likelihood"] > found["false"]["log_likelihood"] + 0.1)
    np.testing.assert_array_equal(found["true"]["log_likelihood_seed"], found["false"]["log_likelihood_seed"])
    code, _, err = command("reconstruct", model, "x.hdf5", "-o", tmp_path / "e.hdf5", "--ensemble", model / "cascade")
    assert code == 2 and "ensemble: model 1 has the parameters" in err


def test_show_writes_a_folder_and_a_page_per_event(exported, experiment, three_files, command, tmp_path):
    model, file = exported / "exported", three_files / "0.hdf5"
    code, out, err = command(
        "show", model, file, "-o", tmp_path, "--event", "1", "--scan", "cascade_x", "--sky-map", "--notice", "no data"
    )
    assert code == 0, err
    assert "show (fit" in err and "show (sky map" in err and "1/1" in err
    (folder,) = tmp_path.iterdir()
    assert out.strip() == f"wrote {folder / 'index.html'}"
    page = (folder / "index.html").read_text()
    for name in (
        "event.png",
        "brightest_doms.png",
        "worst_doms.png",
        "charges.png",
        "scan_cascade_x.png",
        "sky_map.png",
    ):
        assert f'src="{name}"' in page and (folder / name).stat().st_size > 5000
    assert (folder / "sky_map.fits").is_file() and "90 % contour" in page
    fit = json.loads((folder / "fit.json").read_text())
    assert f"{fit['hypothesis']['cascade_energy']:.6g}" in page and len(fit["covariance"]) == 7
    loaded = load_model(model)
    handler = validate(DataHandlerSettings, loaded.settings["data_handler_settings"], "")
    one = read_event_file(file, handler, loaded.detector)
    assert "<th>truth</th>" in page and f"<td>{one.labels[1, 5]:.6g}</td>" in page
    write_events(experiment, tmp_path / "all.hdf5", range(20))
    every, shape = read_event_file(tmp_path / "all.hdf5", handler, loaded.detector), shape_of(one.event(1))
    other = next(i for i in range(len(every)) if every.ids[i, 1] != one.ids[1, 1] and shape_of(every.event(i)) == shape)
    dated = ("--sky-map", "--mjd", "header", "--site", "icecube", "--sender", "nobody")
    arguments = ("show", model, tmp_path / "all.hdf5", "-o", tmp_path, "--event", other, "--scan", "cascade_x", *dated)
    code, _, err = command(*arguments)
    assert code == 2 and "has no table 'I3EventHeader', which tells when events were seen. Give the date" in err
    with h5py.File(tmp_path / "all.hdf5", "a") as written:
        types = [*((name, "<i8") for name in ID_COLUMNS), ("time_start_mjd", "<f8")]
        header = np.zeros(len(every), types)
        for name, ids in zip(ID_COLUMNS, every.ids.T, strict=True):
            header[name] = ids
        header["time_start_mjd"] = 58000.5 + np.arange(len(every))
        written["I3EventHeader"] = header[::-1]
    with programs_built() as built:
        code, _, err = command(*arguments)
    assert code == 0 and built == [], err
    run, own = (int(number) for number in every.ids[other, :2])
    (folder,) = tmp_path.glob(f"run_{run:06d}_event_{own:06d}*")
    assert "right ascension" in (folder / "index.html").read_text()
    for name in ("sky_map.fits", "sky_map.multiorder.fits"):
        header = fits.getheader(folder / name, 1)
        assert header["MJD-OBS"] == 58000.5 + other and header["EVENTID"] == own and header["SENDER"] == "nobody"
    assert json.loads((folder / "skyscan.json").read_text())["nside-4"]["metadata"]["run_id"] == run
    for wrong, message in (
        (("--event", "99"), "--event 99: the file has"),
        (("--scan", "cascade_w"), "'cascade_w' is no parameter of the model"),
        (("--posterior",), "a posterior needs priors, none is implied"),
        (("--sky-map", "--mjd", "58000"), "'small' does not say where on Earth it is"),
        (("--mjd", "58000"), "no sky map is asked for. Add --sky-map"),
        (("--sky-map", "--mjd", "today"), "expected a modified Julian date (UTC) such as 58018.87, or 'header', got"),
        (("--sky-map", "--site", "icecube"), "--site: belongs to celestial sky maps. Add --mjd"),
    ):
        code, _, err = command("show", model, file, "-o", tmp_path / "none", *wrong)
        assert code == 2 and message in err and not (tmp_path / "none").exists()
