"""One measured event as padded arrays, built on the host with numpy; a batch of events has a leading axis B."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from flax import struct
from jax import Array

from evgen_jax.errors import DataError, shown
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.measured import Measured, faults
from evgen_jax.measurement.packing import PackedEvents, pack_events, padded_arrays
from evgen_jax.measurement.ragged import Rows
from evgen_jax.short_repr import short_repr


class Pulses(struct.PyTreeNode):
    """Holds the pulses of an event, padded to a length P.

    Attributes:
      charge: [P], PE.
      time: [P], ns.
      slot: [P], place of the pulse's DOM in the event's list of active DOMs.
      mask: [P], False for padding and for pulses that take no part.
      first: [P], True for the first pulse of a DOM.
      quantile: [P], charge of the DOM up to and with the pulse / charge of the DOM, in (0, 1].
    """

    charge: Array
    time: Array
    slot: Array
    mask: Array
    first: Array
    quantile: Array

    __repr__ = short_repr


class Windows(struct.PyTreeNode):
    """Holds the excluded time windows of an event, padded to a length W.

    Attributes:
      start: [W], ns.
      stop: [W], ns.
      slot: [W], place of the window's DOM in the event's list of active DOMs.
      mask: [W], False for padding.
    """

    start: Array
    stop: Array
    slot: Array
    mask: Array

    __repr__ = short_repr


class Event(struct.PyTreeNode):
    """Is one event, or a batch of events where every array has a leading axis B.

    Attributes:
      charge: [D], measured charge, PE.
      usable: [D], False where the DOM takes no part.
      pulses: P pulses, padding included.
      active: [M], DOMs with a charge, a pulse or a window, padded with D.
      readout: [2], start and stop of the readout window, ns.
      windows: W excluded time windows, padding included; W may be 0.
    """

    charge: Array
    usable: Array
    pulses: Pulses
    active: Array
    readout: Array
    windows: Windows

    def __repr__(self) -> str:
        shape = np.shape(self.charge)
        if len(shape) != 1 or not isinstance(self.charge, np.ndarray):
            return short_repr(self)  # a batch, or within JAX anything
        count, charge = int(np.sum(self.pulses.mask)), np.asarray(self.charge, np.float64)
        start, stop = (float(end) for end in self.readout)
        return (
            f"Event: {count} pulse{'s' * (count != 1)}, {charge.sum():.1f} PE at {int(np.sum(charge > 0))} of {shape[0]} modules, "
            f"readout {start:g} to {stop:g} ns"
        )

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
        """Makes an event from one-dimensional arrays: bit for bit the event that is read from a file that holds them.

        The detector's unusable modules take no part. Pulses inside excluded windows are left out; windows of one module
        that overlap count once.

        Args:
          charge: [P], of the pulses, PE.
          time: [P], of the pulses, ns.
          string: [P], string numbers of the DOMs. Pulses at labels that the detector ignores (such as IceTop's) are
            left out.
          om: [P], om numbers of the DOMs.
          detector: gives the meaning of the labels.
          readout: start and stop of the readout window in ns; default: first to last pulse widened by
            `window_buffer` on either side.
          excluded_doms: (string, om) that take no part, besides the detector's unusable ones.
          excluded_windows: (string, om, start, stop) in ns.
          window_buffer: ns, by which a readout window that is not given exceeds the pulses.
          discard_excluded: drop pulses at modules that take no part. Their charges never count; their arrival times do
            unless this is set (as `discard_pulses_from_excluded_doms` of configurations).

        Returns:
          One event.

        Raises:
          DataError: lengths differ, an unknown DOM, a charge that is negative or not finite, a time that is not
            finite, or a window or readout that is not finite or stops before it starts.

        Example:
          event = eg.Event.from_pulses([1.2, 0.9], [9800.0, 9850.0], [21, 21], [30, 31], detector=model.detector)
        """
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
            charges,
            times,
            dom,
            num_doms=detector.num_doms,
            readout=readout,
            usable=usable,
            windows=windows,
            window_dom=window_dom,
            window_buffer=window_buffer,
            discard_excluded=discard_excluded,
        )


def _numbers(name: str, values: Any) -> np.ndarray:
    """Converts an argument to real numbers; raises DataError if it holds anything else."""
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise TypeError
        return array if array.dtype.kind in "iub" else array.astype(np.float64)
    except (ValueError, TypeError):
        raise DataError(f"Event.from_pulses: {name} must be real numbers, got {shown(values)}.") from None


def _rows(name: str, values: Any, width: int, form: str) -> np.ndarray:
    """Converts an argument to rows [N, width] of numbers; raises DataError if it has another shape."""
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


def pad_events(
    chosen: Sequence[tuple[PackedEvents, int]],
    few_shapes: bool = False,
    time_dtype: Any = np.float64,
    anchors: np.ndarray | None = None,
) -> Event:
    """Makes a batch of events with a leading axis B, padded to the largest of them.

    Args:
      chosen: (packed events, number) pairs, all of one detector.
      few_shapes: whether lengths are those of `packing.batch_lengths`, so that a training compiles for few shapes; else they
        are the least of 64, 128, 256, ...
      time_dtype: of times and windows.
      anchors: [B], ns, subtracted from all times of an event before they become `time_dtype`; None: 0.

    Returns:
      B events.
    """
    arrays = padded_arrays(chosen, few_shapes, time_dtype, anchors)
    return Event(**{**arrays, "pulses": Pulses(**arrays["pulses"]), "windows": Windows(**arrays["windows"])})


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
    drop_in_windows: bool = True,
) -> Event:
    """Makes one event from pulses whose modules are given by their places in the detector's tables.

    Args:
      charge: [P], PE.
      time: [P], ns.
      dom: [P], places in the detector's tables.
      num_doms: D, modules of the detector.
      readout: start and stop, ns; default from the pulses, widened by `window_buffer`.
      usable: [D], False for modules that take no part; default all do.
      windows: [W, 2], start and stop of excluded time windows, ns.
      window_dom: [W], places of their modules.
      window_buffer: ns, by which a readout window that is not given exceeds the pulses.
      discard_excluded: whether pulses at modules that take no part are masked.
      drop_in_windows: whether pulses inside excluded windows are left out.

    Returns:
      One event.

    Raises:
      DataError: a charge that is negative or not finite, a time that is not, or a window that stops before it starts.
    """
    charge, time, doms = np.asarray(charge, np.float64), np.asarray(time, np.float64), np.asarray(dom, np.int64)
    limits = np.zeros((0, 2)) if windows is None else np.asarray(windows, np.float64)
    window_dom = np.zeros(0, np.int64) if window_dom is None else np.asarray(window_dom, np.int64)
    measured = Measured(
        1,
        Rows(np.zeros(len(doms), np.int64), doms, {"charge": charge, "time": time}),
        windows=Rows(np.zeros(len(window_dom), np.int64), window_dom, {"start": limits[:, 0], "stop": limits[:, 1]}),
        readout=None if readout is None else np.asarray(readout, np.float64)[None],
    )
    if wrong := faults(measured):
        raise DataError(f"the event {wrong[0]}.")
    packed = pack_events(
        measured,
        np.ones(num_doms, bool) if usable is None else np.asarray(usable, bool),
        window_buffer=window_buffer,
        discard_excluded=discard_excluded,
        drop_in_windows=drop_in_windows,
    )
    return jax.tree.map(lambda x: x[0], pad_events([(packed, 0)]))
