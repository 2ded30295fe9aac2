"""Merged cascades against the exact sum: the stated error holds, and nothing jumps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import ANALYTIC, CASCADE, NOISE, section

import evgen_jax as eg
from evgen_jax.approximation.approximate import step_sizes
from evgen_jax.approximation.grouped import Grouped, group_cascades, group_sources, largest_base, merge
from evgen_jax.approximation.near_and_far import NearAndFar, choose_doms, part_of_variables
from evgen_jax.building.model import build_source
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import HypothesisError, ReconstructionError
from evgen_jax.hypothesis.parameters import parameters_of
from evgen_jax.hypothesis.trafo import Trafo, typical_trafo
from evgen_jax.light.tree import copies_at, walk
from evgen_jax.measurement.event import build_event
from evgen_jax.model.log_likelihood import make_log_likelihood
from evgen_jax.model.model import Model

NUMBER = 80
"""Cascades of a track; many enough that grouping them pays, as for the several hundred of a real one."""


def a_track(detector, cascade=ANALYTIC) -> tuple[Model, np.ndarray]:
    """80 cascades on 300 m within a sum of sources, and losses over four decades."""
    settings = ModelSettings.model_validate(
        section(
            "IndependentMultiSource",
            {
                "track": section("FiniteTrackMultiCascadeModel", {"cascade": cascade}, num_segments=NUMBER),
                "noise": NOISE,
            },
            sources={"track": "track", "noise": "noise"},
        )
    )
    trafo = typical_trafo(parameters_of(build_source(settings)[0]))
    source, _ = build_source(settings, trafo)
    detector = jax.tree.map(jnp.asarray, detector)
    model = Model(source, source.init_variables(jax.random.key(1), detector), trafo, detector)
    energies = np.exp(2 * np.random.default_rng(0).normal(size=NUMBER))
    return model, np.array([-130.0, 20.0, 15.0, 1.5, 3.2, 10000.0, 300.0, *(3e4 * energies / energies.sum())])


def an_event(model, hypothesis, windows=False):
    sampled = eg.make_sampler(model, (0.0, 20000.0), 8192)(model.variables, jax.random.key(2), jnp.asarray(hypothesis))
    keep = np.asarray(sampled.mask) & (np.asarray(sampled.time) > 0) & (np.asarray(sampled.time) < 20000)
    time, dom = np.asarray(sampled.time, float)[keep], np.asarray(sampled.dom)[keep]
    more = {"windows": np.array([[10100.0, 10200.0], [10050.0, 10300.0]]), "window_dom": dom[:2]} if windows else {}
    event = build_event(
        np.ones(len(time)),
        time,
        dom,
        num_doms=model.detector.num_doms,
        readout=(0.0, 20000.0),
        drop_in_windows=True,
        **more,
    )
    return jax.tree.map(jnp.asarray, event)


@pytest.fixture(scope="module")
def task(detector):
    model, hypothesis = a_track(detector)
    return model, hypothesis, an_event(model, hypothesis)


@pytest.mark.nightly
def test_the_stated_error_holds_and_nothing_jumps(task):
    model, hypothesis, event = task
    accuracy, reach = 0.5, 0.02
    near = eg.approximate(model, event, hypothesis, accuracy, reach=reach)
    assert 0 < near.num_groups < NUMBER / 4 and near.num_near < 108 and near.error <= accuracy
    rng = np.random.default_rng(5)
    direction = rng.uniform(-1, 1, len(hypothesis)) * step_sizes(model, hypothesis)
    direction[7:] = np.maximum(direction[7:], -hypothesis[7:])
    exact, cheap = (jax.jit(jax.value_and_grad(make_log_likelihood(m), argnums=1)) for m in (model, near.model))
    with jax.enable_x64(True):
        differences, slopes = [], []
        for share in np.linspace(0, 2 * reach, 9):
            h = jnp.asarray(hypothesis + share * direction)
            assert near.holds(np.asarray(h))
            value, slope = jax.tree.map(
                jnp.subtract, cheap(near.model.variables, h, event), exact(model.variables, h, event)
            )
            differences.append(float(value))
            slopes.append(np.asarray(slope))
        differences = np.array(differences)
        assert abs(differences[0]) < 0.01  # exact where it was made
        assert np.max(np.abs(differences)) <= accuracy
        # Pulses at the edges of the modules' response kink the exact likelihood itself.
        assert np.max(np.abs(np.diff(differences))) < accuracy / 4
        assert not near.holds(hypothesis + 5 * reach * direction)
        # A new one nearby keeps its lists, and the likelihood changes by less than the accuracy.
        moved = hypothesis + 2 * reach * direction
        again = eg.approximate(model, event, moved, accuracy, reach=reach, previous=near)
        assert again.model.source == near.model.source and again.num_near == near.num_near
        after, before = (float(cheap(m.variables, jnp.asarray(moved), event)[0]) for m in (again.model, near.model))
        assert abs(after - before) <= accuracy
    # Gradients agree as far as the error does over one reach.
    assert np.max(np.abs(slopes[0]) * step_sizes(model, hypothesis)) * reach < accuracy


def test_few_cascades_stay_exact(detector, caplog):
    model, hypothesis = a_track(detector)
    few = Model(dict(model.source.bases)["noise"], model.variables["noise"], Trafo((), (), (), ()), model.detector)
    event = an_event(model, hypothesis)
    result = eg.approximate(few, event, np.zeros(0), 0.1)
    assert result.num_groups == 0 and result.model is few and result.holds(np.zeros(0))
    assert "the exact one is used" in caplog.text


def test_wrong_arguments_are_refused(task):
    model, hypothesis, event = task
    with pytest.raises(ReconstructionError, match="must be above 0, got 0 and 0.02"):
        eg.approximate(model, event, hypothesis, 0)
    with pytest.raises(HypothesisError, match=r"expected a hypothesis of 87 parameters .*, got shape \(7,\)"):
        eg.approximate(model, event, hypothesis[:7], 0.5)


def test_merging_keeps_what_it_can(task):
    model, hypothesis, event = task
    rng = np.random.default_rng(3)
    parameters = np.column_stack(
        [
            rng.normal(size=(40, 3)) * 50,
            rng.uniform(0.2, 2.9, 40),
            rng.uniform(0, 6, 40),
            np.exp(rng.normal(size=40) + 5),
            1e4 + rng.normal(size=40),
        ]
    )
    parameters[3, 5] = 0.0
    alone = group_cascades(parameters, 40)
    assert sorted(alone) == list(range(40))
    with jax.enable_x64(True):
        merged, (factor, excess_factor) = merge(jnp.asarray(parameters), None, jnp.asarray(alone), 40)
        np.testing.assert_allclose(
            np.asarray(merged)[alone][:, [0, 1, 2, 3, 6]], parameters[:, [0, 1, 2, 3, 6]], rtol=1e-6
        )
        np.testing.assert_allclose((merged[:, 5] * factor)[alone], parameters[:, 5], atol=1e-5)
        groups = group_cascades(parameters, 5)
        mask = jnp.arange(40) != 7
        merged, (factor, excess_factor) = merge(jnp.asarray(parameters), mask, jnp.asarray(groups), 5)
        energy = np.where(np.asarray(mask), parameters[:, 5], 0)
        for g in range(5):
            own = groups == g
            assert float(merged[g, 5] * factor[g]) == pytest.approx(energy[own].sum(), rel=1e-6)
            assert float(merged[g, 5] ** 2 * excess_factor[g]) == pytest.approx((energy[own] ** 2).sum(), rel=1e-6)
            np.testing.assert_allclose(
                merged[g, :3], np.average(parameters[own, :3], axis=0, weights=energy[own]), atol=1e-4
            )
    # Pairs of equal cascades 1.5 m apart, merged, are nearly the same light.
    source, variables = group_sources(
        model.source, model.variables, jnp.asarray(hypothesis, jnp.float32), model.detector, NUMBER // 2
    )
    h = jnp.asarray(hypothesis, jnp.float32)
    variables["track"]["groups"]["cascade"] = jnp.arange(NUMBER, dtype=jnp.int32) // 2
    doubled = np.repeat(hypothesis[7:].reshape(-1, 2).mean(axis=1), 2)
    light = source.light_yield(variables, h.at[7:].set(doubled), event, model.detector)
    assert float(light.charge.sum()) == pytest.approx(
        float(model.source.light_yield(model.variables, h.at[7:].set(doubled), event, model.detector).charge.sum()),
        rel=5e-3,
    )


def test_cascades_are_found_wherever_they_stand_in_the_tree(loaded_detector):
    """Also below a multi-source whose own parameters begin with those of a cascade."""
    starting = section("StartingVariableMultiCascadeModel", {"cascade": ANALYTIC}, num_cascades=NUMBER)
    source, _ = build_source(
        ModelSettings.model_validate(
            section("IndependentMultiSource", {"event": starting, "n": NOISE}, sources={"event": "event", "n": "n"})
        )
    )
    pairs = np.stack([np.geomspace(10, 1e3, NUMBER - 1), 0.5 * np.arange(1, NUMBER)], axis=1)
    h = jnp.asarray([0.0, 0.0, 0.0, 1.2, 2.0, 1e3, 1e4, *pairs.ravel()])
    variables = {"event": {"cascade": {}}, "n": {"w": 1}}
    first, noise = copies_at(source, variables, h, loaded_detector)
    assert (first.path, noise.path) == (("event", "cascade"), ("n",)) and not first.masked
    assert first.parameters.shape == (NUMBER, 7) and noise.variables == {"w": 1} and noise.parameters.shape == (1, 0)
    np.testing.assert_allclose(first.parameters[1:, 5], pairs[:, 0], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(np.diff(first.parameters[:, :3], axis=0), axis=1), 0.5, rtol=1e-3)
    assert largest_base(source, variables, h, loaded_detector) == NUMBER
    grouped, weights = group_sources(source, variables, h, loaded_detector, 16)
    kinds = {path: one for path, one in walk(grouped)}
    assert isinstance(kinds["event",], Grouped) and kinds["event",].numbers == (("cascade", 16),)
    assert len(np.unique(weights["event"]["groups"]["cascade"])) == 16 and weights["n"] is variables["n"]
    assert group_sources(source, variables, h, loaded_detector, NUMBER) == (source, variables)
    assert [path for path, _ in walk(source, most=1)] == [(), ("event",), ("event", "cascade")]


def test_near_doms_are_exact(detector):
    """With weights of single DOMs and excluded windows: nothing of `far` is left where DOMs are chosen."""
    local = CASCADE | {"config": CASCADE["config"] | {"num_local_vars": 2, "method_list": ["locally_connected"] * 3}}
    model, hypothesis = a_track(detector, local)
    h = jnp.asarray(hypothesis, jnp.float32)
    analytic, _ = a_track(detector)
    event = an_event(analytic, hypothesis, windows=True)
    far, far_variables = group_sources(model.source, model.variables, h, model.detector, 16)
    exact, near = (
        jax.jit(source.light_yield, static_argnums=4) for source in (model.source, NearAndFar(model.source, far))
    )
    exact = exact(model.variables, h, event, model.detector, True)
    for doms in (np.arange(0, 108, 3), np.arange(108)):
        chosen = choose_doms(event, doms, 128)
        variables = {
            "near": part_of_variables(model.source, model.variables, model.detector, chosen["doms"]),
            "far": far_variables,
            "factor": jax.tree.map(jnp.ones_like, exact),
            "chosen": chosen,
        }
        light = near(variables, h, event, model.detector, True)
        at = np.isin(np.minimum(np.asarray(event.active), 107)[np.asarray(event.pulses.slot)], doms)
        for name in ("charge", "charge_full", "excess"):
            np.testing.assert_allclose(getattr(light, name)[doms], getattr(exact, name)[doms], rtol=2e-5, atol=1e-9)
        for name in ("density", "cumulative"):
            own = at & np.asarray(event.pulses.mask)
            np.testing.assert_allclose(getattr(light, name)[own], getattr(exact, name)[own], rtol=1e-4, atol=1e-9)
