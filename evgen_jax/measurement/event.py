"""One measured event as padded arrays. Built on the host with numpy; a batch is the same with a leading axis B."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from flax import struct
from jax import Array

from evgen_jax.errors import DataError, shown
from evgen_jax.measurement.detector import Detector

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
        discard_excluded: bool = False,
    ) -> "Event":
        """Makes an event from one-dimensional arrays: the same, bit for bit, as from a file that holds them.

        The detector's unusable modules take no part. Pulses inside excluded windows are left out; windows of one module
        that overlap count once.

        Args:
          charge, time, string, om: one entry per pulse: PE, ns and the labels of the DOM. Pulses at labels that the
            detector ignores (such as IceTop's) are left out.
          detector: gives the meaning of the labels.
          readout: start and stop of the readout window in ns; default: first to last pulse widened by
            `window_buffer` on either side.
          excluded_doms: (string, om) that take no part, besides the detector's unusable ones.
          excluded_windows: (string, om, start, stop) in ns.
          discard_excluded: drop pulses at modules that take no part. Their charges never count; their arrival times do
            unless this is set (as `discard_pulses_from_excluded_doms` of configurations).

        Raises:
          DataError: lengths differ, an unknown DOM, a charge that is negative or not finite, a time that is not
            finite, or a window or readout that is not finite or stops before it starts.
        """
        # Packing builds on this file.
        from evgen_jax.measurement.packing import build_event

        if not isinstance(detector, Detector):
            raise DataError(
                f"Event.from_pulses: detector must be a Detector, got {shown(detector)}. Give `model.detector` or "
                "`load_detector(path)`."
            )
        charges, times = _numbers("charge", charge), _numbers("time", time)
        strings, oms = _numbers("string", string), _numbers("om", om)
        if not charges.shape == times.shape == strings.shape == oms.shape or charges.ndim != 1:
            raise DataError(
                "Event.from_pulses: charge, time, string and om must be 1-d arrays of one length, got shapes "
                f"{charges.shape}, {times.shape}, {strings.shape}, {oms.shape}."
            )
        dom = _known_doms(detector, strings, oms)
        charges, times, dom = charges[dom >= 0], times[dom >= 0], dom[dom >= 0]
        usable = np.array(detector.usable)
        excluded = _rows("excluded_doms", excluded_doms, 2, "(string, om)")
        dead = _known_doms(detector, *excluded.T)
        usable[dead[dead >= 0]] = False
        windows = _rows("excluded_windows", excluded_windows, 4, "(string, om, start, stop)")
        window_dom = _known_doms(detector, *windows[:, :2].T)
        windows, window_dom = windows[window_dom >= 0, 2:], window_dom[window_dom >= 0]
        if readout is not None and _numbers("readout", readout).shape != (2,):
            raise DataError(f"Event.from_pulses: readout must be (start, stop) in ns, got {readout!r}.")
        buffer = _numbers("window_buffer", window_buffer)
        if buffer.shape != () or not 0 <= buffer < np.inf:
            raise DataError(f"Event.from_pulses: window_buffer must be a number >= 0, ns, got {shown(window_buffer)}.")
        return build_event(
            charges, times, dom, num_doms=detector.num_doms, readout=readout, usable=usable, windows=windows,
            window_dom=window_dom, window_buffer=window_buffer, discard_excluded=discard_excluded,
        )  # fmt: skip


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise TypeError
        return array if array.dtype.kind in "iub" else array.astype(np.float64)
    except (ValueError, TypeError):
        raise DataError(f"Event.from_pulses: {name} must be real numbers, got {shown(values)}.") from None


def _rows(name: str, values: Any, width: int, form: str) -> np.ndarray:
    array = _numbers(name, list(values) if isinstance(values, Iterable) else values).astype(np.float64)
    if array.ndim == 0:
        raise DataError(f"Event.from_pulses: {name} must be rows {form}, got {shown(values)}.")
    if array.size == 0:
        return np.zeros((0, width))
    if array.ndim != 2 or array.shape[1] != width:
        raise DataError(f"Event.from_pulses: {name} must be rows {form}, got an array of shape {array.shape}.")
    return array


def _known_doms(detector: Detector, string: np.ndarray, om: np.ndarray) -> np.ndarray:
    """Places of labels in the detector's tables; -1 for those that it ignores.

    Raises:
      DataError: a label that the detector does not know.
    """
    dom = detector.dom_index(string, om)
    unknown = (dom < 0) & ~detector.is_ignored(string, om)
    if np.any(unknown):
        i = int(np.argmax(unknown))
        labels = (int(v) if v == np.floor(v) else v for v in (string[i], om[i]))
        raise DataError("DOM (string {}, om {}) is not part of the detector '{}'.".format(*labels, detector.name))
    return dom


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

    Raises:
      DataError: no list of single events, none at all, or events of different detectors.
    """
    if isinstance(events, Event) or not isinstance(events, Sequence):
        one = "one Event (of it: [event])" if isinstance(events, Event) else shown(events)
        raise DataError(f"stack_events: expected a list of events, got {one}.")
    if not events:
        raise DataError("stack_events: expected at least one event, got none.")
    for event in events:
        if not isinstance(event, Event) or np.ndim(event.charge) != 1:
            given = f"a batch of shape {np.shape(event.charge)[:-1]}" if isinstance(event, Event) else shown(event)
            raise DataError(f"stack_events: expected single events, got {given} among them.")
    sizes = sorted({event.charge.shape[0] for event in events})
    if len(sizes) > 1:
        raise DataError(
            f"stack_events: the events have {' and '.join(map(str, sizes))} DOMs; expected events of one detector. Stack "
            "those of each detector by themselves."
        )
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
        raise DataError(f"stack_events: factor must be a whole number >= 2, got {shown(factor)}.")
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
