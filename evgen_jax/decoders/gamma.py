"""Gamma distribution with shape alpha and rate beta, and the gamma distribution shifted by a latent offset."""

import jax
import jax.numpy as jnp
from jax.scipy.special import gammainc
from jaxtyping import Array, Float, PRNGKeyArray

from evgen_jax.decoders.family import IMPOSSIBLE, Family
from evgen_jax.numerics import gamma_quantile, log_gamma, tiny


def prepare(parameters: tuple[Float[Array, "*#shape"], ...]) -> tuple[Float[Array, "*#shape"], ...]:
    """Computes the constants of the log density.

    Args:
      parameters: shape alpha > 0 and rate beta > 0 (one over the unit of x), each (...).

    Returns:
      Log normalisation, alpha - 1 and beta, each (...).
    """
    alpha, beta = parameters
    return alpha * jnp.log(beta) - log_gamma(alpha), alpha - 1, beta


def log_kernel(x: Float[Array, "*#shape"], prepared: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the log density alpha log(beta) + (alpha - 1) log(x) - beta x - lgamma(alpha).

    Args:
      x: shape (...).
      prepared: constants as `prepare` returns them, broadcastable against x.

    Returns:
      Log density per unit of x, shape (...); -1e30 for x <= 0.
    """
    log_norm, power, beta = prepared
    smallest = tiny(jnp.result_type(x))
    possible = x >= smallest
    # Selected before and after, so that all derivatives stay finite.
    inside = jnp.where(possible, x, 1.0)
    value = log_norm + power * jnp.log(inside) - beta * inside
    return jnp.where(possible, value, IMPOSSIBLE)


def cdf(x: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the cumulative distribution, the regularised incomplete gamma function P(alpha, beta x).

    Args:
      x: shape (...).
      parameters: alpha and beta, broadcastable against x.

    Returns:
      Probabilities in [0, 1], shape (...); 0 for x <= 0.
    """
    alpha, beta = parameters
    # The derivative of the incomplete gamma function at 0 is not finite for alpha < 1.
    possible = x > 1e-30
    return jnp.where(possible, gammainc(alpha, beta * jnp.where(possible, x, 1.0)), 0.0)


def ppf(q: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the quantile by bisection.

    Args:
      q: probability in [0, 1], shape (...).
      parameters: alpha and beta, broadcastable against q.

    Returns:
      x >= 0, shape (...); inf at q = 1.
    """
    alpha, beta = parameters
    return gamma_quantile(alpha, q) / beta


def mean(parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the mean alpha / beta.

    Args:
      parameters: alpha and beta, each (...).

    Returns:
      Mean, shape (...), in units of x.
    """
    return parameters[0] / parameters[1]


def variance(parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the variance alpha / beta^2.

    Args:
      parameters: alpha and beta, each (...).

    Returns:
      Variance, shape (...), in squared units of x.
    """
    return parameters[0] / parameters[1] ** 2


def sample(
    key: PRNGKeyArray, parameters: tuple[Float[Array, "..."], ...], shape: tuple[int, ...]
) -> Float[Array, "..."]:
    """Draws gamma variates.

    Args:
      key: of the random numbers.
      parameters: alpha and beta, broadcastable to `shape`.
      shape: of the result.

    Returns:
      Values > 0 of shape `shape`, in units of x.
    """
    alpha, beta = parameters
    return jax.random.gamma(key, jnp.broadcast_to(alpha, shape)) / beta


GAMMA = Family("Gamma", ("alpha", "beta"), (), False, prepare, log_kernel, cdf, ppf, mean, variance, sample)
"""Family of gamma distributions, for times; parameters alpha (shape) and beta (rate)."""

SHIFTED_GAMMA = Family(
    "ShiftedGamma",
    ("alpha", "beta", "offset"),
    (),
    False,
    lambda p: (*prepare(p[:2]), p[2]),
    lambda x, prepared: log_kernel(x - prepared[3], prepared[:3]),
    lambda x, p: cdf(x - p[2], p[:2]),
    lambda q, p: ppf(q, p[:2]) + p[2],
    lambda p: mean(p[:2]) + p[2],
    lambda p: variance(p[:2]),
    lambda key, p, shape: sample(key, p[:2], shape) + p[2],
)
"""Family of gamma distributions that begin at `offset`, for times; parameters alpha, beta and offset."""
