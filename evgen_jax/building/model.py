"""Model sections to source trees and their weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from evgen_jax.building.record import only_keys
from evgen_jax.building.sources import ModelLoader, SourceRecord, Surroundings
from evgen_jax.building.zoo import read_source  # from where the table of classes is filled
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.hypothesis.parameters import Parameter, check_parameters, parameters_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.superposition import MultiSource
from evgen_jax.light.tree import walk
from evgen_jax.measurement.detector import Detector

ROOT = "model_settings"


def read_model(settings: ModelSettings, load: ModelLoader | None = None) -> SourceRecord:
    """The tree of records of a model section.

    Args:
      settings: the section `model_settings`.
      load: reads the exported models that `load_dir` entries name.

    Raises:
      ConfigError: an unknown class or option, parts that do not fit together, or a model that cannot be loaded.
    """
    around = Surroundings(settings.decoder_settings, settings.decoder_charge_settings, load)
    return read_source(settings, around, ROOT)


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
      ConfigError: as `read_model`, or a transformation of other parameters.
    """
    record = read_model(settings, load)
    source = record.build(trafo, ROOT)
    check_source(source, ROOT)
    return source, record.weights()


def check_source(source: Source, where: str) -> None:
    """Refuses a source whose parameters are ambiguous, or whose parts have different precisions.

    Args:
      source: the whole of a model.
      where: its key path, for messages.

    Raises:
      ConfigError: the names, or the parts, are told.
    """
    check_parameters(source, where)
    check_precision(source, where)


def check_precision(source: Source, where: str) -> None:
    """Raises ConfigError where sources of float32 and of float64 would be added up."""
    found: dict[str, str] = {}

    for path, part in walk(source):
        dtype = getattr(part, "dtype", None)
        if dtype is not None:
            found.setdefault(jnp.dtype(dtype).name, ".".join((where, *path)))
    if len(found) > 1:
        parts = " and ".join(f"{path} {name}" for name, path in found.items())
        raise ConfigError(
            f"{where}: its parts have different precisions: {parts}. Set float_precision to one of them, or load bases "
            "that were trained with it."
        )


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
