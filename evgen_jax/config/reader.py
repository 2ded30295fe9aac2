"""YAML files to plain dictionaries: YAML 1.2 numbers, keys that are names, none of them twice."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from evgen_jax.config.overrides import Change, Origins, assign, override, unshared
from evgen_jax.config.placeholders import fill_placeholders
from evgen_jax.errors import ConfigError, suggestion

LOGGER = logging.getLogger("evgen_jax")
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(yaml.SafeLoader):
    """Safe loader with the numbers of YAML 1.2: 1e-6 is one, 010 is ten, 1:30 is a text."""

    # The lists of the base class are shared by all loaders: these are its own.
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in NUMBERS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            # A text that looks like a value of its kind and is none: !!int seven, the date 2024-13-45.
            kind, given = node.tag.rsplit(":", 1)[-1], getattr(node, "value", "")
            text = f"{given!r} is no {kind}" if isinstance(given, str) else f"this is no {kind} ({error})"
            raise yaml.constructor.ConstructorError(None, None, text, node.start_mark) from None


_Loader.add_implicit_resolver(
    NUMBERS[0], re.compile(r"^(?:[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    NUMBERS[1],
    re.compile(
        r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = _name(key_node)
        if key in seen:
            raise ConfigError(f"{_where(key_node)}: the key '{key}' is given twice.")
        seen.add(key)
    return _mapping_of_any_keys(loader, node)


def _mapping_of_any_keys(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def _name(node: yaml.Node) -> str:
    """The key that a node stands for, which from here on is a text.

    Raises:
      ConfigError: a list, a mapping, a number, a date, a flag or nothing where a name belongs.
    """
    kind = node.tag.rsplit(":", 1)[-1]
    if not isinstance(node, yaml.ScalarNode):
        kind = "list" if isinstance(node, yaml.SequenceNode) else "mapping"
        raise ConfigError(f"{_where(node)}: a {kind} stands where a key is expected; write 'key: value'.")
    text = str(node.value)
    if kind == "bool" and text.lower() not in ("true", "false"):
        kind = "str"  # 'on' and 'no' are flags in YAML 1.1 alone
    if kind != "str":
        named = {"int": "a number", "float": "a number", "bool": "a flag", "timestamp": "a date", "null": "empty"}
        raise ConfigError(
            f"{_where(node)}: the key {text or '(nothing)'} is {named.get(kind, kind)}; keys are names. Write it in "
            "quotes if it is one."
        )
    node.tag = "tag:yaml.org,2002:str"
    return text


class _LoaderOfRecords(_Loader):
    """Its keys may be numbers, and stay what they are."""


_Loader.add_constructor(NUMBERS[0], _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_LoaderOfRecords.add_constructor("tag:yaml.org,2002:map", _mapping_of_any_keys)


def _where(node: yaml.Node) -> str:
    return f"{node.start_mark.name}: line {node.start_mark.line + 1}"


def read_yaml(paths: str | Path | Sequence[str | Path], settings: Sequence[str] = ()) -> dict[str, Any]:
    """Reads one configuration from one or several YAML files.

    A later file overrides an earlier one key by key, and `settings` override all files; what they change is logged.
    Placeholders are filled in afterwards, see `fill_placeholders`.

    Args:
      paths: of the files.
      settings: 'section.key=value' each, the value in YAML.

    Raises:
      ConfigError: a file that is missing or no YAML mapping, a key that appears twice in it or is no name, a setting that
        cannot be, or a placeholder that stands for nothing.
    """
    merged: dict[str, Any] = {}
    origins: Origins = {}
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    for path in files:
        _tell(str(path), override(merged, origins, read_yaml_file(path), path))
    _assign_all(merged, origins, settings)
    return fill_placeholders(merged, origins, files)


def with_settings(values: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Plain values with some of their keys set, which is logged; placeholders were filled in before.

    Args:
      values: nested sections; they are left as they are.
      settings: 'section.key=value' each, the value in YAML.

    Raises:
      ConfigError: a setting of another section, or one that cannot be.
    """
    for text in settings:
        section = read_setting(text)[0].split(".")[0]
        if section not in values:
            raise ConfigError(
                f"--set {text}: '{section}' cannot be set here; known: {', '.join(values)}.{suggestion(section, values)}"
            )
    changed = unshared(values)
    _assign_all(changed, {}, settings)
    return changed


def _assign_all(values: dict[str, Any], origins: Origins, settings: Sequence[str]) -> None:
    for text in settings:
        key, value = read_setting(text)
        _tell(f"--set {text}", assign(values, origins, key, value, f"--set {text}"))


def _tell(where: str, changes: Sequence[Change]) -> None:
    if changes:
        LOGGER.warning("%s: overrides %s.", where, "; ".join(map(str, changes)))


def read_setting(text: str) -> tuple[str, Any]:
    """Path and value of a setting 'section.key=value', the value in YAML.

    Raises:
      ConfigError: no '=', an empty name, or a value that is no YAML.
    """
    key, sign, value = text.partition("=")
    key = re.sub(r"\[(\d+)\]", r".\1", key.strip())
    if not sign or not all(key.split(".")):
        raise ConfigError(f"--set {text}: expected section.key=value, such as training_settings.log_every=10.")
    try:
        return key, yaml.load(value, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise ConfigError(f"--set {text}: the value is no valid YAML ({problem}).") from None


def read_yaml_file(path: Path, numbered: bool = False) -> dict[Any, Any]:
    """The content of one file as it stands there.

    Args:
      path: of the file.
      numbered: whether keys may be numbers, in a file that a program wrote about itself.

    Raises:
      ConfigError: as `read_yaml`.
    """
    if path.is_dir():
        raise ConfigError(f"{path}: is a directory; expected a configuration file (YAML).")
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file.")
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, Loader=_LoaderOfRecords if numbered else _Loader)  # noqa: S506 (SafeLoaders)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f": line {mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error).splitlines()[0]
        if "recursive" in problem:
            problem = "a part contains itself: the name of an anchor (*name) stands inside what it names (&name)"
        raise ConfigError(f"{path}{line}: no valid YAML ({problem}).") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no text file; expected a YAML configuration.") from None
    except RecursionError:
        raise ConfigError(f"{path}: its brackets are nested too deeply.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(content).__name__}.")
    return content
