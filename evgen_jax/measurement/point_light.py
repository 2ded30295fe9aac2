"""Light of directed point sources at the sensors of a detector: expected charges and gamma distributions of the delay.

Photon transport in units of the effective scattering length (`light_table`) meets the mean lengths of a medium, and the
photons' mean direction meets the axes and angular curves of sensors.
"""

import math
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.sensors import sensor_moments, sensor_response
from evgen_jax.numerics import safe_norm
from evgen_jax.physics.angular_curves import Curve
from evgen_jax.physics.medium import Medium, mean_lengths, relative_z
from evgen_jax.physics.transport.light_table import Light, LightTable, table_light
from evgen_jax.physics.transport.table_file import load_table

LOG_SPHERE = math.log(4 * math.pi)
"""Logarithm of the solid angle of the sphere."""
CLOSEST = 0.5
"""Length added in quadrature to distances, m: closer to a source its light is not that of a point."""
FAINTEST = 0.01
"""Smooth lower bound of the relative acceptance of diffuse light, in units of its mean over the sphere."""


class Path(NamedTuple):
    """Straight ways from a point to D sensors.

    Attributes:
      distance: [D], m, at least 0.5 m: `CLOSEST` is added in quadrature.
      unit: [D, 3], direction from the point to the sensor; shorter than 1 within a few metres.
      scattering: [D], effective scattering length, m, of the mean coefficient along the way.
      absorption: [D], absorption length, m, of the mean coefficient along the way.
    """

    distance: Float[Array, " D"]
    unit: Float[Array, "D 3"]
    scattering: Float[Array, " D"]
    absorption: Float[Array, " D"]


class PointLight(NamedTuple):
    """Is the light of a directed point source at D sensors.

    Attributes:
      log_charge: [D], logarithm of the expected charge per photon in PE, of sensors with an efficiency of 1.
      log_weight: [D, 3], logarithms of the weights of gamma distributions of the delay behind `distance` over the group
        velocity; their sum is 1.
      shape: [D, 3], of the gamma distributions.
      rate: [D, 3], of the gamma distributions, per ns.
    """

    log_charge: Float[Array, " D"]
    log_weight: Float[Array, "D 3"]
    shape: Float[Array, "D 3"]
    rate: Float[Array, "D 3"]


@cache
def source_table(source: str, medium: str) -> LightTable:
    """Reads an embedded light table once.

    Args:
      source: "shower" or "muon" (the Cherenkov cone of a bare muon).
      medium: "ice" or "water", `light` of a medium.

    Returns:
      The table.
    """
    with jax.ensure_compile_time_eval():
        return load_table(f"{source}_{medium}")


def paths(
    position: Float[Array, "3"],
    detector: Detector,
    scattering_factor: Float[Array, ""] | float = 1.0,
    absorption_factor: Float[Array, ""] | float = 1.0,
) -> Path:
    """Computes the straight ways from a point to sensors.

    Args:
      position: [3], m.
      detector: of D sensors, with its medium.
      scattering_factor: scalar, by which scattering coefficients are multiplied.
      absorption_factor: scalar, by which absorption coefficients are multiplied.

    Returns:
      The D ways.
    """
    dtype = position.dtype
    sensor = jnp.asarray(detector.position, dtype)
    displacement = sensor - position[None]
    distance = jnp.sqrt(safe_norm(displacement) ** 2 + CLOSEST**2)
    origin = detector.origin
    scattering, absorption = mean_lengths(
        detector.medium.astype(dtype), relative_z(position[2], origin), relative_z(sensor[:, 2], origin)
    )
    return Path(
        distance, displacement / distance[:, None], scattering / scattering_factor, absorption / absorption_factor
    )


