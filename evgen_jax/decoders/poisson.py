"""Poisson distribution for real counts n >= 0."""

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaincc
from jaxtyping import Array, Float, PRNGKeyArray, Real

from evgen_jax.decoders.discrete import discrete_quantile
from evgen_jax.decoders.family import IMPOSSIBLE, Family
from evgen_jax.decoders.negative_binomial import log_factorial_term


def log_probability(
    n: Real[Array, "*#shape"], mu: Float[Array, "*#shape"], add_normalization_term: bool = True
) -> Float[Array, "*#shape"]:
    """Computes the log probability n log mu - mu - lgamma(n + 1).

    Args:
      n: charge in PE, need not be an integer; shape (...).
      mu: expected charge > 0, PE, broadcastable against n.
      add_normalization_term: whether to subtract lgamma(n + 1), which no parameter changes.

    Returns:
      Log probability, shape (...); -1e30 for n < 0.
    """
    value = log_factorial_term(jnp.maximum(n, 0), mu, add_normalization_term) - mu
    return jnp.where(n >= 0, value, IMPOSSIBLE)


def _cdf(x: Real[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    n = jnp.floor(x)
    return jnp.where(n >= 0, gammaincc(jnp.maximum(n, 0) + 1, parameters[0]), 0.0)


def _sample(
    key: PRNGKeyArray, parameters: tuple[Float[Array, "..."], ...], shape: tuple[int, ...]
) -> Float[Array, "..."]:
    mu = jnp.broadcast_to(parameters[0], shape)
    return jax.random.poisson(key, mu).astype(mu.dtype)


POISSON = Family(
    "Poisson",
    ("mu",),
    ("mu",),
    True,
    lambda p: p,
    lambda x, prepared: log_probability(x, prepared[0]),
    _cdf,
    lambda q, p: discrete_quantile(_cdf, q, p, p[0], p[0]),
    lambda p: p[0],
    lambda p: p[0],
    _sample,
    lambda p: jnp.zeros_like(p[0]),
)
"""Family of Poisson distributions, for charges; parameter mu (mean, PE)."""
