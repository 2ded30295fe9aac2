"""The record of learned noise."""

from collections.abc import Callable
from typing import Annotated, Any, Self

from evgen_jax.building.analytic_sources import AnalyticNoiseModel
from evgen_jax.building.decoders import decoder_record
from evgen_jax.building.sources import (
    DTYPES,
    DecoderField,
    SourceRecord,
    Surroundings,
    charge_decoder,
    precision_of,
)
from evgen_jax.config.kinds import ListOfNames, Misfit, Precision, Whole
from evgen_jax.config.record import described, needed
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.sources.learned.noise import NoiseSource


class DefaultNoiseModel(SourceRecord):
    """Learned noise: the rate of every module times a common factor. No parameters."""

    float_precision: Precision = described("float32", "Precision of weights and computation.")
    num_local_vars: Annotated[int, Whole(least=0)] | None = described(
        None, "Number of learned variables; it can only be that of the charge decoder's parameters."
    )
    charge_scale_tensors: ListOfNames | None = described(
        None, "Parameters of the charge that get rate times livetime; empty: all expected charges."
    )
    decoder_charge_settings: DecoderField = needed("Distribution of charges.")

    @classmethod
    def from_section(cls, section: ModelSettings, around: Surroundings, where: str) -> Self:
        """Makes the record; a decoder of arrival times is refused."""
        if section.multi_source_bases:
            raise ConfigError(f"{where}.multi_source_bases: {cls.__name__} is no multi-source.")
        if section.decoder_settings is not None and section.decoder_settings.decoder_class is not None:
            raise ConfigError(
                f"{where}.decoder_settings: noise has no time decoder; its times are even over the readout."
            )
        return cls.read(section.config, where, decoder_charge_settings=charge_decoder(section, around, where))

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """Noise with a learned factor."""
        decoder = self.decoder_charge_settings.build()
        return NoiseSource(decoder, self.charge_scale_tensors, True, DTYPES[self.float_precision])

    def analytic(self, where: str = "model_settings") -> SourceRecord:
        """Noise with the rates of the modules."""
        return AnalyticNoiseModel()

    def check(self) -> None:
        """Whether the decoder is that of a charge and has as many parameters as the file says."""
        decoder = self.decoder_charge_settings.build()
        if not decoder.is_charge:
            raise Misfit("is no charge distribution.", "decoder_charge_settings")
        self.precision_of_decoder("decoder_charge_settings", self.float_precision)
        count = len(decoder.parameter_names)
        if self.num_local_vars not in (None, count):
            raise Misfit(f"is {self.num_local_vars}, but the charge decoder has {count} parameters.", "num_local_vars")

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record of learned noise; None if the source is another one."""
        if not isinstance(source, NoiseSource) or not source.learned:
            return None
        scaled: dict[str, Any] = {"charge_scale_tensors": source.scaled} if source.scaled is not None else {}
        charge = decoder_record(source.charge_decoder)
        return cls(decoder_charge_settings=charge, float_precision=precision_of(source), **scaled)
