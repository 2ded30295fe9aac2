"""Fewer pulses for the same light: pulses of one DOM that follow each other closely are merged."""

import jax
import numpy as np
from jaxtyping import Float, Int

from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket, charge_quantiles
from evgen_jax.measurement.padding import repad

GROWTH = 0.03
"""Growth of the time over which pulses are merged, per time since the first pulse: later light varies slower."""


def merged_columns(
    slot: Int[np.ndarray, " P"],
    time: Float[np.ndarray, " P"],
    charge: Float[np.ndarray, " P"],
    width: float,
    growth: float = GROWTH,
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Merges pulses, as columns, of one DOM that follow each other closely.

    Args:
      slot: number of each pulse's DOM [P], sorted.
      time: [P], ns, sorted within a DOM.
      charge: [P], PE.
      width: ns, > 0, largest distance of merged pulses right after the first pulse of a DOM.
      growth: of that distance, as a share of the time since the first pulse.

    Returns:
      Places [N] of the first of the pulses that were merged, means of their times weighted by charge, and sums of charge.
    """
    if len(slot) == 0:
        return np.zeros(0, np.int64), time, charge
    first = np.concatenate([[True], np.diff(slot) != 0])
    delay = time - time[first][np.cumsum(first) - 1]
    cell = np.floor(np.log1p(growth * delay / width) / growth)
    starts = np.flatnonzero(first | np.concatenate([[True], np.diff(cell) != 0]))
    weight = charge + np.finfo(np.float64).tiny ** 0.5  # a mean also of pulses without charge
    # Means of delays keep digits that means of times around 1e4 ns would lose.
    mean = np.add.reduceat(weight * delay, starts) / np.add.reduceat(weight, starts) + (time - delay)[starts]
    return starts, mean, np.add.reduceat(charge, starts)


def merge_pulses(event: Event, width: float, growth: float = GROWTH) -> Event:
    """Merges pulses of one DOM that follow each other closely: charges are added, times averaged by charge.

    Expected charges vary little within a few ns, since modules resolve no less: the extended log-likelihood
    sum_j c_j log(s(t_j)) changes in second order of the width over the resolution (some 4 ns).

    Args:
      event: one event, pulses sorted by DOM and time, as all events are.
      width: ns, largest distance of merged pulses right after the first pulse of a DOM; 0: nothing is merged.
      growth: of that distance, as a share of the time since the first pulse.

    Returns:
      The event with merged pulses alone; masked pulses are left out.
    """
    if not width > 0:
        return event
    pulses, good = event.pulses, np.asarray(event.pulses.mask)
    slot, time = np.asarray(pulses.slot)[good], np.asarray(pulses.time, np.float64)[good]
    charge = np.asarray(pulses.charge, np.float64)[good]
    if len(slot) == 0:
        return event
    starts, time, total = merged_columns(slot, time, charge, width, growth)
    first = np.concatenate([[True], np.diff(slot[starts]) != 0])
    _, quantile = charge_quantiles(total, first)
    merged = pulses.replace(
        charge=total,
        time=time,
        slot=slot[starts],
        mask=np.ones(len(starts), bool),
        first=first,
        quantile=quantile,
    )
    merged = jax.tree.map(lambda new, old: new.astype(old.dtype), merged, pulses)
    return repad(event.replace(pulses=merged), bucket(len(starts)), len(event.active), len(event.windows.start))
