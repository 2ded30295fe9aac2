"""Constraints on values in tables, by which a configuration selects events of a file."""

import numpy as np

from evgen_jax.config.records import FilterSettings
from evgen_jax.data.event_ids import EventIds
from evgen_jax.data.protocol import Tables
from evgen_jax.data.tables import existing
from evgen_jax.errors import DataError

OPERATORS = {"<": np.less, ">": np.greater, "==": np.equal, "<=": np.less_equal, ">=": np.greater_equal}
"""Operator of a constraint in configurations -> function."""


def pass_filter(file: Tables, settings: FilterSettings, ids: EventIds) -> np.ndarray:
    """Finds the events that fulfil the constraints of a configuration.

    Args:
      file: open file with the tables that the constraints name.
      settings: constraints (table, column, operator, threshold); a column that is a number is a vector index.
      ids: E events.

    Returns:
      Flags [E]; False where an event has no value.

    Raises:
      DataError: an unknown operator, or a table or column that is missing.
    """
    keep = np.ones(len(ids), bool)
    for table, column, operator, threshold in settings.constraints:
        if operator not in OPERATORS:
            raise DataError(f"filter constraint on {table}.{column}: '{operator}' is none of {', '.join(OPERATORS)}.")
        if isinstance(column, int):
            rows = existing(file.read(table, ("item", "vector_index")))
            rows = rows[rows["vector_index"] == column]
            values = np.full(len(ids), np.nan)
            event = ids.match(table, rows)
            values[event[event >= 0]] = rows["item"][event >= 0]
        else:
            values = ids.align(table, (column,))[:, 0]
        keep &= OPERATORS[operator](values, threshold)
    return keep
