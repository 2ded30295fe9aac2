"""A model as a pytree: an argument of compiled functions, with gradients by what lies in it."""

import subprocess
import sys
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import programs_built
from synthetic import lamp_model

import evgen_jax as eg
from evgen_jax import program_memory
from evgen_jax.building.analytic import analytic_model
from evgen_jax.errors import ConfigError, HypothesisError
from evgen_jax.light.tree import with_precision
from evgen_jax.model.expectation import dom_expectation
from evgen_jax.model.likelihood import Loss, LossTerm
from evgen_jax.model.sampler import sample_photoelectrons
from evgen_jax.simulation.events import EventSampler

TRUTH = np.array([[20.0, -30.0, 15.0, 1.1, 2.0, 3000.0, 9900.0], [20.0, -35.0, 15.0, 1.3, 2.0, 3000.0, 9950.0]])
NAMED = {"x": 20, "y": -30, "z": 15, "zenith": 1.1, "azimuth": 2.0, "energy": 3e3, "time": 9900}


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


@pytest.fixture(scope="module")
def events(model):
    return EventSampler(model, (8000.0, 14000.0)).events(TRUTH, jax.random.key(1))


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def test_weights_and_detector_are_leaves(model):
    leaves, structure = jax.tree.flatten(model)
    assert {id(leaf) for leaf in leaves} == {id(leaf) for leaf in jax.tree.leaves((model.variables, model.detector))}
    again = jax.tree.unflatten(structure, leaves)
    assert again.settings == model.settings and again.parameter_names == model.parameter_names
    # What was written down about a model does not tell its programs apart; what it computes does.
    assert jax.tree.structure(replace(model, settings={"note": 1})) == structure
    assert hash(jax.tree.structure(replace(model, settings={"note": 1}))) == hash(structure)
    other = replace(model, loss=Loss((LossTerm("dom_charge_pdf"),)))
    assert jax.tree.structure(other) != structure
    ensemble = eg.Ensemble([model, model])
    assert len(jax.tree.leaves(ensemble)) == 2 * len(leaves)
    assert isinstance(jax.tree.map(lambda a: a, ensemble), eg.Ensemble)


def test_the_log_likelihood_is_a_function_of_a_model(model, events):
    both = eg.stack_events(events)
    function = jax.jit(chex.assert_max_traces(eg.log_likelihood, n=1))
    alone = [float(function(model, h, jax.tree.map(lambda a, i=i: a[i], both))) for i, h in enumerate(TRUTH)]
    expected = [
        float(jax.jit(eg.make_log_likelihood(model))(model.variables, h, e)) for h, e in zip(TRUTH, events, strict=True)
    ]
    np.testing.assert_allclose(alone, expected, rtol=1e-5)
    # Another detector, other weights or an equal model made elsewhere: the same program.
    table = model.detector
    moved = replace(model, detector=table.replace(relative_efficiency=1.1 * table.relative_efficiency))
    assert float(function(moved, TRUTH[0], jax.tree.map(lambda a: a[0], both))) != alone[0]
    function(analytic_model(model.detector), TRUTH[0], jax.tree.map(lambda a: a[0], both))
    many = jax.jit(jax.vmap(eg.log_likelihood, in_axes=(None, 0, 0)))(model, jnp.asarray(TRUTH), both)
    np.testing.assert_allclose(many, alone, rtol=1e-5)
    ensemble = eg.Ensemble([model, moved])
    by_hand = (alone[0] + float(function(moved, TRUTH[0], jax.tree.map(lambda a: a[0], both)))) / 2
    assert float(jax.jit(eg.log_likelihood)(ensemble, TRUTH[0], events[0])) == pytest.approx(by_hand, rel=1e-5)


def test_gradients_by_positions_and_efficiencies_of_modules_over_detectors(model, events, x64):
    """Against central differences, for three detectors at once."""
    event, tables = jax.tree.map(jnp.asarray, events[0]), model.detector
    model = replace(model, source=with_precision(model.source, jnp.float64))
    position = jnp.asarray(tables.position, jnp.float64)
    rng = np.random.default_rng(3)
    positions = position[None] + jnp.asarray(rng.normal(size=(3, *position.shape)))
    efficiencies = jnp.asarray(rng.uniform(0.8, 1.2, (3, len(position))))

    def value(position, efficiency):
        own = tables.replace(position=position, relative_efficiency=efficiency)
        return eg.log_likelihood(replace(model, detector=own), TRUTH[0], event)

    by_position, by_efficiency = jax.jit(jax.vmap(jax.grad(value, argnums=(0, 1))))(positions, efficiencies)
    assert by_position.shape == positions.shape and by_efficiency.shape == efficiencies.shape
    whole = jax.jit(jax.vmap(value))
    lit = int(np.argmax(np.asarray(event.charge)))
    dark = int(np.argmin(np.asarray(event.charge) + 1e9 * ~np.asarray(event.usable)))
    for dom in (lit, dark):
        for axis in range(3):
            step = jnp.zeros_like(positions).at[:, dom, axis].set(1e-4)
            slope = (whole(positions + step, efficiencies) - whole(positions - step, efficiencies)) / 2e-4
            np.testing.assert_allclose(by_position[:, dom, axis], slope, rtol=1e-4, atol=1e-6)
        step = jnp.zeros_like(efficiencies).at[:, dom].set(1e-4)
        slope = (whole(positions, efficiencies + step) - whole(positions, efficiencies - step)) / 2e-4
        np.testing.assert_allclose(by_efficiency[:, dom], slope, rtol=1e-4, atol=1e-6)
    assert np.all(np.abs(np.asarray(by_efficiency)[:, lit]) > 0)


