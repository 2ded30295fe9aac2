"""The analytic counterpart of a model: the same hypothesis, its light computed instead of learned."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from evgen_jax.building.checks import short_name
from evgen_jax.building.learned import additional_parameters
from evgen_jax.building.model import build_source
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError, EvgenError
from evgen_jax.hypothesis.parameters import parameters_of
from evgen_jax.hypothesis.trafo import typical_trafo
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
    {"config": {"loss_function_name": "unbinned_pulse_time_llh"}}, {"config": {"loss_function_name": "dom_charge_pdf"}},
]  # fmt: skip


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
    if settings.load_dir is not None:
        try:
            section = load_settings(settings.load_dir)
        except EvgenError as error:
            raise ConfigError(f"{where}.load_dir: {error}") from None
        return analytic_counterpart(section, load_settings, where)
    name, config = short_name(settings.model_class or ""), settings.config
    if settings.multi_source_bases:
        bases = {
            k: analytic_counterpart(v, load_settings, f"{where}.multi_source_bases.{k}")
            for k, v in settings.multi_source_bases.items()
        }
        if "track" in bases and "cascade" in bases and name != "IndependentMultiSource":
            # The cascades are the losses: the track itself is the bare muon.
            track = bases["track"]
            bases["track"] = track.model_copy(update={"config": {**track.config, "with_mean_losses": False}})
        return ModelSettings(model_class=name, config=config, multi_source_bases=bases)
    if name.startswith("Analytic"):
        return settings
    if name == "DefaultNoiseModel":
        return ModelSettings(model_class="AnalyticNoiseModel")
    ice = list(additional_parameters(config, where))
    if name == "DefaultCascadeModel":
        return ModelSettings(model_class="AnalyticCascadeModel", config={"ice_parameters": ice})
    if name == "EnteringSphereInfTrack":
        radius = config.get("sphere_radius")
        return ModelSettings(
            model_class="AnalyticSphereTrackModel", config={"ice_parameters": ice, "sphere_radius": radius}
        )
    if name == "EnteringSphereInfTrackMultiCascade":
        radius = config.get("sphere_radius")
        ice_only = {"ice_parameters": ice}
        bare = {**ice_only, "sphere_radius": radius, "with_mean_losses": False}
        return ModelSettings(
            model_class="InfSphereTrackEquidistantCascadeModel",
            config={"sphere_radius": radius, "cascade_spacing": config.get("cascade_spacing")},
            multi_source_bases={
                "track": ModelSettings(model_class="AnalyticSphereTrackModel", config=bare),
                "cascade": ModelSettings(model_class="AnalyticCascadeModel", config=ice_only),
            },
        )
    raise ConfigError(
        f"{where}.model_class: '{settings.model_class}' has no analytic counterpart to simulate with; name an exported "
        "model in simulation_settings.model."
    )


def analytic_model(detector: Detector, settings: ModelSettings = CASCADE_AND_NOISE) -> Model:
    """A model without weights, whose likelihood is the true one of events that it simulates.

    Args:
      detector: where the DOMs are.
      settings: an analytic model section; default: a cascade with the detector's noise.
    """
    source, _ = build_source(settings)
    detector = jax.tree.map(jnp.asarray, detector)
    plain = {"model_settings": settings.model_dump(mode="json"), "loss_module_settings": LOSSES}
    variables = source.init_variables(jax.random.key(0), detector)
    return Model(source, variables, typical_trafo(parameters_of(source)), detector, settings=plain)
