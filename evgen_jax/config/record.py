"""What all records of configurations share: strict and frozen, and every field says what it means and what becomes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Precision = Literal["float32", "float64"]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Strings = tuple[StrictStr, ...]
Count = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
Size = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
EMPTY: tuple[Any, ...] = (None, {}, (), "", False)
"""Values that ask for nothing."""


class Record(BaseModel):
    """Base of all records: unknown keys are refused, nothing can be changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def described(default: Any, text: str, unit: str = "") -> Any:
    """A field with a default.

    Args:
      default: its value where nothing is given.
      text: what it means.
      unit: of its numbers; '': none.
    """
    return Field(default, description=text, json_schema_extra={"unit": unit} if unit else None)


def needed(text: str, unit: str = "") -> Any:
    """A field without a default; see `described`."""
    return Field(description=text, json_schema_extra={"unit": unit} if unit else None)


@dataclass(frozen=True)
class Key:
    """What becomes of a field: it acts, or it is told to have no effect, or it is refused. An annotation of the field.

    Attributes:
      acts: whether it changes anything at all.
      idle: (the record that holds it) -> whether it has no effect there, which is told.
      known: values that mean what is done here (class names by their last part); others are refused. None: any.
      wrong: (the record) -> why the value cannot be kept beside the others, or nothing; then it is refused.
    """

    acts: bool = True
    idle: Callable[[Any], bool] = lambda record: False
    known: tuple[Any, ...] | None = None
    wrong: Callable[[Any], str] = lambda record: ""


ACTS = Key()
"""Of every field that says nothing else."""
TOLD = Key(acts=False, idle=lambda record: True)
"""Of Event-Generator; has no effect here."""
WHEN_FITTED = Key(acts=False)
"""Not computed here; `reconstruct` says what does it instead."""
FLOAT32, FLOAT64 = Key(False, known=("float32",)), Key(False, known=("float64",))
"""There is one precision, and the value says so."""
Idle = Annotated[Any, TOLD]
"""A field without effect, whatever its value."""
Only32 = Annotated[Precision, FLOAT32]
Only64 = Annotated[Precision, FLOAT64]
ONLY_32 = "Precision of Event-Generator's arrays; float32 is what there is here."


def only(*names: str) -> Key:
    """A key that means what is done here if it has one of these values; others are refused."""
    return Key(acts=False, known=names)


def key_of(record: type[Record], name: str) -> Key:
    """What becomes of a field of a record."""
    return next((part for part in record.model_fields[name].metadata if isinstance(part, Key)), ACTS)


def short(name: Any) -> str:
    """Last part of a dotted class path."""
    return str(name).rsplit(".", 1)[-1]
