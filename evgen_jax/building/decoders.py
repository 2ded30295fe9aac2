"""Records of decoders, the distributions of arrival times and charges."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from evgen_jax.building.decoder_record import DecoderRecord
from evgen_jax.building.record import by_name, named, register
from evgen_jax.building.value_ranges import range_record, read_range
from evgen_jax.config.kinds import Misfit, Number, Read, Real, Whole
from evgen_jax.config.record import described, needed
from evgen_jax.config.records import DecoderSettings
from evgen_jax.decoders import FAMILIES, Component, Decoder, Family, Mixture, rational_quadratic_spline
from evgen_jax.decoders.spline import DEFAULT_BINS
from evgen_jax.errors import ConfigError, shown, suggestion


def _normalised(value: Any) -> bool:
    if value is False:
        raise Misfit(
            "distributions are always normalised here. Leave it out; the terms of the loss have a switch of this name."
        )
    return True


class FamilyDecoder(DecoderRecord):
    """A distribution of one family."""

    family: ClassVar[Family]

    offset: Number = described(0.0, "Constant shift of the value, in units of a decoder's times (1000 ns) or in PE.")
    add_normalization_term: Annotated[bool, Read("True", _normalised, (("const", True),))] = described(
        True, "Distributions are always normalised: nothing else is possible."
    )

    def own_family(self) -> Family:
        """The family with these settings."""
        return self.family

    def build(self) -> Decoder:
        """The distribution with its value ranges and its shift."""
        ranges = tuple((name, entry.build()) for name, entry in self.value_range_mapping.items())
        return Decoder(self.own_family(), ranges, self.offset)

    @classmethod
    def of(cls, decoder: Decoder | Mixture) -> "DecoderRecord | None":
        """The record of a decoder of this family; None if the decoder is another one."""
        if not isinstance(decoder, Decoder) or decoder.family != cls.family:
            return None
        return cls(**_family_fields(decoder))


def _family_fields(decoder: Decoder) -> dict[str, Any]:
    fields: dict[str, Any] = {"offset": decoder.offset} if decoder.offset else {}
    if decoder.value_ranges:
        fields["value_range_mapping"] = {name: range_record(entry) for name, entry in decoder.value_ranges}
    return fields


class AsymmetricGaussianDecoder(FamilyDecoder):
    """Arrival times: a Gaussian with the width sigma before its maximum mu and r sigma behind."""

    family: ClassVar[Family] = FAMILIES["AsymmetricGaussianDecoder"]


class GammaFunctionDecoder(FamilyDecoder):
    """Arrival times: a gamma distribution with the shape alpha and the rate beta."""

    family: ClassVar[Family] = FAMILIES["GammaFunctionDecoder"]


class ShiftedGammaFunctionDecoder(FamilyDecoder):
    """Arrival times: a gamma distribution that begins at a learned offset."""

    family: ClassVar[Family] = FAMILIES["ShiftedGammaFunctionDecoder"]


class SmearedGammaFunctionDecoder(FamilyDecoder):
    """Arrival times: a gamma distribution smeared by the response of a module."""

    family: ClassVar[Family] = FAMILIES["SmearedGammaFunctionDecoder"]


class PoissonDecoder(FamilyDecoder):
    """Charges: a Poisson distribution with the mean mu."""

    family: ClassVar[Family] = FAMILIES["PoissonDecoder"]


class NegativeBinomialDecoder(FamilyDecoder):
    """Charges: a negative binomial with the mean mu and the over-dispersion alpha."""

    family: ClassVar[Family] = FAMILIES["NegativeBinomialDecoder"]


class RationalQuadraticSplineDecoder(FamilyDecoder):
    """Arrival times: a logistic distribution bent by a monotone rational quadratic spline."""

    family: ClassVar[Family] = FAMILIES["RationalQuadraticSplineDecoder"]

    num_bins: Annotated[int, Whole("a whole number from 1 to 100", 1, 100)] = described(
        DEFAULT_BINS, "Bins of the spline; each adds three parameters."
    )

    def own_family(self) -> Family:
        """The spline with its number of bins."""
        return rational_quadratic_spline(self.num_bins)

    @classmethod
    def of(cls, decoder: Decoder | Mixture) -> "DecoderRecord | None":
        """The record of a spline with any number of bins; None if the decoder is another one."""
        if isinstance(decoder, Decoder) and decoder.family.name == cls.family.name:
            for bins in range(1, 101):
                if decoder.family == rational_quadratic_spline(bins):
                    return cls(num_bins=bins, **_family_fields(decoder))
        return None


def _components(value: Any) -> dict[str, tuple[str, int, float]]:
    if not isinstance(value, Mapping) or not value:
        raise Misfit("expected {name: [base, number, weight factor]}.")
    for name, entry in value.items():
        if not isinstance(entry, list | tuple) or len(entry) != 3:
            raise Misfit(f"expected [base, number, weight factor], got {shown(entry)}.", name)
        if isinstance(entry[1], bool) or not isinstance(entry[1], int) or entry[1] < 1:
            raise Misfit(f"expected a whole number of copies >= 1, got {shown(entry[1])}.", name)
        try:
            Real().check(entry[2])
        except Misfit as error:
            raise Misfit(f"weight factor: {error}", name) from None
    return {name: tuple(entry) for name, entry in value.items()}


class MixtureModel(DecoderRecord):
    """A weighted sum of decoders; every copy of a base has parameters and a weight of its own."""

    decoder_mapping: Annotated[
        dict[str, tuple[str, int, float]],
        Read("{name: [base, number, weight factor]}", _components, (("type", "object"),)),
    ] = needed("Components: the name of a base decoder, how many copies of it, and a factor of their weights.")
    base_decoders: Annotated[
        dict[str, DecoderRecord], by_name(DecoderRecord, "{name: decoder}", "GammaFunctionDecoder()", "decoder")
    ] = described({}, "The decoders that decoder_mapping names.")

    def check(self) -> None:
        """Whether every component has a base and every base is used."""
        for name, (base, _, _) in self.decoder_mapping.items():
            if not isinstance(base, str) or base not in self.base_decoders:
                raise Misfit(
                    f"base '{base}' is not in base_decoders; it has {', '.join(self.base_decoders) or 'none'}."
                    + suggestion(base, self.base_decoders),
                    f"decoder_mapping.{name}",
                )
        for base in self.base_decoders:
            if base not in {entry[0] for entry in self.decoder_mapping.values()}:
                raise Misfit("is not used by decoder_mapping. Remove it or use it.", f"base_decoders.{base}")
        for name in self.value_range_mapping:
            if name != "weight":
                raise Misfit(
                    "unknown key. Known here: weight." + suggestion(name, ("weight",)), f"value_range_mapping.{name}"
                )
        self.build()

    def build(self) -> Mixture:
        """The weighted sum."""
        components = tuple(
            Component(name, self.base_decoders[base].build(), count, float(factor))
            for name, (base, count, factor) in self.decoder_mapping.items()
        )
        weight = self.value_range_mapping.get("weight")
        return Mixture(components) if weight is None else Mixture(components, weight.build())

    def precisions(self) -> Iterator[tuple[str, str]]:
        """Key paths and values of `float_precision`, of base decoders too."""
        yield from super().precisions()
        for name, base in self.base_decoders.items():
            yield from ((f"base_decoders.{name}.{path}", value) for path, value in base.precisions())

    def section(self) -> dict[str, Any]:
        """The section of a file, as plain values, with those of the base decoders."""
        return super().section() | {"base_decoders": {k: base.section() for k, base in self.base_decoders.items()}}

    @classmethod
    def of(cls, decoder: Decoder | Mixture) -> "DecoderRecord | None":
        """The record of a mixture; None if the decoder is another one."""
        if not isinstance(decoder, Mixture):
            return None
        fields: dict[str, Any] = {
            "decoder_mapping": {c.name: (c.name, c.count, c.weight_factor) for c in decoder.components},
            "base_decoders": {c.name: decoder_record(c.decoder) for c in decoder.components},
        }
        if decoder.weight_range != Mixture(decoder.components).weight_range:
            fields["value_range_mapping"] = {"weight": range_record(decoder.weight_range)}
        return cls(**fields)


DECODERS: dict[str, type[DecoderRecord]] = {
    record.__name__: record
    for record in (
        AsymmetricGaussianDecoder,
        GammaFunctionDecoder,
        ShiftedGammaFunctionDecoder,
        SmearedGammaFunctionDecoder,
        RationalQuadraticSplineDecoder,
        PoissonDecoder,
        NegativeBinomialDecoder,
        MixtureModel,
    )
}
"""Class name in configurations -> record."""


def register_decoder(name: str, family: Family) -> type[DecoderRecord]:
    """Adds a user's own distribution to the zoo, so that `decoder_class: name` uses it.

    Args:
      name: as configurations will write it.
      family: the distribution, functions of (x, parameters).

    Returns:
      Its record, to compose models in Python.

    Raises:
      ConfigError: the name is taken, or `family` is no family.
    """
    if not isinstance(family, Family):
        raise ConfigError(f"register_decoder: expected a Family, got {shown(family)}.")
    text = f"A distribution of one's own, the family {family.name}."
    record = type(str(name), (FamilyDecoder,), {"__doc__": text, "family": family, "__module__": __name__})
    register(DECODERS, name, record, "decoder")
    return record


def read_decoder(settings: DecoderSettings, where: str) -> DecoderRecord:
    """Makes the record of a decoder from its section.

    Args:
      settings: the section.
      where: its key path, for messages.

    Raises:
      ConfigError: an unknown class or option, or one that would have no effect.
    """
    if settings.load_dir is not None:
        raise ConfigError(
            f"{where}.load_dir: decoders have no weights of their own; write the decoder's settings here."
        )
    record = named(settings.decoder_class, DECODERS, f"{where}.decoder_class")
    config = dict(settings.config)
    if isinstance(config.get("value_range_mapping"), Mapping):
        place = f"{where}.config.value_range_mapping"
        config["value_range_mapping"] = {
            k: read_range(entry, f"{place}.{k}") for k, entry in config["value_range_mapping"].items()
        }
    if not issubclass(record, MixtureModel):
        if settings.base_decoders:
            name = record.__name__
            raise ConfigError(f"{where}.base_decoders: {name} has none; they belong to a MixtureModel.")
        return record.read(config, where)
    bases = {k: read_decoder(base, f"{where}.base_decoders.{k}") for k, base in settings.base_decoders.items()}
    return record.read(config, where, base_decoders=bases)


def build_decoder(settings: DecoderSettings, where: str = "decoder_settings") -> Decoder | Mixture:
    """The decoder of a section; see `read_decoder`."""
    return read_decoder(settings, where).build()


def decoder_record(decoder: Decoder | Mixture) -> DecoderRecord:
    """The record that makes a decoder.

    Raises:
      ConfigError: the decoder is of no class that is known by name.
    """
    for record in DECODERS.values():
        found = record.of(decoder)
        if found is not None:
            return found
    name = decoder.family.name if isinstance(decoder, Decoder) else type(decoder).__name__
    raise ConfigError(f"the decoder {name} has no name in configurations. Give it one with eg.register_decoder.")
