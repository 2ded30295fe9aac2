"""What holds for every member of the zoo, by one table."""

from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import (
    ANALYTIC,
    ANALYTIC_EQUIDISTANT,
    CASCADE,
    CASCADE_11,
    EVERY,
    MUON,
    NOISE,
    ON_TRACK,
    RADIUS,
    TRACK,
    ZOO,
    learned,
    section,
    settings_of,
)

import evgen_jax as eg
from evgen_jax.approximation.near_and_far import part_of_detector
from evgen_jax.building.directory import load_model, save_model
from evgen_jax.building.model import build_source
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.hypothesis.trafo import Trafo, typical_trafo
from evgen_jax.light.superposition import MultiSource, suitable_chunk, sum_of_copies
from evgen_jax.measurement.detector import load_detector
from evgen_jax.measurement.event import build_event
from evgen_jax.physics.geometry import flight_direction, origin_angles
from evgen_jax.sources.composite.edge import inside
from evgen_jax.sources.learned.cascade import PARAMETERS as CASCADE_PARAMETERS
from evgen_jax.sources.linen_source import empty_event

LOSSES = [
    {"config": {"loss_function_name": "unbinned_pulse_time_mpe_llh"}},
    {"config": {"loss_function_name": "dom_charge_pdf"}},
]


def trafo_of(names) -> Trafo:
    return typical_trafo(read_parameters(names))


@pytest.fixture(scope="module")
def event():
    """Two hundred pulses on a dozen DOMs, two excluded windows."""
    rng = np.random.default_rng(0)
    dom = np.sort(rng.integers(20, 70, 12))[rng.integers(0, 12, 200)]
    return build_event(
        rng.uniform(0.2, 2, 200),
        rng.uniform(9500, 11000, 200),
        dom,
        num_doms=108,
        readout=(9000.0, 12000.0),
        windows=np.array([[9700.0, 9900.0], [10100.0, 10500.0]]),
        window_dom=np.unique(dom)[:2],
        drop_in_windows=True,
    )


MODELS: dict = {}


def with_weights(variables):
    """Fresh ones say too little about the inputs."""
    return jax.tree.map(lambda x: x + 0.05 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), variables)


def test_light_has_no_cusp_where_a_shower_points_at_a_dom(loaded_detector, x64):
    """The slope of a DOM's charge by the direction jumps with the angle as an input, and does not with its cosine."""
    jumps = {}
    for smooth in (False, True):
        settings = ModelSettings.model_validate(
            learned("DefaultCascadeModel", opening_angle_as_cosine=smooth, float_precision="float64")
        )
        source, _ = build_source(settings, trafo_of(CASCADE_PARAMETERS))
        detector = jax.tree.map(jnp.asarray, loaded_detector)
        variables = with_weights(source.init_variables(jax.random.key(1), detector))
        vertex = np.array([10.0, -20.0, 15.0])
        zenith, azimuth = origin_angles(jnp.asarray(detector.position[40], float) - vertex)

        aimed = jnp.array([*vertex, zenith, azimuth, 3000.0, 10000.0])
        charge = jax.jit(
            jax.grad(lambda h, s=source, v=variables, d=detector: s.light_yield(v, h, empty_event(108), d).charge[40])
        )
        before, after = (float(charge(aimed.at[3].add(side * 1e-5))[3]) for side in (-1.0, 1.0))
        jumps[smooth] = abs(after - before)
    assert jumps[False] > 1e-3 > 1e-5 > jumps[True], jumps


@pytest.fixture
def member(request, loaded_detector):
    """A member of the zoo with weights that matter, and its hypothesis."""
    name = request.param
    if name not in MODELS:
        settings = settings_of(name)
        names = build_source(settings)[0].parameter_names
        source, _ = build_source(settings, trafo_of(names))
        detector = jax.tree.map(jnp.asarray, loaded_detector)
        variables = with_weights(source.init_variables(jax.random.key(1), detector))
        plain = {"model_settings": settings.model_dump(mode="json"), "loss_module_settings": LOSSES}
        MODELS[name] = eg.Model(source, variables, trafo_of(names), detector, settings=plain)
    return MODELS[name], np.array(ZOO[name][1], np.float32)


