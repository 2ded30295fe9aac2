"""Model sections to source trees and their weights."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from evgen_jax.building.checks import known_class, only_keys, precision_of_a_part
from evgen_jax.building.zoo import MULTI_SOURCES, SOURCES
from evgen_jax.config.records import ModelSettings, TrafoSettings
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError, EvgenError, TrafoError, suggestion
from evgen_jax.hypothesis.parameters import Parameter, check_parameters, parameters_of
from evgen_jax.hypothesis.trafo import TRAFO_FILE, Trafo, load_trafo
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import Detector
from evgen_jax.model.model import Model

ModelLoader = Callable[[str], Model]
ROOT = "model_settings"
DECODERS = ("decoder_settings", "decoder_charge_settings")


def build_source(
    settings: ModelSettings, trafo: Trafo | None = None, load: ModelLoader | None = None
) -> tuple[Source, Variables]:
    """Makes the source tree of a model section.

    Args:
      settings: the section `model_settings`.
      trafo: normalisation of all hypothesis parameters; None where only names and shapes matter.
      load: reads the exported models that `load_dir` entries name.

    Returns:
      The source and the weights that came from disk (None where there are none).

    Raises:
      ConfigError: an unknown class or option, parts that do not fit together, or a transformation of other parameters.
    """
    source, variables = _build(settings, trafo, settings, load, ROOT)
    check_parameters(source)
    check_precision(source, "model_settings")
    _check_multi_precision(settings, source, "model_settings")
    return source, variables


def _build(
    settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, load: ModelLoader | None, where: str
) -> tuple[Source, Variables]:
    if settings.load_dir is not None:
        if load is None:
            raise ConfigError(f"{where}.load_dir: models cannot be loaded here.")
        try:
            model = load(str(Path(settings.load_dir)))
        except EvgenError as error:
            raise ConfigError(f"{where}.load_dir: {error}") from None
        return model.source, model.variables
    own_trafo = settings.data_trafo_settings if where != ROOT else None
    if settings.model_class is None:
        raise ConfigError(f"{where}.model_class: is missing and has no default.")
    name = known_class(settings.model_class, (*SOURCES, *MULTI_SOURCES), f"{where}.model_class")
    if name in SOURCES:
        if settings.multi_source_bases:
            raise ConfigError(f"{where}.multi_source_bases: {name} is no multi-source.")
        source = SOURCES[name](settings, trafo, inherited, where)
        if trafo is None or not own_trafo or not source.parameter_names:
            return source, None
        if not hasattr(source, "trafo"):
            raise ConfigError(
                f"{where}.data_trafo_settings: {name} takes the transformation of the whole; leave it out."
            )
        return SOURCES[name](settings, _own_trafo(own_trafo, source, where), inherited, where), None

    inherited = inherited.model_copy(update={k: getattr(settings, k) or getattr(inherited, k) for k in DECODERS})

    def combine(trafos: Mapping[str, Trafo]) -> tuple[MultiSource, dict[str, Variables]]:
        bases = {
            base: _build(section, trafos.get(base), inherited, load, f"{where}.multi_source_bases.{base}")
            for base, section in settings.multi_source_bases.items()
        }
        try:
            joint = MULTI_SOURCES[name](settings.config, {k: source for k, (source, _) in bases.items()}, where)
        except ConfigError as error:
            text = str(error)
            raise ConfigError(text if text.startswith(where) else f"{where}: {text}") from None
        return joint, {k: variables for k, (_, variables) in bases.items()}

    # Names first, then the bases once more with their share of the joint transformation.
    joint, loaded = combine({})
    if trafo is not None and own_trafo:
        trafo = _own_trafo(own_trafo, joint, where)
    if trafo is not None:
        if trafo.parameter_names != joint.parameter_names:
            raise ConfigError(
                f"{where}: the data transformation has the parameters {', '.join(trafo.parameter_names)}, the model "
                f"{', '.join(joint.parameter_names)}."
            )
        joint, loaded = combine(joint.expand.base_trafos(trafo))
    return joint, loaded if any(v is not None for v in loaded.values()) else None


def _own_trafo(settings: Mapping[str, Any], source: Source, where: str) -> Trafo:
    """The transformation that a base of a multi-source names for itself."""
    directory = validate(TrafoSettings, settings, f"{where}.data_trafo_settings").model_dir
    try:
        return load_trafo(Path(directory) / TRAFO_FILE, source.parameter_names)
    except TrafoError as error:
        raise ConfigError(f"{where}.data_trafo_settings: {error}") from None


def check_precision(source: Source, where: str) -> None:
    """Raises ConfigError where sources of float32 and of float64 would be added up."""
    found: dict[str, str] = {}

    def visit(part: Source, path: str) -> None:
        for name, base in part.bases if isinstance(part, MultiSource) else ():
            visit(base, f"{path}.{name}")
        dtype = getattr(part, "dtype", None)
        if dtype is not None:
            found.setdefault(jnp.dtype(dtype).name, path)

    visit(source, where)
    if len(found) > 1:
        parts = " and ".join(f"{path} {name}" for name, path in found.items())
        raise ConfigError(
            f"{where}: its parts have different precisions: {parts}. Set float_precision to one of them, or load bases "
            "that were trained with it."
        )


def _check_multi_precision(settings: ModelSettings, source: Source, where: str) -> None:
    """A multi-source computes in the precision of its bases, whatever it says itself."""
    if isinstance(source, MultiSource) and settings.load_dir is None:
        own = [getattr(base, "dtype", None) for _, base in source.bases]
        if settings.multi_source_bases:
            precision_of_a_part(settings.config, next((d for d in own if d is not None), None), where)
        for name, base in source.bases:
            if name in settings.multi_source_bases:
                _check_multi_precision(settings.multi_source_bases[name], base, f"{where}.multi_source_bases.{name}")


PARTICLE_KEYS = ("x", "y", "z", "zenith", "azimuth", "energy", "time")


def check_particle_mapping(mapping: Mapping[str, str | None], names: Sequence[str], where: str) -> None:
    """Checks which parameter stands for which property of a particle.

    Raises:
      ConfigError: an unknown property or parameter, or two properties that name one parameter.
    """
    only_keys(dict(mapping), PARTICLE_KEYS, where)
    seen: dict[str, str] = {}
    for key, name in mapping.items():
        if name is None:
            continue
        if name not in names:
            raise ConfigError(
                f"{where}.{key}: '{name}' is no parameter of the model; it has {', '.join(names[:20])}."
                + suggestion(name, names)
            )
        if name in seen:
            raise ConfigError(f"{where}: {seen[name]} and {key} both name the parameter '{name}'; each needs its own.")
        seen[name] = key


def resolve_settings(settings: ModelSettings, load: ModelLoader | None) -> dict[str, Any]:
    """The section as plain values, with the settings of loaded models in place of their `load_dir`."""
    if settings.load_dir is not None and load is not None:
        return load(settings.load_dir).settings["model_settings"]
    plain = settings.model_dump(mode="json")
    plain["multi_source_bases"] = {k: resolve_settings(v, load) for k, v in settings.multi_source_bases.items()}
    return plain


def hypothesis_of(settings: ModelSettings, load: ModelLoader | None = None) -> tuple[Parameter, ...]:
    """Hypothesis parameters of a model section, before its data transformation exists."""
    return parameters_of(build_source(settings, None, load)[0])


def init_variables(source: Source, loaded: Variables, key: Array, detector: Detector) -> Variables:
    """Fresh weights where none were loaded."""
    if loaded is None:
        return source.init_variables(key, detector)
    if isinstance(source, MultiSource) and isinstance(loaded, dict):
        keys = jax.random.split(key, len(source.bases))
        return {
            name: init_variables(base, loaded.get(name), k, detector)
            for k, (name, base) in zip(keys, source.bases, strict=True)
        }
    return loaded
