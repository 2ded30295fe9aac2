"""Sources of light: learned, computed, and sums of others.

Records, with the names and keys of configurations; `record.build(trafo)` makes the source:
  DefaultCascadeModel, EnteringSphereInfTrack, DefaultNoiseModel: learned cascade, infinite track, noise.
  AnalyticCascadeModel, AnalyticSphereTrackModel, AnalyticNoiseModel: light of photon transport, without weights.
  IndependentMultiSource: any sources side by side.
  StartingVariableMultiCascadeModel: a cascade and more along its direction.
  FiniteTrackMultiCascadeModel: a track that starts and stops.
  InfSphereTrackVariableMultiCascadeModel, InfSphereTrackEquidistantCascadeModel: a track with cascades along it.
  EnteringSphereInfTrackMultiCascade: a track with cascades at equal distances, as one source.

What the records build, learned:
  LearnedSource: a network that gives every module its light, made of a geometry, options, decoders and a shape.
  LearnedOptions, NetworkShape: its options; the widths of its layers.
  CascadeGeometry, SphereTrackGeometry: what the network sees of a cascade, of an infinite track.
  NoiseSource: noise of every module.

What the records build, computed:
  AnalyticCascadeSource, AnalyticSegmentSource, analytic_sphere_track: light of photon transport.

What the records build, composite:
  independent_multi_source: any sources side by side.
  starting_cascades: a cascade and more along its direction.
  finite_track: a track that starts and stops.
  track_with_cascades, track_with_equidistant_cascades: a track with cascades along it.

Sources of one's own:
  LinenSource: the base class.
  Source: what any source has, a protocol.
  empty_event: an event without light, to make weights with.
"""

from evgen_jax.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.building.analytic_sources": [
            "AnalyticCascadeModel",
            "AnalyticNoiseModel",
            "AnalyticSphereTrackModel",
        ],
        "evgen_jax.building.composite": [
            "FiniteTrackMultiCascadeModel",
            "IndependentMultiSource",
            "StartingVariableMultiCascadeModel",
        ],
        "evgen_jax.building.learned": ["DefaultCascadeModel", "EnteringSphereInfTrack"],
        "evgen_jax.building.noise": ["DefaultNoiseModel"],
        "evgen_jax.building.track_with_cascades": [
            "EnteringSphereInfTrackMultiCascade",
            "InfSphereTrackEquidistantCascadeModel",
            "InfSphereTrackVariableMultiCascadeModel",
        ],
        "evgen_jax.light.source": ["Source"],
        "evgen_jax.sources.analytic.point_source": ["AnalyticCascadeSource", "AnalyticSegmentSource"],
        "evgen_jax.sources.composite.finite_track": ["finite_track"],
        "evgen_jax.sources.composite.independent": ["independent_multi_source"],
        "evgen_jax.sources.composite.segments": ["analytic_sphere_track"],
        "evgen_jax.sources.composite.sphere_track": ["track_with_cascades", "track_with_equidistant_cascades"],
        "evgen_jax.sources.composite.starting": ["starting_cascades"],
        "evgen_jax.sources.learned.cascade": ["CascadeGeometry"],
        "evgen_jax.sources.learned.learned": ["LearnedSource"],
        "evgen_jax.sources.learned.network": ["NetworkShape"],
        "evgen_jax.sources.learned.noise": ["NoiseSource"],
        "evgen_jax.sources.learned.options": ["LearnedOptions"],
        "evgen_jax.sources.learned.track": ["SphereTrackGeometry"],
        "evgen_jax.sources.linen_source": ["LinenSource", "empty_event"],
    },
)
