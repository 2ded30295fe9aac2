"""Tables of I3 files, read through IceTray where it is installed: what its tableio would write as HDF5."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.data.i3_file import frames_of, icetray_part, line_of
from evgen_jax.data.i3_rows import COLUMNS, PULSE_MAP, SINGLE, Columns, class_of, columns_of_object
from evgen_jax.data.protocol import CachedTables
from evgen_jax.errors import DataError

HEADER = "I3EventHeader"
"""Key of the ids of an event; without it a frame is no event."""
IDS = (("Run", "<u4"), ("Event", "<u4"), ("SubEvent", "<u4"), ("SubEventStream", "<u4"), ("exists", "u1"))
"""Columns with which every table begins."""
PHYSICS, READOUT = "P", "Q"
"""Streams of events: those of P frames, or of Q frames where a file has no P frame."""


class I3Tables(CachedTables):
    """Gives the objects of the frames of an I3 file as tables; use it in a `with` statement.

    Events are the P frames with a header, or the Q frames where there is no P frame. Every table is read when it is asked for, by
    going through the file: memory holds one frame and the tables.

    Args:
      path: of the file.

    Raises:
      DataError: on opening, if IceTray or the file is not there, or the file is damaged or has no event.
    """

    format = "I3 file (IceTray)"

    def __init__(self, path: Path):
        super().__init__(path)
        self._classes: dict[str, str] = {}
        self._columns: dict[str, tuple[str, ...]] = {}
        self._stream = PHYSICS
        self._streams: dict[str, int] = {}
        self._count = 0

    def __enter__(self) -> "I3Tables":
        """Goes through the file once: which keys its events have, and of which classes they are."""
        unread: set[str] = set()
        counts = {PHYSICS: 0, READOUT: 0}
        for frame in frames_of(self.path):
            stop = _stop(frame)
            if stop not in counts or not frame.Has(HEADER):
                continue
            counts[stop] += 1
            for key in frame.keys():  # noqa: SIM118  (a frame is no dictionary)
                if key not in self._classes and key not in unread:
                    found = _class_in(frame, key)
                    if found is None:
                        unread.add(key)
                    else:
                        self._classes[key] = found
                        self._columns[key] = _columns_in(frame, key, found)
        self._stream = PHYSICS if counts[PHYSICS] else READOUT
        self._count = counts[self._stream]
        if not self._count:
            raise DataError(f"{self.path}: has no frame of an event: no P or Q frame with an {HEADER}.")
        self.defaults = {"event_id_key": HEADER}
        if unread:
            self.notes.append(f"keys of classes that are no tables are left out: {', '.join(sorted(unread)[:12])}")
        return self

    @property
    def table_names(self) -> list[str]:
        """Returns the keys of the frames that are read as tables."""
        return list(self._classes)

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table, as its first event has them: no table is read.

        Args:
          name: of the table.

        Returns:
          Names in the order of the table.
        """
        return self._columns[name] if name in self._columns else super().columns(name)

    def _load(self, name: str) -> np.ndarray:
        self._check_there(name)
        kind = self._classes[name]
        parts: list[tuple[tuple[int, ...], Columns]] = []
        for ids, frame in self._events():
            there = frame.Has(name)
            columns = self._converted(name, kind, frame) if there else {}
            if columns or kind in SINGLE:
                parts.append(((*ids, int(there)), columns))
        return _structured(parts, COLUMNS.get(kind, ()))

    def _converted(self, name: str, kind: str, frame: Any) -> Columns:
        try:
            held = frame[name]
            if kind == PULSE_MAP:
                held = icetray_part("dataclasses", str(self.path)).I3RecoPulseSeriesMap.from_frame(frame, name)
            return columns_of_object(held, kind)
        except Exception as error:  # boost::python raises whatever the C++ classes throw
            header = frame[HEADER]
            raise DataError(
                f"{self.path}: table '{name}': run {header.run_id}, event {header.event_id} cannot be read ({line_of(error)})."
            ) from None

    def _events(self) -> Iterator[tuple[tuple[int, int, int, int], Any]]:
        """Ids and frames of the events, in the order of the file."""
        for frame in frames_of(self.path):
            if _stop(frame) == self._stream and frame.Has(HEADER):
                header = frame[HEADER]
                stream = self._streams.setdefault(str(header.sub_event_stream), len(self._streams))
                yield (int(header.run_id), int(header.event_id), int(header.sub_event_id), stream), frame


def _stop(frame: Any) -> str:
    """The letter of a frame's stream."""
    return str(getattr(frame.Stop, "id", frame.Stop))[-1:]


def _class_in(frame: Any, key: str) -> str | None:
    """The class as which a key is read; None for one that is no table or cannot be read."""
    try:
        return class_of(type(frame[key]).__name__)
    except Exception:  # of a project of IceTray that is not loaded
        return None


def _columns_in(frame: Any, key: str, kind: str) -> tuple[str, ...]:
    """The columns that a key's table will have, as far as one frame tells."""
    own = [name for name, _ in COLUMNS[kind]] if kind in COLUMNS else list(columns_of_object(frame[key], kind))
    return (*(name for name, _ in IDS), *own)


def _structured(parts: list[tuple[tuple[int, ...], Columns]], known: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Columns of events with their ids as a structured array.

    An event without columns is one row. Columns that an event lacks are NaN, or 0 for whole numbers.
    """
    types: dict[str, str] = dict(known)
    for _, columns in parts:
        for name, values in columns.items():
            if types.get(name) != "<f8" and name not in dict(known):
                types[name] = "<f8" if values.dtype.kind == "f" else "<i8"
    ends = np.cumsum([0, *(len(next(iter(columns.values()), (0,))) for _, columns in parts)])
    table = np.zeros(ends[-1], [*IDS, *types.items()])
    for name, kind in types.items():
        if kind == "<f8":
            table[name] = np.nan
    for (ids, columns), start, stop in zip(parts, ends[:-1], ends[1:], strict=True):
        rows = table[start:stop]
        for (name, _), value in zip(IDS, ids, strict=True):
            rows[name] = value
        for name, values in columns.items():
            rows[name] = values
    return table
