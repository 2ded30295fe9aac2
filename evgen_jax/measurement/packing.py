"""Packing of ragged pulses of many events into padded arrays, on the host with numpy, for all events at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evgen_jax.measurement.measured import (
    Measured,
    with_merged_windows,
    with_readout,
    without_pulses_in_windows,
)
from evgen_jax.measurement.ragged import Ragged, Span

SMALLEST_BUCKET = 64
"""Shortest padded length."""
MANY_PULSES = 4096
"""Number of pulses beyond which padded lengths double: there computing costs more than another program."""
LEAST_OF_BATCH = 1024
"""Least padded number of pulses, and of active DOMs unless the detector has fewer, of an event in a batch of few shapes."""
MANY_OF_BATCH = 1 << 17
"""Padded pulses of a whole batch beyond which lengths double."""


def bucket(size: int, smallest: int = SMALLEST_BUCKET, factor: int = 2) -> int:
    """Finds the padded length for a size: the least of smallest, smallest * factor, smallest * factor^2, ... >= size.

    Args:
      size: number of entries.
      smallest: shortest padded length.
      factor: ratio of successive lengths, a whole number >= 2.

    Returns:
      The padded length.
    """
    while smallest < size:
        smallest *= factor
    return smallest


def pulse_bucket(size: int, factor: int, many: int = MANY_PULSES) -> int:
    """Finds the padded number of pulses: that of `bucket`, but lengths double beyond `many`.

    Args:
      size: number of pulses.
      factor: ratio of successive padded lengths up to `many`.
      many: one of these lengths.

    Returns:
      The padded length.
    """
    return bucket(size, factor=factor) if size <= many else bucket(size, smallest=many)


def batch_lengths(pulses: int, active: int, windows: int, events: int, num_doms: int) -> tuple[int, int, int]:
    """Finds the padded lengths of a batch such that a training compiles for few shapes.

    A program takes as long to compile as thousands of steps of a small network, and every pair of lengths is one program:
    lengths grow in steps of four, those of active DOMs from 1024 and no further than the detector, those of pulses from
    1024. Only where the batch holds very many pulses does computing cost more, and their lengths double.

    Args:
      pulses: most pulses of an event.
      active: most active DOMs of an event.
      windows: most excluded windows of an event.
      events: number of events in the batch.
      num_doms: D, modules of the detector.

    Returns:
      Padded numbers of pulses, active DOMs and windows.
    """
    many = max(bucket(MANY_OF_BATCH // events + 1, factor=4) // 4, LEAST_OF_BATCH)
    return (
        pulse_bucket(max(pulses, LEAST_OF_BATCH), 4, many),
        min(bucket(max(active, LEAST_OF_BATCH), factor=4), num_doms),
        bucket(windows, 16, 4) if windows else 0,
    )


@dataclass(frozen=True)
class PackedEvents:
    """Holds E events, sorted and ready to be padded.

    Attributes:
      usable: [D], False for modules of the detector that take no part in any event.
      pulses: sorted by event, DOM and time, with the columns charge (PE), time (ns), slot, first, quantile and mask of
        `event.Pulses`.
      active: DOMs with a pulse or a window, with the columns dom and charge (PE).
      windows: excluded time windows, with the columns start and stop (ns) and slot, place among the active DOMs.
      excluded: further modules that take no part, with the column dom.
      readout: [E, 2], start and stop, ns.
      dropped: number of pulses inside excluded windows, which were left out.
    """

    usable: np.ndarray
    pulses: Ragged
    active: Ragged
    windows: Ragged
    excluded: Ragged
    readout: np.ndarray
    dropped: int

    @property
    def num_doms(self) -> int:
        """Returns the number D of modules of the detector."""
        return len(self.usable)


def pack_events(
    measured: Measured,
    usable: np.ndarray,
    *,
    window_buffer: float = 100.0,
    discard_excluded: bool = False,
    drop_in_windows: bool = True,
) -> PackedEvents:
    """Sorts pulses and applies exclusions: the one way from pulses to events, from files and from arrays alike.

    Excluded windows of a module that overlap are merged; pulses inside are left out. Then the pulses are sorted, and
    active DOMs, first pulses and charge quantiles are found.

    Args:
      measured: pulses and exclusions of E events, none of them with a fault (`measured.faults`).
      usable: [D], False for modules of the detector that take no part in any event.
      window_buffer: ns, by which readout windows that are not given exceed the pulses.
      discard_excluded: mask pulses at modules that take no part. Their charges never count; their arrival times do
        unless this is set, since the times of a saturated module are still right.
      drop_in_windows: False keeps pulses inside excluded windows; for comparisons with the reference program, which
        relies on the caller to remove them.

    Returns:
      E events.
    """
    num_events, num_doms = measured.num_events, len(usable)
    measured = with_merged_windows(with_readout(measured, window_buffer), num_doms)
    dropped = 0
    if drop_in_windows:
        measured, dropped = without_pulses_in_windows(measured, num_doms)
    edges, rows, windows = np.arange(num_events + 1), measured.pulses, measured.windows
    key = rows.key(num_doms)
    step = np.diff(key)
    # Files are written in this order; a stable sort keeps the order of pulses at one time.
    if np.any(step < 0) or np.any((step == 0) & (np.diff(rows["time"]) < 0)):
        order = np.lexsort((rows["time"], key))
        rows, key = rows.select(order), key[order]
    first = changes(key)
    slot = np.cumsum(first) - 1
    hit = key[first]
    hit_charge, quantile = charge_quantiles(rows["charge"], first)

    window_key = windows.key(num_doms)
    active_key, active_charge = hit, hit_charge
    if len(window_key):
        active_key = np.union1d(hit, window_key)
        active_charge = np.zeros(len(active_key))
        place = np.searchsorted(active_key, hit)
        active_charge[place] = hit_charge
        slot = place[slot]
    active = Ragged(
        {"dom": active_key % num_doms, "charge": active_charge}, np.searchsorted(active_key, edges * num_doms)
    )
    excluded = measured.excluded.select(np.argsort(measured.excluded.event, kind="stable"))
    mask = np.ones(len(key), bool)
    if discard_excluded:
        mask = usable[key % num_doms] & ~np.isin(key, excluded.key(num_doms))
    pulse_event = key // num_doms
    pulses = {
        "charge": rows["charge"],
        "time": rows["time"],
        "slot": slot - active.offsets[pulse_event],
        "first": first,
        "quantile": quantile,
        "mask": mask,
    }
    window_slot = np.searchsorted(active_key, window_key) - active.offsets[windows.event]
    assert measured.readout is not None
    return PackedEvents(
        usable,
        Ragged(pulses, np.searchsorted(pulse_event, edges)),
        active,
        Ragged({**windows.values, "slot": window_slot}, np.searchsorted(windows.event, edges)),
        Ragged({"dom": excluded.dom}, np.searchsorted(excluded.event, edges)),
        measured.readout,
        dropped,
    )


def changes(values: np.ndarray) -> np.ndarray:
    """Tells where each run of equal values begins.

    Args:
      values: [N].

    Returns:
      [N], True at the first value and at those that differ from the one before them.
    """
    begins = np.ones(len(values), bool)
    begins[1:] = values[1:] != values[:-1]
    return begins


def charge_quantiles(charge: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the charge of every DOM and the charge quantile of every pulse.

    Args:
      charge: [P], of pulses sorted by DOM and time, PE.
      first: [P], True for the first pulse of a DOM.

    Returns:
      Charges of the DOMs [M], PE, and cumulative charge / charge of the DOM at every pulse [P].
    """
    starts, group = np.flatnonzero(first), np.cumsum(first) - 1
    total = np.add.reduceat(charge, starts) if len(starts) else charge
    running = np.cumsum(charge)
    return total, (running - (running - charge)[starts][group]) / np.maximum(total, 1e-30)[group]


