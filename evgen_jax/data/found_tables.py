"""Tables of a file that a configuration does not name: those that the format names, or that their columns tell."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evgen_jax.config.records import DataHandlerSettings, FormatSettings, LabelSettings
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.modules_of_events import WINDOW_COLUMNS, say_once_a_folder
from evgen_jax.data.protocol import Tables
from evgen_jax.data.sections import converted_label_key, converted_tables, is_section
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.names import other_spelling
from evgen_jax.hypothesis.parameters import Parameter, column_names

LOGGER = logging.getLogger("evgen_jax")
SECTION = "data_handler_settings.data_settings"
"""Section of a configuration that names tables."""
PULSES, MODULE, READOUT = {"string", "om", "time", "charge"}, {"string", "om"}, {"start", "stop"}
"""Columns that tell a table of pulses, one of modules, one of readout windows."""


KEYS = {"pulse_key", "event_id_key", "dom_exclusions_key", "time_exclusions_key", "readout_window_key"}
"""Keys that name tables by their columns."""


class TableNames(NamedTuple):
    """Names the tables of a file that events are made of.

    Attributes:
      pulses: table of pulses.
      events: table with one row per event.
      labels: table of labels.
    """

    pulses: str
    events: str
    labels: str


def chosen_tables(file: Tables, settings: DataHandlerSettings) -> TableNames:
    """Chooses the tables that a configuration leaves open, and tells them in the log.

    The table of labels is that which the format names where the file has none of the default name.

    Args:
      file: an open file.
      settings: section data_handler_settings of a configuration.

    Returns:
      Names of tables; one that is given need not be there.

    Raises:
      ConfigError: several tables may be meant, or none.
    """
    data, labels = settings.data_settings, settings.label_settings.label_key
    given = {key: own for key in ("pulse_key", "event_id_key") if (own := getattr(data, key)) is not None}
    chosen = dict(given)
    if len(given) < 2:
        wanted = {key: None for key in ("dom_exclusions_key", "time_exclusions_key", "readout_window_key")}
        found = tables_by_columns(file, {**wanted, **given})
        chosen = {key: found[key] for key in ("pulse_key", "event_id_key")}
    named = file.defaults.get("label_key")
    if named and labels == LabelSettings.model_fields["label_key"].default and not file.has(labels):
        labels = named
        chosen["label_key"] = named
    if chosen != given:
        own = ", ".join(f"{key} {name}" for key, name in chosen.items() if key not in given)
        say_once_a_folder(file.path, f"{file.format}: tables that the configuration does not name: {own}.")
    return TableNames(chosen["pulse_key"], chosen["event_id_key"], labels)


def find_tables(path: str | Path, given: Mapping[str, Any], settings: FormatSettings | None = None) -> dict[str, Any]:
    """Finds the tables of pulses, exclusions and readout windows of a file by their columns, and tells them in the log.

    Pulses have the columns string, om, time and charge; excluded modules string and om alone; excluded time windows
    string, om, start and stop; readout windows start and stop. The ids of events come from a table with one row per
    event: that which the format names, that of readout windows, else the first one in the order of names that is none of the
    others.

    Args:
      path: of a file with events, of any format, or of a section of converted events, which have the tables of their conversion.
      given: keys of data_settings that are known; these are not looked for.
      settings: what the format needs to be told.

    Returns:
      Section data_settings: the given keys and those that were found.

    Raises:
      ConfigError: no table of pulses, several tables of one kind, or no table with one row per event.
      DataError: a file that cannot be read.
    """
    if is_section(Path(path)):
        return {**converted_tables(Path(path)), **given}
    with open_tables(path, settings) as file:
        found = tables_by_columns(file, given)
    new = {key: value for key, value in found.items() if key not in given and value is not None}
    if new:
        LOGGER.warning(
            "%s: tables by their columns: %s.", path, ", ".join(f"{key} {value}" for key, value in new.items())
        )
    return found


def tables_by_columns(file: Tables, given: Mapping[str, Any]) -> dict[str, Any]:
    """Finds the tables of an open file as `find_tables` does.

    Args:
      file: an open file.
      given: keys of data_settings that are known; these are not looked for.

    Returns:
      The given keys and those that were found, None for a table that the file does not have.

    Raises:
      ConfigError: no table of pulses, several tables of one kind, or no table with one row per event.
    """
    path = file.path
    given = {**{key: name for key, name in file.defaults.items() if key != "label_key"}, **given}
    if set(given) >= KEYS:
        return given
    columns = {name: set(file.columns(name)) for name in file.table_names}
    kinds: dict[str, list[str]] = {"pulse_key": [], "dom_exclusions_key": [], "time_exclusions_key": []}
    readouts, others = [], []
    for name, own in columns.items():
        if own >= PULSES:
            kinds["pulse_key"].append(name)
        elif own >= MODULE and any(own >= set(pair) for pair in WINDOW_COLUMNS):
            kinds["time_exclusions_key"].append(name)
        elif own >= MODULE:
            kinds["dom_exclusions_key"].append(name)
        elif own >= READOUT:
            readouts.append(name)
        elif "Event" in own:
            others.append(name)
    found = {key: _only(path, key, names) for key, names in kinds.items() if key not in given}
    if "readout_window_key" not in given:
        found["readout_window_key"] = _only(path, "readout_window_key", readouts)
    if "event_id_key" not in given:
        found["event_id_key"] = next(iter(readouts + sorted(others)), None)
    for key, what in (("pulse_key", "pulses"), ("event_id_key", "one row per event")):
        if key in found and found[key] is None:
            raise ConfigError(
                f"{path}: no table of {what} was found among {', '.join(columns) or 'no tables at all'}. Name it: "
                f"--set {SECTION}.{key}=NAME"
            )
    return {**given, **found}


def find_labels(
    path: str | Path, parameters: Sequence[Parameter], settings: FormatSettings | None = None
) -> dict[str, Any]:
    """Finds the table of labels of a file by its columns, which are named as the parameters of a hypothesis.

    Args:
      path: of a file with events, of any format, or of a section of converted events.
      parameters: of the hypothesis.
      settings: what the format needs to be told.

    Returns:
      Keys label_module and label_settings of the section data_handler_settings; none where no table has such columns, or
      several have of which not exactly one is called labels or truth.

    Raises:
      DataError: a file that cannot be read.
    """
    names = [own.name for own in parameters]
    found: dict[str, list[str]] = {}
    if is_section(Path(path)):
        key = converted_label_key(Path(path), names)
        found = {} if key is None else {key: names}
    else:
        with open_tables(path, settings) as file:
            for table in file.table_names:
                # Formats make labels of the truth that they know when it is read; its columns tell nothing of them.
                truth = table == file.defaults.get("label_key")
                columns = set((file.read(table).dtype.names or ()) if truth else file.columns(table))
                own = [_spelled(name, columns) for name in names]
                if "Event" in columns and None not in own:
                    found[table] = [name for name in own if name is not None]
    truths = {table: own for table, own in found.items() if "label" in table.lower() or "truth" in table.lower()}
    found = truths if len(found) > 1 else found
    if len(found) != 1:
        return {}
    ((table, columns_of_labels),) = found.items()
    LOGGER.warning("%s: labels by their columns: label_settings.label_key %s.", path, table)
    log = [own.log for own in parameters]
    own_labels = {"label_key": table, "parameter_names": columns_of_labels, "trafo_log": log}
    return {"label_module": "GeneralLabelModule", "label_settings": own_labels}


def _spelled(name: str, columns: set[str]) -> str | None:
    """How a table writes the name of a parameter, times as cascade_time or cascade_t; None if it has neither."""
    return next((own for own in (name, other_spelling(name)) if own in columns), None)


def find_seeds(path: str | Path, parameters: Sequence[Parameter], label_key: str) -> str | None:
    """Finds a table of seeds of a file: one with the columns of seeds of the hypothesis that is not the truth.

    Args:
      path: of a file with events, of any format.
      parameters: of the hypothesis.
      label_key: table of the truth.

    Returns:
      Name of the first such table; None if there is none, or for converted events.

    Raises:
      DataError: a file that cannot be read.
    """
    names = column_names(parameters)
    if is_section(Path(path)):
        return None  # what seeds were kept is said by their names alone
    with open_tables(path) as file:
        for table in file.table_names:
            columns = set(file.columns(table))
            if table != label_key and "Event" in columns and all(_spelled(name, columns) for name in names):
                return table
    return None


def _only(path: str | Path, key: str, names: Iterable[str]) -> str | None:
    """The one table of a kind; None if there is none."""
    names = list(names)
    if len(names) > 1:
        raise ConfigError(
            f"{path}: {', '.join(names)} may be meant by {key}. Name one of them, or null for none: "
            f"--set {SECTION}.{key}={names[0]}"
        )
    return names[0] if names else None
