"""Light of a source at modules, photon by photon through plane layers: the collisions of its photons in spheres."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from evgen_jax.physics.transport.collisions import gathered, in_spheres
from evgen_jax.physics.transport.emission import Emission
from evgen_jax.physics.transport.in_layers import PointSource, fly, launch
from evgen_jax.physics.transport.layers import Layers
from evgen_jax.physics.transport.random_numbers import stream
from evgen_jax.physics.transport.spheres import Spheres

ON_CPU, ON_ACCELERATOR = ((512, 8192), 128), ((8192, 1 << 18), 32)
"""Photons that fly at once where there are few and where there are many, and collisions near modules that each lane holds."""
SMALLEST_SIZE = 1 << 12
"""Smallest padded number of collisions."""


class Seen(NamedTuple):
    """Light of a source at modules, as weighted photons.

    Attributes:
      module: [N], places in the spheres.
      delay: ns between the emission and the arrival at the module [N].
      direction: of flight [N, 3], unit vectors.
      fluence: photons through a unit cross section per photon emitted that each stands for [N], 1 / m^2, float64.
      collisions: number of all collisions of the photons.
    """

    module: np.ndarray
    delay: np.ndarray
    direction: np.ndarray
    fluence: np.ndarray
    collisions: int


def propagate(
    layers: Layers,
    spheres: Spheres,
    emission: Emission,
    source: PointSource,
    velocity: float,
    photons: int,
    key: Key[Array, ""],
    lanes: int | None = None,
) -> Seen:
    """Follows photons of a source through layers until a weight of 1e-4 is left of each.

    Args:
      layers: of the medium.
      spheres: around the modules.
      emission: of the source.
      source: where it is.
      velocity: group velocity of light, m / ns.
      photons: number of photons; photon n of a key is the same in every run.
      key: of the random numbers.
      lanes: photons that fly at once; None: what suits the machine.

    Returns:
      What comes to the spheres; the sum of `fluence` over a module is the expected fluence, averaged over its sphere.
    """
    (few, many), slots = ON_CPU if jax.default_backend() == "cpu" else ON_ACCELERATOR
    lanes = lanes or (many if photons > many // 2 else few)
    words, number = stream(key), jnp.uint32(photons)
    source = PointSource(*(jnp.asarray(value, jnp.float32) for value in source))
    flight = launch(layers, emission, source, words, lanes, slots)
    parts: list[tuple[np.ndarray, ...]] = []
    collisions, under_way = 0, True
    while under_way:
        flight, more = fly(layers, spheres, emission, source, words, number, flight)
        module, found, count = in_spheres(spheres, source, flight.record, flight.held)
        size, known = SMALLEST_SIZE, int(count)
        while size < known:
            size *= 2
        part = gathered(spheres, source, jnp.float32(velocity), flight.record, module, found, size)
        parts.append(tuple(np.asarray(value)[:known] for value in part))
        collisions, under_way = collisions + int(flight.collisions), bool(more)
        flight = flight._replace(held=jnp.zeros_like(flight.held), collisions=jnp.uint32(0))
    module, delay, direction, weight = (np.concatenate(values) for values in zip(*parts, strict=True))
    distance = np.linalg.norm(np.asarray(spheres.centre, np.float64) - np.asarray(source.position, np.float64), axis=-1)
    radius = np.minimum(np.asarray(spheres.radius, np.float64), np.float64(spheres.by_distance) * distance)
    fluence = weight / (4 / 3 * np.pi * radius**3 * photons)[module]
    return Seen(module, delay, direction, fluence, collisions)
