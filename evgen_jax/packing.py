"""Ragged pulses of many events to padded arrays. Host side, numpy; everything per pulse is done for all events at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from evgen_jax.errors import DataError
from evgen_jax.event import Event, Pulses, Windows, bucket


@dataclass(frozen=True)
class PackedEvents:
    """Many events as flat arrays; event i owns the entries offsets[i] : offsets[i + 1] of each kind.

    Attributes:
      num_doms: D.
      charge, time, slot, first, quantile, mask: pulses sorted by event, DOM and time, as in `Pulses`.
      pulse_offsets: [E + 1].
      active, active_charge: DOMs with a pulse or a window, and their charge; active_offsets [E + 1].
      window, window_slot: excluded windows [.., 2]; window_offsets [E + 1].
      excluded: DOMs that take no part; excluded_offsets [E + 1].
      readout: [E, 2].
    """

    num_doms: int
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


def pack_events(
    event: np.ndarray,
    dom: np.ndarray,
    charge: np.ndarray,
    time: np.ndarray,
    *,
    num_events: int,
    num_doms: int,
    excluded_event: np.ndarray,
    excluded_dom: np.ndarray,
    window_event: np.ndarray,
    window_dom: np.ndarray,
    window: np.ndarray,
    readout: np.ndarray | None,
    window_buffer: float,
    discard_excluded: bool,
) -> PackedEvents:
    """Sorts the pulses and finds the active DOMs, first pulses and charge quantiles of all events.

    Args:
      event, dom, charge, time: [P], of all pulses.
      excluded_event, excluded_dom: [X], pairs that take no part.
      window_event, window_dom, window: [W], [W], [W, 2], excluded time windows, ns.
      readout: [E, 2], or None: first to last pulse widened by `window_buffer` on either side.
      discard_excluded: mask pulses at excluded DOMs.
    """
    edges = np.arange(num_events + 1)
    key = event.astype(np.int64) * num_doms + dom
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

    order = np.lexsort((window[:, 0], window_event * num_doms + window_dom))
    window_key = (window_event * num_doms + window_dom)[order]
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
    order_excluded = np.argsort(excluded_event, kind="stable")
    excluded_event, excluded_dom = excluded_event[order_excluded], excluded_dom[order_excluded]
    if discard_excluded:
        mask = ~np.isin(key, excluded_event * num_doms + excluded_dom)
    if readout is None:
        readout = np.zeros((num_events, 2))
        filled = np.diff(offsets) > 0
        if len(key):
            readout[filled, 0] = np.minimum.reduceat(time, offsets[:-1][filled])
            readout[filled, 1] = np.maximum.reduceat(time, offsets[:-1][filled])
        readout = readout + [-window_buffer, window_buffer]
    window_event = window_key // num_doms
    return PackedEvents(
        num_doms, charge, time, slot - active_offsets[pulse_event], first, quantile, mask, offsets,
        active_key % num_doms, active_charge, active_offsets,
        window[order], np.searchsorted(active_key, window_key) - active_offsets[window_event],
        np.searchsorted(window_event, edges), excluded_dom, np.searchsorted(excluded_event, edges), readout,
    )  # fmt: skip


def charge_quantiles(charge: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Charge of every DOM, and cumulative charge / charge of the DOM at every pulse [P], from the marks of first pulses."""
    starts, group = np.flatnonzero(first), np.cumsum(first) - 1
    total = np.add.reduceat(charge, starts) if len(starts) else charge
    running = np.cumsum(charge)
    return total, (running - (running - charge)[starts][group]) / np.maximum(total, 1e-30)[group]


