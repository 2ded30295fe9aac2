"""Light of a point source in scattering and absorbing ice: from 1 / r^2 nearby to diffusion far away."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

PHOTONS_PER_GEV = 12873.0
"""Acceptance-weighted Cherenkov photons of an electromagnetic shower per GeV."""
DOM_AREA = 0.085634
"""Cross section of a module, m^2 (radius 0.1651 m)."""


def diffusion_density(distance: Array, scattering: ArrayLike, absorption: ArrayLike) -> Array:
    """Photons per m^2 at a distance from an isotropic source of one photon.

    exp(-r / lambda_p) / (4 pi lambda_c r tanh(r / lambda_c)), lambda_p = sqrt(lambda_a lambda_e / 3),
    lambda_c = lambda_e / (3 zeta), zeta = exp(-lambda_e / lambda_a) (AMANDA's interpolation between both limits).

    Args:
      distance: r > 0, m, shape (...).
      scattering: effective scattering length lambda_e, m.
      absorption: absorption length lambda_a, m.
    """
    propagation = jnp.sqrt(scattering * absorption / 3)
    critical = scattering / 3 * jnp.exp(scattering / absorption)
    near = critical * distance * jnp.tanh(distance / critical)
    return jnp.exp(-distance / propagation) / (float(4 * np.pi) * near)
