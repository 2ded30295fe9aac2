"""Charges of KM3NeT's hits from their time over threshold.

A pulse of charge q, PE, rises as one half of a Gaussian of 7.24 ns and falls as the other half, from 1.2314 of these widths
on exponentially; it is over the threshold of 0.24 PE for a time that grows by 7 ns per PE where pulses are larger than some
1.4 PE, and all times saturate at 210 ns. Calibrated hits of km3net-testdata (MIT) have these charges to 2e-4: 0.3048 PE
at 10 ns, 1.1176 at 26, 4.6938 at 50, 27.958 at 150.
"""

from functools import cache

import numpy as np

THRESHOLD = 0.24
"""Smallest charge of a hit, PE."""
RISE = 7.24
"""Standard deviation of the pulse, ns."""
TAIL = 1.2314
"""Time after the maximum, in standard deviations, from which a pulse falls exponentially."""
SLOPE = 7.0
"""Growth of the time per charge of large pulses, ns / PE."""
SATURATION = 210.0
"""Largest time over threshold, ns."""
LARGEST = 100.0
"""Largest charge that a hit is given, PE."""


def charge_of(time_over_threshold: np.ndarray) -> np.ndarray:
    """Computes the charges of hits.

    Args:
      time_over_threshold: [P], ns.

    Returns:
      Charges [P], PE, from 0.24 to 100.
    """
    time = np.asarray(time_over_threshold, np.float64)
    return np.interp(np.clip(time, 0, SATURATION), *_table())


def time_of(charge: np.ndarray) -> np.ndarray:
    """Computes for how long pulses are over the threshold.

    Args:
      charge: [P], PE, at least 0.24.

    Returns:
      Times over threshold [P], ns.
    """
    log = np.log(np.maximum(charge, THRESHOLD) / THRESHOLD)
    rise = np.sqrt(2 * log)
    time = RISE * (rise + np.where(rise <= TAIL, rise, TAIL / 2 + log / TAIL))
    # The charge beyond which the time grows in proportion to it, without a kink.
    large = _charge_of_slope()
    time = np.where(charge > large, _time_before(large) + SLOPE * (charge - large), time)
    return time / np.hypot(1, time / SATURATION)


def _time_before(charge: float) -> float:
    """Computes the time over threshold of a pulse below the saturation and the linear part, ns."""
    log = float(np.log(charge / THRESHOLD))
    return RISE * (np.sqrt(2 * log) + TAIL / 2 + log / TAIL)


@cache
def _charge_of_slope() -> float:
    """The charge at which the time grows by `SLOPE` per charge, PE."""
    charges = np.linspace(1, 3, 20_001)
    log = np.log(charges / THRESHOLD)
    growth = RISE / charges * (1 / np.sqrt(2 * log) + 1 / TAIL)
    return float(charges[np.argmax(growth <= SLOPE)])


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Times over threshold and their charges, dense enough that straight lines between them are exact to 1e-4."""
    charges = np.concatenate(
        [THRESHOLD * (1 + np.linspace(0, 0.3, 400) ** 2), np.geomspace(THRESHOLD * 1.091, LARGEST, 3000)]
    )
    return time_of(charges), charges
