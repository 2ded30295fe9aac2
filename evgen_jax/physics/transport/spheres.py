"""Spheres around the modules of a detector, and which of them a photon is in: a grid over the strings and along them."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.spatial import KDTree

MOST_CELLS = 512
"""Largest number of cells along one axis."""
BY_DISTANCE = 0.2
"""Largest radius of a sphere, in distances of its module from the source: closer, light changes within it."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["centre", "radius", "by_distance", "low", "cell", "columns", "cells", "modules"],
    meta_fields=["shape"],
)
@dataclass(frozen=True)
class Spheres:
    """Holds spheres that do not overlap, and a grid of cubes that finds them.

    Attributes:
      centre: [U, 3], m.
      radius: [U], m.
      by_distance: scalar, largest radius over the distance of the module from the source.
      low: corner of the grid [3], m.
      cell: scalar, edge of a cube, m.
      columns: column of each vertical line of cubes [nx * ny], int32; 0 for those without a sphere.
      cells: list of each cube of each column [columns * nz], int32; 0 for cubes without a sphere.
      modules: spheres that reach into the cubes of each list [lists, M], int32, padded with the last of them.
      shape: numbers nx, ny, nz of cubes.
    """

    centre: Array
    radius: Array
    by_distance: Array
    low: Array
    cell: Array
    columns: Array
    cells: Array
    modules: Array
    shape: tuple[int, int, int]


def spheres_around(centre: Float[np.ndarray, "U 3"], radius: float, by_distance: float = BY_DISTANCE) -> Spheres:
    """Makes spheres around modules, on the host.

    Args:
      centre: places of modules [U, 3], m, all different.
      radius: m; a module whose neighbour is nearer than twice that gets half the distance.
      by_distance: largest radius over the distance of a module from the source.

    Returns:
      The spheres.
    """
    centre = np.asarray(centre, np.float64)
    gap = KDTree(centre).query(centre, k=2)[0][:, 1] if len(centre) > 1 else np.array([np.inf])
    radii = np.minimum(radius, gap / 2)
    low, high = (centre - radii[:, None]).min(axis=0), (centre + radii[:, None]).max(axis=0)
    cell = max(float(radii.max()), float((high - low).max()) / MOST_CELLS)
    nx, ny, nz = (int(number) for number in np.floor((high - low) / cell) + 1)
    place, module = _reached((centre - low) / cell, radii / cell, np.array([nx, ny, nz]))
    line, column = np.unique(place[:, 0] * ny + place[:, 1], return_inverse=True)
    cube, belongs, counts = np.unique((column + 1) * nz + place[:, 2], return_inverse=True, return_counts=True)
    order = np.argsort(belongs, kind="stable")
    within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    modules = np.zeros((len(cube) + 1, counts.max()), np.int32)
    modules[1:] = module[order][np.cumsum(counts) - 1][:, None]
    modules[belongs[order] + 1, within] = module[order]
    columns, cells = np.zeros(nx * ny, np.int32), np.zeros((len(line) + 1) * nz, np.int32)
    columns[line], cells[cube] = np.arange(len(line)) + 1, np.arange(len(cube)) + 1
    centres, sizes, share, corner, edge = (
        jnp.asarray(value, jnp.float32) for value in (centre, radii, by_distance, low, cell)
    )
    lines, cubes, lists = (jnp.asarray(value) for value in (columns, cells, modules))
    return Spheres(centres, sizes, share, corner, edge, lines, cubes, lists, (nx, ny, nz))


def _reached(centre: np.ndarray, radius: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cubes [n, 3] of edge 1 into which spheres reach, and which sphere [n] it is."""
    first = np.floor(centre - radius[:, None]).astype(int)
    # Radii are at most 1, so that a sphere reaches into three cubes along each axis, and rounding may add one.
    offsets = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    place = first[:, None] + offsets
    beyond = np.maximum(np.maximum(place - centre[:, None], centre[:, None] - place - 1), 0)
    reached = np.sum(beyond**2, axis=-1) <= (radius[:, None] * (1 + 1e-5) + 1e-5) ** 2
    module, offset = np.nonzero(reached & np.all((place >= 0) & (place < shape), axis=-1))
    return place[module, offset], module


def cell_list(
    spheres: Spheres, x: Float[Array, "*shape"], y: Float[Array, "*shape"], z: Float[Array, "*shape"]
) -> Int[Array, "*shape"]:
    """Finds the lists of spheres that may hold places.

    Args:
      spheres: of the modules.
      x: m, shape (...).
      y: m, shape (...).
      z: m, shape (...).

    Returns:
      Places in `modules` (...), 0 where no sphere is near.
    """
    nx, ny, nz = spheres.shape
    i, j, k = (jnp.floor((value - spheres.low[axis]) * (1 / spheres.cell)) for axis, value in enumerate((x, y, z)))
    inside = (i >= 0) & (i < nx) & (j >= 0) & (j < ny) & (k >= 0) & (k < nz)
    line = jnp.where(inside, i * ny + j, 0).astype(jnp.int32)
    column = spheres.columns.at[line].get(mode="promise_in_bounds")
    cube = jnp.where(inside, column * nz + k.astype(jnp.int32), 0)
    return spheres.cells.at[cube].get(mode="promise_in_bounds")


def radii_from(spheres: Spheres, source: Float[Array, "3"]) -> Float[Array, " U"]:
    """Computes the radii of spheres for a source: at most a share of a module's distance from it.

    Args:
      spheres: of U modules.
      source: place of the source [3], m.

    Returns:
      Radii [U], m.
    """
    return jnp.minimum(spheres.radius, spheres.by_distance * jnp.linalg.norm(spheres.centre - source[None], axis=-1))


def module_at(
    spheres: Spheres, radius: Float[Array, " U"], position: Float[Array, "N 3"]
) -> tuple[Int[Array, " N"], Bool[Array, " N"]]:
    """Finds the spheres that hold places.

    Args:
      spheres: of U modules.
      radius: of the spheres [U], m, at most those of `spheres`.
      position: places [N, 3], m.

    Returns:
      Modules [N] and whether a place is in a sphere [N].
    """
    own = cell_list(spheres, *(position[:, axis] for axis in range(3)))
    module, found = jnp.zeros(own.shape, jnp.int32), jnp.zeros(own.shape, bool)
    for number in range(spheres.modules.shape[1]):
        candidate = spheres.modules[own, number]
        square = jnp.sum((position - spheres.centre[candidate]) ** 2, axis=-1)
        inside = (own > 0) & (square < radius[candidate] ** 2)
        module, found = jnp.where(inside, candidate, module), found | inside
    return module, found
