"""Scattering of photons: the angle, drawn from a mixture of simplified Liu, Henyey-Greenstein and molecular scattering."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt32

from evgen_jax.physics.transport.random_numbers import azimuth, uniform

MOLECULAR = 0.835
"""Anisotropy b of molecular scattering, 1 + b cos^2: Einstein-Smoluchowski scattering of pure water."""


@dataclass(frozen=True)
class Scattering:
    """Says how a medium changes the direction of a photon that scatters.

    Attributes:
      asymmetry: mean cosine g of the angle of scattering at particles, of simplified Liu and Henyey-Greenstein alike.
      liu: probability of simplified Liu, cos = 2 u^beta - 1 with beta = (1 - g) / (1 + g) and u uniform.
      molecular: probability of scattering at molecules, symmetric about 90 degrees: 1 + 0.835 cos^2.
      The rest is Henyey-Greenstein.
    """

    asymmetry: float
    liu: float
    molecular: float = 0.0

    @property
    def mean_cosine(self) -> float:
        """Returns the mean cosine of the angle of scattering."""
        return self.asymmetry * (1 - self.molecular)

    @property
    def length(self) -> float:
        """Returns the scattering length in units of the effective scattering length: 1 - `<cos>`."""
        return 1 - self.mean_cosine


SOUTH_POLE_ICE = Scattering(asymmetry=0.9, liu=0.45)
"""Ice at the South Pole: g and mixture of the model SPICE-Mie, arXiv:1301.5361."""
SEA_WATER = Scattering(asymmetry=0.924, liu=0.0, molecular=0.17)
"""Mediterranean deep-sea water: particles with Petzold's mean cosine, 17 % molecules (ANTARES, astro-ph/0412126)."""
KINDS = {"ice": SOUTH_POLE_ICE, "water": SEA_WATER}
"""Kinds of media of which there are light tables."""


def nearest_scattering(mean_cosine: float) -> str:
    """Finds the kind of medium that scatters most alike.

    Args:
      mean_cosine: of all scattering of a medium.

    Returns:
      Name of the kind with the nearest mean cosine, of `KINDS`.
    """
    return min(KINDS, key=lambda kind: abs(KINDS[kind].mean_cosine - mean_cosine))


def scattering_cosine(scattering: Scattering, word: UInt32[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """Draws the cosine of the angle between the directions before and after scattering.

    Args:
      scattering: of the medium.
      word: random bits, uint32, shape (...).

    Returns:
      Cosines, float32, shape (...).
    """
    g, liu, molecular = scattering.asymmetry, scattering.liu, scattering.molecular
    number = uniform(word)
    # One number chooses the kind of scattering and, stretched over the range of that kind, the angle.
    stretched = (number - (liu + molecular)) / max(1 - liu - molecular, 1e-9)
    ratio = (1 - g * g) / ((1 - g) + (2 * g) * stretched)
    cosine = ((1 + g * g) - ratio * ratio) / (2 * g)
    if liu > 0:
        power = jnp.log(jnp.clip(number / liu, 1e-9, 1)) * ((1 - g) / (1 + g))
        cosine = jnp.where(number < liu, 2 * jnp.exp(power) - 1, cosine)
    if molecular > 0:
        # Cardano's root of c + b c^3 / 3 = (2 u - 1) (1 + b / 3).
        half = ((number - liu) / molecular - 0.5) * ((3 + MOLECULAR) / MOLECULAR)
        # A compiler works on many exponentials at once, but not on many cube roots.
        root = jnp.exp(jnp.log(jnp.abs(half) + jnp.sqrt(half * half + 1 / MOLECULAR**3)) / 3)
        symmetric = jnp.sign(half) * (root - 1 / (MOLECULAR * root))
        cosine = jnp.where((number >= liu) & (number < liu + molecular), symmetric, cosine)
    return jnp.clip(cosine, -1, 1)


def turned(direction: tuple[Array, Array, Array], cosine: Array, word: Array) -> tuple[Array, Array, Array]:
    """Turns unit vectors by an angle, about a uniform azimuth.

    The vectors perpendicular to the direction are those of Duff et al., JCGT 6 (1), 2017, without a pole.

    Args:
      direction: components x, y, z of unit vectors, shape (...) each.
      cosine: of the angle, shape (...).
      word: random bits of the azimuth, uint32, shape (...).

    Returns:
      Components x, y, z of the new unit vectors, shape (...) each.
    """
    x, y, z = direction
    sine = jnp.sqrt(jnp.maximum((1 - cosine) * (1 + cosine), 0))
    first, second = azimuth(word)
    first, second = first * sine, second * sine
    sign = jnp.where(z < 0, np.float32(-1), np.float32(1))
    a = -1 / (sign + z)
    b = x * y * a
    x_new = cosine * x + first * (1 + sign * x * x * a) + second * b
    y_new = cosine * y + first * (sign * b) + second * (sign + y * y * a)
    z_new = cosine * z - first * (sign * x) - second * y
    # One Newton step to length 1: rounding would let the length drift over some hundred steps.
    norm = 1.5 - 0.5 * (x_new * x_new + y_new * y_new + z_new * z_new)
    return x_new * norm, y_new * norm, z_new * norm
