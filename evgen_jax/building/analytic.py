"""The analytic counterpart of a model: the same hypothesis, its light computed instead of learned."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from evgen_jax.building.model import build_source
from evgen_jax.building.sources import Surroundings
from evgen_jax.building.zoo import read_source  # from where the table of classes is filled
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError, EvgenError
from evgen_jax.hypothesis.parameters import parameters_of
from evgen_jax.hypothesis.trafo import typical_trafo
from evgen_jax.light.source import Source, Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.model.model import Model

CASCADE_AND_NOISE = ModelSettings(
    model_class="IndependentMultiSource",
    config={"sources": {"cascade": "cascade", "noise": "noise"}},
    multi_source_bases={
        "cascade": ModelSettings(model_class="AnalyticCascadeModel"),
        "noise": ModelSettings(model_class="AnalyticNoiseModel"),
    },
)
LOSSES = [
    {"config": {"loss_function_name": "unbinned_pulse_time_llh"}},
    {"config": {"loss_function_name": "dom_charge_pdf"}},
]


def analytic_counterpart(
    settings: ModelSettings, load_settings: Callable[[str], ModelSettings], where: str = "model_settings"
) -> ModelSettings:
    """The section of the analytic model with the same hypothesis parameters.

    Args:
      settings: a model section.
      load_settings: the model section of an exported model, for `load_dir`.
      where: key path, for messages.

    Raises:
      ConfigError: a source that has no analytic counterpart.
    """
    return _counterpart(_with_loaded(settings, load_settings, where), where)


def _counterpart(whole: ModelSettings, where: str) -> ModelSettings:
    """That of a section without `load_dir`."""
    around = Surroundings(whole.decoder_settings, whole.decoder_charge_settings)
    return ModelSettings.model_validate(read_source(whole, around, where).analytic(where).section())


def _with_loaded(settings: ModelSettings, load_settings: Callable[[str], ModelSettings], where: str) -> ModelSettings:
    """The section with those of exported models in place of their `load_dir`."""
    if settings.load_dir is not None:
        try:
            return _with_loaded(load_settings(settings.load_dir), load_settings, where)
        except EvgenError as error:
            raise ConfigError(f"{where}.load_dir: {error}") from None
    bases = {
        name: _with_loaded(base, load_settings, f"{where}.multi_source_bases.{name}")
        for name, base in settings.multi_source_bases.items()
    }
    return settings.model_copy(update={"multi_source_bases": bases})


def analytic_model(detector: Detector, settings: ModelSettings = CASCADE_AND_NOISE) -> Model:
    """A model without weights, whose likelihood is the true one of events that it simulates.

    Args:
      detector: where the DOMs are.
      settings: a model section; default: a cascade with the detector's noise. Of learned sources the analytic counterparts
        are taken.

    Raises:
      ConfigError: a learned source that has no analytic counterpart, or one that names an exported model: give
        `analytic_counterpart` what loads it.
    """
    detector = jax.tree.map(jnp.asarray, detector)

    def built(settings: ModelSettings) -> tuple[Source, Variables]:
        source, _ = build_source(settings)
        return source, source.init_variables(jax.random.key(0), detector)

    source, variables = built(settings)
    if jax.tree.leaves(variables):  # random ones: their light would be none
        settings = _counterpart(settings, "model_settings")
        source, variables = built(settings)
    plain = {"model_settings": settings.model_dump(mode="json"), "loss_module_settings": LOSSES}
    return Model(source, variables, typical_trafo(parameters_of(source)), detector, settings=plain)
