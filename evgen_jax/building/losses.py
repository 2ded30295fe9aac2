"""Loss sections to weighted sums of likelihood terms."""

from evgen_jax.building.checks import known_class
from evgen_jax.config.records import LossSettings
from evgen_jax.likelihood import Loss, LossTerm, TermOptions


def build_loss(settings: LossSettings | tuple[LossSettings, ...]) -> Loss:
    """Makes the weighted sum of loss modules."""
    terms = []
    for entry in settings if isinstance(settings, tuple) else (settings,):
        known_class(entry.loss_module, ("DefaultLossModule",), "loss_module_settings.loss_module")
        options = entry.config.model_dump(exclude={"loss_function_name", "float_precision"})
        terms.append(LossTerm(entry.config.loss_function_name, TermOptions(**options), entry.loss_module_weight))
    return Loss(tuple(terms))
