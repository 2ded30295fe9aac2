"""Records of multi-sources: sums of sources, nested as deep as one likes."""

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Self

import jax.numpy as jnp

from evgen_jax.building.sources import (
    DTYPES,
    Bases,
    SourceRecord,
    Surroundings,
    higher_precision,
    own_trafo,
    read_source,
)
from evgen_jax.config.kinds import Count, Misfit, Precision, Read
from evgen_jax.config.record import described, needed
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.superposition import MultiSource
from evgen_jax.sources.composite.finite_track import finite_track
from evgen_jax.sources.composite.independent import independent_multi_source
from evgen_jax.sources.composite.starting import starting_cascades

Parts = Mapping[str, Source]


class MultiRecord(SourceRecord):
    """A sum of sources that are made of bases, each of which has weights once."""

    takes_trafo: ClassVar[bool] = True

    float_precision: Precision | None = described(
        None, "Precision of the file that it comes from; it computes in that of its bases, which may not be lower."
    )
    multi_source_bases: Bases = needed("The sources that it is made of, by name.")

    @classmethod
    def from_section(cls, section: ModelSettings, around: Surroundings, where: str) -> Self:
        """Makes the record and those of its bases, which inherit the decoders of the section."""
        inner = around.inside(section)
        bases = {
            name: read_source(base, inner, f"{where}.multi_source_bases.{name}")
            for name, base in section.multi_source_bases.items()
        }
        return cls.read(
            section.config, where, multi_source_bases=bases, data_trafo_settings=section.data_trafo_settings
        )

    def combine(self, bases: Parts) -> MultiSource:
        """The sum of sources that are built."""
        raise NotImplementedError

    def build(self, trafo: Trafo | None = None, where: str = "") -> MultiSource:
        """The sum, whose bases get their share of the joint normalisation."""
        # Names first, then the bases once more with their share of the joint transformation.
        joint = self._combined({}, where)
        if trafo is None:
            return joint
        if trafo.parameter_names != joint.parameter_names:
            raise ConfigError(
                f"{where or type(self).__name__}: the data transformation has the parameters "
                f"{', '.join(trafo.parameter_names)}, the model {', '.join(joint.parameter_names)}."
            )
        return self._combined(joint.expand.base_trafos(trafo), where)

    def build_base(self, trafo: Trafo | None, where: str) -> MultiSource:
        """The sum as a base of another one, normalised by a transformation of its own if there is one."""
        if trafo is not None and self.data_trafo_settings:
            trafo = own_trafo(self.data_trafo_settings, self._combined({}, where), where)
        return self.build(trafo, where)

    def _combined(self, trafos: Mapping[str, Trafo], where: str) -> MultiSource:
        return self.combine(
            {
                name: base.build_base(trafos.get(name), f"{where}.multi_source_bases.{name}")
                for name, base in self.multi_source_bases.items()
            }
        )

    def weights(self) -> Variables:
        """Weights of the bases that came from disk, by name; None where there are none."""
        loaded = {name: base.weights() for name, base in self.multi_source_bases.items()}
        return loaded if any(weights is not None for weights in loaded.values()) else None

    def check(self) -> None:
        """Whether the bases fit together, and whether their precision is as high as that of the file."""
        source = self.build()
        found = (getattr(base, "dtype", None) for _, base in source.bases)
        dtype = next((dtype for dtype in found if dtype is not None), None)
        if self.float_precision == "float64" and dtype is not None and dtype != DTYPES["float64"]:
            raise Misfit(higher_precision("float64", jnp.dtype(dtype).name), "float_precision")

    def analytic(self, where: str = "model_settings") -> SourceRecord:
        """The sum of the analytic counterparts of the bases."""
        return self.with_bases(
            {
                name: base.analytic(f"{where}.multi_source_bases.{name}")
                for name, base in self.multi_source_bases.items()
            }
        )

    def with_bases(self, bases: Mapping[str, SourceRecord]) -> SourceRecord:
        """The same sum of other bases."""
        return type(self)(**self._given(), multi_source_bases=dict(bases))


class IndependentMultiSource(MultiRecord):
    """Sources side by side. Parameters: `<source>_<parameter>` in alphabetical order of the sources.

    Example:
      sources.IndependentMultiSource(
          sources={"first": "cascade", "second": "cascade", "noise": "noise"},
          multi_source_bases={"cascade": sources.AnalyticCascadeModel(), "noise": sources.AnalyticNoiseModel()},
      )
    """

    sources: Annotated[dict[str, str], Read("{source: base}", lambda value: value, (("type", "object"),))] = needed(
        "Sources and the base of each; copies of one base share its weights."
    )

    def combine(self, bases: Parts) -> MultiSource:
        """The sources side by side."""
        return independent_multi_source(self.sources or {}, bases)

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record of independent sources; None if the source is another one."""
        sources = getattr(source.expand, "sources", None) if isinstance(source, MultiSource) else None
        if not isinstance(source, MultiSource) or sources is None:
            return None
        return cls(sources=dict(sources), multi_source_bases={k: record_of(base) for k, base in source.bases})


class AlongTrack(MultiRecord):
    """A sum whose parts follow from the parameters of a track or shower; subclasses name the settings of their map."""

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record whose map from hypothesis to bases is that of the source; None if the source is another one."""
        own = cls.model_fields.keys() - MultiRecord.model_fields.keys()
        if not isinstance(source, MultiSource) or not all(hasattr(source.expand, _held(key)) for key in own):
            return None
        try:
            record = cls(
                **{key: getattr(source.expand, _held(key)) for key in own},
                multi_source_bases={k: record_of(base) for k, base in source.bases},
            )
        except ConfigError:
            return None
        expand = record.build().expand
        return record if (type(expand), expand) == (type(source.expand), source.expand) else None


def _held(key: str) -> str:
    return {"cascade_spacing": "spacing"}.get(key, key)


class StartingVariableMultiCascadeModel(AlongTrack):
    """A cascade and more along its direction, the base `cascade`.

    Parameters: the cascade's, then cascade_00001_energy [GeV], cascade_00001_distance [m] and so on.

    Example:
      sources.StartingVariableMultiCascadeModel(
          num_cascades=2, multi_source_bases={"cascade": sources.AnalyticCascadeModel()}
      )
    """

    num_cascades: Count = needed("Number of cascades, the first one counted.")

    def combine(self, bases: Parts) -> MultiSource:
        """The cascades along the direction of the first one."""
        return starting_cascades(self.num_cascades, bases)


class FiniteTrackMultiCascadeModel(AlongTrack):
    """A track that starts and stops, the base `cascade` in the middle of every segment.

    Parameters: x, y, z [m], zenith, azimuth [rad], time [ns], length [m], further ones of the base, then energy_loss_0000
    [GeV] and so on.

    Example:
      sources.FiniteTrackMultiCascadeModel(
          num_segments=100, multi_source_bases={"cascade": sources.AnalyticCascadeModel()}
      )
    """

    num_segments: Count = needed("Number of segments.")

    def combine(self, bases: Parts) -> MultiSource:
        """The cascades in the segments of a track."""
        return finite_track(self.num_segments, bases)
