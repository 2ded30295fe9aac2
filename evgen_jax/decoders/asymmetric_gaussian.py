"""Gaussian with width sigma left of the mode mu and width r sigma right of it."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, erfinv
from jaxtyping import Array, Float, PRNGKeyArray

from evgen_jax.decoders.family import Family

_HALF_LOG = 0.5 * np.log(2 / np.pi)
"""Log of 2 / sqrt(2 pi)."""


def prepare(parameters: tuple[Float[Array, "*#shape"], ...]) -> tuple[Float[Array, "*#shape"], ...]:
    """Computes the constants of the log density.

    Args:
      parameters: mode mu, width sigma > 0 left of it, ratio r > 0 of the right width to the left one; each (...).

    Returns:
      Log normalisation, mu, 1 / sigma and 1 / (r sigma), each (...).
    """
    mu, sigma, r = parameters
    return float(_HALF_LOG) - jnp.log(sigma * (1 + r)), mu, 1 / sigma, 1 / (r * sigma)


def log_kernel(x: Float[Array, "*#shape"], prepared: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the log density log[2 / (sqrt(2 pi) sigma (1 + r))] - z^2 / 2.

    z = (x - mu) / sigma left of mu and (x - mu) / (r sigma) right of it.

    Args:
      x: shape (...).
      prepared: constants as `prepare` returns them, broadcastable against x.

    Returns:
      Log density per unit of x, shape (...).
    """
    log_norm, mu, inverse_left, inverse_right = prepared
    d = x - mu
    z = d * jnp.where(d < 0, inverse_left, inverse_right)
    # Beyond 1e15 widths the square leaves float32: the density is zero there anyway.
    z = jnp.clip(z, -1e15, 1e15)
    return log_norm - 0.5 * z * z


def cdf(x: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the cumulative distribution [1 + s erf((x - mu) / (sqrt(2) s sigma))] / (1 + r).

    s = 1 left of mu and s = r right of it.

    Args:
      x: shape (...).
      parameters: mu, sigma and r, broadcastable against x.

    Returns:
      Probabilities in [0, 1], shape (...).
    """
    mu, sigma, r = parameters
    d = (x - mu) / (np.sqrt(2) * sigma)
    side = jnp.where(d < 0, 1.0, r)
    return (1 + side * erf(d / side)) / (1 + r)


def ppf(q: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the quantile in closed form, by the inverse error function.

    Args:
      q: probability in [0, 1], shape (...).
      parameters: mu, sigma and r, broadcastable against q.

    Returns:
      x with cdf(x) = q, shape (...).
    """
    mu, sigma, r = parameters
    scaled = q * (1 + r) - 1
    left = sigma * erfinv(jnp.minimum(scaled, 0))
    right = r * sigma * erfinv(jnp.maximum(scaled, 0) / r)
    return mu + np.sqrt(2) * jnp.where(scaled < 0, left, right)


def mean(parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the mean mu + sqrt(2 / pi) sigma (r - 1).

    Args:
      parameters: mu, sigma and r, each (...).

    Returns:
      Mean, shape (...), in units of x.
    """
    mu, sigma, r = parameters
    return mu + np.sqrt(2 / np.pi) * sigma * (r - 1)


def variance(parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the variance sigma^2 [1 - r + r^2 - (2 / pi) (r - 1)^2].

    Args:
      parameters: mu, sigma and r, each (...).

    Returns:
      Variance, shape (...), in squared units of x.
    """
    _, sigma, r = parameters
    return sigma**2 * (1 - r + r**2 - (2 / np.pi) * (r - 1) ** 2)


def sample(
    key: PRNGKeyArray, parameters: tuple[Float[Array, "..."], ...], shape: tuple[int, ...]
) -> Float[Array, "..."]:
    """Draws values by inversion of the cumulative distribution.

    Args:
      key: of the random numbers.
      parameters: mu, sigma and r, broadcastable to `shape`.
      shape: of the result.

    Returns:
      Values of shape `shape`, in units of x.
    """
    dtype = jnp.result_type(*parameters)
    return ppf(jax.random.uniform(key, shape, dtype, minval=1e-7, maxval=1.0), parameters)


ASYMMETRIC_GAUSSIAN = Family(
    "AsymmetricGaussian", ("mu", "sigma", "r"), ("mu",), False, prepare, log_kernel, cdf, ppf, mean, variance, sample
)
"""Family of Gaussians with two widths, for times; parameters mu, sigma, r."""
