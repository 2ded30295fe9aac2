"""The zoo by name: the class names that a configuration may use and what builds them. Users add their own."""

from collections.abc import Callable, Mapping
from typing import Any

from evgen_jax.building.checks import dtype_of, number, only_keys, whole_number
from evgen_jax.building.decoders import build_decoder
from evgen_jax.building.learned import build_cascade, build_sphere_track
from evgen_jax.config.records import ModelSettings
from evgen_jax.decoders import FAMILIES, Decoder
from evgen_jax.errors import ConfigError
from evgen_jax.multi_sources.finite_track import finite_track
from evgen_jax.multi_sources.independent import independent_multi_source
from evgen_jax.multi_sources.multi_source import MultiSource
from evgen_jax.multi_sources.sphere_track import track_with_cascades, track_with_equidistant_cascades
from evgen_jax.multi_sources.starting import starting_cascades
from evgen_jax.sources.analytic_cascade import AnalyticCascadeSource
from evgen_jax.sources.noise import NoiseSource
from evgen_jax.sources.source import Source
from evgen_jax.trafo import Trafo

SourceBuilder = Callable[[ModelSettings, Trafo | None, ModelSettings, str], Source]
"""(section, normalisation of its parameters or None, section whose decoders it inherits, key path) -> source."""
Combiner = Callable[[dict[str, Any], Mapping[str, Source], str], MultiSource]
"""(config, bases by name, key path) -> multi-source."""


def _noise(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    config = settings.config
    only_keys(config, ("float_precision", "num_local_vars", "charge_scale_tensors"), f"{where}.config")
    charge = settings.decoder_charge_settings or inherited.decoder_charge_settings
    if charge is None:
        raise ConfigError(f"{where}.decoder_charge_settings: is missing and has no default.")
    decoder = build_decoder(charge, f"{where}.decoder_charge_settings")
    if not decoder.is_charge:
        raise ConfigError(f"{where}.decoder_charge_settings: is no charge distribution.")
    count = config.get("num_local_vars", len(decoder.parameter_names))
    if count != len(decoder.parameter_names):
        raise ConfigError(
            f"{where}.config.num_local_vars: is {count}, but the charge decoder has "
            f"{len(decoder.parameter_names)} parameters."
        )
    scaled = config.get("charge_scale_tensors")
    return NoiseSource(decoder, None if scaled is None else tuple(scaled), True, dtype_of(config, where))


def _analytic_cascade(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    only_keys(settings.config, ("float_precision",), f"{where}.config")
    return AnalyticCascadeSource(dtype_of(settings.config, where))


def _true_noise(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    only_keys(settings.config, ("float_precision",), f"{where}.config")
    return NoiseSource(Decoder(FAMILIES["PoissonDecoder"]), None, False, dtype_of(settings.config, where))


def _independent(config: dict[str, Any], bases: Mapping[str, Source], where: str) -> MultiSource:
    only_keys(config, ("sources", "float_precision"), f"{where}.config")
    return independent_multi_source(config.get("sources") or {}, bases)


def _starting(config: dict[str, Any], bases: Mapping[str, Source], where: str) -> MultiSource:
    only_keys(config, ("num_cascades", "float_precision"), f"{where}.config")
    return starting_cascades(whole_number(config, "num_cascades", where), bases)


def _variable_track(config: dict[str, Any], bases: Mapping[str, Source], where: str) -> MultiSource:
    only_keys(config, ("num_cascades", "sphere_radius", "float_precision"), f"{where}.config")
    number_of_cascades, radius = whole_number(config, "num_cascades", where), number(config, "sphere_radius", where)
    return track_with_cascades(number_of_cascades, radius, bases)


def _equidistant_track(config: dict[str, Any], bases: Mapping[str, Source], where: str) -> MultiSource:
    only_keys(config, ("cascade_spacing", "sphere_radius", "float_precision"), f"{where}.config")
    spacing, radius = number(config, "cascade_spacing", where), number(config, "sphere_radius", where)
    return track_with_equidistant_cascades(spacing, radius, bases)


def _finite_track(config: dict[str, Any], bases: Mapping[str, Source], where: str) -> MultiSource:
    only_keys(config, ("num_segments", "float_precision"), f"{where}.config")
    return finite_track(whole_number(config, "num_segments", where), bases)


SOURCES: dict[str, SourceBuilder] = {
    "DefaultCascadeModel": build_cascade,
    "EnteringSphereInfTrack": build_sphere_track,
    "DefaultNoiseModel": _noise,
    "AnalyticCascadeModel": _analytic_cascade,
    "AnalyticNoiseModel": _true_noise,
}
MULTI_SOURCES: dict[str, Combiner] = {
    "IndependentMultiSource": _independent,
    "StartingVariableMultiCascadeModel": _starting,
    "InfSphereTrackVariableMultiCascadeModel": _variable_track,
    "InfSphereTrackEquidistantCascadeModel": _equidistant_track,
    "FiniteTrackMultiCascadeModel": _finite_track,
}


def register_source(name: str, make: Callable[..., Source]) -> None:
    """Adds a user's own source to the zoo, so that `model_class: name` builds it.

    Args:
      name: as configurations will write it.
      make: called with the entries of the section's `config`; returns a source, usually a linen module.

    Raises:
      ConfigError: the name is taken.
    """
    if name in SOURCES or name in MULTI_SOURCES:
        raise ConfigError(f"register_source: '{name}' is already the name of a source.")

    def build(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
        try:
            source = make(**settings.config)
        except TypeError as error:
            raise ConfigError(f"{where}.config: {name} refuses {sorted(settings.config)} ({error}).") from None
        if not isinstance(source, Source):
            raise ConfigError(f"{where}: {name} made a {type(source).__name__}, which is no source.")
        return source

    SOURCES[name] = build
