"""Ids of events, by which rows of the tables of a file are joined."""

from collections.abc import Sequence

import numpy as np

from evgen_jax.data.protocol import Tables
from evgen_jax.data.tables import existing
from evgen_jax.errors import DataError, suggestion
from evgen_jax.hypothesis.names import other_spelling

ID_COLUMNS = ("Run", "Event", "SubEvent", "SubEventStream")
"""Columns that identify an event."""
NEEDED_IDS = ("Run", "Event")
"""Id columns that every table must have; id columns that a table does not have count as 0."""


class EventIds:
    """Holds the ids of the events of a file, by which rows of its tables are joined.

    Args:
      file: open file.
      table: its table with one row per event.

    Raises:
      DataError: the table or an id column is missing, or events have equal ids.

    Attributes:
      table: name of the table.
      values: [E, 4], Run, Event, SubEvent, SubEventStream; 0 where the table has no such column.
      columns: id columns that the table has.
    """

    def __init__(self, file: Tables, table: str):
        self._file, self.table = file, table
        rows = existing(file.read(table))
        self.columns = _id_columns(file, table, rows)
        self.values = np.zeros((len(rows), len(ID_COLUMNS)), np.int64)
        for i, column in enumerate(ID_COLUMNS):
            if column in self.columns:
                self.values[:, i] = rows[column]
        unique, counts = np.unique(self.values, axis=0, return_counts=True)
        if len(unique) < len(self.values):
            raise DataError(self._repeated(unique, counts, "vector_index" in (rows.dtype.names or ())))

    def __len__(self) -> int:
        return len(self.values)

    def select(self, kept: np.ndarray) -> "EventIds":
        """Selects some of the events.

        Args:
          kept: flags [E].

        Returns:
          Ids of the selected events.
        """
        other = object.__new__(EventIds)
        other.__dict__ = {**self.__dict__, "values": self.values[kept]}
        return other

    def name(self, i: int) -> str:
        """Returns how messages call an event.

        Args:
          i: number of the event.

        Returns:
          A text such as "run 1, event 2".
        """
        return id_text(self.values[i])

    def _repeated(self, unique: np.ndarray, counts: np.ndarray, ragged: bool) -> str:
        worst = int(np.argmax(counts))
        run, event, sub, stream = unique[worst]
        text = (
            f"{self._file.path}: table '{self.table}' has {counts[worst]} rows for run {run}, event {event}, sub-event {sub}, "
            f"stream {stream}; expected one row per event ({len(unique)} different events in {len(self.values)} rows). "
        )
        if ragged:
            return text + "Name a table with one row per event in data_settings.event_id_key."
        return text + (
            "Were files with equal event ids merged? Give every event an id of its own. Else name a table with one row per event "
            "in data_settings.event_id_key."
        )

    def match(self, table: str, rows: np.ndarray) -> np.ndarray:
        """Finds the event to which each row of a table belongs, by the id columns that both have.

        Args:
          table: name of the table, for messages.
          rows: structured array [N].

        Returns:
          Numbers of events [N]; -1 where a row is of none of them.

        Raises:
          DataError: no id columns, or ids that do not tell the events apart.
        """
        own = _id_columns(self._file, table, rows)
        if len(rows) == 0:
            return np.zeros(0, np.int64)
        common = tuple(c for c in own if c in self.columns)
        places = [ID_COLUMNS.index(c) for c in common]
        # Only the rows at which the event changes are looked up: tables are written event by event.
        change = np.zeros(len(rows), bool)
        change[0] = True
        for name in own:
            column = np.ascontiguousarray(rows[name])
            change[1:] |= column[1:] != column[:-1]
        index = {key: i for i, key in enumerate(map(tuple, self.values[:, places].tolist()))}
        if len(index) < len(self.values):
            lacking = ", ".join(c for c in self.columns if c not in common)
            raise DataError(
                f"{self._file.path}: table '{table}' has no column {lacking}, which tells the events of table '{self.table}' "
                "apart. Write it, or name another event_id_key."
            )
        heads = rows[change]
        keys = list(zip(*(heads[c].astype(np.int64).tolist() for c in common), strict=True))
        found = np.array([index.get(key, -1) for key in keys], np.int64)
        further = [c for c in own if c not in self.columns]
        if further:
            self._check_further(table, heads, found, further)
        return found[np.cumsum(change) - 1]

    def _check_further(self, table: str, heads: np.ndarray, found: np.ndarray, further: Sequence[str]) -> None:
        """Rows of one event must agree in id columns that the table of events does not have."""
        values = np.stack([heads[c].astype(np.int64) for c in further], axis=1)
        pairs = np.unique(np.column_stack([found, values])[found >= 0], axis=0)
        unique, counts = np.unique(pairs[:, 0], return_counts=True)
        if len(unique) and counts.max() > 1:
            event = self.name(int(unique[np.argmax(counts)]))
            raise DataError(
                f"{self._file.path}: table '{table}' has {counts.max()} different {', '.join(further)} for {event}, but table "
                f"'{self.table}' has no such column: they cannot be told apart. Name another event_id_key."
            )

    def align(self, table: str, columns: Sequence[str], defaults: dict[str, float] | None = None) -> np.ndarray:
        """Reads columns of a table with one row per event, joined by event id.

        Args:
          table: its name.
          columns: n of them; a time may be written as cascade_time or cascade_t.
          defaults: values of columns that the table may lack.

        Returns:
          Values [E, n]; NaN where an event has no row.

        Raises:
          DataError: the table or a column is missing, or an event has several rows.
        """
        defaults, rows = defaults or {}, self._file.read(table)
        present = rows.dtype.names or ()
        columns = [_as_written(column, present) for column in columns]
        rows = existing(self._file.read(table, [c for c in columns if c not in defaults or c in present]))
        values = np.full((len(self), len(columns)), np.nan)
        event = self.match(table, rows)
        places, counts = np.unique(event[event >= 0], return_counts=True)
        if len(places) and counts.max() > 1:
            raise DataError(
                f"{self._file.path}: table '{table}' has {counts.max()} rows for {self.name(int(places[np.argmax(counts)]))}; "
                "expected one row per event."
            )
        for i, column in enumerate(columns):
            values[event[event >= 0], i] = rows[column][event >= 0] if column in present else defaults[column]
        return values


