"""Shards of a run and the submit files of batch systems, whose jobs are run here as the batch system would."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from test_fit_table import fitted

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.directory import save_model
from evgen_jax.errors import ConfigError, ReconstructionError
from evgen_jax.reconstruction.run import program
from evgen_jax.reconstruction.run.batch_system import IN_CONTAINER, Resources, htcondor, read_memory, slurm
from evgen_jax.reconstruction.run.shards import Shard, is_done, read_shard, shard_files, shard_output
from evgen_jax.reconstruction.run.table import fill

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def model(loaded_detector, tmp_path_factory) -> str:
    return str(save_model(analytic_model(loaded_detector), tmp_path_factory.mktemp("model") / "exported"))


@pytest.fixture
def files(tmp_path, experiment) -> list[Path]:
    paths, events = [tmp_path / f"events [{i}].hdf5" for i in range(5)], sorted((experiment / "events").glob("*.hdf5"))
    for path in paths:
        shutil.copy(events[0], path)
        with h5py.File(path, "a") as file:
            file.copy("SmearedSeed", "a b")
    return paths


@pytest.fixture
def quick_fits(monkeypatch):
    """Two rows per file without any fit; the run is its number."""

    def make(model, handler, settings):
        names = model.parameter_names

        def file_fit(path: Path) -> np.ndarray:
            run = int(re.findall(r"\[(\d)\]", path.name)[0])
            ids = np.array([[run, event, 0, 0] for event in (1, 2)])
            results = [fitted(len(names), model.trafo.log, np.arange(len(names)))] * 2
            return fill(names, model.trafo.log, ids, np.ones((2, 1, len(names))), results, range(len(names)))

        return program.FileJobs(model, "identity", file_fit)

    monkeypatch.setattr(program, "make_file_jobs", make)
    monkeypatch.setattr("evgen_jax.building.directory.model_identity", lambda model: "identity")


def test_shards_have_every_file_once_and_in_order(files, tmp_path):
    names = [str(path) for path in files]
    for total in range(1, 6):
        parts = [shard_files([str(tmp_path / "*.hdf5")], Shard(i + 1, total)) for i in range(total)]
        assert [Path(p.replace("[[]", "[")) for part in parts for p in part] == files
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert shard_output(Path("a/fits.hdf5"), Shard(3, 12)) == Path("a/fits_03_of_12.hdf5")
    with pytest.raises(ConfigError, match="--shard 1/6: there are 5 files only; expected at most 5 shards"):
        shard_files([name.replace("[", "[[]") for name in names], Shard(1, 6))
    for wrong in ("0/3", "4/3", "3", "a/b", "-1/3"):
        with pytest.raises(ConfigError, match=f"expected i/n with i from 1 to n, such as 3/10, got '{wrong}'"):
            read_shard(wrong)


@pytest.mark.parametrize("ending", ["hdf5", "csv"])
def test_shards_together_are_the_run(ending, model, files, quick_fits, command, experiment, tmp_path):
    config = ("-r", experiment / "config.yaml")
    given = (model, tmp_path / "*.hdf5", "-o", tmp_path / "out" / f"fits.{ending}", *config)
    assert command("reconstruct", *given)[0] == 0
    for i in (1, 2):
        code, out, err = command("reconstruct", *given, "--shard", f"{i}/2")
        assert code == 0 and f"wrote {tmp_path}/out/fits_{i}_of_2.{ending}" in out, err
    whole = eg.read_results(tmp_path / "out" / f"fits.{ending}", "numpy")
    parts = eg.read_results(tmp_path / "out" / f"fits_*_of_2.{ending}", "numpy")
    assert list(whole["Run"]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert parts.dtype == whole.dtype
    for name in whole.dtype.names:
        np.testing.assert_array_equal(parts[name], whole[name])
    assert "shard_files" not in eg.read_result_notes(tmp_path / "out" / f"fits.{ending}")
    # Run again: done. A file more, and the shards are others: refused.
    assert command("reconstruct", *given, "--shard", "2/2")[1].startswith("shard 2/2 is done: ")
    (tmp_path / "events [5].hdf5").touch()
    code, _, err = command("reconstruct", *given, "--shard", "2/2")
    assert code == 2 and "exists already, but holds other files than this shard" in err
    with pytest.raises(ReconstructionError, match="fitted with another model"):
        is_done(tmp_path / "out" / f"fits_1_of_2.{ending}", shard_files([str(tmp_path / "events [[][0-4]].hdf5")], Shard(1, 2)), "x")  # fmt: skip


def condor_arguments(line: str) -> list[str]:
    """Arguments by HTCondor's new syntax: "..." around all, '...' around words with spaces, doubled quotes for one."""
    text = line.removeprefix('arguments = "').removesuffix('"').replace('""', '"').replace("$(DOLLAR)", "$")
    words = re.findall(r"(?:'(?:[^']|'')*'|\S)+", text)
    return [w[1:-1].replace("''", "'") if w.startswith("'") else w for w in words]


AWKWARD = ["python", "-m", "evgen_jax", "reconstruct", "it's", "a b", 'c"d', "$HOME", "x_*.hdf5", "", "-o", "f.csv"]


def test_arguments_reach_a_job_as_they_were_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shards = [Shard(2, 10), Shard(7, 10)]
    text = htcondor(AWKWARD, shards, Path("out/fits.csv"), Resources(8000, 2, 1, 1.5))
    (line,) = (line for line in text.splitlines() if line.startswith("arguments"))
    assert condor_arguments(line) == [*AWKWARD[1:], "--shard", "$(shard)/10"]
    assert "executable = python\n" in text and text.endswith("queue shard in (2, 7)\n")
    assert {"request_cpus = 2", "request_memory = 8000", "request_gpus = 1", "allowed_job_duration = 5400"} <= set(
        text.splitlines()
    )
    text = slurm(AWKWARD, shards, Path("out/fits.csv"), Resources(8000, 2, 1, 1.5))
    assert "#SBATCH --array=2,7\n" in text and "#SBATCH --time=90\n" in text and "#SBATCH --mem=8000M\n" in text
    script = text.replace("exec python", "printf '%s\\n'")
    said = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env={**os.environ, "SLURM_ARRAY_TASK_ID": "7"}
    )
    assert said.stdout.split("\n")[:-1] == [*AWKWARD[1:], "--shard", "7/10"] and not said.stderr


