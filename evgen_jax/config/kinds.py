"""What one value of a record may be: its check, its words in messages and in the reference, its JSON schema."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic_core import core_schema

from evgen_jax.errors import shown

LARGEST = 1e30
"""Numbers of a configuration are smaller: float32 holds no more."""
MOST = 100_000
"""Cascades, segments and the like: more would only fill the memory."""


class Misfit(ValueError):
    """A value that a record refuses.

    Args:
      text: what was expected and given; it follows the key and a colon.
      key: where inside the record, or inside the value of a field: '[3]', 'decoder_mapping.AG'; '': the place itself.
    """

    def __init__(self, text: str, key: str = ""):
        super().__init__(text)
        self.key = key


def joined(where: str, key: str) -> str:
    """The key path `where` followed by a key inside of it: 'a.b' and 'c' to 'a.b.c', '[1]' to 'a.b[1]'."""
    return f"{where}{'' if not where or not key or key.startswith('[') else '.'}{key}"


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of value; a pydantic annotation.

    Attributes:
      expected: what it is, as messages and the reference say it.
    """

    expected: str = ""

    def check(self, value: Any) -> Any:
        """The value as records hold it.

        Raises:
          Misfit: it is none of this kind.
        """
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """What an editor needs to know."""
        return {}

    def refuse(self, value: Any, expected: str = "") -> Misfit:
        """The error for a value of another kind."""
        return Misfit(f"expected {expected or self.expected}, got {shown(value)}.")

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return self.schema()


@dataclass(frozen=True, eq=False)
class Real(Kind):
    """A finite number, > `above` if that is given."""

    above: float | None = None

    def check(self, value: Any) -> float:
        """The number as a float."""
        low = -LARGEST if self.above is None else self.above
        if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < LARGEST:
            raise self.refuse(
                value, self.expected or ("a number" if self.above is None else f"a number > {self.above:g}")
            )
        return float(value)

    def schema(self) -> dict[str, Any]:
        """A number with its lower end."""
        return {"type": "number"} if self.above is None else {"type": "number", "exclusiveMinimum": self.above}


@dataclass(frozen=True, eq=False)
class Whole(Kind):
    """A whole number from `least` to `most`."""

    least: int = 1
    most: int = MOST

    def check(self, value: Any) -> int:
        """The whole number."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            bounds = f">= {self.least}" if not isinstance(value, int) or value < self.least else f"up to {self.most}"
            raise self.refuse(value, self.expected or f"a whole number {bounds}")
        return value

    def schema(self) -> dict[str, Any]:
        """An integer with its range."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, eq=False)
class Flag(Kind):
    """True or False; an empty value is False, as in Event-Generator's files. The text 'False' would count as True."""

    expected: str = "True or False"

    def check(self, value: Any) -> bool:
        """The flag; False where nothing is given."""
        if value is not None and not isinstance(value, bool):
            raise self.refuse(value)
        return bool(value)

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, eq=False)
class OneOf(Kind):
    """One of a few texts."""

    options: tuple[str, ...] = ()

    def check(self, value: Any) -> str:
        """The text."""
        if not isinstance(value, str) or value not in self.options:
            raise self.refuse(value, " or ".join(repr(option) for option in self.options))
        return value

    def schema(self) -> dict[str, Any]:
        """The possible texts."""
        return {"enum": list(self.options)}


@dataclass(frozen=True, eq=False)
class ListOf(Kind):
    """A list whose entries are of one kind, held as a tuple. A single text would count as its letters."""

    entry: Kind = field(default_factory=Kind)
    expected: str = "a list"

    def check(self, value: Any) -> tuple[Any, ...]:
        """The entries as a tuple; the error of an entry names its place."""
        if not isinstance(value, list | tuple):
            raise self.refuse(value)
        found = []
        for i, entry in enumerate(value):
            try:
                found.append(self.entry.check(entry))
            except Misfit as error:
                raise Misfit(str(error), joined(f"[{i}]", error.key)) from None
        return tuple(found)

    def schema(self) -> dict[str, Any]:
        """An array of the kind of its entries."""
        return {"type": "array", "items": self.entry.schema()}


@dataclass(frozen=True, eq=False)
class Names(Kind):
    """A list of texts."""

    expected: str = "a list of names"

    def check(self, value: Any) -> tuple[str, ...]:
        """The names as a tuple."""
        if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
            raise self.refuse(value)
        return tuple(value)

    def schema(self) -> dict[str, Any]:
        """An array of texts."""
        return {"type": "array", "items": {"type": "string"}}


@dataclass(frozen=True, eq=False)
class Read(Kind):
    """A value with a check of its own.

    Attributes:
      checked: value -> value as records hold it, or a `Misfit`.
      plain: the JSON schema.
    """

    checked: Callable[[Any], Any] = lambda value: value
    plain: tuple[tuple[str, Any], ...] = ()

    def check(self, value: Any) -> Any:
        """What the check makes of the value."""
        return self.checked(value)

    def schema(self) -> dict[str, Any]:
        """The schema that was given."""
        return dict(self.plain)


Number = Annotated[float, Real()]
Positive = Annotated[float, Real(above=0.0)]
Count = Annotated[int, Whole()]
Switch = Annotated[bool, Flag()]
ListOfNames = Annotated[tuple[str, ...], Names()]
Precision = Annotated[str, OneOf(options=("float32", "float64"))]
