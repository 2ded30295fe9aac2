"""What the records of all decoders share."""

from collections.abc import Iterator
from typing import Any, ClassVar

from evgen_jax.building.record import ZooRecord
from evgen_jax.building.value_ranges import Ranges
from evgen_jax.config.kinds import Precision
from evgen_jax.config.record import described
from evgen_jax.decoders import Decoder, Mixture


class DecoderRecord(ZooRecord):
    """A distribution of arrival times or charges."""

    beside: ClassVar[tuple[str, ...]] = ("base_decoders",)

    float_precision: Precision | None = described(
        None, "Precision of the file that it comes from; it computes in that of its source, which may not be lower."
    )
    value_range_mapping: Ranges = described(
        {}, "Value ranges of parameters; others are taken as the network gives them."
    )

    def check(self) -> None:
        """Whether the distribution can be made."""
        self.build()

    def build(self) -> Decoder | Mixture:
        """The distribution."""
        raise NotImplementedError

    def precisions(self) -> Iterator[tuple[str, str]]:
        """Key paths and values of `float_precision`, of base decoders too."""
        if self.float_precision is not None:
            yield "config.float_precision", self.float_precision

    def section(self) -> dict[str, Any]:
        """The section of a file, as plain values."""
        return {"decoder_class": type(self).__name__, "config": self.config()}

    @classmethod
    def of(cls, decoder: Decoder | Mixture) -> "DecoderRecord | None":
        """The record that makes a decoder, if it is of this class."""
        raise NotImplementedError
