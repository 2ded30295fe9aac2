"""Compiled programs are forgotten before the system has no memory mappings left for further ones."""

import jax
import jax.numpy as jnp
import pytest

from evgen_jax import program_memory
from evgen_jax.measurement.event import Event
from evgen_jax.program_memory import make_room_for_programs
from evgen_jax.reconstruction.fit.batching import PULSES_PER_ACTIVE, WORTH_A_SHAPE, blocks, grouped_by_shape, shape_of


def test_programs_are_forgotten_beyond_the_limit():
    traces = []

    @jax.jit
    def double(x):
        traces.append(x)
        return 2 * x

    double(jnp.ones(3))
    double(jnp.ones(3))
    assert len(traces) == 1 and not make_room_for_programs(limit=1 << 40)
    double(jnp.ones(3))
    assert len(traces) == 1
    if program_memory.MAPPINGS.exists():
        assert make_room_for_programs(limit=1)
        assert double(jnp.ones(3))[0] == 2 and len(traces) == 2


def test_a_system_without_mappings_forgets_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(program_memory, "MAPPINGS", tmp_path / "nothing")
    assert not make_room_for_programs(limit=1)


def _event(detector, pulses: int) -> Event:
    return Event.from_pulses([1.0] * pulses, range(pulses), [1] * pulses, [1] * pulses, detector=detector)


def test_few_events_take_the_shape_of_larger_ones(detector):
    events = [_event(detector, count) for count in (5, 300, 60, 290)]
    assert [shape_of(event)[0] for event in events] == [64, 1024, 64, 1024]
    (shape,) = grouped_by_shape(events)
    assert shape == shape_of(events[1]) and sorted(grouped_by_shape(events)[shape]) == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [3, 600])
def test_many_events_keep_their_shape_and_blocks_share_one(detector, count, monkeypatch):
    monkeypatch.setattr("evgen_jax.reconstruction.fit.batching.WORTH_A_SHAPE", WORTH_A_SHAPE if count > 3 else 0)
    events = [_event(detector, 10)] * count + [_event(detector, 2000)] * 40
    groups = grouped_by_shape(events)
    assert sorted(i for places in groups.values() for i in places) == list(range(len(events)))
    assert len(groups) == 2
    found = list(blocks(events, 16))
    assert sorted(i for block in found for i in block) == list(range(len(events)))
    assert all(len(block) <= 16 for block in found)
    assert {shape for block in found for shape in grouped_by_shape([events[i] for i in block])} == set(groups)


def test_active_modules_are_padded_with_the_pulses_but_not_beyond_the_detector(detector):
    assert shape_of(_event(detector, 300)) == (1024, min(1024 // PULSES_PER_ACTIVE * 2, detector.num_doms), 0)
