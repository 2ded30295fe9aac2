"""What was measured, of many events, before it is sorted and padded: checked and treated alike wherever it comes from."""

from dataclasses import dataclass, replace

import numpy as np

LARGEST = 1e30
"""PE and ns; what is larger has no place in float32, and in no detector."""


@dataclass(frozen=True)
class Measured:
    """Pulses and exclusions of E events as flat arrays; modules are places in the detector's tables.

    Attributes:
      num_events: E.
      event, dom, charge, time: [P], pulses: PE and ns.
      excluded_event, excluded_dom: [X], modules that take no part in an event.
      window_event, window_dom, window: [W], [W], [W, 2], excluded time windows, start and stop in ns.
      readout: [E, 2], start and stop of the readout, ns; None: first to last pulse, widened.
    """

    num_events: int
    event: np.ndarray
    dom: np.ndarray
    charge: np.ndarray
    time: np.ndarray
    excluded_event: np.ndarray
    excluded_dom: np.ndarray
    window_event: np.ndarray
    window_dom: np.ndarray
    window: np.ndarray
    readout: np.ndarray | None = None


def faults(measured: Measured) -> dict[int, str]:
    """What is wrong with an event, by its number: the first pulse, window or readout that cannot be."""
    found: dict[int, str] = {}
    bad = ~((measured.charge >= 0) & (measured.charge < LARGEST) & (np.abs(measured.time) < LARGEST))
    for i in np.flatnonzero(bad):
        found.setdefault(
            int(measured.event[i]),
            f"has a pulse with charge {measured.charge[i]} PE at {measured.time[i]} ns; charges must be finite and not "
            "negative, times finite",
        )
    start, stop = measured.window.T
    for i in np.flatnonzero(~_are_windows(start, stop)):
        found.setdefault(
            int(measured.window_event[i]),
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
    return found


def _are_windows(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    return (np.abs(start) < LARGEST) & (np.abs(stop) < LARGEST) & (start <= stop)


def without_events(measured: Measured, numbers: list[int]) -> Measured:
    """The same with everything taken out of some events, which stay as events without pulses."""
    if not numbers:
        return measured
    pulses = ~np.isin(measured.event, numbers)
    windows = ~np.isin(measured.window_event, numbers)
    readout = measured.readout
    if readout is not None:
        readout = readout.copy()
        readout[numbers] = 0.0
    return replace(
        _with_pulses(measured, pulses),
        window_event=measured.window_event[windows],
        window_dom=measured.window_dom[windows],
        window=measured.window[windows],
        readout=readout,
    )


def with_readout(measured: Measured, buffer: float) -> Measured:
    """Readout windows where none are given: first to last pulse, `buffer` ns more on either side; [-buffer, buffer] without
    a pulse."""
    if measured.readout is not None:
        return measured
    readout = np.zeros((measured.num_events, 2))
    if len(measured.time):
        first, last = np.full(measured.num_events, np.inf), np.full(measured.num_events, -np.inf)
        if np.all(measured.event[1:] >= measured.event[:-1]):  # as files are written; the general way is slower
            starts = np.flatnonzero(np.concatenate([[True], measured.event[1:] != measured.event[:-1]]))
            own = measured.event[starts]
            first[own] = np.minimum.reduceat(measured.time, starts)
            last[own] = np.maximum.reduceat(measured.time, starts)
        else:
            np.minimum.at(first, measured.event, measured.time)
            np.maximum.at(last, measured.event, measured.time)
        lit = first <= last
        readout[lit, 0], readout[lit, 1] = first[lit], last[lit]
    return replace(measured, readout=readout + [-buffer, buffer])


def with_merged_windows(measured: Measured, num_doms: int) -> Measured:
    """Windows of one module in one event that overlap or touch become one; all are sorted by event, module and start."""
    key = measured.window_event.astype(np.int64) * num_doms + measured.window_dom
    order = np.lexsort((measured.window[:, 0], key))
    key, window = key[order], measured.window[order]
    if len(key) > 1 and np.any((key[1:] == key[:-1]) & (window[1:, 0] <= window[:-1, 1])):
        kept: list[int] = []
        window = window.copy()
        for i in range(len(key)):
            if kept and key[i] == key[kept[-1]] and window[i, 0] <= window[kept[-1], 1]:
                window[kept[-1], 1] = max(window[kept[-1], 1], window[i, 1])
            else:
                kept.append(i)
        key, window = key[kept], window[kept]
    return replace(measured, window_event=key // num_doms, window_dom=key % num_doms, window=window)


def without_pulses_in_windows(measured: Measured, num_doms: int) -> tuple[Measured, int]:
    """Leaves out pulses inside excluded windows, whose light the likelihood leaves out too; and how many these are.

    Args:
      measured: with merged windows.
      num_doms: D.
    """
    if len(measured.window) == 0 or len(measured.event) == 0:
        return measured, 0
    window_key = measured.window_event * num_doms + measured.window_dom
    key = measured.event.astype(np.int64) * num_doms + measured.dom
    near = np.flatnonzero(np.isin(key, window_key))
    # The last window of the pulse's module that starts at or before it: merged windows do not overlap.
    order = np.lexsort((
        np.concatenate([np.zeros(len(window_key)), np.ones(len(near))]),  # a window before pulses at its start
        np.concatenate([measured.window[:, 0], measured.time[near]]),
        np.concatenate([window_key, key[near]]),
    ))  # fmt: skip
    is_window = order < len(window_key)
    last = np.maximum.accumulate(np.where(is_window, order, -1))
    pulse, window = near[order[~is_window] - len(window_key)], last[~is_window]
    inside = np.zeros(len(key), bool)
    own = window >= 0
    pulse, window = pulse[own], window[own]
    inside[pulse] = (window_key[window] == key[pulse]) & (measured.time[pulse] <= measured.window[window, 1])
    return _with_pulses(measured, ~inside), int(inside.sum())


def _with_pulses(measured: Measured, kept: np.ndarray) -> Measured:
    if kept.all():
        return measured
    names = ("event", "dom", "charge", "time")
    return replace(measured, **{name: getattr(measured, name)[kept] for name in names})
