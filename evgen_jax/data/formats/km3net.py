"""Events of KM3NeT and ANTARES: hits, photons of the simulation and its primary particles."""

from collections.abc import Mapping

import numpy as np

from evgen_jax.config.records import FormatSettings
from evgen_jax.data.formats.km3net_files import ROW
from evgen_jax.data.formats.time_over_threshold import charge_of
from evgen_jax.data.formats.truth import angles_of
from evgen_jax.data.protocol import CachedTables, Tables, columns_of, rows_of
from evgen_jax.errors import DataError, DetectorError
from evgen_jax.measurement.detx import Detx, read_detx
from evgen_jax.measurement.module_labels import find_labels

PRIMARY = "primary"
"""Table of the first particle of the simulation of every event, with cascade labels."""
PULSES = ("string", "om", "time", "charge")
"""Columns that hits get."""
FRAME = 1e8
"""Length of a time slice of the data acquisition, ns."""


class Km3netTables(CachedTables):
    """Gives hits and particles the columns of our layout beside their own.

    A sensor is a photomultiplier: string is the id of its module (dom_id), om its channel. Where events are simulated,
    times are those of the simulation (hits are counted from the time mc_t of their event); else those of their time slice.

    Args:
      tables: an open file.
      settings: charges, and the detector file that calibrates raw hits.
    """

    def __init__(self, tables: Tables, settings: FormatSettings):
        super().__init__(tables.path)
        self._tables, self._settings = tables, settings
        self.format = f"KM3NeT {tables.format}"
        self.defaults = {"pulse_key": "hits", "event_id_key": "event_info"}
        if "mc_trks" in tables.table_names:
            self.defaults |= {"label_key": PRIMARY}
        self._detx: Detx | None = None
        if settings.calibration is not None:
            try:
                self._detx = read_detx(settings.calibration)
            except DetectorError as error:
                raise DataError(f"format_settings.calibration: {error}") from None
        known = tables.columns("event_info")
        info = columns_of(tables.read("event_info", [column for column in (ROW, *_OF_EVENTS) if column in known]))
        self._info = {_RENAMED.get(column, column): values for column, values in info.items()}
        self._ids = self._find_ids()

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables, with that of the primary particles."""
        return [*self._tables.table_names, *([PRIMARY] if "label_key" in self.defaults else [])]

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table, without reading it; labels are left out.

        Args:
          name: of the table.

        Returns:
          Names of our layout, then those of the file.
        """
        if name == PRIMARY:
            return tuple(self._ids)
        own = (*PULSES, *self._tables.columns(name)) if name in ("hits", "mc_hits") else self._tables.columns(name)
        return tuple(dict.fromkeys((*self._ids, *own)))

    def attribute(self, name: str) -> object:
        """Returns the number of the detector as 'det_id'; None for other names.

        Args:
          name: of the attribute.
        """
        found = self._info.get("det_id")
        return int(found[0]) if name == "det_id" and found is not None and len(found) else None

    def _find_ids(self) -> dict[str, np.ndarray]:
        """Run, time slice and trigger, where these tell the events apart; else run and number in the file."""
        info, count = self._info, len(self._info[ROW])
        run = np.asarray(info.get("run_id", np.zeros(count)), np.int64)
        if {"frame_index", "trigger_counter"} <= set(info):
            ids = np.stack(
                [run, info["frame_index"].astype(np.int64), info["trigger_counter"].astype(np.int64)], axis=1
            )
            if len(np.unique(ids, axis=0)) == count:
                return {"Run": run, "Event": ids[:, 1], "SubEvent": ids[:, 2]}
        return {"Run": run, "Event": np.asarray(info[ROW], np.int64), "SubEvent": np.zeros(count, np.int64)}

    def _load(self, name: str) -> np.ndarray:
        self._check_there(name)
        if name == PRIMARY:
            return self._primaries()
        known = self._tables.columns(name)
        columns = columns_of(self._tables.read(name, [column for column in _NUMBERS if column in known]))
        columns = {_RENAMED.get(column, column): values for column, values in columns.items()}
        row = columns[ROW]
        ids = {column: values[row] for column, values in self._ids.items()}
        if name in ("hits", "mc_hits"):
            columns |= self._pulses(name, columns)
        return rows_of({**ids, **columns})

    def _offset(self) -> np.ndarray:
        """What is subtracted from the times of hits of every event, ns, so that they are those of the simulation."""
        info = self._info
        if "mc_t" not in info:
            return np.zeros(len(info[ROW]))
        if "frame_index" in info:
            start = (info["frame_index"].astype(np.float64) - 1) * FRAME
        else:
            start = np.asarray(info.get("timestamp", 0.0), np.float64) * 1e9 + np.asarray(
                info.get("nanoseconds", 0.0), np.float64
            )
        return np.where(info["mc_t"] != 0, info["mc_t"] - start, 0.0)

    def _pulses(self, name: str, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        module, channel = columns.get("dom_id"), columns.get("channel_id")
        time = np.asarray(columns["t"], np.float64)
        places = [columns[f"pos_{axis}"] for axis in "xyz" if f"pos_{axis}" in columns]
        calibrated = len(places) == 3 and all(np.any(place != 0) for place in places)
        if name == "mc_hits" and (module is None or not np.any(module != 0)) and len(time):
            module, channel = self._of_numbers(columns["pmt_id"])
        own = {"string": module, "om": channel} if module is not None and channel is not None else {}
        if not own:
            raise DataError(f"{self.path}: '{name}' has no columns dom_id and channel_id; it has {', '.join(columns)}.")
        if name == "hits":
            if not len(time) and "mc_hits" in self._tables.table_names and len(self._tables.read("mc_hits")):
                self.notes.append("table 'hits': is empty; pulse_key mc_hits takes the photons of the simulation")
            if self._detx is not None and not calibrated:
                place = self._place(own["string"], own["om"])
                time = time + self._detx.time_offset[place]
                places, calibrated = list(self._detx.position[place].T), True
            elif not calibrated and len(time):
                self.notes.append(
                    "table 'hits': without positions; taken as calibrated (else give format_settings.calibration)"
                )
            time = time - self._offset()[columns[ROW]]
        if calibrated:
            own |= dict(zip("xyz", places, strict=True))
        return {**own, "time": time, "charge": self._charges(name, columns)}

    def _charges(self, name: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        count, given = len(columns["t"]), self._settings.charge
        has: dict[str, bool] = {
            "file": bool(np.any(columns.get("a", np.zeros(1)) != 0)),
            "time_over_threshold": "tot" in columns and name == "hits",
        }
        chosen: str = given or next((kind for kind, there in has.items() if there), "one")
        if not has.get(chosen, True) and count:
            raise DataError(
                f"{self.path}: charge: {chosen}: '{name}' has no such column; found {', '.join(columns)}. Give another one, or none."
            )
        said = {
            "file": "those of the file (a)",
            "time_over_threshold": "of the time over threshold",
            "one": "1 PE each",
        }
        self.notes.append(f"table '{name}': charges are {said[chosen]}")
        if chosen == "file":
            return np.asarray(columns["a"], np.float64)
        return charge_of(columns["tot"]) if chosen == "time_over_threshold" and count else np.ones(count)

    def _of_numbers(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._detx is None:
            raise DataError(
                f"{self.path}: 'mc_hits' names sensors by pmt_id alone; give the detector file that they were simulated with: "
                "data_handler_settings.format_settings.calibration: FILE.detx"
            )
        place = find_labels(
            self._detx.number, np.zeros(len(self._detx.number), int), number, np.zeros(len(number), int)
        )
        self._check_places(place, f"pmt_id {number[np.argmin(place)]}" if len(place) else "")
        return self._detx.module[place], self._detx.channel[place]

    def _place(self, module: np.ndarray, channel: np.ndarray) -> np.ndarray:
        assert self._detx is not None
        place = find_labels(self._detx.module, self._detx.channel, module, channel)
        first = int(np.argmin(place)) if len(place) else 0
        self._check_places(place, f"dom_id {module[first]}, channel_id {channel[first]}" if len(place) else "")
        return place

    def _check_places(self, place: np.ndarray, sensor: str) -> None:
        if np.any(place < 0):
            raise DataError(
                f"{self.path}: has a sensor ({sensor}) that {self._settings.calibration} does not have: it is the file of "
                "another detector."
            )

    def _primaries(self) -> np.ndarray:
        tracks = {_RENAMED.get(c, c): v for c, v in columns_of(self._tables.read("mc_trks")).items()}
        row, first = np.unique(tracks[ROW], return_index=True)
        tracks = {column: values[first] for column, values in tracks.items()}
        zenith, azimuth = angles_of(np.stack([tracks[f"dir_{axis}"] for axis in "xyz"], axis=1).astype(np.float64))
        labels = {f"cascade_{axis}": tracks[f"pos_{axis}"] for axis in "xyz"}
        labels |= {
            "cascade_zenith": zenith,
            "cascade_azimuth": azimuth,
            "cascade_energy": tracks["E"],
            "cascade_time": tracks["t"],
        }
        self.notes.append(
            f"table '{PRIMARY}': labels cascade_x, ... are those of the first particle of the simulation (of a neutrino: its whole "
            "energy)"
        )
        ids = {column: values[row] for column, values in self._ids.items()}
        return rows_of({**ids, **tracks, **{name: np.asarray(values, np.float64) for name, values in labels.items()}})


_NUMBERS = (ROW, "dom_id", "channel_id", "pmt_id", "t", "time", "tot", "a", "pos_x", "pos_y", "pos_z")
_OF_EVENTS = ("det_id", "run_id", "frame_index", "trigger_counter", "mc_t", "mc_time", "timestamp", "nanoseconds")
"""Columns of hits and of events that are read."""
_RENAMED = {"time": "t", "energy": "E", "length": "len", "mc_time": "mc_t", "triggered": "trig", "pdgid": "type"}
"""Columns of km3pipe -> those of the offline format."""
