"""Laws of what is added and of what lies behind each other, for many random cases."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evgen_jax.light.light_yield import LightYield
from evgen_jax.measurement.ragged import Ragged, Rows
from evgen_jax.sources.linen_source import empty_event

COUNTS = st.lists(st.integers(0, 5), min_size=1, max_size=6)
WHOLE = st.integers(-(2**20), 2**20)  # sums of few whole numbers are exact in float32


@given(COUNTS)
def test_every_entry_belongs_to_one_event(sizes):
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    ragged = Ragged({"a": np.arange(offsets[-1]), "b": np.arange(2 * offsets[-1]).reshape(-1, 2)}, offsets)
    np.testing.assert_array_equal(ragged.sizes, sizes)
    parts = [ragged.of(i) for i in range(len(sizes))]
    for name in ("a", "b"):
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), ragged[name])
    assert [len(part["a"]) for part in parts] == sizes


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), WHOLE), max_size=12))
def test_keys_sort_by_event_then_by_module(table):
    event, dom, value = (np.array([row[i] for row in table], np.int64) for i in range(3))
    rows = Rows(event, dom, {"value": value})
    order = np.argsort(rows.key(5), kind="stable")
    assert [table[i][:2] for i in order] == sorted(row[:2] for row in table)
    kept = rows.select(value > 0)
    assert list(zip(kept.event, kept.dom, kept["value"], strict=True)) == [row for row in table if row[2] > 0]


def lights(cumulative: bool):
    numbers = st.lists(WHOLE, min_size=5, max_size=5)
    arrays = st.tuples(*[numbers] * (5 if cumulative else 4))
    return arrays.map(lambda a: LightYield(*(jnp.asarray(x, jnp.float32) for x in a)))


def same(one: LightYield, other: LightYield) -> bool:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


@settings(deadline=None)
@given(st.booleans().flatmap(lambda c: st.tuples(*[lights(c)] * 3)))
def test_light_is_a_commutative_monoid(three):
    a, b, c = three
    assert same(a + b, b + a) and same((a + b) + c, a + (b + c))
    event = empty_event(5)
    event = event.replace(pulses=event.pulses.replace(charge=jnp.zeros(5)))
    dark = LightYield.zeros(event, jnp.float32, cumulative=a.cumulative is not None)
    assert same(dark + a, a) and same(a + dark, a)
    assert same(sum([a, b, c]), a + b + c) and same(sum([a]), a) and same(LightYield.sum([a, b]), a + b)
    twice = jnp.asarray(2.0, jnp.float32)
    assert same((a + b).scale(twice), a.scale(twice) + b.scale(twice))
    assert same(a.scale(jnp.asarray(0.0, jnp.float32)), jax.tree.map(lambda x: 0 * x, a))
