"""Angular acceptance of a DOM in hole ice: the unified two-parameter model in analytic form.

Eller & Rongen et al., arXiv:2307.15298: S(c; p0, p1) = M(c) + p0 U(c) + p1 V(c) with cubic splines M, U, V of
c = cos(eta); the acceptance is max(S, 0), scaled to an integral of 0.68 over c. Event-Generator interpolates linearly
in a table of this function; the table is here for models that were trained with it.
"""

from functools import lru_cache
from itertools import product

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Real
from scipy.interpolate import CubicSpline

KNOTS = (-1.0, -0.5, -0.2, 0.35, 0.65, 0.95, 1.05)
"""Knots of the splines M, U and V in cos(eta)."""
MEAN = (0.0, 0.14623077, 0.26576604, 0.4832101, 0.63038745, 0.57494938, 0.48991044)
"""Values at the knots of M, the acceptance at p0 = p1 = 0."""
FIRST = (0.0, -0.00545327, 0.01655248, -0.1366884, -0.07822519, 0.51390016, 0.84308956)
"""Values at the knots of U, the change with p0."""
SECOND = (0.0, -0.45087175, -0.51799428, 0.24076603, 0.60613246, 0.30925652, -0.08597765)
"""Values at the knots of V, the change with p1."""
BASELINE = (0.25, -0.06)
"""p0 and p1 of the baseline hole ice."""
TABLE = ((-1.0, 1.0, 30), (-0.5, 0.5, 20), (-0.15, 0.05, 20))
"""First value, last value and number of nodes of Event-Generator's table in cos(eta), p0 and p1."""


@lru_cache(maxsize=1)
def _splines() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes the splines M, U, V in truncated powers.

    Returns:
      Jumps of the cubic coefficient at the inner knots [3, 5], the polynomial [3, 4] of the first piece, highest power
      first, and integrals over [-1, 1] [3].
    """
    splines = [CubicSpline(KNOTS, values, bc_type="clamped") for values in (MEAN, FIRST, SECOND)]
    coefficients = np.stack([s.c for s in splines])
    return np.diff(coefficients[:, 0], axis=1), coefficients[:, :, 0], np.array([s.integrate(-1, 1) for s in splines])


def angular_acceptance(
    cos_eta: Float[Array, "*#shape"], p0: Real[ArrayLike, "*#shape"], p1: Real[ArrayLike, "*#shape"]
) -> Float[Array, "*#shape"]:
    """Computes the relative acceptance of a DOM for light that arrives at the angle eta.

    Eller & Rongen et al., arXiv:2307.15298.

    Args:
      cos_eta: shape (...), +1 for light going up into the PMT; clipped to [-1, 1].
      p0: first hole-ice parameter, broadcastable; baseline 0.25.
      p1: second hole-ice parameter, broadcastable; baseline -0.06.

    Returns:
      Acceptance >= 0, shape (...), with integral 0.68 over cos_eta.
    """
    jumps, start, integrals = _splines()
    dtype = jnp.result_type(cos_eta)
    c = jnp.clip(cos_eta, -1, 1)

    def combined(table: np.ndarray) -> Array:
        return table[0] + p0 * table[1] + p1 * table[2]

    d = c - float(KNOTS[0])
    value = jnp.zeros_like(c)
    for coefficient in start.T:
        value = value * d + combined(coefficient).astype(dtype)
    for knot, jump in zip(KNOTS[1:-1], jumps.T, strict=True):
        value = value + combined(jump).astype(dtype) * jnp.maximum(c - float(knot), 0) ** 3
    return 0.68 * jnp.maximum(value, 0) / combined(integrals).astype(dtype)


@lru_cache(maxsize=1)
def acceptance_table() -> np.ndarray:
    """Computes the acceptance at the nodes of `TABLE`; agrees with Event-Generator's table to 8e-9.

    Returns:
      Table [30, 20, 20] over cos(eta), p0 and p1, float64.
    """
    splines = [CubicSpline(KNOTS, values, bc_type="clamped") for values in (MEAN, FIRST, SECOND)]
    cos_eta, p0, p1 = (np.linspace(*axis) for axis in TABLE)

    def combined(mean: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (
            np.asarray(mean)[..., None, None]
            + np.multiply.outer(first, p0)[..., None]
            + np.multiply.outer(second, p1)[..., None, :]
        )

    values = combined(*(spline(cos_eta) for spline in splines))
    table: np.ndarray = 0.68 * np.maximum(values, 0) / combined(*(spline.integrate(-1, 1) for spline in splines))
    return table


def tabulated_acceptance(
    cos_eta: Float[Array, "*#shape"], p0: Real[ArrayLike, "*#shape"], p1: Real[ArrayLike, "*#shape"]
) -> Float[Array, "*#shape"]:
    """Computes the relative acceptance of a DOM as Event-Generator does: linear between the nodes of a table.

    It differs from the formula (`angular_acceptance`) by up to 0.011. Its gradient jumps at the nodes, and second
    derivatives by one argument are zero. Beyond the table the value at its edge holds, and the gradient along the
    argument that is outside is zero (Event-Generator: NaN).

    Args:
      cos_eta: shape (...), +1 for light going up into the PMT.
      p0: first hole-ice parameter, broadcastable; baseline 0.25.
      p1: second hole-ice parameter, broadcastable; baseline -0.06.

    Returns:
      Acceptance >= 0, shape (...).
    """
    dtype = jnp.result_type(cos_eta)
    table = jnp.asarray(acceptance_table(), dtype)
    below, shares = [], []
    for value, (first, last, count) in zip((cos_eta, p0, p1), TABLE, strict=True):
        place = (jnp.asarray(value, dtype) - first) * ((count - 1) / (last - first))
        # Not jnp.clip, which halves the gradient at the edge itself, where light comes straight from below.
        place = jnp.where(place < 0, 0, jnp.where(place > count - 1, count - 1, place))
        node = jnp.clip(jnp.floor(place), 0, count - 2).astype(jnp.int32)
        below.append(node)
        shares.append(place - node)
    total = jnp.zeros(jnp.broadcast_shapes(*(jnp.shape(node) for node in below)), dtype)
    for corner in product((0, 1), repeat=3):
        share = jnp.ones((), dtype)
        for side, fraction in zip(corner, shares, strict=True):
            share = share * (fraction if side else 1 - fraction)
        total = total + share * table[tuple(node + side for node, side in zip(below, corner, strict=True))]
    return total


ACCEPTANCES = {"formula": angular_acceptance, "table": tabulated_acceptance}
"""Value of the key `angular_acceptance` of a learned source -> function (cos_eta, p0, p1) that computes it."""
