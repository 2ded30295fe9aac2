"""The medium: ice or water in plane layers, its light, and averages of its coefficients along straight paths."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Array, ArrayLike, Float, Int, Real

from evgen_jax.physics import constants
from evgen_jax.short_repr import short_repr


class Medium(struct.PyTreeNode):
    """Describes ice or water by coefficients on an even grid of z and by its indices and its light; a pytree of arrays.

    Between the points of the grid a coefficient is a quadratic spline with the values of the grid as control points:
    positive, without overshoot, with a continuous derivative, and with the integral of the layers. Beyond the grid the
    value of its end holds.

    Attributes:
      scattering: [Z], effective scattering coefficients, 1 / m, from the lowest point of the grid upwards; Z = 1 where
        the medium is homogeneous.
      absorption: [Z], absorption coefficients, 1 / m.
      first_z: scalar, z of the lowest point of the grid, m, in the coordinates of detector tables.
      step: scalar > 0, distance of the points of the grid, m.
      phase_index: scalar, phase refractive index; the cosine of the Cherenkov angle is its inverse.
      group_index: scalar, group refractive index.
      asymmetry: scalar, mean cosine g of the scattering angle at particles.
      liu_fraction: scalar, share of simplified Liu scattering with the mean cosine g.
      molecular_fraction: scalar, share of molecular scattering, whose mean cosine is 0; the rest is Henyey-Greenstein
        with the mean cosine g.
      density: scalar, density in units of that of water.
      photons_per_gev: scalar, Cherenkov photons of an electromagnetic shower per GeV, weighted by the wavelength
        acceptance of a sensor.
      photons_per_metre: scalar, Cherenkov photons of a bare muon per m, weighted by the wavelength acceptance of a
        sensor.
      surface_z: scalar, z of the surface of the ice or the sea, m: the depth of a point is `surface_z` - z.
      mean_scattering_length: scalar, typical effective scattering length, m, by which learned charges are scaled.
      mean_absorption_length: scalar, typical absorption length, m, by which learned charges are scaled.
      name: what the medium is called.
      light: "ice" or "water", whose light tables the medium takes: those of the nearer mean cosine of scattering.
    """

    scattering: Array
    absorption: Array
    first_z: Array
    step: Array
    phase_index: Array
    group_index: Array
    asymmetry: Array
    liu_fraction: Array
    molecular_fraction: Array
    density: Array
    photons_per_gev: Array
    photons_per_metre: Array
    surface_z: Array
    mean_scattering_length: Array
    mean_absorption_length: Array
    name: str = struct.field(pytree_node=False, default="medium")
    light: str = struct.field(pytree_node=False, default="ice")

    __repr__ = short_repr

    @property
    def group_velocity(self) -> Any:
        """Returns the group velocity of light, m / ns, a scalar of what the group index is of."""
        return constants.SPEED_OF_LIGHT / self.group_index

    @property
    def mean_cosine(self) -> Any:
        """Returns the mean cosine of all scattering: scattering lengths are effective ones times 1 minus it."""
        return self.asymmetry * (1 - self.molecular_fraction)

    @property
    def is_homogeneous(self) -> bool:
        """Returns whether the coefficients are equal everywhere because there is one point of the grid alone."""
        return self.scattering.shape[-1] == 1

    def astype(self, dtype: DTypeLike) -> "Medium":
        """Makes the medium with all numbers in one precision.

        Args:
          dtype: float32 or float64.

        Returns:
          A medium of JAX arrays.
        """
        return jax.tree.map(lambda value: jnp.asarray(value, dtype), self)


def fingerprint(medium: Medium) -> str:
    """Computes a checksum of all numbers in float32: equal for equal media, whatever they are called.

    Args:
      medium: any medium, of concrete numbers.

    Returns:
      SHA-256 in hexadecimal digits.
    """
    digest = hashlib.sha256()
    for value in jax.tree.leaves(medium):
        array = np.asarray(value, np.float32)
        digest.update(f"{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def coefficients_at(
    medium: Medium, z: Real[ArrayLike, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Computes the effective scattering and the absorption coefficient at points.

    Args:
      medium: gives the layers.
      z: m, in the coordinates of detector tables, shape (...).

    Returns:
      Effective scattering coefficients (...) and absorption coefficients (...), 1 / m.
    """
    z = jnp.asarray(z)
    return mean_coefficients(medium, z, z)


def mean_lengths(
    medium: Medium, source_z: Real[ArrayLike, "*#shape"], z: Real[ArrayLike, "*#shape"]
) -> tuple[Float[Array, "*#shape"], Float[Array, "*#shape"]]:
    """Computes mean effective scattering and absorption lengths on straight lines: coefficients are averaged.

    Args:
      medium: gives the layers.
      source_z: z of one end, m, in the coordinates of detector tables, broadcastable.
      z: z of the other end, m, broadcastable.

    Returns:
      Effective scattering lengths (...) and absorption lengths (...), m.
    """
    scattering, absorption = mean_coefficients(medium, source_z, z)
    return 1 / scattering, 1 / absorption


def mean_coefficients(
    medium: Medium, source_z: Real[ArrayLike, "*#shape"], z: Real[ArrayLike, "*#shape"]
) -> tuple[Float[Array, "*#shape"], Float[Array, "*#shape"]]:
    """Computes mean effective scattering and absorption coefficients on straight lines.

    They are exact integrals over the spline, divided by the difference in z, evaluated such that nothing cancels: the
    limit of horizontal lines is smooth, first derivatives are continuous and second ones are finite everywhere.

    Args:
      medium: gives the layers.
      source_z: z of one end, m, in the coordinates of detector tables, broadcastable.
      z: z of the other end, m, broadcastable.

    Returns:
      Effective scattering coefficients (...) and absorption coefficients (...), 1 / m.

    Example:
      `mean_coefficients(detector.medium, vertex[2], detector.position[:, 2])`
    """
    values = jnp.stack([medium.scattering, medium.absorption], axis=-1)
    mean = mean_values(medium, values, source_z, z)
    return mean[..., 0], mean[..., 1]