EVERY_NIGHT = {
    "analytic track": "analytic cascade",
    "cascade and noise": "sum of sums",
    "finite track": "track",
    "starting cascades with systematics": "starting cascades",
    "track with cascades": "track with equidistant cascades",
    "track with cascades as one source": "track with equidistant cascades",
}
"""Members of the nightly run alone, each with one of every day that has its kind of sum."""
everything = pytest.mark.parametrize(
    "member",
    [pytest.param(name, marks=pytest.mark.nightly) if name in EVERY_NIGHT else name for name in ZOO],
    indirect=True,
)
singles = pytest.mark.parametrize("member", ["cascade with systematics", "track", "analytic cascade"], indirect=True)
sums = pytest.mark.parametrize(
    "member",
    [
        "sum of sums",
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("starting cascades", "track with cascades")),
    ],
    indirect=True,
)


@partial(jax.jit, static_argnums=(0, 5))
def evaluate(source, variables, hypotheses, event, detector, cumulative=True):
    """Light of hypotheses [2, H] and the gradients of a sum over all of it; compiled once per source."""

    def scalar(h):
        light = source.light_yield(variables, h, event, detector, cumulative)
        return sum(jnp.sum(jnp.log(x + 1e-6)) for x in jax.tree.leaves(light)), light

    (_, light), slope = jax.vmap(jax.value_and_grad(scalar, has_aux=True))(hypotheses)
    return light, slope


def arguments(model, h, event, source=None):
    source = source or model.source
    # The cumulative light of analytic sources takes half a minute to compile; one of them stands for all.
    cumulative = "Analytic" not in repr(source) or source == dict(MODELS).get("analytic cascade", model).source
    return source, model.variables, np.stack([h, h * np.float32(1.001)]), event, model.detector, cumulative


@everything
def test_light_and_gradients_are_finite_and_compose(member, event):
    model, h = member
    assert h.shape == (len(model.parameter_names),)
    light, slope = evaluate(*arguments(model, h, event))
    assert light.charge.shape == (2, 108) and light.density.shape == (2, len(event.pulses.time))
    for value in (*jax.tree.leaves(light), slope):
        assert np.all(np.isfinite(value))
    assert np.all(slope[0] != 0), [n for n, s in zip(model.parameter_names, slope[0], strict=True) if s == 0]
    assert np.all(light.charge <= light.charge_full * (1 + 1e-5)) and np.all(light.excess >= 0)
    assert np.any(light.charge[0] != light.charge[1])


@everything
def test_saved_and_loaded_models_are_the_same(member, event, tmp_path):
    model, h = member
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert loaded.parameter_names == model.parameter_names and loaded.source == model.source
    chex.assert_trees_all_equal(loaded.variables, model.variables)
    own, other = (evaluate(*arguments(m, h, event)) for m in (model, loaded))
    chex.assert_trees_all_equal(own, other)


@singles
def test_arrival_times_are_a_distribution(member):
    model, h = member
    start, stop = 8000.0, 30000.0
    times = np.concatenate([np.linspace(start, 9900, 40), np.linspace(9910, 11500, 250), np.geomspace(11510, stop, 60)])
    view = jax.jit(eg.make_dom_expectation(model, (start, stop)))(model.variables, h, times.astype(np.float32))
    total = np.trapezoid(np.asarray(view.pdf, np.float64), times, axis=1)
    inside = np.asarray(view.cdf)[:, -1] - np.asarray(view.cdf)[:, 0]
    # Near DOMs see light within nanoseconds, where the steps are coarse.
    lit = np.asarray(view.charge) > 1e-5
    assert lit.sum() > 50
    np.testing.assert_allclose(np.sort(np.abs(total - inside)[lit])[:-6], 0, atol=0.02)


