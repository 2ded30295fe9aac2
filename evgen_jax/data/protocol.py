"""What every reader of event files offers: named tables of one open file, as structured arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from evgen_jax.errors import DataError, nearest, suggestion

EVENT_NUMBER = "event_no"
"""Column by which graphnet and the databases of tableio join tables."""


class MissingTable(DataError):
    """Tells that a file does not have a table; whoever knows the configuration adds the key that names it.

    Attributes:
      table: name of the table.
    """

    def __init__(self, table: str, text: str):
        super().__init__(text)
        self.table = table

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.table, str(self))  # processes that read files hand it over


class Tables(Protocol):
    """Is an open file, or folder, of tables; the columns Run and Event (and others of `ID_COLUMNS`) join them.

    Attributes:
      path: of the file or folder.
      format: what the file is, in words.
      defaults: keys of a configuration (pulse_key, event_id_key, label_key) -> tables that the format itself names.
      notes: what a user must know of how the tables were made, one sentence each.
    """

    path: Path
    format: str
    defaults: dict[str, str]
    notes: list[str]

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables."""

    def has(self, name: str) -> bool:
        """Returns whether there is a table, or something else, under a name.

        Args:
          name: of the table.
        """

    def attribute(self, name: str) -> Any:
        """Returns an attribute of the file; None where there is none.

        Args:
          name: of the attribute.
        """

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table.

        Args:
          name: of the table.
        """

    def read(self, name: str, columns: Sequence[str] = ()) -> np.ndarray:
        """Reads a whole table as a structured array [N].

        Args:
          name: of the table.
          columns: that it must have, one number in every row.

        Raises:
          DataError: the table or one of the columns is missing or holds no numbers, or the rows cannot be read.
        """


class CachedTables:
    """Is the base of readers: every table is read once, and its columns are checked.

    A reader defines `table_names`, `columns` and `_load`.

    Args:
      path: of the file or folder.
    """

    format = "tables"

    def __init__(self, path: Path):
        self.path = path
        self.defaults: dict[str, str] = {}
        self.notes: list[str] = []
        self._rows: dict[str, np.ndarray] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables."""
        raise NotImplementedError

    def has(self, name: str) -> bool:
        """Returns whether there is a table of this name.

        Args:
          name: of the table.

        Returns:
          True if it is there.
        """
        return name in self.table_names

    def attribute(self, name: str) -> Any:
        """Returns an attribute of the file.

        Args:
          name: of the attribute.

        Returns:
          Its value; None where there is none.
        """
        return None

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table.

        Args:
          name: of the table.

        Returns:
          Names in the order of the table.
        """
        return tuple(self.read(name).dtype.names or ())

    def read(self, name: str, columns: Sequence[str] = ()) -> np.ndarray:
        """Reads a whole table; rows marked as not existing are kept (`tables.existing` drops them).

        Args:
          name: of the table.
          columns: that it must have, one number in every row.

        Returns:
          Structured array [N] with all columns.

        Raises:
          DataError: the table or one of the columns is missing, is no table or holds no numbers, or the rows cannot be
            read.
        """
        if name not in self._rows:
            self._rows[name] = self._load(name)
        rows = self._rows[name]
        known = rows.dtype.names or ()
        for column in (*columns, *({"exists"} & set(known))):
            if column not in known:
                raise DataError(
                    f"{self.path}: table '{name}' has no column '{column}'; it has {', '.join(known)}."
                    + (self._hint(column) or _nearest(column, known))
                )
            kind = rows.dtype[column]
            if kind.shape or kind.kind not in "iufb":
                raise DataError(
                    f"{self.path}: column '{column}' of table '{name}' holds {kind} in every row; expected one number."
                )
        return rows

    def _load(self, name: str) -> np.ndarray:
        """Reads a table that was not read before."""
        raise NotImplementedError

    def _hint(self, column: str) -> str:
        """What to do where a column is missing; '' where that is not known."""
        return ""

    def _check_there(self, name: str) -> None:
        if name not in self.table_names:
            raise MissingTable(
                name,
                f"{self.path}: table '{name}' is missing; found {', '.join(self.table_names) or 'none'}."
                + suggestion(name, self.table_names),
            )


def _nearest(column: str, known: Sequence[str]) -> str:
    """A misspelt column may be in the file or in the configuration: the nearest name is told, not what is wrong."""
    close = nearest(column, known)
    return f" The nearest name is '{close}'." if close else ""


def rows_of(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Makes a structured array of columns.

    Args:
      columns: name -> values [N].

    Returns:
      Structured array [N].
    """
    count = len(next(iter(columns.values()))) if columns else 0
    rows = np.empty(count, [(name, values.dtype, values.shape[1:]) for name, values in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    return rows


def columns_of(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Takes a structured array apart.

    Args:
      rows: structured array [N].

    Returns:
      Name of each column -> values [N].
    """
    return {name: rows[name] for name in rows.dtype.names or ()}
