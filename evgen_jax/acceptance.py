"""Angular acceptance of a DOM in hole ice: the unified two-parameter model in analytic form.

Eller & Rongen et al., arXiv:2307.15298: S(c; p0, p1) = M(c) + p0 U(c) + p1 V(c) with cubic splines M, U, V;
the acceptance is max(S, 0), scaled to an integral of 0.68 over cos(eta).
"""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from scipy.interpolate import CubicSpline

KNOTS = (-1.0, -0.5, -0.2, 0.35, 0.65, 0.95, 1.05)
MEAN = (0.0, 0.14623077, 0.26576604, 0.4832101, 0.63038745, 0.57494938, 0.48991044)
FIRST = (0.0, -0.00545327, 0.01655248, -0.1366884, -0.07822519, 0.51390016, 0.84308956)
SECOND = (0.0, -0.45087175, -0.51799428, 0.24076603, 0.60613246, 0.30925652, -0.08597765)
BASELINE = (0.25, -0.06)


@lru_cache(maxsize=1)
def _splines() -> tuple[np.ndarray, np.ndarray]:
    """Polynomial coefficients [3, 4, 6] (mean, p0, p1) and integrals over [-1, 1] [3]."""
    splines = [CubicSpline(KNOTS, values, bc_type="clamped") for values in (MEAN, FIRST, SECOND)]
    return np.stack([s.c for s in splines]), np.array([s.integrate(-1, 1) for s in splines])


def angular_acceptance(cos_eta: Array, p0: ArrayLike, p1: ArrayLike) -> Array:
    """Relative acceptance for light arriving at angle eta (cos_eta = +1: light going up into the PMT).

    Args:
      cos_eta: shape (...); clipped to [-1, 1].
      p0, p1: hole-ice parameters, broadcastable; baseline 0.25, -0.06.

    Returns:
      Acceptance >= 0, shape (...), with integral 0.68 over cos_eta.
    """
    coefficients, integrals = _splines()
    dtype = jnp.result_type(cos_eta)
    knots = jnp.asarray(KNOTS, dtype)
    c = jnp.clip(cos_eta, -1, 1)
    piece = jnp.clip(jnp.searchsorted(knots, c, side="right") - 1, 0, len(KNOTS) - 2)
    d = c - knots[piece]
    # Combined first (4 coefficients per piece), so that only one cubic is evaluated per DOM.
    table = jnp.asarray(coefficients, dtype)
    combined = (table[0] + p0 * table[1] + p1 * table[2])[:, piece]
    value = ((combined[0] * d + combined[1]) * d + combined[2]) * d + combined[3]
    integral = integrals[0] + p0 * integrals[1] + p1 * integrals[2]
    return 0.68 * jnp.maximum(value, 0) / jnp.asarray(integral, dtype)
