"""Tables of a file by their columns: what a model that does not say how files are read takes."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evgen_jax.data.sections import converted_tables, is_section
from evgen_jax.data.tables import TableFile
from evgen_jax.errors import ConfigError

LOGGER = logging.getLogger("evgen_jax")
SECTION = "data_handler_settings.data_settings"
"""Section of a configuration that names tables."""
PULSES, MODULE, WINDOW = {"string", "om", "time", "charge"}, {"string", "om"}, {"start", "stop"}
"""Columns that tell a table of pulses, one of modules, one of time windows."""


def find_tables(path: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Finds the tables of pulses, exclusions and readout windows of a file by their columns, and tells them in the log.

    Pulses have the columns string, om, time and charge; excluded modules string and om alone; excluded time windows
    string, om, start and stop; readout windows start and stop. The ids of events come from a table with one row per
    event: that of readout windows, else the first one in the order of names that is none of the others.

    Args:
      path: of an HDF5 file, or of a section of converted events, which have the tables of their conversion.
      given: keys of data_settings that are known; these are not looked for.

    Returns:
      Section data_settings: the given keys and those that were found.

    Raises:
      ConfigError: no table of pulses, several tables of one kind, or no table with one row per event.
      DataError: a file that cannot be read.
    """
    if is_section(Path(path)):
        return {**converted_tables(Path(path)), **given}
    with TableFile(Path(path)) as file:
        columns = {name: set(file.columns(name)) for name in file.table_names}
    kinds: dict[str, list[str]] = {"pulse_key": [], "dom_exclusions_key": [], "time_exclusions_key": []}
    readouts, others = [], []
    for name, own in columns.items():
        if own >= PULSES:
            kinds["pulse_key"].append(name)
        elif own >= MODULE and (own >= WINDOW or own >= {"time", "width"}):
            kinds["time_exclusions_key"].append(name)
        elif own >= MODULE:
            kinds["dom_exclusions_key"].append(name)
        elif own >= WINDOW:
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
    said = ", ".join(f"{key} {value}" for key, value in found.items() if value is not None)
    LOGGER.warning("%s: tables by their columns: %s.", path, said)
    return {**given, **found}


def _only(path: str | Path, key: str, names: Iterable[str]) -> str | None:
    """The one table of a kind; None if there is none."""
    names = list(names)
    if len(names) > 1:
        raise ConfigError(
            f"{path}: {', '.join(names)} may be meant by {key}. Name one of them, or null for none: "
            f"--set {SECTION}.{key}={names[0]}"
        )
    return names[0] if names else None