def test_expectations_and_samples_are_functions_of_a_model_too(model):
    times, window, hypothesis = jnp.linspace(9000, 12000, 5), jnp.array([8000.0, 14000.0]), jnp.asarray(TRUTH[0])
    expect = jax.jit(chex.assert_max_traces(dom_expectation, n=1))
    one = expect(model, hypothesis, times, window)
    table = model.detector
    brighter = replace(model, detector=table.replace(relative_efficiency=2 * table.relative_efficiency))
    noise = np.asarray(table.noise_rate) * 6000
    twice = np.asarray(expect(brighter, hypothesis, times, window).charge)
    np.testing.assert_allclose(twice - noise, 2 * (np.asarray(one.charge) - noise), rtol=1e-3, atol=1e-3)
    keys = jax.random.split(jax.random.key(0), 20)
    counts = jax.jit(jax.vmap(lambda key: sample_photoelectrons(model, key, hypothesis, window, 2048).count))(keys)
    assert np.mean(counts) == pytest.approx(float(one.charge.sum()), rel=0.1)


def test_a_printed_model_fits_a_screen(model):
    text = repr(eg.Ensemble([model, model]))
    assert len(text.splitlines()) <= 12 and max(map(len, text.splitlines())) <= 200
    for part in (
        "Ensemble of 2",
        "cascade: AnalyticCascadeSource",
        "noise: NoiseSource",
        "cascade_energy (GeV)",
        "small, 108 DOMs",
        "dom_charge_pdf",
    ):
        assert part in text
    assert "Model" in repr(jax.tree.map(lambda a: None, model))  # whatever stands for a leaf


def test_hypotheses_have_names(model):
    np.testing.assert_array_equal(model.hypothesis(**NAMED), TRUTH[0])
    full = {f"cascade_{name}": value for name, value in NAMED.items()}
    np.testing.assert_array_equal(eg.Ensemble([model]).hypothesis(**full), TRUTH[0])
    old = {"cascade_t" if name == "cascade_time" else name: value for name, value in full.items()}
    np.testing.assert_array_equal(model.hypothesis(**old), TRUTH[0])
    for change, message in (
        ({"enrgy": 1.0}, "'enrgy' is no parameter of the model; it has cascade_x.*Did you mean 'cascade_energy'"),
        ({"energy": None}, "energy: expected a finite number, got None"),
        ({"cascade_x": 1.0}, "'cascade_x' is given twice, the second time as 'cascade_x'"),
        ({"energy": np.nan}, "energy: expected a finite number, got nan"),
        ({"energy": "3e3"}, "energy: expected a finite number, got '3e3'"),
    ):
        with pytest.raises(HypothesisError, match=message):
            model.hypothesis(**{**NAMED, **change})
    with pytest.raises(HypothesisError, match="missing: cascade_energy, cascade_time"):
        model.hypothesis(**{k: v for k, v in NAMED.items() if k not in ("energy", "time")})
    with pytest.raises(ConfigError, match="'energie' is no parameter"):
        model.index("energie")


def test_fits_of_equal_models_share_their_programs(model, events, monkeypatch):
    # Programs of earlier tests may fill the process: nothing is forgotten between these fits.
    monkeypatch.setattr(program_memory, "SHARE", 0.9)
    lamp, seeds = lamp_model(model.detector), np.array([[1.5, 1.0, 0.9, 2.0], [1.2, 1.0, 1.1, 2.5]])
    settings = eg.FitSettings(free={"Absorption": False})
    first = eg.reconstruct(lamp, events[:1], seeds[:1], settings)
    equal = lamp_model(model.detector)
    with programs_built() as built:
        second = eg.reconstruct(equal, events[:1], seeds[:1], eg.FitSettings(free={"Absorption": False}))
        eg.reconstruct(lamp, events[:1], seeds[1:], settings)
    assert built == []
    np.testing.assert_array_equal(first[0].hypothesis, second[0].hypothesis)
    named = first[0].as_dict()
    assert list(named) == list(lamp.parameter_names) and named["brightness"] == first[0].hypothesis[0]


PROGRAM = """
import sys
from evgen_jax.cli.compile_cache import use_compile_cache
use_compile_cache({directory!r})
import jax, jax.numpy as jnp
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((5, 5))).block_until_ready()
print(sum(e.endswith("/cache_hits") for e in events), sum(e.endswith("/cache_misses") for e in events))
"""


def test_a_second_process_compiles_nothing(tmp_path):
    counts = []
    for _ in range(2):
        program = PROGRAM.format(directory=str(tmp_path / "cache"))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        counts.append(tuple(map(int, done.stdout.split())))
    (hits, misses), again = counts
    assert hits == 0 and misses > 0 and again == (misses, 0)
