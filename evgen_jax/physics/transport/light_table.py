"""Light of a directed point source as a table that serves every medium of one kind: fluence, direction, delay.

In units of the effective scattering length lambda_e the light depends on r / lambda_e, on the angle theta between the
source's axis and the way out, and on the delay c_g (t - r / c_g) / lambda_e. Absorption is exact: light of delay d counts
exp(-(r + d) / lambda_a), which turns Gamma(a, b) into Gamma(a, b + lambda_e / lambda_a).
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real

from evgen_jax.physics.transport.surface import Grid, split_distance, surface_values

GAMMAS = 3
"""Number of gamma distributions that make up the distribution of the delay."""
SURFACES = 3 + 2 + 2 * GAMMAS
"""Surfaces of a table: log fluence, two of the direction, logits of weights, log shapes, log rates."""


class Light(NamedTuple):
    """Light of a source at places (...), per photon emitted.

    Attributes:
      log_fluence: logarithm of the photons through a unit cross section, times 4 pi r^2; shape (...).
      outward: mean of the photons' directions is `outward` u - `axial` a, with the unit vectors u of the way out and a of
        the source's axis, at the absorption that the table describes; shape (...).
      axial: see `outward`; the component towards larger theta is `axial` sin theta, along the way out it is `outward` -
        `axial` cos theta; shape (...).
      log_weight: logarithms of the weights of the gamma distributions, whose sum is 1; shape (..., 3).
      shape: a > 0 of the gamma distributions of the delay; shape (..., 3).
      rate: b > 0 of the gamma distributions, per effective scattering length; shape (..., 3).
    """

    log_fluence: Float[Array, "*shape"]
    outward: Float[Array, "*shape"]
    axial: Float[Array, "*shape"]
    log_weight: Float[Array, "*shape 3"]
    shape: Float[Array, "*shape 3"]
    rate: Float[Array, "*shape 3"]


@partial(jax.tree_util.register_dataclass, data_fields=["coefficients", "absorption", "decay"], meta_fields=["grid"])
@dataclass(frozen=True)
class LightTable:
    """Holds the surfaces of one kind of source in one kind of medium.

    Attributes:
      coefficients: of the B-splines [distances + 3, cosines + 3, 11], float32.
      grid: knots of the surfaces.
      absorption: lambda_e / lambda_a of the light that the surfaces describe; others follow exactly.
      decay: attenuation of r times the fluence beyond the last distance, for that absorption of the delay alone, per
        effective scattering length.
    """

    coefficients: Array
    grid: Grid
    absorption: Array | float
    decay: Array | float


def table_light(
    table: LightTable,
    distance: Float[Array, "*#shape"],
    cosine: Float[Array, "*#shape"],
    absorption: Real[ArrayLike, "*#shape"],
) -> Light:
    """Computes the light of a source at places: pure, twice differentiable in every argument, finite everywhere.

    Between the first distance of the table (0.03 lambda_e in ice) and the last one (12) it is what photons do there.
    Closer, 4 pi r^2 times the fluence stays that of the first distance (the emission as the cells of the table resolve
    it) and the delays shrink with r. Further, the fluence goes on as in diffusion, exp(-decay r) / r, and the shapes of
    the delays grow with r, as the delay of a way is the sum of those of its parts.

    Args:
      table: of the source and the kind of medium.
      distance: r / lambda_e >= 0, shape (...).
      cosine: of the angle between the source's axis and the way out, in [-1, 1], shape (...).
      absorption: lambda_e / lambda_a >= 0, broadcastable to (...). Checked from 0.7 to 1.5 times that of the table; far
        below, light counts that came later than the last delay of the photons (20 in ice), as the gamma distributions
        extrapolate it.

    Returns:
      The light, with absorption on the whole path.

    Example:
      table = load_table("shower_ice")
      light = table_light(table, distance / scattering, cosine, scattering / absorption)
      photons_per_m2 = photons * jnp.exp(light.log_fluence) / (4 * jnp.pi * distance**2)
      rate_per_ns = light.rate * 0.299792458 / medium.group_index / scattering
    """
    inside, closer, further = split_distance(table.grid, distance)
    # Surfaces first: loops over places are those that a processor does at once.
    values = jnp.moveaxis(surface_values(table.grid, table.coefficients, inside, cosine), -1, 0)
    logits = jnp.concatenate([values[3:5], jnp.zeros_like(values[:1])])
    shape, free = jnp.exp(values[5:8] + further[None]), jnp.exp(values[8:11] + closer[None])
    rate = free + (absorption * jnp.ones_like(distance))[None]
    left = logits + shape * jnp.log((free + table.absorption) / rate)
    log_fluence = values[0] + further - table.decay * jnp.expm1(further) * jnp.exp(inside)
    total = jax.nn.logsumexp(left, axis=0)
    log_fluence = log_fluence + total - jax.nn.logsumexp(logits, axis=0) - absorption * distance
    log_weight = left - total[None]
    log_weight, shape, rate = (jnp.moveaxis(value, 0, -1) for value in (log_weight, shape, rate))
    return Light(log_fluence, values[1] + values[2] * cosine, values[2], log_weight, shape, rate)
