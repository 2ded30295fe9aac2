"""Plane layers of a medium as photons meet them: even in the optical depth of scattering, each of constant lengths.

A photon's place is its depth in layers, counted upwards: in layers of equal optical depth a step ends at the depth where it
began plus a multiple of its direction's z, whatever it crosses, and height and absorption follow by linear interpolation.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from evgen_jax.physics.medium import Medium, mean_coefficients
from evgen_jax.physics.transport.scattering import Scattering

THICKEST = 2.0
"""Largest thickness of a layer, m."""
MOST_LAYERS = 1 << 15
"""Largest number of layers; they are thicker where a medium of strong contrasts would need more."""
FINE = 0.25
"""Spacing of the heights between which the optical depths of a medium are integrated, m; between them they are linear."""
COLLISION_LENGTH = 5.0
"""Mean distance between collisions that is aimed at, m: photons are counted where they collide."""
TILT_SPACING = 10.0
"""Spacing of the grid of a tilt, m."""
_mean_coefficients = jax.jit(mean_coefficients)


class Anisotropy(NamedTuple):
    """Lengths that depend on the azimuth of flight: times 1 + strength sin^2(zenith) cos 2(azimuth - axis).

    Attributes:
      strength: scalar, below 1.
      cosine: scalar, cosine of twice the axis' azimuth.
      sine: scalar, sine of twice the axis' azimuth.
    """

    strength: ArrayLike
    cosine: ArrayLike
    sine: ArrayLike


class Tilt(NamedTuple):
    """Layers that lie higher by a shift, which depends on the place along one horizontal direction.

    Attributes:
      direction: unit vector [2] in x and y.
      first: scalar, place of the first point of the grid along the direction, m.
      shift: at an even grid of `TILT_SPACING` [n], m; linear between, constant beyond.
    """

    direction: Array | np.ndarray
    first: ArrayLike
    shift: Array | np.ndarray


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["z", "thickness", "absorbed", "absorption", "per_layer", "tilt", "anisotropy"],
    meta_fields=["scattering", "dilution"],
)
@dataclass(frozen=True)
class Layers:
    """Holds the layers of a medium; the first and the last one have no outer end.

    Attributes:
      z: lower ends [K], m, in the coordinates of the detector.
      thickness: [K], m.
      absorbed: optical depth of absorption between the first layer's lower end and that of each [K].
      absorption: optical depth of absorption of each layer [K].
      per_layer: scalar, layers per collision length of vertical flight.
      tilt: of the layers; None: they are level.
      anisotropy: of the lengths; None: there is none.
      scattering: angle of scattering.
      dilution: collisions per scattering, a whole number >= 1; the others change nothing, and are more places to count at.
    """

    z: Array
    thickness: Array
    absorbed: Array
    absorption: Array
    per_layer: Array
    tilt: Tilt | None
    anisotropy: Anisotropy | None
    scattering: Scattering
    dilution: int


class Level(NamedTuple):
    """What photons meet at depths (...) of layers.

    Attributes:
      depth: in layers, from the lower end of the first one upwards.
      z: m, without the tilt.
      thickness: of the layer there, m.
      absorbed: optical depth of absorption from the first layer's lower end to there.
      absorption: optical depth of absorption of the layer.
    """

    depth: Array
    z: Array
    thickness: Array
    absorbed: Array
    absorption: Array


def scattering_of(medium: Medium) -> Scattering:
    """Makes the angle of scattering of a medium.

    Args:
      medium: of concrete numbers.

    Returns:
      Mean cosine and mixture of its scattering.
    """
    numbers = (medium.asymmetry, medium.liu_fraction, medium.molecular_fraction)
    return Scattering(*(round(float(number), 6) for number in numbers))


def layers_of(
    medium: Medium,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    thickest: float = THICKEST,
    tilt: Tilt | None = None,
    anisotropy: Anisotropy | None = None,
) -> Layers:
    """Makes the layers of a medium on the host, in float64.

    Args:
      medium: of concrete numbers; coefficients beyond its grid are those of its ends.
      origin: of the detector, m: layers are in coordinates relative to it.
      thickest: largest thickness of a layer, m. Where a medium changes, layers are as thin as their scattering is strong.
      tilt: of the layers; None: they are level.
      anisotropy: of the lengths; None: there is none.

    Returns:
      The layers, float32.
    """
    scattering = scattering_of(medium)
    first, step = float(medium.first_z) - origin[2], float(medium.step)
    mean = scattering.length / float(np.mean(np.asarray(medium.scattering, np.float64)))
    dilution = max(1, round(mean / COLLISION_LENGTH))
    if medium.is_homogeneous:
        ends = np.array([first, first + thickest])
    else:
        around = step + 2 * thickest
        last = first + step * (medium.scattering.shape[0] - 1) + around
        ends = np.linspace(first - around, last, 1 + int(np.ceil((last - first + around) / FINE)))
    with jax.enable_x64(True):
        coefficients = _mean_coefficients(medium.replace(first_z=np.asarray(first)), ends[:-1], ends[1:])
        collisions, absorptions = (np.asarray(value) * np.diff(ends) for value in coefficients)
    collisions = collisions * (dilution / scattering.length)
    depth, beneath = (np.concatenate([[0.0], np.cumsum(value)]) for value in (collisions, absorptions))
    optical = max(float(thickest * np.min(collisions / np.diff(ends))), float(depth[-1]) / MOST_LAYERS)
    count = max(1, int(depth[-1] / optical))
    nodes = optical * np.arange(count + 1)
    z, beneath = np.interp(nodes, depth, ends), np.interp(nodes, depth, beneath)
    lower, thickness, absorbed, absorption = (
        jnp.asarray(value, jnp.float32) for value in (z[:-1], np.diff(z), beneath[:-1], np.diff(beneath))
    )
    per_layer = jnp.asarray(1 / optical, jnp.float32)
    return Layers(lower, thickness, absorbed, absorption, per_layer, tilt, anisotropy, scattering, dilution)


def anisotropy_of(strength: float, azimuth: float) -> Anisotropy:
    """Makes an anisotropy.

    Args:
      strength: relative change of both lengths along the axis, below 1; across it they change by as much in the other sense.
      azimuth: of the axis, rad.

    Returns:
      The anisotropy.
    """
    return Anisotropy(np.float32(strength), np.float32(np.cos(2 * azimuth)), np.float32(np.sin(2 * azimuth)))


def tilt_of(
    azimuth: float, distances: np.ndarray, shifts: np.ndarray, origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> Tilt:
    """Makes a tilt from points, linear between them and constant beyond.

    Args:
      azimuth: of the direction along which the shift changes, rad.
      distances: places along the direction [n], ascending, m, in the coordinates of the detector's table.
      shifts: by which layers lie higher there [n], m.
      origin: of the detector, m.

    Returns:
      The tilt, in the coordinates of the detector.
    """
    direction = np.array([np.cos(azimuth), np.sin(azimuth)])
    places = np.asarray(distances, np.float64) - direction @ np.asarray(origin[:2])
    grid = np.arange(places[0], places[-1] + TILT_SPACING, TILT_SPACING)
    shift = np.interp(grid, places, np.asarray(shifts, np.float64))
    return Tilt(direction.astype(np.float32), np.float32(grid[0]), np.append(shift, shift[-1:]).astype(np.float32))


def level_at(layers: Layers, depth: Float[Array, "*shape"]) -> Level:
    """Looks up what photons meet at depths.

    Args:
      layers: of the medium.
      depth: in layers, shape (...).

    Returns:
      Heights and lengths (...) there.
    """
    floor = jnp.clip(jnp.floor(depth), 0, len(layers.z) - 1)
    place, part = floor.astype(jnp.int32), depth - floor
    z, thickness, absorbed, absorption = (
        values.at[place].get(mode="promise_in_bounds")
        for values in (layers.z, layers.thickness, layers.absorbed, layers.absorption)
    )
    return Level(depth, z + part * thickness, thickness, absorbed + part * absorption, absorption)


def depth_of(layers: Layers, z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Finds the depths of heights.

    Args:
      layers: of the medium.
      z: m, without the tilt, shape (...).

    Returns:
      Depths in layers (...).
    """
    place = jnp.clip(jnp.searchsorted(layers.z, z, side="right") - 1, 0, len(layers.z) - 1)
    return place + (z - layers.z[place]) / layers.thickness[place]


def shift_at(
    tilt: Tilt, x: Float[Array, "*shape"], y: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Computes how much higher layers lie at places.

    Args:
      tilt: of the layers.
      x: m, shape (...).
      y: m, shape (...).

    Returns:
      Shifts (...), m, and their slopes (...) along the direction of the tilt.
    """
    direction, shift = jnp.asarray(tilt.direction), jnp.asarray(tilt.shift)
    place = (x * direction[0] + y * direction[1] - tilt.first) / TILT_SPACING
    inside = jnp.clip(place, 0, len(shift) - 1)
    below = jnp.minimum(jnp.floor(inside), len(shift) - 2).astype(jnp.int32)
    rise = shift[below + 1] - shift[below]
    return shift[below] + (inside - below) * rise, jnp.where(place == inside, rise / TILT_SPACING, 0)
