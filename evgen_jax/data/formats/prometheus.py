"""Files of Prometheus: photons of sensors and the truth, one record per event."""

import json

import numpy as np

from evgen_jax.config.records import FormatSettings
from evgen_jax.data.formats.parquet import ROW
from evgen_jax.data.formats.photons import pulses_of_photons
from evgen_jax.data.formats.truth import naming_of, read_columns, with_labels
from evgen_jax.data.protocol import CachedTables, Tables, columns_of, rows_of
from evgen_jax.errors import DataError

PHOTONS, TRUTH, CONFIG = "photons", "mc_truth", "config_prometheus"
"""Tables of a file, and the entry of its metadata that holds its configuration."""


_READ = ("sensor_pos_x", "sensor_pos_y", "sensor_pos_z", "string_id", "sensor_id", "t")
"""Columns of photons that pulses are made of."""


class PrometheusTables(CachedTables):
    """Gives photons and truth of Prometheus the columns of our layout beside their own.

    Args:
      tables: an open file.
      settings: efficiency, jitter and threshold of photons, time of the vertices.
    """

    format = "Prometheus Parquet"

    def __init__(self, tables: Tables, settings: FormatSettings):
        super().__init__(tables.path)
        self._tables, self._settings = tables, settings
        self.defaults = {"pulse_key": PHOTONS, "event_id_key": TRUTH, "label_key": TRUTH}
        text = tables.attribute(CONFIG)
        self._run = 0
        if text is not None:
            try:
                self._run = int(json.loads(text)["run"]["run number"])
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{self.path}: its metadata {CONFIG} holds no run number.") from None

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables."""
        return self._tables.table_names

    def _load(self, name: str) -> np.ndarray:
        self._check_there(name)
        known = self._tables.columns(name)
        read = _READ if name == PHOTONS else read_columns(known)
        columns = columns_of(self._tables.read(name, (ROW, *read)))
        count = len(columns[ROW])
        columns = {"Run": np.full(count, self._run, np.int64), "Event": columns.pop(ROW), **columns}
        if name == PHOTONS:
            return self._pulses(columns)
        if naming_of(list(columns)):
            time = 0.0 if self._settings.vertex_time is None else self._settings.vertex_time
            columns, note = with_labels(columns, time)
            self.notes.append(f"table '{name}': {note}")
        return rows_of(columns)

    def _pulses(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        if self._settings.charge in ("file", "time_over_threshold"):
            raise DataError(
                f"{self.path}: charge: {self._settings.charge}: the photons of Prometheus have none; each is 1 PE."
            )
        own = {"string": columns["string_id"], "om": columns["sensor_id"]}
        own |= {axis: columns[f"sensor_pos_{axis}"] for axis in "xyz"}
        sensor = np.unique(np.stack([own["string"], own["om"]], axis=1), axis=0, return_inverse=True)[1].ravel()
        kept, time = pulses_of_photons(columns["Event"], sensor, columns["t"], self._settings, self._run)
        whole = {key: values[kept] for key, values in {**columns, **own}.items()}
        self.notes.append(f"table '{PHOTONS}': every photon is a pulse of 1 PE")
        return rows_of({**whole, "time": time, "charge": np.ones(len(time))})


def is_prometheus(tables: Tables) -> bool:
    """Returns whether a file is one of Prometheus: records of events, with photons or the truth.

    Args:
      tables: an open Parquet file.
    """
    photons = {*_READ, ROW}
    columns = {name: set(tables.columns(name)) for name in tables.table_names}
    truth = columns.get(TRUTH, set())
    return photons <= columns.get(PHOTONS, set()) or (ROW in truth and "initial_state_x" in truth)
