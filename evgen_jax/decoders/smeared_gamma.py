"""Gamma distribution smeared by a uniform response: the sum of a gamma variate and one uniform in [0, width].

The density is [P(alpha, beta x) - P(alpha, beta (x - width))] / width with the regularised incomplete gamma function
P: bounded by 1 / width also for shapes below 1, where the gamma density itself is infinite at 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammainc, gammaincc

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
