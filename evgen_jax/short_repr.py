"""Printed records: one line that says what they hold, arrays by their kind and shape alone."""

from typing import Any

from evgen_jax.errors import shown


def short_repr(record: Any) -> str:
    """Formats a record as notebooks print it: `__repr__ = short_repr` in its class.

    Args:
      record: a dataclass.

    Returns:
      Its class and fields, such as 'Profile(names=('x',), log_likelihood=float64[21])'.
    """
    fields = ((name, getattr(record, name)) for name in record.__dataclass_fields__)
    return f"{type(record).__name__}({', '.join(f'{name}={_short(value)}' for name, value in fields)})"


def _short(value: Any) -> str:
    """An array by its kind and shape, another record by its own text, anything else on one line."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape and dtype is not None:
        return f"{dtype}{list(shape)}"
    if isinstance(value, tuple) and any(getattr(own, "shape", None) for own in value):
        return f"({', '.join(_short(own) for own in value)})"
    return shown(value)
