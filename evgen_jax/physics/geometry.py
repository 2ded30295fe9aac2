"""Directions, angles and shower geometry; zenith and azimuth say where the particle comes from."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.numerics import safe_norm
from evgen_jax.physics import constants


def flight_direction(zenith: Float[Array, "*shape"], azimuth: Float[Array, "*shape"]) -> Float[Array, "*shape 3"]:
    """Computes the unit vector along which a particle flies: minus the direction it comes from.

    Args:
      zenith: rad, shape (...).
      azimuth: rad, shape (...).

    Returns:
      Unit vectors, shape (..., 3).
    """
    sin_zenith = jnp.sin(zenith)
    return -jnp.stack([sin_zenith * jnp.cos(azimuth), sin_zenith * jnp.sin(azimuth), jnp.cos(zenith)], axis=-1)


def sphere_point(zenith: Float[Array, "*shape"], azimuth: Float[Array, "*shape"]) -> Float[Array, "*shape 3"]:
    """Computes the unit vector from the centre of a sphere to the point at two angles, without a change of sign.

    Args:
      zenith: rad, shape (...).
      azimuth: rad, shape (...).

    Returns:
      Unit vectors, shape (..., 3).
    """
    return -flight_direction(zenith, azimuth)


def origin_angles(direction: Float[Array, "*shape 3"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Computes the angles from which a particle comes that flies along a vector.

    Args:
      direction: shape (..., 3), of any length above 0.

    Returns:
      Zenith in [0, pi] and azimuth in [0, 2 pi), rad, each (...).
    """
    unit = direction / safe_norm(direction)[..., None]
    zenith = jnp.arccos(jnp.clip(-unit[..., 2], -1, 1))
    azimuth = jnp.mod(jnp.arctan2(-unit[..., 1], -unit[..., 0]), 2 * jnp.pi)
    return zenith, azimuth


def opening_angle(a: Float[Array, "*shape 3"], b: Float[Array, "*shape 3"]) -> Float[Array, "*shape"]:
    """Computes the angle between two vectors, stable at 0 and pi: 2 atan2(|a|b| - b|a||, |a|b| + b|a||) (Kahan).

    Args:
      a: shape (..., 3).
      b: shape (..., 3).

    Returns:
      Angles in [0, pi], rad, shape (...).
    """
    scaled_a = a * safe_norm(b)[..., None]
    scaled_b = b * safe_norm(a)[..., None]
    return 2 * jnp.arctan2(safe_norm(scaled_a - scaled_b), safe_norm(scaled_a + scaled_b))


def shower_maximum(energy: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes the distance from the vertex to the maximum of an electromagnetic shower in ice.

    a = 2.01849 + 0.63176 ln E, b = X0 / 0.63207, maximum at (a - 1) X0 / b (Raedel & Wiebusch,
    arXiv:1210.5140); 0 below about 0.2 GeV.

    Args:
      energy: GeV, >= 0, shape (...).

    Returns:
      Distances >= 0, m, shape (...).
    """
    a = 2.01849 + 0.63176 * jnp.log(energy + 1e-6)
    return jnp.maximum(0.63207 * (a - 1), 0.0)


def shift_to_shower_maximum(
    position: Float[Array, "3"], time: Float[Array, ""], direction: Float[Array, "3"], energy: Float[Array, ""]
) -> tuple[Float[Array, "3"], Float[Array, ""]]:
    """Moves a vertex and its time to the shower maximum, at the speed of light in vacuum.

    Args:
      position: vertex [3], m.
      time: of the vertex, scalar, ns.
      direction: unit vector of flight [3].
      energy: scalar, GeV.

    Returns:
      Position [3], m, and time, scalar, ns, of the shower maximum.
    """
    length = shower_maximum(energy)
    return position + length * direction, time + length / constants.SPEED_OF_LIGHT
