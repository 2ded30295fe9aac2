"""Problems side by side: how many lanes a program has, how many are computed together, how threads share them."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel

LANES = 64
"""Largest number of lanes of a program, which computes only those that have problems."""
MOST_NUMBERS = 1 << 20
"""Largest number of elements of one matrix per lane in all lanes; with many unknowns there are fewer lanes."""
FEWEST = 4
"""Least number of problems per thread where each is evaluated once."""
MOST_THREADS = 8
"""Largest number of threads."""
PARTS = 4
"""Parts per thread where problems take different times: a thread that is done takes another part."""


def lanes_together() -> int:
    """Chooses how many problems are computed side by side: on a CPU one after the other fits the cache best.

    Returns:
      The number.
    """
    return 1 if jax.default_backend() == "cpu" else 32


def lanes_for(size: int) -> int:
    """Chooses the number of lanes of a program.

    Args:
      size: number of unknowns of a problem.

    Returns:
      A multiple of `lanes_together()`.
    """
    together = lanes_together()
    return max(min(LANES, MOST_NUMBERS // max(size * size, 1)) // together, 1) * together


def threads_together(count: int, fewest: int = FEWEST) -> int:
    """Threads that share `count` problems: the operations of one problem are too small to keep all cores busy.

    Args:
      count: problems.
      fewest: problems per thread.

    Returns:
      At least 1.
    """
    if jax.default_backend() != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(cores, count // fewest, MOST_THREADS), 1)


def side_by_side(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function of trees with a leading axis [L] from a function of trees without it; its results have the axis.

    Args:
      function: of any number of trees of arrays.

    Returns:
      The function.
    """

    def block(*trees: Any) -> Any:
        if len(jax.tree.leaves(trees)[0]) == 1:
            return jax.tree.map(lambda a: a[None], function(*jax.tree.map(lambda a: a[0], trees)))
        return jax.vmap(function)(*trees)

    return block


def each_block(
    function: Callable[..., Any],
    model: AnyModel,
    lanes: Any,
    anchors: Float[Array, "L H"],
    events: Event,
    which: Int[Array, " L"],
    count: Int[Array, ""],
) -> Any:
    """A function of (model, lanes [B, ...], anchors [B, H], events [B]) for the first `count` lanes, B at a time.

    Args:
      function: returns an array or a tree of arrays with leading axis B, which is `lanes_together()`.
      model: of all lanes.
      lanes: array or tree of arrays [L, ...]; L is a multiple of B.
      anchors: [L, H].
      events: a batch.
      which: [L], places of the lanes' events in the batch.
      count: number of lanes that are computed; further ones cost nothing but those of the last block.

    Returns:
      Results with leading axis L, floats as float64, zero for blocks beyond `count`.
    """
    chex.assert_equal_shape_prefix([*jax.tree.leaves(lanes), anchors, which], 1)
    chex.assert_is_divisible(len(which), lanes_together())
    size = lanes_together()

    def one(places: Array) -> Any:
        own = jax.tree.map(lambda a: a[places], lanes)
        return function(model, own, anchors[places], jax.tree.map(lambda a: a[which[places]], events))

    def wide(dtype: Any) -> Any:
        return jnp.float64 if jnp.issubdtype(dtype, jnp.floating) else dtype

    def body(block: Array, out: Any) -> Any:
        places = block * size + jnp.arange(size, dtype=jnp.int32)
        return jax.tree.map(lambda o, v: o.at[places].set(v.astype(o.dtype)), out, one(places))

    shapes = jax.eval_shape(one, jnp.zeros(size, jnp.int32))
    out = jax.tree.map(lambda s: jnp.zeros((len(which), *s.shape[1:]), wide(s.dtype)), shapes)
    return jax.lax.fori_loop(0, (count + size - 1) // size, body, out)


def each_lane(
    function: Callable[..., Any],
    model: AnyModel,
    unknown: Float[Array, "L n"],
    anchors: Float[Array, "L H"],
    events: Event,
    which: Int[Array, " L"],
    count: Int[Array, ""],
) -> Any:
    """A function of (model, unknown [n], anchor [H], event) for the first `count` lanes.

    Args:
      function: returns an array or a tree of arrays.
      model: of all lanes.
      unknown: [L, n].
      anchors: [L, H].
      events: a batch.
      which: [L], places of the lanes' events in the batch.
      count: lanes that are computed.

    Returns:
      Results with leading axis L, floats as float64, zero beyond the last block of lanes.
    """

    def block(model: AnyModel, *own: Any) -> Any:
        return side_by_side(partial(function, model))(*own)

    return each_block(block, model, unknown, anchors, events, which, count)
