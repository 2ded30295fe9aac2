"""Monotone rational-quadratic spline flow over a logistic with different widths left and right of its mode."""

import math
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from evgen_jax.decoders.family import Family

BASE = ("mu", "sigma", "r")
"""Parameters of the base distribution: mode, width left of it, and ratio of the right width to the left one."""
SMALLEST_BIN = 1e-3
"""Smallest width and height of a bin, as a share of the unit square of the spline."""
SMALLEST_SLOPE = 1e-3
"""Smallest slope of the spline at a knot."""
DEFAULT_BINS = 8
"""Bins of the spline where a configuration does not give their number."""
_GRID = np.linspace(-34.0, 34.0, 545)
"""Nodes in logit(q) of the trapezoidal rule for moments."""
_UNIT = float(np.log(math.e - 1))
"""softplus(_UNIT) = 1: latent variables of 0 leave the base distribution as it is."""


def _base_log_pdf(x: Float[Array, "*#shape"], base: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Returns the log density of the base, per unit of x."""
    mu, sigma, r = base
    z = jnp.abs(x - mu) / jnp.where(x < mu, sigma, r * sigma)
    return jnp.log(2 / (sigma * (1 + r))) - z - 2 * jnp.log1p(jnp.exp(-z))


def _base_cdf(x: Float[Array, "*#shape"], base: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    mu, sigma, r = base
    before = x < mu
    left = jax.nn.sigmoid(jnp.where(before, x - mu, 0) / sigma)
    right = jnp.tanh(jnp.where(before, 0, x - mu) / (2 * r * sigma))
    return jnp.where(before, 2 * left, 1 + r * right) / (1 + r)


def _base_ppf(u: Float[Array, "*#shape"], base: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    mu, sigma, r = base
    smallest = float(np.finfo(np.asarray(0.0, u.dtype).dtype).tiny)
    scaled = u * (1 + r)
    left = jax.scipy.special.logit(jnp.clip(scaled / 2, smallest, 0.5))
    # 1 - (scaled - 1) / r from the complement of u, which keeps the right tail.
    beyond = jnp.clip((1 - u) * (1 + r) / r, smallest, 1.0)
    right = jnp.log((2 - beyond) / beyond)
    return mu + jnp.where(scaled < 1, sigma * left, r * sigma * right)


def _knots(num_bins: int, parameters: tuple[Array, ...]) -> tuple[list[Array], list[Array], list[Array]]:
    """Returns knots x and y (num_bins + 1 each, from 0 to 1) and the slopes there."""

    def cumulative(latent: tuple[Array, ...]) -> list[Array]:
        share = jax.nn.softmax(jnp.stack(latent, axis=-1), axis=-1)
        share = SMALLEST_BIN + (1 - SMALLEST_BIN * num_bins) * share
        inner = jnp.cumsum(share, axis=-1)
        zero = jnp.zeros_like(latent[0])
        return [zero, *(inner[..., i] for i in range(num_bins - 1)), zero + 1]

    own = parameters[len(BASE) :]
    slopes = [SMALLEST_SLOPE + (1 - SMALLEST_SLOPE) * jax.nn.softplus(s + _UNIT) for s in own[2 * num_bins :]]
    return cumulative(own[:num_bins]), cumulative(own[num_bins : 2 * num_bins]), slopes


def prepare(num_bins: int, parameters: tuple[Float[Array, "*#shape"], ...]) -> tuple[Float[Array, "*#shape"], ...]:
    """Computes the constants of the log density.

    Args:
      num_bins: bins B of the spline.
      parameters: the three of the base, then B widths, B heights and B + 1 slopes of the spline, each (...).

    Returns:
      mu, sigma, r, then the B + 1 knots in x, the B + 1 knots in y and the B + 1 slopes there, each (...).
    """
    x, y, slopes = _knots(num_bins, tuple(jnp.broadcast_arrays(*parameters)))
    return (*parameters[:3], *x, *y, *slopes)


def _bin(u: Array, knots: list[Array], *columns: list[Array]) -> list[Array]:
    """Returns, of every column (one array per bin), the entry of the bin that holds u."""
    chosen = [column[0] for column in columns]
    for i in range(1, len(columns[0])):
        beyond = u >= knots[i]
        chosen = [jnp.where(beyond, column[i], value) for column, value in zip(columns, chosen, strict=True)]
    return chosen


def _split(
    num_bins: int, prepared: tuple[Array, ...]
) -> tuple[tuple[Array, ...], list[Array], list[Array], list[Array]]:
    """Splits prepared constants into those of the base, knots x, knots y and slopes."""
    base, rest = prepared[:3], list(prepared[3:])
    x, y, slopes = (rest[i * (num_bins + 1) : (i + 1) * (num_bins + 1)] for i in range(3))
    return base, x, y, slopes


def log_kernel(
    num_bins: int, t: Float[Array, "*#shape"], prepared: tuple[Float[Array, "*#shape"], ...]
) -> Float[Array, "*#shape"]:
    """Computes the log density: that of the base plus the log slope of the spline at its cumulative distribution.

    Durkan et al. 2019 (arXiv:1906.04032), equations 4 and 5.

    Args:
      num_bins: bins of the spline.
      t: value, shape (...).
      prepared: constants as `prepare` returns them, broadcastable against t.

    Returns:
      Log density per unit of t, shape (...).
    """
    base, x, y, slopes = _split(num_bins, prepared)
    u = _base_cdf(t, base)
    x0, x1, y0, y1, d0, d1 = _bin(u, x, x[:-1], x[1:], y[:-1], y[1:], slopes[:-1], slopes[1:])
    mean = (y1 - y0) / (x1 - x0)
    share = (u - x0) / (x1 - x0)
    product = share * (1 - share)
    top = mean**2 * (d1 * share**2 + 2 * mean * product + d0 * (1 - share) ** 2)
    return _base_log_pdf(t, base) + jnp.log(top) - 2 * jnp.log(mean + (d0 + d1 - 2 * mean) * product)


def cdf(
    num_bins: int, t: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]
) -> Float[Array, "*#shape"]:
    """Computes the cumulative distribution: the spline of the cumulative distribution of the base.

    Args:
      num_bins: bins B of the spline.
      t: value, shape (...).
      parameters: the 3 + 3 B + 1 parameters of the family, broadcastable against t.

    Returns:
      Probabilities in [0, 1], shape (...).
    """
    base, x, y, slopes = _split(num_bins, prepare(num_bins, parameters))
    u = _base_cdf(t, base)
    x0, x1, y0, y1, d0, d1 = _bin(u, x, x[:-1], x[1:], y[:-1], y[1:], slopes[:-1], slopes[1:])
    mean = (y1 - y0) / (x1 - x0)
    share = (u - x0) / (x1 - x0)
    product = share * (1 - share)
    return y0 + (y1 - y0) * (mean * share**2 + d0 * product) / (mean + (d0 + d1 - 2 * mean) * product)


def ppf(
    num_bins: int, q: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]
) -> Float[Array, "*#shape"]:
    """Computes the quantile in closed form: a quadratic equation in the bin, then the quantile of the base.

    Durkan et al. 2019 (arXiv:1906.04032), appendix A.

    Args:
      num_bins: bins B of the spline.
      q: probability in [0, 1], shape (...).
      parameters: the 3 + 3 B + 1 parameters of the family, broadcastable against q.

    Returns:
      t with cdf(t) = q, shape (...).
    """
    base, x, y, slopes = _split(num_bins, prepare(num_bins, parameters))
    x0, x1, y0, y1, d0, d1 = _bin(q, y, x[:-1], x[1:], y[:-1], y[1:], slopes[:-1], slopes[1:])
    mean = (y1 - y0) / (x1 - x0)
    rise, bend = q - y0, d0 + d1 - 2 * mean
    a = (y1 - y0) * (mean - d0) + rise * bend
    b = (y1 - y0) * d0 - rise * bend
    c = -mean * rise
    share = 2 * c / (-b - jnp.sqrt(jnp.maximum(b**2 - 4 * a * c, 0)))
    return _base_ppf(x0 + jnp.clip(share, 0, 1) * (x1 - x0), base)


def _moment(num_bins: int, power: int, parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Moment about the mode, by the trapezoidal rule over logit(q)."""
    grid = jnp.asarray(_GRID, parameters[0].dtype).reshape((1,) * parameters[0].ndim + (-1,))
    weight = jax.nn.sigmoid(grid) * jax.nn.sigmoid(-grid) * float(_GRID[1] - _GRID[0])
    expanded = tuple(p[..., None] for p in parameters)
    value = ppf(num_bins, jax.nn.sigmoid(grid), expanded) - expanded[0]
    return jnp.sum(weight * value**power, axis=-1) / jnp.sum(weight)


def mean(num_bins: int, parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the mean numerically, by the trapezoidal rule over logit(q).

    Args:
      num_bins: bins B of the spline.
      parameters: the 3 + 3 B + 1 parameters of the family, each (...).

    Returns:
      Mean, shape (...), in units of t.
    """
    return parameters[0] + _moment(num_bins, 1, parameters)


def variance(num_bins: int, parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the variance numerically, by the trapezoidal rule over logit(q).

    Args:
      num_bins: bins B of the spline.
      parameters: the 3 + 3 B + 1 parameters of the family, each (...).

    Returns:
      Variance, shape (...), in squared units of t.
    """
    return _moment(num_bins, 2, parameters) - _moment(num_bins, 1, parameters) ** 2


def sample(
    num_bins: int, key: PRNGKeyArray, parameters: tuple[Float[Array, "..."], ...], shape: tuple[int, ...]
) -> Float[Array, "..."]:
    """Draws values by inversion of the cumulative distribution.

    Args:
      num_bins: bins B of the spline.
      key: of the random numbers.
      parameters: the 3 + 3 B + 1 parameters of the family, broadcastable to `shape`.
      shape: of the result.

    Returns:
      Values of shape `shape`, in units of t.
    """
    dtype = jnp.result_type(*parameters)
    return ppf(num_bins, jax.random.uniform(key, shape, dtype, minval=1e-7, maxval=1.0), parameters)


@lru_cache
def rational_quadratic_spline(num_bins: int = DEFAULT_BINS) -> Family:
    """Makes the family of distributions whose cumulative distribution is a spline of that of a base distribution.

    The base is a logistic of width sigma left of mu and r sigma right of it, so that both tails are exponential, as
    those of light in ice. Where all latent variables of the spline are 0, the distribution is the base itself.

    Args:
      num_bins: bins B of the spline.

    Returns:
      A family for times with the parameters mu, sigma, r, B widths, B heights and B + 1 slopes.
    """
    names = (
        *BASE,
        *(f"width_{i:02d}" for i in range(num_bins)),
        *(f"height_{i:02d}" for i in range(num_bins)),
        *(f"slope_{i:02d}" for i in range(num_bins + 1)),
    )
    functions = (partial(f, num_bins) for f in (prepare, log_kernel, cdf, ppf, mean, variance, sample))
    return Family("RationalQuadraticSpline", names, ("mu",), False, *functions)
