"""Tables of Parquet: a file, a folder of files, or a folder of folders of files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.data.protocol import EVENT_NUMBER, CachedTables, rows_of
from evgen_jax.errors import DataError
from evgen_jax.extras import need

MAGIC = b"PAR1"
"""First bytes of a Parquet file."""
NAME = re.compile(r"(.+?)\.parquet(\.\w+)?")
"""File of a table; tableio adds the ending of the compression."""
ROW = "row"
"""Column of a table of records: number of the record from which a row comes."""


class ParquetTables(CachedTables):
    """Is a set of Parquet tables; use it in a `with` statement.

    A folder holds one file per table, or one folder per table with numbered files, one after the other. A file that is one
    of several numbered ones, TABLE/TABLE_3.parquet beside OTHER/OTHER_3.parquet, stands for all tables of its number. A
    file whose columns are records (of lists) holds one table per column, and the column `row` counts its records.

    Args:
      path: of the file or folder.
      events: first event_no that is read of tables that have this column, and the one behind the last; None: all.

    Raises:
      ConfigError: on opening, if pyarrow is not installed.
      DataError: on opening, if no file can be read.
    """

    format = "Parquet"

    def __init__(self, path: Path, events: tuple[int, int] | None = None):
        super().__init__(path)
        self._events = events

    def __enter__(self) -> "ParquetTables":
        need("pyarrow", f"{self.path}: reading Parquet")
        self._files = self._find()
        self._of_records = False
        if self.path.is_file() and len(self._files) == 1:
            schema = self._schema(self.path)
            inside = [field.name for field in schema if _is_record(field.type)]
            if inside:
                self._of_records, self._files = True, {name: [self.path] for name in inside}
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables."""
        return list(self._files)

    def attribute(self, name: str) -> Any:
        """Returns an entry of the metadata of a single file.

        Args:
          name: of the entry.

        Returns:
          Its text; None where there is none.
        """
        if not self.path.is_file():
            return None
        found = (self._schema(self.path).metadata or {}).get(name.encode())
        return None if found is None else found.decode(errors="replace")

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table, without reading it.

        Args:
          name: of the table.

        Returns:
          Names in the order of the table.
        """
        if self._of_records:
            return super().columns(name)
        return tuple(self._schema(self._files[name][0]).names)

    def _find(self) -> dict[str, list[Path]]:
        """Files of every table."""
        if self.path.is_file():
            return self._numbered() or {_table(self.path) or self.path.stem: [self.path]}
        single = {_table(path): [path] for path in sorted(self.path.iterdir()) if path.is_file() and _table(path)}
        if single:
            return {str(name): files for name, files in single.items()}
        folders = {path.name: _parts(path) for path in sorted(self.path.iterdir()) if path.is_dir()}
        files = {name: parts for name, parts in folders.items() if parts}
        if not files:
            raise DataError(
                f"{self.path}: is a directory without tables; expected Parquet files, TABLE.parquet as tableio writes them "
                "or TABLE/TABLE_0.parquet as graphnet does."
            )
        return files

    def _numbered(self) -> dict[str, list[Path]]:
        """Files TABLE/TABLE_3.parquet of the number that this file has, if there are several tables."""
        number = _number(self.path)
        if number is None:
            return {}
        beside = {
            folder.name: [part for part in _parts(folder) if _number(part) == number]
            for folder in sorted(self.path.parent.parent.iterdir())
            if folder.is_dir()
        }
        files = {name: parts for name, parts in beside.items() if parts}
        return files if len(files) > 1 and self.path.parent.name in files else {}

    def _schema(self, path: Path) -> Any:
        import pyarrow.parquet

        try:
            return pyarrow.parquet.read_schema(path)
        except (OSError, pyarrow.ArrowException) as error:
            raise self._damaged(path, error) from None

    def _load(self, name: str) -> np.ndarray:
        self._check_there(name)
        import pyarrow
        import pyarrow.parquet

        columns: list[Mapping[str, np.ndarray]] = []
        for path in self._files[name]:
            try:
                file = pyarrow.parquet.ParquetFile(path)
                if self._of_records:
                    columns.append(_unfolded(file.read(columns=[name])[name].combine_chunks()))
                else:
                    table = file.read()
                    columns.append({c: _values(table[c].combine_chunks()) for c in table.column_names})
            except (OSError, pyarrow.ArrowException) as error:
                raise self._damaged(path, error) from None
        rows = rows_of(self._joined(name, columns))
        if self._events is None or EVENT_NUMBER not in (rows.dtype.names or ()):
            return rows
        return rows[(rows[EVENT_NUMBER] >= self._events[0]) & (rows[EVENT_NUMBER] < self._events[1])]

    def _joined(self, name: str, parts: list[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        for path, part in zip(self._files[name], parts, strict=True):
            if set(part) != set(parts[0]):
                other = sorted(set(part) ^ set(parts[0]))[0]
                raise DataError(
                    f"{path}: has not the columns of {self._files[name][0]}: '{other}' is in one of them alone."
                )
        return {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}

    def _damaged(self, path: Path, error: Exception) -> DataError:
        return DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}).")


def _table(path: Path) -> str | None:
    """Name of the table that is in a file; None for a file of another kind."""
    found = NAME.fullmatch(path.name)
    return found.group(1) if found else None


def _number(path: Path) -> int | None:
    found = re.search(r"_(\d+)\.parquet", path.name)
    return int(found.group(1)) if found else None


def _parts(folder: Path) -> list[Path]:
    """Parquet files of a folder in the order of their numbers."""
    files = [path for path in folder.iterdir() if path.is_file() and _table(path)]
    return sorted(files, key=lambda path: (_number(path) or 0, path.name))


def _is_record(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_struct(kind))


def _is_list(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind))


def _values(array: Any) -> np.ndarray:
    """A column as numbers, NaN where there is none, or as texts."""
    import pyarrow

    kind = array.type
    if pyarrow.types.is_boolean(kind) and not array.null_count:
        return np.asarray(array.to_numpy(zero_copy_only=False), bool)
    if pyarrow.types.is_integer(kind) and not array.null_count or pyarrow.types.is_floating(kind):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    if pyarrow.types.is_integer(kind) or pyarrow.types.is_boolean(kind) or pyarrow.types.is_null(kind):
        return np.array([np.nan if value is None else value for value in array.to_pylist()], np.float64)
    return np.array([("" if value is None else str(value)).encode() for value in array.to_pylist()])


def _unfolded(records: Any) -> dict[str, np.ndarray]:
    """Columns of a table of records, with the number of the record.

    A table that has more lists than single values holds one row per entry of the lists, with the single values beside each;
    another one holds one row per record, without its lists.
    """
    fields = {records.type.field(i).name: records.field(i) for i in range(records.type.num_fields)}
    lists = {name: array for name, array in fields.items() if _is_list(array.type)}
    single = {name: _values(array) for name, array in fields.items() if name not in lists}
    row = np.arange(len(records))
    if len(lists) <= len(single):
        return {**single, ROW: row}
    lengths = np.diff(np.asarray(next(iter(lists.values())).offsets))
    flat = {name: _values(array.flatten()) for name, array in lists.items()}
    return {
        **flat,
        **{name: np.repeat(values, lengths) for name, values in single.items()},
        ROW: np.repeat(row, lengths),
    }
