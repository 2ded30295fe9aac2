"""What the records of the zoo share: one record per class that a configuration can name, for YAML and for Python alike."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ValidationError, model_validator

from evgen_jax.config.kinds import Flag, Kind, Misfit, Read, joined
from evgen_jax.config.record import Record, short
from evgen_jax.errors import ConfigError, shown, suggestion

T = TypeVar("T")


class Refusal(ConfigError):
    """Values that a record refuses.

    Args:
      record: its class.
      key: path inside the record.
      text: what was expected and given.
    """

    def __init__(self, record: type[BaseModel], key: str, text: str):
        super().__init__(f"{joined(record.__name__, key)}: {text}")
        self.key, self.text = key, text


class ZooRecord(Record):
    """A class of the zoo with its settings: frozen, checked when it is made, equal if the settings are.

    In a file its keys stand in the section `config`, beside which the name of the class stands; in Python they are the
    arguments. The name of the class is what a configuration writes.
    """

    beside: ClassVar[tuple[str, ...]] = ()
    """Fields that stand beside `config` in a file, not inside."""
    inside: ClassVar[str] = "config"
    """The section of a file in which all other fields stand."""

    def __init__(self, /, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise Refusal(type(self), *_first(type(self), error)) from None

    @classmethod
    def config_keys(cls) -> tuple[str, ...]:
        """The keys of `config`."""
        return tuple(name for name in cls.model_fields if name not in cls.beside)

    @classmethod
    def read(cls, config: Any, where: str, **beside: Any) -> Self:
        """Makes a record from the section of a file.

        Args:
          config: content of the section's `config`; parts that are records of their own are read already.
          where: key path of the section, for messages.
          **beside: fields that stand beside `config`.

        Raises:
          ConfigError: with the path of the key, what was given, what was expected and the nearest match.
        """
        if not isinstance(config, Mapping):
            known = ", ".join(cls.config_keys())
            raise ConfigError(f"{where}.{cls.inside}: expected a mapping with the keys {known}; got {shown(config)}.")
        if cls.model_config.get("extra") != "allow":
            only_keys(config, cls.config_keys(), f"{where}.{cls.inside}")
        try:
            return cls(**{**config, **beside})
        except Refusal as error:
            raise ConfigError(f"{joined(where, cls._place(error.key))}: {error.text}") from None

    @classmethod
    def _place(cls, key: str) -> str:
        """The path of a field's key from the section on."""
        return joined(cls.inside, key) if key.replace("[", ".").split(".")[0] in cls.config_keys() else key

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, values: Any) -> Any:
        """An empty value stands for the default, that of a flag for False; what is needed and missing counts as empty."""
        if not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        given = {k: v for k, v in values.items() if v is not None or _kind(fields.get(k), Flag)}
        missing = [k for k, info in fields.items() if info.is_required() and k not in given and _kind(info, Kind)]
        return given | dict.fromkeys(missing)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            self.check()
        except ConfigError as error:
            raise Misfit(str(error)) from None
        return self

    def check(self) -> None:
        """Whether the values fit each other.

        Raises:
          Misfit, ConfigError: they do not.
        """

    def section(self) -> dict[str, Any]:
        """Writes the record as the section of a file; subclasses define what stands beside `config`.

        Returns:
          Plain values.
        """
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """What was given, as the section `config` of a file holds it: plain values."""
        return {name: _plain(value) for name, value in self._given().items()}

    def _given(self) -> dict[str, Any]:
        """What was given of the keys of `config`, as it is held."""
        keys = (*self.config_keys(), *(self.model_extra or ()))
        return {key: getattr(self, key) for key in keys if key in self.model_fields_set}


def _kind(info: Any, kind: type[Kind]) -> bool:
    return info is not None and any(isinstance(part, kind) for part in info.metadata)


def _plain(value: Any) -> Any:
    if isinstance(value, ZooRecord):
        return value.section()
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def by_name(record: type[ZooRecord], expected: str, example: str, part: str) -> Read:
    """A mapping of names to records of one kind.

    Args:
      record: their base class.
      expected: what the mapping is, for messages and the reference.
      example: one of the records, for messages.
      part: what stands for a record in a file, for the schema.

    Returns:
      The annotation of a field.
    """

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Misfit(f"expected {expected}, got {shown(value)}.")
        for name, entry in value.items():
            if not isinstance(entry, record):
                raise Misfit(f"expected a {part}, as {example}, got {shown(entry)}.", str(name))
        return dict(value)

    return Read(expected, check, (("type", "object"), ("additionalProperties", {"x-record": part})))


def _first(record: type[BaseModel], error: ValidationError) -> tuple[str, str]:
    """Key path inside the record and text of one of pydantic's errors: unknown keys first, then what is special to the class."""
    first = min(reversed(error.errors()), key=lambda e: e["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = tuple(record.model_fields)
        return key, f"unknown key. Known here: {', '.join(known)}." + suggestion(key, known)
    told = first.get("ctx", {}).get("error")
    if isinstance(told, Misfit):
        return joined(key, told.key), str(told)
    if first["type"] == "missing":
        return key, "is missing and has no default."
    expected = (first["msg"][:1].lower() + first["msg"][1:]).replace("input should be", "expected")
    return key, f"{expected}, got {shown(first.get('input'))}."


def only_keys(values: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuses keys that are not known.

    Args:
      values: a mapping.
      known: its possible keys.
      where: key path, for messages.

    Raises:
      ConfigError: an unknown key; the nearest match is named.
    """
    known = tuple(known)
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key. Known here: {', '.join(known)}." + suggestion(key, known))


def named(class_name: Any, known: Mapping[str, T], where: str) -> T:
    """What stands under the name of a class, dotted or not.

    Args:
      class_name: as a file gives it.
      known: by short name.
      where: key path, for messages.

    Raises:
      ConfigError: no text, or none of the known names; the nearest match is named.
    """
    if class_name is None:
        raise ConfigError(f"{where}: is missing and has no default.")
    if not isinstance(class_name, str):
        raise ConfigError(f"{where}: expected the name of a class, got {shown(class_name)}.")
    name = short(class_name)
    if name not in known:
        raise ConfigError(f"{where}: '{class_name}' is unknown; known: {', '.join(known)}." + suggestion(name, known))
    return known[name]


OWN: dict[str, str] = {}
"""Names of users' own classes -> the file that registered each."""


def register(table: dict[str, T], name: str, entry: T, what: str) -> None:
    """Adds a user's own class under a name that is free; called by `register_source` and the like.

    Args:
      table: of all classes of its kind.
      name: as configurations will write it.
      entry: what stands under the name.
      what: its kind, for messages.

    Raises:
      ConfigError: no name, or one that is taken.
    """
    user = sys._getframe(2).f_code.co_filename  # the file that calls `register_source`
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(f"register_{what}: expected a name such as 'Beacon', got {shown(name)}.")
    if name in table:
        raise ConfigError(f"register_{what}: '{name}' is already the name of a {what}.")
    table[name], OWN[name] = entry, Path(user).name
