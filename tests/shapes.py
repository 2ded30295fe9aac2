"""Checks the shapes in signatures while tests run: importing this file switches the check on, before the package.

Only shapes are checked. Tests hand arguments of wrong types to functions that answer with a message of their own, which
a check of `str` or `Sequence` would replace.
"""

from collections.abc import Callable
from functools import wraps
from inspect import isclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray, ArrayLike, install_import_hook

checked = jaxtyping.jaxtyped
"""The decorator of jaxtyping, which the import hook puts on every function and class."""


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function refuse arguments and results of shapes other than its signature says."""
    hints = {name: shape_alone(hint) for name, hint in function.__annotations__.items()}
    function.__annotations__ = {name: hint for name, hint in hints.items() if hint is not Any}
    return beartype(function) if function.__annotations__ else function


def shape_alone(hint: Any) -> Any:
    """Returns what a type hint says of shapes; Any where that is nothing. NumPy's arrays and numbers are arrays, too."""
    if isclass(hint) and issubclass(hint, AbstractArray):
        return hint.dtype[ArrayLike, hint.dim_str]
    parts = tuple(part if part in (NoneType, ...) else shape_alone(part) for part in get_args(hint))
    if not any(part not in (Any, NoneType, ...) for part in parts):
        return Any
    if get_origin(hint) is tuple:
        return tuple[parts]
    if get_origin(hint) in (Union, UnionType) and Any not in parts:
        return Union[parts]  # noqa: UP007
    return Any


def checked_where_shapes_are(*, typechecker: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates functions with shapes in their signatures when they are first called; others cost nothing."""

    def decorated(target: Any) -> Any:
        hints = () if isclass(target) else getattr(target, "__annotations__", {}).values()
        if all(shape_alone(hint) is Any for hint in hints):
            return target
        made: list[Callable[..., Any]] = []

        @wraps(target)
        def call(*arguments: Any, **named: Any) -> Any:
            if not made:
                made.append(checked(target, typechecker=typechecker))
            return made[0](*arguments, **named)

        return call

    return decorated


jaxtyping.jaxtyped = checked_where_shapes_are
install_import_hook("evgen_jax", f"{__name__}.{check_shapes.__name__}")
