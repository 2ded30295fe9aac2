"""Checks of single numbers and mappings among the arguments of public functions.

Each check is told how the message names the argument and which error it raises. No array library is loaded: arrays
without axes count as numbers, traced ones do not.
"""

from collections.abc import Mapping
from math import inf
from numbers import Integral, Real
from typing import Any

from evgen_jax.errors import EvgenError, shown


def check_whole(value: Any, least: int, what: str, error: type[EvgenError]) -> None:
    """Checks that a value is a whole number of at least `least`.

    Args:
      value: what the user gave.
      least: smallest valid number.
      what: names the argument in the message.
      error: class of the error.

    Raises:
      EvgenError: another value; of the class `error`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise error(f"{what}: expected a whole number >= {least}, got {shown(value)}.")


def check_share(value: Any, what: str, error: type[EvgenError]) -> None:
    """Checks that a value is a probability between 0 and 1, both excluded.

    Args:
      value: what the user gave.
      what: names the argument in the message.
      error: class of the error.

    Raises:
      EvgenError: another value; of the class `error`.
    """
    if not (is_number(value) and 0 < value < 1):
        raise error(f"{what}: expected a probability between 0 and 1, got {shown(value)}.")


def check_positive(value: Any, what: str, error: type[EvgenError]) -> None:
    """Checks that a value is a finite number above 0.

    Args:
      value: what the user gave.
      what: names the argument in the message.
      error: class of the error.

    Raises:
      EvgenError: another value; of the class `error`.
    """
    if not is_number(value) or not 0 < value < inf:
        raise error(f"{what}: expected a finite number > 0, got {shown(value)}.")


def check_not_negative(value: Any, what: str, error: type[EvgenError]) -> None:
    """Checks that a value is a finite number of at least 0.

    Args:
      value: what the user gave.
      what: names the argument in the message.
      error: class of the error.

    Raises:
      EvgenError: another value; of the class `error`.
    """
    if not is_number(value) or not 0 <= value < inf:
        raise error(f"{what}: expected a finite number >= 0, got {shown(value)}.")


def check_finite(value: Any, what: str, error: type[EvgenError]) -> None:
    """Checks that a value is a finite number.

    Args:
      value: what the user gave.
      what: names the argument in the message.
      error: class of the error.

    Raises:
      EvgenError: another value; of the class `error`.
    """
    if not is_number(value) or not -inf < value < inf:
        raise error(f"{what}: expected a finite number, got {shown(value)}.")


def check_mapping(value: Any, what: str, form: str, error: type[EvgenError]) -> None:
    """Checks that a value is a mapping.

    Args:
      value: what the user gave.
      what: names the argument in the message.
      form: what is expected, such as '{parameter: (low, high)}'.
      error: class of the error.

    Raises:
      EvgenError: another value; of the class `error`.
    """
    if not isinstance(value, Mapping):
        raise error(f"{what}: expected {form}, got {shown(value)}.")


def is_number(value: Any) -> bool:
    """Checks whether a value is one real number, NaN and infinity among them.

    Args:
      value: anything.

    Returns:
      True for Python and numpy numbers and arrays without axes; False for booleans and traced values.
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        try:
            value = value.item()
        except TypeError:  # of JAX: a traced value has no number
            return False
    return isinstance(value, Real) and not isinstance(value, bool)
