"""Ragged pulses of many events to padded arrays. Host side, numpy; everything per pulse is done for all events at once."""

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

SMALLEST_BUCKET = 64
"""Shortest padded length."""


def bucket(size: int, smallest: int = SMALLEST_BUCKET, factor: int = 2) -> int:
    """Smallest of smallest, smallest * factor, smallest * factor^2, ... that holds `size`: a padded length."""
    while smallest < size:
        smallest *= factor
    return smallest


@dataclass(frozen=True)
class PackedEvents:
    """Many events as flat arrays; event i owns the entries offsets[i] : offsets[i + 1] of each kind.

    Attributes:
      usable: [D], the detector's own.
      charge, time, slot, first, quantile, mask: pulses sorted by event, DOM and time, as in `Pulses`.
      pulse_offsets: [E + 1].
      active, active_charge: DOMs with a pulse or a window, and their charge; active_offsets [E + 1].
      window, window_slot: excluded windows [.., 2]; window_offsets [E + 1].
      excluded: further DOMs that take no part; excluded_offsets [E + 1].
      readout: [E, 2].
      dropped: pulses inside excluded windows, which were left out.
    """

    usable: np.ndarray
    charge: np.ndarray
    time: np.ndarray
    slot: np.ndarray
    first: np.ndarray
    quantile: np.ndarray
    mask: np.ndarray
    pulse_offsets: np.ndarray
    active: np.ndarray
    active_charge: np.ndarray
    active_offsets: np.ndarray
    window: np.ndarray
    window_slot: np.ndarray
    window_offsets: np.ndarray
    excluded: np.ndarray
    excluded_offsets: np.ndarray
    readout: np.ndarray
    dropped: int

    @property
    def num_doms(self) -> int:
        return len(self.usable)


def pack_events(
    measured: Measured,
    usable: np.ndarray,
    *,
    window_buffer: float = 100.0,
    discard_excluded: bool = False,
    drop_in_windows: bool = True,
) -> PackedEvents:
    """Treats and sorts what was measured: the one way from pulses to events, from files and from arrays alike.

    Excluded windows of a module that overlap are merged; pulses inside are left out. Then the pulses are sorted, and active
    DOMs, first pulses and charge quantiles found.

    Args:
      measured: without faults, see `measured.faults`.
      usable: [D], the detector's own; other modules take no part in any event.
      window_buffer: ns, of readout windows that are not given.
      discard_excluded: mask pulses at modules that take no part. Their charges never count; their arrival times do unless
        this is set, since the times of a saturated module are still right.
      drop_in_windows: False keeps pulses inside excluded windows; for comparisons with the reference program, which
        relies on the caller to remove them.
    """
    num_events, num_doms = measured.num_events, len(usable)
    measured = with_merged_windows(with_readout(measured, window_buffer), num_doms)
    dropped = 0
    if drop_in_windows:
        measured, dropped = without_pulses_in_windows(measured, num_doms)
    edges = np.arange(num_events + 1)
    charge, time = measured.charge, measured.time
    key = measured.event.astype(np.int64) * num_doms + measured.dom
    step = np.diff(key)
    # Files are written in this order; a stable sort keeps the order of pulses at one time.
    if np.any(step < 0) or np.any((step == 0) & (np.diff(time) < 0)):
        order = np.lexsort((time, key))
        key, charge, time = key[order], charge[order], time[order]
    first = np.ones(len(key), bool)
    first[1:] = key[1:] != key[:-1]
    group = np.cumsum(first) - 1
    hit = key[first]
    hit_charge, quantile = charge_quantiles(charge, first)

    window_key = measured.window_event * num_doms + measured.window_dom
    active_key, active_charge, slot = hit, hit_charge, group
    if len(window_key):
        active_key = np.union1d(hit, window_key)
        active_charge = np.zeros(len(active_key))
        place = np.searchsorted(active_key, hit)
        active_charge[place] = hit_charge
        slot = place[group]
    active_offsets = np.searchsorted(active_key, edges * num_doms)
    pulse_event = key // num_doms
    offsets = np.searchsorted(pulse_event, edges)

    mask = np.ones(len(key), bool)
    excluded_event, excluded_dom = measured.excluded_event, measured.excluded_dom
    order_excluded = np.argsort(excluded_event, kind="stable")
    excluded_event, excluded_dom = excluded_event[order_excluded], excluded_dom[order_excluded]
    if discard_excluded:
        mask = usable[key % num_doms] & ~np.isin(key, excluded_event.astype(np.int64) * num_doms + excluded_dom)
    assert measured.readout is not None
    return PackedEvents(
        usable, charge, time, slot - active_offsets[pulse_event], first, quantile, mask, offsets,
        active_key % num_doms, active_charge, active_offsets, measured.window,
        np.searchsorted(active_key, window_key) - active_offsets[measured.window_event],
        np.searchsorted(measured.window_event, edges), excluded_dom, np.searchsorted(excluded_event, edges),
        measured.readout, dropped,
    )  # fmt: skip


