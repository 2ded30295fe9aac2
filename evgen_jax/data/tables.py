"""Reads the HDF5 tables that IceCube's tableio writes: compound tables with four event-id columns."""

from pathlib import Path

import h5py
import numpy as np

from evgen_jax.data.wide_tables import read_rows
from evgen_jax.errors import DataError, suggestion

ID_COLUMNS = ("Run", "Event", "SubEvent", "SubEventStream")


class TableFile:
    """An open HDF5 file; use it in a `with` statement.

    Raises:
      DataError: on opening, if the file is missing, truncated or no HDF5 file.
    """

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> "TableFile":
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file.")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be read as HDF5; it is damaged or of another kind ({error})."
            ) from None
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    @property
    def table_names(self) -> list[str]:
        return [k for k, v in self._file.items() if isinstance(v, h5py.Dataset)]

    def has(self, name: str) -> bool:
        return name in self.table_names

    def read(self, name: str, columns: tuple[str, ...] = ()) -> np.ndarray:
        """A whole table; rows marked as not existing are kept (see `existing`).

        Raises:
          DataError: the table or one of the columns is missing, or the rows cannot be read.
        """
        if not self.has(name):
            raise DataError(
                f"{self.path}: table '{name}' is missing; found {', '.join(self.table_names) or 'none'}."
                + suggestion(name, self.table_names)
            )
        try:
            rows = read_rows(self._file, name)
        except OSError as error:
            raise DataError(f"{self.path}: table '{name}' is damaged ({error}).") from None
        known = rows.dtype.names or ()
        for column in columns:
            if column not in known:
                raise DataError(
                    f"{self.path}: table '{name}' has no column '{column}'; it has {', '.join(known)}."
                    + suggestion(column, known)
                )
        return rows


def existing(rows: np.ndarray) -> np.ndarray:
    """Rows of frames that had the object; fillers (exists = 0) are dropped."""
    if "exists" not in (rows.dtype.names or ()):
        return rows
    there = rows["exists"] > 0
    return rows if there.all() else rows[there]


def event_keys(rows: np.ndarray) -> np.ndarray:
    """Event ids [n, 4] as integers."""
    return np.stack([rows[c].astype(np.int64) for c in ID_COLUMNS], axis=1)


def match_events(rows: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Index of each row's event in `events` [E, 4], -1 where it is not among them.

    Only the rows at which the event changes are looked up: tables are written event by event.
    """
    if len(rows) == 0:
        return np.zeros(0, np.int64)
    change = np.zeros(len(rows), bool)
    change[0] = True
    for name in ID_COLUMNS:
        column = np.ascontiguousarray(rows[name])
        change[1:] |= column[1:] != column[:-1]
    index = {tuple(key): i for i, key in enumerate(events.tolist())}
    found = np.array([index.get(tuple(key), -1) for key in event_keys(rows[change]).tolist()], np.int64)
    return found[np.cumsum(change) - 1]
