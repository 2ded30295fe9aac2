"""A user's own source, as CONTRIBUTING shows it, in a file outside the package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_config

from evgen_jax.errors import ConfigError

ROOT = Path(__file__).parent.parent
(CODE,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "evgen_jax.cli", *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def files(tmp_path, detector):
    path = write_config(tmp_path, detector)
    text = path.read_text()
    start = text.index("model_settings: {", text.index("loss_module_settings"))
    names = "label_module: general.GeneralLabelModule, label_settings: {parameter_names: [x, y, z, time], "
    text = text[:start] + "model_settings: {model_class: Beacon}\n"
    text = text.replace("label_module: 'snowstorm.SnowstormCascadeGeneratorLabelModule',", "")
    text = text.replace("label_settings: {", names).replace("[False, False, False, False, False, True, False]", "False")
    text = text.replace("energy: [500.0, 5e3]", "time: [9500.0, 10500.0]")
    text = text.replace("simulation_settings: {", f"simulation_settings: {{model: {tmp_path}/lamp,")
    path.write_text(text)
    (tmp_path / "beacon.py").write_text(CODE)
    return path, tmp_path / "beacon.py"


def test_it_simulates_trains_exports_and_fits(files, tmp_path):
    config, own = files
    first = f"""
import runpy, jax, evgen_jax as eg
runpy.run_path({str(own)!r})
from evgen_jax.building.model import build_source
from evgen_jax.config.validate import load_config
from evgen_jax.hypothesis.trafo import Trafo
config = load_config({str(config)!r})
source, _ = build_source(config.model_settings)
detector = eg.load_detector({str(tmp_path / "detector.csv")!r})
trafo = Trafo(source.parameter_names, (0.0,) * 4, (100.0,) * 4, (False,) * 4)
settings = config.model_dump(mode="json")
eg.save_model(eg.Model(source, source.init_variables(jax.random.key(0), detector), trafo, detector, settings=settings),
              {str(tmp_path / "lamp")!r})
"""
    done = subprocess.run([sys.executable, "-c", first], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for arguments in (("simulate", config, "-o", tmp_path / "events"), ("create-trafo", config), ("train", config),
                      ("export", config, "-o", tmp_path / "exported"),
                      ("reconstruct", tmp_path / "exported", tmp_path / "events" / "small_000002.hdf5", "-o",
                       tmp_path / "fits.hdf5")):  # fmt: skip
        done = run("--sources", own, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    # A model directory does not bring code along.
    done = run(
        "reconstruct", tmp_path / "exported", tmp_path / "events" / "small_000002.hdf5", "-o", tmp_path / "x.hdf5"
    )
    assert done.returncode == 2 and "'Beacon' is unknown" in done.stderr and "Traceback" not in done.stderr


def test_a_file_that_fails_is_named_with_its_line(tmp_path):
    own = tmp_path / "broken.py"
    own.write_text("import evgen_jax\n\nevgen_jax.no_such_thing\n")
    done = run("--sources", own, "train", "x.yaml")
    assert done.returncode == 2 and f"{own}: line 3: AttributeError" in done.stderr and "Traceback" not in done.stderr
    done = run("--sources", tmp_path / "none.py", "train", "x.yaml")
    assert done.returncode == 2 and "no such file" in done.stderr


def test_names_are_taken_once():
    from evgen_jax import register_source

    with pytest.raises(ConfigError, match="'DefaultCascadeModel' is already the name of a source"):
        register_source("DefaultCascadeModel", lambda: None)
