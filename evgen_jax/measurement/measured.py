"""Pulses and exclusions of many events before they are sorted and padded; files and arrays are treated alike."""

from dataclasses import dataclass, replace

import numpy as np

from evgen_jax.measurement.ragged import NO_ROWS, Rows

LARGEST = 1e30
"""Bound of charges, PE, and times, ns: what is larger has no place in float32, and in no detector."""

NO_WINDOWS = replace(NO_ROWS, values={"start": np.zeros(0), "stop": np.zeros(0)})
"""Rows of no excluded time window."""


@dataclass(frozen=True)
class Measured:
    """Holds pulses and exclusions of E events.

    Attributes:
      num_events: E.
      pulses: P rows with the columns charge (PE) and time (ns).
      excluded: X rows, modules that take no part in an event.
      windows: W rows, excluded time windows of modules, with the columns start and stop (ns).
      readout: [E, 2], start and stop of the readout, ns; None: first to last pulse, widened.
    """

    num_events: int
    pulses: Rows
    excluded: Rows = NO_ROWS
    windows: Rows = NO_WINDOWS
    readout: np.ndarray | None = None


def faults(measured: Measured) -> dict[int, str]:
    """Finds the events that cannot be used.

    Args:
      measured: pulses and exclusions of E events.

    Returns:
      Number of an event -> what is wrong with it: the first pulse, window or readout that cannot be.
    """
    found: dict[int, str] = {}
    pulses, windows = measured.pulses, measured.windows
    charge, time = pulses["charge"], pulses["time"]
    bad = ~((charge >= 0) & (charge < LARGEST) & (np.abs(time) < LARGEST))
    for i in np.flatnonzero(bad):
        found.setdefault(
            int(pulses.event[i]),
            f"has a pulse with charge {charge[i]} PE at {time[i]} ns; charges must be finite and not negative, times finite",
        )
    start, stop = windows["start"], windows["stop"]
    for i in np.flatnonzero(~_are_windows(start, stop)):
        found.setdefault(
            int(windows.event[i]),
            f"has an excluded time window from {start[i]} to {stop[i]} ns; windows must be finite and must not stop "
            "before they start",
        )
    if measured.readout is not None:
        start, stop = measured.readout.T
        for e in np.flatnonzero(~_are_windows(start, stop)):
            unknown = np.isnan(start[e]) and np.isnan(stop[e])
            found.setdefault(
                int(e),
                "has no readout window"
                if unknown
                else f"has a readout window from {start[e]} to {stop[e]} ns; it must be finite and must not stop before "
                "it starts",
            )
        inside = (time >= start[pulses.event]) & (time <= stop[pulses.event])
        lit, seen = (np.bincount(own, minlength=measured.num_events) for own in (pulses.event, pulses.event[inside]))
        outside = np.flatnonzero((lit > 0) & (seen == 0))
        first = _first_and_last(measured)[0] if len(outside) else ()
        for e in outside:
            found.setdefault(
                int(e),
                f"has no pulse within its readout window from {start[e]:g} to {stop[e]:g} ns; the first of its {lit[e]} is at "
                f"{first[e]:g} ns",
            )
    return found


