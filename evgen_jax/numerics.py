"""Numerically safe elementary functions with finite gradients; pure, elementwise, any shape."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike


@jax.custom_jvp
def elu(x: Array) -> Array:
    """Exponential linear unit: x above 0, exp(x) - 1 below.

    The derivative is taken from the output (min(y, 0) + 1), so no second exponential is evaluated.
    """
    return jnp.maximum(x, 0) + (jnp.exp(jnp.minimum(x, 0)) - 1)


@elu.defjvp
def _elu_jvp(primals, tangents):
    y = elu(primals[0])
    return y, tangents[0] * (jnp.minimum(y, 0) + 1)


def tiny(dtype) -> float:
    """Smallest argument of a logarithm: 1e-37 in float32, 1e-307 in float64."""
    return 1e-307 if jnp.dtype(dtype) == jnp.float64 else 1e-37


def safe_log(x: Array) -> Array:
    """log(max(x, tiny)): finite with zero gradient where x underflows."""
    smallest = tiny(x.dtype)
    inside = x > smallest
    # Selected before and after, so that second derivatives stay finite as well.
    return jnp.where(inside, jnp.log(jnp.where(inside, x, 1.0)), float(np.log(smallest)))


def safe_norm(x: Array, axis: int = -1) -> Array:
    """Euclidean norm with a finite gradient at zero: sqrt(x.x + delta^2), delta = 1e-6."""
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=axis) + 1e-12)


def sum_dtype():
    """float64 where JAX has it enabled, float32 otherwise: the precision of likelihood sums."""
    return jax.dtypes.canonicalize_dtype(jnp.float64)


def precise_sum(x: Array, axis=None) -> Array:
    """Sum in the widest enabled precision."""
    return jnp.sum(x.astype(sum_dtype()), axis=axis)


def stirling_tail(x: Array) -> Array:
    """lgamma(x) - [(x - 1/2) log x - x + log(2 pi)/2] for x >= 10 (Abramowitz & Stegun 6.1.41)."""
    inverse = 1 / x
    square = inverse * inverse
    series = 1 / 1680 - square / 1188
    series = 1 / 1260 - square * series
    series = 1 / 360 - square * series
    return inverse * (1 / 12 - square * series)


def log_gamma(x: Array) -> Array:
    """lgamma(x) for x > 0: small x are raised by the recurrence, then comes Stirling's series.

    Fewer operations than the general function and its derivative, which networks with gamma distributions compile
    several times.
    """
    # From 4 on the series errs by 1e-9, from 10 on by 1e-14; raising further than needed costs digits.
    least = 10 if x.dtype == jnp.float64 else 4
    small = x < least
    inside = jnp.where(small, x, 1.0)
    product = inside
    for i in range(1, least):
        product = product * (inside + i)
    raised = jnp.where(small, x + least, x)
    series = (raised - 0.5) * jnp.log(raised) - raised + float(0.5 * np.log(2 * np.pi)) + stirling_tail(raised)
    return series - jnp.where(small, jnp.log(product), 0.0)


def gamma_quantile(shape: Array, probability: ArrayLike) -> Array:
    """Quantile of the unit-scale gamma distribution: the x with P(shape, x) = probability.

    Bisection in log x; JAX has no inverse incomplete gamma function.

    Args:
      shape: shape parameter > 0, shape (...).
      probability: in [0, 1], broadcastable.

    Returns:
      x >= 0, shape (...); 0 at probability 0 and inf at probability 1.
    """
    shape, probability = jnp.broadcast_arrays(jnp.asarray(shape), jnp.asarray(probability))
    low = jnp.full_like(shape, -700.0 if shape.dtype == jnp.float64 else -85.0)
    high = jnp.log(shape + 40 * jnp.sqrt(shape) + 800)

    def bisect(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        below = jax.scipy.special.gammainc(shape, jnp.exp(middle)) < probability
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, 60, bisect, (low, high))
    x = jnp.exp((low + high) / 2)
    x = jnp.where(probability <= 0, 0.0, x)
    return jnp.where(probability >= 1, jnp.inf, x)