def point_light(
    table: LightTable,
    direction: Float[Array, "3"],
    path: Path,
    detector: Detector,
    hole_ice: Curve | None = None,
) -> PointLight:
    """Computes the light of a directed point source at sensors: pure, twice differentiable, finite everywhere.

    Args:
      table: of the source in the kind of medium.
      direction: [3], unit vector, axis of the source.
      path: from the source to D sensors.
      detector: gives area, axis and angular curve of D sensors.
      hole_ice: angular curve in place of those that are of modules in hole ice; None: the curves of the detector.

    Returns:
      The light at D sensors, whatever their efficiency and whether they are usable.

    Example:
      ways = paths(vertex, detector)
      light = point_light(source_table("shower", "ice"), direction, ways, detector)
      charge = photons * jnp.exp(light.log_charge)
    """
    cosine = path.unit @ direction
    light = table_light(table, path.distance / path.scattering, cosine, path.scattering / path.absorption)
    area = jnp.asarray(detector.area, cosine.dtype)
    log_charge = (
        light.log_fluence
        + jnp.log(area)
        - 2 * jnp.log(path.distance)
        - LOG_SPHERE
        + jnp.log(diffuse_acceptance(light, cosine, direction, path, detector, hole_ice))
    )
    group_velocity = jnp.asarray(detector.medium.group_velocity, cosine.dtype)
    return PointLight(
        log_charge, light.log_weight, light.shape, light.rate * (group_velocity / path.scattering)[:, None]
    )


def diffuse_acceptance(
    light: Light,
    cosine: Float[Array, " D"],
    direction: Float[Array, "3"],
    path: Path,
    detector: Detector,
    hole_ice: Curve | None = None,
) -> Float[Array, " D"]:
    """Computes the mean relative acceptance of light that comes from all sides.

    With the mean direction of the photons, of length m and at the cosine c to the axis of a sensor, S = S0 + S1 m c +
    m^2 (S(c) - S0 - S1 c). The first two terms are exact. The last one holds for the second Legendre moment of the
    photons' directions, which is m^2 in photon transport (m to the power of 1.9 to 2.3 between 0.05 and 6 effective
    scattering lengths), and makes S(c) of light that is not scattered.

    Args:
      light: of the source at D sensors.
      cosine: [D], of the angle between the axis of the source and the way to the sensor.
      direction: [3], unit vector, axis of the source.
      path: from the source to D sensors.
      detector: gives axis and angular curve of D sensors.
      hole_ice: angular curve in place of those that are of modules in hole ice; None: the curves of the detector.

    Returns:
      Relative acceptance [D], > 0.
    """
    axis = jnp.asarray(detector.axis, cosine.dtype)
    mean = -(light.outward * jnp.sum(path.unit * axis, axis=-1) - light.axial * (axis @ direction))
    square = light.outward**2 + light.axial**2 - 2 * light.outward * light.axial * cosine
    length = jnp.sqrt(square + 1e-6)
    first, second = (a.astype(cosine.dtype) for a in sensor_moments(detector, hole_ice))
    inward = mean / length
    value = first + second * mean + square * (sensor_response(detector, inward, hole_ice) - first - second * inward)
    least = FAINTEST * first
    return (value + jnp.sqrt(value**2 + least**2)) / 2


def medium_path(path: Path, medium: Medium) -> Path:
    """Puts the mean lengths of a medium in place of those along the ways.

    Args:
      path: ways to D sensors.
      medium: gives its mean effective scattering and absorption length.

    Returns:
      The ways in a homogeneous medium.
    """
    ones = jnp.ones_like(path.distance)
    return path._replace(
        scattering=ones * medium.mean_scattering_length, absorption=ones * medium.mean_absorption_length
    )


def lengths_of_light(
    detector: Detector,
    medium: Medium,
    source_z: Float[Array, "*#D"],
    sensor_z: Float[Array, " D"],
    along_way: bool,
) -> tuple[Float[Array, "*#D"], Float[Array, "*#D"]]:
    """Chooses effective scattering and absorption lengths of the light that reaches sensors.

    Args:
      detector: gives the origin of the coordinates.
      medium: in the precision of the lengths.
      source_z: z from where the light comes, m, a scalar or [D].
      sensor_z: [D], z of the sensors, m.
      along_way: whether coefficients are averaged along the straight way to each sensor; otherwise the mean lengths of
        the medium hold.

    Returns:
      Effective scattering and absorption lengths, m, [D] or scalars.
    """
    if not along_way:
        return medium.mean_scattering_length, medium.mean_absorption_length
    return mean_lengths(medium, relative_z(source_z, detector.origin), relative_z(sensor_z, detector.origin))
