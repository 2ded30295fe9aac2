"""Plain dictionaries to records, with one clear message for what does not fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError, create_model

from evgen_jax.config.keys import check_keys
from evgen_jax.config.reader import read_yaml, read_yaml_file
from evgen_jax.config.record import Record
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.errors import ConfigError, shown, suggestion

R = TypeVar("R", bound=BaseModel)
_MAYBE: dict[str, Any] = {name: (field.annotation, None) for name, field in ExperimentConfig.model_fields.items()}
SECTIONS: type[Record] = create_model("Sections", __base__=Record, **_MAYBE)
"""A configuration of which every section may be missing."""


def load_config(paths: str | Path | Sequence[str | Path], settings: Sequence[str] = ()) -> ExperimentConfig:
    """Reads and checks the configuration of an experiment.

    Args:
      paths: of its files; a later one overrides an earlier one key by key.
      settings: 'section.key=value' each, the value in YAML; they override the files.

    Raises:
      ConfigError: with file, key path, what was given, what is known and the nearest match; also for values that ask for
        something that is not there. Keys without effect are named in one warning.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    names = ", ".join([*map(str, files), *(f"--set {text}" for text in settings)])
    values = read_yaml(files, settings)
    model = values.get("model_settings")
    for key in ("decoder_settings", "decoder_charge_settings"):
        # At the top of the file they are the defaults of the whole model.
        if key in values and isinstance(model, dict):
            model.setdefault(key, values.pop(key))
    config = validate(ExperimentConfig, values, names)
    check_keys(config, names)
    return config


def validate_sections(values: Mapping[str, Any], where: str) -> Any:
    """Checks those sections of a configuration that are there.

    Args:
      values: plain sections, by name.
      where: names the file in messages.

    Returns:
      A record with the sections as attributes; None for those that are not there.

    Raises:
      ConfigError: with key path, what was given, what is known and the nearest match.
    """
    return validate(SECTIONS, values, where)


def is_whole(values: Mapping[str, Any]) -> bool:
    """Returns whether a configuration has every section that has no default.

    Args:
      values: plain sections, by name.
    """
    return not _missing_sections(values)


def load_members(paths: Sequence[str | Path], settings: Sequence[str] = ()) -> list[ExperimentConfig]:
    """The configurations of an ensemble: every file that is one by itself; files of parts make one together.

    Args:
      paths: of the files.
      settings: 'section.key=value' each, for every configuration.

    Raises:
      ConfigError: as `load_config`, or several whole files and some that are parts.
    """
    missing = {path: _missing_sections(read_yaml_file(Path(path))) for path in paths}
    whole = [path for path in paths if not missing[path]]
    if len(whole) <= 1:
        return [load_config(paths, settings)]
    parts = [path for path in paths if missing[path]]
    if parts:
        raise ConfigError(
            f"{parts[0]}: has no {missing[parts[0]][0]}, but {len(whole)} other files are whole configurations. Give the whole "
            "configurations of an ensemble, or the parts of a single one."
        )
    return [load_config(path, settings) for path in whole]


def _missing_sections(values: Mapping[str, Any]) -> list[str]:
    """Sections without a default that a configuration does not have, the model first."""
    needed = [name for name, field in ExperimentConfig.model_fields.items() if field.is_required()]
    return sorted((name for name in needed if name not in values), key=lambda name: name != "model_settings")


def validate(record: type[R], values: Any, where: str) -> R:
    """Makes a record from plain values; `where` names the file (and key) in messages."""
    try:
        return record.model_validate(values)
    except ValidationError as error:
        # The first message is the deepest fact; a union reports every branch, of which the longest path got furthest.
        first = max(error.errors(), key=lambda e: (e["type"] == "extra_forbidden", len(e["loc"])))
        raise ConfigError(f"{where}: {_message(record, first)}") from None


_WORDS = {
    "dict_type": "expected a mapping {key: value}",
    "model_type": "expected a mapping {key: value}",
    "model_attributes_type": "expected a mapping {key: value}",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
}
"""Kind of a fault -> what was expected, in the words of YAML instead of Python's."""


def _message(record: type[BaseModel], error: Any) -> str:
    path, inner = _place(record, error["loc"])
    key, given = ".".join(path), error.get("input")
    if error["type"] == "extra_forbidden":
        known = list(inner.model_fields)
        return f"{key}: unknown key. Known here: {', '.join(known)}." + suggestion(path[-1], known)
    if error["type"] == "missing":
        return f"{key}: is missing and has no default."
    if error["type"] == "value_error":  # of a check of ours, which says it all
        return f"{key}{error['ctx']['error']}"
    expected = _WORDS.get(error["type"], error["msg"][0].lower() + error["msg"][1:])
    return f"{key}: got {shown(given)}; {expected.replace('input should be', 'expected')}."


def _place(record: type[BaseModel], location: Sequence[Any]) -> tuple[list[str], Any]:
    """The key path of an error, and the record in which its last key stands.

    Pydantic's location follows the annotations of the fields; inside a union it also names the member that was tried, which
    is no key.

    Args:
      record: the outermost one.
      location: of the error, as pydantic gives it.
    """
    path: list[str] = []
    kind: Any = record
    for part in location:
        kinds = [member for member in _members(kind) if member is not type(None)]
        if len(kinds) > 1:
            kind = next((member for member in kinds if _label(member, part)), None)
            continue
        (kind,) = kinds
        inside = [inner for inner in get_args(kind) if inner is not Ellipsis]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            record = kind
            kind = kind.model_fields[part].annotation if part in kind.model_fields else None
        elif inside:  # a mapping or a list
            kind = inside[part] if isinstance(part, int) and part < len(inside) else inside[-1]
        else:  # of a value that holds no others pydantic tells what it tried
            continue
        path.append(str(part))
    return path, record


def _members(kind: Any) -> tuple[Any, ...]:
    """The members of a union, or the kind itself, without what is annotated."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _label(member: Any, part: Any) -> bool:
    """Whether pydantic means this member of a union: it names records by their class, lists and mappings by what they are."""
    (kind,) = _members(member)[:1]
    name = getattr(get_origin(kind) or kind, "__name__", "")
    return isinstance(part, str) and part.split("[")[0] == name