@sums
def test_chunks_make_no_difference(member, event):
    model, h = member
    results = []
    for chunk in (8, 1):
        light, slope = evaluate(*arguments(model, h, event, rechunked(model.source, chunk)))
        results.append((light, slope / np.abs(slope).max()))
    # Sums of parts that differ by orders of magnitude, in another order of float32 additions.
    chex.assert_trees_all_close(results[0][0], results[1][0], rtol=3e-5, atol=1e-7)
    chex.assert_trees_all_close(results[0][1], results[1][1], rtol=1e-4, atol=2e-6)


def test_memory_does_not_grow_with_the_number_of_copies(event, detector):
    """What the backward pass of many copies needs beside its arguments; of few, each keeps its own."""
    detector = jax.tree.map(jnp.asarray, detector)
    source, _ = build_source(ModelSettings.model_validate(CASCADE))
    weights = source.init_variables(jax.random.key(0), detector)

    def total(weights, parameters):
        return jnp.sum(sum_of_copies(source, weights, parameters, None, event, detector).charge)

    memory = {}
    for number in (16, 160):
        parameters = jnp.tile(jnp.array([10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 10000.0]), (number, 1))
        compiled = jax.jit(jax.value_and_grad(total)).lower(weights, parameters).compile()
        value, _ = compiled(weights, parameters)
        memory[number] = (float(value) / number, compiled.memory_analysis().temp_size_in_bytes)
    np.testing.assert_allclose(memory[16][0], memory[160][0], rtol=1e-5)
    assert memory[160][1] < 1.5 * memory[16][1]
    cpu = jax.default_backend() == "cpu"
    assert [suitable_chunk(number) for number in (5160, 108)] == ([1, 8] if cpu else [8, 8])


def rechunked(source, chunk):
    if not isinstance(source, MultiSource):
        return source
    return replace(source, chunk=chunk, bases=tuple((n, rechunked(b, chunk)) for n, b in source.bases))


@pytest.mark.parametrize("member", ["two cascades of one base", "sum of sums"], indirect=True)
def test_the_order_of_sources_makes_no_difference(member, event):
    model, h = member
    half = len(h) // 2
    swapped = np.concatenate([h[half:], h[:half]])
    light, _ = evaluate(*arguments(model, h, event))
    other, _ = evaluate(*arguments(model, swapped, event))
    chex.assert_trees_all_close(light, other, rtol=1e-5, atol=1e-9)


def sub_sources(name, detector):
    source, _ = build_source(settings_of(name))
    return source.expand(jnp.asarray(ZOO[name][1], jnp.float32), detector)


def test_cascades_lie_where_the_formulas_say(loaded_detector):
    c = 0.299792458
    (cascades, mask) = sub_sources("starting cascades", loaded_detector)["cascade"]
    x, zenith, azimuth, time = np.array(ZOO["starting cascades"][1][:3]), 1.1, 2.0, 10000.0
    u = np.asarray(flight_direction(jnp.array(zenith), jnp.array(azimuth)))
    assert mask is None and cascades.shape == (4, 7)
    np.testing.assert_allclose(cascades[0], ZOO["starting cascades"][1][:7], rtol=1e-6)
    for row, (energy, distance) in zip(cascades[1:], [(2000, 30), (500, 60), (1000, 90)], strict=True):
        np.testing.assert_allclose(row, [*(x + distance * u), zenith, azimuth, energy, time + distance / c], rtol=1e-5)

    parts = sub_sources("track with equidistant cascades", loaded_detector)
    np.testing.assert_allclose(parts["track"][0][0], MUON)
    entry = RADIUS * np.array([np.sin(1.2) * np.cos(2.1), np.sin(1.2) * np.sin(2.1), np.cos(1.2)])
    u = np.asarray(flight_direction(jnp.array(1.0), jnp.array(2.0)))
    for i, (row, energy) in enumerate(zip(parts["cascade"][0], [10, 0, 700, 3, 20], strict=True)):
        distance = (i + 0.5) * 120
        np.testing.assert_allclose(
            row, [*(entry + distance * u), 1.0, 2.0, energy, 9200 + distance / c], rtol=1e-4, atol=1e-3
        )
    free = sub_sources("track with cascades", loaded_detector)["cascade"][0]
    np.testing.assert_allclose(free[:, 5], [2000, 500, 1000], rtol=1e-5)

    finite = sub_sources("finite track", loaded_detector)["cascade"][0]
    np.testing.assert_allclose(np.linalg.norm(np.diff(finite[:, :3], axis=0), axis=1), 40, rtol=1e-4)


