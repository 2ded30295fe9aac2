"""Records of loss terms and priors; a loss is their weighted sum."""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import create_model

from evgen_jax.building.record import ZooRecord, named, register
from evgen_jax.config.kinds import Flag, ListOf, Misfit, Number, OneOf, Read, Real
from evgen_jax.config.record import described
from evgen_jax.config.records import LossSettings
from evgen_jax.errors import ConfigError, shown
from evgen_jax.hypothesis.prior import NormalPrior, Prior, SoftUniformPrior
from evgen_jax.hypothesis.snowstorm import snowstorm_priors
from evgen_jax.model.likelihood import Loss, LossTerm
from evgen_jax.model.terms import NEEDS_CUMULATIVE, TERMS, Term

WHERE = "loss_module_settings"
MODULES = {"DefaultLossModule": "term", "SnowstormPriorLossModule": "prior"}
Float32 = Annotated[str, OneOf(options=("float32",))]


class _Given(Flag):
    """True or False; an empty value is neither, since it would change the likelihood."""

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refuse(value)
        return value


OPTIONS: dict[str, tuple[Any, str]] = {
    "add_normalization_term": (Annotated[bool, _Given()], "Whether what no parameter changes, log n!, is included."),
    "mpe_quantile": (
        Number | None,
        "All pulses up to this quantile of a module's charge take part, not the first alone.",
    ),
    "min_charge_quantile": (Number | None, "Pulses from this quantile of a module's charge on."),
    "max_charge_quantile": (Number | None, "Pulses up to this quantile of a module's charge."),
}
"""Options of terms: what their values are, and what they mean."""
ALWAYS = ("add_normalization_term",)
"""Options that are True in all other terms; of the rest they have none."""


class LossRecord(ZooRecord):
    """A weighted part of the loss."""

    beside: ClassVar[tuple[str, ...]] = ("loss_module_weight",)
    module: ClassVar[str]

    float_precision: Float32 = described("float32", "Precision; the sums are in float64 where JAX has it enabled.")
    loss_module_weight: Number = described(1.0, "Factor of this part of the loss.")

    def section(self) -> dict[str, Any]:
        """The section of a file, as plain values."""
        weight = {"loss_module_weight": self.loss_module_weight} if self.loss_module_weight != 1.0 else {}
        return {"loss_module": self.module, **weight, "config": self.config()}


class TermRecord(LossRecord):
    """A term of the likelihood: the record of a function (light, event, **options)."""

    module: ClassVar[str] = "DefaultLossModule"

    def build(self) -> LossTerm:
        """The weighted term."""
        own = {k: getattr(self, k) for k in self.config_keys() if k != "float_precision"}
        options = tuple((k, v) for k, v in own.items() if v != type(self).model_fields[k].default)
        return LossTerm(type(self).__name__, options, self.loss_module_weight)

    def config(self) -> dict[str, Any]:
        """What was given, with the name of the term, as plain values."""
        return {"loss_function_name": type(self).__name__, **super().config()}


def _ranges(value: Any) -> dict[str, tuple[float, ...]]:
    if not isinstance(value, Mapping):
        raise Misfit(f"expected {{parameter: [low, high]}}, got {shown(value)}.")
    found = {}
    for name, entry in value.items():
        if not isinstance(entry, list | tuple) or len(entry) not in (2, 3):
            raise Misfit(f"expected [low, high] or [low, high, eps], got {shown(entry)}.", name)
        try:
            found[name] = ListOf(entry=Real()).check(entry)
        except Misfit as error:
            raise Misfit(str(error), f"{name}{error.key}") from None
        if not found[name][1] > found[name][0]:
            raise Misfit(f"expected low < high, got {list(entry[:2])}.", name)
    return found


class SnowstormPriorLossModule(LossRecord):
    """Priors of the ice and detector parameters of SnowStorm simulation: Gaussians and flat ranges with soft walls."""

    module: ClassVar[str] = "SnowstormPriorLossModule"

    sigmas: Annotated[tuple[float, ...], ListOf("a list of widths > 0", Real("a width > 0", 0.0))] | None = described(
        None, "Widths of the Gaussians of IceWavePlusModes_00 and so on; empty: the tabulated ones (arXiv:1909.01530)."
    )
    uniform_parameters: (
        Annotated[dict[str, tuple[float, ...]], Read("{parameter: [low, high]}", _ranges, (("type", "object"),))] | None
    ) = described(
        None,
        "Flat ranges [low, high] or [low, high, eps] by parameter, with walls that begin eps inside; empty: the usual "
        "ranges of the parameters that the model has.",
    )

    def build(self) -> tuple[tuple[float, Prior], ...]:
        """The priors with their weight."""
        return tuple((self.loss_module_weight, p) for p in snowstorm_priors(self.sigmas, self.uniform_parameters))


