"""Emission of photons: directions of the light of a shower and of a bare muon about their axis."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.physics import constants
from evgen_jax.physics.transport.random_numbers import Words, azimuth, random_words, uniform

WATER_PHASE_INDEX = 1.35
"""Phase refractive index of Mediterranean deep-sea water at 460 nm."""
SHOWER_POWER, SHOWER_RATE = 0.39, 2.61
"""a and b of the angle of shower particles: x = 1 - cos has the density x^(a - 1) exp(-b x^a) in (0, 2)."""


@dataclass(frozen=True)
class Cone:
    """Light of a bare muon: a cone at the Cherenkov angle about its axis.

    Attributes:
      phase_index: refractive index of the medium; the cosine of the Cherenkov angle is its inverse.
    """

    phase_index: float = constants.PHASE_INDEX

    def cosine(self, words: Words) -> Array:
        """Draws the cosine of the angle between photon and axis.

        Args:
          words: random words [N].

        Returns:
          Cosines [N], float32.
        """
        return jnp.full(words[0].shape, 1 / self.phase_index, jnp.float32)


@dataclass(frozen=True)
class Shower:
    """Light of a shower: Cherenkov cones about its particles, whose angles to the axis are spread.

    Attributes:
      phase_index: refractive index of the medium; the cosine of the Cherenkov angle is its inverse.
    """

    phase_index: float = constants.PHASE_INDEX

    def cosine(self, words: Words) -> Array:
        """Draws the cosine of the angle between photon and axis.

        Args:
          words: random words [N].

        Returns:
          Cosines [N], float32.
        """
        whole = float(-np.expm1(-SHOWER_RATE * 2**SHOWER_POWER))
        power = -jnp.log1p(-whole * uniform(words[0])) / SHOWER_RATE
        x = jnp.exp(jnp.log(power) * (1 / SHOWER_POWER))  # the inverse of the cumulative distribution
        first, _ = azimuth(words[1])
        cone, sine = 1 / self.phase_index, float(np.sqrt(1 - 1 / self.phase_index**2))
        return jnp.clip((1 - x) * cone + jnp.sqrt(jnp.maximum(x * (2 - x), 0)) * sine * first, -1, 1)


Emission = Cone | Shower
"""What emits photons."""


def emitted(emission: Emission, words: Array, photon: Array) -> tuple[Array, Array, Array]:
    """Draws directions of new photons; the axis of the source is z.

    Args:
      emission: of the source.
      words: key [4] of `random_numbers.stream`.
      photon: numbers of the photons [N], uint32.

    Returns:
      Components x, y, z of unit vectors [N], float32.
    """
    drawn = random_words(words, photon, jnp.uint32(0))
    cosine = emission.cosine(drawn)
    sine = jnp.sqrt((1 - cosine) * (1 + cosine))
    first, second = azimuth(drawn[2])
    return sine * first, sine * second, cosine
