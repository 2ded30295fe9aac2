"""Errors a user can cause. Each message says what was given, what was expected and what to do."""

import difflib
from collections.abc import Iterable
from typing import Any


class EvgenError(Exception):
    """Base of all errors of this package; the commands print it as one line and exit with code 2."""


class ConfigError(EvgenError):
    """A configuration that does not say what is needed."""


class DataError(EvgenError):
    """A data file or event that cannot be used."""


class DetectorError(EvgenError):
    """A detector table that cannot be read, or a DOM that it does not know."""


class TrafoError(EvgenError):
    """A transformation that is missing or was fitted for other parameters."""


class CheckpointError(EvgenError):
    """A checkpoint that cannot be read or belongs to another architecture."""


class ModelDirectoryError(EvgenError):
    """An exported model that is missing, damaged or in the way."""


class HypothesisError(EvgenError):
    """A hypothesis that has not the parameters of the model."""


class ReconstructionError(EvgenError):
    """A fit that cannot be started."""


def shown(value: Any) -> str:
    """A given value as messages show it: on one line, and its beginning where it is long."""
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 100 else f"{text[:97]}..."


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns ``" Did you mean 'x'?"`` for the nearest of the known names, or an empty string."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""
