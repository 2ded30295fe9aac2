"""Expected pulses of an event: weighted photons at sensors, their times as modules measure them, merged and thinned out."""

import numpy as np
from jaxtyping import Float, Int

from evgen_jax.decoders.smeared_gamma import PIECES
from evgen_jax.sources.analytic.point_source import LATE_DELAY, LATE_FRACTION, RESPONSE_WIDTH

SHORTEST, RELATIVE = 2.0, 0.05
"""Length of the times in which pulses of one sensor are merged: ns, and its growth with the time since the first of them."""
SMALLEST = 0.01
"""Smallest charge of an expected pulse, PE."""


def smeared_times(rng: np.random.Generator, time: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Draws the times at which modules measure photons: response of module and photomultiplier, and late pulses.

    Args:
      rng: numpy's generator.
      time: of the photons [P], ns.

    Returns:
      Times of the pulses [P], ns.
    """
    response = RESPONSE_WIDTH * (rng.uniform(size=(len(time), PIECES)).sum(axis=1) - PIECES / 2)
    return time + response + LATE_DELAY * (rng.uniform(size=len(time)) < LATE_FRACTION)


def expected_pulses(
    rng: np.random.Generator,
    sensor: Int[np.ndarray, " P"],
    time: Float[np.ndarray, " P"],
    charge: Float[np.ndarray, " P"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merges pulses of one sensor that are close in time, and thins out those of little charge.

    Merged pulses have the sum of the charges and the mean of the times: within 2 ns of each other, or 5 % of the time since
    the first pulse of their sensor. A pulse below 0.01 PE stays with the probability of its charge over 0.01 PE, as a pulse
    of 0.01 PE: expected sums are unchanged, and the noise is that of hundredths of photoelectrons.

    Args:
      rng: numpy's generator.
      sensor: of each pulse [P].
      time: of each pulse [P], ns.
      charge: of each pulse [P], PE.

    Returns:
      Sensors, times and charges of fewer pulses.
    """
    if not len(sensor):
        return sensor, time, charge
    order = np.lexsort((time, sensor))
    sensor, time, charge = sensor[order], time[order], charge[order]
    new = np.concatenate([[True], sensor[1:] != sensor[:-1]])
    since = time - time[new][np.cumsum(new) - 1]
    cell = np.floor(np.log1p(since * RELATIVE / SHORTEST) / RELATIVE)
    first = np.flatnonzero(new | np.concatenate([[True], cell[1:] != cell[:-1]]))
    merged = np.add.reduceat(charge, first)
    # Relative to the first of each, so that nothing is lost of times of a day.
    early = time[first]
    later = np.add.reduceat(charge * (time - np.repeat(early, np.diff(np.append(first, len(time))))), first)
    kept = rng.uniform(size=len(first)) * SMALLEST < merged
    mean = early + np.divide(later, merged, out=np.zeros_like(later), where=merged > 0)
    return sensor[first][kept], mean[kept], np.maximum(merged, SMALLEST)[kept]
