"""Fewer pulses for the same light: pulses of one DOM that follow each other closely are merged."""

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket, changes, charge_quantiles
from evgen_jax.measurement.padding import repad

GROWTH = 0.03
"""Growth of the time over which pulses are merged, per time since light began: later light varies slower."""
BEFORE, SHARE = 10.0, 0.3
"""Light begins where more charge follows within the width than came in so many widths before, or in so large a share of the time
since light began where that is longer: after noise."""
RISE, LEAST = 3.0, 3.0
"""Light begins where the time over which pulses would be merged holds more than `RISE` times the charge, increased by `LEAST` PE, of the
same time before: light of another shower."""


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
      width: ns, > 0, largest distance of merged pulses where light begins: at the first pulse of a DOM, after noise that came
        before the light, where light of another shower arrives.
      growth: of that distance, as a share of the time since light began.

    Returns:
      Places [N] of the first of the pulses that were merged, means of their times weighted by charge, and sums of charge.
    """
    if len(slot) == 0:
        return np.zeros(0, np.int64), time, charge
    begins = light_begins(slot, time, charge, width, growth)
    delay = _since(begins, time)
    cell = np.floor(np.log1p(growth * delay / width) / growth)
    starts = np.flatnonzero(begins | changes(cell))
    weight = charge + np.finfo(np.float64).tiny ** 0.5  # a mean also of pulses without charge
    # Means of delays keep digits that means of times around 1e4 ns would lose.
    mean = np.add.reduceat(weight * delay, starts) / np.add.reduceat(weight, starts) + (time - delay)[starts]
    return starts, mean, np.add.reduceat(charge, starts)


def light_begins(
    slot: Int[np.ndarray, " P"],
    time: Float[np.ndarray, " P"],
    charge: Float[np.ndarray, " P"],
    width: float,
    growth: float,
) -> Bool[np.ndarray, " P"]:
    """Finds the pulses at which light of a DOM begins, also after noise or after light of another shower.

    Args:
      slot: number of each pulse's DOM [P], sorted.
      time: [P], ns, sorted within a DOM.
      charge: [P], PE.
      width: ns, > 0, see `merged_columns`.
      growth: see `merged_columns`.

    Returns:
      Whether light begins at a pulse [P]: at the first of a DOM, and where `BEFORE` and `SHARE` or `RISE` and `LEAST` say so.
    """
    begins = changes(slot)
    delay = _since(begins, time)
    # At most once within the width, or each of the many pulses at the edge of the brightest light would stay by itself.
    may_begin = changes(np.floor(delay / width))
    # One axis for all DOMs, on which those that follow each other are far apart.
    at = delay + (np.cumsum(begins) - 1) * (2 * delay.max() + 2 * BEFORE * width)
    total = np.concatenate([[0.0], np.cumsum(charge)])

    def after(time: float | np.ndarray) -> np.ndarray:
        return total[np.searchsorted(at, at + time, side="right")] - total[:-1]

    def before(time: float | np.ndarray) -> np.ndarray:
        return total[:-1] - total[np.searchsorted(at, at - time)]

    soon = after(width)
    while True:
        since = _since(begins, at)
        found = may_begin & ~begins & (soon > before(np.maximum(BEFORE * width, SHARE * since)))
        if not np.any(found):
            cell = width + growth * since
            rises = np.flatnonzero(may_begin & ~begins & (after(cell) > RISE * (before(cell) + LEAST)))
            if len(rises) == 0:
                return begins
            # What follows a pulse that begins light is to be seen with the times that it shortens.
            found[rises[np.unique(np.cumsum(begins)[rises], return_index=True)[1]]] = True
        begins |= found


def _since(begins: Bool[np.ndarray, " P"], time: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Times [P] since the last of those that begin something, the first of which does."""
    return time - time[begins][np.cumsum(begins) - 1]


def merge_pulses(event: Event, width: float, growth: float = GROWTH) -> Event:
    """Merges pulses of one DOM that follow each other closely: charges are added, times averaged by charge.

    Expected charges vary little within a few ns, since modules resolve no less: the extended log-likelihood
    sum_j c_j log(s(t_j)) changes in second order of the width over the resolution (some 4 ns).

    Args:
      event: one event, pulses sorted by DOM and time, as all events are.
      width: ns, largest distance of merged pulses where light begins (`merged_columns`); 0: nothing is merged.
      growth: of that distance, as a share of the time since light began.

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
    first = changes(slot[starts])
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
