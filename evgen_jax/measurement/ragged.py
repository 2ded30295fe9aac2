"""Tables of many events in one: rows that name their event, or rows sorted by event with offsets between events."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Holds N rows in any order, each of one module in one event.

    Attributes:
      event: [N], number of the event.
      dom: [N], place in the detector's tables.
      values: further columns [N] by name.
    """

    event: np.ndarray
    dom: np.ndarray
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.event)

    def __getitem__(self, name: str) -> np.ndarray:
        """A column [N] of `values`."""
        return self.values[name]

    def select(self, kept: np.ndarray) -> "Rows":
        """Selects some of the rows.

        Args:
          kept: [N] flags, or places of rows.

        Returns:
          The selected rows.
        """
        if kept.dtype == bool and kept.all():
            return self
        return Rows(self.event[kept], self.dom[kept], {k: v[kept] for k, v in self.values.items()})

    def key(self, num_doms: int) -> np.ndarray:
        """Computes one number per event and module, which sorts by event, then by module.

        Args:
          num_doms: D, modules of the detector.

        Returns:
          Keys [N], int64: event * D + dom.
        """
        return self.event.astype(np.int64) * num_doms + self.dom


NO_ROWS = Rows(np.zeros(0, np.int64), np.zeros(0, np.int64))
"""Table without rows and without further columns."""


@dataclass(frozen=True)
class Ragged:
    """Holds values of E events behind each other: event i has the entries offsets[i] : offsets[i + 1] of every column.

    Attributes:
      values: columns [N, ...] by name.
      offsets: [E + 1], from 0 to N.
    """

    values: Mapping[str, np.ndarray]
    offsets: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        """A column [N, ...] of all events."""
        return self.values[name]

    @property
    def sizes(self) -> np.ndarray:
        """Returns the number of entries of every event [E]."""
        return np.diff(self.offsets)

    def span(self, i: int) -> "Span":
        """Returns where the entries of one event lie: this table, and the range of entries.

        Args:
          i: number of the event, 0 to E - 1.

        Returns:
          (table, start, stop): the event has the entries start : stop of every column of the table.
        """
        return self, int(self.offsets[i]), int(self.offsets[i + 1])

    def of(self, i: int) -> dict[str, np.ndarray]:
        """Returns the entries of one event.

        Args:
          i: number of the event, 0 to E - 1.

        Returns:
          Columns by name, each as long as the event has entries.
        """
        own = slice(self.offsets[i], self.offsets[i + 1])
        return {name: column[own] for name, column in self.values.items()}


Span = tuple[Ragged, int, int]
"""Range of entries of a table: the table, and start and stop of the range."""
