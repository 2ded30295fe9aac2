"""Likelihoods with pits: densities that are infinite where light begins, as gamma distributions with shapes below 1 are."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.model.log_likelihood import make_log_likelihood
from evgen_jax.reconstruction.fit.capped_density import LARGEST, capped
from evgen_jax.reconstruction.fit.fit import make_fitter


def test_densities_stay_below_the_largest_and_small_ones_are_as_they_are():
    density = np.array([0.0, 1e-30, 1e-6, LARGEST / 10, LARGEST / 3, LARGEST, 10.0, 1e8], np.float32)
    bent = np.asarray(capped(jnp.asarray(density)))
    np.testing.assert_allclose(bent[:4], density[:4], rtol=1e-3)
    np.testing.assert_allclose(bent[4], density[4], rtol=0.01)
    assert (
        np.all(np.diff(bent[:-1]) > 0)
        and np.all(bent[5:] <= 1.00001 * LARGEST)
        and bent[-1] == pytest.approx(LARGEST, rel=1e-4)
    )
    slope = jax.vmap(jax.grad(lambda p: jnp.log(capped(p))))(jnp.asarray(density[1:]))
    assert np.all(np.isfinite(slope)) and float(slope[-1]) == pytest.approx(0.0, abs=1e-12)


class Lamp(eg.LinenSource):
    """A flash that every DOM sees for some 100 ns, infinitely bright at its begin, on a faint and long afterglow."""

    parameter_names = ("x", "y", "z", "time")

    @eg.compact
    def __call__(self, hypothesis, event, detector, cumulative=False):
        distance = jnp.linalg.norm(detector.position - hypothesis[None, :3] + 1e-3, axis=-1)
        charge = self.param("brightness", lambda key: jnp.array(3e4)) / (distance + 20.0) ** 2
        dom = event.active[event.pulses.slot]
        since = (event.pulses.time - hypothesis[3] - distance[dom] / 0.22) / 100.0
        flash = jnp.where(since > 1e-12, jnp.exp(-since) / jnp.sqrt(jnp.pi * jnp.maximum(since, 1e-12)), 0.0) / 100.0
        glow = jnp.exp(-0.5 * (since / 0.5) ** 2) / (50.0 * np.sqrt(2 * np.pi))
        return eg.LightYield(charge, charge, 0 * charge, charge[dom] * (0.5 * flash + 0.5 * glow), None)


@pytest.fixture(scope="module")
def lamp(loaded_detector):
    base = analytic_model(loaded_detector)
    names = Lamp.parameter_names
    trafo = base.trafo.select([0, 1, 2, 6], names)
    source = Lamp()
    variables = source.init_variables(jax.random.key(0), base.detector)
    return replace(base, source=source, variables=variables, trafo=trafo)


def draw(model, truth: np.ndarray, seed: int) -> eg.Event:
    rng, detector = np.random.default_rng(seed), model.detector
    distance = np.linalg.norm(np.asarray(detector.position) - truth[:3] + 1e-3, axis=1)
    count = rng.poisson(3e4 / (distance + 20.0) ** 2)
    dom = np.repeat(np.arange(len(count)), count)
    late = np.where(rng.random(len(dom)) < 0.5, 100 * rng.gamma(0.5, size=len(dom)), 50 * rng.normal(size=len(dom)))
    time = truth[3] + distance[dom] / 0.22 + late
    string, om = np.asarray(detector.string)[dom], np.asarray(detector.om)[dom]
    return eg.Event.from_pulses(np.ones(len(dom)), time, string, om, detector=detector, readout=(0.0, 20000.0))


def test_fits_do_not_end_in_the_first_pit(lamp):
    """From seeds 20 m and 50 ns off; a search of the likelihood itself ends 5 to 26 m off, with 700 to 2900 evaluations."""
    rng = np.random.default_rng(4)
    truth = np.column_stack([rng.uniform(-80, 80, (6, 3)), rng.uniform(9900, 10100, 6)])
    events = [draw(lamp, own, i) for i, own in enumerate(truth)]
    seeds = truth + rng.normal(size=truth.shape) * [20, 20, 20, 50]
    fits = make_fitter(lamp, covariance=False)(events, seeds)
    assert max(np.linalg.norm(f.hypothesis[:3] - own[:3]) for f, own in zip(fits, truth, strict=True)) < 4.5
    assert max(f.diagnostics.evaluations for f in fits) < 500
    # What is told is the likelihood itself, at the seed as well.
    log_likelihood = jax.jit(make_log_likelihood(lamp))
    for fit, event, seed in zip(fits, events, seeds, strict=True):
        value = float(log_likelihood(lamp.variables, jnp.asarray(seed), event))
        assert fit.log_likelihood_seed == pytest.approx(value, rel=1e-4)
        assert fit.log_likelihood > fit.log_likelihood_seed + 20
