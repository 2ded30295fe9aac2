"""Settings that override earlier ones, key by key: those of a later file, and `section.key=value` of a command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evgen_jax.errors import ConfigError, shown

SET = Path("--set")
"""Stands for the file of a setting of the command line; `{directory}` in it is where the command runs."""
Origins = dict[str, "Path | Origins"]
"""Of every key the file that gave it, nested as the settings are."""


@dataclass(frozen=True)
class Change:
    """A key whose value was replaced.

    Attributes:
      key: its path, as in messages: 'training_settings.log_every'.
      was: the earlier value as text.
      now: the present one.
    """

    key: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.key}: {self.was} -> {self.now}"


def origins_of(values: Mapping[str, Any], path: Path) -> Origins:
    """The origins of settings that stand in one file."""
    return {key: origins_of(value, path) if isinstance(value, dict) else path for key, value in values.items()}


def unshared(value: Any) -> Any:
    """A copy of nested settings in which nothing is the same object twice, as parts are that a YAML file names (&name)."""
    if isinstance(value, Mapping):
        return {key: unshared(inner) for key, inner in value.items()}
    return [unshared(inner) for inner in value] if isinstance(value, list) else value


def override(
    values: dict[str, Any], origins: Origins, later: Mapping[str, Any], path: Path, where: str = ""
) -> list[Change]:
    """Takes over the settings of a later file; sections are joined, everything else is replaced.

    Args:
      values: settings so far, nested; they are changed in place.
      origins: of these settings; likewise.
      later: settings of the later file.
      path: of this file.
      where: the section that both belong to, for the changes.

    Returns:
      The keys that had another value before.
    """
    changes = []
    for key, value in later.items():
        name, earlier, origin = f"{where}{key}", values.get(key), origins.get(key)
        if isinstance(value, dict) and isinstance(earlier, dict) and isinstance(origin, dict):
            changes += override(earlier, origin, value, path, f"{name}.")
            continue
        if key in values and earlier != value:
            changes.append(Change(name, shown(earlier), shown(value)))
        values[key] = unshared(value)
        origins[key] = origins_of(value, path) if isinstance(value, dict) else path
    return changes


def assign(values: dict[str, Any], origins: Origins, key: str, value: Any, where: str) -> list[Change]:
    """Sets one key; a mapping is joined with the one that is there, as that of a later file is.

    Args:
      values: settings so far, nested; they are changed in place.
      origins: of these settings; likewise.
      key: path of the key; an entry of a list is named by its number, 'loss_module_settings.0.config'.
      value: the new value; of a mapping the keys that change, the others stay. After `key=null` it is the whole mapping.
      where: begins messages.

    Returns:
      The change, if the value is another one.

    Raises:
      ConfigError: the path leads through a value that has no keys, or to no entry of a list.
    """
    *sections, last = key.split(".")
    inner: Any = values
    origin: Any = origins
    for i, section in enumerate(sections):
        # An empty section ('config:' alone) is one that gets its first key.
        entry = _place(inner, section, where, key.split(".")[:i])
        if isinstance(inner, dict) and inner.get(entry) is None:
            inner[entry] = {}
            if isinstance(origin, dict):
                origin[entry] = {}
        inner, origin = inner[entry], origin.get(entry) if isinstance(origin, dict) else None
    entry = _place(inner, last, where, sections)
    if isinstance(value, dict) and _holds_mapping(inner, entry):
        known = origin.get(entry) if isinstance(origin, dict) else None
        known = known if isinstance(known, dict) else origins_of(inner[entry], SET)  # an entry of a list has none
        return override(inner[entry], known, value, SET, f"{key}.")
    given = isinstance(inner, list) or entry in inner
    was = shown(inner[entry]) if given else "(not given)"
    changed = not given or inner[entry] != value
    inner[entry] = value
    if isinstance(origin, dict):
        origin[entry] = origins_of(value, SET) if isinstance(value, dict) else SET
    return [Change(key, was, shown(value))] * changed


def _holds_mapping(inner: Any, entry: Any) -> bool:
    """Whether the entry of a mapping or a list is there and is a mapping."""
    there = entry in inner if isinstance(inner, dict) else True
    return there and isinstance(inner[entry], dict)


def _place(inner: Any, name: str, where: str, path: list[str]) -> Any:
    """The key or index that a name stands for.

    Raises:
      ConfigError: there are no keys here, or no such entry.
    """
    section = ".".join(path)
    if isinstance(inner, dict):
        if name.isdecimal() and path:
            keys = f"a mapping with the keys {', '.join(inner)}" if inner else "empty"
            raise ConfigError(f"{where}: {section}: is {keys}, no list; leave the number {name} out.")
        return name
    if isinstance(inner, list):
        if name.isdecimal() and int(name) < len(inner):
            return int(name)
        raise ConfigError(
            f"{where}: {section}: is a list of {len(inner)}; expected a number from 0 instead of '{name}'."
        )
    raise ConfigError(f"{where}: {section}: is {shown(inner)}, which has no keys; '{name}' was given.")
