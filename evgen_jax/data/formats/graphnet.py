"""Tables of graphnet: pulse maps and truth, joined by event_no."""

from collections.abc import Collection

import numpy as np

from evgen_jax.config.records import FormatSettings
from evgen_jax.data.formats.photons import pulses_of_photons
from evgen_jax.data.formats.truth import naming_of, read_columns, with_labels
from evgen_jax.data.protocol import EVENT_NUMBER, CachedTables, Tables, columns_of, rows_of
from evgen_jax.errors import DataError
from evgen_jax.measurement.sensor_labels import sensor_label

TIMES, STRINGS = ("dom_time", "t", "time"), ("string", "sensor_string_id", "string_id")
PLACES = (("dom_x", "dom_y", "dom_z"), ("sensor_pos_x", "sensor_pos_y", "sensor_pos_z"))
"""Names of the columns of pulses; the first one that a table has counts."""
PULSES = ("string", "om", "time", "charge", "x", "y", "z")
"""Columns that pulses get."""
FLAGS = ("is_bright_dom", "is_bad_dom", "is_saturated_dom", "is_errata_dom")
"""Columns of a pulse map that tell modules apart; each of them is a table of modules as well, MAP.is_bright_dom."""


class GraphnetTables(CachedTables):
    """Gives graphnet's pulse maps and truth the columns of our layout beside their own.

    Args:
      tables: an open database or folder.
      settings: charges and times that the files do not have.
    """

    def __init__(self, tables: Tables, settings: FormatSettings):
        super().__init__(tables.path)
        self._tables, self._settings = tables, settings
        self.format = f"graphnet {tables.format}"
        columns = {name: tables.columns(name) for name in tables.table_names}
        self._maps = [name for name, own in columns.items() if is_pulse_map(own)]
        truth = [name for name, own in columns.items() if EVENT_NUMBER in own and naming_of(own)]
        if truth:
            self.defaults = {"event_id_key": truth[0], "label_key": truth[0]}
        if len(self._maps) == 1:
            self.defaults |= {"pulse_key": self._maps[0]}
        self._flags = {f"{name}.{flag}": (name, flag) for name in self._maps for flag in FLAGS if flag in columns[name]}

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all tables, and of those that the flags of modules make."""
        return [*self._tables.table_names, *self._flags]

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table, without reading it; labels are left out.

        Args:
          name: of the table.

        Returns:
          Names of our layout, then those of the file.
        """
        if name in self._flags:
            return "Run", "Event"  # its labels are not told: modules are excluded by a flag only where it is named
        own = self._tables.columns(name)
        return tuple(dict.fromkeys(("Run", "Event", *(PULSES if name in self._maps else ()), *own)))

    def _load(self, name: str) -> np.ndarray:
        self._check_there(name)
        if name in self._flags:
            return self._flagged(*self._flags[name])
        known = self._tables.columns(name)
        if EVENT_NUMBER not in known:
            raise DataError(
                f"{self.path}: table '{name}' has no column {EVENT_NUMBER}, by which graphnet joins its tables."
            )
        read = _read_columns(known) if name in self._maps else read_columns(known)
        rows = self._tables.read(name, (EVENT_NUMBER, *read))
        columns = columns_of(rows)
        ids = {"Run": np.zeros(len(rows), np.int64), "Event": _whole(self.path, name, columns[EVENT_NUMBER])}
        if name in self._maps:
            return self._pulses(name, {**ids, **columns})
        if naming_of(list(columns)):
            columns, note = with_labels(columns, self._vertex_time(columns))
            self.notes.append(f"table '{name}': {note}")
        return rows_of({**ids, **columns})

    def _hint(self, column: str) -> str:
        known = "cascade_time", "cascade_t"
        return (
            " graphnet's truth has no time of the interaction; give one to all events, in the times of the pulses: "
            "data_handler_settings.format_settings.vertex_time=9800"
            if column in known
            else ""
        )

    def _vertex_time(self, columns: dict[str, np.ndarray]) -> float | None:
        """Photons of Prometheus are counted from the interaction."""
        if self._settings.vertex_time is not None:
            return self._settings.vertex_time
        return None if "position_x" in columns else 0.0

    def _pulses(self, name: str, columns: dict[str, np.ndarray]) -> np.ndarray:
        time = np.asarray(columns[_first(columns, TIMES)], np.float64)
        own = {"string": columns[_first(columns, STRINGS)], "time": time}
        if "dom_number" in columns:
            own["om"] = sensor_label(columns["dom_number"], columns.get("pmt_number", np.zeros(len(time), np.int64)))
        else:
            own["om"] = columns["sensor_id"]
        own |= dict(zip("xyz", (columns[c] for c in next(p for p in PLACES if p[0] in columns)), strict=True))
        ones = np.ones(len(time))
        if self._settings.charge == "time_over_threshold":
            raise DataError(
                f"{self.path}: charge: time_over_threshold: table '{name}' has none; it is of KM3NeT's hits."
            )
        if "charge" in columns and self._settings.charge != "one":
            return rows_of({**columns, **own})
        if self._settings.charge == "file":
            raise DataError(
                f"{self.path}: charge: file: table '{name}' has no column 'charge'; it has {', '.join(columns)}."
            )
        if "charge" in columns:
            return rows_of({**columns, **own, "charge": ones})
        sensor = np.unique(np.stack([own["string"], own["om"]], axis=1), axis=0, return_inverse=True)[1].ravel()
        kept, time = pulses_of_photons(columns["Event"], sensor, time, self._settings)
        own["charge"] = ones
        whole = {key: values[kept] for key, values in {**columns, **own}.items()}
        self.notes.append(f"table '{name}': has no charges; every photon is a pulse of 1 PE")
        return rows_of({**whole, "time": time})

    def _flagged(self, name: str, flag: str) -> np.ndarray:
        """Modules of which a pulse map says so, each once per event."""
        rows = self.read(name, ("Event", "string", "om", flag))
        rows = rows[rows[flag] > 0]  # -1: not known
        labels = np.stack([rows["Event"], rows["string"], rows["om"]], axis=1).astype(np.int64).reshape(-1, 3)
        event, string, om = np.unique(labels, axis=0).T
        return rows_of({"Run": np.zeros(len(event), np.int64), "Event": event, "string": string, "om": om})


