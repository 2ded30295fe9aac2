"""Pulses of one module that follow each other closely are merged, finely where light begins and coarsely in its tail."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evgen_jax.building.analytic import analytic_model
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.merging import GROWTH, light_begins, merge_pulses, merged_columns
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.simulation.events import EventSampler


def light(seed, count, begin, decay=80.0):
    """Sorted times of one module's light: an edge of 4 ns and a tail, as modules near a shower see."""
    rng = np.random.default_rng(seed)
    return np.sort(begin + rng.normal(0, 4, count) + rng.gamma(1.5, decay, count))


def merged(times, width=1.0):
    """Merged pulses of one module: times of the first of each, means, charges."""
    slot = np.zeros(len(times), int)
    starts, mean, charge = merged_columns(slot, times, np.ones(len(times)), width)
    return times[starts], mean, charge


def test_charges_are_kept_and_times_are_means():
    slot = np.array([0, 0, 0, 2, 2])
    time, charge = np.array([10.0, 10.4, 300.0, 10.0, 10.4]), np.array([1.0, 3.0, 2.0, 0.0, 0.0])
    starts, mean, total = merged_columns(slot, time, charge, 1.0)
    np.testing.assert_array_equal(starts, [0, 2, 3])
    np.testing.assert_allclose(mean, [10.3, 300.0, 10.2])  # also of pulses without charge
    np.testing.assert_array_equal(total, [4, 2, 0])
    assert all(len(column) == 0 for column in merged_columns(slot[:0], time[:0], charge[:0], 1.0))


def test_noise_before_the_light_changes_nothing_of_it():
    """Widths that grew from a noise pulse were 150 ns at light that came 5000 ns later."""
    times = light(0, 2000, 5000.0)
    alone = merged(times)
    for noise in ([0.0], [0.0, 4300.0, 4900.0]):
        starts, mean, charge = merged(np.concatenate([noise, times]))
        np.testing.assert_allclose(mean[: len(noise)], noise)
        assert np.sum(charge[len(noise) :]) == 2000 and len(starts) == pytest.approx(len(alone[0]), rel=0.05)
        at = np.array([4998.0, 5020, 5100, 5300])
        widths = [np.interp(at, own[:-1], np.diff(own)) for own in (starts[len(noise) :], alone[0])]
        np.testing.assert_allclose(*widths, atol=0.3, rtol=0.3)
    assert len(alone[0]) < 200


def test_light_of_a_second_shower_begins_anew():
    first, second = light(1, 3000, 0.0), light(2, 3000, 600.0)
    starts, _, _ = merged(np.sort(np.concatenate([first, second])))
    widths = np.diff(starts)
    tail, edge = (widths[(starts[:-1] > low) & (starts[:-1] < low + 20)] for low in (560, second[30]))
    assert np.median(tail) > 10 and np.max(edge) < 3  # 18 ns at 600 ns in one growing scale


def test_a_smooth_tail_stays_coarse_and_an_edge_within_its_width():
    times = light(3, 100000, 0.0)
    begins = light_begins(np.zeros(len(times), int), times, np.ones(len(times)), 1.0, GROWTH)
    assert np.max(times[begins]) < 15 and np.min(np.diff(np.floor(times[begins] - times[0]))) >= 1
    most = np.log1p(GROWTH * (times[-1] - times[0])) / GROWTH
    assert len(merged(times)[0]) < most + 20


@pytest.mark.parametrize("noise", [(), (0.0, 3000.0)])
def test_merged_events_have_the_likelihood_of_all_photoelectrons(loaded_detector, noise):
    """Up to what both hypotheses share: differences of log-likelihoods tell where the shower was."""
    model = analytic_model(loaded_detector)
    truth = np.array([20.0, -30, 15, 1.1, 2.0, 2e4, 9900])
    (event,) = EventSampler(model, (0.0, 20000.0)).events(truth[None], jax.random.key(1))
    pulses, good = event.pulses, np.asarray(event.pulses.mask)
    brightest = np.argmax(np.bincount(np.asarray(pulses.slot)[good]))
    dom = np.asarray(event.active)[np.asarray(pulses.slot)[good]]
    dom = np.concatenate([dom, np.full(len(noise), np.asarray(event.active)[brightest])])
    event = Event.from_pulses(
        np.concatenate([np.asarray(pulses.charge)[good], np.ones(len(noise))]),
        np.concatenate([np.asarray(pulses.time)[good], noise]),
        np.asarray(loaded_detector.string)[dom],
        np.asarray(loaded_detector.om)[dom],
        detector=loaded_detector,
        readout=(0.0, 20000.0),
    )
    near = jnp.asarray(truth + np.array([2.0, 2, -2, 0.05, 0.05, 500, 3]), jnp.float32)
    value = jax.jit(lambda h, e: log_likelihood(model, h, e))
    gain = [
        float(value(jnp.asarray(truth, jnp.float32), e) - value(near, e)) for e in (event, merge_pulses(event, 1.0))
    ]
    assert gain[1] == pytest.approx(gain[0], abs=0.3)
