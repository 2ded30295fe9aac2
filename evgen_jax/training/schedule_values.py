"""What the values of learning-rate schedules may be."""

from dataclasses import dataclass
from typing import Any

from evgen_jax.config.kinds import LARGEST, Kind, Misfit
from evgen_jax.errors import shown

MOST_STEPS = 2**31
"""Bound below which numbers of steps must lie."""


@dataclass(frozen=True, eq=False)
class Amount(Kind):
    """A number from `least` on, below `limit`; a rate that is far too high is told by the training that it ruins."""

    least: float = 0.0
    limit: float = LARGEST
    open: bool = False
    why: str = ""

    def check(self, value: Any) -> float:
        """Checks a number.

        Args:
          value: as it stands in a configuration.

        Returns:
          The number.

        Raises:
          Misfit: it is missing, no number, or out of range.
        """
        if value is None:
            raise Misfit("is missing and has no default.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < self.limit:
            raise Misfit(f"got {shown(value)}; expected a number below {self.limit:g}.")
        if value < self.least or self.open and value == self.least:
            bound = f"{'>' if self.open else '>='} {self.least:g}"
            raise Misfit(f"got {shown(value)}; expected a number {bound}{self.why}.")
        return value

    def schema(self) -> dict[str, Any]:
        """Describes the number for editors.

        Returns:
          JSON schema.
        """
        return {"type": "number", "exclusiveMinimum" if self.open else "minimum": self.least}


class Switch(Kind):
    """True or False."""

    def check(self, value: Any) -> bool:
        """Checks a switch.

        Args:
          value: as it stands in a configuration.

        Returns:
          True or False.

        Raises:
          Misfit: it is neither.
        """
        if not isinstance(value, bool):
            raise Misfit(f"got {shown(value)}; expected True or False.")
        return value

    def schema(self) -> dict[str, Any]:
        """Describes the switch for editors.

        Returns:
          JSON schema.
        """
        return {"type": "boolean"}


@dataclass(frozen=True, eq=False)
class Increasing(Kind):
    """Increasing numbers of steps."""

    expected: str = "increasing positive steps"

    def check(self, value: Any) -> tuple[int, ...]:
        """Checks increasing numbers of steps.

        Args:
          value: as it stands in a configuration.

        Returns:
          The numbers.

        Raises:
          Misfit: no list of positive whole numbers, or they do not increase.
        """
        steps: list[Any] = list(value) if isinstance(value, list | tuple) else [None]
        whole = all(isinstance(b, int) and not isinstance(b, bool) and 0 < b < MOST_STEPS for b in steps)
        if not whole or any(b <= a for a, b in zip(steps, steps[1:], strict=False)):
            raise self.refuse(value)
        return tuple(steps)

    def schema(self) -> dict[str, Any]:
        """Describes the numbers for editors.

        Returns:
          JSON schema.
        """
        return {"type": "array", "items": {"type": "integer", "minimum": 1}}