def _term_record(name: str, function: Term) -> type[TermRecord]:
    """The record of a term: its fields are the arguments that the function takes by keyword."""
    fields: dict[str, Any] = {}
    for option in inspect.signature(function).parameters.values():
        if option.kind is option.KEYWORD_ONLY:
            kind, text = OPTIONS.get(option.name, (Any, f"Argument of the term {name}."))
            fields[option.name] = (kind, described(None if option.default is option.empty else option.default, text))
    return create_model(name, __base__=TermRecord, __doc__=inspect.getdoc(function) or f"The term {name}.", **fields)


LOSS_TERMS: dict[str, type[TermRecord]] = {name: _term_record(name, function) for name, function in TERMS.items()}
"""Name of a term in configurations -> record."""


def register_loss(name: str, term: Term, *, needs_cumulative: bool = False) -> type[TermRecord]:
    """Adds a user's own term of the likelihood, so that `loss_function_name: name` uses it.

    Args:
      name: as configurations will write it.
      term: (light, event, *, option=default ...) -> LossParts, the negative log-likelihood of one event; what it takes by
        keyword alone are keys of the term's section.
      needs_cumulative: whether it reads the cumulative light.

    Returns:
      The record of the term, to compose losses in Python.

    Raises:
      ConfigError: the name is taken, or `term` is no function.
    """
    if not callable(term):
        raise ConfigError(f"register_loss: expected a function (light, event), got {shown(term)}.")
    record = _term_record(str(name), term)
    register(LOSS_TERMS, name, record, "loss")
    TERMS[name] = term
    if needs_cumulative:
        NEEDS_CUMULATIVE.add(name)
    return record


def read_loss(settings: LossSettings, where: str = WHERE) -> LossRecord:
    """Makes the record of one entry of the loss.

    Args:
      settings: the section.
      where: its key path, for messages.

    Raises:
      ConfigError: an unknown module, function or option, or an option that the term does not read.
    """
    kind, config = named(settings.loss_module, MODULES, f"{where}.loss_module"), dict(settings.config)
    if kind == "prior":
        return SnowstormPriorLossModule.read(config, where, loss_module_weight=settings.loss_module_weight)
    record = named(config.pop("loss_function_name", None), LOSS_TERMS, f"{where}.config.loss_function_name")
    for key in [key for key in config if key in OPTIONS and key not in record.model_fields]:
        # A switch of another term does no harm where it stands as it would without.
        if config.pop(key) is not (True if key in ALWAYS else None):
            readers = " and ".join(n for n, other in LOSS_TERMS.items() if key in other.model_fields)
            raise ConfigError(f"{where}.config.{key}: {record.__name__} does not read it; {readers} do. Leave it out.")
    return record.read(config, where, loss_module_weight=settings.loss_module_weight)


def build_loss(settings: LossSettings | tuple[LossSettings, ...]) -> Loss:
    """The weighted sum of the entries of a loss section.

    Args:
      settings: one entry or several.

    Raises:
      ConfigError: as `read_loss`.
    """
    return make_loss(*(read_loss(entry) for entry in (settings if isinstance(settings, tuple) else (settings,))))


def make_loss(*records: LossRecord) -> Loss:
    """The weighted sum of terms and priors.

    Args:
      *records: `LOSS_TERMS['dom_charge_pdf']()`, `SnowstormPriorLossModule()` and so on.
    """
    terms = tuple(record.build() for record in records if isinstance(record, TermRecord))
    priors = [prior for record in records if isinstance(record, SnowstormPriorLossModule) for prior in record.build()]
    return Loss(terms, tuple(priors))


def loss_records(loss: Loss) -> tuple[LossRecord, ...]:
    """The records that make a loss.

    Raises:
      ConfigError: priors that no section of a configuration gives.
    """
    records: list[LossRecord] = [
        LOSS_TERMS[term.name](**dict(term.options), loss_module_weight=term.weight) for term in loss.terms
    ]
    for weight in dict.fromkeys(weight for weight, _ in loss.priors):
        own = tuple(prior for other, prior in loss.priors if other == weight)
        records.append(_prior_record(own, weight))
    if make_loss(*records) != loss:
        raise ConfigError("the priors of this loss stand in an order that no configuration gives.")
    return tuple(records)


def _prior_record(priors: tuple[Prior, ...], weight: float) -> SnowstormPriorLossModule:
    """The section that gives exactly these priors."""
    widths = tuple(p.sigma for p in priors if isinstance(p, NormalPrior))
    ranges = {p.name: (p.low, p.high, p.eps) for p in priors if isinstance(p, SoftUniformPrior)}
    for given in (
        {},
        {"sigmas": widths},
        {"uniform_parameters": ranges},
        {"sigmas": widths, "uniform_parameters": ranges},
    ):
        record = SnowstormPriorLossModule(**given, loss_module_weight=weight)
        if tuple(prior for _, prior in record.build()) == priors:
            return record
    names = tuple(p.name for p in priors)
    raise ConfigError(
        f"the priors of {', '.join(names)} cannot be written into a configuration, which knows flat ranges and the widths "
        "of IceWavePlusModes_00 and so on."
    )
