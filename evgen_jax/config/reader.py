"""YAML files to plain dictionaries: YAML 1.2 numbers, no duplicate keys, placeholders filled in."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from evgen_jax.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Safe loader that reads 1e-6 as a number and refuses a key given twice."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?[eE][-+]?[0-9]+$|^[-+]?\.[0-9]+[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def _mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise ConfigError(f"{_where(key_node)}: the key '{key}' is given twice.")
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


_Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: _mapping(loader, node, deep=True))  # type: ignore[arg-type]


def _where(node: yaml.Node) -> str:
    return f"{node.start_mark.name}: line {node.start_mark.line + 1}"


def read_yaml(paths: str | Path | Sequence[str | Path]) -> dict[str, Any]:
    """Reads one configuration from one or several YAML files.

    Files are merged at the top level; a top-level key may appear in one file only. `{key}` inside a string is
    replaced by the string value of that top-level key.

    Raises:
      ConfigError: a file that is missing or no YAML mapping, or a key that appears twice.
    """
    merged: dict[str, Any] = {}
    for path in [paths] if isinstance(paths, str | Path) else paths:
        path = Path(path)
        if not path.is_file():
            raise ConfigError(f"{path}: no such configuration file.")
        try:
            with open(path) as file:
                content = yaml.load(file, Loader=_Loader)  # noqa: S506 (a SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f": line {mark.line + 1}" if mark else ""
            problem = str(getattr(error, "problem", None) or error)
            if "recursive" in problem:
                problem = "a part contains itself: the name of an anchor (*name) stands inside what it names (&name)"
            raise ConfigError(f"{path}{line}: no valid YAML ({problem}).") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: is no text file; expected a YAML configuration.") from None
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: expected a mapping of settings, got {type(content).__name__}.")
        for key in content:
            if key in merged:
                raise ConfigError(f"{path}: the section '{key}' is already given by another file.")
        merged.update(content)
    strings = {k: v for k, v in merged.items() if isinstance(v, str)}
    return _fill(merged, strings)


def _fill(value: Any, strings: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _fill(v, strings) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, strings) for v in value]
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda m: strings.get(m.group(1), m.group(0)), value)
    return value
