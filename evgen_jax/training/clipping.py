"""Transformations that shorten gradients, beside those of optax."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

MEMORY = 0.99
"""Share of what is known of earlier norms that is kept in a step."""
FARTHEST = 10.0
"""Largest ratio of a norm, as it is remembered, to the usual one: a single odd batch does not lift the limit."""


def clip_each_by_norm(largest: float) -> optax.GradientTransformation:
    """Clips every array of gradients by its norm.

    Args:
      largest: norm to which longer arrays are shortened.

    Returns:
      Transformation of gradients.
    """

    def shorten(gradient: jax.Array) -> jax.Array:
        norm = jnp.sqrt(jnp.sum(jnp.square(gradient)))
        return gradient * (largest / jnp.maximum(norm, largest)).astype(gradient.dtype)

    return optax.stateless(lambda gradients, _: jax.tree.map(shorten, gradients))


class NormHistory(NamedTuple):
    """Remembers the norms of gradients so far.

    Attributes:
      total: weighted sum of their logarithms, scalar.
      weight: sum of the weights, scalar.
    """

    total: jax.Array
    weight: jax.Array


def clip_by_history(largest: float) -> optax.GradientTransformation:
    """Shortens gradients to a multiple of their usual norm, the geometric mean of the norms so far.

    The latest norms weigh most (`MEMORY` per step), so that the limit follows a loss that falls, whatever its scale. The
    first gradient is its own usual norm. Norms that are not finite are not remembered.

    Args:
      largest: norm to which longer gradients are shortened, in units of the usual one.

    Returns:
      Transformation of gradients.
    """

    def init(weights: Any) -> NormHistory:
        del weights
        return NormHistory(jnp.zeros(()), jnp.zeros(()))

    def update(gradient: Any, history: NormHistory, weights: Any = None) -> tuple[Any, NormHistory]:
        del weights
        norm = optax.tree.norm(gradient)
        known = history.weight > 0
        usual = jnp.where(known, jnp.exp(history.total / jnp.where(known, history.weight, 1)), norm)
        factor = jnp.minimum(1.0, largest * usual / jnp.maximum(norm, 1e-30))
        remembered = jnp.log(jnp.maximum(jnp.clip(norm, usual / FARTHEST, usual * FARTHEST), 1e-30))
        fine = jnp.isfinite(norm)
        after = NormHistory(
            jnp.where(fine, MEMORY * history.total + (1 - MEMORY) * remembered, history.total),
            jnp.where(fine, MEMORY * history.weight + (1 - MEMORY), history.weight),
        )
        return jax.tree.map(lambda g: (g * factor).astype(g.dtype), gradient), after

    return optax.GradientTransformation(init, update)
