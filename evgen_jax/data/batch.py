"""A batch: events of any files, padded to one shape, with their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from evgen_jax.data.file_events import EventFile
from evgen_jax.measurement.event import Event, pad_events


@dataclass(frozen=True)
class Batch:
    """Holds events and their labels.

    Attributes:
      events: B events, with a leading axis B.
      labels: [B, H], float32, physical units, in hypothesis order.
      names: [B], where each event comes from, for messages; empty where that is not known.
      placed: events and labels on the device; None where they have not been sent there.
    """

    events: Event
    labels: np.ndarray
    names: Sequence[str] = ()
    placed: tuple[Event, Any] | None = None


class EventNames(Sequence[str]):
    """Holds how messages call events; a name is made when it is asked for, which is seldom.

    Args:
      events: (file, number of the event) pairs [B].
    """

    def __init__(self, events: Sequence[tuple[EventFile, int]]):
        self._events = events

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> "EventNames": ...

    def __getitem__(self, place: int | slice) -> "str | EventNames":
        if isinstance(place, slice):
            return EventNames(self._events[place])
        file, i = self._events[place]
        return f"{file.name(i)} of {file.path}"


def make_batch(events: list[tuple[EventFile, int]], chosen: np.ndarray) -> Batch:
    """Pads events to a common shape.

    Lengths are those of `packing.batch_lengths`, so that a training compiles for few shapes.

    Times that float32 would not hold are counted from the begin of the event's readout, in pulses, windows and labels
    alike: only differences of times matter.

    Args:
      events: (file, number of the event) pairs.
      chosen: [B], places in `events`.

    Returns:
      B events with labels [B, H]; H = 0 without labels.

    Raises:
      DataError: large times, and labels of which the names do not tell whether they are times.
    """
    own = [events[i] for i in chosen.tolist()]
    anchors = np.array([file.anchors[i] for file, i in own])
    padded = pad_events(
        [(file.packed, i) for file, i in own],
        few_shapes=True,
        time_dtype=np.float32,
        anchors=anchors if anchors.any() else None,
    )
    rows = [labels[i] for labels, i in ((file.relative_labels(), i) for file, i in own) if labels is not None]
    values = np.array(rows, np.float32) if rows else np.zeros((len(own), 0), np.float32)
    return Batch(padded, values, EventNames(own))
