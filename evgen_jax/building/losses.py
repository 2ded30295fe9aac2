"""Loss sections to weighted sums of likelihood terms and priors."""

from evgen_jax.building.checks import known_class
from evgen_jax.config.keys import check_keys
from evgen_jax.config.records import LossConfig, LossSettings, PriorConfig
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.priors import snowstorm_priors
from evgen_jax.model.likelihood import TERMS, Loss, LossTerm, TermOptions

OPTIONS = {
    "add_normalization_term": (
        "unbinned_extended_pulse_llh", "negative_binomial_charge_pdf", "negative_binomial_event_charge_pdf",
    ),
    "mpe_quantile": ("unbinned_pulse_time_mpe_llh",),
    "min_charge_quantile": ("unbinned_charge_quantile_pdf",),
    "max_charge_quantile": ("unbinned_charge_quantile_pdf",),
}  # fmt: skip
"""Options and the terms that read them."""
MODULES = ("DefaultLossModule", "SnowstormPriorLossModule")


def build_loss(settings: LossSettings | tuple[LossSettings, ...]) -> Loss:
    """Makes the weighted sum of loss modules.

    Raises:
      ConfigError: an unknown module, function or option.
    """
    terms, priors = [], []
    for entry in settings if isinstance(settings, tuple) else (settings,):
        where = "loss_module_settings"
        if known_class(entry.loss_module, MODULES, f"{where}.loss_module") == "DefaultLossModule":
            config = validate(LossConfig, entry.config, f"{where}.config")
            check_keys(config, f"{where}.config")
            _check_options(config, f"{where}.config")
            options = config.model_dump(exclude={"loss_function_name", "float_precision"})
            terms.append(LossTerm(config.loss_function_name, TermOptions(**options), entry.loss_module_weight))
        else:
            prior = validate(PriorConfig, entry.config, f"{where}.config")
            check_keys(prior, f"{where}.config")
            own = snowstorm_priors(prior.sigmas, prior.uniform_parameters)
            priors += [(entry.loss_module_weight, p) for p in own]
    return Loss(tuple(terms), tuple(priors))


def _check_options(config: LossConfig, where: str) -> None:
    """Raises ConfigError for an option that the term does not read."""
    for key, terms in OPTIONS.items():
        value = getattr(config, key)
        asked = value is False if key == "add_normalization_term" else value is not None
        if asked and config.loss_function_name in TERMS and config.loss_function_name not in terms:
            raise ConfigError(
                f"{where}.{key}: {config.loss_function_name} does not read it; {' and '.join(terms)} do. Leave it out."
            )
