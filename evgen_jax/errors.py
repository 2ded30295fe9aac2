"""Errors a user can cause. Each message says what was given, what was expected and what to do."""

import difflib
from collections.abc import Iterable
from typing import Any


class EvgenError(Exception):
    """Is the base of all errors of this package; the commands print it as one line and exit with code 2."""


class ConfigError(EvgenError):
    """Reports a configuration or an argument that does not say what is needed."""


class DataError(EvgenError):
    """Reports a data file or event that cannot be used."""


class DetectorError(EvgenError):
    """Reports a detector table that cannot be read, or a DOM that the table does not have."""


class MediumError(EvgenError):
    """Reports a medium that is not known, or a file of one that cannot be read."""


class TrafoError(EvgenError):
    """Reports a transformation that is missing or was fitted for other parameters."""


class CheckpointError(EvgenError):
    """Reports a checkpoint that cannot be read or belongs to another architecture."""


class ModelDirectoryError(EvgenError):
    """Reports an exported model that is missing or damaged, or a directory that is in the way of one."""


class HypothesisError(EvgenError):
    """Reports a hypothesis that does not have the parameters of the model."""


class ReconstructionError(EvgenError):
    """Reports a fit that cannot be started."""


def shown(value: Any) -> str:
    """Formats a given value for a message: on one line of at most 100 characters.

    Args:
      value: what the user gave.

    Returns:
      Its `repr`, cut with "..." where it is longer.
    """
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 100 else f"{text[:97]}..."


def suggestion(name: str, known: Iterable[str]) -> str:
    """Finds the known name that is nearest to a misspelt one.

    Args:
      name: as the user gave it.
      known: all valid names.

    Returns:
      `" Did you mean 'x'?"`, to be appended to a message, or an empty string if nothing is near.
    """
    close = nearest(name, known)
    return f" Did you mean '{close}'?" if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Finds the known name that is nearest to a misspelt one; '' where none is near.

    Args:
      name: as the user gave it.
      known: all valid names.
    """
    return next(iter(difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.5)), "")
