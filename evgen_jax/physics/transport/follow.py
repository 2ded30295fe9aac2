"""Photons from their emission until they have left every cell: one batch on one device, or one on each of several."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Float32, UInt32

from evgen_jax.physics.transport.cells import Cells
from evgen_jax.physics.transport.emission import Emission
from evgen_jax.physics.transport.scattering import Scattering
from evgen_jax.physics.transport.steps import Photons, advance, start

STEPS_BETWEEN = 4
"""Steps of all lanes between two looks at which photons are done and followed by new ones."""


class _Lanes(NamedTuple):
    """State of N lanes, each of which follows one photon after the other.

    Attributes:
      order: number of the lane's photon among its photons [N], int32.
      step: number of its next step [N], uint32.
      photons: N photons.
      sums: [cells + 1, 3], float32.
      scatterings: number of scatterings, uint32.
    """

    order: Array
    step: Array
    photons: Photons
    sums: Array
    scatterings: Array


@partial(jax.jit, static_argnames=("emission", "scattering", "cells"))
def follow(
    emission: Emission, scattering: Scattering, cells: Cells, words: UInt32[Array, " 4"], photon: UInt32[Array, "R N"]
) -> tuple[Float32[Array, "cells 3"], UInt32[Array, ""]]:
    """Follows photons through a homogeneous medium without absorption and sums their track lengths in cells.

    Every photon is followed until its path is `cells.longest_path`. Sums are float32: a batch must be so small that no
    cell gets more than some 1e6 points (1e5 photons by far), else small weights are lost; batches are summed in float64
    on the host.

    Args:
      emission: of the source at the origin, whose axis is z.
      scattering: of the medium.
      cells: of the sums.
      words: key [4] of `random_numbers.stream`.
      photon: numbers of the photons [R, N], uint32; each number is one photon, however photons are put into batches. N
        photons fly at once, and R one after the other: with R = 1 all wait for the photon that scatters most.

    Returns:
      Sums [cells + 1, 3], float32, and the number of scatterings, uint32.
    """
    repeats, end = len(photon), cells.longest_path

    def numbers(order: Array) -> Array:
        return jnp.take_along_axis(photon, jnp.minimum(order, repeats - 1)[None], axis=0)[0]

    def under_way(lanes: _Lanes) -> Array:
        return jnp.any(lanes.order < repeats)

    def move(lanes: _Lanes) -> _Lanes:
        number = numbers(lanes.order)

        def once(_: int, lanes: _Lanes) -> _Lanes:
            scatterings = lanes.scatterings + jnp.sum(lanes.photons.path < end, dtype=jnp.uint32)
            # A photon beyond the longest path is outside of every cell: it goes on, and counts nowhere.
            photons, points = advance(scattering, words, number, lanes.step, lanes.photons)
            return _Lanes(lanes.order, lanes.step + 1, photons, cells.add(lanes.sums, points), scatterings)

        lanes = jax.lax.fori_loop(0, STEPS_BETWEEN, once, lanes)
        done = lanes.photons.path >= end
        order = lanes.order + done
        fresh = start(emission, words, numbers(order))
        new = done & (order < repeats)
        photons = jax.tree.map(lambda a, b: jnp.where(new, a, b), fresh, lanes.photons)
        return lanes._replace(order=order, step=jnp.where(new, 1, lanes.step), photons=photons)

    lanes = photon.shape[1]
    first = start(emission, words, photon[0])
    state = _Lanes(jnp.zeros(lanes, jnp.int32), jnp.ones(lanes, jnp.uint32), first, cells.zeros(), jnp.uint32(0))
    last = jax.lax.while_loop(under_way, move, state)
    return last.sums, last.scatterings


@lru_cache(maxsize=8)
def _on_devices(
    emission: Emission, scattering: Scattering, cells: Cells, devices: tuple[jax.Device, ...]
) -> Callable[..., tuple[Array, Array]]:
    """Makes the program that follows the photons [devices, R, N] of each device on it."""
    mesh = jax.make_mesh((len(devices),), ("photons",), axis_types=(AxisType.Auto,), devices=devices)

    def one(words: Array, photon: Array) -> tuple[Array, Array]:
        sums, count = follow(emission, scattering, cells, words, photon[0])
        return sums[None], count[None]

    split, whole = PartitionSpec("photons"), PartitionSpec()
    # Each device ends its loop by itself, and no sum crosses devices.
    return jax.jit(jax.shard_map(one, mesh=mesh, in_specs=(whole, split), out_specs=(split, split), check_vma=False))


def follow_on_devices(
    emission: Emission,
    scattering: Scattering,
    cells: Cells,
    words: Array,
    photon: np.ndarray,
    devices: tuple[jax.Device, ...] | None = None,
) -> tuple[np.ndarray, int]:
    """Follows photons as `follow` does, shared among devices, and sums what they bring in float64.

    Args:
      emission: of the source at the origin, whose axis is z.
      scattering: of the medium.
      cells: of the sums.
      words: key [4] of `random_numbers.stream`.
      photon: numbers of the photons [R, N], uint32; N is a multiple of the number of devices.
      devices: that share the photons; None: all devices of this process.

    Returns:
      Sums [3, distances, cosines, delays], float64, and the number of scatterings.
    """
    devices = devices or tuple(jax.local_devices())
    run = _on_devices(emission, scattering, cells, devices)
    sums, counts = jax.device_get(run(words, np.stack(np.split(photon, len(devices), axis=1))))
    total: np.ndarray = np.asarray(sums, np.float64).sum(axis=0)[:-1]
    return np.moveaxis(total.reshape(*cells.shape, -1), -1, 0), int(np.sum(counts, dtype=np.int64))
