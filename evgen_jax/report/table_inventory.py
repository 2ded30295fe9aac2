"""What a table of a file is: its kind, its rows and the ranges of its columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evgen_jax.data.event_ids import ID_COLUMNS
from evgen_jax.data.found_tables import MODULE, PULSES
from evgen_jax.data.modules_of_events import WINDOW_COLUMNS


@dataclass(frozen=True)
class Column:
    """Holds the range of a column.

    Attributes:
      name: of the column.
      low: smallest finite number; NaN where there is none.
      high: largest finite number; NaN where there is none.
    """

    name: str
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.name} (no numbers)"
        return f"{self.name} {self.low:.6g}" + (f" to {self.high:.6g}" if self.high > self.low else "")


@dataclass(frozen=True)
class TableInventory:
    """Holds what a table is.

    Attributes:
      name: of the table.
      rows: number of rows that exist.
      kind: what it is in words.
      columns: ranges of its columns, without those of ids.
    """

    name: str
    rows: int
    kind: str
    columns: tuple[Column, ...]


def table_inventory(name: str, rows: np.ndarray) -> TableInventory:
    """Finds out what a table is.

    Args:
      name: of the table.
      rows: structured array [N].

    Returns:
      The inventory.
    """
    columns = set(rows.dtype.names or ())
    if columns >= PULSES:
        kind = "pulses"
    elif columns >= MODULE:
        kind = "time windows of modules" if any(columns >= set(pair) for pair in WINDOW_COLUMNS) else "modules"
    elif not columns >= {"Run", "Event"}:
        kind = "no ids of events" if columns else "an array without named columns"
    else:
        kind = "one row per event" if is_single(rows) else "several rows per event"
    own = [column for column in rows.dtype.names or () if column not in (*ID_COLUMNS, "exists", "vector_index", "row")]
    return TableInventory(name, len(rows), kind, tuple(range_of(column, rows[column]) for column in own))


def range_of(name: str, values: np.ndarray) -> Column:
    """Finds the range of a column.

    Args:
      name: of the column.
      values: [N], of any type.

    Returns:
      Its smallest and largest finite numbers.
    """
    good = values[np.isfinite(values)] if values.dtype.kind in "iufb" and len(values) else np.zeros(0)
    return Column(name, float(good.min()), float(good.max())) if len(good) else Column(name, np.nan, np.nan)


def is_single(rows: np.ndarray) -> bool:
    """Returns whether a table has one row per event.

    Args:
      rows: structured array [N].
    """
    columns = [column for column in ID_COLUMNS if column in (rows.dtype.names or ())]
    if len(columns) < 2 or {"string", "om"} <= set(rows.dtype.names or ()):
        return False
    ids = np.stack([rows[column].astype(np.int64) for column in columns], axis=1)
    return len(np.unique(ids, axis=0)) == len(ids)


def wrapped(words: Sequence[str], indent: str, width: int = 120) -> list[str]:
    """Lays out words in lines.

    Args:
      words: separated by commas.
      indent: begins every line.
      width: largest length of a line.

    Returns:
      Lines of text.
    """
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 2 <= width:
            lines[-1] += f", {word}"
        else:
            lines.append(indent + word)
    return lines
