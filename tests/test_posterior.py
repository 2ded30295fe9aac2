"""Priors and samplers against densities that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from synthetic import KAPPA, MEAN, WIDTH, around_a_direction, lamp_model

from evgen_jax.building.analytic import analytic_model
from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.joint_prior import make_prior, prior_limits
from evgen_jax.hypothesis.prior import NormalPrior
from evgen_jax.measurement.event import build_event
from evgen_jax.model.log_likelihood import make_log_likelihood
from evgen_jax.physics.sphere import fit_von_mises_fisher, unit_vectors
from evgen_jax.reconstruction.fit.coordinates import make_coordinates
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.reconstruction.uncertainty import posterior as posterior_module
from evgen_jax.reconstruction.uncertainty.posterior import Posterior, make_posterior_sampler, posterior_density
from evgen_jax.reconstruction.uncertainty.sampling_space import LogPosterior, SamplingSpace
from evgen_jax.report.page import posterior_notes
from evgen_jax.sources.linen_source import empty_event

PRIORS = {
    "cascade_zenith": {"distribution": "isotropic"},
    "cascade_energy": {"distribution": "power_law", "low": 100.0, "high": 1e5, "index": 1.0},
    "cascade_x": {"distribution": "uniform", "low": -600.0, "high": 600.0},
    "cascade_y": {"distribution": "normal", "mean": -20.0, "sigma": 3.0},
}
HIGH = float(MEAN[5] * np.exp(0.5 * WIDTH[5]))
ENDING_NEARBY = PRIORS | {"cascade_energy": {**PRIORS["cascade_energy"], "high": HIGH}}
ENERGY = stats.truncnorm(-np.inf, 0.5, loc=np.log(MEAN[5]), scale=WIDTH[5])
"""Of ln E: the likelihood's, cut where the prior ends."""


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


def test_priors_are_normalised(model, x64):
    names = model.parameters
    base = jnp.asarray(MEAN)

    def integral(prior, place, grid):
        values = jax.vmap(lambda v: prior(base.at[place].set(v)))(jnp.asarray(grid))
        return np.trapezoid(np.exp(np.asarray(values)), grid)

    for index in (0.5, 1.0, 2.7):
        law = make_prior(names, {"cascade_energy": {**PRIORS["cascade_energy"], "index": index}})
        assert integral(law, 5, np.geomspace(100, 1e5, 20001)) == pytest.approx(1, rel=1e-4)
    isotropic = make_prior(names, {"cascade_zenith": PRIORS["cascade_zenith"]})
    assert 2 * np.pi * integral(isotropic, 3, np.linspace(0, np.pi, 20001)) == pytest.approx(1, rel=1e-6)
    assert integral(
        make_prior(names, {"cascade_x": PRIORS["cascade_x"]}), 0, np.linspace(-599.999, 599.999, 99)
    ) == pytest.approx(1, rel=1e-5)
    assert integral(
        make_prior(names, {"cascade_y": PRIORS["cascade_y"]}), 1, np.linspace(-60, 20, 9999)
    ) == pytest.approx(1, rel=1e-6)
    assert make_prior(names, PRIORS)(base.at[0].set(601.0)) == -np.inf
    assert make_prior(names, {})(base) == 0


def test_wrong_priors_are_refused(model):
    for settings, message in (
        ({"cascade_energi": {"distribution": "uniform"}}, "Did you mean 'cascade_energy'"),
        (
            {"cascade_energy": {"distribution": "flat"}},
            "expected one of isotropic, uniform, power_law, normal, got 'flat'",
        ),
        ({"cascade_energy": {"distribution": "normal", "mean": 1.0}}, "'normal' takes mean, sigma, got mean"),
        ({"cascade_energy": {"distribution": "isotropic"}}, "for the zenith of a direction"),
        ({"cascade_x": {"distribution": "normal", "mean": 0.0, "sigma": 0.0}}, "expected a width > 0"),
        ({"cascade_energy": {"distribution": "power_law", "low": 0.0, "high": 1.0, "index": 1.0}}, "low > 0"),
    ):
        with pytest.raises(ReconstructionError, match=message):
            make_prior(model.parameters, settings)
    with pytest.raises(ReconstructionError, match="expected one of nuts, ensemble"):
        make_posterior_sampler(model, make_prior(model.parameters, {}), method="hmc")
    with pytest.raises(ReconstructionError, match="multiple of 4"):
        make_posterior_sampler(model, make_prior(model.parameters, {}), method="ensemble", num_chains=10)


