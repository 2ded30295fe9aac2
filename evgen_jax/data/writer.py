"""Writing of events into HDF5 with the table layout of IceCube's tableio, as `event_file` reads it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jax.typing import ArrayLike

from evgen_jax.data.file_detector import DETECTOR_NAME, FINGERPRINT, MEDIUM_FINGERPRINT, MEDIUM_NAME, PROVENANCE
from evgen_jax.data.hdf5_output import new_hdf5
from evgen_jax.data.wide_tables import divide, mark
from evgen_jax.data.written_columns import PULSES as PULSE_COLUMNS
from evgen_jax.data.written_columns import check_columns, check_ids, check_labels, check_modules, check_pulses
from evgen_jax.errors import DataError
from evgen_jax.measurement.detector import Detector, geometry_fingerprint
from evgen_jax.physics.medium import fingerprint as medium_fingerprint

TABLE_LIGHT = (
    "light of tables of photon transport in lengths averaged along straight ways; not IceCube simulation; no tilt, no "
    "birefringence, no hole-ice columns"
)
"""Provenance of files whose light is computed, stored in their attributes."""
LABELS = "LabelsDeepLearning"
"""Table of labels, as label_settings.label_key has it where a configuration names none."""
EVENTS = "Events"
"""Table of the ids of events, where no other has one row per event."""
PULSES = "Pulses"
"""Table of pulses, where the writer is given no other name."""
ID_TYPES = [("Run", "<u4"), ("Event", "<u4"), ("SubEvent", "<u4"), ("SubEventStream", "<i4"), ("exists", "u1")]
"""Columns, with their types, that every table of a file begins with."""


def write_events(
    path: str | Path,
    run: ArrayLike = 1,
    num_events: int | None = None,
    pulses: Mapping[str, ArrayLike] | None = None,
    tables: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    *,
    labels: Mapping[str, ArrayLike] | None = None,
    event_ids: ArrayLike | None = None,
    module_tables: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    pulse_key: str = PULSES,
    dom_tables: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    detector: Detector | None = None,
    notice: str = "",
) -> None:
    """Writes events into one file, which appears under its name only when complete.

    Args:
      path: output file.
      run: run number of all events, or of every event [E].
      num_events: E; None: as many as labels, event_ids or rows of a table, else as the pulses name.
      pulses: columns event [P] (number of the event, from 0), string [P], om [P], time [P] (ns) and charge [P] (PE), in any
        order of rows.
      tables: table name -> column name -> values [E], one row per event, such as readout windows with start and stop (ns)
        or seeds; any number of columns (see `wide_tables`).
      labels: column name -> values [E], such as cascade_x (m), cascade_zenith (rad), cascade_energy (GeV), cascade_time (ns):
        the table LabelsDeepLearning, which is read where a configuration names no other.
      event_ids: event numbers [E]; None: from 0. Run and event together tell events apart.
      module_tables: table name -> columns event [X], string [X] and om [X] of modules that take no part in an event, or with
        start [X] and stop [X] (ns) time windows that take no part.
      pulse_key: name of the pulse table.
      dom_tables: table name -> (string, om) of DOMs that are listed in every event.
      detector: whose labels these are; its fingerprint and that of its medium are stored, so that the file is refused
        for another one.
      notice: provenance, stored in the file's attributes.

    Raises:
      DataError: no such folder, columns of unequal lengths, a column that is missing or unknown, numbers that cannot be, events with equal ids, or a
        module that the detector does not have; nothing is written.
      OSError: it cannot be written, for want of room perhaps.

    Example:
      pulses = {"event": [0, 0, 1], "string": [1, 1, 2], "om": [5, 6, 1], "time": [9900.0, 9950.0, 9800.0], "charge": [1.2, 0.7, 1.0]}
      labels = {"cascade_x": [3.0, -20.0], "cascade_energy": [1e4, 2e3]}
      eg.data.write_events("events.hdf5", pulses=pulses, labels=labels, run=[7, 7])
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DataError(f"{path}: the folder {path.parent} does not exist. Make it first.")
    single = {name: check_columns(name, columns) for name, columns in (tables or {}).items()}
    if labels is not None:
        single[LABELS] = check_columns("labels", labels)
        check_labels(single[LABELS])
    if not single:
        single[EVENTS] = {}
    p = check_columns("pulses", pulses or {}, PULSE_COLUMNS)
    check_pulses(p)
    ids = check_ids(run, event_ids, num_events, single, p["event"])
    modules = {
        name: check_columns(name, columns, ("event", "string", "om")) for name, columns in (module_tables or {}).items()
    }
    for name, columns in {"pulses": p, **modules}.items():
        check_modules(name, columns, len(ids[0]), detector)
    order = np.lexsort((p["time"], p["om"], p["string"], p["event"]))
    p = {name: values[order] for name, values in p.items()}
    number = {pulse_key: p["event"]}
    everything = {
        pulse_key: _rows(
            ids,
            p["event"],
            {
                "string": ("<i4", p["string"]),
                "om": ("<u4", p["om"]),
                "pmt": ("<u4", np.zeros(len(order))),
                "vector_index": ("<u8", _running(p["event"], p["string"], p["om"])),
                "time": ("<f8", p["time"]),
                "width": ("<f8", np.ones(len(order))),
                "charge": ("<f8", p["charge"]),
            },
        )
    }
    listed = _in_every_event(dom_tables or {}, len(ids[0])) | modules
    for name, columns in listed.items():
        by_event = np.argsort(columns["event"], kind="stable")
        own = {column: values[by_event] for column, values in columns.items()}
        number[name] = own.pop("event")
        kinds = {"string": "<i4", "om": "<u4"}
        index = {"vector_index": ("<u8", _running(number[name]))}
        everything[name] = _rows(
            ids, number[name], index | {column: (kinds.get(column, "<f8"), values) for column, values in own.items()}
        )
    for name, columns in single.items():
        number[name] = np.arange(len(ids[0]))
        everything[name] = _rows(ids, number[name], {column: ("<f8", values) for column, values in columns.items()})

    with new_hdf5(path) as file:
        file.attrs[PROVENANCE] = notice
        if detector is not None:
            file.attrs[FINGERPRINT], file.attrs[DETECTOR_NAME] = geometry_fingerprint(detector), detector.name
            medium = detector.medium
            file.attrs[MEDIUM_FINGERPRINT], file.attrs[MEDIUM_NAME] = medium_fingerprint(medium), medium.name
        entries = file.create_group("__I3Index__")
        for name, rows in everything.items():
            edges = np.searchsorted(number[name], np.arange(len(ids[0]) + 1))
            limits = {"start": ("<u8", edges[:-1]), "stop": ("<u8", edges[1:])}
            datasets = divide(name, rows, [column for column, _ in ID_TYPES])
            for dataset, part in datasets.items():
                table = file.create_dataset(dataset, data=part, compression="gzip", shuffle=True)
                table.attrs["__I3RaggedTable__"] = np.array([int(name not in single)], np.int8)
                table.attrs[PROVENANCE] = notice
                entries.create_dataset(dataset, data=_rows(ids, np.arange(len(ids[0])), limits))
            mark(file, name, list(datasets))


