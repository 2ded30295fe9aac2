"""A log-likelihood that runs where this package is not: the same numbers, other devices, events that fit."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest
from synthetic import lamp_model

import evgen_jax as eg
from evgen_jax.building.experiment import build_model
from evgen_jax.config.validate import load_config
from evgen_jax.errors import ConfigError, DataError

SCRIPT = Path(__file__).parent.parent / "experiments" / "run_exported_likelihood.py"
SIZES = {"pulses": 64, "modules": 64, "windows": 2}


pytest.importorskip("flatbuffers")


@pytest.fixture(scope="module")
def model(loaded_detector):
    return lamp_model(loaded_detector)


def seen(detector) -> eg.Event:
    return eg.Event.from_pulses(
        [1.0, 0.7, 2.1, 0.4],
        [10050.25, 10110.5, 10300.0, 10400.0],
        [5, 5, 2, 1],
        [6, 7, 6, 6],
        detector=detector,
        excluded_windows=[(5, 8, 10000.0, 10200.0)],
    )


HYPOTHESIS = np.array([2.0, 1.1, 1.2, 3.0])


@pytest.fixture(scope="module")
def program(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "lamp.stablehlo"
    return eg.export_log_likelihood(model, path, **SIZES, platforms=("cpu", "cuda", "tpu"))


def test_a_process_without_this_package_finds_the_same_numbers(experiment, tmp_path, x64):
    """Of a trained network with its weights."""
    model = build_model(load_config(experiment / "config.yaml"))
    hypothesis, event = np.array([10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 10000.0]), seen(model.detector)
    value, gradient = jax.jit(jax.value_and_grad(eg.log_likelihood, argnums=1))(model, hypothesis, event)
    program = eg.export_log_likelihood(model, tmp_path / "cascade.stablehlo", **SIZES)
    np.savez(tmp_path / "event.npz", **eg.event_arrays(event, **SIZES))
    alone = (
        "import runpy, sys; sys.modules['evgen_jax'] = None\n"  # an import of it is an error
        f"sys.argv[0] = {str(SCRIPT)!r}; runpy.run_path({str(SCRIPT)!r})"
    )
    words = [program, tmp_path / "event.npz", *hypothesis.tolist()]
    done = subprocess.run([sys.executable, "-c", alone, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = np.array(done.stdout.split(), float)
    # The network computes in float32, and its sums are ordered as the compiler likes.
    assert found[0] == pytest.approx(float(value), rel=1e-6)
    np.testing.assert_allclose(found[1:], gradient, rtol=1e-4, atol=1e-5 * np.abs(gradient).max())
    code = [line for line in SCRIPT.read_text().splitlines() if line and not line.startswith(('"""', "import"))]
    assert len(code) <= 10 and "evgen_jax" not in "".join(code)


def test_a_program_says_what_it_takes(model, program):
    own = jax.export.deserialize(program.read_bytes())
    assert own.platforms == ("cpu", "cuda", "tpu") and own.has_vjp()
    notes = json.loads(program.with_name(program.name + ".json").read_text())
    assert list(notes["parameters"]) == list(model.parameter_names) and notes["parameters"]["zenith"] == "rad"
    assert notes["event"]["pulses.time"] == [[64], "float64"] and notes["event"]["windows.start"] == [[2], "float64"]
    assert notes["event"]["charge"] == [[108], "float32"] and notes["precision"] == "float64"


def test_events_of_other_padding_fit(model, program, x64):
    """Longer padding is taken off, shorter padding is added; what does not fit is told."""
    event = seen(model.detector)
    many = [9800.0 + i for i in range(65)]
    large = eg.Event.from_pulses([1.0] * 65, many, [5] * 65, [6] * 65, detector=model.detector)
    assert large.pulses.time.shape == (128,)
    with pytest.raises(DataError, match="the event has 65 pulses, the program takes 64"):
        eg.event_arrays(large, **SIZES)
    call = jax.export.deserialize(program.read_bytes()).call
    longer = eg.stack_events([event, large])
    padded = jax.tree.map(lambda own: own[0], longer)
    value = call(HYPOTHESIS, eg.event_arrays(padded, **SIZES))
    expected = float(jax.jit(eg.log_likelihood)(model, HYPOTHESIS, event))
    assert float(value) == pytest.approx(expected, rel=1e-7)
    with pytest.raises(DataError, match="1 excluded windows, the program takes 0"):
        eg.event_arrays(event, pulses=64, modules=64)
    with pytest.raises(DataError, match="expected one Event, got a batch of shape"):
        eg.event_arrays(longer, **SIZES)


def test_single_precision_needs_no_switch(model, tmp_path):
    event = seen(model.detector)
    path = eg.export_log_likelihood(model, tmp_path / "p", **SIZES, platforms=["cpu"], precision="float32")
    value = jax.export.deserialize(path.read_bytes()).call(HYPOTHESIS, eg.event_arrays(event, **SIZES))
    assert value.dtype == np.float32
    assert float(value) == pytest.approx(float(jax.jit(eg.log_likelihood)(model, HYPOTHESIS, event)), rel=1e-6)


def test_what_cannot_be_exported(model, tmp_path):
    for wrong, message in (
        ({"platforms": ["gpu"]}, "platforms: 'gpu' is unknown; expected some of cpu, cuda"),
        ({"platforms": []}, "platforms: none; expected cpu, cuda"),
        ({"precision": "float16"}, "precision: 'float16'; expected float64 or float32"),
        ({"pulses": 0}, "pulses: expected a whole number >= 1, got 0"),
        ({"windows": -1}, "windows: expected a whole number >= 0, got -1"),
    ):
        with pytest.raises(ConfigError, match=message):
            eg.export_log_likelihood(model, tmp_path / "p", **(SIZES | wrong))
    with pytest.raises(ConfigError, match="expected a Model, got 'model'"):
        eg.export_log_likelihood("model", tmp_path / "p", **SIZES)
    assert not list(tmp_path.iterdir())