def test_the_volume_of_the_coordinates_is_taken_into_account(model, x64):
    """The density of a normalised prior by the places of a sampler is 1 in all, around any anchor."""
    free = {"cascade_zenith": True, "cascade_azimuth": True, "cascade_energy": True}
    settings = {n: PRIORS[n] for n in ("cascade_zenith", "cascade_energy")}
    prior = make_prior(model.parameters, settings)
    for bounds in (None, prior_limits(model.parameters, settings)):
        space = SamplingSpace(make_coordinates(model, FitSettings(free=free, default_free=False, bounds=bounds)))
        density = jax.vmap(LogPosterior(lambda m, h, e: jnp.zeros(()), prior, space), (None, 0, None, None))
        assert space.size == 4
        scale, rng = model.trafo.scale()[3], np.random.default_rng(4)
        for zenith in (0.001, 0.3, 2.0):
            anchor = jnp.asarray(MEAN).at[3].set(zenith)
            draw = stats.multivariate_t([0.0, 0, 0, -1], np.diag([0.7, 0.7 / scale**2, 0.7 / scale**2, 0.7]), df=4)
            places = draw.rvs(80_000, random_state=rng)
            weight = np.exp(np.asarray(density((), jnp.asarray(places), anchor, empty_event(108)))) / draw.pdf(places)
            error = weight.std() / np.sqrt(len(places))
            assert error < 0.05
            assert weight.mean() == pytest.approx(1 / scale**2, abs=4 * error)


def test_a_posterior_may_cover_the_whole_sphere(model):
    """Nothing seen: the chains cross the poles, the wrap of the azimuth and the point opposite to where they start."""
    prior = make_prior(model.parameters, {"cascade_zenith": {"distribution": "isotropic"}})
    free = {n: n.endswith(("zenith", "azimuth")) for n in model.parameter_names}
    sampler = make_posterior_sampler(
        model,
        prior,
        FitSettings(free=free),
        num_samples=1000,
        log_likelihood=lambda v, h, e: 0.1 * jnp.sin(h[3]) * jnp.cos(h[4]),
    )
    posterior = sampler(empty_event(108), MEAN, jax.random.key(5))
    assert posterior.r_hat.shape == (3,) and np.all(posterior.r_hat < 1.05) and posterior.divergences == 0
    vectors = unit_vectors(posterior.samples[:, 3], posterior.samples[:, 4])
    error = 4 / np.sqrt(3 * posterior.effective_samples.min())
    np.testing.assert_allclose(vectors.mean(axis=0), [0.1 / 3, 0, 0], atol=error)
    np.testing.assert_allclose(vectors.T @ vectors / len(vectors), np.eye(3) / 3, atol=error)


