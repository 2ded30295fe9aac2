"""`import evgen_jax as eg`: quick, lazy, with a contents page for every namespace."""

import ast
import importlib
import json
import keyword
import re
import subprocess
import sys
from pathlib import Path

import pytest

import evgen_jax as eg
from evgen_jax.cli.main import cli

NAMESPACES = ("data", "decoders", "plots", "reconstruction", "simulation", "sources", "training")
PACKAGES = (eg, *(importlib.import_module(f"evgen_jax.{name}") for name in NAMESPACES))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_name_is_there_once_and_on_the_contents_page(package):
    listed = re.findall(r"^  ([\w, ]+):", package.__doc__, flags=re.MULTILINE)
    contents = [name for line in listed for name in line.split(", ")]
    assert sorted(contents) == sorted(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    folder = Path(package.__file__).parent
    files = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    for name in package.__all__:
        assert getattr(package, name) is not None
        # A file of the same name would take its place once it is imported.
        assert name not in files or package is eg and name in NAMESPACES


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.__name__)
def test_type_checkers_see_the_names_that_there_are(package):
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
    seen = {
        alias.asname: (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) == set(package.__all__)
    for name, (module, original) in seen.items():
        value = getattr(package, name)
        assert name == original and value is getattr(importlib.import_module(module), name)


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(AttributeError, match="'evgen_jax' has no attribute 'reconstrct'. Did you mean 'reconstruct'"):
        eg.reconstrct  # noqa: B018
    with pytest.raises(AttributeError, match="'evgen_jax.sources' has no attribute .* Did you mean 'LearnedSource'"):
        eg.sources.LearndSource  # noqa: B018
    with pytest.raises(ImportError, match="reconstrct"):
        importlib.import_module("evgen_jax.reconstrct")


def test_import_and_every_help_page_load_no_jax():
    """One process for all: what one page loads, the next would not be blamed for, so the list is looked at after each."""
    script = f"""
import contextlib, io, json, sys
loaded = {{}}
def note(name):
    loaded[name] = sorted({{"jax", "numpy", "flax", "pydantic", "h5py", "matplotlib"}} & set(sys.modules))
import evgen_jax
note("import")
from evgen_jax.cli.main import cli
for arguments in ([], *([name] for name in {sorted(cli.commands)!r})):
    with contextlib.redirect_stdout(io.StringIO()) as page, contextlib.suppress(SystemExit):
        cli([*arguments, "--help"])
    assert "Usage:" in page.getvalue()
    note(" ".join(arguments) or "group")
json.dump(loaded, sys.stdout)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert set(loaded) == {"import", "group", *cli.commands} and not any(loaded.values()), loaded


def test_the_zoo_is_there_whatever_is_imported_first():
    script = """
from evgen_jax.training import ModelSettings, build_source
print(build_source(ModelSettings(model_class="AnalyticCascadeModel"))[0].parameter_names[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "x\n", done.stderr


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "evgen_jax", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("Usage: python -m evgen_jax")
    wrong = subprocess.run([sys.executable, "-m", "evgen_jax", "train", "none.yaml"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr == "error: none.yaml: no such configuration file.\n"


def test_a_file_per_command():
    for name, command in cli.commands.items():
        file = name.replace("-", "_") + "_" * keyword.iskeyword(name)
        assert command.callback.__module__ == f"evgen_jax.cli.{file}"
