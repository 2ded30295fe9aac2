"""Names of a package that are loaded when they are first used, so that importing the package takes no time.

A package writes a table of its names, and a stub `__init__.pyi` for type checkers and editors; a test compares them.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from evgen_jax.errors import suggestion


def lazy_names(
    package: str, table: Mapping[str, Sequence[str]], namespaces: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Makes what a package needs to load its names late.

    Args:
      package: its `__name__`.
      table: module -> names that are taken from there.
      namespaces: packages inside of it that are reached as its attributes.

    Returns:
      Its `__getattr__`, `__dir__` and `__all__`.

    Example:
      __getattr__, __dir__, __all__ = lazy_names(__name__, {"evgen_jax.training.run": ["train"]})
    """
    places = {name: module for module, names in table.items() for name in names}
    public = sorted([*places, *namespaces])

    def load(name: str) -> Any:
        if name in namespaces:
            return import_module(f"{package}.{name}")
        if name not in places:
            near = "" if name.startswith("_") else suggestion(name, public)
            raise AttributeError(f"module '{package}' has no attribute '{name}'.{near}")
        value = getattr(import_module(places[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names_of_package() -> list[str]:
        return sorted({*(name for name in vars(sys.modules[package]) if name.startswith("__")), *public})

    return load, names_of_package, public