def pad_events(chosen: Sequence[tuple[PackedEvents, int]], factor: int = 2, time_dtype: Any = np.float64) -> Event:
    """A batch of events with a leading axis B, padded to the largest of them.

    Args:
      chosen: (packed events, number) pairs, all of one detector.
      factor: of the padded lengths, see `bucket`.
      time_dtype: of times and windows.
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

    pulses = Pulses(
        charge=empty(size_p, np.float32), time=empty(size_p, time_dtype), slot=empty(size_p, np.int32),
        mask=empty(size_p, bool), first=empty(size_p, bool), quantile=empty(size_p, np.float32, 1.0),
    )  # fmt: skip
    windows = Windows(start=empty(size_w, time_dtype), stop=empty(size_w, time_dtype), slot=empty(size_w, np.int32),
                      mask=empty(size_w, bool))  # fmt: skip
    charge, usable, readout = empty(num_doms, np.float32), empty(num_doms, bool, True), empty(2, time_dtype)
    active = empty(size_m, np.int32, num_doms)
    for b, ((packed, i), (own, doms, excluded_windows, excluded)) in enumerate(zip(chosen, spans, strict=True)):
        n = own.stop - own.start
        for name in ("charge", "time", "slot", "mask", "first", "quantile"):
            getattr(pulses, name)[b, :n] = getattr(packed, name)[own]
        here = packed.active[doms]
        active[b, : len(here)] = here
        charge[b, here] = packed.active_charge[doms]
        usable[b, packed.excluded[excluded]] = False
        readout[b] = packed.readout[i]
        w = excluded_windows.stop - excluded_windows.start
        if w:
            windows.start[b, :w], windows.stop[b, :w] = packed.window[excluded_windows].T
            windows.slot[b, :w], windows.mask[b, :w] = packed.window_slot[excluded_windows], True
    return Event(charge=charge, usable=usable, pulses=pulses, active=active, readout=readout, windows=windows)


def build_event(
    charge: np.ndarray,
    time: np.ndarray,
    dom: np.ndarray,
    *,
    num_doms: int,
    readout: tuple[float, float] | None = None,
    usable: np.ndarray | None = None,
    windows: np.ndarray | None = None,
    window_dom: np.ndarray | None = None,
    window_buffer: float = 100.0,
    discard_excluded: bool = False,
    drop_in_windows: bool = False,
) -> Event:
    """One event from pulses with DOM indices; see `Event.from_pulses`.

    The measured charge of a DOM counts all its pulses, those at unusable DOMs included.

    Raises:
      DataError: a charge that is negative or not finite, a time that is not, or a window that stops before it starts.
    """
    good = np.isfinite(charge) & (charge >= 0)
    if not np.all(good):
        i = int(np.argmin(good))
        raise DataError(f"pulse {i}: charge {charge[i]} PE; charges must be finite and not negative.")
    if not np.all(np.isfinite(time)):
        raise DataError(f"pulse {int(np.argmin(np.isfinite(time)))}: time is not finite.")
    windows = np.zeros((0, 2)) if windows is None else windows
    window_dom = np.zeros(0, np.int64) if window_dom is None else window_dom
    if not np.all(windows[:, 1] >= windows[:, 0]):
        i = int(np.argmin(windows[:, 1] >= windows[:, 0]))
        raise DataError(f"time window {i} stops at {windows[i, 1]} ns before it starts at {windows[i, 0]} ns.")
    if drop_in_windows:
        keep = ~_inside(time, dom, windows, window_dom)
        charge, time, dom = charge[keep], time[keep], dom[keep]
    excluded = np.zeros(0, np.int64) if usable is None else np.flatnonzero(~np.asarray(usable, bool))
    packed = pack_events(
        np.zeros(len(dom), np.int64), dom, charge, time, num_events=1, num_doms=num_doms,
        excluded_event=np.zeros(len(excluded), np.int64), excluded_dom=excluded,
        window_event=np.zeros(len(window_dom), np.int64), window_dom=window_dom, window=windows,
        readout=None if readout is None else np.asarray(readout, np.float64)[None], window_buffer=window_buffer,
        discard_excluded=discard_excluded,
    )  # fmt: skip
    return jax.tree.map(lambda x: x[0], pad_events([(packed, 0)]))


def _inside(time: np.ndarray, dom: np.ndarray, windows: np.ndarray, window_dom: np.ndarray) -> np.ndarray:
    inside = np.zeros(len(time), bool)
    for (start, stop), d in zip(windows, window_dom, strict=True):
        inside |= (dom == d) & (time >= start) & (time <= stop)
    return inside