@pytest.mark.parametrize("method", ["nuts", "ensemble"])
def test_samples_have_the_moments_of_the_posterior(model, method):
    """Rejected proposals repeat their state; without that the widths come out wrong. Bounds leave no edge to run into."""
    sampler = make_posterior_sampler(
        model,
        make_prior(model.parameters, ENDING_NEARBY),
        FitSettings(bounds=prior_limits(model.parameters, ENDING_NEARBY)),
        method=method,
        num_warmup=200,
        num_samples=600 if method == "nuts" else 400,
        log_likelihood=around_a_direction,
    )
    # The adaptation of the ensemble adds vectors to matrices.
    with jax.numpy_rank_promotion("allow" if method == "ensemble" else "raise"):
        posterior = sampler(empty_event(108), MEAN, jax.random.key(1))
    assert np.all(posterior.r_hat < 1.05) and np.all(posterior.effective_samples > 100)
    # Of some thousand steps one may meet the edge of a bound; which one does depends on the random numbers of JAX.
    assert np.all(posterior.acceptance > 0.5) and posterior.divergences <= 2
    samples = posterior.samples
    error = 4 / np.sqrt(posterior.effective_samples.min())
    assert samples[:, 6].mean() == pytest.approx(MEAN[6], abs=error * WIDTH[6])
    assert samples[:, 6].std() == pytest.approx(WIDTH[6], rel=error)
    # Prior and likelihood of y have the same width and centre.
    assert samples[:, 1].std() == pytest.approx(WIDTH[1] / np.sqrt(2), rel=error)
    assert samples[:, 5].max() < HIGH
    # Flat in ln E, up to what ln(1 + E) differs from it.
    assert np.log(samples[:, 5]).mean() == pytest.approx(ENERGY.mean(), abs=error * ENERGY.std())
    assert np.log(samples[:, 5]).std() == pytest.approx(ENERGY.std(), rel=error)
    found = fit_von_mises_fisher(samples[:, 3], samples[:, 4])
    assert found.kappa == pytest.approx(KAPPA, rel=2 * error)
    cosine = np.cos(samples[:, 3]) * np.cos(MEAN[3]) + np.sin(samples[:, 3]) * np.sin(MEAN[3]) * np.cos(
        samples[:, 4] - MEAN[4]
    )
    level = stats.expon.cdf(KAPPA * (1 - cosine[:: max(len(cosine) // 300, 1)]))
    assert stats.kstest(level, "uniform").pvalue > 1e-3


def test_chains_do_not_begin_where_the_prior_is_zero(model):
    sampler = make_posterior_sampler(
        model,
        make_prior(model.parameters, ENDING_NEARBY),
        FitSettings(free={"cascade_energy": True}, default_free=False),
        log_likelihood=around_a_direction,
    )
    far = MEAN + [0, 0, 0, 0, 0, 10 * MEAN[5], 0]
    with pytest.raises(ReconstructionError, match="the prior is 0 at the best fit"):
        sampler(empty_event(108), far, jax.random.key(3))


@pytest.mark.nightly
def test_chains_stay_inside_a_prior_that_ends_near_the_best_fit(model, traced_once):
    """Chains that start outside would never move; those without bounds run into the edge, and say so."""
    traced_once(posterior_module, "_samples", static=(0, 1, 2))
    prior = make_prior(model.parameters, ENDING_NEARBY)
    sampler = make_posterior_sampler(model, prior, num_warmup=200, num_samples=600, log_likelihood=around_a_direction)
    posterior = sampler(empty_event(108), MEAN, jax.random.key(3))
    energy = posterior.hypothesis[..., 5]
    assert energy.max() < HIGH and all(len(np.unique(own)) > 100 for own in energy)
    assert np.all(posterior.r_hat < 1.1) and posterior.divergences > energy.size / 100
    error = 5 / np.sqrt(posterior.effective_samples.min())
    assert np.log(energy).mean() == pytest.approx(ENERGY.mean(), abs=error * ENERGY.std())


def test_a_prior_counts_once(loaded_detector, caplog):
    """The loss has a prior of the absorption, so has the posterior: its density holds the stated one alone."""
    lamp = lamp_model(loaded_detector, ((1.0, NormalPrior("Absorption", 0.0, 0.3)),))
    event = build_event(
        np.ones(150),
        np.zeros(150),
        np.arange(150) % 50,
        num_doms=108,
        readout=(0.0, 1.0),
        usable=np.asarray(loaded_detector.usable),
    )
    stated = {
        "Absorption": {"distribution": "normal", "mean": 1.0, "sigma": 0.2},
        "brightness": {"distribution": "normal", "mean": 1.0, "sigma": 5.0},
    }
    space = SamplingSpace(make_coordinates(lamp, FitSettings(free={"zenith": False, "azimuth": False})))
    density = posterior_density(lamp, make_prior(lamp.parameters, stated), space)
    assert "the loss has priors of Absorption, which the posterior does not" in caplog.text
    charge, usable = np.asarray(event.charge), np.asarray(event.usable)

    def by_hand(h):
        towards = np.asarray(loaded_detector.position) @ unit_vectors(0.3, 1.0)
        towards = towards / np.linalg.norm(loaded_detector.position, axis=1)
        likelihood = stats.poisson.logpmf(charge, h[0] * h[1] * (1 + 0.9 * towards))[usable].sum()
        prior = stats.norm.logpdf(h[1], 1.0, 0.2) + stats.norm.logpdf(h[0], 1.0, 5.0)
        return likelihood + prior + np.log(2.0 * 0.5)  # by normalised parameters

    with jax.enable_x64(True):
        for place in ([0.7, 2.0], [0.6, 1.7], [0.8, 2.3]):
            found = density(lamp, jnp.array(place), jnp.array([0.0, 0.0, 0.3, 1.0]), event)
            assert found == pytest.approx(by_hand(np.array(place) * [2.0, 0.5]), abs=5e-3)
    # What a fit maximises holds the prior of the loss; both can be had.
    with jax.enable_x64(True):
        h = jnp.array([1.3, 0.9, 0.3, 1.0])
        whole, bare = (make_log_likelihood(lamp, priors=p)({}, h, event) for p in (True, False))
    assert whole - bare == pytest.approx(stats.norm.logpdf(0.9, 0, 0.3))
    assert lamp.loss.joint_prior(lamp.parameters)(h) == pytest.approx(stats.norm.logpdf(0.9, 0, 0.3), rel=1e-5)


def test_limits_of_priors_are_those_of_scalars(model):
    limits = {"cascade_energy": (100.0, HIGH), "cascade_x": (-600.0, 600.0)}
    settings = ENDING_NEARBY | {"cascade_zenith": {"distribution": "uniform", "low": 0.0, "high": 1.0}}
    assert prior_limits(model.parameters, settings) == limits


def test_a_page_tells_what_chains_are_worth(model):
    rng = np.random.default_rng(2)
    hypotheses = MEAN + 0.05 * rng.normal(size=(4, 200, 7))
    agreeing = Posterior(hypotheses, np.zeros((4, 200)), np.ones(4), 0, np.full(7, 1.01), np.full(7, 300.0))
    notes = posterior_notes(agreeing, model.parameters)
    assert notes["chains"] == "R-hat at most 1.010, at least 300 effective samples, 0 divergences"
    assert "Mises-Fisher width 2." in notes["posterior of cascade_direction"]
    hypotheses[..., 3], hypotheses[..., 4] = np.arccos(rng.uniform(-1, 1, (4, 200))), rng.uniform(0, 6.28, (4, 200))
    apart = Posterior(hypotheses, np.zeros((4, 200)), np.ones(4), 9, np.full(7, 1.4), np.full(7, 3.0))
    notes = posterior_notes(apart, model.parameters)
    assert "9 divergences; they do not agree yet" in notes["chains"]
    assert "over 90 degrees" in notes["posterior of cascade_direction"]
