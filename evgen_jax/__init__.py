"""evgen_jax: a functional model zoo for neutrino-telescope event hypotheses."""

from flax.linen import compact

from evgen_jax.approximation.approximate import Approximation, approximate
from evgen_jax.building.decoders import register_decoder
from evgen_jax.building.directory import load_model, save_model
from evgen_jax.building.losses import register_loss
from evgen_jax.building.zoo import register_source
from evgen_jax.decoders.family import Family
from evgen_jax.errors import EvgenError
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.light.light_yield import LightYield
from evgen_jax.measurement.detector import Detector, load_detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.padding import stack_events
from evgen_jax.model.expectation import make_dom_expectation
from evgen_jax.model.likelihood import LossParts
from evgen_jax.model.log_likelihood import log_likelihood, make_log_likelihood
from evgen_jax.model.model import Ensemble, Model
from evgen_jax.model.sampler import make_sampler
from evgen_jax.reconstruction.fit.fit import reconstruct
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.sources.linen_source import LinenSource
from evgen_jax.version import __version__

__all__ = [
    "Approximation",
    "Detector",
    "EvgenError",
    "Ensemble",
    "Event",
    "Family",
    "FitResult",
    "FitSettings",
    "LightYield",
    "LinenSource",
    "LossParts",
    "Model",
    "Parameter",
    "__version__",
    "approximate",
    "compact",
    "load_detector",
    "load_model",
    "log_likelihood",
    "make_dom_expectation",
    "make_log_likelihood",
    "make_sampler",
    "reconstruct",
    "register_decoder",
    "register_loss",
    "register_source",
    "save_model",
    "stack_events",
]
