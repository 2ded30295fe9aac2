"""Records of value ranges, which a parameter of a distribution keeps to."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from evgen_jax.building.record import ZooRecord, by_name, named, only_keys
from evgen_jax.config.kinds import Misfit, Number
from evgen_jax.config.record import described
from evgen_jax.decoders import ValueRange
from evgen_jax.errors import ConfigError, shown


class ValueRangeRecord(ZooRecord):
    """The range of a parameter: a = scale * x + offset of a network's output x, then a function of a."""

    scale: Number = described(1.0, "Factor of the network's output.")
    offset: Number = described(0.0, "Added to the scaled output.")
    min_value: Number = described(0.0, "Lower end of the range; of no effect in BaseValueRange.")

    kind: ClassVar[str] = "base"

    def build(self) -> ValueRange:
        """The function from a network's output to the range."""
        return ValueRange(self.kind, self.scale, self.offset, self.min_value)

    def section(self) -> dict[str, Any]:
        """The section of a file, as plain values."""
        return {"value_range_class": type(self).__name__, "config": self.config()}


class BaseValueRange(ValueRangeRecord):
    """Any value: a."""


class EluValueRange(ValueRangeRecord):
    """Values above min_value: elu(a) + 1 + min_value."""

    kind: ClassVar[str] = "elu"


class ExpValueRange(ValueRangeRecord):
    """Values above min_value: exp(a) + min_value, with a within [-20, 15]."""

    kind: ClassVar[str] = "exp"


class SigmoidValueRange(ValueRangeRecord):
    """Values between min_value and max_value: min_value + (max_value - min_value) / (1 + exp(-a))."""

    max_value: Number = described(1.0, "Upper end of the range.")

    kind: ClassVar[str] = "sigmoid"

    def build(self) -> ValueRange:
        """The function from a network's output to the range."""
        return ValueRange(self.kind, self.scale, self.offset, self.min_value, self.max_value)

    def check(self) -> None:
        """Whether the ends are in order."""
        if not self.max_value > self.min_value:
            raise Misfit(f"expected more than min_value = {self.min_value:g}, got {self.max_value:g}.", "max_value")


VALUE_RANGES: dict[str, type[ValueRangeRecord]] = {
    record.__name__: record for record in (BaseValueRange, EluValueRange, ExpValueRange, SigmoidValueRange)
}


Ranges = Annotated[
    dict[str, ValueRangeRecord],
    by_name(ValueRangeRecord, "{parameter: value range}", "EluValueRange(offset=1.0)", "value range"),
]


def range_record(entry: ValueRange) -> ValueRangeRecord:
    """The record that makes a value range."""
    (record,) = (r for r in VALUE_RANGES.values() if r.kind == entry.kind)
    upper = {"max_value": entry.max_value} if record is SigmoidValueRange else {}
    return record(scale=entry.scale, offset=entry.offset, min_value=entry.min_value, **upper)


def read_range(entry: Any, where: str) -> ValueRangeRecord:
    """Makes the record of a value range from its section.

    Args:
      entry: the section, plain values.
      where: its key path, for messages.

    Raises:
      ConfigError: an unknown class or key, or no numbers.
    """
    if not isinstance(entry, Mapping) or "value_range_class" not in entry:
        raise ConfigError(f"{where}: expected value_range_class and config, got {shown(entry)}.")
    only_keys(entry, ("value_range_class", "config"), where)
    record = named(entry["value_range_class"], VALUE_RANGES, f"{where}.value_range_class")
    return record.read(entry.get("config") or {}, where)
