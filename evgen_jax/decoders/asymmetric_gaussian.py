"""Gaussian with width sigma left of the mode and r sigma right of it."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import erf, erfinv

from evgen_jax.decoders.family import Family

_HALF_LOG = 0.5 * np.log(2 / np.pi)


def prepare(parameters: tuple[Array, ...]) -> tuple[Array, ...]:
    mu, sigma, r = parameters
    return float(_HALF_LOG) - jnp.log(sigma * (1 + r)), mu, 1 / sigma, 1 / (r * sigma)


def log_kernel(x: Array, prepared: tuple[Array, ...]) -> Array:
    r"""Log density log[2 / (sqrt(2 pi) sigma (1 + r))] - z^2 / 2.

    z = (x - mu) / sigma left of mu and (x - mu) / (r sigma) right of it.
    """
    log_norm, mu, inverse_left, inverse_right = prepared
    d = x - mu
    z = d * jnp.where(d < 0, inverse_left, inverse_right)
    # Beyond 1e15 widths the square leaves float32: the density is zero there anyway.
    z = jnp.clip(z, -1e15, 1e15)
    return log_norm - 0.5 * z * z


def cdf(x: Array, parameters: tuple[Array, ...]) -> Array:
    mu, sigma, r = parameters
    d = (x - mu) / (np.sqrt(2) * sigma)
    side = jnp.where(d < 0, 1.0, r)
    return (1 + side * erf(d / side)) / (1 + r)


def ppf(q: Array, parameters: tuple[Array, ...]) -> Array:
    mu, sigma, r = parameters
    scaled = q * (1 + r) - 1
    left = sigma * erfinv(jnp.minimum(scaled, 0))
    right = r * sigma * erfinv(jnp.maximum(scaled, 0) / r)
    return mu + np.sqrt(2) * jnp.where(scaled < 0, left, right)


def mean(parameters: tuple[Array, ...]) -> Array:
    mu, sigma, r = parameters
    return mu + np.sqrt(2 / np.pi) * sigma * (r - 1)


def variance(parameters: tuple[Array, ...]) -> Array:
    _, sigma, r = parameters
    return sigma**2 * (1 - r + r**2 - (2 / np.pi) * (r - 1) ** 2)


def sample(key: Array, parameters: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    dtype = jnp.result_type(*parameters)
    return ppf(jax.random.uniform(key, shape, dtype, minval=1e-7, maxval=1.0), parameters)


ASYMMETRIC_GAUSSIAN = Family(
    "AsymmetricGaussian", ("mu", "sigma", "r"), ("mu",), False, prepare, log_kernel, cdf, ppf, mean, variance, sample
)
