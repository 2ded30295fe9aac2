"""Tables of an SQLite database."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.data.protocol import EVENT_NUMBER, CachedTables, rows_of
from evgen_jax.errors import DataError

MAGIC = b"SQLite format 3\x00"
"""First bytes of a database."""


class SQLiteFile(CachedTables):
    """Is an open SQLite database, which is only read; use it in a `with` statement.

    Args:
      path: of the database.
      events: first event_no that is read of tables that have this column, and the one behind the last; None: all.

    Raises:
      DataError: on opening, if it cannot be read.
    """

    format = "SQLite"

    def __init__(self, path: Path, events: tuple[int, int] | None = None):
        super().__init__(path)
        self._events = events

    def __enter__(self) -> "SQLiteFile":
        try:
            self._base = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
            found = self._base.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._damaged(error) from None
        self._names = [name for (name,) in found if not name.startswith("sqlite_")]
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables and views."""
        return self._names

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table, without reading it.

        Args:
          name: of the table.

        Returns:
          Names in the order of the table.
        """
        return tuple(row[1] for row in self._query(f"PRAGMA table_info({_quoted(name)})"))

    def _load(self, name: str) -> np.ndarray:
        self._check_there(name)
        names = self.columns(name)
        part = self._events if EVENT_NUMBER in names else None
        where = "" if part is None else f" WHERE {EVENT_NUMBER} >= {part[0]} AND {EVENT_NUMBER} < {part[1]}"
        rows = self._query(f"SELECT * FROM {_quoted(name)}{where}")
        values = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        return rows_of({column: _array(own) for column, own in zip(names, values, strict=True)})

    def _query(self, text: str) -> list[tuple[Any, ...]]:
        try:
            return self._base.execute(text).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self.path}: cannot be read as an SQLite database ({error}).")


def is_sqlite(path: Path) -> bool:
    """Returns whether a file is an SQLite database.

    Args:
      path: of the file.
    """
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _array(values: Sequence[Any]) -> np.ndarray:
    """Makes a column of values that may be missing; texts stay texts."""
    kinds = set(map(type, values))
    if kinds <= {int}:
        return np.array(values, np.int64)
    if kinds <= {int, float, type(None)}:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array([("" if value is None else str(value)).encode() for value in values])
