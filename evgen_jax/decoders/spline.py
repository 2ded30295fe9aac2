"""Monotone rational-quadratic spline flow over a logistic with a width of its own on either side of the mode."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.decoders.family import Family

BASE = ("mu", "sigma", "r")
SMALLEST_BIN, SMALLEST_SLOPE = 1e-3, 1e-3
DEFAULT_BINS = 8
_GRID = np.linspace(-34.0, 34.0, 545)
_UNIT = float(np.log(np.e - 1))
"""softplus(_UNIT) = 1: latent variables of 0 leave the base distribution as it is."""


def _base_log_pdf(x: Array, base: tuple[Array, ...]) -> Array:
    mu, sigma, r = base
    z = jnp.abs(x - mu) / jnp.where(x < mu, sigma, r * sigma)
    return jnp.log(2 / (sigma * (1 + r))) - z - 2 * jnp.log1p(jnp.exp(-z))


def _base_cdf(x: Array, base: tuple[Array, ...]) -> Array:
    mu, sigma, r = base
    before = x < mu
    left = jax.nn.sigmoid(jnp.where(before, x - mu, 0) / sigma)
    right = jnp.tanh(jnp.where(before, 0, x - mu) / (2 * r * sigma))
    return jnp.where(before, 2 * left, 1 + r * right) / (1 + r)


def _base_ppf(u: Array, base: tuple[Array, ...]) -> Array:
    mu, sigma, r = base
    smallest = float(np.finfo(np.asarray(0.0, u.dtype).dtype).tiny)
    scaled = u * (1 + r)
    left = jax.scipy.special.logit(jnp.clip(scaled / 2, smallest, 0.5))
    # 1 - (scaled - 1) / r from the complement of u, which keeps the right tail.
    beyond = jnp.clip((1 - u) * (1 + r) / r, smallest, 1.0)
    right = jnp.log((2 - beyond) / beyond)
    return mu + jnp.where(scaled < 1, sigma * left, r * sigma * right)


def _knots(num_bins: int, parameters: tuple[Array, ...]) -> tuple[list[Array], list[Array], list[Array]]:
    """Knots x and y (num_bins + 1 each, from 0 to 1) and the slopes there."""

    def cumulative(latent: tuple[Array, ...]) -> list[Array]:
        share = jax.nn.softmax(jnp.stack(latent, axis=-1), axis=-1)
        share = SMALLEST_BIN + (1 - SMALLEST_BIN * num_bins) * share
        inner = jnp.cumsum(share, axis=-1)
        zero = jnp.zeros_like(latent[0])
        return [zero, *(inner[..., i] for i in range(num_bins - 1)), zero + 1]

    own = parameters[len(BASE) :]
    slopes = [SMALLEST_SLOPE + (1 - SMALLEST_SLOPE) * jax.nn.softplus(s + _UNIT) for s in own[2 * num_bins :]]
    return cumulative(own[:num_bins]), cumulative(own[num_bins : 2 * num_bins]), slopes


def prepare(num_bins: int, parameters: tuple[Array, ...]) -> tuple[Array, ...]:
    x, y, slopes = _knots(num_bins, tuple(jnp.broadcast_arrays(*parameters)))
    return (*parameters[:3], *x, *y, *slopes)


def _bin(u: Array, knots: list[Array], *columns: list[Array]) -> list[Array]:
    """Of every column (one array per bin) the entry of the bin that holds u."""
    chosen = [column[0] for column in columns]
    for i in range(1, len(columns[0])):
        beyond = u >= knots[i]
        chosen = [jnp.where(beyond, column[i], value) for column, value in zip(columns, chosen, strict=True)]
    return chosen


def _split(num_bins: int, prepared: tuple[Array, ...]):
    base, rest = prepared[:3], list(prepared[3:])
    x, y, slopes = (rest[i * (num_bins + 1) : (i + 1) * (num_bins + 1)] for i in range(3))
    return base, x, y, slopes


def log_kernel(num_bins: int, t: Array, prepared: tuple[Array, ...]) -> Array:
    """Log density: that of the base plus the log slope of the spline at its cumulative distribution.

    Durkan et al. 2019 (arXiv:1906.04032), equations 4 and 5.
    """
    base, x, y, slopes = _split(num_bins, prepared)
    u = _base_cdf(t, base)
    x0, x1, y0, y1, d0, d1 = _bin(u, x, x[:-1], x[1:], y[:-1], y[1:], slopes[:-1], slopes[1:])
    mean = (y1 - y0) / (x1 - x0)
    share = (u - x0) / (x1 - x0)
    product = share * (1 - share)
    top = mean**2 * (d1 * share**2 + 2 * mean * product + d0 * (1 - share) ** 2)
    return _base_log_pdf(t, base) + jnp.log(top) - 2 * jnp.log(mean + (d0 + d1 - 2 * mean) * product)


def cdf(num_bins: int, t: Array, parameters: tuple[Array, ...]) -> Array:
    base, x, y, slopes = _split(num_bins, prepare(num_bins, parameters))
    u = _base_cdf(t, base)
    x0, x1, y0, y1, d0, d1 = _bin(u, x, x[:-1], x[1:], y[:-1], y[1:], slopes[:-1], slopes[1:])
    mean = (y1 - y0) / (x1 - x0)
    share = (u - x0) / (x1 - x0)
    product = share * (1 - share)
    return y0 + (y1 - y0) * (mean * share**2 + d0 * product) / (mean + (d0 + d1 - 2 * mean) * product)


def ppf(num_bins: int, q: Array, parameters: tuple[Array, ...]) -> Array:
    """Quantile in closed form: a quadratic equation in the bin, then that of the base (same paper, appendix A)."""
    base, x, y, slopes = _split(num_bins, prepare(num_bins, parameters))
    x0, x1, y0, y1, d0, d1 = _bin(q, y, x[:-1], x[1:], y[:-1], y[1:], slopes[:-1], slopes[1:])
    mean = (y1 - y0) / (x1 - x0)
    rise, bend = q - y0, d0 + d1 - 2 * mean
    a = (y1 - y0) * (mean - d0) + rise * bend
    b = (y1 - y0) * d0 - rise * bend
    c = -mean * rise
    share = 2 * c / (-b - jnp.sqrt(jnp.maximum(b**2 - 4 * a * c, 0)))
    return _base_ppf(x0 + jnp.clip(share, 0, 1) * (x1 - x0), base)


def _moment(num_bins: int, power: int, parameters: tuple[Array, ...]) -> Array:
    """Moment about the mode, by the trapezoidal rule over logit(q)."""
    grid = jnp.asarray(_GRID, parameters[0].dtype)
    weight = jax.nn.sigmoid(grid) * jax.nn.sigmoid(-grid) * float(_GRID[1] - _GRID[0])
    expanded = tuple(p[..., None] for p in parameters)
    value = ppf(num_bins, jax.nn.sigmoid(grid), expanded) - expanded[0]
    return jnp.sum(weight * value**power, axis=-1) / jnp.sum(weight)


def mean(num_bins: int, parameters: tuple[Array, ...]) -> Array:
    return parameters[0] + _moment(num_bins, 1, parameters)


def variance(num_bins: int, parameters: tuple[Array, ...]) -> Array:
    return _moment(num_bins, 2, parameters) - _moment(num_bins, 1, parameters) ** 2


def sample(num_bins: int, key: Array, parameters: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    dtype = jnp.result_type(*parameters)
    return ppf(num_bins, jax.random.uniform(key, shape, dtype, minval=1e-7, maxval=1.0), parameters)


@lru_cache
def rational_quadratic_spline(num_bins: int = DEFAULT_BINS) -> Family:
    """A family whose cumulative distribution is a spline with `num_bins` bins of that of the base.

    The base is a logistic of width sigma left of mu and r sigma right of it, so both tails are exponential, as those of
    light in ice. All latent variables of the spline at 0 give the base itself.
    """
    names = (
        *BASE,
        *(f"width_{i:02d}" for i in range(num_bins)),
        *(f"height_{i:02d}" for i in range(num_bins)),
        *(f"slope_{i:02d}" for i in range(num_bins + 1)),
    )
    functions = (partial(f, num_bins) for f in (prepare, log_kernel, cdf, ppf, mean, variance, sample))
    return Family("RationalQuadraticSpline", names, ("mu",), False, *functions)