def _read_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Columns of a pulse map that pulses are made of."""
    labels = ("dom_number", "pmt_number") if "dom_number" in columns else ("sensor_id",)
    place = next(names for names in PLACES if names[0] in columns)
    own = (_first(columns, TIMES), _first(columns, STRINGS), *labels, *place, "charge", *FLAGS)
    return tuple(column for column in own if column in columns)


def is_pulse_map(columns: tuple[str, ...]) -> bool:
    """Returns whether a table has pulses or photons of graphnet.

    Args:
      columns: of the table.
    """
    own = set(columns)
    labels = {"dom_number"} & own or {"sensor_id"} & own
    return bool(
        EVENT_NUMBER in own
        and labels
        and own & set(TIMES)
        and own & set(STRINGS)
        and any(set(place) <= own for place in PLACES)
    )


def is_graphnet(tables: Tables) -> bool:
    """Returns whether tables are those of graphnet.

    Args:
      tables: an open database or folder.
    """
    return any(
        EVENT_NUMBER in (own := tables.columns(n)) and (is_pulse_map(own) or naming_of(own)) for n in tables.table_names
    )


def _first(columns: Collection[str], names: tuple[str, ...]) -> str:
    return next(name for name in names if name in columns)


def _whole(path: object, table: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f" and not np.all(values == np.floor(values)):
        raise DataError(f"{path}: column {EVENT_NUMBER} of table '{table}' must hold whole numbers.")
    return values.astype(np.int64)
