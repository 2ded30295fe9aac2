"""Numerically safe elementary functions with finite gradients: pure, elementwise, for arrays of any shape."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, Real, Shaped


@jax.custom_jvp
def elu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes the exponential linear unit: x above 0, exp(x) - 1 below.

    The derivative is taken from the output y, min(y, 0) + 1, so that no second exponential is evaluated.

    Args:
      x: shape (...).

    Returns:
      Values >= -1, shape (...).
    """
    return jnp.maximum(x, 0) + (jnp.exp(jnp.minimum(x, 0)) - 1)


@elu.defjvp
def _elu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    y = elu(primals[0])
    return y, tangents[0] * (jnp.minimum(y, 0) + 1)


def tiny(dtype: DTypeLike) -> float:
    """Returns the smallest argument that `safe_log` passes on to the logarithm.

    Args:
      dtype: of the argument.

    Returns:
      1e-307 for float64, else 1e-37.
    """
    return 1e-307 if jnp.dtype(dtype) == jnp.float64 else 1e-37


def safe_log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes log(max(x, tiny)), which is finite and has the gradient 0 where x underflows.

    Args:
      x: shape (...).

    Returns:
      Logarithms, shape (...); at least log(1e-37) in float32 and log(1e-307) in float64.
    """
    smallest = tiny(x.dtype)
    inside = x > smallest
    # Selected before and after, so that second derivatives stay finite as well.
    return jnp.where(inside, jnp.log(jnp.where(inside, x, 1.0)), float(np.log(smallest)))


def safe_norm(x: Float[Array, "..."], axis: int = -1) -> Float[Array, "..."]:
    """Computes a Euclidean norm with a finite gradient at zero: sqrt(x.x + delta^2) with delta = 1e-6.

    Args:
      x: vectors.
      axis: of the components.

    Returns:
      Norms >= 1e-6, the shape of `x` without `axis`.
    """
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=axis) + 1e-12)


def sum_dtype() -> np.dtype:
    """Returns the precision of likelihood sums: float64 where JAX has it enabled, else float32."""
    return jax.dtypes.canonicalize_dtype(jnp.float64)


def precise_sum(x: Shaped[Array, "..."], axis: int | tuple[int, ...] | None = None) -> Float[Array, "..."]:
    """Sums in float64 where JAX has it enabled, else in float32.

    Args:
      x: any shape.
      axis: to sum over; None: all.

    Returns:
      The sum in the type of `sum_dtype()`.
    """
    return jnp.sum(x.astype(sum_dtype()), axis=axis)


def stirling_tail(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes lgamma(x) - [(x - 1/2) log x - x + log(2 pi) / 2] by Stirling's series.

    Abramowitz & Stegun, Handbook of Mathematical Functions, 6.1.41.

    Args:
      x: shape (...), >= 10 for full float64 precision; at x = 4 the error is 1e-9.

    Returns:
      The rest of the series, about 1 / (12 x), shape (...).
    """
    inverse = 1 / x
    square = inverse * inverse
    series = 1 / 1680 - square / 1188
    series = 1 / 1260 - square * series
    series = 1 / 360 - square * series
    return inverse * (1 / 12 - square * series)


def log_gamma(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes lgamma(x): small x are raised by the recurrence of the gamma function, then Stirling's series is used.

    It takes fewer operations than `jax.scipy.special.gammaln` and its derivative, which networks with gamma
    distributions compile several times.

    Args:
      x: > 0, shape (...).

    Returns:
      lgamma(x), shape (...).
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


def bisected(
    below: Callable[[Array], Array], low: Float[Array, "*shape"], high: Float[Array, "*shape"], steps: int = 60
) -> Float[Array, "*shape"]:
    """Finds where a function changes from True to False, by bisection.

    Args:
      below: (x of any shape) -> whether the searched x is larger, elementwise.
      low: lower ends, any shape.
      high: upper ends, of the shape of `low`.
      steps: halvings of the intervals.

    Returns:
      The middle of the last intervals.
    """

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        above = below(middle)
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    low, high = jax.lax.fori_loop(0, steps, halve, (low, high))
    return (low + high) / 2


def gamma_quantile(shape: Float[Array, "*#shape"], probability: Real[ArrayLike, "*#shape"]) -> Float[Array, "*#shape"]:
    """Computes the quantile of the gamma distribution of rate 1: the x with P(shape, x) = probability.

    It bisects in log x, since JAX has no inverse of the incomplete gamma function.

    Args:
      shape: shape parameter > 0, shape (...).
      probability: in [0, 1], broadcastable against `shape`.

    Returns:
      x >= 0, shape (...); 0 at probability 0 and inf at probability 1.
    """
    shape, probability = jnp.broadcast_arrays(jnp.asarray(shape), jnp.asarray(probability))
    low = jnp.full_like(shape, -700.0 if shape.dtype == jnp.float64 else -85.0)
    high = jnp.log(shape + 40 * jnp.sqrt(shape) + 800)

    x = jnp.exp(bisected(lambda x: jax.scipy.special.gammainc(shape, jnp.exp(x)) < probability, low, high))
    x = jnp.where(probability <= 0, 0.0, x)
    return jnp.where(probability >= 1, jnp.inf, x)
