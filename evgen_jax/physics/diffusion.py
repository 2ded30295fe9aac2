"""Light of a point source in scattering and absorbing ice: from 1 / r^2 nearby to diffusion far away."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Real

from evgen_jax.physics import constants

PHOTONS_PER_GEV = 12873.0
"""Cherenkov photons of an electromagnetic shower per GeV, weighted by the acceptance of a module."""
DOM_AREA = 0.085634
"""Cross section of a module, m^2 (radius 0.1651 m)."""
MEAN_SCATTERING = 30.0
"""Typical effective scattering length of South Pole ice, m."""
MEAN_ABSORPTION = 110.0
"""Typical absorption length of South Pole ice, m."""
MEAN_ACCEPTANCE = 0.34
"""Angular sensitivity of a module averaged over all directions of light."""
PHOTONS_PER_METRE = 2450.08
"""Cherenkov photons of a bare muon per m, weighted by the acceptance of a module."""


def diffusion_density(
    distance: Float[Array, "*#shape"], scattering: Real[ArrayLike, "*#shape"], absorption: Real[ArrayLike, "*#shape"]
) -> Float[Array, "*#shape"]:
    """Computes the photons per m^2 at a distance from an isotropic source of one photon.

    exp(-r / lambda_p) / (4 pi lambda_c r tanh(r / lambda_c)), lambda_p = sqrt(lambda_a lambda_e / 3),
    lambda_c = lambda_e / (3 zeta), zeta = exp(-lambda_e / lambda_a): AMANDA's interpolation between 1 / r^2 nearby and
    diffusion far away.

    Args:
      distance: r > 0, m, shape (...).
      scattering: effective scattering length lambda_e, m, broadcastable against distance.
      absorption: absorption length lambda_a, m, broadcastable against distance.

    Returns:
      Photons per m^2, shape (...).
    """
    propagation = jnp.sqrt(scattering * absorption / 3)
    critical = scattering / 3 * jnp.exp(scattering / absorption)
    near = critical * distance * jnp.tanh(distance / critical)
    return jnp.exp(-distance / propagation) / (float(4 * np.pi) * near)


def track_diffusion_density(
    distance: Float[Array, "*#shape"], scattering: Real[ArrayLike, "*#shape"], absorption: Real[ArrayLike, "*#shape"]
) -> Float[Array, "*#shape"]:
    """Computes the photons per m^2 at a distance from an infinite track of one photon per m.

    exp(-r / lambda_p) / (2 pi sin(theta_c) sqrt(lambda_m r) tanh sqrt(r / lambda_m)), sqrt(lambda_m) =
    lambda_c / sin(theta_c) sqrt(2 / (pi lambda_p)), lambda_p = sqrt(lambda_a lambda_e / 3), lambda_c =
    lambda_e / (3 zeta), zeta = exp(-lambda_e / lambda_a): direct Cherenkov light nearby, diffusion far away.

    Args:
      distance: perpendicular distance r > 0, m, shape (...).
      scattering: effective scattering length lambda_e, m, broadcastable against distance.
      absorption: absorption length lambda_a, m, broadcastable against distance.

    Returns:
      Photons per m^2, shape (...).
    """
    sine = float(np.sqrt(1 - 1 / constants.PHASE_INDEX**2))
    propagation = jnp.sqrt(scattering * absorption / 3)
    critical = scattering / 3 * jnp.exp(scattering / absorption)
    root = critical / sine * jnp.sqrt(2 / (np.pi * propagation))
    near = root * jnp.sqrt(distance) * jnp.tanh(jnp.sqrt(distance) / root)
    return jnp.exp(-distance / propagation) / (float(2 * np.pi) * sine * near)
