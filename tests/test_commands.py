"""What all commands share: how much they say, what they check before they compute, and how far they are."""

import logging
import sys
import threading
import types

import jax
import pytest

from evgen_jax import extras, main_guard, progress
from evgen_jax.cli.logging import DEBUG, NORMAL, QUIET, VERBOSE, set_verbosity
from evgen_jax.cli.main import cli
from evgen_jax.errors import ConfigError
from evgen_jax.files import check_writable
from evgen_jax.progress import Bar, counted_blocks, done, is_quiet, stage
from evgen_jax.report.file import report_file
from evgen_jax.report.findings import ReportSettings

ARGUMENTS = {
    "init": [],
    "plot-training": ["d"],
    "compare": ["d", "e"],
    "create-trafo": ["x.yaml"],
    "train": ["x.yaml"],
    "export": ["x.yaml", "-o", "d"],
    "import": ["e", "-o", "d"],
    "simulate": ["x.yaml", "-o", "d"],
    "reconstruct": ["m", "f", "-o", "o.hdf5"],
    "batch": ["slurm", "--jobs", "2", "m", "f", "-o", "o.hdf5"],
    "show": ["m", "f", "-o", "d"],
    "validate": ["m", "f", "-o", "d"],
    "convert": ["f", "-o", "d", "--detector", "icecube86"],
    "check": ["f"],
    "detector": ["f", "-o", "t.csv"],
    "demo": ["-o", "d"],
    "schema": [],
}


@pytest.fixture(autouse=True)
def normal():
    yield
    set_verbosity(NORMAL)


def test_every_command_says_more_and_less():
    assert set(ARGUMENTS) == set(cli.commands)
    for own in (cli, *cli.commands.values()):
        assert {"-v", "--verbose", "-q", "--quiet"} <= {name for p in own.params for name in p.opts}
    logger = logging.getLogger("evgen_jax")
    for level, expected in (
        (QUIET, logging.ERROR),
        (NORMAL, logging.WARNING),
        (VERBOSE, logging.INFO),
        (DEBUG, logging.DEBUG),
        (7, logging.DEBUG),
    ):
        set_verbosity(level)
        assert logger.level == expected and is_quiet() == (level == QUIET)


@pytest.mark.parametrize("place", ["group", "command"])
def test_options_before_and_after_the_name(place, command):
    def said(*options: str):
        before, after = (options, ()) if place == "group" else ((), options)
        return command(*before, "train", *after, "none.yaml")

    for options, level in (
        (("-q",), logging.ERROR),
        (("-v",), logging.INFO),
        (("-vv",), logging.DEBUG),
        ((), logging.WARNING),
    ):
        code, _, err = said(*options)
        assert code == 2 and err.endswith("error: none.yaml: no such configuration file.\n")
        assert err.count("\n") == 1 or level <= logging.INFO
        assert logging.getLogger("evgen_jax").level == level
    code, _, err = said("-v", "-q")
    assert code == 2 and "give one of them" in err


@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_device_of_the_wanted_kind(name, command, monkeypatch):
    """JAX raises errors of several kinds, AssertionError among them."""

    def devices():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    code, _, err = command(name, *ARGUMENTS[name])
    assert code == 2 and err.startswith("error: JAX_PLATFORMS=cuda: JAX cannot use it here") and err.count("\n") == 1
    assert command(name, "--help")[0] == 0


def test_a_file_in_the_place_of_the_model(command, tmp_path):
    (tmp_path / "events.hdf5").write_bytes(b"")
    for name, more in (("reconstruct", "fits.hdf5"), ("show", "pages")):
        code, _, err = command(name, tmp_path / "events.hdf5", tmp_path / "model", "-o", tmp_path / more)
        assert code == 2 and "events.hdf5: is a file, where the directory of an exported model is expected" in err
        assert "The model comes first" in err


def test_directories_that_take_no_files(tmp_path, monkeypatch):
    check_writable(tmp_path / "new" / "newer", "-o")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"-o x: .*file is no directory"):
        check_writable(tmp_path / "file" / "inside", "-o x")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ConfigError, match="permission denied"):
        check_writable(tmp_path / "new", "-o x")


@pytest.mark.parametrize(
    ("wanted", "package"),
    [
        ({"sky_map": True}, "astropy_healpix"),
        ({"sky_map": True}, "astropy"),
        ({"posterior": True}, "blackjax"),
        ({"posterior": True}, "corner"),
    ],
)
def test_packages_are_asked_for_before_the_first_fit(wanted, package, monkeypatch, tmp_path):
    """The model and the file are not even looked at."""
    found = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == package else found(name) or object())
    option = "--sky-map" if "sky_map" in wanted else "--posterior"
    with pytest.raises(
        ConfigError, match=rf"{option} needs {package.replace('_', '-')}\. Install it with: pip install 'evgen_jax"
    ):
        next(report_file(None, "f", tmp_path, None, None, (0,), ReportSettings(**wanted)))


def test_a_bar_counts_events_and_says_what_takes_long(capsys):
    with Bar("fit", total=5) as bar:
        done(2)
        other = threading.Thread(target=done)  # counts where it is awaited, not here as well
        other.start()
        other.join()
        with stage("sky map"), stage("compiling"):
            assert bar._bar.desc == "fit (sky map, compiling): "
        assert bar._bar.desc == "fit: " and bar.done == 2
        bar.update(3)
    err = capsys.readouterr().err
    assert "compiling" in err and "5/5" in err and "event" in err and err.count("\r") < 10  # no flood of lines
    done(1)  # without a bar nothing is counted
    with stage("compiling"):
        pass
    assert list(counted_blocks([[1, 2], [3]], "fit", 3)) == [[1, 2], [3]]
    assert "3/3" in capsys.readouterr().err
    set_verbosity(QUIET)
    with Bar("fit", total=5) as bar, stage("compiling"):
        bar.update(5)
    assert capsys.readouterr().err == "" and not progress._shown.bars


GUARDED = "import sys\nif __name__ == '__main__' and len(sys.argv) > -1:\n    call()\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("call()\n", 1),
        (GUARDED, None),
        ("x = 1\nfor i in range(1):\n    call()\n", 3),
        (GUARDED.replace("__name__", "sys.executable").replace("==", "!="), 3),
    ],
)
def test_scripts_that_new_processes_would_run_again(text, line, tmp_path, monkeypatch):
    path = tmp_path / "script.py"
    path.write_text(text)
    main = types.ModuleType("__main__")
    main.__file__ = str(path)
    main.call = lambda: main_guard.check_guarded("reading ahead", "set num_jobs: 0")
    monkeypatch.setitem(sys.modules, "__main__", main)
    code = compile(text, str(path), "exec")
    if line is None:
        exec(code, vars(main))  # noqa: S102
        return
    with pytest.raises(
        ConfigError, match=rf"script\.py: line {line}: reading ahead starts processes, .* or set num_jobs: 0\."
    ):
        exec(code, vars(main))  # noqa: S102


def test_notebooks_have_no_file_to_import_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    main_guard.check_guarded("reading ahead", "set num_jobs: 0")