def padded_arrays(
    chosen: Sequence[tuple[PackedEvents, int]],
    few_shapes: bool = False,
    time_dtype: Any = np.float64,
    anchors: np.ndarray | None = None,
) -> dict[str, Any]:
    """Makes the arrays of a batch of events, with a leading axis B, padded to the largest of them.

    Args:
      chosen: (packed events, number) pairs, all of one detector.
      few_shapes: whether lengths are those of `batch_lengths`; else they are the least of 64, 128, 256, ...
      time_dtype: of times and windows.
      anchors: [B], ns, subtracted from all times of an event before they become `time_dtype`; None: 0.

    Returns:
      The fields of an `Event` by name; the fields of its pulses and of its windows are dictionaries in it.
    """
    count, num_doms = len(chosen), chosen[0][0].num_doms
    pulses, active, windows, excluded = (
        [getattr(packed, name).span(i) for packed, i in chosen] for name in ("pulses", "active", "windows", "excluded")
    )
    if few_shapes:
        size_p, size_m, size_w = batch_lengths(_most(pulses), _most(active), _most(windows), count, num_doms)
    else:
        size_p, size_m = bucket(_most(pulses)), bucket(_most(active))
        size_w = bucket(_most(windows), 16) if _most(windows) else 0
    rows = np.arange(count) * num_doms  # places of the events in arrays of all modules of all events
    lit, dark = np.concatenate(_column(active, "dom")), np.concatenate(_column(excluded, "dom"))
    charge = np.zeros(count * num_doms, np.float32)
    charge[np.repeat(rows, _sizes(active)) + lit] = np.concatenate(_column(active, "charge"))
    usable = np.concatenate([packed.usable for packed, _ in chosen])
    usable[np.repeat(rows, _sizes(excluded)) + dark] = False
    readout = np.stack([packed.readout[i] for packed, i in chosen])
    if anchors is not None:
        readout = readout - anchors[:, None]

    def padded(spans: list[Span], size: int, name: str, dtype: Any, fill: Any = 0) -> np.ndarray:
        # Slices of one long array: slices of its rows would take a fifth longer.
        out = np.full(count * size, fill, dtype) if fill else np.zeros(count * size, dtype)
        for b, (table, start, stop) in enumerate(spans):
            out[b * size : b * size + stop - start] = table.values[name][start:stop]
        return out.reshape(count, size)

    def times(spans: list[Span], size: int, name: str) -> np.ndarray:
        if anchors is None:
            return padded(spans, size, name, time_dtype)
        out = np.zeros((count, size), time_dtype)
        for row, (table, start, stop), anchor in zip(out, spans, anchors, strict=True):
            row[: stop - start] = table.values[name][start:stop] - anchor
        return out

    return {
        "charge": charge.reshape(count, num_doms),
        "usable": usable.reshape(count, num_doms),
        "pulses": {
            "charge": padded(pulses, size_p, "charge", np.float32),
            "time": times(pulses, size_p, "time"),
            "slot": padded(pulses, size_p, "slot", np.int32),
            "mask": padded(pulses, size_p, "mask", bool),
            "first": padded(pulses, size_p, "first", bool),
            "quantile": padded(pulses, size_p, "quantile", np.float32, 1.0),
        },
        "active": padded(active, size_m, "dom", np.int32, num_doms),
        "readout": readout.astype(time_dtype),
        "windows": {
            "start": times(windows, size_w, "start"),
            "stop": times(windows, size_w, "stop"),
            "slot": padded(windows, size_w, "slot", np.int32),
            "mask": np.arange(size_w) < np.array(_sizes(windows))[:, None],
        },
    }


def _sizes(spans: Sequence[Span]) -> list[int]:
    return [stop - start for _, start, stop in spans]


def _most(spans: Sequence[Span]) -> int:
    return max(_sizes(spans))


def _column(spans: Sequence[Span], name: str) -> list[np.ndarray]:
    """Returns the entries of one column, event by event; no copies."""
    return [table.values[name][start:stop] for table, start, stop in spans]