def test_containers_have_the_command_of_their_image():
    own = Resources(container="evgen_jax.sif", gpus=1)
    condor = htcondor(AWKWARD, [Shard(1, 1)], Path("f.csv"), own)
    assert (
        "universe = container\ncontainer_image = evgen_jax.sif\nexecutable = /opt/evgen_jax/bin/evgen-jax\n" in condor
    )
    assert condor.count("reconstruct") == 1 and "-m evgen_jax" not in condor
    assert "exec apptainer exec --nv evgen_jax.sif /opt/evgen_jax/bin/evgen-jax reconstruct" in slurm(
        AWKWARD, [Shard(1, 1)], Path("f.csv"), own
    )


def test_a_submit_file_leaves_out_what_is_done(model, files, quick_fits, command, experiment, tmp_path):
    given = (
        model,
        str(tmp_path / "*.hdf5"),
        "-o",
        str(tmp_path / "fits.csv"),
        "--set",
        "reconstruction_settings.seed=a b",
        "-r",
        str(experiment / "config.yaml"),
    )
    files[0].write_bytes(b"")  # damaged: a batch looks at the next one, and the job would say so
    code, text, err = command("batch", "slurm", "--jobs", "9", "--cpus", "2", "--memory", "2 GB", *given)
    assert code == 0 and "#SBATCH --array=1,2,3,4,5\n" in text and "#SBATCH --mem=2000M" in text, err
    job = shlex.split(text.splitlines()[-1].replace("$SLURM_ARRAY_TASK_ID", "4"))
    assert job[2:4] == ["-m", "evgen_jax"] and job[job.index("--num_threads") + 1] == "2"
    job = [word for word in job[4:] if word not in ("--num_threads", "2")]  # JAX computes in this process already
    assert command(*job)[0] == 0 and (tmp_path / "fits_4_of_5.csv").exists()
    code, text, _ = command("batch", "htcondor", "--jobs", "9", *given)
    assert text.endswith("queue shard in (1, 2, 3, 5)\n") and text.startswith("# 4 of 5 shards are left.")
    for i in (1, 2, 3, 5):
        job[job.index("--shard") + 1] = f"{i}/5"
        assert command(*job)[0] == 0
    code, text, err = command("batch", "htcondor", "--jobs", "9", *given)
    assert code == 0 and text == "" and err.startswith("all 5 shards are done")


def test_a_batch_that_cannot_be(model, files, command, tmp_path):
    given = (model, tmp_path / "*.hdf5", "-o", tmp_path / "out" / "fits.csv")
    for more, message in (
        (("--memory", "lots", *given), "--memory: expected an amount such as 8GB or 4000MB, got 'lots'"),
        ((*given, "--shard", "1/2"), "--shard: the jobs are the shards; give --jobs alone"),
        ((*given, "--scheduler", "tcp://a:1"), "--scheduler: the jobs share the files already"),
        ((*given, "--num_threads", "3"), "give --cpus alone"),
        ((*given, "--sead", "x"), "No such option"),
        ((model, tmp_path / "none*", "-o", tmp_path / "f.csv"), "no file matches"),
        ((model, tmp_path / "*.hdf5"), "Missing option '-o'"),
        # What would end every job.
        (
            ("demo", tmp_path / "*.hdf5", "-o", tmp_path / "out" / "f.csv"),
            "are not those of 'icecube86' with 5160 modules",
        ),
        (("nowhere", tmp_path / "*.hdf5", "-o", tmp_path / "out" / "f.csv"), "nowhere"),
        ((*given, "--seed", "NoSuchSeed"), "NoSuchSeed"),
        ((model, tmp_path / "*.hdf5", "-o", tmp_path / "f.txt"), "the ending '.txt' says no kind of table"),
    ):
        code, out, err = command("batch", "slurm", "--jobs", "2", *more)
        assert not (tmp_path / "out").exists()
        assert code == 2 and message in err and out == "" and err.count("\n") == 1, err
    assert command("batch", "slurm", "--jobs", "2", *given)[0] == 0 and (tmp_path / "out").is_dir()
    assert read_memory("1.5 GiB") == 1500 and read_memory("800MB") == 800


def test_images_have_the_command_where_jobs_look_for_it():
    """They are not built here: their commands are read, and name extras that there are."""
    extras = re.findall(r"^(\w+) =$", (ROOT / "setup.cfg").read_text().partition("extras_require]")[2], re.MULTILINE)
    for name in ("Dockerfile", "evgen_jax.def"):
        text = (ROOT / "experiments" / name).read_text()
        folder = str(Path(IN_CONTAINER).parent)
        assert f"python -m venv {Path(folder).parent}" in text and f"PATH={folder}:$PATH" in text
        named = re.findall(r"EXTRAS=([\w,]+)", text)
        assert len(named) == 2 and {own for words in named for own in words.split(",")} <= set(extras)
    definition = (ROOT / "experiments" / "evgen_jax.def").read_text()
    sections = re.split(r"^%(\w+)$", definition, flags=re.MULTILINE)
    for section in ("post", "environment", "runscript", "test"):
        script = sections[sections.index(section) + 1].replace("{{ EXTRAS }}", "all")
        assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0