def _are_windows(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    return (np.abs(start) < LARGEST) & (np.abs(stop) < LARGEST) & (start <= stop)


def without_events(measured: Measured, numbers: list[int]) -> Measured:
    """Takes pulses and windows out of some events, which stay as events without pulses.

    Args:
      measured: pulses and exclusions of E events.
      numbers: of the events that are emptied; their readout becomes 0 to 0 ns.

    Returns:
      Pulses and exclusions of E events.
    """
    if not numbers:
        return measured
    readout = measured.readout
    if readout is not None:
        readout = readout.copy()
        readout[numbers] = 0.0
    pulses, windows = (rows.select(~np.isin(rows.event, numbers)) for rows in (measured.pulses, measured.windows))
    return replace(measured, pulses=pulses, windows=windows, readout=readout)


def with_readout(measured: Measured, buffer: float) -> Measured:
    """Adds readout windows where none are given.

    Args:
      measured: pulses and exclusions of E events.
      buffer: ns; a window reaches from the first to the last pulse and so much further on either side, without a pulse
        from -buffer to buffer.

    Returns:
      Pulses and exclusions with readout windows [E, 2].
    """
    if measured.readout is not None:
        return measured
    readout = np.zeros((measured.num_events, 2))
    first, last = _first_and_last(measured)
    lit = first <= last
    readout[lit, 0], readout[lit, 1] = first[lit], last[lit]
    return replace(measured, readout=readout + [-buffer, buffer])


def _first_and_last(measured: Measured) -> tuple[np.ndarray, np.ndarray]:
    """Times [E] of the first and the last pulse, ns; inf and -inf of events without a pulse."""
    event, time = measured.pulses.event, measured.pulses["time"]
    first, last = np.full(measured.num_events, np.inf), np.full(measured.num_events, -np.inf)
    if len(time) and np.all(event[1:] >= event[:-1]):  # as files are written; the general way is slower
        starts = np.flatnonzero(np.concatenate([[True], event[1:] != event[:-1]]))
        own = event[starts]
        first[own] = np.minimum.reduceat(time, starts)
        last[own] = np.maximum.reduceat(time, starts)
    else:
        np.minimum.at(first, event, time)
        np.maximum.at(last, event, time)
    return first, last


def with_merged_windows(measured: Measured, num_doms: int) -> Measured:
    """Merges excluded windows of one module in one event that overlap or touch.

    Args:
      measured: pulses and exclusions of E events.
      num_doms: D, modules of the detector.

    Returns:
      Pulses and exclusions whose windows are sorted by event, module and start.
    """
    windows = measured.windows
    key = windows.key(num_doms)
    order = np.lexsort((windows["start"], key))
    key, start, stop = key[order], windows["start"][order], windows["stop"][order]
    if len(key) > 1 and np.any((key[1:] == key[:-1]) & (start[1:] <= stop[:-1])):
        kept: list[int] = []
        stop = stop.copy()
        for i in range(len(key)):
            if kept and key[i] == key[kept[-1]] and start[i] <= stop[kept[-1]]:
                stop[kept[-1]] = max(stop[kept[-1]], stop[i])
            else:
                kept.append(i)
        key, start, stop = key[kept], start[kept], stop[kept]
    return replace(measured, windows=Rows(key // num_doms, key % num_doms, {"start": start, "stop": stop}))


def without_pulses_in_windows(measured: Measured, num_doms: int) -> tuple[Measured, int]:
    """Leaves out pulses inside excluded windows, whose light the likelihood leaves out too.

    Args:
      measured: pulses and exclusions of E events, with merged windows.
      num_doms: D, modules of the detector.

    Returns:
      The remaining pulses with all exclusions, and the number of pulses that were left out.
    """
    pulses, windows = measured.pulses, measured.windows
    if len(windows) == 0 or len(pulses) == 0:
        return measured, 0
    window_key, key, time = windows.key(num_doms), pulses.key(num_doms), pulses["time"]
    near = np.flatnonzero(np.isin(key, window_key))
    # The last window of the pulse's module that starts at or before it: merged windows do not overlap.
    order = np.lexsort(
        (
            np.concatenate([np.zeros(len(window_key)), np.ones(len(near))]),  # a window before pulses at its start
            np.concatenate([windows["start"], time[near]]),
            np.concatenate([window_key, key[near]]),
        )
    )
    is_window = order < len(window_key)
    last = np.maximum.accumulate(np.where(is_window, order, -1))
    pulse, window = near[order[~is_window] - len(window_key)], last[~is_window]
    inside = np.zeros(len(key), bool)
    own = window >= 0
    pulse, window = pulse[own], window[own]
    inside[pulse] = (window_key[window] == key[pulse]) & (time[pulse] <= windows["stop"][window])
    return replace(measured, pulses=pulses.select(~inside)), int(inside.sum())
