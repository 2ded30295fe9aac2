"""Sections of learned sources, the cascade and the track, to modules."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from evgen_jax.building.checks import dtype_of, finite, flag, number, only_keys, short_name, texts, whole_number
from evgen_jax.building.decoders import build_decoder
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError, shown
from evgen_jax.hypothesis.parameters import names_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.sources.learned.cascade import CascadeGeometry
from evgen_jax.sources.learned.learned import Geometry, LearnedOptions, LearnedSource, check_learned
from evgen_jax.sources.learned.network import NetworkShape, check_activation
from evgen_jax.sources.learned.track import SphereTrackGeometry

OPTIONS = {f.name: f.default for f in fields(LearnedOptions) if f.name != "additional_parameter_names"}
NETWORK_KEYS = (
    "num_filters_list", "method_list", "activation_list", "use_residual_list", "use_dropout_list", "keep_prob",
    "use_batch_norm_list", "filter_size_list",
)  # fmt: skip
MOST_NUMBERED = 10_000
"""Parameters that one entry of snowstorm_parameter_names stands for, at most."""
OTHER_KEYS = ("float_precision", "additional_label_names", "snowstorm_parameter_names")


def build_cascade(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    """`DefaultCascadeModel`."""
    config, own = settings.config, ("shift_cascade_vertex", "add_opening_angle", "opening_angle_as_cosine")
    geometry = CascadeGeometry(**{key: flag(config[key], f"{where}.config.{key}") for key in own if key in config})
    return _build(geometry, own, settings, trafo, inherited, where)


def build_sphere_track(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    """`EnteringSphereInfTrack`."""
    geometry = SphereTrackGeometry(number(settings.config, "sphere_radius", where))
    # Event-Generator's files name the distribution here as well; it is that of the charge decoder.
    charge = settings.decoder_charge_settings or inherited.decoder_charge_settings
    named, used = (
        settings.config.get("charge_distribution_type"),
        short_name(getattr(charge, "decoder_class", None) or ""),
    )
    if named and not used.lower().startswith((str(named).replace("_", "").lower(), "mixture")):
        raise ConfigError(
            f"{where}.config.charge_distribution_type: got '{named}', but decoder_charge_settings has {used or 'none'}, "
            "which counts. Write the same, or leave it out."
        )
    return _build(geometry, ("sphere_radius", "charge_distribution_type"), settings, trafo, inherited, where)


def _build(
    geometry: Geometry,
    own_keys: Sequence[str],
    settings: ModelSettings,
    trafo: Trafo | None,
    inherited: ModelSettings,
    where: str,
) -> Source:
    config = settings.config
    only_keys(config, sorted((*OPTIONS, *NETWORK_KEYS, *OTHER_KEYS, *own_keys)), f"{where}.config")
    additional = additional_parameters(config, where)
    dtype = dtype_of(config, where)
    options = {key: _option(config, key, where) for key in OPTIONS if key in config}
    time = settings.decoder_settings or inherited.decoder_settings
    charge = settings.decoder_charge_settings or inherited.decoder_charge_settings
    if time is None or charge is None:
        missing = "decoder_settings" if time is None else "decoder_charge_settings"
        raise ConfigError(f"{where}.{missing}: is missing and has no default.")
    source = LearnedSource(
        geometry,
        LearnedOptions(**options, additional_parameter_names=additional),
        identity_trafo(names_of(geometry.parameters) + additional) if trafo is None else trafo,
        build_decoder(time, f"{where}.decoder_settings", dtype),
        build_decoder(charge, f"{where}.decoder_charge_settings", dtype),
        build_network(config, where),
        dtype,
    )
    try:
        check_learned(source)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return source


def _option(config: dict[str, Any], key: str, where: str) -> Any:
    """The value of an option, of the kind that its default has; where it is empty, False or the default."""
    value, default = config[key], OPTIONS[key]
    if isinstance(default, bool):
        return flag(value, f"{where}.config.{key}")
    if value is None:
        return default
    if isinstance(default, int):
        return whole_number(config, key, where, least=0)
    if isinstance(default, float):
        return number(config, key, where, above=-float("inf"))
    if isinstance(default, str):
        return str(value)  # which ones there are is checked with the source
    if key == "charge_scale_tensors":
        return texts(value, f"{where}.config.{key}")
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where}.config.{key}: expected a list, got {shown(value)}.")
    return tuple(finite(entry, f"{where}.config.{key}[{i}]") for i, entry in enumerate(value))


def additional_parameters(config: dict[str, Any], where: str) -> tuple[str, ...]:
    """Hypothesis parameters after those of the geometry: further labels, then properties of ice and modules.

    Raises:
      ConfigError: no list of names; names of ice properties may also be [name with braces, number], as [ice_{:02d}, 3].
    """
    names: list[str] = []
    for key in ("additional_label_names", "snowstorm_parameter_names"):
        entries = config.get(key) or ()
        if not isinstance(entries, list | tuple):
            raise ConfigError(f"{where}.config.{key}: expected a list of names, got {shown(entries)}.")
        for entry in entries:
            if key == "additional_label_names" and isinstance(entry, str):
                names.append(entry)
            else:
                names += _numbered(entry, f"{where}.config.{key}")
    return tuple(names)


def _numbered(entry: Any, where: str) -> list[str]:
    expected = f"{where}: expected a name or [name, number], got {shown(entry)}."
    pattern, count = entry if isinstance(entry, list | tuple) and len(entry) == 2 else (entry, 1)
    if not isinstance(pattern, str) or not isinstance(count, int) or isinstance(count, bool):
        raise ConfigError(expected)
    if not 0 <= count <= MOST_NUMBERED:
        raise ConfigError(f"{where}: '{pattern}': expected a number from 0 to {MOST_NUMBERED}, got {shown(count)}.")
    try:
        return [pattern.format(i) for i in range(count)]
    except (ValueError, IndexError, KeyError) as error:
        raise ConfigError(
            f"{where}: '{pattern}' is no name with a place for a number, as 'ice_{{:02d}}' ({error})."
        ) from None


def identity_trafo(names: tuple[str, ...]) -> Trafo:
    return Trafo(names, (0.0,) * len(names), (1.0,) * len(names), (False,) * len(names))


def build_network(config: dict[str, Any], where: str) -> NetworkShape:
    """The layers of a section.

    Raises:
      ConfigError: lists of different lengths, or what is not supported.
    """
    normalised = config.get("use_batch_norm_list") or False
    if any(normalised) if isinstance(normalised, list) else normalised:
        raise ConfigError(
            f"{where}.config.use_batch_norm_list: is not supported, since the light of an event would depend on the "
            "others of its batch; set it to False."
        )
    sizes = config.get("filter_size_list") or []
    if not isinstance(sizes, list) or any(size not in ([1, 1], (1, 1)) for size in sizes):
        raise ConfigError(f"{where}.config.filter_size_list: only [1, 1] is supported, DOMs do not share information.")
    widths = config.get("num_filters_list")
    if not isinstance(widths, list) or not all(type(w) is int and w > 0 for w in widths) or not widths:
        raise ConfigError(f"{where}.config.num_filters_list: expected a list of positive ints, got {shown(widths)}.")

    def per_layer(key: str, default: list) -> list:
        value = default if config.get(key) is None else config[key]
        value = [value] * len(widths) if not isinstance(value, list) else value
        if len(value) != len(widths):
            raise ConfigError(f"{where}.config.{key}: expected {len(widths)} entries (as num_filters_list), "
                              f"got {len(value)}.")  # fmt: skip
        return value

    def flags(key: str, default: list) -> tuple[bool, ...]:
        return tuple(flag(value, f"{where}.config.{key}") for value in per_layer(key, default))

    last = len(widths) - 1
    methods = per_layer("method_list", ["locally_connected"] + ["convolution"] * last)
    for method in methods:
        if method not in ("locally_connected", "convolution"):
            raise ConfigError(
                f"{where}.config.method_list: expected 'locally_connected' or 'convolution', got {shown(method)}."
            )
    activations = per_layer("activation_list", ["elu"] * last + [""])
    for activation in activations:
        try:
            check_activation(activation)
        except ConfigError as error:
            raise ConfigError(f"{where}.config.activation_list: {error}") from None
    residual = flags("use_residual_list", [True] * last + [False])
    dropout = flags("use_dropout_list", [False] * (last + 1))
    keep_prob = config.get("keep_prob")
    if dropout[-1]:
        raise ConfigError(f"{where}.config.use_dropout_list: the last layer gives the distributions and keeps all.")
    if keep_prob is None and any(dropout):
        raise ConfigError(f"{where}.config.keep_prob: is missing; dropout needs a number in (0, 1].")
    if keep_prob is not None and not 0 < finite(keep_prob, f"{where}.config.keep_prob") <= 1:
        raise ConfigError(f"{where}.config.keep_prob: expected a number in (0, 1], got {shown(keep_prob)}.")
    if keep_prob is not None and not any(dropout):
        raise ConfigError(f"{where}.config.keep_prob: has no effect where use_dropout_list is False. Leave it out.")
    return NetworkShape(
        tuple(widths), tuple(m == "locally_connected" for m in methods), tuple(activations),
        residual, dropout, float(keep_prob or 1.0),
    )  # fmt: skip