def test_a_cascade_beyond_the_edge_fades_and_can_come_back(loaded_detector):
    source, _ = build_source(settings_of("starting cascades"))
    h = jnp.asarray(ZOO["starting cascades"][1])

    def energy(distance, detector=loaded_detector):
        return source.expand(h.at[8].set(distance), detector)["cascade"][0][1, 5]

    far, slope = jax.value_and_grad(energy)(1500.0)
    assert 0 <= far < 1e-3 * h[7] and np.isfinite(slope)
    assert jax.grad(energy)(500.0) < 0  # closer gives more light
    # A larger detector sees the same cascade, and so do all of them at once.
    sizes = jnp.array([1.0, 3.0, 20.0])
    larger = jax.vmap(lambda s: energy(500.0, loaded_detector.replace(position=s * loaded_detector.position)))(sizes)
    assert larger[0] < 0.1 * h[7] and np.all(larger[1:] == h[7])


def test_nothing_fades_inside_the_box_and_smoothly_outside(loaded_detector, x64):
    """The box of IceCube's modules and 200 m around them: all of +- 700 m, to the edge."""
    icecube = load_detector()
    corners = 700 * jnp.stack(jnp.meshgrid(*[jnp.array([-1.0, 0.3, 1.0])] * 3), axis=-1).reshape(-1, 3)
    assert np.all(inside(corners, icecube) == 1)
    assert np.all(jax.jacrev(lambda p: inside(p, icecube).sum())(corners) == 0)
    edge = float(np.max(np.asarray(icecube.position)[:, 2])) + 200

    def share(z):
        return inside(jnp.array([[10.0, -20.0, z]]), icecube)[0]

    assert share(edge) == 1 and share(edge + 100) < 1e-4
    step = 1e-3  # the second derivative, from below 0, begins at 0
    assert abs(jax.grad(jax.grad(share))(edge + step)) < 1e-4
    slopes = jax.vmap(jax.grad(share))(edge + jnp.linspace(0, 1000, 2001))
    assert np.all(slopes[1:] < 0) and np.max(-slopes) < 0.1  # at most one width of ten metres
    # A part of a detector keeps the box of the whole.
    part = part_of_detector(icecube, jnp.arange(60))
    np.testing.assert_array_equal(inside(corners, part), 1)


def test_a_track_is_the_sum_of_its_parts(event, loaded_detector):
    """Dark cascades leave the track alone; half the length of all segments gives half the light."""
    source, _ = build_source(ModelSettings.model_validate(ANALYTIC_EQUIDISTANT))
    alone, _ = build_source(settings_of("analytic track"))
    variables = source.init_variables(jax.random.key(0), loaded_detector)
    h = jnp.asarray(MUON + [0.0] * 5, jnp.float32)
    both = jax.jit(lambda h: source.light_yield(variables, h, event, loaded_detector))(h)
    track = jax.jit(lambda h: alone.light_yield({"segment": {}}, h, event, loaded_detector))(h[:6])
    chex.assert_trees_all_close(both, track, rtol=3e-5, atol=1e-8)
    segment = dict(alone.bases)["segment"]
    theta = alone.expand(h[:6], loaded_detector)["segment"][0][3]
    light = jax.jit(lambda theta: segment.light_yield({}, theta, event, loaded_detector))
    chex.assert_trees_all_close(
        light(theta.at[7].multiply(0.5)) + light(theta.at[7].multiply(0.5)), light(theta), rtol=1e-5, atol=1e-12
    )


