"""Loss sections to weighted sums of likelihood terms and priors."""

from evgen_jax.building.checks import known_class
from evgen_jax.config.records import LossConfig, LossSettings, PriorConfig
from evgen_jax.config.validate import validate
from evgen_jax.likelihood import Loss, LossTerm, TermOptions
from evgen_jax.priors import snowstorm_priors

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
            options = config.model_dump(exclude={"loss_function_name", "float_precision"})
            terms.append(LossTerm(config.loss_function_name, TermOptions(**options), entry.loss_module_weight))
        else:
            prior = validate(PriorConfig, entry.config, f"{where}.config")
            own = snowstorm_priors(prior.sigmas, prior.uniform_parameters)
            priors += [(entry.loss_module_weight, p) for p in own]
    return Loss(tuple(terms), tuple(priors))
