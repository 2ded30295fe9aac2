"""Checks of configuration sections whose keys depend on the class that they name."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from evgen_jax.errors import ConfigError, shown, suggestion

LARGEST = 1e30
"""Numbers of a configuration are smaller: float32 holds no more."""
MOST = 100_000
"""Cascades, segments and the like: more would only fill the memory."""
DTYPES = {"float32": jnp.float32, "float64": jnp.float64}


def short_name(class_name: str) -> str:
    """Last part of a dotted class path: existing files name 'egenerator.model....DefaultCascadeModel'."""
    return class_name.rsplit(".", 1)[-1]


def known_class(class_name: str, known: Iterable[str], where: str) -> str:
    """The short name of a class.

    Raises:
      ConfigError: it is none of the known ones; the nearest match is named.
    """
    if not isinstance(class_name, str):
        raise ConfigError(f"{where}: expected the name of a class, got {shown(class_name)}.")
    name, known = short_name(class_name), tuple(known)
    if name not in known:
        raise ConfigError(f"{where}: '{class_name}' is unknown; known: {', '.join(known)}." + suggestion(name, known))
    return name


def only_keys(config: dict[str, Any], known: Iterable[str], where: str) -> None:
    """Raises ConfigError for what is no mapping, or a key that is not known; the nearest match is named."""
    known = tuple(known)
    if not isinstance(config, dict):
        raise ConfigError(f"{where}: expected a mapping with the keys {', '.join(known)}; got {shown(config)}.")
    for key in config:
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key. Known here: {', '.join(known)}." + suggestion(key, known))


def dtype_of(config: dict[str, Any], where: str) -> Any:
    precision = config.get("float_precision") or "float32"
    if not isinstance(precision, str) or precision not in DTYPES:
        raise ConfigError(f"{where}.config.float_precision: expected 'float32' or 'float64', got {shown(precision)}.")
    return DTYPES[precision]


def precision_of_a_part(config: dict[str, Any], dtype: Any, where: str) -> None:
    """Checks the `float_precision` of a decoder or multi-source, which computes in the precision of its source.

    Raises:
      ConfigError: a higher one than that of the source.
    """
    if dtype is not None and jnp.finfo(dtype_of(config, where)).bits > jnp.finfo(dtype).bits:
        name = jnp.dtype(dtype).name
        raise ConfigError(
            f"{where}.config.float_precision: got '{config['float_precision']}', but it computes in the precision of its "
            f"source, {name}. Write {name}, or leave it out."
        )


def flag(value: Any, where: str) -> bool:
    """True or False; an empty value is False, as in Event-Generator's files.

    Raises:
      ConfigError: anything else. The text 'False' would count as True.
    """
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{where}: expected True or False, got {shown(value)}.")
    return bool(value)


def finite(value: Any, where: str) -> float:
    """A number of any sign.

    Raises:
      ConfigError: none, or one that is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise ConfigError(f"{where}: expected a number, got {shown(value)}.")
    return float(value)


def texts(value: Any, where: str) -> tuple[str, ...] | None:
    """A list of texts; None where nothing is given.

    Raises:
      ConfigError: anything else. A single text would count as its letters.
    """
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise ConfigError(f"{where}: expected a list of names, got {shown(value)}.")
    return tuple(value)


def number(config: dict[str, Any], key: str, where: str, *, above: float = 0.0, default: float | None = None) -> float:
    """A number > `above` of a section.

    Raises:
      ConfigError: missing without a default, no number, or too small.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < LARGEST:
        raise ConfigError(f"{where}.config.{key}: expected a number > {above:g}, got {shown(value)}.")
    return float(value)


def whole_number(config: dict[str, Any], key: str, where: str, *, least: int = 1) -> int:
    """A whole number from `least` to `MOST` of a section, as `number`."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
        bounds = f">= {least}" if not isinstance(value, int) or value < least else f"up to {MOST}"
        raise ConfigError(f"{where}.config.{key}: expected a whole number {bounds}, got {shown(value)}.")
    return value
