"""Writing of events into HDF5 with the table layout of IceCube's tableio, as `event_file` reads it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evgen_jax.data.file_detector import DETECTOR_NAME, FINGERPRINT, MEDIUM_FINGERPRINT, MEDIUM_NAME
from evgen_jax.data.hdf5_output import new_hdf5
from evgen_jax.data.wide_tables import divide, mark
from evgen_jax.measurement.detector import Detector, geometry_fingerprint
from evgen_jax.physics.medium import fingerprint as medium_fingerprint

PROVENANCE = (
    "light of tables of photon transport in lengths averaged along straight ways; not IceCube simulation; no tilt, no "
    "birefringence, no hole-ice columns"
)
"""Provenance of files whose light is computed, stored in their attributes."""
ID_TYPES = [("Run", "<u4"), ("Event", "<u4"), ("SubEvent", "<u4"), ("SubEventStream", "<i4"), ("exists", "u1")]
"""Columns, with their types, that every table of a file begins with."""


def _rows(run: int, event: np.ndarray, columns: Mapping[str, tuple[str, np.ndarray]]) -> np.ndarray:
    """Makes a table with id columns; `columns` is name -> (type, values)."""
    rows = np.zeros(len(event), dtype=ID_TYPES + [(name, kind) for name, (kind, _) in columns.items()])
    rows["Run"], rows["Event"], rows["exists"] = run, event, 1
    for name, (_, values) in columns.items():
        rows[name] = values
    return rows


def write_events(
    path: str | Path,
    run: int,
    num_events: int,
    pulses: Mapping[str, np.ndarray],
    tables: Mapping[str, Mapping[str, np.ndarray]],
    *,
    pulse_key: str,
    dom_tables: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    detector: Detector | None = None,
    notice: str = PROVENANCE,
) -> None:
    """Writes events into one file, which appears under its name only when complete.

    Args:
      path: output file.
      run: run number of all events; events are numbered from 0.
      num_events: E.
      pulses: columns event [P] (0-based), string [P], om [P], time [P] (ns) and charge [P] (PE), in any order of rows.
      tables: table name -> column name -> values [E], one row per event; any number of columns (see `wide_tables`).
      pulse_key: name of the pulse table.
      dom_tables: table name -> (string, om) of DOMs that are listed in every event.
      detector: whose labels these are; its fingerprint and that of its medium are stored, so that the file is refused
        for another one.
      notice: provenance, stored in the file's attributes.

    Raises:
      OSError: it cannot be written, for want of room perhaps.
    """
    path = Path(path)
    order = np.lexsort((pulses["time"], pulses["om"], pulses["string"], pulses["event"]))
    p = {k: np.asarray(v)[order] for k, v in pulses.items()}
    label = np.stack([p["event"], p["string"], p["om"]])
    new = np.ones(len(order), bool)
    new[1:] = np.any(label[:, 1:] != label[:, :-1], axis=0)
    start = np.flatnonzero(new)
    running = np.arange(len(order)) - np.repeat(start, np.diff(np.append(start, len(order))))
    everything = {
        pulse_key: _rows(
            run,
            p["event"],
            {
                "string": ("<i4", p["string"]),
                "om": ("<u4", p["om"]),
                "pmt": ("<u4", np.zeros(len(order))),
                "vector_index": ("<u8", running),
                "time": ("<f8", p["time"]),
                "width": ("<f8", np.ones(len(order))),
                "charge": ("<f8", p["charge"]),
            },
        )
    }
    for name, (string, om) in (dom_tables or {}).items():
        event = np.repeat(np.arange(num_events), len(string))
        everything[name] = _rows(
            run,
            event,
            {
                "vector_index": ("<u8", np.tile(np.arange(len(string)), num_events)),
                "string": ("<i4", np.tile(string, num_events)),
                "om": ("<u4", np.tile(om, num_events)),
            },
        )
    for name, columns in tables.items():
        everything[name] = _rows(run, np.arange(num_events), {k: ("<f8", v) for k, v in columns.items()})

    with new_hdf5(path) as file:
        file.attrs["provenance"] = notice
        if detector is not None:
            file.attrs[FINGERPRINT], file.attrs[DETECTOR_NAME] = geometry_fingerprint(detector), detector.name
            medium = detector.medium
            file.attrs[MEDIUM_FINGERPRINT], file.attrs[MEDIUM_NAME] = medium_fingerprint(medium), medium.name
        index = file.create_group("__I3Index__")
        for name, rows in everything.items():
            edges = np.searchsorted(rows["Event"], np.arange(num_events + 1))
            entries = np.zeros(num_events, dtype=[*ID_TYPES, ("start", "<u8"), ("stop", "<u8")])
            entries["Run"], entries["Event"], entries["exists"] = run, np.arange(num_events), 1
            entries["start"], entries["stop"] = edges[:-1], edges[1:]
            datasets = divide(name, rows, [column for column, _ in ID_TYPES])
            for dataset, own in datasets.items():
                table = file.create_dataset(dataset, data=own, compression="gzip", shuffle=True)
                table.attrs["__I3RaggedTable__"] = np.array([int(name not in tables)], np.int8)
                table.attrs["provenance"] = notice
                index.create_dataset(dataset, data=entries)
            mark(file, name, list(datasets))