WRONG = {
    "no cascade": (
        section("StartingVariableMultiCascadeModel", {"cascade": CASCADE}, num_cascades=0),
        "num_cascades: expected a whole number >= 1, got 0",
    ),
    "negative number": (
        section("StartingVariableMultiCascadeModel", {"cascade": CASCADE}, num_cascades=-3),
        "num_cascades: expected a whole number >= 1, got -3",
    ),
    "other bases": (
        section("InfSphereTrackVariableMultiCascadeModel", {"cascade": CASCADE}, **ON_TRACK),
        "multi_source_bases must be track and cascade; got cascade",
    ),
    "noise as a cascade": (
        section("StartingVariableMultiCascadeModel", {"cascade": NOISE}, num_cascades=2),
        "must have the parameters x, y, z",
    ),
    "wide spacing": (
        section(
            "InfSphereTrackEquidistantCascadeModel",
            {"track": TRACK, "cascade": CASCADE},
            cascade_spacing=700.0,
            sphere_radius=RADIUS,
        ),
        "700 m is larger than the sphere of 600 m",
    ),
    "no radius": (section("EnteringSphereInfTrack"), "sphere_radius: expected a number > 0, got None"),
    "unknown option": (
        section("InfSphereTrackEquidistantCascadeModel", {"track": TRACK, "cascade": CASCADE}, **EVERY, spacing=3.0),
        "spacing: unknown key.*cascade_spacing",
    ),
    "unknown ice": (section("AnalyticCascadeModel", ice_parameters=["Absorbtion"]), "Did you mean 'Absorption'"),
    "one parameter twice": (
        CASCADE | {"config": CASCADE["config"] | {"snowstorm_parameter_names": [["Absorption", 1], ["Absorption", 1]]}},
        "have the name Absorption",
    ),
    "two precisions": (
        section(
            "IndependentMultiSource",
            {"a": CASCADE, "b": CASCADE | {"config": CASCADE["config"] | {"float_precision": "float64"}}},
            sources={"a": "a", "b": "b"},
        ),
        "different precisions: model_settings.a float32 and model_settings.b float64",
    ),
    "undefined base": (
        section("IndependentMultiSource", {"cascade": CASCADE}, sources={"a": "casade"}),
        "multi_source_bases.*Did you mean 'cascade'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_hypotheses_that_do_not_fit(case):
    settings, message = WRONG[case]
    with pytest.raises(ConfigError, match=message) as error:
        build_source(ModelSettings.model_validate(settings))
    assert "model_settings" in str(error.value)


def test_normalisation_of_parts_follows_from_the_whole():
    """Bases that are built in place get their share of the joint transformation, further parameters included."""
    settings = settings_of("starting cascades with systematics")
    names = build_source(settings)[0].parameter_names
    source, _ = build_source(settings, trafo_of(names))
    base = dict(source.bases)["cascade"]
    assert base.trafo.parameter_names == CASCADE_PARAMETERS + names[7:11]
    assert base.trafo.mean[:11] == trafo_of(names).mean[:11]
    track = settings_of("track with equidistant cascades")
    names = build_source(track)[0].parameter_names
    bases = dict(build_source(track, trafo_of(names))[0].bases)
    assert bases["track"].trafo.parameter_names == names[:6]
    cascade = bases["cascade"].trafo
    assert cascade.parameter_names == CASCADE_PARAMETERS and cascade.log[5] and cascade.std[0] == RADIUS / 3**0.5
    assert ANALYTIC["model_class"] == "AnalyticCascadeModel" and CASCADE_11["config"]["snowstorm_parameter_names"]
