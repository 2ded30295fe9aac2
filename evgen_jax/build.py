"""Configuration sections to source trees: the class names that a YAML file may use and what they build."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from evgen_jax.config.records import DecoderSettings, LossSettings, ModelSettings
from evgen_jax.decoders import FAMILIES, Component, Decoder, Mixture, ValueRange
from evgen_jax.detector import Detector
from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.layers import check_activation
from evgen_jax.likelihood import Loss, LossTerm, TermOptions
from evgen_jax.model import Model
from evgen_jax.multi_sources.independent import independent_multi_source
from evgen_jax.multi_sources.multi_source import MultiSource
from evgen_jax.sources.analytic_cascade import AnalyticCascadeSource
from evgen_jax.sources.cascade import PARAMETERS, CascadeOptions, CascadeSource
from evgen_jax.sources.noise import NoiseSource
from evgen_jax.sources.source import Source, Variables
from evgen_jax.trafo import Trafo

DTYPES = {"float32": jnp.float32, "float64": jnp.float64}
ModelLoader = Callable[[str], Model]


def short_name(class_name: str) -> str:
    """Last part of a dotted class path: existing files name 'egenerator.model....DefaultCascadeModel'."""
    return class_name.rsplit(".", 1)[-1]


def _known(class_name: str, known, where: str) -> str:
    name = short_name(class_name)
    if name not in known:
        raise ConfigError(f"{where}: '{class_name}' is unknown; known: {', '.join(known)}." + suggestion(name, known))
    return name


def _only(config: dict[str, Any], known, where: str) -> None:
    for key in config:
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key. Known here: {', '.join(known)}." + suggestion(key, known))


# Decoders -----------------------------------------------------------------------------------------------------------


def build_decoder(settings: DecoderSettings, where: str = "decoder_settings") -> Decoder | Mixture:
    """Makes a decoder from its section."""
    if settings.load_dir is not None:
        raise ConfigError(
            f"{where}.load_dir: decoders have no weights of their own; write the decoder's settings here."
        )
    if settings.decoder_class is None:
        raise ConfigError(f"{where}.decoder_class: is missing and has no default.")
    name = _known(settings.decoder_class, (*FAMILIES, "MixtureModel"), f"{where}.decoder_class")
    if name == "MixtureModel":
        return _build_mixture(settings, where)
    _only(settings.config, ("float_precision", "value_range_mapping", "offset", "add_normalization_term"),
          f"{where}.config")  # fmt: skip
    ranges = settings.config.get("value_range_mapping") or {}
    return Decoder(
        FAMILIES[name],
        tuple((k, _value_range(v, f"{where}.config.value_range_mapping.{k}")) for k, v in ranges.items()),
        float(settings.config.get("offset") or 0.0),
    )


def _build_mixture(settings: DecoderSettings, where: str) -> Mixture:
    _only(settings.config, ("decoder_mapping", "value_range_mapping", "float_precision"), f"{where}.config")
    mapping = settings.config.get("decoder_mapping")
    if not isinstance(mapping, dict) or not mapping:
        raise ConfigError(f"{where}.config.decoder_mapping: expected {{name: [base, number, weight factor]}}.")
    components = []
    for name, entry in mapping.items():
        if not isinstance(entry, list | tuple) or len(entry) != 3:
            raise ConfigError(f"{where}.config.decoder_mapping.{name}: expected [base, number, weight factor], "
                              f"got {entry!r}.")  # fmt: skip
        base, count, factor = entry
        if base not in settings.base_decoders:
            raise ConfigError(
                f"{where}.config.decoder_mapping.{name}: base '{base}' is not in base_decoders; it has "
                f"{', '.join(settings.base_decoders) or 'none'}." + suggestion(base, settings.base_decoders)
            )
        decoder = build_decoder(settings.base_decoders[base], f"{where}.base_decoders.{base}")
        components.append(Component(name, decoder, count, float(factor)))
    ranges = settings.config.get("value_range_mapping") or {}
    _only(ranges, ("weight",), f"{where}.config.value_range_mapping")
    if "weight" not in ranges:
        return Mixture(tuple(components))
    weight_range = _value_range(ranges["weight"], f"{where}.config.value_range_mapping.weight")
    return Mixture(tuple(components), weight_range)


def _value_range(entry: Any, where: str) -> ValueRange:
    kinds = {"BaseValueRange": "base", "EluValueRange": "elu", "ExpValueRange": "exp"}
    if not isinstance(entry, dict) or "value_range_class" not in entry:
        raise ConfigError(f"{where}: expected value_range_class and config, got {entry!r}.")
    kind = kinds[_known(entry["value_range_class"], kinds, f"{where}.value_range_class")]
    config = entry.get("config") or {}
    _only(config, ("scale", "offset", "min_value"), f"{where}.config")
    return ValueRange(kind, **{k: float(v) for k, v in config.items()})


# Sources ------------------------------------------------------------------------------------------------------------


class _Built:
    """A source, the weights it brings along (None: all fresh) and whether they are complete."""

    def __init__(self, source: Source, loaded: Variables = None):
        self.source, self.loaded = source, loaded


def _identity_trafo(names: tuple[str, ...]) -> Trafo:
    return Trafo(names, (0.0,) * len(names), (1.0,) * len(names), (False,) * len(names))


def _build_cascade(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    config = dict(settings.config)
    option_names = {f.name for f in fields(CascadeOptions)} - {"additional_parameter_names"}
    lists = ("num_filters_list", "method_list", "activation_list", "use_residual_list")
    ignored = ("filter_size_list", "use_dropout_list", "use_batch_norm_list", "keep_prob", "float_precision")
    extra = ("additional_label_names", "snowstorm_parameter_names")
    _only(config, sorted((*option_names, *lists, *ignored, *extra)), f"{where}.config")
    normalised = config.get("use_batch_norm_list") or False
    if any(normalised) if isinstance(normalised, list) else normalised:
        raise ConfigError(
            f"{where}.config.use_batch_norm_list: is not supported, since the light of an event would depend on the "
            "others of its batch; set it to False."
        )
    sizes = config.get("filter_size_list") or []
    if any(list(size) != [1, 1] for size in sizes):
        raise ConfigError(f"{where}.config.filter_size_list: only [1, 1] is supported, DOMs do not share information.")
    widths = config.get("num_filters_list")
    if not isinstance(widths, list) or not all(isinstance(w, int) and w > 0 for w in widths) or not widths:
        raise ConfigError(f"{where}.config.num_filters_list: expected a list of positive ints, got {widths!r}.")

    def per_layer(key: str, default: list) -> list:
        value = default if config.get(key) is None else config[key]
        value = [value] * len(widths) if not isinstance(value, list) else value
        if len(value) != len(widths):
            raise ConfigError(f"{where}.config.{key}: expected {len(widths)} entries (as num_filters_list), "
                              f"got {len(value)}.")  # fmt: skip
        return value

    last = len(widths) - 1
    methods = per_layer("method_list", ["locally_connected"] + ["convolution"] * last)
    for method in methods:
        if method not in ("locally_connected", "convolution"):
            raise ConfigError(
                f"{where}.config.method_list: expected 'locally_connected' or 'convolution', got {method!r}."
            )
    activations = per_layer("activation_list", ["elu"] * last + [""])
    for activation in activations:
        check_activation(activation)
    residual = per_layer("use_residual_list", [True] * last + [False])
    dropout = tuple(bool(d) for d in per_layer("use_dropout_list", [False] * (last + 1)))
    keep_prob = config.get("keep_prob")
    if dropout[-1]:
        raise ConfigError(f"{where}.config.use_dropout_list: the last layer gives the distributions and keeps all.")
    if any(dropout) and not (isinstance(keep_prob, int | float) and 0 < keep_prob <= 1):
        raise ConfigError(f"{where}.config.keep_prob: expected a number in (0, 1] for dropout, got {keep_prob!r}.")

    additional = tuple(config.get("additional_label_names") or ())
    for entry in config.get("snowstorm_parameter_names") or ():
        pattern, count = entry if isinstance(entry, list | tuple) else (entry, 1)
        additional += tuple(pattern.format(i) for i in range(count))
    options = {k: v for k, v in config.items() if k in option_names}
    for key in ("mixture_component_t_seeds", "charge_scale_tensors"):
        if options.get(key) is not None:
            options[key] = tuple(options[key])
    names = PARAMETERS + additional
    time = settings.decoder_settings or inherited.decoder_settings
    charge = settings.decoder_charge_settings or inherited.decoder_charge_settings
    if time is None or charge is None:
        missing = "decoder_settings" if time is None else "decoder_charge_settings"
        raise ConfigError(f"{where}.{missing}: is missing and has no default.")
    source = CascadeSource(
        CascadeOptions(**options, additional_parameter_names=additional),
        _identity_trafo(names) if trafo is None else trafo,
        build_decoder(time, f"{where}.decoder_settings"),
        build_decoder(charge, f"{where}.decoder_charge_settings"),
        tuple(widths),
        tuple(m == "locally_connected" for m in methods),
        tuple(activations),
        tuple(bool(r) for r in residual),
        dropout,
        float(keep_prob or 1.0),
        _dtype(config, where),
    )
    try:
        source.check()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return source


def _build_noise(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    config = settings.config
    _only(config, ("float_precision", "num_local_vars", "charge_scale_tensors"), f"{where}.config")
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
    return NoiseSource(decoder, None if scaled is None else tuple(scaled), True, _dtype(config, where))


def _build_analytic(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    _only(settings.config, ("float_precision",), f"{where}.config")
    return AnalyticCascadeSource(_dtype(settings.config, where))


def _build_true_noise(settings: ModelSettings, trafo: Trafo | None, inherited: ModelSettings, where: str) -> Source:
    _only(settings.config, ("float_precision",), f"{where}.config")
    return NoiseSource(Decoder(FAMILIES["PoissonDecoder"]), None, False, _dtype(settings.config, where))


def _dtype(config: dict[str, Any], where: str):
    precision = config.get("float_precision") or "float32"
    if precision not in DTYPES:
        raise ConfigError(f"{where}.config.float_precision: expected 'float32' or 'float64', got {precision!r}.")
    return DTYPES[precision]


SOURCES: dict[str, Callable[[ModelSettings, Trafo | None, ModelSettings, str], Source]] = {
    "DefaultCascadeModel": _build_cascade,
    "DefaultNoiseModel": _build_noise,
    "AnalyticCascadeModel": _build_analytic,
    "AnalyticNoiseModel": _build_true_noise,
}
MULTI_SOURCES = ("IndependentMultiSource",)


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
    """
    built = _build(settings, trafo, settings, load, "model_settings", ())
    return built.source, built.loaded


