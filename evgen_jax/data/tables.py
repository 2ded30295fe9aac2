"""Reads the HDF5 tables that IceCube's tableio writes: compound tables with event-id columns."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from evgen_jax.data.wide_tables import read_rows
from evgen_jax.errors import DataError, suggestion
from evgen_jax.hypothesis.names import other_spelling

ID_COLUMNS = ("Run", "Event", "SubEvent", "SubEventStream")
NEEDED_IDS = ("Run", "Event")
"""The others count as 0 where a table does not have them."""
EXPECTED = (
    "expected one dataset with named columns (an HDF5 compound table), such as file['{name}'] = "
    "frame.to_records(index=False) of h5py and pandas writes"
)


class TableFile:
    """An open HDF5 file; use it in a `with` statement.

    Raises:
      DataError: on opening, if the file is missing, truncated or no HDF5 file.
    """

    def __init__(self, path: Path):
        self.path = path
        self._rows: dict[str, np.ndarray] = {}

    def __enter__(self) -> "TableFile":
        if self.path.is_dir():
            raise DataError(f"{self.path}: is a directory; expected an HDF5 file.")
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file.")
        try:
            self._file = h5py.File(self.path, "r")
        except PermissionError:
            raise DataError(f"{self.path}: may not be read (permission denied).") from None
        except BlockingIOError:
            raise DataError(f"{self.path}: is being written by another program; wait until that is done.") from None
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
        return name in self._file

    def attribute(self, name: str) -> Any:
        """An attribute of the file, None where there is none."""
        return self._file.attrs.get(name)

    def read(self, name: str, columns: Sequence[str] = ()) -> np.ndarray:
        """A whole table; rows marked as not existing are kept (see `existing`).

        Raises:
          DataError: the table or one of the columns is missing, is no table or holds no numbers, or the rows cannot be
            read.
        """
        if name not in self._rows:
            self._rows[name] = self._read(name)
        rows = self._rows[name]
        known = rows.dtype.names or ()
        for column in (*columns, *({"exists"} & set(known))):
            if column not in known:
                raise DataError(
                    f"{self.path}: table '{name}' has no column '{column}'; it has {', '.join(known)}."
                    + suggestion(column, known)
                )
            kind = rows.dtype[column]
            if kind.shape or kind.kind not in "iufb":
                raise DataError(
                    f"{self.path}: column '{column}' of table '{name}' holds {kind} in every row; expected one number."
                )
        return rows

    def _read(self, name: str) -> np.ndarray:
        found = self._file.get(name)
        if found is None:
            groups = [k for k, v in self._file.items() if isinstance(v, h5py.Group) and k != "__I3Index__"]
            beside = f" and the groups {', '.join(groups)}" if groups else ""
            raise DataError(
                f"{self.path}: table '{name}' is missing; found {', '.join(self.table_names) or 'none'}{beside}."
                + suggestion(name, self.table_names)
            )
        expected = EXPECTED.format(name=name)
        if isinstance(found, h5py.Group):
            inside = list(found)
            what = "a group that pandas wrote (DataFrame.to_hdf)" if _is_of_pandas(found) else "a group"
            raise DataError(
                f"{self.path}: '{name}' is {what} with {', '.join(inside[:6]) or 'nothing'} inside; {expected}."
            )
        if found.dtype.names is None or found.ndim != 1:
            raise DataError(
                f"{self.path}: '{name}' is an array of shape {found.shape} and type {found.dtype} without named columns; "
                f"{expected}."
            )
        try:
            return read_rows(self._file, name)
        except (OSError, RuntimeError) as error:
            missing = _missing_filters(found)
            if missing and importlib.util.find_spec("hdf5plugin") is not None:
                importlib.import_module("hdf5plugin")  # registers its filters
                missing = _missing_filters(found)
                if not missing:
                    return read_rows(self._file, name)
            if missing:
                raise DataError(
                    f"{self.path}: table '{name}' is compressed with {', '.join(missing)}, which is not installed. Install it "
                    "with: pip install hdf5plugin, or write the file with gzip."
                ) from None
            raise DataError(f"{self.path}: table '{name}' is damaged ({error}).") from None


def _is_of_pandas(group: h5py.Group) -> bool:
    return "pandas_type" in group.attrs or "axis0" in group or "block0_values" in group or "table" in group


def _missing_filters(dataset: h5py.Dataset) -> list[str]:
    """Compression filters of a dataset that this machine's HDF5 does not have."""
    plist = dataset.id.get_create_plist()
    missing = []
    for i in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            missing.append(f"the filter {name.decode(errors='replace') or 'of HDF5'} (number {code})")
    return missing


def existing(rows: np.ndarray) -> np.ndarray:
    """Rows of frames that had the object; fillers (exists = 0) are dropped."""
    if "exists" not in (rows.dtype.names or ()):
        return rows
    there = rows["exists"] > 0
    return rows if there.all() else rows[there]


class EventIds:
    """The events of a file, by which rows of its tables are joined.

    Attributes:
      values: [E, 4], Run, Event, SubEvent, SubEventStream; 0 where the table has no such column.
      columns: those that the table has.
    """

    def __init__(self, file: TableFile, table: str):
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
        """The same with some of the events [E] alone."""
        other = object.__new__(EventIds)
        other.__dict__ = {**self.__dict__, "values": self.values[kept]}
        return other

    def name(self, i: int) -> str:
        """What an event is called in messages."""
        run, event, *rest = self.values[i]
        return f"run {run}, event {event}" + (f" (sub-event {rest[0]}, stream {rest[1]})" if any(rest) else "")

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
        """Index of each row's event, -1 where it is not among the events.

        Tables are joined on the id columns that both have.

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
        """Columns of a table with one row per event [E, n], joined by event id; NaN where an event has no row.

        Args:
          table: its name.
          columns: n of them; a time may be written as cascade_time or cascade_t.
          defaults: values of columns that the table may lack.

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


def _as_written(column: str, present: Sequence[str]) -> str:
    """The name of a column in a table, which may spell a time the other way."""
    other = other_spelling(column)
    return other if other is not None and other in present and column not in present else column


def _are_whole(values: np.ndarray) -> bool:
    """Whether floating-point numbers are whole and so small that each is a number of its own."""
    values = values.astype(np.float64)
    return bool(np.all((values == np.floor(values)) & (np.abs(values) < 2.0**53)))


def _id_columns(file: TableFile, table: str, rows: np.ndarray) -> tuple[str, ...]:
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
