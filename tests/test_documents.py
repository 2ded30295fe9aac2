"""What the documents say is executed: README examples, its commands, its table of differences."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax.building.directory import save_model
from evgen_jax.building.experiment import build_model
from evgen_jax.cli.main import cli
from evgen_jax.config.validate import load_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_python_example_runs(experiment, tmp_path):
    model = build_model(load_config(experiment / "config.yaml"))
    save_model(model, tmp_path / "DIR")
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    hypothesis = jnp.array([10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 10000.0])
    names = {
        "charge": [1.0, 0.7, 2.1],
        "time": [10050.0, 10110.0, 10300.0],
        "string": [5, 5, 2],
        "om": [6, 7, 6],
        "hypothesis": hypothesis,
        "times": jnp.linspace(9900, 11000, 20),
        "key": jax.random.key(0),
        "events": [
            eg.Event.from_pulses([1.0] * 3, [10050.0, 10110.0, 10300.0], [5, 5, 2], [6, 7, 6], detector=model.detector)
        ],
        "seeds": np.array([hypothesis]),
    }
    exec(code.replace('"DIR', f'"{tmp_path}/DIR'), names)  # noqa: S102 (the example itself)
    assert np.isfinite(names["value"]) and names["gradient"].shape == (7,)
    assert names["view"].pdf.shape == (108, 20)
    assert names["results"][0].log_likelihood >= names["results"][0].log_likelihood_seed
    assert names["by_detector"].position.shape == (108, 3)
    assert list(names["named"]) == list(model.parameter_names)
    assert names["few"][0].hypothesis[6] == names["seeds"][0][6]
    assert names["cascade"].parameter_names[0] == "x"


def test_commands_of_the_documents_exist():
    text = README + (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "experiments" / "README.md").read_text()
    named = set(re.findall(r"evgen-jax ([a-z][a-z-]*)", text))
    assert named and named <= set(cli.commands), named - set(cli.commands)
    assert set(cli.commands) <= set(re.findall(r"evgen-jax ([a-z][a-z-]*)", README)), "the README leaves out a command"


def test_every_difference_names_a_test_that_exists():
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", README)
    assert len(named) >= 9
    for file, function in named:
        assert f"def {function}(" in (ROOT / "tests" / file).read_text(), f"{file}::{function}"


def test_paths_of_the_documents_exist():
    for path in re.findall(r"`((?:experiments|benchmarks|tests|evgen_jax)/[\w./]*)`", README):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    "path", [ROOT / "experiments" / "oracle_gap.yaml", ROOT / "evgen_jax" / "tables" / "demo.yaml"]
)
def test_shipped_configurations_are_valid(path):
    from evgen_jax.building.model import build_source

    config = load_config(path)
    source, _ = build_source(config.model_settings)
    assert len(source.parameter_names) == 7