def charge_quantiles(charge: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Charge of every DOM, and cumulative charge / charge of the DOM at every pulse [P], from the marks of first pulses."""
    starts, group = np.flatnonzero(first), np.cumsum(first) - 1
    total = np.add.reduceat(charge, starts) if len(starts) else charge
    running = np.cumsum(charge)
    return total, (running - (running - charge)[starts][group]) / np.maximum(total, 1e-30)[group]


def padded_arrays(
    chosen: Sequence[tuple[PackedEvents, int]],
    factor: int = 2,
    time_dtype: Any = np.float64,
    anchors: np.ndarray | None = None,
) -> dict[str, Any]:
    """The arrays of a batch of events, with a leading axis B, padded to the largest of them.

    Args:
      chosen: (packed events, number) pairs, all of one detector.
      factor: of the padded lengths, see `bucket`.
      time_dtype: of times and windows.
      anchors: [B], ns, subtracted from all times of an event before they become `time_dtype`.

    Returns:
      The fields of an `Event` by name; those of its pulses and windows as dictionaries of their own.
    """
    count, num_doms = len(chosen), chosen[0][0].num_doms
    spans = [
        tuple(slice(*o[i : i + 2]) for o in (p.pulse_offsets, p.active_offsets, p.window_offsets, p.excluded_offsets))
        for p, i in chosen
    ]
    size_p, size_m, size_w = (max(s[k].stop - s[k].start for s in spans) for k in range(3))
    size_p, size_m = bucket(size_p, factor=factor), bucket(size_m, factor=factor)
    size_w = bucket(size_w, 16, factor) if size_w else 0

    def empty(size: int, dtype: Any, fill: Any = 0) -> Any:
        return np.full((count, size), fill, dtype)

    pulses = dict(
        charge=empty(size_p, np.float32), time=empty(size_p, time_dtype), slot=empty(size_p, np.int32),
        mask=empty(size_p, bool), first=empty(size_p, bool), quantile=empty(size_p, np.float32, 1.0),
    )  # fmt: skip
    windows = dict(start=empty(size_w, time_dtype), stop=empty(size_w, time_dtype), slot=empty(size_w, np.int32),
                      mask=empty(size_w, bool))  # fmt: skip
    charge, usable, readout = empty(num_doms, np.float32), empty(num_doms, bool, True), empty(2, time_dtype)
    anchors = np.zeros(count) if anchors is None else anchors
    active = empty(size_m, np.int32, num_doms)
    for b, ((packed, i), (own, doms, excluded_windows, excluded)) in enumerate(zip(chosen, spans, strict=True)):
        n = own.stop - own.start
        for name in ("charge", "slot", "mask", "first", "quantile"):
            pulses[name][b, :n] = getattr(packed, name)[own]
        pulses["time"][b, :n] = packed.time[own] - anchors[b]
        here = packed.active[doms]
        active[b, : len(here)] = here
        charge[b, here] = packed.active_charge[doms]
        usable[b] = packed.usable
        usable[b, packed.excluded[excluded]] = False
        readout[b] = packed.readout[i] - anchors[b]
        w = excluded_windows.stop - excluded_windows.start
        if w:
            windows["start"][b, :w], windows["stop"][b, :w] = packed.window[excluded_windows].T - anchors[b]
            windows["slot"][b, :w], windows["mask"][b, :w] = packed.window_slot[excluded_windows], True
    return {
        "charge": charge,
        "usable": usable,
        "pulses": pulses,
        "active": active,
        "readout": readout,
        "windows": windows,
    }
