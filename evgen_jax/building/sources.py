"""What the records of sources share, and how they are read: a tree of records, which builds the tree of sources."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import jax.numpy as jnp

from evgen_jax.building.decoder_record import DecoderRecord
from evgen_jax.building.decoders import read_decoder
from evgen_jax.building.record import ZooRecord, named
from evgen_jax.config.kinds import Misfit, Read
from evgen_jax.config.record import described, needed
from evgen_jax.config.records import DecoderSettings, ModelSettings, TrafoSettings
from evgen_jax.config.validate import validate
from evgen_jax.decoders import Decoder, Mixture
from evgen_jax.errors import ConfigError, EvgenError, TrafoError, shown
from evgen_jax.hypothesis.trafo import TRAFO_FILE, Trafo, load_trafo
from evgen_jax.light.source import Source, Variables
from evgen_jax.model.model import Model

ModelLoader = Callable[[str], Model]
DECODERS_BESIDE = ("decoder_settings", "decoder_charge_settings")
DTYPES = {"float32": jnp.float32, "float64": jnp.float64}


@dataclass(frozen=True)
class Surroundings:
    """What a section is read in.

    Attributes:
      time, charge: sections of decoders that stand further out, for sources that have none of their own.
      load: reads the exported models that `load_dir` entries name.
    """

    time: DecoderSettings | None = None
    charge: DecoderSettings | None = None
    load: ModelLoader | None = None

    def inside(self, section: ModelSettings) -> "Surroundings":
        """Those of what stands inside a section."""
        return replace(
            self,
            time=section.decoder_settings or self.time,
            charge=section.decoder_charge_settings or self.charge,
        )


class SourceRecord(ZooRecord):
    """A source of light with its settings."""

    beside: ClassVar[tuple[str, ...]] = (*DECODERS_BESIDE, "multi_source_bases", "data_trafo_settings")

    data_trafo_settings: dict[str, Any] | None = described(
        None, "Normalisation of its own, {model_dir: DIR}, of a base of a multi-source; empty: that of the whole model."
    )

    @classmethod
    def from_section(cls, section: ModelSettings, around: Surroundings, where: str) -> Self:
        """Makes the record from its section.

        Args:
          section: names this class.
          around: what stands further out.
          where: key path of the section, for messages.

        Raises:
          ConfigError: an unknown option, a value of another kind, or values that do not fit each other.
        """
        if section.multi_source_bases:
            raise ConfigError(f"{where}.multi_source_bases: {cls.__name__} is no multi-source.")
        return cls.read(section.config, where, data_trafo_settings=section.data_trafo_settings)

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """The source.

        Args:
          trafo: normalisation of its hypothesis parameters; None where only names and shapes matter.
          where: key path of its section, for messages.

        Raises:
          ConfigError, TrafoError: a normalisation of other parameters.
        """
        raise NotImplementedError

    def build_base(self, trafo: Trafo | None, where: str) -> Source:
        """The source as a base of a multi-source, whose normalisation may be one of its own; arguments as of `build`."""
        source = self.build(trafo, where)
        if trafo is None or not self.data_trafo_settings or not source.parameter_names:
            return source
        if not self.takes_trafo:
            name = type(self).__name__
            raise ConfigError(
                f"{where}.data_trafo_settings: {name} takes the transformation of the whole; leave it out."
            )
        return self.build(own_trafo(self.data_trafo_settings, source, where), where)

    takes_trafo: ClassVar[bool] = False
    """Whether the normalisation enters the source."""

    def weights(self) -> Variables:
        """Weights that came from disk; None where there are none."""
        return None

    def check(self) -> None:
        """Whether the source can be made."""
        self.build()

    def section(self) -> dict[str, Any]:
        """The section `model_settings` of a file, as plain values."""
        given = {key: getattr(self, key, None) for key in self.beside}
        beside = {k: v.section() for k, v in given.items() if isinstance(v, DecoderRecord)}
        bases = {k: base.section() for k, base in (given["multi_source_bases"] or {}).items()}
        trafo = {"data_trafo_settings": self.data_trafo_settings} if self.data_trafo_settings else {}
        return {
            "model_class": type(self).__name__,
            "config": self.config(),
            "multi_source_bases": bases,
            **beside,
            **trafo,
        }

    def analytic(self, where: str = "model_settings") -> "SourceRecord":
        """The record of the analytic source with the parameters of this one.

        Args:
          where: key path of its section, for messages.
        """
        raise NotImplementedError

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], "SourceRecord"]) -> "SourceRecord | None":
        """The record that makes a source, if the source is of this class.

        Args:
          source: any source.
          record_of: gives the record of a base.
        """
        return None

    def precision_of_decoder(self, key: str, precision: str) -> None:
        """Refuses a decoder whose file has a higher precision than its source.

        Args:
          key: field of the decoder.
          precision: of the source.
        """
        for path, own in getattr(self, key).precisions():
            if own == "float64" and precision == "float32":
                raise Misfit(higher_precision(own, precision), f"{key}.{path}")


def precision_of(source: Any) -> str:
    """The name of the precision that a source computes in."""
    return next(name for name, dtype in DTYPES.items() if dtype == source.dtype)


def higher_precision(own: str, of_source: str) -> str:
    """What is said of a part with a higher precision than its source."""
    return (
        f"got '{own}', but it computes in the precision of its source, {of_source}. Write {of_source}, or leave it out."
    )


class Trained(SourceRecord):
    """A trained model, or a part of one, as a source with its weights; a file names it by `load_dir`."""

    beside: ClassVar[tuple[str, ...]] = (*SourceRecord.beside, "model")

    model: Any = needed("The model.")

    def check(self) -> None:
        """Whether it is a model."""
        if not isinstance(self.model, Model):
            raise Misfit(f"expected a model, as eg.load_model(directory) gives it, got {shown(self.model)}.", "model")

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """The source of the model, whatever the normalisation of the whole."""
        return self.model.source

    def build_base(self, trafo: Trafo | None, where: str) -> Source:
        """The source of the model, whatever the normalisation of the whole."""
        return self.model.source

    def weights(self) -> Variables:
        """The weights of the model."""
        return self.model.variables


def own_trafo(settings: Mapping[str, Any], source: Source, where: str) -> Trafo:
    """The normalisation that a base of a multi-source names for itself.

    Args:
      settings: its section.
      source: whose parameters it has.
      where: key path of the source, for messages.

    Raises:
      ConfigError: it is not there, or of other parameters.
    """
    directory = validate(TrafoSettings, settings, f"{where}.data_trafo_settings").model_dir
    try:
        return load_trafo(Path(directory) / TRAFO_FILE, source.parameter_names)
    except TrafoError as error:
        raise ConfigError(f"{where}.data_trafo_settings: {error}") from None


def identity_trafo(names: tuple[str, ...]) -> Trafo:
    """The normalisation that changes nothing."""
    return Trafo(names, (0.0,) * len(names), (1.0,) * len(names), (False,) * len(names))


def _decoder(value: Any) -> DecoderRecord:
    if value is None:
        raise Misfit("is missing and has no default.")
    if not isinstance(value, DecoderRecord):
        example = "the decoder itself" if isinstance(value, Decoder | Mixture) else shown(value)
        raise Misfit(f"expected the record of a decoder, as GammaFunctionDecoder(), got {example}.")
    return value


DecoderField = Annotated[DecoderRecord, Read("a decoder", _decoder, (("x-record", "decoder"),))]


def _bases(value: Any) -> dict[str, SourceRecord]:
    found = {}
    for name, entry in value.items() if isinstance(value, Mapping) else (("", value),):
        entry = Trained(model=entry) if isinstance(entry, Model) else entry
        if not isinstance(entry, SourceRecord):
            raise Misfit(f"expected {{name: source}}, a record or a model each, got {shown(entry)}.", str(name))
        found[name] = entry
    return found


Bases = Annotated[
    dict[str, SourceRecord],
    Read("{name: source}", _bases, (("type", "object"), ("additionalProperties", {"x-record": "source"}))),
]


def time_decoder(section: ModelSettings, around: Surroundings, where: str) -> DecoderRecord | None:
    """The decoder of arrival times of a source, its own or that of what stands further out; None: there is none."""
    settings = section.decoder_settings or around.time
    return None if settings is None else read_decoder(settings, f"{where}.decoder_settings")


def charge_decoder(section: ModelSettings, around: Surroundings, where: str) -> DecoderRecord | None:
    """The decoder of charges of a source, its own or that of what stands further out; None: there is none."""
    settings = section.decoder_charge_settings or around.charge
    return None if settings is None else read_decoder(settings, f"{where}.decoder_charge_settings")


SOURCES: dict[str, type[SourceRecord]] = {}
"""Class name in configurations -> record; filled by `zoo`."""


def read_source(section: ModelSettings, around: Surroundings, where: str) -> SourceRecord:
    """Makes the tree of records of a model section.

    Args:
      section: the section.
      around: what stands further out.
      where: its key path, for messages.

    Raises:
      ConfigError: an unknown class or option, parts that do not fit together, or a model that cannot be loaded.
    """
    if section.load_dir is not None:
        if around.load is None:
            raise ConfigError(f"{where}.load_dir: models cannot be loaded here.")
        try:
            return Trained(model=around.load(str(Path(section.load_dir))))
        except EvgenError as error:
            raise ConfigError(f"{where}.load_dir: {error}") from None
    return named(section.model_class, SOURCES, f"{where}.model_class").from_section(section, around, where)
