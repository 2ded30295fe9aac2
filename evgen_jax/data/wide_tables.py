"""Tables of any number of columns in HDF5, whose headers hold some 800 columns of one dataset.

A table that is wider is written as several datasets with the same rows in the same order; columns that hold arrays get
datasets of their own, so that the scalar ones open in pandas. Attributes of the first dataset name the others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

LIMIT = 50_000
"""Bytes of the header of one dataset; HDF5 allows 65 536."""
PER_COLUMN = 64
"""Bytes that the header takes per column beside its name, at most."""
CONTINUED, COLUMN = "continued_in", "column"
"""Attributes: the names of the further datasets; the column that such a dataset holds."""


def divided(dtype: np.dtype) -> tuple[list[list[str]], list[str]]:
    """(names of the scalar columns of each dataset, in order; names of the columns that hold arrays)."""
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
    """Datasets {name: rows} of a table.

    Args:
      name: of the first dataset; the others are called <name>_columns_2 and so on, or <name>_<column> for arrays.
      rows: structured array [n].
      repeated: columns, such as the ids of events, that every dataset of scalar columns begins with.
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
    """Writes into the first of the datasets of a table which others belong to it.

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
    """All columns of a table as one structured array [n], from as many datasets as it was written into.

    Args:
      file: open HDF5 file or group.
      name: of the table.

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