def mean_values(
    medium: Medium, values: Real[Array, "Z C"], source_z: Real[ArrayLike, "*#shape"], z: Real[ArrayLike, "*#shape"]
) -> Float[Array, "*#shape C"]:
    """Computes means on straight lines of what is given at the points of the medium's grid, as `mean_coefficients` does.

    Args:
      medium: gives the grid.
      values: [Z, C], at the points of the grid, the lowest first.
      source_z: z of one end, m, in the coordinates of detector tables, broadcastable.
      z: z of the other end, m, broadcastable.

    Returns:
      Means (..., C).
    """
    start, end = jnp.asarray(source_z), jnp.asarray(z)
    dtype = jnp.result_type(start, end, float)
    start, end = jnp.broadcast_arrays(start.astype(dtype), end.astype(dtype))
    shape = start.shape
    values = values.astype(dtype)
    if medium.is_homogeneous:
        return jnp.broadcast_to(values[0], (*shape, values.shape[-1]))
    # Places in cells of length 1 around the points of the grid. At equality derivatives belong to both ends, which
    # minimum and maximum would halve.
    first_z, step = jnp.asarray(medium.first_z, dtype), jnp.asarray(medium.step, dtype)
    place = (jnp.stack([start.ravel(), end.ravel()]) - first_z) / step + 0.5
    ordered = place[0] <= place[1]
    mean = _mean(_Cells(values), jnp.where(ordered, place[0], place[1]), jnp.where(ordered, place[1], place[0]))
    return mean.reshape(*shape, values.shape[-1])


class _Cells:
    """The spline in cells of length 1, constant + linear u + square u^2 with u in [0, 1]; one more cell on either side.

    The outer cells have constant values and no end: the lower one counts u down from its upper end, 1.

    Attributes:
      constant: [Z + 2, C].
      linear: [Z + 2, C].
      square: [Z + 2, C].
      last: Z, number of the upper outer cell; the lower one is -1.
      level: [1, C], mean value of the grid.
      above: [Z + 1, C], integral of value - level from the begin of cell 0 to that of cell j.
    """

    def __init__(self, values: Float[Array, "Z C"]):
        """Makes the cells of control points [Z, C]."""
        self.last = values.shape[0]
        around = jnp.concatenate([values[:1], values[:1], values, values[-1:], values[-1:]])
        below, own, over = around[:-2], around[1:-1], around[2:]
        self.constant, self.linear, self.square = (below + own) / 2, own - below, (below - 2 * own + over) / 2
        self.level = jnp.mean(values, axis=0, keepdims=True)
        whole = (self.constant - self.level + self.linear / 2 + self.square / 3)[1:-1]
        self.above = jnp.concatenate([jnp.zeros_like(whole[:1]), jnp.cumsum(whole, axis=0)])

    def at(self, place: Float[Array, " N"]) -> tuple[Int[Array, " N"], Float[Array, " N"]]:
        """Returns numbers of cells [N] and places in them [N]."""
        number = jnp.clip(jnp.floor(place), -1, self.last).astype(jnp.int32)
        return number, place - number

    def of(self, number: Int[Array, " N"]) -> tuple[Float[Array, "N C"], Float[Array, "N C"], Float[Array, "N C"]]:
        """Returns the polynomials of cells, three times [N, C]."""
        return self.constant[number + 1], self.linear[number + 1], self.square[number + 1]


def _mean(cells: _Cells, low: Float[Array, " N"], high: Float[Array, " N"]) -> Float[Array, "N C"]:
    """Mean values [N, C] between places low <= high."""
    (first, u), (last, v) = cells.at(low), cells.at(high)
    constant, linear, square = cells.of(first)
    u, v = u[:, None], v[:, None]
    within = constant + linear * (u + v) / 2 + square * (u**2 + u * v + v**2) / 3

    # From `low` to the end of its cell, whole cells, and from the begin of the last cell to `high`, each relative to
    # the value at the end of the first cell: this leaves no difference of large numbers where the path is short.
    same = (first == last)[:, None]
    begin, slope, curve = cells.of(last)
    reference = cells.of(jnp.minimum(first + 1, cells.last))[0]
    rest = 1 - u
    lower = rest**2 * (square * rest / 3 - (linear + 2 * square) / 2)
    upper = v * (begin - reference + slope * v / 2 + curve * v**2 / 3)
    end = jnp.clip(first + 1, 0, cells.last)
    count = (jnp.clip(last, 0, cells.last) - end)[:, None]
    whole = cells.above[jnp.clip(last, 0, cells.last)] - cells.above[end] + (cells.level - reference) * count
    length = jnp.where(same, 1, (high - low)[:, None])
    return jnp.where(same, within, reference + (lower + whole + upper) / length)


def relative_z(z: ArrayLike, origin: tuple[float, float, float]) -> Any:
    """Computes z in the coordinates of detector tables, in which the layers of a medium are given.

    Args:
      z: m, relative to the origin of a detector, shape (...).
      origin: of the detector, m.

    Returns:
      z, m, shape (...); unchanged for an origin of z = 0.
    """
    return z + origin[2] if origin[2] else z
