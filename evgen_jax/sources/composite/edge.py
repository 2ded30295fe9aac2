"""Where light of cascades is looked for: inside the detector's box nothing fades, outside it does."""

import jax.numpy as jnp
from jax import Array

from evgen_jax.measurement.detector import Detector

SURROUNDINGS = 200.0
"""Around the outermost modules, m: several absorption lengths of light. The box of IceCube's 86 strings then holds all of
+- 700 m, where models of cascades are trained."""
WIDTH = 10.0
"""Energies fall by e per this many m outside."""


def inside(position: Array, detector: Detector) -> Array:
    """Share [N] of the energy that cascades at positions [N, 3], m, keep: exactly 1 inside the box, falling outside.

    Two derivatives are continuous. Far outside, the share falls exponentially: a cascade that leaves keeps a gradient
    that can bring it back.
    """
    low, high = jnp.asarray(detector.box, position.dtype)
    outside = jnp.maximum(low - position, position - high) - SURROUNDINGS
    beyond = jnp.maximum(outside, 0) / WIDTH
    # The square of u is divided out first, so that no place overflows.
    return jnp.exp(-jnp.sum(beyond * (1 - 1 / (1 + beyond**2)), axis=-1))
