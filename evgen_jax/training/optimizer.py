"""Optimisers by name and learning-rate schedules, from a configuration to optax."""

from collections.abc import Sequence
from typing import Any

import optax

from evgen_jax.config.records import ClassSettings, TrainingSettings
from evgen_jax.errors import ConfigError, suggestion

WHERE = "training_settings.optimizer_settings.learning_rate"
ALIASES = {"beta_1": "b1", "beta_2": "b2", "epsilon": "eps"}


def piecewise_schedule(schedules: Sequence[optax.Schedule], boundaries: Sequence[int]) -> optax.Schedule:
    """Joins schedules at step boundaries; each piece counts its steps from its own start.

    Raises:
      ConfigError: not exactly one boundary between two pieces, or boundaries that do not increase.
    """
    if len(schedules) != len(boundaries) + 1:
        raise ConfigError(
            f"{WHERE}.settings: {len(boundaries)} boundaries need {len(boundaries) + 1} scheduler_settings, "
            f"got {len(schedules)}."
        )
    if any(b <= a for a, b in zip(boundaries, boundaries[1:], strict=False)) or any(b <= 0 for b in boundaries):
        raise ConfigError(f"{WHERE}.settings.boundaries: expected increasing positive steps, got {list(boundaries)}.")
    return optax.join_schedules(list(schedules), list(boundaries))


def build_schedule(settings: float | ClassSettings) -> optax.Schedule:
    """A number, a polynomial decay, or a list of those with boundaries."""
    if isinstance(settings, int | float):
        return optax.constant_schedule(float(settings))
    name = settings.full_class_string.rsplit(".", 1)[-1]
    values = settings.settings
    if name == "MultiLearningRateScheduler":
        missing = [k for k in ("boundaries", "scheduler_settings") if k not in values]
        if missing:
            raise ConfigError(f"{WHERE}.settings.{missing[0]}: is missing and has no default.")
        pieces = [build_schedule(_nested(entry, i)) for i, entry in enumerate(values["scheduler_settings"])]
        return piecewise_schedule(pieces, values["boundaries"])
    if name == "PolynomialDecay":
        known = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name")
        for key in values:
            if key not in known:
                raise ConfigError(f"{WHERE}: PolynomialDecay has no setting '{key}'." + suggestion(key, known))
        if "initial_learning_rate" not in values or values.get("decay_steps", 0) <= 0:
            raise ConfigError(
                f"{WHERE}: PolynomialDecay needs initial_learning_rate and decay_steps > 0, got {values}."
            )
        return optax.polynomial_schedule(
            float(values["initial_learning_rate"]), float(values.get("end_learning_rate", 1e-4)),
            float(values.get("power", 1.0)), int(values["decay_steps"]),
        )  # fmt: skip
    schedules = ("MultiLearningRateScheduler", "PolynomialDecay")
    raise ConfigError(f"{WHERE}.full_class_string: '{settings.full_class_string}' is unknown; known: "
                      f"{', '.join(schedules)}." + suggestion(name, schedules))  # fmt: skip


def _nested(entry: Any, i: int) -> float | ClassSettings:
    if isinstance(entry, int | float) and not isinstance(entry, bool):
        return float(entry)
    if isinstance(entry, dict) and "full_class_string" in entry:
        return ClassSettings(**entry)
    raise ConfigError(
        f"{WHERE}.settings.scheduler_settings[{i}]: expected full_class_string and settings, got {entry!r}."
    )


def build_optimizer(settings: TrainingSettings) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optax optimiser with NaN removal and clipping before it, and its learning-rate schedule.

    `optimizer_name` is any optimiser of optax, in any capitalisation.

    Raises:
      ConfigError: unknown optimiser or a setting that it does not take.
    """
    schedule = build_schedule(settings.optimizer_settings.learning_rate)
    name = settings.optimizer_name.lower()
    known = sorted(k for k in optax.__dict__ if k in _OPTIMIZERS)
    if name not in known:
        raise ConfigError(f"training_settings.optimizer_name: '{settings.optimizer_name}' is unknown; known: "
                          f"{', '.join(known)}." + suggestion(name, known))  # fmt: skip
    options = settings.optimizer_settings.model_dump(exclude={"learning_rate"}, exclude_none=True)
    options = {ALIASES.get(k, k): v for k, v in options.items()}
    try:
        optimizer = getattr(optax, name)(schedule, **options)
    except TypeError as error:
        raise ConfigError(
            f"training_settings.optimizer_settings: {name} refuses {sorted(options)} ({error})."
        ) from None
    steps = []
    if settings.remove_nan_gradients:
        steps.append(optax.zero_nans())
    if settings.clip_gradients_value is not None:
        steps.append(optax.clip_by_global_norm(settings.clip_gradients_value))
    return optax.chain(*steps, optimizer), schedule


_OPTIMIZERS = {
    "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan", "amsgrad", "lamb",
    "lion", "nadam", "nadamw", "noisy_sgd", "novograd", "radam", "rmsprop", "sgd", "yogi",
}  # fmt: skip
