"""Directions, angles and shower geometry. Zenith and azimuth say where the particle comes from."""

import jax.numpy as jnp
from jax import Array

from evgen_jax.numerics import safe_norm
from evgen_jax.physics import constants


def flight_direction(zenith: Array, azimuth: Array) -> Array:
    """Unit vector of flight, shape (..., 3): minus the direction the particle comes from."""
    sin_zenith = jnp.sin(zenith)
    return -jnp.stack([sin_zenith * jnp.cos(azimuth), sin_zenith * jnp.sin(azimuth), jnp.cos(zenith)], axis=-1)


def sphere_point(zenith: Array, azimuth: Array) -> Array:
    """Unit vector (..., 3) from the centre of a sphere to the point at these angles; no change of sign."""
    return -flight_direction(zenith, azimuth)


def origin_angles(direction: Array) -> tuple[Array, Array]:
    """Zenith in [0, pi] and azimuth in [0, 2 pi) of a particle that flies along `direction` (..., 3)."""
    unit = direction / safe_norm(direction)[..., None]
    zenith = jnp.arccos(jnp.clip(-unit[..., 2], -1, 1))
    azimuth = jnp.mod(jnp.arctan2(-unit[..., 1], -unit[..., 0]), 2 * jnp.pi)
    return zenith, azimuth


def opening_angle(a: Array, b: Array) -> Array:
    """Angle between vectors (..., 3), stable at 0 and pi (Kahan): 2 atan2(|a|b|-b|a||, |a|b|+b|a||)."""
    scaled_a = a * safe_norm(b)[..., None]
    scaled_b = b * safe_norm(a)[..., None]
    return 2 * jnp.arctan2(safe_norm(scaled_a - scaled_b), safe_norm(scaled_a + scaled_b))


def shower_maximum(energy: Array) -> Array:
    """Distance from the vertex to the maximum of an electromagnetic shower in ice, m.

    a = 2.01849 + 0.63176 ln E, b = X0 / 0.63207, maximum at (a - 1) X0 / b (Raedel & Wiebusch,
    arXiv:1210.5140); 0 below about 0.2 GeV.

    Args:
      energy: GeV, >= 0, shape (...).
    """
    a = 2.01849 + 0.63176 * jnp.log(energy + 1e-6)
    return jnp.maximum(0.63207 * (a - 1), 0.0)


def shift_to_shower_maximum(position: Array, time: Array, direction: Array, energy: Array) -> tuple[Array, Array]:
    """Moves a vertex (3,) and its time together to the shower maximum."""
    length = shower_maximum(energy)
    return position + length * direction, time + length / constants.SPEED_OF_LIGHT
