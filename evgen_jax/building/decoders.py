"""Decoder sections to distributions."""

from typing import Any

from evgen_jax.building.checks import finite, known_class, only_keys
from evgen_jax.config.records import DecoderSettings
from evgen_jax.decoders import FAMILIES, Component, Decoder, Mixture, ValueRange, rational_quadratic_spline
from evgen_jax.decoders.spline import DEFAULT_BINS
from evgen_jax.errors import ConfigError, shown, suggestion


def build_decoder(settings: DecoderSettings, where: str = "decoder_settings") -> Decoder | Mixture:
    """Makes a decoder from its section."""
    if settings.load_dir is not None:
        raise ConfigError(
            f"{where}.load_dir: decoders have no weights of their own; write the decoder's settings here."
        )
    if settings.decoder_class is None:
        raise ConfigError(f"{where}.decoder_class: is missing and has no default.")
    name = known_class(settings.decoder_class, (*FAMILIES, "MixtureModel"), f"{where}.decoder_class")
    if name == "MixtureModel":
        return _build_mixture(settings, where)
    family, known = FAMILIES[name], ["float_precision", "value_range_mapping", "offset", "add_normalization_term"]
    if name == "RationalQuadraticSplineDecoder":
        known.append("num_bins")
        number = settings.config.get("num_bins", DEFAULT_BINS)
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 100:
            raise ConfigError(f"{where}.config.num_bins: expected a whole number from 1 to 100, got {shown(number)}.")
        family = rational_quadratic_spline(number)
    only_keys(settings.config, tuple(known), f"{where}.config")
    ranges = _ranges(settings, where)
    return Decoder(
        family,
        tuple((k, _value_range(v, f"{where}.config.value_range_mapping.{k}")) for k, v in ranges.items()),
        finite(settings.config.get("offset") or 0.0, f"{where}.config.offset"),
    )


def _ranges(settings: DecoderSettings, where: str) -> dict[str, Any]:
    ranges = settings.config.get("value_range_mapping") or {}
    if not isinstance(ranges, dict):
        raise ConfigError(
            f"{where}.config.value_range_mapping: expected {{parameter: value range}}, got {shown(ranges)}."
        )
    return ranges


def _build_mixture(settings: DecoderSettings, where: str) -> Mixture:
    only_keys(settings.config, ("decoder_mapping", "value_range_mapping", "float_precision"), f"{where}.config")
    mapping = settings.config.get("decoder_mapping")
    if not isinstance(mapping, dict) or not mapping:
        raise ConfigError(f"{where}.config.decoder_mapping: expected {{name: [base, number, weight factor]}}.")
    components = []
    for name, entry in mapping.items():
        if not isinstance(entry, list | tuple) or len(entry) != 3:
            raise ConfigError(f"{where}.config.decoder_mapping.{name}: expected [base, number, weight factor], "
                              f"got {shown(entry)}.")  # fmt: skip
        (base, count, factor), place = entry, f"{where}.config.decoder_mapping.{name}"
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(f"{place}: expected a whole number of copies >= 1, got {shown(count)}.")
        if not isinstance(base, str) or base not in settings.base_decoders:
            raise ConfigError(
                f"{where}.config.decoder_mapping.{name}: base '{base}' is not in base_decoders; it has "
                f"{', '.join(settings.base_decoders) or 'none'}." + suggestion(base, settings.base_decoders)
            )
        decoder = build_decoder(settings.base_decoders[base], f"{where}.base_decoders.{base}")
        components.append(Component(name, decoder, count, finite(factor, f"{place}: weight factor")))
    ranges = _ranges(settings, where)
    only_keys(ranges, ("weight",), f"{where}.config.value_range_mapping")
    if "weight" not in ranges:
        return Mixture(tuple(components))
    weight_range = _value_range(ranges["weight"], f"{where}.config.value_range_mapping.weight")
    return Mixture(tuple(components), weight_range)


def _value_range(entry: Any, where: str) -> ValueRange:
    kinds = {"BaseValueRange": "base", "EluValueRange": "elu", "ExpValueRange": "exp"}
    if not isinstance(entry, dict) or "value_range_class" not in entry:
        raise ConfigError(f"{where}: expected value_range_class and config, got {shown(entry)}.")
    kind = kinds[known_class(entry["value_range_class"], kinds, f"{where}.value_range_class")]
    config = entry.get("config") or {}
    only_keys(config, ("scale", "offset", "min_value"), f"{where}.config")
    return ValueRange(kind, **{k: finite(v, f"{where}.config.{k}") for k, v in config.items() if v is not None})
