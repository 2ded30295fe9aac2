"""Expected pulses of an event: weighted photons at sensors, merged and thinned out."""

import numpy as np
from jaxtyping import Float, Int

from evgen_jax.measurement.merging import merged_columns

WIDTH = 2.0
"""Time within which pulses are merged where light begins at a sensor, see `merged_columns`, ns."""


def expected_pulses(
    rng: np.random.Generator,
    sensor: Int[np.ndarray, " P"],
    time: Float[np.ndarray, " P"],
    charge: Float[np.ndarray, " P"],
    smallest: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merges pulses of one sensor that are close in time, and thins out those of little charge.

    Merged pulses have the sum of the charges and the mean of the times: within 2 ns of each other, or 3 % of the time since
    light began at their sensor. A pulse below the smallest charge stays with the probability of its charge over that
    one, as a pulse of that charge: expected sums are unchanged, and the noise is that of counts of the smallest charge.

    Args:
      rng: numpy's generator.
      sensor: of each pulse [P].
      time: of each pulse [P], ns.
      charge: of each pulse [P], PE.
      smallest: charge of a pulse, PE.

    Returns:
      Sensors, times and charges of fewer pulses.
    """
    order = np.lexsort((time, sensor))
    starts, mean, total = merged_columns(sensor[order], time[order], charge[order], WIDTH)
    kept = rng.uniform(size=len(starts)) * smallest < total
    return sensor[order][starts][kept], mean[kept], np.maximum(total, smallest)[kept]
