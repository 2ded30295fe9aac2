"""Ensembles: everything that is fitted works, what needs one model's light says so."""

import signal
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import lamp_model

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.joint_prior import make_prior
from evgen_jax.interruption import Interrupted
from evgen_jax.measurement.event import build_event
from evgen_jax.model.ensemble import Ensemble
from evgen_jax.reconstruction.fit.batching import shape_of, stacked
from evgen_jax.reconstruction.fit.coordinates import make_coordinates
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.uncertainty.goodness_of_fit import make_goodness_of_fit
from evgen_jax.reconstruction.uncertainty.posterior import posterior_density
from evgen_jax.reconstruction.uncertainty.profile import scan_profile
from evgen_jax.reconstruction.uncertainty.sampling_space import SamplingSpace
from evgen_jax.reconstruction.uncertainty.sky_map import make_sky_map
from evgen_jax.reconstruction.unfolding import unfold_energies
from evgen_jax.report.findings import ReportSettings
from evgen_jax.report.page import report_event
from evgen_jax.simulation.events import EventSampler

BEST = np.array([1.5, 1.0, 0.9, 2.0])
FREE = eg.FitSettings(free={"Absorption": False})


@pytest.fixture(scope="module")
def lamp(loaded_detector):
    return lamp_model(loaded_detector)


@pytest.fixture(scope="module")
def ensemble(lamp):
    """Its members expect different charges: twice those of the first."""
    second = replace(lamp, loss=replace(lamp.loss, terms=(replace(lamp.loss.terms[0], weight=2.0),)))
    return Ensemble([lamp, second])


@pytest.fixture(scope="module")
def event(lamp):
    return EventSampler(lamp, (0.0, 1000.0)).events(BEST[None], jax.random.key(1))[0]


def test_an_ensemble_is_fitted_scanned_mapped_and_sampled(lamp, ensemble, event):
    """The mean of one and two times a log-likelihood is 1.5 times it, everywhere."""
    (alone,), (both,) = (make_fitter(m, FREE, covariance=False)([event], BEST[None]) for m in (lamp, ensemble))
    assert both.log_likelihood == pytest.approx(1.5 * alone.log_likelihood, rel=1e-6)
    np.testing.assert_allclose(both.hypothesis, alone.hypothesis, atol=1e-2)
    scan = scan_profile(ensemble, event, both.hypothesis, {"brightness": [both.hypothesis[0], 2.0]}, settings=FREE)
    assert scan.log_likelihood[0] == pytest.approx(both.log_likelihood, abs=0.02)
    assert scan.log_likelihood[1] < scan.log_likelihood[0] - 0.5
    pytest.importorskip("astropy_healpix")
    found = make_sky_map(ensemble, settings=FREE, first_order=1, last_order=1)(event, both.hypothesis)
    assert found.at(*both.hypothesis[2:]) == np.argmax(found.log_likelihood)
    prior = make_prior(lamp.parameters, {})
    space, place = SamplingSpace(make_coordinates(lamp, FREE)), jnp.array([0.7, 0.0, 0.0, 0.0])
    anchor = jnp.asarray(BEST)
    densities = [posterior_density(m, prior, space)(m, place, anchor, event) for m in (lamp, ensemble)]
    values = [
        float(eg.make_log_likelihood(m)(m.variables, space.hypothesis(place, anchor), event)) for m in (lamp, ensemble)
    ]
    assert float(densities[1] - densities[0]) == pytest.approx(values[1] - values[0], abs=1e-3)


def test_an_ensemble_of_equal_members_is_one_of_them(lamp, event, tmp_path):
    """The mean, not the sum: values and curvatures are those of one member; its page has the light of both."""
    alone, both = (make_fitter(m, FREE, covariance=False) for m in (lamp, Ensemble([lamp, lamp])))
    batch, first = stacked([event], shape_of(event), 1), np.zeros(1, int)
    unknown = alone.evaluator.start(BEST[None])
    for ours, theirs in zip(
        *(fitter.evaluator.gradient(batch, first, unknown, BEST[None]) for fitter in (both, alone)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    (fit,) = alone([event], BEST[None])
    page = report_event(tmp_path, "both", both, event, fit, ReportSettings())
    assert "charges.png" in page.read_text() and (tmp_path / "charges.png").stat().st_size > 5000


def test_an_interrupted_posterior_loses_nothing_else(lamp, event, tmp_path, monkeypatch):
    pytest.importorskip("blackjax")

    def interrupted(arrays):
        assert (tmp_path / "index.html").exists()
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr("evgen_jax.reconstruction.uncertainty.posterior.wait_for", interrupted)
    fitter = make_fitter(lamp, FREE, covariance=False)
    (fit,) = fitter([event], BEST[None])
    with pytest.raises(Interrupted, match=r"by SIGTERM\. .*index\.html holds all but the posterior\.$"):
        report_event(tmp_path, "both", fitter, event, fit, ReportSettings(posterior=True, priors={}))
    assert "charges.png" in (tmp_path / "index.html").read_text() and not (tmp_path / "posterior.hdf5").exists()


def test_what_is_no_ensemble_is_told(lamp):
    with pytest.raises(ConfigError, match="at least one model"):
        Ensemble([])
    noise = analytic_model(lamp.detector, ModelSettings(model_class="AnalyticNoiseModel"))
    with pytest.raises(ConfigError, match="ensemble: model 1 has the parameters"):
        Ensemble([lamp, noise])


def test_goodness_of_an_ensemble_simulates_its_members_in_turn(lamp, ensemble, event, monkeypatch):
    fit, asked = make_fitter(ensemble, FREE, covariance=False), []
    from evgen_jax.reconstruction.uncertainty import goodness_of_fit

    own = goodness_of_fit._simulated
    monkeypatch.setattr(
        goodness_of_fit, "_simulated", lambda s, e, truth, *a: asked.append(len(truth)) or own(s, e, truth, *a)
    )
    found = make_goodness_of_fit(ensemble, fit=fit, num_samples=15)(event, BEST, 3)
    assert asked == [8, 7] and found.simulated.shape == (15,)
    assert 1.5 / 16 < found.p_value <= 1
    bad = build_event(
        np.full(108, 9.0),
        np.full(108, 100.0),
        np.arange(108),
        num_doms=108,
        readout=(0.0, 1000.0),
        usable=np.asarray(event.usable),
    )
    bad = bad.replace(charge=np.where(np.arange(108) % 2, 9.0, 0.0).astype(np.float32))
    assert make_goodness_of_fit(ensemble, fit=fit, num_samples=15)(bad, BEST, 3).p_value == pytest.approx(1 / 16)


def test_what_needs_the_light_of_one_model_refuses_an_ensemble(ensemble, event):
    for call in (
        lambda: eg.make_sampler(ensemble),
        lambda: eg.make_dom_expectation(ensemble),
        lambda: EventSampler(ensemble, (0.0, 1.0)),
        lambda: eg.approximate(ensemble, event, BEST, 0.5),
        lambda: unfold_energies(ensemble, BEST, event),
    ):
        with pytest.raises(ConfigError, match="an ensemble has no light of its own; take one of its members"):
            call()
