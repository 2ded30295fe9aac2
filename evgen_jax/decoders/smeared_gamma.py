"""Gamma distribution smeared by a smooth response: the sum of a gamma variate and three uniforms in [0, width].

The response is the quadratic B-spline, close to a Gaussian of spread width / 2 but with an end, so that light never
comes before its earliest time. Its convolution with the gamma density has a continuous derivative even for shapes
below 1, where the gamma density itself is infinite at 0. Made for widths up to three halves of 1 / rate.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammainc
from jaxtyping import Array, Float, PRNGKeyArray

from evgen_jax.decoders import gamma
from evgen_jax.decoders.family import IMPOSSIBLE, Family
from evgen_jax.numerics import bisected, log_gamma

PIECES = 3
"""Number of uniform variates in the response, and of pieces of its density."""
NEAR = PIECES + 1
"""Widths from 0 up to which power series are used; further out the gamma density is smooth over the response."""
SMALLEST = 1e-9
"""Smallest x, in units of x, with a density above zero."""
_TERMS = 14
"""Terms of the power series: within 1e-9 of the log density for widths of half of 1 / rate, 1e-3 for three halves (in float32 4e-3)."""


def _response_quadrature(count: int) -> tuple[Float[np.ndarray, " {count}"], Float[np.ndarray, " {count}"]]:
    """Gauss quadrature [count] with the response, in units of the width, as its weight (Golub & Welsch 1969)."""
    nodes, weights = np.polynomial.legendre.leggauss(count + 2)
    x = np.concatenate([piece + (nodes + 1) / 2 for piece in range(PIECES)])
    density = sum(
        (-1) ** j * math.comb(PIECES, j) * np.maximum(x - j, 0) ** (PIECES - 1) for j in range(PIECES + 1)
    ) / math.factorial(PIECES - 1)
    w = np.tile(weights / 2, PIECES) * density
    diagonal: list[float] = []
    beside: list[float] = []
    before, current = np.zeros_like(x), np.sqrt(w / w.sum())
    for _ in range(count):  # Lanczos
        diagonal.append(float(current @ (x * current)))
        following = x * current - diagonal[-1] * current - (beside[-1] * before if beside else 0)
        beside.append(float(np.linalg.norm(following)))
        before, current = current, following / beside[-1]
    matrix = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors[0] ** 2


_NODES, _WEIGHTS = _response_quadrature(8)


def _log_norm(alpha: Float[Array, "*#shape"], beta: Float[Array, "*#shape"], fold: int) -> Float[Array, "*#shape"]:
    """Log of beta^alpha / Gamma(alpha + fold)."""
    return alpha * jnp.log(beta) - log_gamma(alpha + fold)


def prepare(parameters: tuple[Float[Array, "*#shape"], ...]) -> tuple[Float[Array, "*#shape"], ...]:
    """Computes the constants of the log density.

    Args:
      parameters: shape alpha > 0, rate beta > 0 (one over the unit of x) and width > 0 of one uniform, each (...).

    Returns:
      alpha, beta, width, and the log normalisations of the gamma density and of its threefold integral, each (...).
    """
    alpha, beta, width = parameters
    return alpha, beta, width, _log_norm(alpha, beta, 0), _log_norm(alpha, beta, PIECES)


def _series_and_slopes(
    z: Float[Array, "*#shape"], alpha: Float[Array, "*#shape"], fold: int
) -> tuple[Float[Array, "*#shape"], Float[Array, "*#shape"], Float[Array, "*#shape"]]:
    """exp(-z / 2) 1F1(fold; alpha + fold; z) and its derivatives by z and alpha.

    Its power series needs two thirds of the terms of that of 1F1. The coefficients d follow from Kummer's equation (Abramowitz & Stegun
    13.1.1): (n + 1) (n + alpha + fold) d[n + 1] = (fold - alpha) / 2 d[n] + d[n - 1] / 4. They and their derivatives belong to alpha
    alone, which lacks z's axis of ends; the sums are Horner's.
    """
    half = (fold - alpha) / 2
    d, g = [jnp.ones_like(alpha)], [jnp.zeros_like(alpha)]
    for n in range(_TERMS):
        below = 1 / ((n + 1) * (alpha + (fold + n)))
        before, g_before = (d[n - 1], g[n - 1]) if n else (0.0, 0.0)
        d.append((half * d[n] + before / 4) * below)
        g.append((half * g[n] - d[n] / 2 + g_before / 4 - (n + 1) * d[n + 1]) * below)
    total, by_z, by_alpha = d[-1] * jnp.ones_like(z), jnp.zeros_like(z), g[-1]
    for coefficient, slope in zip(d[-2::-1], g[-2::-1], strict=True):
        by_z = by_z * z + total
        total = total * z + coefficient
        by_alpha = by_alpha * z + slope
    return total, by_z, by_alpha


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _series(z: Float[Array, "*#shape"], alpha: Float[Array, "*#shape"], fold: int) -> Float[Array, "*#shape"]:
    """exp(-z / 2) 1F1(fold; alpha + fold; z); derivatives come along with it instead of from all terms, which would be stored."""
    return _series_and_slopes(z, alpha, fold)[0]


@_series.defjvp
def _series_jvp(fold: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    total, by_z, by_alpha = _series_and_slopes(*primals, fold)
    return total, by_z * tangents[0] + by_alpha * tangents[1]


def _log_integral(
    x: Float[Array, "*#shape"],
    alpha: Float[Array, "*#shape"],
    beta: Float[Array, "*#shape"],
    log_norm: Float[Array, "*#shape"],
    fold: int,
) -> Float[Array, "*#shape"]:
    """Log of the `fold`-fold integral from 0 of the gamma density at x > 0, by a power series with positive terms.

    beta^alpha x^(alpha + k - 1) e^(-beta x) / Gamma(alpha + k) 1F1(k; alpha + k; beta x).
    """
    z = beta * x
    return log_norm + (alpha + fold - 1) * jnp.log(x) - z / 2 + jnp.log(_series(z, alpha, fold))


def _log_difference(
    x: Float[Array, "*#shape"],
    parameters: tuple[Float[Array, "*#shape"], ...],
    log_norm: Float[Array, "*#shape"],
    fold: int,
) -> Float[Array, "*#shape"]:
    """Log of (third difference over the width of the `fold`-fold integral) / width^3; x within (0, 4 width)."""
    alpha, beta, width = parameters
    # One axis for the four ends of the pieces keeps the program small.
    x, alpha, beta, width, log_norm = (a[None] for a in jnp.broadcast_arrays(x, alpha, beta, width, log_norm))
    shift = jnp.arange(PIECES + 1, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    sign = jnp.asarray([(-1.0) ** j * math.comb(PIECES, j) for j in range(PIECES + 1)], x.dtype).reshape(shift.shape)
    ends = x - shift * width
    after = ends > SMALLEST
    # Selected before and after, so that all derivatives stay finite.
    logs = _log_integral(jnp.where(after, ends, width / 2), alpha, beta, log_norm, fold)
    share = jnp.sum(sign * jnp.exp(jnp.minimum(jnp.where(after, logs - logs[:1], -jnp.inf), 0)), axis=0)
    return logs[0] + jnp.log(jnp.maximum(share, 1e-6)) - PIECES * jnp.log(width[0])


def log_kernel(x: Float[Array, "*#shape"], prepared: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the log density: near 0 a difference of power series, further away Gauss quadrature over the response.

    Args:
      x: shape (...).
      prepared: constants as `prepare` returns them, broadcastable against x.

    Returns:
      Log density per unit of x, shape (...); -1e30 for x <= 1e-9.
    """
    alpha, beta, width, log_norm, log_norm_series = prepared
    possible, near = x > SMALLEST, x < NEAR * width
    by_series = _log_difference(jnp.where(possible & near, x, width), prepared[:3], log_norm_series, PIECES)
    # The gamma density relative to that in the middle of the response.
    middle = jnp.where(near, NEAR * width, x) - width * (PIECES / 2)
    each = tuple(a[None] for a in jnp.broadcast_arrays(middle, alpha, beta, width))  # with an axis for the nodes
    nodes, log_weights = (
        jnp.asarray(a, middle.dtype).reshape(-1, *[1] * (each[0].ndim - 1))
        for a in (PIECES / 2 - _NODES, np.log(_WEIGHTS))
    )
    step = each[3] * nodes
    # In logarithms: for shapes of some hundreds, far from the source, the ratios leave float32.
    log_average = jax.nn.logsumexp(log_weights + (each[1] - 1) * jnp.log1p(step / each[0]) - each[2] * step, axis=0)
    by_quadrature = gamma.log_kernel(middle, (log_norm, alpha - 1, beta)) + log_average
    return jnp.where(possible, jnp.where(near, by_series, by_quadrature), IMPOSSIBLE)


