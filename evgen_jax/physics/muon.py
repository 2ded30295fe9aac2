"""Light and energy loss of muons in ice, averaged over stochastic losses (PPC; Raedel & Wiebusch)."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real

from evgen_jax.physics.diffusion import PHOTONS_PER_GEV, PHOTONS_PER_METRE

ICE_DENSITY = 0.9216
"""Density of ice in units of that of water."""
IONISATION = 0.259 * ICE_DENSITY
"""Continuous energy loss a of a muon in ice, GeV per m."""
RADIATION = 0.363e-3 * ICE_DENSITY
"""Stochastic energy loss b of a muon in ice relative to its energy, per m."""


def bare_photons_per_metre(energy: Real[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """Computes the photons per m of a muon with its low-energy secondaries, without stochastic losses.

    2450.08 [1 + max(0, 0.1880 + 0.0206 ln E) 0.910 / 0.9216], weighted by the acceptance of a module.

    Args:
      energy: GeV, >= 0, shape (...).

    Returns:
      Photons per m, shape (...).
    """
    extra = jnp.maximum(0.1880 + 0.0206 * jnp.log(jnp.maximum(energy, 1e-3)), 0)
    return PHOTONS_PER_METRE * (1 + extra * (0.910 / ICE_DENSITY))


def mean_photons_per_metre(energy: Real[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
    """Computes the photons per m of a muon with its low-energy secondaries and its mean stochastic losses, b E per m.

    Args:
      energy: GeV, >= 0, shape (...).

    Returns:
      Photons per m, weighted by the acceptance of a module, shape (...).
    """
    return bare_photons_per_metre(energy) + RADIATION * PHOTONS_PER_GEV * jnp.asarray(energy)


def energy_after(energy: Float[Array, "*#shape"], length: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """Computes the mean energy of a muon behind a length of ice: dE/dx = -(a + b E).

    Args:
      energy: at the begin, GeV, shape (...).
      length: of the path, m, shape (...).

    Returns:
      Energy >= 0, GeV, shape (...); 0 beyond the range of the muon.
    """
    ratio = IONISATION / RADIATION
    return jnp.maximum((energy + ratio) * jnp.exp(-RADIATION * length) - ratio, 0)
