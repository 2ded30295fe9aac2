"""Energies along a track, unfolded from simulated events."""

import jax
import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ReconstructionError
from evgen_jax.measurement.event import build_event
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.reconstruction.energy_solver import _cholesky
from evgen_jax.reconstruction.unfolding import energy_places, light_per_gev, unfold_energies

SEGMENTS = 8
START = [-90.0, -15.0, 20.0, np.pi / 2, np.pi, 10000.0, 200.0]  # along x, through the middle
LOSSES = np.array([100.0, 30.0, 5.0, 3000.0, 50.0, 0.0, 400.0, 20.0])


@pytest.fixture(scope="module")
def model(loaded_detector):
    bases = {
        "track": ModelSettings(
            model_class="FiniteTrackMultiCascadeModel",
            config={"num_segments": SEGMENTS},
            multi_source_bases={"cascade": ModelSettings(model_class="AnalyticCascadeModel")},
        ),
        "noise": ModelSettings(model_class="AnalyticNoiseModel"),
    }
    return analytic_model(
        loaded_detector,
        ModelSettings(
            model_class="IndependentMultiSource",
            config={"sources": {"a": "track", "noise": "noise"}},
            multi_source_bases=bases,
        ),
    )


@pytest.fixture(scope="module")
def sampler(model):
    return jax.jit(eg.make_sampler(model, max_photoelectrons=1 << 14))


def simulated(model, sampler, seed, losses=LOSSES):
    h = np.array([*START, *losses], np.float32)
    pulses = sampler(model.variables, jax.random.key(seed), h)
    mask = np.asarray(pulses.mask)
    return build_event(
        np.ones(mask.sum()),
        np.asarray(pulses.time)[mask].astype(float),
        np.asarray(pulses.dom)[mask],
        num_doms=108,
        readout=(0.0, 20000.0),
        usable=np.asarray(model.detector.usable),
    )


def test_energies_and_the_largest_loss_are_found(model, sampler):
    largest = []
    for seed in range(5):
        event = simulated(model, sampler, seed)
        result = unfold_energies(model, [*START, *np.full(SEGMENTS, 100.0)], event)
        assert result.converged, result.message
        assert result.parameter_names == tuple(f"a_energy_loss_{i:04d}" for i in range(SEGMENTS))
        assert np.all(result.energies >= 0)
        assert result.energies.sum() == pytest.approx(LOSSES.sum(), rel=0.1)
        np.testing.assert_array_equal(result.hypothesis[:7], START)
        largest.append(abs(int(np.argmax(result.energies)) - 3))
    assert np.mean(np.array(largest) <= 1) >= 0.8


def test_merged_pulses_keep_charge_and_log_likelihood(model, sampler):
    bright = LOSSES * 20
    event, start = simulated(model, sampler, 4, bright), np.array([*START, *bright])
    merged = merge_pulses(event, 2.0)
    few, many = int(merged.pulses.mask.sum()), int(event.pulses.mask.sum())
    assert few < 0.7 * many
    for e in (event, merged):  # all as every event: sorted, first pulses marked, quantiles ending at 1
        p = jax.tree.map(lambda a, mask=e.pulses.mask: a[mask], e.pulses)
        assert np.all(np.diff(p.slot) >= 0) and np.all(np.diff(p.time)[np.diff(p.slot) == 0] >= 0)
        np.testing.assert_array_equal(p.first, np.append(True, np.diff(p.slot) > 0))
        np.testing.assert_allclose(p.quantile[np.append(p.first[1:], True)], 1, rtol=1e-6)
    np.testing.assert_array_equal(merged.active, event.active)
    np.testing.assert_array_equal(merged.charge, event.charge)
    at = [np.bincount(e.pulses.slot, e.pulses.charge * e.pulses.mask, len(e.active)) for e in (event, merged)]
    np.testing.assert_allclose(at[0], at[1], rtol=1e-6)
    times = [np.bincount(e.pulses.slot, e.pulses.charge * e.pulses.time * e.pulses.mask) for e in (event, merged)]
    np.testing.assert_allclose(times[0], times[1], rtol=1e-7)

    coarse, fine = (unfold_energies(model, start, event, pulse_width=w) for w in (2.0, 0.0))
    log_likelihood = jax.jit(eg.make_log_likelihood(model))
    values = [float(log_likelihood(model.variables, r.hypothesis, event)) for r in (coarse, fine)]
    assert values[0] == pytest.approx(values[1], abs=3e-4 * many)
    assert coarse.energies.sum() == pytest.approx(fine.energies.sum(), rel=1e-3)
    assert merge_pulses(event, 0.0) is event


def test_the_solution_is_the_maximum_of_the_linear_problem(model, sampler):
    event, start = simulated(model, sampler, 9), np.array([*START, *np.full(SEGMENTS, 100.0)])
    result = unfold_energies(model, start, event, refreshes=0, pulse_width=0.0)
    per_gev, background = light_per_gev(model, start, event, energy_places(model, start), 8)
    good, usable = event.pulses.mask, event.usable

    def log_likelihood(energies):
        light = jax.tree.map(lambda a, b: np.asarray(a, float) + energies @ np.asarray(b, float), background, per_gev)
        return float(event.pulses.charge[good] @ np.log(light.density[good]) - light.charge[usable].sum())

    best = log_likelihood(result.energies)
    assert best == pytest.approx(result.log_likelihood, abs=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert log_likelihood(np.abs(result.energies + rng.normal(size=SEGMENTS) * 3)) < best
    assert log_likelihood(LOSSES) < best


def test_a_smooth_prior_smooths(model, sampler):
    event = simulated(model, sampler, 3)
    start = [*START, *np.full(SEGMENTS, 100.0)]
    rough = [np.abs(np.diff(unfold_energies(model, start, event, smoothness=s).energies)).sum() for s in (0, 100, 1e6)]
    assert rough[0] > rough[1] > rough[2]


def test_what_cannot_be_unfolded(model, sampler, loaded_detector):
    event = simulated(model, sampler, 0)
    with pytest.raises(ReconstructionError, match="2 that are not finite"):
        unfold_energies(model, [*START, *LOSSES[:-2], np.nan, np.nan], event)
    nothing = build_event(np.zeros(0), np.zeros(0), np.zeros(0, int), num_doms=108, readout=(0.0, 1.0))
    without_charge = event.replace(pulses=event.pulses.replace(charge=0 * event.pulses.charge))
    for dark in (nothing, without_charge):
        with pytest.raises(ReconstructionError, match="no usable pulse"):
            unfold_energies(model, [*START, *LOSSES], dark)
    noise = analytic_model(loaded_detector, ModelSettings(model_class="AnalyticNoiseModel"))
    with pytest.raises(ReconstructionError, match="no cascade whose energy"):
        unfold_energies(noise, [], event)
    assert energy_places(model, np.array([*START, *LOSSES])).tolist() == list(range(7, 7 + SEGMENTS))


def test_a_gram_matrix_of_nearly_equal_rows_has_a_factor():
    """In single precision its smallest eigenvalues are rounding errors, negative ones among them."""
    matrix = np.ones((50, 50)) - 1e-3 * np.eye(50)
    assert np.linalg.eigvalsh(matrix).min() < 0
    factor, raised = _cholesky(matrix)
    np.testing.assert_allclose(factor.T @ factor, raised, rtol=1e-9)
    np.testing.assert_allclose(raised, matrix, rtol=0.011)
    with pytest.raises(np.linalg.LinAlgError):
        _cholesky(np.diag([1.0, -1.0]))
