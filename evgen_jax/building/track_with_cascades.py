"""Records of tracks through a sphere with cascades along them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from evgen_jax.building.analytic_sources import AnalyticSphereTrackModel
from evgen_jax.building.composite import AlongTrack, MultiRecord, Parts
from evgen_jax.building.learned import DefaultCascadeModel, EnteringSphereInfTrack
from evgen_jax.building.sources import SourceRecord, Surroundings
from evgen_jax.config.kinds import Count, Misfit, Positive, Read
from evgen_jax.config.record import described, needed
from evgen_jax.config.records import ModelSettings
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError, shown
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.sources.composite.sphere_track import track_with_cascades, track_with_equidistant_cascades


class _TrackWithCascades(AlongTrack):
    def analytic(self, where: str = "model_settings") -> SourceRecord:
        """The analytic counterparts of track and cascades; the track is the bare muon."""
        record = super().analytic(where)
        assert isinstance(record, MultiRecord)
        bases = dict(record.multi_source_bases)
        if isinstance(bases["track"], AnalyticSphereTrackModel):
            # The cascades are the losses: the track itself is the bare muon.
            bases["track"] = AnalyticSphereTrackModel(**bases["track"]._given() | {"with_mean_losses": False})
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
