"""The description of an exported model as the sections of a configuration: classes, architecture, decoders."""

from collections.abc import Iterator
from typing import Any

from evgen_jax.config.records import DecoderSettings, ModelSettings
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.importing.component import DESCRIPTION, Component

SOURCES = ("DefaultCascadeModel", "EnteringSphereInfTrack", "DefaultNoiseModel")
"""Sources with weights that are read."""
MULTI_SOURCES = (
    "IndependentMultiSource",
    "StartingVariableMultiCascadeModel",
    "InfSphereTrackVariableMultiCascadeModel",
    "InfSphereTrackEquidistantCascadeModel",
)
DECODERS = (
    "AsymmetricGaussianDecoder",
    "GammaFunctionDecoder",
    "ShiftedGammaFunctionDecoder",
    "PoissonDecoder",
    "NegativeBinomialDecoder",
    "MixtureModel",
)
WHY_NOT = {
    "EnteringSphereInfTrackMultiCascade": "its cascades see other inputs than a cascade of its own, which are not known here; a "
    "track and a cascade that were trained apart, in an InfSphereTrackEquidistantCascadeModel, are",
    "DummyCascadeModel": "it is no light, but a test of Event-Generator's",
}
"""Classes of Event-Generator that are not read -> why."""
BESIDE = ("data_trafo", "decoder", "decoder_charge")
"""Parts of a source that are no sources."""


def model_section(component: Component, per_microsecond: bool = False) -> ModelSettings:
    """Makes the section `model_settings` of an exported model, with those of its parts.

    Args:
      component: the model.
      per_microsecond: whether time densities stay per microsecond beside those of noise per ns.

    Returns:
      The section; what the weights have learned to expect stands in it: times that do not move with the vertex, and the table of
      the angular acceptance.

    Raises:
      ConfigError: a class or an option that is not known here, or data beside settings and weights; they are named.
      ModelDirectoryError: a part is missing, damaged or of another version, or has a pickle that asks for more than it may.
    """
    where = str(component.directory / DESCRIPTION)
    check_class(component, SOURCES + MULTI_SOURCES, "source")
    component.check_no_data()
    config = component.config
    _check_precision(config, where)
    bases = {name: part for name, part in component.parts.items() if name not in BESIDE}
    section: dict[str, Any] = {"model_class": component.kind, "config": config}
    if component.kind in MULTI_SOURCES:
        section["multi_source_bases"] = {name: model_section(part, per_microsecond) for name, part in bases.items()}
        return validate(ModelSettings, section, where)
    if bases:
        raise ConfigError(f"{where}: {component.kind} has the part '{next(iter(bases))}', which is not known here.")
    for name in ("decoder", "decoder_charge"):
        if name in component.parts:
            section[f"{name}_settings"] = decoder_section(component.parts[name])
    if component.kind != "DefaultNoiseModel":
        config |= _as_trained(component, where)
        config |= {"density_per_microsecond": True} if per_microsecond else {}
    return validate(ModelSettings, section, where)


def _as_trained(component: Component, where: str) -> dict[str, Any]:
    """What the weights expect of a source, in the keys that are ours."""
    config = component.config
    dropped = config.get("use_dropout_list")
    if any(dropped) if isinstance(dropped, list) else dropped:
        raise ConfigError(
            f"{where}: settings.config.use_dropout_list: weights of a training with dropout are not read."
        )
    keys: dict[str, Any] = {}
    if component.kind == "DefaultCascadeModel" and config.get("shift_cascade_vertex"):
        keys["shift_cascade_time"] = False
    if any(config.get(key) for key in ACCEPTANCE):
        keys["angular_acceptance"] = "table"
    return keys


ACCEPTANCE = (
    "add_dom_angular_acceptance",
    "scale_charge_by_angular_acceptance",
    "scale_charge_by_relative_angular_acceptance",
)
"""Options of sources that use the angular acceptance of modules."""


def decoder_section(component: Component) -> DecoderSettings:
    """Makes the section of an exported decoder, with those of its base decoders.

    Args:
      component: the decoder.

    Raises:
      ConfigError: a class that is not known here, or a decoder with weights of its own.
    """
    where = str(component.directory / DESCRIPTION)
    check_class(component, DECODERS, "decoder")
    component.check_no_data()
    _check_precision(component.config, where)
    if weights := [name for name in component.arrays() if name != "step"]:
        raise ConfigError(
            f"{component.directory}: has weights of its own ({', '.join(weights)}); decoders without are read."
        )
    bases = {name: decoder_section(part) for name, part in component.parts.items()}
    section = {"decoder_class": component.kind, "config": component.config, "base_decoders": bases}
    return validate(DecoderSettings, section, where)


def check_class(component: Component, known: tuple[str, ...], what: str) -> None:
    """Checks that the class of a component is one of those that are read.

    Args:
      component: to check.
      known: names of classes, without modules.
      what: their kind, for the message.

    Raises:
      ConfigError: another class; it is named, with the nearest match.
    """
    name = component.kind
    if name not in known:
        why = f": {WHY_NOT[name]}" if name in WHY_NOT else ""
        raise ConfigError(
            f"{component.directory / DESCRIPTION}: the {what} {component.description.class_string} is not read{why}. Known: "
            f"{', '.join(known)}.{suggestion(name, known) if not why else ''}"
        )


def _check_precision(config: dict[str, Any], where: str) -> None:
    precision = config.get("float_precision", "float32")
    if precision not in (None, "float32"):
        raise ConfigError(f"{where}: settings.config.float_precision: got '{precision}'; models of float32 are read.")


def walk_sections(section: ModelSettings) -> Iterator[ModelSettings]:
    """Goes through a section and those of its bases, from the outside in.

    Args:
      section: of a model.

    Yields:
      Sections.
    """
    yield section
    for base in section.multi_source_bases.values():
        yield from walk_sections(base)
