from evgen_jax.building.analytic_sources import AnalyticCascadeModel as AnalyticCascadeModel
from evgen_jax.building.analytic_sources import AnalyticNoiseModel as AnalyticNoiseModel
from evgen_jax.building.analytic_sources import AnalyticSphereTrackModel as AnalyticSphereTrackModel
from evgen_jax.building.composite import FiniteTrackMultiCascadeModel as FiniteTrackMultiCascadeModel
from evgen_jax.building.composite import IndependentMultiSource as IndependentMultiSource
from evgen_jax.building.composite import StartingVariableMultiCascadeModel as StartingVariableMultiCascadeModel
from evgen_jax.building.learned import DefaultCascadeModel as DefaultCascadeModel
from evgen_jax.building.learned import EnteringSphereInfTrack as EnteringSphereInfTrack
from evgen_jax.building.noise import DefaultNoiseModel as DefaultNoiseModel
from evgen_jax.building.track_with_cascades import (
    EnteringSphereInfTrackMultiCascade as EnteringSphereInfTrackMultiCascade,
)
from evgen_jax.building.track_with_cascades import (
    InfSphereTrackEquidistantCascadeModel as InfSphereTrackEquidistantCascadeModel,
)
from evgen_jax.building.track_with_cascades import (
    InfSphereTrackVariableMultiCascadeModel as InfSphereTrackVariableMultiCascadeModel,
)
from evgen_jax.light.source import Source as Source
from evgen_jax.sources.analytic.point_source import AnalyticCascadeSource as AnalyticCascadeSource
from evgen_jax.sources.analytic.point_source import AnalyticSegmentSource as AnalyticSegmentSource
from evgen_jax.sources.composite.finite_track import finite_track as finite_track
from evgen_jax.sources.composite.independent import independent_multi_source as independent_multi_source
from evgen_jax.sources.composite.segments import analytic_sphere_track as analytic_sphere_track
from evgen_jax.sources.composite.sphere_track import track_with_cascades as track_with_cascades
from evgen_jax.sources.composite.sphere_track import track_with_equidistant_cascades as track_with_equidistant_cascades
from evgen_jax.sources.composite.starting import starting_cascades as starting_cascades
from evgen_jax.sources.learned.cascade import CascadeGeometry as CascadeGeometry
from evgen_jax.sources.learned.learned import LearnedSource as LearnedSource
from evgen_jax.sources.learned.network import NetworkShape as NetworkShape
from evgen_jax.sources.learned.noise import NoiseSource as NoiseSource
from evgen_jax.sources.learned.options import LearnedOptions as LearnedOptions
from evgen_jax.sources.learned.track import SphereTrackGeometry as SphereTrackGeometry
from evgen_jax.sources.linen_source import LinenSource as LinenSource
from evgen_jax.sources.linen_source import empty_event as empty_event
