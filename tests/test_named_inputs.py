"""Named inputs of learned sources: their values, the symmetry they keep, their derivatives, and the layers behind them."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import CASCADE, MUON, ONE, TRACK

import evgen_jax as eg
from evgen_jax.building.model import build_source, hypothesis_of
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.trafo import typical_trafo
from evgen_jax.measurement.sensors import incoming_cosine
from evgen_jax.physics.media import load_medium
from evgen_jax.physics.medium import coefficients_at
from evgen_jax.sources.learned.inputs import INPUTS, SETS, Seen, expanded, named_columns

ALL = tuple(name for name in INPUTS if not INPUTS[name].track)
HORIZONTAL = ("source_x", "source_y", "sensor_x", "sensor_y", "way_x", "way_y", "axis_x", "axis_y", "anisotropy")


def source_of(section, **config):
    own = ModelSettings.model_validate(section | {"config": section["config"] | config})
    return build_source(own, typical_trafo(hypothesis_of(own)))[0]


def seen(source, hypothesis, detector, azimuth=0.3):
    detector = jax.tree.map(jnp.asarray, detector)
    position = jnp.asarray(detector.position, hypothesis.dtype)
    view = source.geometry(hypothesis, source.trafo, detector, source.options)
    return Seen(view, detector, position, incoming_cosine(detector, view.unit), azimuth)


@partial(jax.jit, static_argnums=(0, 1))
def each_of(source, names, hypothesis, detector):
    """The columns of every input [D, c]."""
    return named_columns(names, seen(source, hypothesis, detector))


def columns(source, names, hypothesis, detector):
    return jnp.concatenate(each_of(source, names, jnp.asarray(hypothesis), detector), axis=1)


@pytest.fixture
def cascade():
    return source_of(CASCADE, shift_cascade_vertex=False)


def test_values_of_a_cascade(cascade, loaded_detector, x64):
    zenith, azimuth = ONE[3:5]
    flight = -np.array([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)])
    sensor = np.asarray(loaded_detector.position)[17]
    way = sensor - np.array(ONE[:3])
    r = np.linalg.norm(way)
    cosine = way @ flight / r
    expected = {
        "log_distance": np.log(r / 100),
        "axis_cosine": cosine,
        "axis_cosine_squared": cosine**2,
        "way_up": way[2] / r,
        "axis_up": flight[2],
        "source_z": ONE[2] / 500,
        "sensor_z": sensor[2] / 500,
        "sensor_cosine": way[2] / r,  # modules look down
        "log_energy": np.log(ONE[5] / 1e4) / 3,
        "source_x": ONE[0] / 500,
        "sensor_y": sensor[1] / 500,
        "way_y": way[1] / r,
        "axis_x": flight[0],
        "anisotropy": (1 - (way[2] / r) ** 2) * np.cos(2 * (np.arctan2(way[1], way[0]) - 0.3)),
    }
    found = each_of(cascade, tuple(expected), jnp.asarray(ONE), loaded_detector)
    for own, (name, value) in zip(found, expected.items(), strict=True):
        # Distances count from a centimetre or so less, which keeps derivatives finite.
        assert own[17, 0] == pytest.approx(value, abs=2e-3), name


def test_values_of_the_medium(cascade, loaded_detector, x64):
    medium = loaded_detector.medium
    ends = ONE[2], float(loaded_detector.position[17, 2])
    z = np.linspace(*ends, 20001)
    lengths = float(medium.mean_scattering_length), float(medium.mean_absorption_length)
    along = [np.asarray(c) * length for c, length in zip(coefficients_at(medium, z), lengths, strict=True)]
    names = ("medium_along_way", "medium_at_ends_of_way", "medium_at_source", "medium_at_sensor", "optical_depths")
    every = each_of(cascade, names, jnp.asarray(ONE), loaded_detector)
    found, quarters, at_source, at_sensor, depths = (np.asarray(own)[17] for own in every)
    np.testing.assert_allclose(found[:2], [np.log(c.mean()) for c in along], atol=1e-4)
    assert np.log(along[0].min()) - 0.05 < found[3] < found[0] < found[2] < np.log(along[0].max()) + 0.05
    np.testing.assert_allclose(quarters[:2], [np.log(c[:5001].mean()) for c in along], atol=1e-4)
    np.testing.assert_allclose(quarters[2:], [np.log(c[-5001:].mean()) for c in along], atol=1e-4)
    for found, place in ((at_source, ends[0]), (at_sensor, ends[1])):
        above = coefficients_at(medium, np.linspace(place, place + 40, 20001))
        np.testing.assert_allclose(
            found[2:4], [np.log(np.mean(c) * length) for c, length in zip(above, lengths, strict=True)], atol=1e-4
        )
    r = np.linalg.norm(np.asarray(loaded_detector.position)[17] - ONE[:3])
    np.testing.assert_allclose(
        depths, [r * c.mean() / length / 10 for c, length in zip(along, lengths, strict=True)], rtol=1e-3
    )


def test_a_homogeneous_medium_gives_constants(cascade, loaded_detector):
    water = loaded_detector.replace(medium=load_medium("mediterranean_water"))
    found = columns(cascade, ("medium_along_way", "medium_at_source", "medium_at_sensor"), ONE, water)
    np.testing.assert_allclose(found, jnp.broadcast_to(found[:1], found.shape), atol=1e-6)


def test_level_layers_look_the_same_from_everywhere(cascade, loaded_detector, x64):
    """A horizontal shift and a turn about the vertical of source and detector change no input that keeps the symmetry."""
    turn = 0.7
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
    names = tuple(name for name in ALL if name not in HORIZONTAL)
    shift = np.array([40.0, -70.0, 0.0])
    moved = loaded_detector.replace(position=np.asarray(loaded_detector.position, np.float64) @ rotation.T + shift)
    plain = loaded_detector.replace(position=np.asarray(loaded_detector.position, np.float64))
    there = np.array([*(rotation @ ONE[:3] + shift), ONE[3], ONE[4] + turn, *ONE[5:]])
    np.testing.assert_allclose(
        columns(cascade, names, there, moved), columns(cascade, names, ONE, plain), rtol=1e-9, atol=1e-9
    )
    changed = columns(cascade, HORIZONTAL, there, moved) - columns(cascade, HORIZONTAL, ONE, plain)
    assert np.all(np.max(np.abs(changed), axis=0) > 1e-3)


def test_derivatives_are_finite_and_exact(cascade, loaded_detector, x64):
    position = np.asarray(loaded_detector.position, np.float64)
    level = np.array([5.0, 6.0, position[17, 2], *ONE[3:]])
    function = jax.jit(lambda h: columns(cascade, ALL, h, loaded_detector))
    second = jax.jit(jax.jacfwd(jax.jacfwd(function)))
    for place in (level[:3], position[17], [5e3, 0, 0]):  # level with a module, in a module, far away
        hypothesis = jnp.array([*place, *ONE[3:]])
        assert np.all(np.isfinite(function(hypothesis))) and np.all(np.isfinite(second(hypothesis))), place
    slope, step = jax.jit(jax.jacfwd(function))(jnp.asarray(level))[..., 2], 1e-4
    ends = [function(level + sign * step * np.eye(7)[2]) for sign in (1, -1)]
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), atol=1e-5)


def test_a_track_has_its_own_inputs(loaded_detector):
    track = source_of(TRACK)
    found = columns(track, SETS["track"], MUON, loaded_detector)
    view = jax.jit(lambda h: seen(track, h, loaded_detector).view)(jnp.asarray(MUON))
    np.testing.assert_allclose(found[:, 0], np.log(view.approach / 100), rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], view.along / 500, rtol=1e-5)
    np.testing.assert_allclose(found[:, 2], np.log(MUON[3] / 1e4) / 3, rtol=1e-5)
    # The light leaves the track under the Cherenkov angle.
    cosine = columns(track, ("axis_cosine",), MUON, loaded_detector)
    np.testing.assert_allclose(cosine, 1 / float(loaded_detector.medium.phase_index), rtol=5e-3)


NAMED = {"inputs": ["invariant", "medium"], "layer_start": "fan_in"}


@pytest.mark.parametrize("section, hypothesis", [(CASCADE, ONE), pytest.param(TRACK, MUON, marks=pytest.mark.nightly)])
def test_sources_of_named_inputs_are_models_like_others(section, hypothesis, loaded_detector, tmp_path):
    own = NAMED | {"num_filters_list": [6, 6, 2], "time_filters_list": [7, 8], "activation_list": ["silu", "silu", ""]}
    own |= {"num_embedding_vars": 2, "add_dom_angular_acceptance": False}
    source = source_of(section, **own)
    detector = jax.tree.map(jnp.asarray, loaded_detector)
    variables = source.init_variables(jax.random.key(0), detector)
    weights = variables["params"]
    assert np.all(weights["embedding"] == 0) and weights["times"]["layer_00_kernel"].shape[-1] == 7
    model = eg.Model(source, variables, source.trafo, detector)
    event = eg.Event.from_pulses([1.0, 2.0], [10000.0, 10100.0], [1, 2], [1, 2], detector=detector)
    log_likelihood = jax.jit(eg.log_likelihood)
    before = log_likelihood(model, jnp.asarray(hypothesis), event)
    assert np.isfinite(before)
    assert np.all(
        np.isfinite(jax.jit(jax.hessian(eg.log_likelihood, argnums=1))(model, jnp.asarray(hypothesis), event))
    )
    loaded = eg.load_model(eg.save_model(model, tmp_path / "model"))
    assert loaded.source == source and log_likelihood(loaded, jnp.asarray(hypothesis), event) == before
    by_weights = jax.grad(lambda v: eg.log_likelihood(replace(model, variables=v), jnp.asarray(hypothesis), event))
    assert np.any(jax.jit(by_weights)(variables)["params"]["embedding"] != 0)


def test_layers_of_usual_start(loaded_detector):
    source = source_of(CASCADE, num_filters_list=[400, 400, 10], method_list="convolution", layer_start="fan_in")
    weights = source.init_variables(jax.random.key(0), jax.tree.map(jnp.asarray, loaded_detector))["params"][
        "DomNetwork_0"
    ]
    assert set(weights) == {f"layer_0{i}_{name}" for i in range(3) for name in ("kernel", "bias")}
    for i, factor in enumerate((1, 1, 0.01)):
        kernel = np.asarray(weights[f"layer_0{i}_kernel"])
        assert kernel.std() * np.sqrt(len(kernel)) == pytest.approx(factor * 0.88, rel=0.05)  # truncated at two
        assert np.all(weights[f"layer_0{i}_bias"] == 0)


def test_sets_and_names_count_once():
    assert expanded(("way_up", "invariant", "way_up")) == ("way_up", *(n for n in SETS["invariant"] if n != "way_up"))


@pytest.mark.parametrize(
    "config, message",
    [
        ({"inputs": ["invariants"]}, "'invariants' is unknown.*invariant"),
        ({"inputs": []}, "expected one at least"),
        ({"inputs": ["track"]}, "known of tracks, not of cascades"),
        ({"inputs": ["invariant", "anisotropy"]}, "anisotropy_azimuth"),
        ({"inputs": ["invariant"], "add_log_distance": True}, "add_log_distance.*event_generator"),
        ({"light_along_way": True}, "no effect"),
        ({"time_filters_list": [4, 8]}, "num_filters_list ends with 10.*2 .charge. and 8 .time."),
        ({"layer_start": "fanin"}, "layer_start.*fan_in"),
    ],
)
def test_what_cannot_be_is_told(config, message):
    with pytest.raises(ConfigError, match=message):
        source_of(CASCADE, **config)


def test_weights_of_other_inputs_are_refused(loaded_detector, tmp_path):
    detector = jax.tree.map(jnp.asarray, loaded_detector)
    for name, inputs in (("a", ["invariant"]), ("b", ["invariant", "medium"])):
        source = source_of(CASCADE, inputs=inputs)
        eg.save_model(
            eg.Model(source, source.init_variables(jax.random.key(0), detector), source.trafo, detector),
            tmp_path / name,
        )
    text = (tmp_path / "b" / "model.json").read_text()
    (tmp_path / "a" / "model.json").write_text(text)
    with pytest.raises(eg.EvgenError):
        eg.load_model(tmp_path / "a")