def _build(settings, trafo, inherited, load, where, path) -> _Built:
    if settings.load_dir is not None:
        if load is None:
            raise ConfigError(f"{where}.load_dir: models cannot be loaded here.")
        directory = str(Path(settings.load_dir))
        model = load(directory)
        return _Built(model.source, model.variables)
    if settings.model_class is None:
        raise ConfigError(f"{where}.model_class: is missing and has no default.")
    name = _known(settings.model_class, (*SOURCES, *MULTI_SOURCES), f"{where}.model_class")
    if name in SOURCES:
        if settings.multi_source_bases:
            raise ConfigError(f"{where}.multi_source_bases: {name} is no multi-source.")
        return _Built(SOURCES[name](settings, trafo, inherited, where))

    _only(settings.config, ("sources", "float_precision"), f"{where}.config")
    sources = settings.config.get("sources") or {}
    inherited = inherited.model_copy(
        update={
            k: getattr(settings, k) or getattr(inherited, k) for k in ("decoder_settings", "decoder_charge_settings")
        }
    )

    def build_bases(trafos: dict[str, Trafo | None]) -> dict[str, _Built]:
        return {
            base: _build(section, trafos.get(base), inherited, load, f"{where}.multi_source_bases.{base}", path)
            for base, section in settings.multi_source_bases.items()
        }

    bases = build_bases({})
    # Names first, then the bases once more with their share of the joint transformation.
    joint = independent_multi_source(sources, {k: b.source for k, b in bases.items()})
    if trafo is not None:
        if trafo.parameter_names != joint.parameter_names:
            raise ConfigError(
                f"{where}: the data transformation has the parameters {', '.join(trafo.parameter_names)}, the model "
                f"{', '.join(joint.parameter_names)}."
            )
        trafos: dict[str, Trafo | None] = {}
        for base, start, stop in joint.expand.columns:
            trafos.setdefault(base, trafo.select(range(start, stop), bases[base].source.parameter_names))
        bases = build_bases(trafos)
        joint = independent_multi_source(sources, {k: b.source for k, b in bases.items()})
    loaded = {k: b.loaded for k, b in bases.items()}
    return _Built(joint, loaded if any(v is not None for v in loaded.values()) else None)


def resolve_settings(settings: ModelSettings, load: ModelLoader | None) -> dict[str, Any]:
    """The section as plain values, with the settings of loaded models in place of their `load_dir`."""
    if settings.load_dir is not None and load is not None:
        return load(settings.load_dir).settings["model_settings"]
    plain = settings.model_dump(mode="json")
    plain["multi_source_bases"] = {k: resolve_settings(v, load) for k, v in settings.multi_source_bases.items()}
    return plain


def parameter_names(settings: ModelSettings, load: ModelLoader | None = None) -> tuple[str, ...]:
    """Hypothesis parameters of a model section, before its data transformation exists."""
    return build_source(settings, None, load)[0].parameter_names


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


def build_loss(settings: LossSettings | tuple[LossSettings, ...]) -> Loss:
    """Makes the weighted sum of loss modules."""
    terms = []
    for entry in settings if isinstance(settings, tuple) else (settings,):
        _known(entry.loss_module, ("DefaultLossModule",), "loss_module_settings.loss_module")
        options = entry.config.model_dump(exclude={"loss_function_name", "float_precision"})
        terms.append(LossTerm(entry.config.loss_function_name, TermOptions(**options), entry.loss_module_weight))
    return Loss(tuple(terms))
