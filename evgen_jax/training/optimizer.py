"""Optimisers by name, from a configuration to optax; arguments that Keras names have Keras' meaning."""

import inspect
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from optax import contrib
from pydantic import create_model

from evgen_jax.building.record import ZooRecord
from evgen_jax.config.record import described
from evgen_jax.config.records import OptimizerSettings, TrainingSettings
from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.training.clipping import clip_by_history, clip_each_by_norm
from evgen_jax.training.schedules import build_schedule

LOGGER = logging.getLogger("evgen_jax")
WHERE = "training_settings.optimizer_settings"
"""Key path of the settings, for messages."""
ALIASES = {"beta_1": "b1", "beta_2": "b2", "epsilon": "eps"}
"""Keras' name -> optax' name; `rho` is `decay` in RMSprop."""
NOT_FOR_OPTAX = (
    "learning_rate",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "gradient_accumulation_steps",
    "loss_scale_factor",
    "jit_compile",
    "name",
)
"""Settings of Keras that no optimiser of optax takes as an argument."""
NAMES = (
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adan",
    "amsgrad",
    "lamb",
    "lion",
    "muon",
    "nadam",
    "nadamw",
    "noisy_sgd",
    "novograd",
    "radam",
    "rmsprop",
    "sgd",
    "yogi",
)
"""Optimisers of optax and optax.contrib that a configuration may name."""
KERAS_DECAY = ("adadelta", "adagrad", "adam", "rmsprop", "sgd")
"""Optimisers whose weight decay is that of Keras, the learning rate times the weights; optax' own functions have none."""
OTHERWISE_IN_KERAS = {
    "Nadam": "a schedule of beta_1",
    "Adamax": "epsilon beside the norm",
    "Adafactor": "other factors",
    "Adadelta": "rho 0.95 and epsilon 1e-7",
}
"""Optimisers under Keras' name of which optax' formula or defaults differ; what Keras has."""


AdamState: TypeAlias = optax.ScaleByAdamState | optax.ScaleByAmsgradState
"""Moments of Adam and of AMSGrad."""


class OptimizerRecord(ZooRecord):
    """An optimiser of optax with the arguments that it takes, by Keras' names."""

    def build(self, schedule: optax.Schedule) -> optax.GradientTransformation:
        """Makes the optimiser.

        Args:
          schedule: step -> learning rate.

        Returns:
          Transformation of gradients.
        """
        given = ((key, getattr(self, key)) for key in self.config_keys())
        options = {key: value for key, value in given if value is not None and value is not False}
        return _optimizer(type(self).__name__, schedule, options)


def _record(name: str) -> type[OptimizerRecord]:
    """The record of an optimiser: its fields are those of `OptimizerSettings` that the optimiser takes."""
    arguments = inspect.signature(_function(name)).parameters
    further = {"weight_decay": name in KERAS_DECAY, "amsgrad": name in ("adam", "adamw")}
    fields: dict[str, Any] = {
        key: (info.annotation, described(None, str(info.description)))
        for key, info in OptimizerSettings.model_fields.items()
        if key not in NOT_FOR_OPTAX and (_in_optax(name, key) in arguments or further.get(key, False))
    }
    return create_model(name, __base__=OptimizerRecord, __doc__=f"The optimiser optax.{name}.", **fields)


def _in_optax(name: str, key: str) -> str:
    """Name that optax gives to an argument of Keras."""
    own = {("rmsprop", "rho"): "decay", ("muon", "momentum"): "beta"}
    return own.get((name, key), ALIASES.get(key, key))


def _function(name: str) -> Callable[..., optax.GradientTransformation]:
    """The function of optax that makes an optimiser; Muon is among its contributed ones."""
    found: Callable[..., optax.GradientTransformation] = getattr(optax if hasattr(optax, name) else contrib, name)
    return found


OPTIMIZERS: dict[str, type[OptimizerRecord]] = {name: _record(name) for name in NAMES}
"""Name in configurations, in lower case -> record."""


def build_optimizer(settings: TrainingSettings) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """Makes the optax optimiser with NaN removal and clipping before it, and its learning-rate schedule.

    `optimizer_name` is any optimiser of optax, in any capitalisation. What is not given has optax' default (Adam's
    epsilon is 1e-8 beside gradients of the mean loss; Event-Generator's 1e-7 stands beside those of the sum over the
    batch).

    Args:
      settings: section training_settings of a configuration.

    Returns:
      The transformation of gradients, and the schedule step -> learning rate.

    Raises:
      ConfigError: an unknown optimiser or schedule, or a setting that it does not take or that has no default here.
    """
    own = settings.optimizer_settings
    schedule = build_schedule(own.learning_rate)
    name = settings.optimizer_name.rsplit(".", 1)[-1]
    if name.lower() not in OPTIMIZERS:
        raise ConfigError(
            f"training_settings.optimizer_name: '{settings.optimizer_name}' is unknown; known: "
            f"{', '.join(OPTIMIZERS)}." + suggestion(name.lower(), OPTIMIZERS)
        )
    if name in OTHERWISE_IN_KERAS:
        LOGGER.warning(
            "training_settings.optimizer_name: %s is that of optax; Keras' has %s.", name, OTHERWISE_IN_KERAS[name]
        )
    if name == "AdamW" and own.weight_decay is None:
        raise ConfigError(f"{WHERE}.weight_decay: is missing; Keras' AdamW has 0.004, optax' adamw 1e-4.")
    record, options = OPTIMIZERS[name.lower()], own.model_dump(exclude=set(NOT_FOR_OPTAX), exclude_none=True)
    switches = {key: value for key, value in options.items() if value is not False}
    _only(switches, record.config_keys(), name.lower())
    steps = []
    if settings.remove_nan_gradients:
        steps.append(optax.zero_nans())
    steps += _clipping(settings)
    return optax.chain(*steps, record(**switches).build(schedule)), schedule


