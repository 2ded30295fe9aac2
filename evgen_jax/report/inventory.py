"""What an event file holds: format, tables, ranges, likely units, and what is missing for training and for fitting."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.event_ids import ID_COLUMNS, EventIds
from evgen_jax.data.file_detector import DETECTOR_NAME, FINGERPRINT
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.found_tables import chosen_tables
from evgen_jax.data.labels import label_names
from evgen_jax.data.protocol import Tables
from evgen_jax.data.tables import existing
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.hypothesis.names import other_spelling
from evgen_jax.measurement.detector import Detector
from evgen_jax.report.table_inventory import TableInventory, is_single, range_of, table_inventory, wrapped
from evgen_jax.report.units import doubtful_units

SEED = {"x", "y", "z", "zenith", "azimuth", "energy", "time"}
"""Columns of a table of seeds of cascades."""


TRUTH = ("label", "truth")
"""Parts of names of tables that hold the truth."""


@dataclass(frozen=True)
class FileInventory:
    """Holds what an event file holds.

    Attributes:
      path: of the file.
      format: what it is in words.
      tables: all of them.
      events: number of events; None where no table tells.
      pulses: a sentence on the pulses.
      for_training: what is missing, or ''.
      for_fitting: what is missing, or ''.
      doubts: values that cannot be in the expected unit.
      notes: how the tables were made.
      sensors: label (string, om) -> place [3], m, of sensors whose places the file tells.
      detector: how the file names its detector; '' where it does not.
    """

    path: Path
    format: str
    tables: tuple[TableInventory, ...]
    events: int | None
    pulses: str
    for_training: str
    for_fitting: str
    doubts: tuple[str, ...]
    notes: tuple[str, ...]
    sensors: Mapping[tuple[int, int], np.ndarray]
    detector: str

    def lines(self, columns: bool = True) -> list[str]:
        """Returns the inventory as lines of text.

        Args:
          columns: whether the ranges of columns are listed.
        """
        count = "unknown number of events" if self.events is None else f"{self.events} events"
        width = max((len(table.name) for table in self.tables), default=0)
        out = [f"{self.path}: {self.format}, {count}" + (f", detector {self.detector}" if self.detector else "")]
        for table in self.tables:
            out.append(f"  {table.name:{width}}  {table.rows:8d} rows  {table.kind}")
            if columns:
                out += wrapped([str(column) for column in table.columns], " " * (width + 4))
        out += [f"  pulses: {self.pulses}"] if self.pulses else []
        out.append(f"  for training: {self.for_training or 'complete'}")
        out.append(f"  for fitting: {self.for_fitting or 'complete'}")
        out += [f"  doubtful: {doubt}" for doubt in self.doubts]
        return out + [f"  {note}" for note in self.notes]


def inventory(path: str | Path, settings: DataHandlerSettings) -> FileInventory:
    """Finds out what an event file holds.

    Args:
      path: of the file or folder.
      settings: names of tables and labels; what they leave open is told by the file.

    Returns:
      The inventory.

    Raises:
      DataError: a file that cannot be read.
    """
    with open_tables(path, settings.format_settings) as file:
        rows: dict[str, np.ndarray] = {}
        unread: dict[str, str] = {}
        for name in file.table_names:
            try:
                rows[name] = existing(file.read(name))
            except DataError as error:
                unread[name] = str(error).removeprefix(f"{file.path}: ")
        try:
            names = chosen_tables(file, settings)
        except ConfigError as error:
            return _without_events(file, rows, unread, str(error))
        events, problem = _events(file, names.events)
        tables = [table_inventory(name, own) for name, own in rows.items()]
        pulses = rows.get(names.pulses)
        said, lacking = "", f"the table of pulses '{names.pulses}' is missing"
        if pulses is not None:
            lacking = _lacking(pulses, ("string", "om", "time", "charge"), names.pulses)
            lacking = lacking or ("" if len(pulses) else f"table '{names.pulses}' holds no pulse")
            said = "" if lacking else _pulses(names.pulses, pulses, events)
        labels = rows.get(names.labels)
        unlabelled = f"the table of labels '{names.labels}' is missing"
        if labels is None:
            truths = [name for name, own in rows.items() if any(p in name.lower() for p in TRUTH) and is_single(own)]
            if truths:
                key = "data_handler_settings.label_settings.label_key"
                unlabelled += f"; {' or '.join(truths)} may be it: --set {key}={truths[0]}, or evgen-jax init FILES, which finds it"
        else:
            unlabelled = _lacking(labels, label_names(settings), names.labels)
        if unlabelled and "cascade_time" in unlabelled and labels is not None:
            unlabelled += " (format_settings.vertex_time gives one time to all)"
        seeds = [name for name, own in rows.items() if set(own.dtype.names or ()) >= SEED and is_single(own)]
        fitting = "; ".join(filter(None, (problem, lacking)))
        if not fitting:
            fitting = f"complete; seeds: {', '.join(seeds)}" if seeds else "complete without seeds (seed: pulses)"
        return FileInventory(
            file.path,
            file.format,
            (*tables, *(TableInventory(name, 0, f"cannot be read: {why}", ()) for name, why in unread.items())),
            events,
            said,
            "; ".join(filter(None, (problem, lacking, unlabelled))),
            fitting,
            tuple(doubtful_units(pulses, labels)) if not lacking and pulses is not None else (),
            tuple(dict.fromkeys(file.notes)),
            _sensors(pulses),
            _detector(file),
        )


def different_detectors(files: Sequence[FileInventory]) -> list[str]:
    """Finds files that are of another detector than the first one.

    Args:
      files: inventories.

    Returns:
      One sentence per file: it names another detector, or its sensors stand elsewhere.
    """
    found = []
    known: dict[tuple[int, int], np.ndarray] = {}
    for file in files:
        first = files[0]
        moved = [
            label
            for label, place in file.sensors.items()
            if label in known and np.linalg.norm(place - known[label]) > 1
        ]
        if file.detector and first.detector and file.detector != first.detector:
            found.append(
                f"{file.path}: is of the detector {file.detector}, {first.path} of {first.detector}: two detectors"
            )
        elif moved:
            string, om = moved[0]
            found.append(
                f"{file.path}: the sensor (string {string}, om {om}) stands elsewhere than in the files before it ({len(moved)} "
                "sensors do): two detectors"
            )
        known = {**file.sensors, **known}
    return found


def detector_lines(detector: Detector) -> list[str]:
    """Describes a detector.

    Args:
      detector: any detector, of concrete numbers.

    Returns:
      Lines of text: sensors, places, what they are.
    """
    position = np.asarray(detector.position, np.float64) + np.asarray(detector.origin)
    low, high, area = position.min(axis=0), position.max(axis=0), np.unique(np.asarray(detector.area))
    extent = ", ".join(f"{axis} {a:.6g} to {b:.6g}" for axis, a, b in zip("xyz", low, high, strict=True))
    places, strings = len(np.unique(position, axis=0)), len(np.unique(np.asarray(detector.string)))
    areas = f"{area[0]:.4g}" if len(area) == 1 else f"{area[0]:.4g} to {area[-1]:.4g}"
    usable = int(np.sum(np.asarray(detector.usable)))
    return [
        f"{detector.name}: {detector.num_doms} sensors at {places} places, {strings} strings, {usable} usable",
        f"  {extent} m",
        f"  areas {areas} m^2; kinds: {', '.join(dict.fromkeys(curve.name for curve in detector.kinds))}",
    ]


def _without_events(file: Tables, rows: Mapping[str, np.ndarray], unread: Mapping[str, str], why: str) -> FileInventory:
    tables = [table_inventory(name, own) for name, own in rows.items()]
    tables += [TableInventory(name, 0, f"cannot be read: {text}", ()) for name, text in unread.items()]
    why = why.removeprefix(f"{file.path}: ").rstrip(".")
    return FileInventory(
        file.path,
        file.format,
        tuple(tables),
        None,
        "",
        why,
        why,
        (),
        tuple(dict.fromkeys(file.notes)),
        {},
        _detector(file),
    )


def _events(file: Tables, table: str) -> tuple[int | None, str]:
    try:
        return len(EventIds(file, table)), ""
    except DataError as error:
        return None, str(error).removeprefix(f"{file.path}: ").rstrip(".")


def _lacking(rows: np.ndarray, columns: Iterable[str], table: str) -> str:
    known = rows.dtype.names or ()
    missing = [column for column in columns if column not in known and other_spelling(column) not in known]
    return f"table '{table}' has no column {', '.join(missing)}" if missing else ""


def _pulses(name: str, rows: np.ndarray, events: int | None) -> str:
    sensors = len(np.unique(np.stack([rows["string"], rows["om"]], axis=1), axis=0)) if len(rows) else 0
    own = [column for column in ID_COLUMNS if column in (rows.dtype.names or ())]
    lit = (
        len(np.unique(np.stack([rows[column].astype(np.int64) for column in own], axis=1), axis=0)) if len(rows) else 0
    )
    dark = "" if events is None or lit >= events else f", {events - lit} events without any"
    return f"{name}: {len(rows)} at {sensors} sensors{dark}; {range_of('time', rows['time'])} ns, {range_of('charge', rows['charge'])} PE"


def _sensors(rows: np.ndarray | None) -> dict[tuple[int, int], np.ndarray]:
    if rows is None or not {"string", "om", "x", "y", "z"} <= set(rows.dtype.names or ()):
        return {}
    labels = np.stack([rows["string"], rows["om"]], axis=1).astype(np.int64).reshape(-1, 2)
    unique, first = np.unique(labels, axis=0, return_index=True)
    places = np.stack([rows[axis][first].astype(np.float64) for axis in "xyz"], axis=1)
    return {(string, om): place for (string, om), place in zip(unique.tolist(), places, strict=True)}


def _detector(file: Tables) -> str:
    own = file.attribute(FINGERPRINT)
    if own is not None:
        return f"'{file.attribute(DETECTOR_NAME)}' ({str(own)[:8]})"
    number = file.attribute("det_id")
    return str(number) if number else ""  # 0: not known
