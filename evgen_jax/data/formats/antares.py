"""HDF5 of ANTARES: the layout of tableio, in which triggers tell the events of a time slice apart."""

import numpy as np

from evgen_jax.data.protocol import CachedTables, columns_of, rows_of
from evgen_jax.data.tables import TableFile

TRIGGER = "TriggerCounter"
"""Column of the trigger of an event, which is its sub-event."""


class AntaresTables(CachedTables):
    """Gives the tables of ANTARES the column SubEvent.

    Args:
      tables: an open file.
    """

    format = "ANTARES HDF5 (tableio)"

    def __init__(self, tables: TableFile):
        super().__init__(tables.path)
        self._tables = tables

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables."""
        return self._tables.table_names

    def _load(self, name: str) -> np.ndarray:
        columns = columns_of(self._tables.read(name))
        return rows_of({"SubEvent" if column == TRIGGER else column: values for column, values in columns.items()})


def is_antares(tables: TableFile) -> bool:
    """Returns whether the tables of a file name triggers and no sub-events.

    Args:
      tables: an open file.
    """
    first = next((own for name in tables.table_names if "Event" in (own := tables.columns(name))), ())
    return TRIGGER in first and "SubEvent" not in first
