"""Steps of photons in a homogeneous medium without absorption, in units of the effective scattering length."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from evgen_jax.physics.transport.emission import Emission, emitted
from evgen_jax.physics.transport.random_numbers import random_words, uniform
from evgen_jax.physics.transport.scattering import Scattering, scattering_cosine, turned

Vector = tuple[Array, Array, Array]
"""Components x, y, z, float32 [N] each: separate arrays, so that a compiler works on many photons at once."""


class Photons(NamedTuple):
    """N photons on their way.

    Attributes:
      position: of the last scattering, in effective scattering lengths, from the source; the source's axis is z.
      direction: of flight, unit vectors.
      path: length travelled since the emission [N], in effective scattering lengths.
    """

    position: Vector
    direction: Vector
    path: Array


class Points(NamedTuple):
    """One uniformly chosen point on a step of each of N photons; the sum of weights in a volume is its track length.

    Attributes:
      position: of the point, in effective scattering lengths.
      direction: of flight, unit vectors.
      path: length travelled up to the point [N], in effective scattering lengths.
      weight: length of the step [N], in effective scattering lengths.
    """

    position: Vector
    direction: Vector
    path: Array
    weight: Array


def _moved(position: Vector, direction: Vector, length: Array) -> Vector:
    x, y, z = (p + d * length for p, d in zip(position, direction, strict=True))
    return x, y, z


def start(emission: Emission, words: Array, photon: Array) -> Photons:
    """Emits photons at the origin.

    Args:
      emission: of the source.
      words: key [4] of `random_numbers.stream`.
      photon: numbers of the photons [N], uint32.

    Returns:
      Photons before their first step.
    """
    zero = jnp.zeros(photon.shape, jnp.float32)
    return Photons((zero, zero, zero), emitted(emission, words, photon), zero)


def advance(
    scattering: Scattering, words: Array, photon: Array, step: Array, photons: Photons
) -> tuple[Photons, Points]:
    """Moves photons to their next scattering and scatters them.

    Args:
      scattering: of the medium.
      words: key [4] of `random_numbers.stream`.
      photon: numbers of the photons [N], uint32.
      step: its number, from 1 on, uint32, scalar or [N].
      photons: N photons.

    Returns:
      The photons after the scattering, and a point on the step that they made.
    """
    drawn = random_words(words, photon, step)
    length = -scattering.length * jnp.log(uniform(drawn[0]))
    before = length * uniform(drawn[1])
    position, direction, path = photons
    points = Points(_moved(position, direction, before), direction, path + before, length)
    after = turned(direction, scattering_cosine(scattering, drawn[2]), drawn[3])
    return Photons(_moved(position, direction, length), after, path + length), points
