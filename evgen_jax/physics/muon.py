"""Light and energy loss of muons in ice, averaged over their stochastic losses (PPC; Raedel & Wiebusch)."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from evgen_jax.physics.diffusion import PHOTONS_PER_GEV, PHOTONS_PER_METRE

ICE_DENSITY = 0.9216
"""In units of water."""
IONISATION = 0.259 * ICE_DENSITY
"""Continuous loss a, GeV per m."""
RADIATION = 0.363e-3 * ICE_DENSITY
"""Stochastic loss b, per m."""


def bare_photons_per_metre(energy: ArrayLike) -> Array:
    """Photons per m of a muon with its low-energy secondaries.

    2450.08 [1 + max(0, 0.1880 + 0.0206 ln E) 0.910 / 0.9216], counted as a module's acceptance weighs them.

    Args:
      energy: GeV, >= 0, shape (...).
    """
    extra = jnp.maximum(0.1880 + 0.0206 * jnp.log(jnp.maximum(energy, 1e-3)), 0)
    return PHOTONS_PER_METRE * (1 + extra * (0.910 / ICE_DENSITY))


def mean_photons_per_metre(energy: ArrayLike) -> Array:
    """The same with the mean light of stochastic losses, b E per m."""
    return bare_photons_per_metre(energy) + RADIATION * PHOTONS_PER_GEV * jnp.asarray(energy)


def energy_after(energy: Array, length: Array) -> Array:
    """Energy of a muon, GeV, after `length` m: mean loss dE/dx = a + b E; 0 beyond its range."""
    ratio = IONISATION / RADIATION
    return jnp.maximum((energy + ratio) * jnp.exp(-RADIATION * length) - ratio, 0)
