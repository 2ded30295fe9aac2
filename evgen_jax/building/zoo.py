"""The zoo by name: the class names that a configuration may use and what builds them. Users add their own."""

from collections.abc import Callable, Mapping
from typing import Any

from evgen_jax.building.checks import dtype_of, flag, number, only_keys, texts, whole_number
from evgen_jax.building.decoders import build_decoder
from evgen_jax.building.learned import build_cascade, build_sphere_track
from evgen_jax.config.records import ModelSettings
from evgen_jax.config.validate import validate
from evgen_jax.decoders import FAMILIES, Decoder
from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.sources.analytic.point_source import ICE_PARAMETERS, AnalyticCascadeSource, AnalyticSegmentSource
from evgen_jax.sources.composite.finite_track import finite_track
from evgen_jax.sources.composite.independent import independent_multi_source
from evgen_jax.sources.composite.segments import analytic_sphere_track
from evgen_jax.sources.composite.sphere_track import track_with_cascades, track_with_equidistant_cascades
from evgen_jax.sources.composite.starting import starting_cascades
from evgen_jax.sources.learned.noise import NoiseSource

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
    dtype = dtype_of(config, where)
    decoder = build_decoder(charge, f"{where}.decoder_charge_settings", dtype)
    if settings.decoder_settings is not None and settings.decoder_settings.decoder_class is not None:
        raise ConfigError(f"{where}.decoder_settings: noise has no time decoder; its times are even over the readout.")
    if not decoder.is_charge:
        raise ConfigError(f"{where}.decoder_charge_settings: is no charge distribution.")
    count = config.get("num_local_vars", len(decoder.parameter_names))
    if count != len(decoder.parameter_names):
        raise ConfigError(
            f"{where}.config.num_local_vars: is {count}, but the charge decoder has "
            f"{len(decoder.parameter_names)} parameters."
        )
    scaled = texts(config.get("charge_scale_tensors"), f"{where}.config.charge_scale_tensors")
    return NoiseSource(decoder, scaled, True, dtype)


def _analytic_cascade(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    only_keys(settings.config, ("float_precision", "ice_parameters"), f"{where}.config")
    return AnalyticCascadeSource(_ice_parameters(settings.config, where), dtype_of(settings.config, where))


def _analytic_track(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    config = settings.config
    known = ("float_precision", "ice_parameters", "sphere_radius", "segment_length", "with_mean_losses")
    only_keys(config, known, f"{where}.config")
    segment = AnalyticSegmentSource(
        _ice_parameters(config, where),
        dtype_of(config, where),
        flag(config.get("with_mean_losses", True), f"{where}.config.with_mean_losses"),
    )
    radius, length = number(config, "sphere_radius", where), number(config, "segment_length", where, default=15.0)
    return analytic_sphere_track(radius, length, segment)


def _ice_parameters(config: dict[str, Any], where: str) -> tuple[str, ...]:
    names = texts(config.get("ice_parameters"), f"{where}.config.ice_parameters") or ()
    for name in names:
        if name not in ICE_PARAMETERS:
            raise ConfigError(
                f"{where}.config.ice_parameters: the analytic sources do not know '{name}'; known: "
                f"{', '.join(ICE_PARAMETERS)}." + suggestion(name, ICE_PARAMETERS)
            )
    return names


def _true_noise(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    only_keys(settings.config, ("float_precision",), f"{where}.config")
    return NoiseSource(Decoder(FAMILIES["PoissonDecoder"]), None, False, dtype_of(settings.config, where))


def _track_multi_cascade(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    """`EnteringSphereInfTrackMultiCascade`: a track and equidistant cascades, written as one source."""
    config = dict(settings.config)
    if not isinstance(config.get("config_cascade"), dict):
        raise ConfigError(f"{where}.config.config_cascade: expected the section of the cascade's network and decoders.")
    cascade_settings = validate(ModelSettings, config.pop("config_cascade"), f"{where}.config.config_cascade")
    for key in ("model_class", "multi_source_bases", "load_dir"):
        if getattr(cascade_settings, key):
            raise ConfigError(
                f"{where}.config.config_cascade.{key}: has no effect; the section holds the cascade's network and decoders. "
                "For a cascade of its own write an InfSphereTrackEquidistantCascadeModel."
            )
    spacing, radius = number(config, "cascade_spacing", where), number(config, "sphere_radius", where)
    del config["cascade_spacing"]
    config.pop("num_cascades", None)  # every DOM sees all cascades, not the nearest few; told when a file is read
    ice = config.get("snowstorm_parameter_names")
    if ice and "snowstorm_parameter_names" not in cascade_settings.config:
        shared = {**cascade_settings.config, "snowstorm_parameter_names": ice}
        cascade_settings = cascade_settings.model_copy(update={"config": shared})
    track_settings = settings.model_copy(update={"config": config})

    def combine(trafos: Mapping[str, Trafo]) -> MultiSource:
        track = build_sphere_track(track_settings, trafos.get("track"), inherited, where)
        cascade = build_cascade(cascade_settings, trafos.get("cascade"), inherited, f"{where}.config.config_cascade")
        return track_with_equidistant_cascades(spacing, radius, {"track": track, "cascade": cascade})

    joint = combine({})
    return joint if trafo is None else combine(joint.expand.base_trafos(trafo))


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
    "EnteringSphereInfTrackMultiCascade": _track_multi_cascade,
    "DefaultNoiseModel": _noise,
    "AnalyticCascadeModel": _analytic_cascade,
    "AnalyticSphereTrackModel": _analytic_track,
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
