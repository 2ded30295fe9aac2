"""Tables of any number of columns in HDF5, where the header of one dataset holds some 800 columns.

A table that is wider is written as several datasets with the same rows in the same order; columns that hold arrays get
datasets for themselves, so that pandas opens the scalar ones. Attributes of the first dataset name the further ones.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

LIMIT = 50_000
"""Bytes of the header of one dataset that are filled; HDF5 allows 65 536."""
PER_COLUMN = 64
"""Bytes that the header takes per column beside its name, at most."""
CONTINUED = "continued_in"
"""Attribute of the first dataset of a table: names of the further ones."""
COLUMN = "column"
"""Attribute of a dataset of one column that holds arrays: name of the column."""


def divided(dtype: np.dtype) -> tuple[list[list[str]], list[str]]:
    """Divides the columns of a table so that the header of no dataset is too long.

    Args:
      dtype: of a structured array.

    Returns:
      Names of the scalar columns of each dataset, in order, and names of the columns that hold arrays.
    """
    parts: list[list[str]] = [[]]
    arrays, size = [], 0
    for name in dtype.names or ():
        if dtype[name].shape:
            arrays.append(name)
            continue
        cost = PER_COLUMN + len(name.encode())
        if size + cost > LIMIT:
            parts.append([])
            size = 0
        parts[-1].append(name)
        size += cost
    return parts, arrays


def divide(name: str, rows: np.ndarray, repeated: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Divides a table into datasets whose headers HDF5 can hold.

    Args:
      name: of the first dataset; further ones are called `<name>_columns_2` and so on, or `<name>_<column>` for arrays.
      rows: structured array [n].
      repeated: columns, such as the ids of events, that every dataset of scalar columns begins with.

    Returns:
      Name of each dataset -> its rows [n].
    """
    parts, arrays = divided(rows.dtype)
    datasets = {}
    for number, part in enumerate(parts, start=1):
        columns = [*(c for c in repeated if c not in part), *part] if number > 1 else part
        own = np.empty(len(rows), [(c, rows.dtype[c]) for c in columns])
        for column in columns:
            own[column] = rows[column]
        datasets[name if number == 1 else f"{name}_columns_{number}"] = own
    for column in arrays:
        datasets[f"{name}_{column}"] = rows[column]
    return datasets


def mark(file: Any, name: str, datasets: Sequence[str]) -> None:
    """Writes into the first dataset of a table which further datasets belong to it.

    Args:
      file: open HDF5 file or group.
      name: of the table.
      datasets: as `divide` named them, all written.
    """
    others = [other for other in datasets if other != name]
    if others:
        file[name].attrs[CONTINUED] = others
    for other in others:
        if file[other].dtype.names is None:
            file[other].attrs[COLUMN] = other.removeprefix(f"{name}_")


def read_rows(file: Any, name: str) -> np.ndarray:
    """Reads all columns of a table, from as many datasets as it was written into.

    Args:
      file: open HDF5 file or group.
      name: of the table.

    Returns:
      Structured array [n].

    Raises:
      OSError: the rows cannot be read, or a further dataset is missing or has another length.
    """
    first = file[name]
    rows = first[:]
    if CONTINUED not in first.attrs:
        return rows
    columns = {column: rows[column] for column in rows.dtype.names}
    for other in first.attrs[CONTINUED]:
        if other not in file:
            raise OSError(f"its columns in '{other}' are missing")
        more = file[other][:]
        if len(more) != len(rows):
            raise OSError(f"'{other}' has {len(more)} rows, '{name}' has {len(rows)}")
        if more.dtype.names is None:
            columns[str(file[other].attrs[COLUMN])] = more
        else:
            columns |= {column: more[column] for column in more.dtype.names if column not in columns}
    joined = np.empty(len(rows), [(column, values.dtype, values.shape[1:]) for column, values in columns.items()])
    for column, values in columns.items():
        joined[column] = values
    return joined
