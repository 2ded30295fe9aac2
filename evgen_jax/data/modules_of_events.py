"""Modules of events in tables: those of pulses, those that take no part, time windows that take no part."""

import logging
from functools import lru_cache
from pathlib import Path

import numpy as np

from evgen_jax.data.event_ids import EventIds
from evgen_jax.data.protocol import Tables
from evgen_jax.data.tables import existing
from evgen_jax.errors import DataError
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.measured import NO_WINDOWS
from evgen_jax.measurement.ragged import NO_ROWS, Rows

LOGGER = logging.getLogger("evgen_jax")
WINDOW_COLUMNS = (("start", "stop"), ("start_time", "stop_time"), ("time", "width"))
"""Names of the ends of time windows: of our own tables, of an I3TimeWindowSeriesMap that tableio books, and of windows that were booked
as pulses, with the stop time in 'width'."""


def doms_of(
    file: Tables, table: str, rows: np.ndarray, ids: EventIds, detector: Detector
) -> tuple[np.ndarray, np.ndarray, int]:
    """Finds the event and the DOM of each row of a table.

    Args:
      file: that holds the table.
      table: its name.
      rows: of the table [R], with string and om.
      ids: of the events.
      detector: gives DOM labels their place.

    Returns:
      Event [R], -1 for none; DOM [R], -1 for one that the detector ignores or of no event; number of ignored rows.

    Raises:
      DataError: a DOM that the detector does not know.
    """
    event = ids.match(table, rows)
    dom = detector.dom_index(rows["string"], rows["om"])
    lacking = (dom < 0) & (event >= 0)
    if not lacking.any():
        return event, dom, 0
    unknown = lacking & ~detector.is_ignored(rows["string"], rows["om"])
    if unknown.any():
        row = rows[np.argmax(unknown)]
        raise DataError(
            f"{file.path}: table '{table}' has a DOM (string {row['string']}, om {row['om']}) that the detector "
            f"'{detector.name}' does not know. Give its geometry in detector_settings.geometry, or, if it is no part of the array, "
            f"write a line such as '# ignored: string {row['string']}, om {row['om']}' into the detector's table."
        )
    return event, dom, int(lacking.sum())


def _absent(file: Tables, key: str, consequence: str) -> bool:
    """Whether a table of exclusions is not there, told once a folder: files without exclusions may lack it."""
    if file.has(key):
        return False
    say_once_a_folder(file.path, f"table '{key}' is missing in its files; {consequence}.")
    return True


def say_once_a_folder(path: Path, text: str) -> None:
    """Warns once of what the files of a folder have in common.

    Args:
      path: of one of them.
      text: what it is.
    """
    say_once(f"{path.absolute().parent}: {text}")


@lru_cache(maxsize=64)
def say_once(text: str) -> None:
    """Warns once in the life of the process."""
    LOGGER.warning("%s", text)


def read_doms(file: Tables, key: str | None, ids: EventIds, detector: Detector) -> Rows:
    """Reads modules that take no part in an event.

    Args:
      file: that holds the table.
      key: its name; None for none.
      ids: of the events.
      detector: gives DOM labels their place.

    Returns:
      Events and DOMs.

    Raises:
      DataError: a DOM that the detector does not know.
    """
    if key is None or _absent(file, key, "no further DOM is excluded"):
        return NO_ROWS
    rows = existing(file.read(key, ("string", "om")))
    event, dom, _ = doms_of(file, key, rows, ids, detector)
    good = (event >= 0) & (dom >= 0)
    return Rows(event[good], dom[good])


def read_windows(file: Tables, key: str | None, ids: EventIds, detector: Detector) -> Rows:
    """Reads excluded windows, whose ends have one of the pairs of names of `WINDOW_COLUMNS`.

    Args:
      file: that holds the table.
      key: its name; None for none.
      ids: of the events.
      detector: gives DOM labels their place.

    Returns:
      Events and DOMs, with start and stop in ns.

    Raises:
      DataError: a DOM that the detector does not know, or columns that are no windows.
    """
    if key is None or _absent(file, key, "no time window is excluded"):
        return NO_WINDOWS
    rows = existing(file.read(key, ("string", "om")))
    own = rows.dtype.names or ()
    names = next((pair for pair in WINDOW_COLUMNS if set(pair) <= set(own)), None)
    if names is None:
        raise DataError(
            f"{file.path}: table '{key}' (time_exclusions_key) has the columns {', '.join(own)}; expected start and stop, or "
            "start_time and stop_time, or time and width with the stop time in 'width', in ns."
        )
    rows = existing(file.read(key, names))
    if "width" in names and len(rows) and np.mean(rows["width"] < rows["time"]) > 0.5:
        raise DataError(
            f"{file.path}: table '{key}' (time_exclusions_key): in most rows 'width' is before 'time', expected the time at which "
            "the window stops. Write columns start and stop, in ns."
        )
    event, dom, _ = doms_of(file, key, rows, ids, detector)
    good = (event >= 0) & (dom >= 0)
    start, stop = (rows[name].astype(np.float64)[good] for name in names)
    return Rows(event[good], dom[good], {"start": start, "stop": stop})
