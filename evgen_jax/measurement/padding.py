"""Events of one shape: padded arrays that grow, and batches of events."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from evgen_jax.checks import check_whole
from evgen_jax.errors import DataError, shown
from evgen_jax.measurement.event import Event, Pulses, Windows
from evgen_jax.measurement.packing import bucket


def _pad(values: np.ndarray, size: int, fill: Any, dtype: Any) -> Any:
    """Copies values into a longer array, the rest of which is `fill`."""
    if len(values) > size:
        raise ValueError(f"{len(values)} entries do not fit the padded length {size}")
    out = np.full(size, fill, dtype)
    out[: len(values)] = values
    return out


def stack_events(events: Sequence[Event], factor: int = 2) -> Event:
    """Joins events into a batch with a leading axis B; ragged axes are padded to the largest of them.

    Args:
      events: B events of one detector.
      factor: ratio of successive padded lengths; a larger one gives fewer shapes to compile for.

    Returns:
      An event whose arrays have a leading axis B.

    Raises:
      DataError: no list of single events, none at all, events of different detectors, or a factor below 2.
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
    check_whole(factor, 2, "stack_events: factor", DataError)
    size_p = bucket(max(e.pulses.charge.shape[0] for e in events), factor=factor)
    size_m = bucket(max(e.active.shape[0] for e in events), factor=factor)
    size_w = max(e.windows.start.shape[0] for e in events)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(repad(e, size_p, size_m, size_w) for e in events))


def repad(event: Event, size_p: int, size_m: int, size_w: int) -> Event:
    """Makes the padding of an event longer.

    Args:
      event: one event.
      size_p: padded number of pulses.
      size_m: padded number of active DOMs.
      size_w: padded number of windows.

    Returns:
      An event with equal content.

    Raises:
      ValueError: a size is shorter than the present padding.
    """
    num_doms = event.charge.shape[0]
    fills = {"quantile": 1.0}

    def grow(record: Pulses | Windows, size: int) -> Any:
        return record.replace(
            **{k: _pad(np.asarray(v), size, fills.get(k, 0), np.asarray(v).dtype) for k, v in vars(record).items()}
        )

    return event.replace(
        pulses=grow(event.pulses, size_p),
        active=_pad(np.asarray(event.active), size_m, num_doms, np.int32),
        windows=grow(event.windows, size_w),
    )
