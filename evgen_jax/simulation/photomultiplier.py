"""Times at which modules measure photoelectrons: transit times of the photomultiplier, and late pulses.

The values are those of IceCube's simulation of its photomultipliers (arXiv:1002.2442): transit times scatter by a Gumbel
distribution, whose flank is steep towards early times, and late pulses come from electrons that scatter back from the first dynode.
"""

import numpy as np
from jaxtyping import Float

JITTER = 0.15304, 1.9184
"""Location and scale of the Gumbel distribution of transit times, ns: a mean of 1.26 ns and a standard deviation of 2.46 ns."""
LATE_FRACTION = 0.035
"""Share of late pulses."""
LATE = np.array(
    [[0.0791, 37.0, -3.0], [0.4839, 52.6, -9.0], [0.3235, 66.0, 3.47], [0.0879, 107.0, 20.0], [0.0256, 141.0, 2.75]]
)
"""Share, location and scale (ns) of the Gumbel distributions of the delay of late pulses; those of negative scale are mirrored."""


def measured_times(rng: np.random.Generator, time: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Draws the times at which modules measure photons.

    Args:
      rng: numpy's generator.
      time: of the photons [P], ns.

    Returns:
      Times of the pulses [P], ns.
    """
    measured = time + rng.gumbel(*JITTER, size=len(time))
    late = np.flatnonzero(rng.uniform(size=len(time)) < LATE_FRACTION)
    _, location, scale = LATE[rng.choice(len(LATE), size=len(late), p=LATE[:, 0] / LATE[:, 0].sum())].T
    measured[late] += location + scale * rng.gumbel(size=len(late))
    return measured
