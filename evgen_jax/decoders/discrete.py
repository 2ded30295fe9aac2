"""Quantiles of distributions on the non-negative integers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def discrete_quantile(
    cdf: Callable[..., Array],
    q: Float[Array, "*#shape"],
    parameters: tuple[Float[Array, "*#shape"], ...],
    mean: Float[Array, "*#shape"],
    variance: Float[Array, "*#shape"],
) -> Float[Array, "*#shape"]:
    """Finds the smallest integer n >= 0 with cdf(n, parameters) >= q, by bisection.

    The upper end is mean + 50 standard deviations + 100.

    Args:
      cdf: function (n, parameters) -> cumulative probability.
      q: probability in [0, 1], shape (...).
      parameters: of the distribution, broadcastable against q.
      mean: of the distribution, broadcastable against q.
      variance: of the distribution, broadcastable against q.

    Returns:
      Integer-valued n (...); inf where q >= 1.
    """
    q, mean, variance = jnp.broadcast_arrays(q, mean, variance)
    low = jnp.full_like(mean, -1.0)
    high = jnp.ceil(mean + 50 * jnp.sqrt(variance) + 100)

    def bisect(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = jnp.floor((low + high) / 2)
        enough = cdf(middle, parameters) >= q
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    low, high = jax.lax.fori_loop(0, 48, bisect, (low, high))
    return jnp.where(q >= 1, jnp.inf, jnp.maximum(high, 0.0))
