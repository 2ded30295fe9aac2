"""Where light of cascades is looked for: inside the detector's box nothing fades, outside it does."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.measurement.detector import Detector

SURROUNDINGS = 200.0
"""Margin of the box around the outermost modules, m: several absorption lengths of light.

The box of IceCube's 86 strings then holds all of +- 700 m, where models of cascades are trained.
"""
WIDTH = 10.0
"""Distance outside the box over which the energy falls by a factor e, m."""


def inside(position: Float[Array, "N 3"], detector: Detector) -> Float[Array, " N"]:
    """Computes the share of the energy that cascades keep: exactly 1 inside the detector's box, falling outside.

    Two derivatives are continuous. Far outside, the share falls exponentially: a cascade that leaves keeps a gradient
    that can bring it back.

    Args:
      position: [N, 3], m.
      detector: whose box counts.

    Returns:
      Shares [N] within [0, 1].
    """
    low, high = jnp.asarray(detector.box, position.dtype)
    outside = jnp.maximum(low[None] - position, position - high[None]) - SURROUNDINGS
    beyond = jnp.maximum(outside, 0) / WIDTH
    # The square of u is divided out first, so that no place overflows.
    return jnp.exp(-jnp.sum(beyond * (1 - 1 / (1 + beyond**2)), axis=-1))
