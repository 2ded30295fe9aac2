"""Padded lengths of batches: few, enough, and no more than four times what is needed."""

import numpy as np
import pytest

from evgen_jax.measurement.packing import LEAST_OF_BATCH, MANY_OF_BATCH, batch_lengths

PULSES = np.unique(np.geomspace(1, 200_000, 400).astype(int))


@pytest.mark.parametrize("events", [1, 2, 3, 32, 256, 5000])
def test_lengths_of_batches(events):
    found = np.array([batch_lengths(p, 1, 0, events, 5160)[0] for p in PULSES])
    assert np.all(found >= PULSES)
    above = PULSES > LEAST_OF_BATCH
    assert np.all(found[above] < 4 * PULSES[above])
    many = events * PULSES > MANY_OF_BATCH
    assert np.all(found[many & above] < 2 * PULSES[many & above])


def test_a_training_in_small_batches_compiles_for_few_shapes():
    """Batches of two events of 1 to 100 000 pulses in up to 3000 modules: fifteen shapes where lengths begin at 64."""
    rng = np.random.default_rng(1)
    pulses = np.exp(rng.uniform(0, np.log(1e5), 3000)).astype(int)
    shapes = {
        batch_lengths(p, a, 0, 2, 5160) for p, a in zip(pulses, rng.uniform(1, 3000, 3000).astype(int), strict=True)
    }
    assert len({s[0] for s in shapes}) == 5 and {s[1] for s in shapes} == {1024, 4096}


def test_active_modules_are_no_more_than_the_detector():
    assert batch_lengths(10, 50, 0, 2, 108) == (1024, 108, 0)
    assert batch_lengths(10, 4500, 20, 2, 5160) == (1024, 5160, 64)