def _clipping(settings: TrainingSettings) -> list[optax.GradientTransformation]:
    own = settings.optimizer_settings
    given = [k for k in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(own, k) is not None]
    if len(given) > 1:
        raise ConfigError(f"{WHERE}: only one of {' and '.join(given)} can be set.")
    steps = []
    if settings.clip_gradients_by_history is not None:
        steps.append(clip_by_history(settings.clip_gradients_by_history))
    if settings.clip_gradients_value is not None:
        steps.append(optax.clip_by_global_norm(settings.clip_gradients_value))
    if own.clipnorm is not None:
        steps.append(clip_each_by_norm(own.clipnorm))
    if own.clipvalue is not None:
        steps.append(optax.clip(own.clipvalue))
    if own.global_clipnorm is not None:
        steps.append(optax.clip_by_global_norm(own.global_clipnorm))
    return steps


def _optimizer(name: str, schedule: optax.Schedule, options: dict[str, Any]) -> optax.GradientTransformation:
    if name in ("adam", "adamw") and ("epsilon" in options or "amsgrad" in options):
        return _keras_adam(schedule, options, name)
    if name == "sgd" and options.get("momentum"):
        return _keras_sgd(schedule, options)
    decay = options.pop("weight_decay", None) if name in KERAS_DECAY else None
    if "momentum" in options and not options["momentum"]:
        del options["momentum"]
    optimizer = _function(name)(schedule, **{_in_optax(name, key): value for key, value in options.items()})
    return optimizer if decay is None else optax.chain(optimizer, decay_weights(schedule, decay))


def _only(options: dict[str, Any], known: tuple[str, ...], name: str) -> None:
    for key in options:
        if key not in known:
            raise ConfigError(f"{WHERE}.{key}: {name} does not take it; it takes {', '.join(known)}.")


def _keras_adam(schedule: optax.Schedule, options: dict[str, Any], name: str) -> optax.GradientTransformation:
    _only(options, ("beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay"), name)
    scale = scale_by_keras_adam(
        options.get("beta_1", 0.9), options.get("beta_2", 0.999), options.get("epsilon", 1e-8), "amsgrad" in options
    )
    decay = options.get("weight_decay", 1e-4 if name == "adamw" else 0.0)
    middle = (optax.add_decayed_weights(decay),) if decay else ()
    return optax.chain(scale, *middle, optax.scale_by_learning_rate(schedule))


def _keras_sgd(schedule: optax.Schedule, options: dict[str, Any]) -> optax.GradientTransformation:
    _only(options, ("momentum", "nesterov", "weight_decay"), "sgd")
    # The velocity holds the rates of its own steps: v = momentum v - rate g.
    velocity = optax.trace(options["momentum"], nesterov="nesterov" in options)
    steps = [optax.scale_by_learning_rate(schedule), velocity]
    if "weight_decay" in options:
        steps.append(decay_weights(schedule, options["weight_decay"]))
    return optax.chain(*steps)


def scale_by_keras_adam(b1: float, b2: float, epsilon: float, amsgrad: bool) -> optax.GradientTransformation:
    """Makes Adam as Keras has it, with epsilon added before the bias correction.

    m and v are the moving averages of the gradient and its square, u the largest v so far or v itself; the step is
    rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(u) + epsilon). optax adds epsilon after the correction, and takes the
    largest of corrected moments, in which the first steps weigh most.

    Args:
      b1: decay of m per step.
      b2: decay of v per step.
      epsilon: added to sqrt(u).
      amsgrad: whether u is the largest v so far.

    Returns:
      Transformation of gradients, without the rate.
    """

    def init(weights: Any) -> AdamState:
        zeros = jax.tree.map(jnp.zeros_like, weights)
        state = (jnp.zeros((), jnp.int32), zeros, zeros)
        return optax.ScaleByAmsgradState(*state, zeros) if amsgrad else optax.ScaleByAdamState(*state)

    def update(gradient: Any, state: Any, weights: Any = None) -> tuple[Any, AdamState]:
        del weights
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, gradient)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, gradient)
        largest = jax.tree.map(jnp.maximum, state.nu_max, nu) if amsgrad else nu
        factor = jnp.sqrt(1 - b2**count) / (1 - b1**count)
        steps = jax.tree.map(lambda m, v: (factor * m / (jnp.sqrt(v) + epsilon)).astype(m.dtype), mu, largest)
        moments = (count, mu, nu)
        return steps, (optax.ScaleByAmsgradState(*moments, largest) if amsgrad else optax.ScaleByAdamState(*moments))

    return optax.GradientTransformation(init, update)


class DecayState(NamedTuple):
    """Counts the steps that are done.

    Attributes:
      step: number of them, scalar.
    """

    step: jax.Array


def decay_weights(schedule: optax.Schedule, strength: float) -> optax.GradientTransformation:
    """Makes a weight decay apart from the gradient: rate * strength * weight is taken off every weight.

    Args:
      schedule: step -> learning rate.
      strength: of the decay.

    Returns:
      Transformation of updates.
    """

    def update(updates: Any, state: DecayState, weights: Any) -> tuple[Any, DecayState]:
        factor = schedule(state.step) * strength
        updates = jax.tree.map(lambda u, w: u - jnp.asarray(factor, w.dtype) * w, updates, weights)
        return updates, DecayState(state.step + 1)

    return optax.GradientTransformation(lambda weights: DecayState(jnp.zeros((), jnp.int32)), update)
