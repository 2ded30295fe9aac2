"""Gamma distribution smeared by a uniform response: the sum of a gamma variate and one uniform in [0, width].

The density is [P(alpha, beta x) - P(alpha, beta (x - width))] / width with the regularised incomplete gamma function
P: bounded by 1 / width also for shapes below 1, where the gamma density itself is infinite at 0.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammainc, gammaincc, gammaln

from evgen_jax.decoders import gamma
from evgen_jax.decoders.family import IMPOSSIBLE, Family
from evgen_jax.numerics import tiny

SMALLEST = 1e-9
"""Arguments below count as 0: there the derivative of the incomplete gamma function is not finite."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


def log_kernel(x: Array, prepared: tuple[Array, ...]) -> Array:
    alpha, beta, width = prepared
    possible = x > SMALLEST
    stop = beta * jnp.where(possible, x, 1.0)
    after = x - width > SMALLEST
    start = beta * jnp.where(after, x - width, 1.0)
    # Differences of the smaller tail keep their digits.
    right = stop > alpha
    upper = jnp.where(after, gammaincc(alpha, start), 1.0) - gammaincc(alpha, stop)
    lower = gammainc(alpha, stop) - jnp.where(after, gammainc(alpha, start), 0.0)
    inside = jnp.where(right, upper, lower)
    possible = possible & (inside > tiny(inside.dtype))
    return jnp.where(possible, jnp.log(jnp.where(possible, inside, 1.0)) - jnp.log(width), IMPOSSIBLE)


def _integral(x: Array, alpha: Array, beta: Array) -> Array:
    """Integral of P(alpha, beta u) over u from 0 to x: x P(alpha, beta x) - alpha / beta P(alpha + 1, beta x)."""
    possible = x > SMALLEST
    u = beta * jnp.where(possible, x, 1.0)
    value = jnp.where(possible, x, 1.0) * gammainc(alpha, u) - alpha / beta * gammainc(alpha + 1, u)
    return jnp.where(possible, value, 0.0)


def cdf(x: Array, parameters: tuple[Array, ...]) -> Array:
    alpha, beta, width = parameters
    # Far from 0 the difference of two integrals cancels, and eight Gauss-Legendre nodes are exact to rounding.
    near = x < 4 * width
    x_near = jnp.where(near, x, 0.0)
    direct = (_integral(x_near, alpha, beta) - _integral(x_near - width, alpha, beta)) / width
    x_far = jnp.where(near, 4 * width, x)
    total = jnp.zeros_like(x_far)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        total = total + float(weight / 2) * gammainc(alpha, beta * (x_far - width * float((1 - node) / 2)))
    return jnp.where(near, direct, total)


def ppf(q: Array, parameters: tuple[Array, ...]) -> Array:
    """Bisection between the quantile of the gamma distribution and the same plus the width."""
    alpha, beta, width = parameters
    low = jnp.broadcast_to(gamma.ppf(q, (alpha, beta)), jnp.broadcast_shapes(jnp.shape(q), jnp.shape(width)))

    def bisect(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        below = cdf(middle, parameters) < q
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, 60, bisect, (low, low + width))
    return (low + high) / 2


def sample(key: Array, parameters: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    alpha, beta, width = parameters
    key_gamma, key_response = jax.random.split(key)
    response = width * jax.random.uniform(key_response, shape, jnp.result_type(alpha))
    return gamma.sample(key_gamma, (alpha, beta), shape) + response


SMEARED_GAMMA = Family(
    "SmearedGamma",
    ("alpha", "beta", "width"),
    (),
    False,
    lambda p: p,
    log_kernel,
    cdf,
    ppf,
    lambda p: gamma.mean(p[:2]) + p[2] / 2,
    lambda p: gamma.variance(p[:2]) + p[2] ** 2 / 12,
    sample,
)


NARROWEST_QUADRATURE = 2
"""Widths from 0 beyond which the density itself is averaged over the width; nearer, it need not be a polynomial."""
_TERMS = 20


def _log_lower(z: Array, alpha: Array) -> Array:
    """Log of P(alpha, z) for z up to about 4, by its power series (Abramowitz & Stegun 6.5.29)."""
    term = total = jnp.ones_like(z)
    for n in range(1, _TERMS + 1):
        term = term * z / (alpha + n)
        total = total + term
    return alpha * jnp.log(z) - z - gammaln(alpha + 1) + jnp.log(total)


def log_kernel_narrow(x: Array, prepared: tuple[Array, ...]) -> Array:
    """The same density for widths below 1 / rate, without incomplete gamma functions.

    Near 0 a difference of two power series, further away Gauss-Legendre quadrature over the width. Many times faster,
    with derivatives by all parameters that compile fast.
    """
    alpha, beta, width = prepared
    possible, after = x > SMALLEST, x - width > SMALLEST
    near = x < NARROWEST_QUADRATURE * width
    # Selected before and after, so that all derivatives stay finite.
    stop = jnp.where(possible & near, x, width)
    start = jnp.where(after & near, x - width, width / 2)
    log_stop, log_start = (_log_lower(beta * t, alpha) for t in (stop, start))
    gain = jnp.where(after & near, log_start - log_stop, -jnp.inf)
    by_series = log_stop + jnp.log1p(-jnp.exp(jnp.minimum(gain, -1e-6))) - jnp.log(width)

    middle = jnp.where(near, NARROWEST_QUADRATURE * width, x) - width / 2
    average = jnp.zeros_like(middle)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        step = width * float(node / 2)
        average = average + float(weight / 2) * jnp.exp((alpha - 1) * jnp.log1p(step / middle) - beta * step)
    by_quadrature = gamma.log_kernel(middle, gamma.prepare((alpha, beta))) + jnp.log(average)
    return jnp.where(possible, jnp.where(near, by_series, by_quadrature), IMPOSSIBLE)


NARROWLY_SMEARED_GAMMA = replace(SMEARED_GAMMA, name="NarrowlySmearedGamma", log_kernel=log_kernel_narrow)
