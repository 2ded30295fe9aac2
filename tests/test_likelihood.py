"""The likelihood as other JAX code uses it: pure, composable, one trace per bucket, right by construction."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.experiment import build_model
from evgen_jax.building.model import build_source
from evgen_jax.config.records import ModelSettings
from evgen_jax.config.validate import load_config
from evgen_jax.decoders import FAMILIES, Decoder
from evgen_jax.measurement.event import build_event
from evgen_jax.model.likelihood import Loss, LossTerm
from evgen_jax.model.terms import TERMS, floored, pulse_cdf, pulse_pdf
from evgen_jax.sources.analytic.point_source import AnalyticCascadeSource
from evgen_jax.sources.composite.independent import independent_multi_source
from evgen_jax.sources.learned.noise import NoiseSource

HYPOTHESIS = np.array([10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 10000.0], np.float32)


@pytest.fixture(scope="module")
def model(experiment):
    return build_model(load_config(experiment / "config.yaml"))


@pytest.fixture(scope="module")
def oracle(loaded_detector):
    return analytic_model(loaded_detector)


SAMPLERS = {}


def simulated(oracle, seed=0, windows=0):
    if id(oracle) not in SAMPLERS:
        SAMPLERS[id(oracle)] = jax.jit(eg.make_sampler(oracle, max_photoelectrons=4096))
    pulses = SAMPLERS[id(oracle)](oracle.variables, jax.random.key(seed), HYPOTHESIS)
    keep = np.asarray(pulses.mask)
    dom, time = np.asarray(pulses.dom)[keep], np.asarray(pulses.time)[keep].astype(float)
    rng = np.random.default_rng(seed)
    window_dom = np.unique(dom)[:windows]
    start = 10000 + rng.uniform(0, 300, len(window_dom))
    return build_event(
        np.ones(len(dom)),
        time,
        dom,
        num_doms=108,
        readout=(0.0, 20000.0),
        drop_in_windows=True,
        windows=np.stack([start, start + 400], axis=1),
        window_dom=window_dom,
    )


@pytest.mark.parametrize("kind", ["model", pytest.param("oracle", marks=pytest.mark.nightly)])
def test_composes_with_every_transformation(kind, request, oracle):
    model = request.getfixturevalue(kind)
    event = simulated(oracle)
    function = eg.make_log_likelihood(model)
    value, gradient = jax.jit(jax.value_and_grad(function, argnums=1))(model.variables, HYPOTHESIS, event)
    assert np.isfinite(value) and np.isfinite(gradient).all() and np.any(gradient != 0)
    np.testing.assert_allclose(jax.jit(function)(model.variables, HYPOTHESIS, event), value, rtol=1e-5)
    _, slope = jax.jit(lambda v, h, e, t: jax.jvp(lambda x: function(v, x, e), (h,), (t,)))(
        model.variables, HYPOTHESIS, event, np.ones(7, np.float32)
    )
    assert float(slope) == pytest.approx(float(np.sum(gradient)), rel=1e-3)
    batch = eg.stack_events([event, simulated(oracle, 1)])
    hypotheses = np.stack([HYPOTHESIS, HYPOTHESIS + 1])
    many = jax.jit(jax.vmap(function, in_axes=(None, 0, 0)))(model.variables, hypotheses, batch)
    np.testing.assert_allclose(many[0], value, rtol=1e-5)
    mapped = jax.pmap(function, in_axes=(None, 0, 0))(
        model.variables, hypotheses[:1], jax.tree.map(lambda x: x[:1], batch)
    )
    np.testing.assert_allclose(mapped[0], value, rtol=1e-5)


def test_hessian_and_gradient_agree_with_differences(model, oracle, x64):
    event = simulated(oracle)
    model64 = to_float64(model)
    function = jax.jit(eg.make_log_likelihood(model64))
    gradient = jax.jit(jax.grad(eg.make_log_likelihood(model64), argnums=1))
    h = jnp.asarray(HYPOTHESIS, jnp.float64)
    hessian = jax.jit(jax.hessian(eg.make_log_likelihood(model64), argnums=1))(model64.variables, h, event)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-6, atol=1e-8)
    for i, step in enumerate([1e-3, 1e-3, 1e-3, 1e-5, 1e-5, 1e-2, 1e-3]):
        shift = jnp.zeros(7).at[i].set(step)
        slope = (function(model64.variables, h + shift, event) - function(model64.variables, h - shift, event)) / (
            2 * step
        )
        assert float(slope) == pytest.approx(float(gradient(model64.variables, h, event)[i]), rel=1e-4, abs=1e-6)
        row = (gradient(model64.variables, h + shift, event) - gradient(model64.variables, h - shift, event)) / (
            2 * step
        )
        np.testing.assert_allclose(row, hessian[i], rtol=1e-3, atol=1e-5)


def to_float64(model):
    from dataclasses import replace

    bases = tuple((n, b.clone(dtype=jnp.float64)) for n, b in model.source.bases)
    variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), model.variables)
    return replace(model, source=replace(model.source, bases=bases), variables=variables)


def test_one_trace_per_bucket(model, oracle):
    function = jax.jit(chex.assert_max_traces(eg.make_log_likelihood(model), n=1))
    events = [simulated(oracle, seed) for seed in range(8)]
    like_first = [e for e in events if jax.tree.map(jnp.shape, e) == jax.tree.map(jnp.shape, events[0])]
    assert len(like_first) > 2
    for seed, event in enumerate(like_first):
        function(model.variables, HYPOTHESIS * (1 + 0.01 * seed), event)


def test_more_padding_and_another_order_of_pulses_change_nothing(model, oracle):
    event = simulated(oracle, windows=3)
    function = jax.jit(eg.make_log_likelihood(model))
    value = function(model.variables, HYPOTHESIS, event)
    from evgen_jax.measurement.padding import repad

    longer = repad(event, event.pulses.charge.shape[0] * 2, event.active.shape[0] * 2, event.windows.start.shape[0] * 2)
    np.testing.assert_allclose(function(model.variables, HYPOTHESIS, longer), value, rtol=1e-6)
    rng = np.random.default_rng(0)
    d = model.detector
    dom = np.asarray(event.active)[event.pulses.slot][event.pulses.mask]
    time, charge = event.pulses.time[event.pulses.mask], event.pulses.charge[event.pulses.mask]
    order = rng.permutation(len(dom))

    def make(o):
        string, om = np.asarray(d.string)[dom[o]], np.asarray(d.om)[dom[o]]
        return eg.Event.from_pulses(charge[o], time[o], string, om, detector=d, readout=(0.0, 20000.0))

    for a, b in zip(jax.tree.leaves(make(order)), jax.tree.leaves(make(np.arange(len(dom)))), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module", params=[0, 4])
def seen(request, model, oracle):
    """An event with so many excluded windows, and the light of the model."""
    event = jax.tree.map(jnp.asarray, simulated(oracle, windows=request.param))
    return event, jax.jit(model.source.light_yield, static_argnums=4)(
        model.variables, HYPOTHESIS, event, model.detector, True
    )


@pytest.mark.parametrize("name", list(TERMS))
def test_sorted_terms_sum_to_the_loss(seen, name):
    event, light = seen
    both = Loss((LossTerm(name, weight=0.7), LossTerm("dom_charge_pdf", weight=2.0)))
    single = [Loss((LossTerm(name),)), Loss((LossTerm("dom_charge_pdf"),))]

    @jax.jit
    def evaluate(light, event):
        return both.sorted(light, event), both(light, event), [loss(light, event) for loss in single]

    (scalar, per_event, per_dom), total, parts = evaluate(light, event)
    assert per_dom.shape == (108,)
    assert float(scalar + per_event + jnp.sum(per_dom)) == pytest.approx(float(total), rel=1e-5)
    assert float(0.7 * parts[0] + 2.0 * parts[1]) == pytest.approx(float(total), rel=1e-5)


def test_shares_of_the_charge_are_those_of_the_reference(x64):
    """It divides by the sum of the expected charges and 1e-7 PE; without a usable module the gradient is 0."""
    event = build_event(
        np.array([3.0, 2.0]),
        np.array([1.0, 2.0]),
        np.array([0, 2]),
        num_doms=3,
        readout=(0.0, 10.0),
        usable=np.array([True, True, False]),
    )
    charge = jnp.array([2e-7, 4e-7, 1.0])

    def term(charge, event):
        light = eg.LightYield(charge, charge, 0 * charge, jnp.ones(event.pulses.time.shape))
        return TERMS["normalized_dom_charge_pdf"](light, event).dom

    np.testing.assert_allclose(term(charge, event), [-3 * np.log(2 / 7), 0, 0], rtol=1e-6)
    dark = event.replace(usable=np.zeros(3, bool))
    np.testing.assert_array_equal(jax.grad(lambda q: term(q, dark).sum())(charge), np.zeros(3))


@pytest.mark.parametrize("kind", ["model", "oracle"])
def test_density_integrates_to_one_at_every_dom(kind, request):
    model = request.getfixturevalue(kind)
    start, stop = 9000.0, 20000.0
    times = np.concatenate(
        [np.linspace(start, 9990, 60), np.linspace(9991, 10500, 500), np.geomspace(10505, stop, 240)]
    )
    view = jax.jit(eg.make_dom_expectation(model, (start, stop)))(model.variables, HYPOTHESIS, times.astype(np.float32))
    total = np.trapezoid(np.asarray(view.pdf, np.float64), times, axis=1)
    # The untrained network has components of several microseconds that reach out of the window.
    inside = np.asarray(view.cdf)[:, -1] - np.asarray(view.cdf)[:, 0]
    # Near DOMs see light within nanoseconds, where the steps are coarse.
    np.testing.assert_allclose(np.sort(np.abs(total - inside))[:-4], 0, atol=1e-2)
    if kind == "oracle":
        np.testing.assert_allclose(np.sort(np.abs(total - 1))[:-4], 0, atol=1e-2)


def test_exclusion_windows_are_exact_for_a_sum_of_sources(oracle, x64):
    """9.5: the density of a surviving pulse is sum q_i p_i / sum q_i (1 - F_i), by direct integration."""
    event = simulated(oracle, windows=2)
    function = jax.jit(
        lambda e: floored(oracle.source.light_yield(oracle.variables, HYPOTHESIS, e, oracle.detector, True))
    )
    light = function(event)
    plain = function(event.replace(windows=jax.tree.map(lambda x: x[:0], event.windows)))
    for w in range(2):
        d = int(event.active[event.windows.slot[w]])
        low, high = float(event.windows.start[w]), float(event.windows.stop[w])
        from evgen_jax.model.expectation import probe

        probe = probe(108, jnp.zeros(108), (0.0, 20000.0))

        def density(t, d=d, probe=probe):
            pulses = probe.pulses.replace(time=jnp.full(108, t))
            return float(function(probe.replace(pulses=pulses)).density[d])

        inside = quad(density, low, high, epsabs=1e-7, limit=60)[0]
        assert float(light.charge[d]) == pytest.approx(float(plain.charge[d]) - inside, rel=1e-4, abs=1e-6)
    chosen = np.asarray(event.pulses.mask)
    ratio = np.asarray(pulse_pdf(light, event) * light.charge[event.active[event.pulses.slot]])
    np.testing.assert_allclose(ratio[chosen], np.asarray(plain.density)[chosen], rtol=1e-5)
    cdf = np.asarray(pulse_cdf(light, event))[chosen]
    assert np.all((cdf >= 0) & (cdf <= 1))


def test_sums_of_sources(oracle, x64):
    """Order is irrelevant, masked sources give nothing, chunk size is irrelevant, halves add up to the whole."""
    event, detector = simulated(oracle), oracle.detector
    cascade = AnalyticCascadeSource(dtype=jnp.float64)
    parts = np.stack([HYPOTHESIS + i for i in range(5)]).astype(np.float64)

    sources = {f"s{i}": "c" for i in range(5)}

    @partial(jax.jit, static_argnums=1)
    def light_and_slope(h, chunk):
        source = independent_multi_source(sources, {"c": cascade}, chunk=chunk)

        def scalar(h):
            light = source.light_yield({"c": {}}, h, event, detector, True)
            return jnp.sum(jnp.log(light.charge + 1)), light

        slope, light = jax.grad(scalar, has_aux=True)(h.ravel())
        return light, slope

    value, slope = light_and_slope(parts, 2)
    alone = jax.jit(lambda h: cascade.light_yield({}, h, event, detector, True))
    expected = [alone(p) for p in parts]
    total = expected[0] + expected[1] + expected[2] + expected[3] + expected[4]
    chex.assert_trees_all_close(value, total, rtol=1e-9, atol=1e-12)
    chex.assert_trees_all_close(light_and_slope(parts[::-1], 2)[0], value, rtol=1e-9, atol=1e-12)
    other_value, other_slope = light_and_slope(parts, 5)
    chex.assert_trees_all_close(other_value, value, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slope, other_slope, rtol=1e-8, atol=1e-12)


def test_nested_sources_of_one_base_share_weights(experiment):
    config = load_config(experiment / "config.yaml")
    inner = config.model_settings
    outer = ModelSettings(
        model_class="IndependentMultiSource",
        config={"sources": {"a": "pair", "b": "pair"}},
        multi_source_bases={"pair": inner},
    )
    source, _ = build_source(outer)
    assert len(source.parameter_names) == 14
    assert source.parameter_names[0] == "a_cascade_x"
    detector = jax.tree.map(jnp.asarray, build_model(config).detector)
    variables = source.init_variables(jax.random.key(0), detector)
    assert set(variables) == {"pair"} and set(variables["pair"]) == {"cascade", "noise"}


@pytest.mark.parametrize("count", [1000, pytest.param(10000, marks=pytest.mark.nightly)])
def test_robust_at_awkward_hypotheses(model, oracle, detector, count):
    """No NaN or infinity in value or gradient."""
    rng = np.random.default_rng(5)
    h = np.stack(
        [
            rng.uniform(-200, 200, count),
            rng.uniform(-200, 200, count),
            rng.uniform(-200, 200, count),
            rng.uniform(0, np.pi, count),
            rng.uniform(0, 2 * np.pi, count),
            10 ** rng.uniform(0, 7, count),
            rng.uniform(-1e5, 1e5, count),
        ],
        axis=1,
    ).astype(np.float32)
    h[:108, :3] = detector.position  # on a DOM
    h[:54, 5] = 0.1  # too little energy for a shift: the shifted vertex stays on the DOM
    h[108:140, :2] = detector.position[::12][0, :2]  # on a string
    h[140:160, 5], h[160:180, 3], h[180:200, 3] = 0.0, 0.0, np.pi
    h[200:220, 0] = 5000.0
    one = simulated(oracle)
    empty, single = (build_event(np.ones(n), np.full(n, 1e4), np.zeros(n, int), num_doms=108) for n in (0, 1))
    many = build_event(np.ones(20000), np.linspace(0, 2e4, 20000), np.arange(20000) % 108, num_doms=108)
    for m in (model, oracle):
        value_and_grad = jax.value_and_grad(eg.make_log_likelihood(m), argnums=1)
        function = jax.jit(
            lambda v, h, e, f=value_and_grad: jax.lax.map(lambda x: f(v, x, e), h, batch_size=min(len(h), 50))
        )
        for event, chosen in ((one, h), (empty, h[:400]), (single, h[:400]), (many, h[:300:15])):
            value, gradient = function(m.variables, chosen, event)
            assert np.isfinite(value).all() and np.isfinite(gradient).all()


@pytest.mark.parametrize("length", [0.0, 0.3, 2e4])
def test_noise_of_a_readout_of_no_length_is_finite(loaded_detector, length):
    """One pulse and no margin: the rate at the pulse is still the rate, and nothing has a gradient that is no number."""
    source = NoiseSource(Decoder(FAMILIES["PoissonDecoder"]))
    variables = source.init_variables(jax.random.key(0), loaded_detector)
    event = build_event(np.ones(1), np.full(1, 1e4), np.zeros(1, int), num_doms=108, readout=(1e4, 1e4 + length))

    def terms(variables):
        light = source.light_yield(variables, jnp.zeros(0), event, loaded_detector, True)
        return jnp.stack([light.density[0], light.charge_full[0], light.cumulative[0]])

    factor = np.exp(np.asarray(variables["params"]["local_vars"])[0])
    np.testing.assert_allclose(terms(variables), [5e-7 * factor, 5e-7 * factor * max(length, 1.0), 0.0], rtol=1e-5)
    slopes = jax.tree.leaves(jax.jacrev(terms)(variables))
    assert all(np.isfinite(s).all() for s in slopes)
