"""Searches in bright events: no DOM counts for more than a hundred photoelectrons."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from evgen_jax.building.analytic import analytic_model
from evgen_jax.model.log_likelihood import log_likelihood, loss_parts, make_log_likelihood
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.fit.limited_charge import is_bright, limited_log_likelihood, with_fewer_pulses
from evgen_jax.reconstruction.starts.directions import fit_without_seeds, refit_directions
from evgen_jax.simulation.events import EventSampler

BRIGHT = np.array([[114.0, 3.0, -66.0, 1.1, 2.0, 3e3, 9900.0]])
DIM = np.array([[60.0, 50.0, -20.0, 1.1, 2.0, 1e3, 9900.0]])


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


@pytest.fixture(scope="module")
def events(model):
    return EventSampler(model, (0.0, 20000.0)).events(np.concatenate([BRIGHT, DIM]), jax.random.key(2))


def test_only_doms_of_large_charge_weigh_less(model, events):
    bright, dim = events
    assert is_bright(bright) and not is_bright(dim) and not is_bright(bright, float(np.max(bright.charge)))
    limited, full, parts = (jax.jit(function) for function in (limited_log_likelihood, log_likelihood, loss_parts))
    arguments = model, BRIGHT[0].astype(np.float32)
    assert float(limited(*arguments, dim)) == pytest.approx(float(full(*arguments, dim)), rel=1e-6)
    weight = np.where(bright.charge > 100, 100 / np.maximum(bright.charge, 1), 1)
    by_dom = np.asarray(parts(*arguments, bright).per_dom(bright), np.float64)
    assert float(limited(*arguments, bright)) == pytest.approx(-np.sum(weight * by_dom), rel=1e-5)
    assert -np.sum(by_dom) == pytest.approx(float(full(*arguments, bright)), rel=1e-5)
    assert weight.min() < 0.1


def test_a_bright_event_keeps_its_charge_in_fewer_pulses(events):
    few = with_fewer_pulses(events[0])
    mask = np.asarray(few.pulses.mask)
    assert mask.sum() < 0.5 * np.asarray(events[0].pulses.mask).sum()
    assert np.asarray(few.pulses.charge)[mask].sum() == pytest.approx(np.asarray(events[0].charge).sum(), rel=1e-5)
    np.testing.assert_array_equal(few.charge, events[0].charge)


@pytest.mark.nightly
def test_bright_events_are_searched_with_limited_charges_and_fitted_with_all(model, events):
    """From the other side of the sky and without seeds; the results are those of the full likelihood, with errors."""
    fitter = make_fitter(model, covariance=True)
    assert fitter.limited is not None
    (known,) = fitter(events[:1], BRIGHT)
    seed = BRIGHT + [[-8.0, -6.0, 5.0, np.pi - 2 * 1.1, np.pi, 0, 30.0]]
    stuck = fitter(events[:1], seed)
    assert fitter.limited.compile_seconds == 0
    few = {"num_directions": 4, "rounds": 1}
    (found,) = refit_directions(fitter, events[:1], stuck, **few)
    (free,) = fit_without_seeds(fitter, events[:1], **few)
    for fit in (found, free):
        assert fit.log_likelihood > known.log_likelihood - 0.1
        assert fit.covariance is not None and fit.diagnostics.evaluations > stuck[0].diagnostics.evaluations
        assert np.linalg.norm(fit.hypothesis[:3] - BRIGHT[0, :3]) < 12  # several minima lie within 0.1
    assert 0 < fitter.limited.compile_seconds < fitter.compile_seconds
    assert found.log_likelihood_seed == stuck[0].log_likelihood_seed
    # Other likelihoods than the model's own have no parts to weigh.
    own = make_fitter(model, covariance=False, log_likelihood=make_log_likelihood(model))
    assert own.limited is None
    fitter = replace(fitter, uncertainty=None)
    (dim,) = fit_without_seeds(replace(fitter, limited=None), events[1:], **few)
    assert dim.log_likelihood == fit_without_seeds(fitter, events[1:], **few)[0].log_likelihood
