"""Emission of photons: directions of the light of a shower and of a bare muon about their axis."""

from dataclasses import dataclass
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import gammainc, gammaincinv

from evgen_jax.physics.transport.random_numbers import Words, azimuth, random_words, uniform

ICE_PHASE_INDEX = 1.3195
"""Phase refractive index of South Pole ice at 400 nm."""
WATER_PHASE_INDEX = 1.35
"""Phase refractive index of Mediterranean deep-sea water at 460 nm."""
SHOWER_FALL, SHOWER_POWER = 5.941, 0.2785
"""k and p of the light of a shower per cosine c of the angle to its axis: exp(-k |c - c0|^p), c0 the Cherenkov angle's.

A fit to Cherenkov cones about particles at angles with 1 - cos = x of the density x^(a - 1) exp(-b x^a), a = 0.39, b =
2.61 (PPC); it holds to 2.5 % (rms) in cells of the cosine.
"""
INTERVALS = 8192
"""Intervals of equal probability in which the inverse of a cumulative distribution is linear."""


@dataclass(frozen=True)
class Cone:
    """Light of a bare muon: a cone at the Cherenkov angle about its axis.

    Attributes:
      phase_index: refractive index of the medium; the cosine of the Cherenkov angle is its inverse.
    """

    phase_index: float = ICE_PHASE_INDEX

    def cosine(self, words: Words) -> Array:
        """Draws the cosine of the angle between photon and axis.

        Args:
          words: random words [N].

        Returns:
          Cosines [N], float32.
        """
        return jnp.full(words[0].shape, 1 / self.phase_index, jnp.float32)


@lru_cache(maxsize=8)
def _shower_quantiles(centre: float) -> np.ndarray:
    """Computes the ends [INTERVALS + 1] of intervals of equal probability of a shower's cosine.

    With v = k |c - c0|^p each side of the peak is a gamma distribution of v, cut at the poles.
    """
    shape = 1 / SHOWER_POWER
    below, above = gammainc(shape, SHOWER_FALL * np.array([centre + 1, 1 - centre]) ** SHOWER_POWER)
    place = np.linspace(-below, above, INTERVALS + 1)
    ends = centre + np.sign(place) * (gammaincinv(shape, np.abs(place)) / SHOWER_FALL) ** shape
    return np.clip(ends, -1, 1)


@dataclass(frozen=True)
class Shower:
    """Light of a shower: its particles fly about its axis, and their Cherenkov cones overlap.

    Attributes:
      phase_index: refractive index of the medium; the cosine of the Cherenkov angle is its inverse.
    """

    phase_index: float = ICE_PHASE_INDEX

    def cosine(self, words: Words) -> Array:
        """Draws the cosine of the angle between photon and axis.

        Args:
          words: random words [N].

        Returns:
          Cosines [N], float32.
        """
        ends = jnp.asarray(_shower_quantiles(1 / self.phase_index), jnp.float32)
        interval = (words[0] >> np.uint32(32 - INTERVALS.bit_length() + 1)).astype(jnp.int32)
        part = uniform(words[1])
        return ends[interval] * (1 - part) + ends[interval + 1] * part


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
