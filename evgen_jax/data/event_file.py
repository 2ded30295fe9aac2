"""One HDF5 file to events: pulses, exclusions, labels and seeds, joined by event id."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.labels import label_columns
from evgen_jax.data.tables import TableFile, event_keys, existing, match_events
from evgen_jax.detector import Detector
from evgen_jax.errors import DataError
from evgen_jax.event import Event
from evgen_jax.packing import PackedEvents, pack_events, pad_events

LOGGER = logging.getLogger("evgen_jax")
OPERATORS = {
    "<": np.less, ">": np.greater, "==": np.equal, "<=": np.less_equal, ">=": np.greater_equal,
}  # fmt: skip
LAST_IN_ICE_OM = 60
FIRST_ICETOP_OM = 61
LAST_ICETOP_OM = 66


@dataclass(frozen=True)
class EventFile:
    """The events of one file.

    Attributes:
      ids: [E, 4], Run, Event, SubEvent, SubEventStream.
      labels: [E, H] or None.
      seeds: name -> [E, n].
      packed: pulses and exclusions.
    """

    path: Path
    ids: np.ndarray
    labels: np.ndarray | None
    seeds: dict[str, np.ndarray]
    packed: PackedEvents

    def __len__(self) -> int:
        return len(self.ids)

    def event(self, i: int) -> Event:
        """Event number i, padded to its own buckets."""
        return jax.tree.map(lambda x: x[0], pad_events([(self.packed, i)]))


def read_event_file(
    path: str | Path,
    settings: DataHandlerSettings,
    detector: Detector,
    *,
    labels: bool = True,
    seed_names: Sequence[str] = (),
    seed_columns: Sequence[str] = (),
    seed_defaults: dict[str, float] | None = None,
) -> EventFile:
    """Reads one file.

    Args:
      path: HDF5 file with tables as IceCube writes them.
      settings: which tables and columns.
      detector: gives DOM labels their index.
      labels: whether to read the label table.
      seed_names, seed_columns: tables with reconstruction seeds and their columns, in hypothesis order.
      seed_defaults: values of seed columns that a table does not have.

    Raises:
      DataError: a table or column is missing, a DOM is unknown, or a charge or time is invalid; names file and place.
    """
    path = Path(path)
    data = settings.data_settings
    with TableFile(path) as file:
        rows = existing(file.read(data.event_id_key))
        ids = event_keys(rows)
        ids = ids[_filter(file, settings, ids)]
        label_values = label_columns(file, settings, ids) if labels else None
        pulse_rows = existing(file.read(data.pulse_key, ("string", "om", "charge", "time")))
        event, dom = _doms(path, data.pulse_key, pulse_rows, ids, detector)
        good = (event >= 0) & (dom >= 0)
        if not good.all():
            event, dom, pulse_rows = event[good], dom[good], pulse_rows[good]
        charge, time = pulse_rows["charge"].astype(np.float64), pulse_rows["time"].astype(np.float64)
        _check_values(path, data.pulse_key, charge, time, ids, event)
        excluded = _read_doms(file, data.dom_exclusions_key, ids, detector)
        windows = _read_windows(file, data.time_exclusions_key, ids, detector)
        readout = None
        if data.readout_window_key is not None:
            readout = _aligned(file, data.readout_window_key, ("start", "stop"), ids)
        seeds = {name: _aligned(file, name, tuple(seed_columns), ids, seed_defaults or {}) for name in seed_names}

    packed = pack_events(
        event, dom, charge, time, num_events=len(ids), num_doms=detector.num_doms, excluded_event=excluded[0],
        excluded_dom=excluded[1], window_event=windows[0], window_dom=windows[1], window=windows[2], readout=readout,
        window_buffer=data.time_window_buffer, discard_excluded=data.discard_pulses_from_excluded_doms,
    )  # fmt: skip
    return EventFile(path, ids, label_values, seeds, packed)


def _doms(path: Path, table: str, rows: np.ndarray, ids: np.ndarray, detector: Detector):
    """Event and DOM index per row; DOM -1 for modules of the surface array, which are skipped."""
    event = match_events(rows, ids)
    dom = detector.dom_index(rows["string"], rows["om"])
    surface = (rows["om"] >= FIRST_ICETOP_OM) & (rows["om"] <= LAST_ICETOP_OM)
    unknown = (dom < 0) & ~surface & (event >= 0)
    if unknown.any():
        row = rows[np.argmax(unknown)]
        raise DataError(
            f"{path}: table '{table}' has a DOM (string {row['string']}, om {row['om']}) that the detector "
            f"'{detector.name}' does not know. Give its geometry in detector_settings.geometry."
        )
    return event, dom


def _check_values(path: Path, table: str, charge: np.ndarray, time: np.ndarray, ids: np.ndarray, event) -> None:
    bad = ~(np.isfinite(charge) & (charge >= 0) & np.isfinite(time))
    if bad.any():
        i = int(np.argmax(bad))
        run, number = ids[event[i]][:2]
        raise DataError(
            f"{path}: table '{table}': run {run}, event {number} has a pulse with charge {charge[i]} PE at "
            f"{time[i]} ns; charges must be finite and not negative, times finite."
        )


def _absent(file: TableFile, key: str, consequence: str) -> bool:
    """Whether a table of exclusions is not there, with a warning: files without exclusions may lack it."""
    if not file.has(key):
        LOGGER.warning("%s: table '%s' is missing; %s.", file.path, key, consequence)
        return True
    return False


def _read_doms(file: TableFile, key: str | None, ids: np.ndarray, detector: Detector):
    if key is None or _absent(file, key, "no DOM is excluded"):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows = existing(file.read(key, ("string", "om")))
    event, dom = _doms(file.path, key, rows, ids, detector)
    good = (event >= 0) & (dom >= 0)
    return event[good], dom[good]


def _read_windows(file: TableFile, key: str | None, ids: np.ndarray, detector: Detector):
    """Excluded windows; a table without 'stop' keeps the stop time in its column 'width', as tableio books it."""
    if key is None or _absent(file, key, "no time window is excluded"):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2))
    rows = existing(file.read(key, ("string", "om")))
    names = ("start", "stop") if "stop" in (rows.dtype.names or ()) else ("time", "width")
    rows = existing(file.read(key, names))
    event, dom = _doms(file.path, key, rows, ids, detector)
    good = (event >= 0) & (dom >= 0)
    window = np.stack([rows[n].astype(np.float64) for n in names], axis=1)[good]
    if not np.all(np.isfinite(window)) or np.any(window[:, 1] < window[:, 0]):
        raise DataError(f"{file.path}: table '{key}' has a window that is not finite or stops before it starts.")
    return event[good], dom[good], window


def _aligned(
    file: TableFile, table: str, columns: tuple[str, ...], ids: np.ndarray, defaults: dict[str, float] | None = None
) -> np.ndarray:
    """Columns of a table with one row per event [E, n], joined by event id; NaN where an event has no row."""
    defaults = defaults or {}
    rows = file.read(table)
    present = rows.dtype.names or ()
    rows = existing(file.read(table, tuple(c for c in columns if c not in defaults or c in present)))
    values = np.full((len(ids), len(columns)), np.nan)
    event = match_events(rows, ids)
    for i, column in enumerate(columns):
        values[event[event >= 0], i] = rows[column][event >= 0] if column in present else defaults[column]
    return values


def _filter(file: TableFile, settings: DataHandlerSettings, ids: np.ndarray) -> np.ndarray:
    keep = np.ones(len(ids), bool)
    for table, column, operator, threshold in settings.filter_settings.constraints:
        if operator not in OPERATORS:
            raise DataError(f"filter constraint on {table}.{column}: '{operator}' is none of {', '.join(OPERATORS)}.")
        if isinstance(column, int):
            rows = existing(file.read(table, ("item", "vector_index")))
            rows = rows[rows["vector_index"] == column]
            values = np.full(len(ids), np.nan)
            event = match_events(rows, ids)
            values[event[event >= 0]] = rows["item"][event >= 0]
        else:
            values = _aligned(file, table, (column,), ids)[:, 0]
        keep &= OPERATORS[operator](values, threshold)
    return keep
