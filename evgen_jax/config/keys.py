"""What is told or refused of the keys of a configuration: those without effect, and values that ask for something else.

Files of Event-Generator hold keys for what is done in another way here. With their usual values they are named in one
warning; values that ask for something else are errors. What becomes of a key, its field says (`record.Key`).
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from evgen_jax.config import records as r
from evgen_jax.config.record import EMPTY, Key, Record, key_of, short
from evgen_jax.errors import ConfigError, suggestion

LOGGER = logging.getLogger("evgen_jax")


ELSEWHERE: dict[str, Callable[[r.ExperimentConfig], bool]] = {
    "training_settings.validation_frequency": lambda c: c.data_iterator_settings.validation is None,
    "training_settings.evaluation_frequency": lambda c: c.evaluation_module_settings.evaluation_module is None,
}
"""Keys that have no effect because of another section."""
IDLE_OPTIONS = {"EnteringSphereInfTrackMultiCascade": ("num_cascades",)}
"""Options of a source's config: every DOM sees all cascades here, not the nearest few."""
READ_ONCE = ("trafo", "validation")
NOT_READ_ONCE = ("sample_randomly", "pick_random_files_forever", "num_jobs", "num_add_files", "num_repetitions")
"""A transformation is made from the labels of its files, one after the other; a validation takes the same events each time."""


def check_keys(config: Record, where: str) -> None:
    """Warns once of all keys that have no effect, and refuses values that ask for what is not there.

    Args:
      config: a checked configuration, or a part of one.
      where: names its file.

    Raises:
      ConfigError: with the path of the key, the value, and what is known.
    """
    told: dict[str, None] = {}
    for path, key, record in _walk(config, ""):
        name = path.rsplit(".", 1)[-1]
        value = getattr(record, name)
        if value in EMPTY and value is not False:
            continue
        if key.known is not None and short(value) not in key.known:
            raise ConfigError(
                f"{where}: {path}: got '{value}'; here it can only be {' or '.join(key.known)}."
                + suggestion(short(value), key.known)
            )
        if reason := key.wrong(record):
            raise ConfigError(f"{where}: {path}: {reason}.")
        elsewhere = isinstance(config, r.ExperimentConfig) and path in ELSEWHERE and ELSEWHERE[path](config)
        if isinstance(record, r.ModelSettings) and name == "config" and not record.load_dir:
            idle = IDLE_OPTIONS.get(short(record.model_class), ())
            told |= {f"{path}.{option}": None for option in idle if record.config.get(option) is not None}
        if (key.idle(record) or elsewhere or _is_read_once(path)) and value not in EMPTY:
            told[path] = None
    if told:
        LOGGER.warning("%s: without effect here: %s.", where, ", ".join(_shortened(told)))


def _is_read_once(path: str) -> bool:
    """Whether it is a key about the order of files, of an iterator that reads them once."""
    section, _, name = path.rpartition(".")
    return section in {f"data_iterator_settings.{i}" for i in READ_ONCE} and name in NOT_READ_ONCE


def _walk(record: Record, path: str) -> Iterator[tuple[str, Key, Record]]:
    """Every key that was given, with its path and the record that holds it."""
    for name in (n for n in type(record).model_fields if n in record.model_fields_set):
        own = f"{path}.{name}" if path else name
        yield own, key_of(type(record), name), record
        yield from _inside(getattr(record, name), own)


def _inside(value: Any, path: str) -> Iterator[tuple[str, Key, Record]]:
    if isinstance(value, Record):
        yield from _walk(value, path)
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _inside(part, f"{path}.{name}")
    elif isinstance(value, tuple):
        for part in value:
            yield from _inside(part, path)


def _shortened(paths: dict[str, None]) -> list[str]:
    """The same key of several iterators once."""
    iterators = ("training", "validation", "trafo", "test")
    found: dict[str, None] = {}
    for path in sorted(paths):
        parts = path.split(".")
        if parts[0] == "data_iterator_settings" and parts[1] in iterators and parts[2] not in NOT_READ_ONCE:
            path = f"{parts[0]}.*.{parts[2]}"
        found[path] = None
    return list(found)
