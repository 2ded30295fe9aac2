"""Tables of IceCube's tableio in Parquet and SQLite, where only I3EventHeader has the ids of events."""

import numpy as np

from evgen_jax.data.protocol import EVENT_NUMBER, CachedTables, Tables, columns_of, rows_of
from evgen_jax.errors import DataError

HEADER = "I3EventHeader"
"""Table of the ids of events."""
IDS = ("Run", "Event", "SubEvent", "SubEventStream")
"""Columns of ids that the header has."""


class TableioTables(CachedTables):
    """Gives every table of tableio the ids of its events.

    The writers of version 1.17 count, in `event_no`, the events that a table has rows of. Tables with one row per event are
    filled up with rows of zeros, which are marked as not existing here; tables of pulses are not filled up, and where an
    event has none the numbers of the events behind it are wrong. Such a table is refused.

    Args:
      tables: an open database or folder.
    """

    def __init__(self, tables: Tables):
        super().__init__(tables.path)
        self._tables = tables
        self.format = f"IceCube {tables.format} (tableio)"
        if HEADER in tables.table_names:
            self.defaults = {"event_id_key": HEADER}

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables."""
        return self._tables.table_names

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table, with those of the ids that it gets.

        Args:
          name: of the table.

        Returns:
          Names in the order of the table.
        """
        own = self._tables.columns(name)
        return own if "Event" in own else tuple(dict.fromkeys([*IDS, "exists", *own]))

    def _load(self, name: str) -> np.ndarray:
        rows = self._tables.read(name)
        if {"Run", "Event"} <= set(rows.dtype.names or ()):
            return rows
        if HEADER not in self.table_names:
            raise DataError(
                f"{self.path}: table '{name}' has no ids of events, and the table {HEADER}, which has them, is missing. Book "
                f"{HEADER} together with the other keys."
            )
        if EVENT_NUMBER not in (rows.dtype.names or ()):
            raise DataError(f"{self.path}: table '{name}' has no column {EVENT_NUMBER} that joins it with {HEADER}.")
        header = self._tables.read(HEADER, (*IDS[:2], EVENT_NUMBER))
        numbers, place = np.unique(header[EVENT_NUMBER], return_index=True)
        found = np.unique(rows[EVENT_NUMBER])
        if len(numbers) < len(header):
            raise DataError(
                f"{self.path}: table {HEADER} has a value of {EVENT_NUMBER} in several rows; expected one row each."
            )
        if len(rows) and not np.array_equal(found, numbers):
            raise DataError(
                f"{self.path}: table '{name}' counts {len(found)} events and {HEADER} {len(numbers)}: some events have no "
                f"rows, and {EVENT_NUMBER} of this format does not say which, so that the rows cannot be joined. Book only "
                "frames that have all keys, or write HDF5."
            )
        own = header[place][np.searchsorted(numbers, rows[EVENT_NUMBER])]
        columns = {c: own[c] for c in IDS if c in (header.dtype.names or ())}
        return rows_of({**columns, "exists": self._existing(rows), **columns_of(rows)})

    @staticmethod
    def _existing(rows: np.ndarray) -> np.ndarray:
        """Flags of rows: one that fills up a table of one row per event holds zeros alone."""
        values = [rows[c] for c in rows.dtype.names or () if c != EVENT_NUMBER and rows.dtype[c].kind in "iufb"]
        single = len(np.unique(rows[EVENT_NUMBER])) == len(rows)
        if not single or len(values) < 2:
            return np.ones(len(rows), np.uint8)
        return np.any([value != 0 for value in values], axis=0).astype(np.uint8)


def is_tableio(tables: Tables) -> bool:
    """Returns whether tables were written by IceCube's tableio.

    Args:
      tables: an open database or folder.
    """
    names = tables.table_names
    if HEADER in names:
        return True
    own = [set(tables.columns(name)) for name in names]
    return any({"Run", "Event"} <= columns or {"string", "om", "charge", "time"} <= columns for columns in own)
