"""Arrival times of computed light: gamma distributions of the delay, the response of modules, late pulses."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.decoders import FAMILIES, Component, Decoder, Mixture, ValueRange
from evgen_jax.decoders.smeared_gamma import PIECES
from evgen_jax.measurement.point_light import PointLight
from evgen_jax.physics import constants

RESPONSE_WIDTH = 8.0
"""Width of each of three uniforms whose sum is the response of module and photomultiplier, a jitter of 4 ns; ns."""
LATE_FRACTION, LATE_DELAY = 0.035, 60.0
"""Share of late pulses, and their delay in ns."""
FASTEST = 1.25 / RESPONSE_WIDTH
"""Largest rate of a gamma distribution, per ns: the smeared density is exact up to here, and faster ones are hidden by
the response."""


def times_decoder(sources: int) -> Mixture:
    """Makes the decoder of the arrival times of light that several tables describe, in units of 1000 ns.

    Args:
      sources: number of tables.

    Returns:
      Mixture of three smeared gamma distributions of each table, and one of late pulses.
    """
    family = Decoder(FAMILIES["SmearedGammaFunctionDecoder"])
    return Mixture((Component("Gamma", family, 3 * sources + 1),), ValueRange())


def time_latents(
    lights: list[PointLight], log_share: list[Float[Array, " D"]], arrival: Float[Array, " D"]
) -> tuple[Float[Array, "D L"], Float[Array, "D K"]]:
    """Computes latent variables of `times_decoder`.

    Gamma distributions with rates near or above `FASTEST` become slower and keep their means. Late pulses have one
    gamma distribution with the mean and the variance of the delays of all.

    Args:
      lights: of each table at D sensors.
      log_share: logarithm of the share [D] of each in the expected charge.
      arrival: [D], time of light that flies straight on, after that of the source, ns.

    Returns:
      Latent variables [D, L] and offsets [D, K] in ns, of K components of four parameters each.
    """
    share = [jnp.exp(light.log_weight + log[:, None]) for light, log in zip(lights, log_share, strict=True)]
    weight = jnp.concatenate(share, axis=-1)
    free = jnp.concatenate([light.rate for light in lights], axis=-1)
    slower = (1 + (free / FASTEST) ** 4) ** -0.25
    rate = free * slower
    shape = jnp.concatenate([light.shape for light in lights], axis=-1) * slower
    delay = shape / rate
    mean = jnp.sum(weight * delay, axis=-1, keepdims=True)
    variance = jnp.sum(weight * (delay / rate + (delay - mean) ** 2), axis=-1, keepdims=True)
    shape = jnp.concatenate([shape, mean**2 / variance], axis=-1)
    rate = jnp.concatenate([rate, mean / variance], axis=-1)
    weight = jnp.concatenate([weight * (1 - LATE_FRACTION), jnp.full_like(mean, LATE_FRACTION)], axis=-1)
    width = jnp.full_like(shape, RESPONSE_WIDTH / constants.TIME_UNIT)
    latent = jnp.stack([shape, rate * constants.TIME_UNIT, width, weight], axis=-1)
    early = (arrival - RESPONSE_WIDTH * PIECES / 2)[:, None]
    offset = jnp.broadcast_to(early, weight.shape).at[:, -1].add(LATE_DELAY)
    return latent.reshape(len(arrival), -1), offset


def log_shares(log_charge: list[Float[Array, " D"]]) -> list[Float[Array, " D"]]:
    """Computes logarithms of shares in a sum.

    Args:
      log_charge: logarithms of the expected charges [D] of each table.

    Returns:
      Logarithms of their shares [D].
    """
    total = jax.nn.logsumexp(jnp.stack(log_charge), axis=0)
    return [log - total for log in log_charge]
