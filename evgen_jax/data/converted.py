"""Events of one file in a shard: from named arrays to pulses, exclusions, labels and seeds, if they are what is asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.labels import label_names
from evgen_jax.data.sections import section_note
from evgen_jax.data.shard import Shard, open_shard, read_header
from evgen_jax.errors import DataError, suggestion
from evgen_jax.hypothesis.names import other_spelling
from evgen_jax.measurement.packing import PackedEvents
from evgen_jax.measurement.ragged import Ragged

TABLES = {
    "pulses": {"charge": "<f4", "time": "<f8", "slot": "<i4", "first": "|b1", "quantile": "<f4", "mask": "|b1"},
    "active": {"dom": "<i4", "charge": "<f4"},
    "windows": {"start": "<f8", "stop": "<f8", "slot": "<i4"},
    "excluded": {"dom": "<i4"},
}
"""Tables of `PackedEvents`, their columns and the types in which these are stored: as events have them, times exact."""
WITHOUT_EFFECT = ("float_precision", "add_charge_quantiles")
"""Keys of data_settings that change no event."""
TOLD_BY_FILES = ("pulse_key", "event_id_key")
"""Keys of data_settings that may be empty: then the file says what they are, as it did when it was converted."""
AGAIN = "Convert the files again with this configuration, or give them as they are."
"""What to do where converted events are those of another configuration."""


def settings_of_events(handler: DataHandlerSettings) -> dict[str, Any]:
    """Returns the settings on which the content of converted events depends, as plain values.

    Args:
      handler: section data_handler_settings of a configuration.

    Returns:
      key -> value.
    """
    plain = handler.model_dump(mode="json")
    tables = {key: value for key, value in plain["data_settings"].items() if key not in WITHOUT_EFFECT}
    labels = {key: plain["label_settings"][key] for key in ("label_key", "snowstorm_key")}
    whole = {key: plain[key] for key in ("filter_settings", "format_settings")}
    return {"data_settings": tables, "label_settings": labels, **whole}


def settings_of_section(path: Path) -> DataHandlerSettings:
    """Reads with which settings a section was converted; its labels are all that were kept.

    Args:
      path: of a section.

    Returns:
      Section data_handler_settings of a configuration.

    Raises:
      DataError: the header of the shard is damaged.
    """
    header = read_header(path.parent.parent)
    labels, own = header["labels"], dict(header["settings"])
    tables = own.pop("label_settings")
    own["label_module"] = "DummyLabelModule"
    if labels is not None:
        own["label_module"] = "GeneralLabelModule"
        own["label_settings"] = {"label_key": tables["label_key"], "parameter_names": labels["columns"]}
    return DataHandlerSettings.model_validate(own)


def arrays_of(packed: PackedEvents) -> dict[str, np.ndarray]:
    """Returns pulses and exclusions of E events as named arrays, which `Section.packed` puts together again.

    Args:
      packed: E events.

    Returns:
      'readout' [E, 2], and `<table>.<column>` and `<table>.sizes` [E] of every table.
    """
    arrays = {"readout": packed.readout}
    for table, columns in TABLES.items():
        own: Ragged = getattr(packed, table)
        arrays[f"{table}.sizes"] = own.sizes.astype("<i4")
        arrays |= {f"{table}.{column}": own[column].astype(kind) for column, kind in columns.items()}
    return arrays


@dataclass(frozen=True)
class Section:
    """Is the part of a shard that holds the events of one file.

    Attributes:
      path: of the section; its last part is the name of the file.
      shard: that holds it.
      note: its entry in the header: source, start and stop of its events, what is wrong with some of them.
    """

    path: Path
    shard: Shard
    note: Mapping[str, Any]

    def attribute(self, name: str) -> Any:
        """Returns an attribute of the file that was converted, as `TableFile.attribute` does.

        Args:
          name: of the attribute.

        Returns:
          Its value; None where there is none.
        """
        return self.note["attributes"].get(name)

    def events(self, name: str) -> np.ndarray:
        """Returns an array with one row per event.

        Args:
          name: of the array.

        Returns:
          The rows of the section's events [E, ...].
        """
        return self.shard.arrays[name][self.note["start"] : self.note["stop"]]

    def packed(self, usable: np.ndarray) -> PackedEvents:
        """Returns pulses and exclusions; nothing is copied.

        Args:
          usable: [D], False for modules of the detector that take no part in any event.

        Returns:
          E events.
        """
        tables = {}
        for table, columns in TABLES.items():
            first, last = self.note["entries"][table]
            values = {column: self.shard.arrays[f"{table}.{column}"][first:last] for column in columns}
            tables[table] = Ragged(values, np.concatenate([[0], np.cumsum(self.events(f"{table}.sizes"))]))
        return PackedEvents(usable, **tables, readout=self.events("readout"), dropped=self.note["dropped"])

    def faults(self) -> dict[int, str]:
        """Returns what is wrong with pulses, windows and readouts by the number of the event."""
        return {int(number): text for number, text in self.note["faults"].items()}

    def check(self, settings: DataHandlerSettings, usable: np.ndarray, labels: bool) -> None:
        """Checks that the events were converted with the settings with which they are read now.

        Args:
          settings: section data_handler_settings of a configuration.
          usable: [D], which modules of the detector take part.
          labels: whether labels are read.

        Raises:
          DataError: other settings, or the file could not be read when it was converted.
        """
        if self.note["error"]:
            raise DataError(f"{self.path}: could not be converted: {self.note['error']}")
        was = self.shard.header["settings"]
        for section, values in settings_of_events(settings).items():
            for key, value in values.items():
                earlier = was.get(section, {}).get(key, value)
                matters = section != "label_settings" or (labels and self._reads_labels(settings, key))
                matters = matters and not (value is None and key in TOLD_BY_FILES)
                if earlier != value and matters:
                    raise DataError(
                        f"{self.shard.path}: was converted with {section}.{key} {_shown(earlier)}, but the configuration has "
                        f"{_shown(value)}. {AGAIN}"
                    )
        if was["data_settings"]["discard_pulses_from_excluded_doms"] and self.shard.header["usable"] != unusable(
            usable
        ):
            raise DataError(
                f"{self.shard.path}: was converted without the pulses of {len(self.shard.header['usable'])} modules that the "
                f"detector calls unusable, which now are {len(unusable(usable))} or others. {AGAIN}"
            )

    def _reads_labels(self, settings: DataHandlerSettings, key: str) -> bool:
        """Whether any label comes from the table that a key of label_settings names."""
        if self.shard.header["labels"] is None:
            return False
        from_snowstorm = len(settings.label_settings.snowstorm_parameters)
        return from_snowstorm > 0 if key == "snowstorm_key" else len(label_names(settings)) > from_snowstorm

    def labels(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns labels, and what was added to those of the file when it was converted.

        Args:
          names: of the labels, H of them.

        Returns:
          Labels [E, H], NaN in events without a row, and the shift of each [H], which moved it to the detector's origin.

        Raises:
          DataError: the events were converted without these labels.
        """
        return self._columns(self.shard.header["labels"], names, "label")

    def seeds(self, table: str, names: Sequence[str], defaults: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Returns seeds, and what was added to those of the file when it was converted.

        Args:
          table: with the seeds.
          names: of the columns, n of them.
          defaults: values of columns that the table may lack.

        Returns:
          Seeds [E, n], NaN in events without a row, and the shift of each [n], which moved it to the detector's origin.

        Raises:
          DataError: the events were converted without these seeds, or with other values for columns that are missing.
        """
        tables = self.shard.header["seeds"]
        if table not in tables:
            raise DataError(
                f"{self.shard.path}: was converted without the seeds '{table}'; it has {', '.join(tables) or 'none'}. Convert "
                f"the files again with --seed {table}, or give them as they are." + suggestion(table, tables)
            )
        for name, value in tables[table]["defaults"].items():
            if name in names and defaults.get(name) != value:
                raise DataError(
                    f"{self.shard.path}: was converted with {value} for missing values of '{name}' of the seeds '{table}', "
                    f"but {defaults.get(name)} is asked for. {AGAIN}"
                )
        return self._columns(tables[table], names, f"seed column of '{table}'")

    def _columns(
        self, kept: Mapping[str, Any] | None, names: Sequence[str], what: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Chooses columns of an array; `kept` is its entry in the header."""
        columns = [] if kept is None else list(kept["columns"])
        places = []
        for name in names:
            spelling = next((own for own in (name, other_spelling(name)) if own in columns), None)
            if spelling is None:
                raise DataError(
                    f"{self.shard.path}: was converted without the {what} '{name}'; it has {', '.join(columns) or 'none'}. "
                    f"{AGAIN}" + suggestion(name, columns)
                )
            places.append(columns.index(spelling))
        if kept is None:
            return np.zeros((self.note["stop"] - self.note["start"], 0)), np.zeros(0)
        values = self.events(kept["array"])
        # All columns are not copied.
        chosen = values if places == list(range(len(columns))) else values[:, places]
        return chosen, np.array(kept["shift"])[places]


def unusable(usable: ArrayLike) -> list[int]:
    """Finds the modules that take no part in any event.

    Args:
      usable: [D], which modules take part.

    Returns:
      Their places in the detector's tables.
    """
    return [int(i) for i in np.flatnonzero(~np.asarray(usable, bool))]


def _shown(value: Any) -> str:
    return json.dumps(value)


def open_section(path: Path) -> Section:
    """Opens a section of a shard.

    Args:
      path: of the section, as `sections_of` lists it.

    Returns:
      The open section.

    Raises:
      DataError: the shard is damaged or has no such section.
    """
    return Section(path, open_shard(path.parent.parent), section_note(path))
