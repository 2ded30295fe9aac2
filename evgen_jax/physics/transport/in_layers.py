"""Photons of a source in plane layers with absorption: from their emission until little is left, and where they collide.

The estimator of the light at a place is the number of collisions there times the collision length: its expectation is the
track length. No photon is absorbed; it carries what is left of it, exp(-absorption on its path).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, UInt32

from evgen_jax.physics.transport.emission import Emission
from evgen_jax.physics.transport.layers import Layers, Level, depth_of, level_at, shift_at
from evgen_jax.physics.transport.random_numbers import random_words, uniform
from evgen_jax.physics.transport.scattering import scattering_cosine, turned
from evgen_jax.physics.transport.spheres import Spheres, cell_list
from evgen_jax.physics.transport.steps import Vector

SMALLEST_WEIGHT = 1e-4
"""What is left of a photon when it is given up."""
STEPS_BETWEEN = 8
"""Steps of all lanes between two looks at which photons are done and followed by new ones."""
SAME_LEVEL = 0.25
"""Change of depth, in layers, below which lengths are those of both ends, not differences of heights, which would cancel."""


class PointSource(NamedTuple):
    """A source of photons, and what is different from its medium.

    Attributes:
      position: [3], m, in the coordinates of the detector.
      axis: unit vector [3].
      scattering: scalar, by which scattering coefficients are multiplied.
      absorption: scalar, by which absorption coefficients are multiplied.
    """

    position: ArrayLike
    axis: ArrayLike
    scattering: ArrayLike = 1.0
    absorption: ArrayLike = 1.0


class Photons(NamedTuple):
    """N photons on their way.

    Attributes:
      x: [N], m.
      y: [N], m.
      level: heights and lengths [N] where they are.
      direction: of flight, unit vectors.
      path: length travelled since the emission [N], m.
      lost: optical depth of absorption on the path [N].
    """

    x: Array
    y: Array
    level: Level
    direction: Vector
    path: Array
    lost: Array


class Flight(NamedTuple):
    """State of N lanes, each of which follows one photon after the other, and collisions near modules.

    Attributes:
      photon: numbers of the lanes' photons [N], uint32; at least the number of photons for a lane that has none.
      following: number of the next photon that is emitted, uint32.
      step: number of each lane's next step [N], uint32.
      photons: N photons.
      record: collisions near modules [S * N, 8]: x, y, z, the photon's direction before it, its path, and what is left of it
        times the collision length, m.
      held: number of collisions in the S slots of each lane [N], int32.
      collisions: number of all collisions, uint32.
    """

    photon: Array
    following: Array
    step: Array
    photons: Photons
    record: Array
    held: Array
    collisions: Array


def _emitted(layers: Layers, emission: Emission, source: PointSource, words: Array, photon: Array) -> Photons:
    drawn = random_words(words, photon, jnp.uint32(0))
    one = jnp.ones(photon.shape, jnp.float32)
    x, y, z = (one * jnp.asarray(source.position, jnp.float32)[axis] for axis in range(3))
    u, v, w = (one * jnp.asarray(source.axis, jnp.float32)[axis] for axis in range(3))
    direction = turned((u, v, w), emission.cosine(drawn), drawn[2])
    height = jnp.asarray(source.position, jnp.float32)[2]
    if layers.tilt is not None:
        height = height - shift_at(layers.tilt, x[0], y[0])[0]
    return Photons(x, y, level_at(layers, one * depth_of(layers, height)), direction, 0 * one, 0 * one)


def advance(
    layers: Layers, source: PointSource, words: Array, photon: Array, step: Array, photons: Photons
) -> tuple[Photons, Array]:
    """Moves photons to their next collision, where most of them scatter.

    Args:
      layers: of the medium.
      source: says how coefficients differ from those of the medium.
      words: key [4] of `random_numbers.stream`.
      photon: numbers of the photons [N], uint32.
      step: its number, from 1 on, uint32, scalar or [N].
      photons: N photons.

    Returns:
      The photons after the collision, and the collision as `Flight.record` has it [N, 8].
    """
    drawn = random_words(words, photon, step)
    x, y, old, (u, v, w), path, lost = photons
    stretched, thinned = 1 / jnp.asarray(source.scattering, jnp.float32), jnp.asarray(source.absorption, jnp.float32)
    if layers.anisotropy is not None:
        strength, cosine, sine = layers.anisotropy
        longer = 1 + strength * ((u * u - v * v) * cosine + 2 * u * v * sine)
        # Longer steps, in which as many absorption lengths are longer: what is absorbed per layer stays.
        stretched, thinned = stretched * longer, thinned / longer
    # Layers that the step would cross straight up; what it crosses is less by the cosine to the layers' normal.
    layers_up = -jnp.log(uniform(drawn[0])) * (layers.per_layer * stretched)
    rise = w
    if layers.tilt is not None:
        _, slope = shift_at(layers.tilt, x, y)
        rise = w - slope * (u * layers.tilt.direction[0] + v * layers.tilt.direction[1])
    new = level_at(layers, old.depth + layers_up * rise)
    crossed = new.depth - old.depth
    near = jnp.abs(crossed) < SAME_LEVEL
    inverse = 1 / jnp.where(near, 1, crossed)
    length = layers_up * jnp.where(near, (old.thickness + new.thickness) / 2, (new.z - old.z) * inverse)
    absorbed = jnp.where(near, (old.absorption + new.absorption) / 2, (new.absorbed - old.absorbed) * inverse)
    x, y, path, lost = x + length * u, y + length * v, path + length, lost + layers_up * thinned * absorbed
    z = new.z if layers.tilt is None else new.z + shift_at(layers.tilt, x, y)[0]
    weight = new.thickness * (layers.per_layer * stretched) * jnp.exp(-lost)
    direction = turned((u, v, w), scattering_cosine(layers.scattering, drawn[2]), drawn[3])
    if layers.dilution > 1:
        scatters = uniform(drawn[1]) < 1 / layers.dilution
        direction = jax.tree.map(lambda after, before: jnp.where(scatters, after, before), direction, (u, v, w))
    record = jnp.stack([x, y, z, u, v, w, path, weight], axis=-1)
    return Photons(x, y, new, direction, path, lost), record


@partial(jax.jit, static_argnames=("emission", "lanes", "slots"))
def launch(
    layers: Layers, emission: Emission, source: PointSource, words: UInt32[Array, " 4"], lanes: int, slots: int
) -> Flight:
    """Emits the first photons.

    Args:
      layers: of the medium.
      emission: of the source.
      source: where it is.
      words: key [4] of `random_numbers.stream`.
      lanes: number of photons that fly at once.
      slots: collisions that each lane can hold.

    Returns:
      The state before the first step.
    """
    photon = jnp.arange(lanes, dtype=jnp.uint32)
    photons = _emitted(layers, emission, source, words, photon)
    record, held = jnp.zeros((slots * lanes, 8), jnp.float32), jnp.zeros(lanes, jnp.int32)
    first = jnp.ones(lanes, jnp.uint32)
    return Flight(photon, jnp.uint32(lanes), first, photons, record, held, jnp.uint32(0))


def _under_way(flight: Flight, number: Array) -> Array:
    return (flight.photon < number) & (flight.photons.lost < -np.log(SMALLEST_WEIGHT))


@partial(jax.jit, static_argnames="emission", donate_argnames="flight")
def fly(
    layers: Layers,
    spheres: Spheres,
    emission: Emission,
    source: PointSource,
    words: UInt32[Array, " 4"],
    number: UInt32[Array, ""],
    flight: Flight,
) -> tuple[Flight, Array]:
    """Follows photons until all are done, or a lane has no slot left for collisions.

    Args:
      layers: of the medium.
      spheres: around the modules.
      emission: of the source.
      source: where it is.
      words: key [4] of `random_numbers.stream`.
      number: of all photons, uint32; each is the same photon, however many lanes there are.
      flight: state of N lanes, whose slots are empty.

    Returns:
      The state after that, and whether photons are still under way.
    """
    lanes, slots = flight.photon.shape[0], flight.record.shape[0] // flight.photon.shape[0]
    lane = jnp.arange(lanes, dtype=jnp.int32)

    def goes_on(flight: Flight) -> Array:
        return jnp.any(_under_way(flight, number)) & (jnp.max(flight.held) <= slots - STEPS_BETWEEN)

    def move(flight: Flight) -> Flight:
        def once(_: int, flight: Flight) -> Flight:
            counted = _under_way(flight, number)
            photons, collision = advance(layers, source, words, flight.photon, flight.step, flight.photons)
            kept = counted & (cell_list(spheres, collision[:, 0], collision[:, 1], collision[:, 2]) > 0)
            slot = jnp.where(kept, flight.held * lanes + lane, slots * lanes)
            return flight._replace(
                step=flight.step + 1,
                photons=photons,
                record=flight.record.at[slot].set(collision, mode="drop"),
                held=flight.held + kept,
                collisions=flight.collisions + jnp.sum(counted, dtype=jnp.uint32),
            )

        flight = jax.lax.fori_loop(0, STEPS_BETWEEN, once, flight)
        done = (flight.photon < number) & ~_under_way(flight, number)
        rank = jnp.cumsum(done, dtype=jnp.uint32)
        photon = jnp.where(done, flight.following + rank - 1, flight.photon)
        fresh = _emitted(layers, emission, source, words, photon)
        return flight._replace(
            photon=photon,
            following=flight.following + rank[-1],
            step=jnp.where(done, 1, flight.step),
            photons=jax.tree.map(lambda a, b: jnp.where(done, a, b), fresh, flight.photons),
        )

    flight = jax.lax.while_loop(goes_on, move, flight)
    return flight, jnp.any(_under_way(flight, number))
