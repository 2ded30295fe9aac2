"""Records of multi-sources: sums of sources, nested as deep as one likes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

import jax.numpy as jnp

from evgen_jax.building.analytic_sources import AnalyticSphereTrackModel
from evgen_jax.building.learned import DefaultCascadeModel, EnteringSphereInfTrack
from evgen_jax.building.sources import (
    DTYPES,
    Bases,
    SourceRecord,
    Surroundings,
    higher_precision,
    own_trafo,
    read_source,
)
from evgen_jax.config.kinds import Count, Misfit, Positive, Precision, Read
from evgen_jax.config.record import described, needed
from evgen_jax.config.records import ModelSettings
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError, shown
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.superposition import MultiSource
from evgen_jax.sources.composite.finite_track import finite_track
from evgen_jax.sources.composite.independent import independent_multi_source
from evgen_jax.sources.composite.sphere_track import track_with_cascades, track_with_equidistant_cascades
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
        given = {key: getattr(self, key) for key in self.config_keys() if key in self.model_fields_set}
        return type(self)(**given, multi_source_bases=dict(bases))


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


class _AlongTrack(MultiRecord):
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


class StartingVariableMultiCascadeModel(_AlongTrack):
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


class FiniteTrackMultiCascadeModel(_AlongTrack):
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


class _TrackWithCascades(_AlongTrack):
    def analytic(self, where: str = "model_settings") -> SourceRecord:
        """The analytic counterparts of track and cascades; the track is the bare muon."""
        record = super().analytic(where)
        assert isinstance(record, MultiRecord)
        bases = dict(record.multi_source_bases)
        if isinstance(bases["track"], AnalyticSphereTrackModel):
            # The cascades are the losses: the track itself is the bare muon.
            track = bases["track"]
            given = {key: getattr(track, key) for key in track.config_keys() if key in track.model_fields_set}
            bases["track"] = AnalyticSphereTrackModel(**given | {"with_mean_losses": False})
        return self.with_bases(bases)


class InfSphereTrackVariableMultiCascadeModel(_TrackWithCascades):
    """A track through a sphere with cascades at free distances, the bases `track` and `cascade`.

    Parameters: the track's, then cascade_00000_energy [GeV], cascade_00000_distance [m] and so on.

    Example:
      sources.InfSphereTrackVariableMultiCascadeModel(
          num_cascades=5,
          sphere_radius=700.0,
          multi_source_bases={
              "track": sources.AnalyticSphereTrackModel(sphere_radius=700.0),
              "cascade": sources.AnalyticCascadeModel(),
          },
      )
    """

    num_cascades: Count = needed("Number of cascades.")
    sphere_radius: Positive = needed("Radius of the sphere.", "m")

    def combine(self, bases: Parts) -> MultiSource:
        """The track and cascades at free distances."""
        return track_with_cascades(self.num_cascades, self.sphere_radius, bases)


class InfSphereTrackEquidistantCascadeModel(_TrackWithCascades):
    """A track through a sphere with cascades at equal distances, the bases `track` and `cascade`.

    Parameters: the track's, then energy_loss_0000 [GeV] and so on.

    Example:
      sources.InfSphereTrackEquidistantCascadeModel(
          cascade_spacing=20.0,
          sphere_radius=700.0,
          multi_source_bases={
              "track": sources.AnalyticSphereTrackModel(sphere_radius=700.0),
              "cascade": sources.AnalyticCascadeModel(),
          },
      )
    """

    cascade_spacing: Positive = needed("Distance between two cascades.", "m")
    sphere_radius: Positive = needed("Radius of the sphere.", "m")

    def combine(self, bases: Parts) -> MultiSource:
        """The track and cascades at equal distances."""
        return track_with_equidistant_cascades(self.cascade_spacing, self.sphere_radius, bases)


def _cascade_record(value: Any) -> DefaultCascadeModel:
    if not isinstance(value, DefaultCascadeModel):
        raise Misfit(f"expected the section of the cascade's network and decoders, got {shown(value)}.")
    return value


class EnteringSphereInfTrackMultiCascade(EnteringSphereInfTrack):
    """A learned track through a sphere with learned cascades at equal distances, written as one source.

    Parameters: the track's, then energy_loss_0000 [GeV] and so on.
    """

    cascade_spacing: Positive = needed("Distance between two cascades.", "m")
    num_cascades: Any = described(None, "Without effect: every module sees all cascades, not the nearest few.")
    config_cascade: Annotated[
        DefaultCascadeModel, Read("the section of a cascade", _cascade_record, (("x-record", "source"),))
    ] = needed("The cascade: its network, options and decoders.")

    @classmethod
    def inner_sections(cls, section: ModelSettings, around: Surroundings, where: str) -> dict[str, Any]:
        """Reads the section of the cascade, which takes the ice parameters of the track where it has none."""
        config, place = dict(section.config), f"{where}.config.config_cascade"
        if not isinstance(config.get("config_cascade"), dict):
            return config
        cascade = validate(ModelSettings, config["config_cascade"], place)
        for key in ("model_class", "multi_source_bases", "load_dir"):
            if getattr(cascade, key):
                raise ConfigError(
                    f"{place}.{key}: has no effect; the section holds the cascade's network and decoders. For a cascade of "
                    "its own write an InfSphereTrackEquidistantCascadeModel."
                )
        ice = config.get("snowstorm_parameter_names")
        if ice and "snowstorm_parameter_names" not in cascade.config:
            cascade = cascade.model_copy(update={"config": {**cascade.config, "snowstorm_parameter_names": ice}})
        config["config_cascade"] = DefaultCascadeModel.from_section(cascade, around, place)
        return config

    def _two_sources(self) -> InfSphereTrackEquidistantCascadeModel:
        own = EnteringSphereInfTrack.model_fields
        track = EnteringSphereInfTrack(**{k: getattr(self, k) for k in own if k in self.model_fields_set})
        return InfSphereTrackEquidistantCascadeModel(
            cascade_spacing=self.cascade_spacing,
            sphere_radius=self.sphere_radius,
            multi_source_bases={"track": track, "cascade": self.config_cascade},
        )

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """The track and cascades at equal distances."""
        source = self._two_sources().build(trafo, where)
        bases = dict(source.bases)
        return replace(source, bases=(("track", bases["track"]), ("cascade", bases["cascade"])))

    def config(self) -> dict[str, Any]:
        """What was given, as plain values; the cascade without the name of its class."""
        plain = super().config()
        inner = {k: v for k, v in plain["config_cascade"].items() if k in ("config", *self.beside[:2])}
        return plain | {"config_cascade": inner}

    def analytic(self, where: str = "model_settings") -> SourceRecord:
        """The analytic counterparts of track and cascades."""
        return self._two_sources().analytic(where)

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """None: such a source is that of an InfSphereTrackEquidistantCascadeModel."""
        return None
