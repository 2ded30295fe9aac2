"""One measured event as padded arrays. Built on the host with numpy; a batch is the same with a leading axis B."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import struct
from jax import Array

from evgen_jax.detector import Detector
from evgen_jax.errors import DataError

SMALLEST_BUCKET = 64


class Pulses(struct.PyTreeNode):
    """Pulses [P], padded; `slot` points into the event's list of active DOMs.

    charge in PE, time in ns, first: first pulse at its DOM, quantile: cumulative charge / DOM charge in (0, 1].
    """

    charge: Array
    time: Array
    slot: Array
    mask: Array
    first: Array
    quantile: Array


class Windows(struct.PyTreeNode):
    """Excluded time windows [W], padded; start and stop in ns."""

    start: Array
    stop: Array
    slot: Array
    mask: Array


class Event(struct.PyTreeNode):
    """One event, or a batch of events when every array has a leading axis B.

    Attributes:
      charge: [D], measured charge, PE.
      usable: [D], False where the DOM takes no part.
      pulses: [P].
      active: [M], DOMs with a charge, a pulse or a window, padded with D.
      readout: [2], start and stop of the readout window, ns.
      windows: [W], W may be 0.
    """

    charge: Array
    usable: Array
    pulses: Pulses
    active: Array
    readout: Array
    windows: Windows

    @staticmethod
    def from_pulses(
        charge: Sequence[float],
        time: Sequence[float],
        string: Sequence[int],
        om: Sequence[int],
        *,
        detector: Detector,
        readout: tuple[float, float] | None = None,
        excluded_doms: Sequence[tuple[int, int]] = (),
        excluded_windows: Sequence[tuple[int, int, float, float]] = (),
        window_buffer: float = 100.0,
        discard_excluded: bool = True,
    ) -> "Event":
        """Makes an event from one-dimensional arrays.

        Args:
          charge, time, string, om: one entry per pulse: PE, ns and the labels of the DOM.
          detector: gives the meaning of the labels.
          readout: start and stop of the readout window in ns; default: first to last pulse widened by
            `window_buffer` on either side.
          excluded_doms: (string, om) that take no part, besides the detector's unusable ones.
          excluded_windows: (string, om, start, stop) in ns; pulses inside must be removed, as they are here.
          discard_excluded: drop pulses at excluded DOMs.

        Raises:
          DataError: lengths differ, an unknown DOM, a charge that is negative or not finite, a time that is not
            finite, or a window that stops before it starts.
        """
        # Packing builds on this file.
        from evgen_jax.packing import build_event

        charges, times = np.asarray(charge, np.float64), np.asarray(time, np.float64)
        strings, oms = np.asarray(string, np.int64), np.asarray(om, np.int64)
        if not charges.shape == times.shape == strings.shape == oms.shape or charges.ndim != 1:
            raise DataError(
                "Event.from_pulses: charge, time, string and om must be 1-d arrays of one length, got shapes "
                f"{charges.shape}, {times.shape}, {strings.shape}, {oms.shape}."
            )
        dom = detector.dom_index(strings, oms)
        _check_doms(dom, strings, oms, detector)
        usable = np.array(detector.usable)
        for s, o in excluded_doms:
            index = detector.dom_index(np.array([s]), np.array([o]))
            _check_doms(index, np.array([s]), np.array([o]), detector)
            usable[index] = False
        windows = np.array([w[2:] for w in excluded_windows], np.float64).reshape(-1, 2)
        window_labels = np.array([w[:2] for w in excluded_windows], np.int64).reshape(-1, 2)
        window_dom = detector.dom_index(window_labels[:, 0], window_labels[:, 1])
        _check_doms(window_dom, window_labels[:, 0], window_labels[:, 1], detector)
        return build_event(
            charges, times, dom, num_doms=detector.num_doms, readout=readout, usable=usable, windows=windows,
            window_dom=window_dom, window_buffer=window_buffer, discard_excluded=discard_excluded, drop_in_windows=True,
        )  # fmt: skip


def _check_doms(dom: np.ndarray, string: np.ndarray, om: np.ndarray, detector: Detector) -> None:
    if np.any(dom < 0):
        i = int(np.argmax(dom < 0))
        raise DataError(f"DOM (string {string[i]}, om {om[i]}) is not part of the detector '{detector.name}'.")


def bucket(size: int, smallest: int = SMALLEST_BUCKET, factor: int = 2) -> int:
    """Smallest of smallest, smallest * factor, smallest * factor^2, ... that holds `size`: a padded length."""
    while smallest < size:
        smallest *= factor
    return smallest


def _pad(values: np.ndarray, size: int, fill, dtype) -> Any:
    if len(values) > size:
        raise ValueError(f"{len(values)} entries do not fit the padded length {size}")
    out = np.full(size, fill, dtype)
    out[: len(values)] = values
    return out


def stack_events(events: Sequence[Event], factor: int = 2) -> Event:
    """Joins events into a batch with a leading axis; ragged axes are padded to the largest of them.

    Args:
      events: of one detector.
      factor: of the padded lengths, see `bucket`; a larger one gives fewer shapes to compile for.
    """
    size_p = bucket(max(e.pulses.charge.shape[0] for e in events), factor=factor)
    size_m = bucket(max(e.active.shape[0] for e in events), factor=factor)
    size_w = max(e.windows.start.shape[0] for e in events)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(repad(e, size_p, size_m, size_w) for e in events))


def repad(event: Event, size_p: int, size_m: int, size_w: int) -> Event:
    """The same event with longer padding."""
    num_doms = event.charge.shape[0]
    fills = {"quantile": 1.0}

    def grow(record, size):
        return record.replace(
            **{k: _pad(np.asarray(v), size, fills.get(k, 0), np.asarray(v).dtype) for k, v in vars(record).items()}
        )

    return event.replace(
        pulses=grow(event.pulses, size_p),
        active=_pad(np.asarray(event.active), size_m, num_doms, np.int32),
        windows=grow(event.windows, size_w),
    )
