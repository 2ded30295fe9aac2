"""Light and energy loss of muons in a medium, averaged over stochastic losses (PPC; Raedel & Wiebusch)."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real

from evgen_jax.physics.medium import Medium

IONISATION = 0.259
"""Continuous energy loss a of a muon, GeV per m of water."""
RADIATION = 0.363e-3
"""Stochastic energy loss b of a muon relative to its energy, per m of water."""
SHOWER_DENSITY = 0.910
"""Density relative to water for which the light of low-energy secondaries was parametrised."""


def bare_photons_per_metre(energy: Real[ArrayLike, "*shape"], medium: Medium) -> Float[Array, "*shape"]:
    """Computes the photons per m of a muon with its low-energy secondaries, without stochastic losses.

    N [1 + max(0, 0.1880 + 0.0206 ln E) 0.910 / density] with N photons per m of a bare muon.

    Args:
      energy: GeV, >= 0, shape (...).
      medium: gives N and the density.

    Returns:
      Photons per m, weighted by the acceptance of a sensor, shape (...).
    """
    extra = jnp.maximum(0.1880 + 0.0206 * jnp.log(jnp.maximum(energy, 1e-3)), 0)
    return medium.photons_per_metre * (1 + extra * (SHOWER_DENSITY / medium.density))


def mean_photons_per_metre(energy: Real[ArrayLike, "*shape"], medium: Medium) -> Float[Array, "*shape"]:
    """Computes the photons per m of a muon with its low-energy secondaries and its mean stochastic losses, b E per m.

    Args:
      energy: GeV, >= 0, shape (...).
      medium: gives photons and density.

    Returns:
      Photons per m, weighted by the acceptance of a sensor, shape (...).
    """
    return bare_photons_per_metre(energy, medium) + loss_photons_per_metre(energy, medium)


def loss_photons_per_metre(energy: Real[ArrayLike, "*shape"], medium: Medium) -> Float[Array, "*shape"]:
    """Computes the photons per m of a muon's mean stochastic losses, b E per m: those of showers.

    Args:
      energy: GeV, >= 0, shape (...).
      medium: gives photons and density.

    Returns:
      Photons per m, weighted by the acceptance of a sensor, shape (...).
    """
    return RADIATION * medium.density * medium.photons_per_gev * jnp.asarray(energy)


def energy_after(
    energy: Float[Array, "*#shape"], length: Float[Array, "*#shape"], density: Real[ArrayLike, ""]
) -> Float[Array, "*#shape"]:
    """Computes the mean energy of a muon behind a length of a medium: dE/dx = -(a + b E).

    Args:
      energy: at the begin, GeV, shape (...).
      length: of the path, m, shape (...).
      density: of the medium, relative to water.

    Returns:
      Energy >= 0, GeV, shape (...); 0 beyond the range of the muon.
    """
    ratio = IONISATION / RADIATION
    return jnp.maximum((energy + ratio) * jnp.exp(-RADIATION * density * length) - ratio, 0)