def cdf(x: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the cumulative distribution: near 0 by power series, further away by Gauss quadrature over the response.

    Args:
      x: shape (...).
      parameters: alpha, beta and width, broadcastable against x.

    Returns:
      Probabilities, shape (...); 0 for x <= 1e-9.
    """
    alpha, beta, width = parameters
    possible, near = x > SMALLEST, x < NEAR * width
    log_norm = _log_norm(alpha, beta, PIECES + 1)
    by_series = jnp.exp(_log_difference(jnp.where(possible & near, x, width), parameters, log_norm, PIECES + 1))
    far = jnp.where(near, NEAR * width, x)
    total = jnp.zeros_like(far + alpha)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total = total + float(weight) * gammainc(alpha, beta * (far - width * float(node)))
    return jnp.where(possible, jnp.where(near, by_series, total), 0.0)


def ppf(q: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the quantile by bisection between that of the gamma distribution and that plus the longest response.

    Args:
      q: probability in [0, 1], shape (...).
      parameters: alpha, beta and width, broadcastable against q.

    Returns:
      x >= 0, shape (...); inf at q = 1.
    """
    alpha, beta, width = parameters
    low = jnp.broadcast_to(gamma.ppf(q, (alpha, beta)), jnp.broadcast_shapes(jnp.shape(q), jnp.shape(width)))
    return bisected(lambda x: cdf(x, parameters) < q, low, low + PIECES * width)


def sample(
    key: PRNGKeyArray, parameters: tuple[Float[Array, "..."], ...], shape: tuple[int, ...]
) -> Float[Array, "..."]:
    """Draws a gamma variate plus three uniforms in [0, width].

    Args:
      key: of the random numbers.
      parameters: alpha, beta and width, broadcastable to `shape`.
      shape: of the result.

    Returns:
      Values > 0 of shape `shape`, in units of x.
    """
    alpha, beta, width = parameters
    key_gamma, key_response = jax.random.split(key)
    response = jnp.sum(jax.random.uniform(key_response, (PIECES, *shape), jnp.result_type(alpha)), axis=0)
    return gamma.sample(key_gamma, (alpha, beta), shape) + width * response


SMEARED_GAMMA = Family(
    "SmearedGamma",
    ("alpha", "beta", "width"),
    (),
    False,
    prepare,
    log_kernel,
    cdf,
    ppf,
    lambda p: gamma.mean(p[:2]) + p[2] * PIECES / 2,
    lambda p: gamma.variance(p[:2]) + p[2] ** 2 * PIECES / 12,
    sample,
)
"""Family of gamma distributions smeared by three uniforms, for times; parameters alpha, beta and width."""
