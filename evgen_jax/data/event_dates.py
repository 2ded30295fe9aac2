"""When events were seen: the dates in the event headers of a file."""

from pathlib import Path

import numpy as np

from evgen_jax.config.records import FormatSettings
from evgen_jax.data.event_ids import EventIds
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.tables import existing
from evgen_jax.errors import DataError

HEADER = "I3EventHeader"
"""Table of event headers."""
DATE = "time_start_mjd"
"""Column with the begin of the readout, UTC, as a modified Julian date."""
PARTS = ("time_start_mjd_day", "time_start_mjd_sec", "time_start_mjd_ns")
"""Columns of tables without it: day, seconds and nanoseconds."""


def event_dates(path: Path, ids: np.ndarray, settings: FormatSettings | None = None) -> np.ndarray:
    """Reads when events were seen.

    Args:
      path: of an event file with the table I3EventHeader, as tableio writes it.
      ids: [E, 4], Run, Event, SubEvent, SubEventStream of the events.
      settings: what the format of the file needs to be told; None: nothing.

    Returns:
      Begins of the readouts [E], UTC, modified Julian dates in days.

    Raises:
      DataError: no such table, it has no dates, or none for one of the events.
    """
    with open_tables(path, settings) as file:
        if not file.has(HEADER):
            raise DataError(
                f"{path}: has no table '{HEADER}', which tells when events were seen. Give the date: --mjd 58018.87."
            )
        headers, rows = EventIds(file, HEADER), existing(file.read(HEADER))
        if DATE in (rows.dtype.names or ()):
            dates = rows[DATE].astype(np.float64)
        else:
            file.read(HEADER, PARTS)  # says which column is missing
            day, seconds, nanoseconds = (rows[name].astype(np.float64) for name in PARTS)
            dates = day + (seconds + 1e-9 * nanoseconds) / 86400
    place = {tuple(own): i for i, own in enumerate(headers.values.tolist())}
    own = [tuple(event) for event in np.asarray(ids).tolist()]
    for run, event, *_ in (event for event in own if event not in place):
        raise DataError(f"{path}: table '{HEADER}' has no row for run {run}, event {event}. Give the date with --mjd.")
    return dates[[place[event] for event in own]]