def _rows(
    ids: tuple[np.ndarray, np.ndarray], number: np.ndarray, columns: Mapping[str, tuple[str, np.ndarray]]
) -> np.ndarray:
    """Makes a table with id columns of events by their number; `columns` is name -> (type, values)."""
    rows = np.zeros(len(number), dtype=ID_TYPES + [(name, kind) for name, (kind, _) in columns.items()])
    rows["Run"], rows["Event"], rows["exists"] = ids[0][number], ids[1][number], 1
    for name, (_, values) in columns.items():
        rows[name] = values
    return rows


def _running(*keys: np.ndarray) -> np.ndarray:
    """Numbers rows that have equal keys and stand behind each other, from 0."""
    count = len(keys[0])
    if not count:
        return np.zeros(0, np.int64)
    new = np.ones(count, bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    start = np.flatnonzero(new)
    return np.arange(count) - np.repeat(start, np.diff(np.append(start, count)))


def _in_every_event(
    dom_tables: Mapping[str, tuple[np.ndarray, np.ndarray]], events: int
) -> dict[str, dict[str, np.ndarray]]:
    """Columns of tables that list the same modules in every event."""
    return {
        name: {
            "event": np.repeat(np.arange(events), len(string)),
            "string": np.tile(string, events),
            "om": np.tile(om, events),
        }
        for name, (string, om) in dom_tables.items()
    }
