"""Placeholders of configurations: {unique_name} in a path stands for the value of that key."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evgen_jax.config.overrides import Origins
from evgen_jax.errors import ConfigError, suggestion

# '{name}', '{section[key]}' and '{name:format}'; '{{name}}' stands for the braces themselves. '{}', '{:02d}' and braces
# around anything else are text.
PLACEHOLDER = re.compile(
    r"\{\{(?P<kept>\w+)\}\}|\{(?P<name>[A-Za-z_]\w*)(?P<keys>(?:\[\w+\])*)(?P<form>(?:![rsa])?(?::[^{}\s]*)?)\}"
)
NOT_FILLED = {
    "egenerator_dir": "the directory of Event-Generator's program",
    "git_short_sha": "the commit of a repository: every commit would start a run of its own",
    "git_sha": "the commit of a repository: every commit would start a run of its own",
    "git_origin": "the address of a repository",
    "git_uncommited_changes": "whether a repository has changes",
    "pip_installed_packages": "a list of packages",
}
"""What Event-Generator adds to a configuration and this program does not."""


def fill_placeholders(values: Mapping[str, Any], origins: Origins, files: Sequence[Path]) -> dict[str, Any]:
    """Replaces placeholders in all texts of a configuration, those inside lists too.

    `{key}` stands for the text or number of a top-level key, `{section[key]}` for one inside a section, `{config_name}`
    for the names of the files without their ending, joined by '__', `{directory}` for the directory in which the file lies.
    What follows a colon is a format, as in Python.

    Args:
      values: a configuration.
      origins: the file in which each key stands.
      files: all of them.

    Raises:
      ConfigError: a placeholder that stands for nothing here; file, key and what is known are named.
    """
    known = {"config_name": "__".join(dict.fromkeys(path.stem for path in files)), **values}
    return {key: _fill(value, known, origins[key], key, ()) for key, value in values.items()}


def _fill(value: Any, known: Mapping[str, Any], origin: "Path | Origins", key: str, inside: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {
            k: _fill(v, known, origin[k] if isinstance(origin, dict) else origin, f"{key}.{k}", inside)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_fill(v, known, origin, f"{key}[{i}]", inside) for i, v in enumerate(value)]
    if isinstance(value, str) and "{" in value:
        assert isinstance(origin, Path)
        of_file = {"directory": str(origin.absolute().parent), **known}
        return PLACEHOLDER.sub(lambda match: _text(match, of_file, origin, key, inside), value)
    return value


def _text(match: re.Match[str], known: Mapping[str, Any], origin: Path, key: str, inside: tuple[str, ...]) -> str:
    """What stands in place of one placeholder; `inside` are the placeholders whose values are being filled."""
    where = f"{origin}: {key}"
    if match["kept"] is not None:
        return f"{{{match['kept']}}}"
    name, keys = match["name"], re.findall(r"\w+", match["keys"])
    whole = name + match["keys"]
    if name in NOT_FILLED and name not in known:
        raise ConfigError(
            f"{where}: the placeholder {match[0]} is {NOT_FILLED[name]}, which is not filled in here. Write the value, or "
            "use {unique_name}, {config_name} or {directory}."
        )
    value: Any = known.get(name)
    for part in keys:
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict | list) or value is None:
        filled = [k for k, v in known.items() if isinstance(v, str | int | float)]
        raise ConfigError(
            f"{where}: the placeholder {match[0]} stands for nothing; known: {', '.join(filled)}."
            + suggestion(name, filled)
            + " Braces that are meant as such are written twice: {{ }}."
        )
    if whole in inside:
        raise ConfigError(f"{where}: the placeholder {match[0]} stands inside its own value.")
    value = _fill(value, known, origin, key, (*inside, whole))
    try:
        return f"{{0{match['form']}}}".format(value)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{where}: the placeholder {match[0]} has a format that does not fit {value!r} ({error})."
        ) from None