def id_text(ids: Sequence[int]) -> str:
    """Returns how messages call an event.

    Args:
      ids: Run, Event, SubEvent and SubEventStream.

    Returns:
      A text such as "run 1, event 2".
    """
    run, event, *rest = ids
    return f"run {run}, event {event}" + (f" (sub-event {rest[0]}, stream {rest[1]})" if any(rest) else "")


def _as_written(column: str, present: Sequence[str]) -> str:
    """Returns the name of a column in a table, which may spell a time the other way."""
    other = other_spelling(column)
    return other if other is not None and other in present and column not in present else column


def _are_whole(values: np.ndarray) -> bool:
    """Whether floating-point numbers are whole and so small that each is a number of its own."""
    values = values.astype(np.float64)
    return bool(np.all((values == np.floor(values)) & (np.abs(values) < 2.0**53)))


def _id_columns(file: Tables, table: str, rows: np.ndarray) -> tuple[str, ...]:
    """Id columns of a table.

    Raises:
      DataError: Run or Event is missing, or ids that are no whole numbers.
    """
    known = rows.dtype.names or ()
    for column in NEEDED_IDS:
        if column not in known:
            raise DataError(
                f"{file.path}: table '{table}' has no column '{column}'; it has {', '.join(known)}. Events are joined by the "
                f"columns {', '.join(NEEDED_IDS)} (and {', '.join(ID_COLUMNS[2:])} where there are several)."
                + suggestion(column, known)
            )
    own = tuple(c for c in ID_COLUMNS if c in known)
    for column in own:
        kind = rows.dtype[column]
        values = rows[column]
        if kind.shape or kind.kind not in "iufb" or (kind.kind == "f" and not _are_whole(values)):
            raise DataError(f"{file.path}: column '{column}' of table '{table}' must hold whole numbers, got {kind}.")
        if kind.kind == "u" and len(values) and values.max() > np.iinfo(np.int64).max:
            raise DataError(
                f"{file.path}: column '{column}' of table '{table}' holds {values.max()}, larger than 2^63 - 1, the largest id "
                "that tables of fits can hold. Number the events anew."
            )
    return own
