"""Learning-rate schedules under the names that Keras and Event-Generator give them, each with the formula of its documentation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

from evgen_jax.config.records import ClassSettings
from evgen_jax.errors import ConfigError, shown, suggestion

WHERE = "training_settings.optimizer_settings.learning_rate"
MULTI = "MultiLearningRateScheduler"
MOST_STEPS = 2**31
LARGEST = 1e30
"""Of rates and factors; one that is far too high is told by the training that it ruins."""


def build_schedule(settings: float | ClassSettings) -> optax.Schedule:
    """A number, one of Keras' schedules, or a list of those with boundaries: a function step -> learning rate.

    Raises:
      ConfigError: an unknown schedule, or a setting that is missing, unknown or no number of its kind.
    """
    return _build(settings, WHERE)


def piecewise_schedule(schedules: Sequence[optax.Schedule], boundaries: Sequence[int]) -> optax.Schedule:
    """Joins schedules at steps; each piece counts its steps from the boundary before it, which still belongs to its predecessor.

    Raises:
      ConfigError: not exactly one boundary between two pieces, or boundaries that do not increase.
    """
    _check_boundaries(boundaries, f"{WHERE}.settings")
    if len(schedules) != len(boundaries) + 1:
        raise ConfigError(
            f"{WHERE}.settings: {len(boundaries)} boundaries need {len(boundaries) + 1} scheduler_settings, "
            f"got {len(schedules)}."
        )

    def one_later(schedule: optax.Schedule) -> optax.Schedule:
        return lambda step: schedule(step + 1)

    # optax gives the step of a boundary to the piece behind it.
    pieces = [schedules[0], *map(one_later, schedules[1:])]
    return optax.join_schedules(pieces, [boundary + 1 for boundary in boundaries])


def _build(settings: Any, where: str) -> optax.Schedule:
    if isinstance(settings, int | float) and not isinstance(settings, bool):
        _check_number("learning_rate", settings, where)
        return optax.constant_schedule(float(settings))
    name = settings.full_class_string.rsplit(".", 1)[-1]
    values, where = settings.settings, f"{where}.settings"
    if name == MULTI:
        _check_keys(MULTI, values, ("boundaries", "scheduler_settings"), (), where)
        if not isinstance(values["scheduler_settings"], list | tuple):
            raise ConfigError(
                f"{where}.scheduler_settings: expected a list, got {shown(values['scheduler_settings'])}."
            )
        pieces = [
            _nested(entry, f"{where}.scheduler_settings[{i}]") for i, entry in enumerate(values["scheduler_settings"])
        ]
        return piecewise_schedule(pieces, values["boundaries"])
    if name not in SCHEDULES:
        known = (MULTI, *SCHEDULES)
        raise ConfigError(f"{where.removesuffix('.settings')}.full_class_string: '{settings.full_class_string}' is "
                          f"unknown; known: {', '.join(known)}." + suggestion(name, known))  # fmt: skip
    make, needed, defaults = SCHEDULES[name]
    _check_keys(name, values, needed, (*defaults, "name"), where)
    given = {**defaults, **{k: v for k, v in values.items() if k != "name"}}
    if name == "PiecewiseConstantDecay":
        return make(given, where)
    for key, value in given.items():
        _check_number(key, value, f"{where}.{key}")
    return make(**given)


def _nested(entry: Any, where: str) -> optax.Schedule:
    if isinstance(entry, dict) and "full_class_string" in entry and isinstance(entry.get("settings", {}), dict):
        entry = ClassSettings(full_class_string=str(entry["full_class_string"]), settings=entry.get("settings", {}))
    elif isinstance(entry, bool) or not isinstance(entry, int | float):
        raise ConfigError(f"{where}: expected full_class_string and settings, got {shown(entry)}.")
    return _build(entry, where)


def _check_keys(name: str, values: dict[str, Any], needed: Sequence[str], others: Sequence[str], where: str) -> None:
    known = (*needed, *others)
    for key in values:
        if key not in known:
            raise ConfigError(
                f"{where}: {name} has no setting '{key}'; it has {', '.join(known)}." + suggestion(key, known)
            )
    for key in needed:
        if values.get(key) is None:
            raise ConfigError(f"{where}.{key}: is missing and has no default; {name} needs {', '.join(needed)}.")


def _check_number(key: str, value: Any, where: str) -> None:
    limit = MOST_STEPS if "steps" in key else LARGEST
    if key in ("staircase", "cycle"):
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: got {shown(value)}; expected True or False.")
    elif value is None and key == "warmup_target":
        return
    elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < limit:
        raise ConfigError(f"{where}: got {shown(value)}; expected a number below {limit:g}.")
    elif value < 0 or key.endswith("decay_steps") and value == 0:
        raise ConfigError(
            f"{where}: got {shown(value)}; expected a number {'> 0' if key.endswith('decay_steps') else '>= 0'}."
        )
    elif key == "t_mul" and value < 1:
        raise ConfigError(f"{where}: got {shown(value)}; expected a number >= 1, or the cycles end.")


def _check_boundaries(boundaries: Any, where: str) -> None:
    steps: list[Any] = list(boundaries) if isinstance(boundaries, list | tuple) else [None]
    whole = all(isinstance(b, int) and not isinstance(b, bool) and 0 < b < MOST_STEPS for b in steps)
    if not whole or any(b <= a for a, b in zip(steps, steps[1:], strict=False)):
        raise ConfigError(f"{where}.boundaries: expected increasing positive steps, got {shown(boundaries)}.")


def _polynomial(
    initial_learning_rate: float, decay_steps: float, end_learning_rate: float, power: float, cycle: bool
) -> optax.Schedule:
    def schedule(step):
        if cycle:  # begins again at a lower rate, over a longer time
            length = decay_steps * jnp.maximum(jnp.ceil(step / decay_steps), 1)
        else:
            length, step = decay_steps, jnp.minimum(step, decay_steps)
        return (initial_learning_rate - end_learning_rate) * (1 - step / length) ** power + end_learning_rate

    return schedule


def _passed(step: Array, decay_steps: float, staircase: bool) -> Array:
    return jnp.floor(step / decay_steps) if staircase else step / decay_steps


def _exponential(
    initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool
) -> optax.Schedule:
    return lambda step: initial_learning_rate * decay_rate ** _passed(step, decay_steps, staircase)


def _inverse_time(
    initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool
) -> optax.Schedule:
    return lambda step: initial_learning_rate / (1 + decay_rate * _passed(step, decay_steps, staircase))


def _cosine(
    initial_learning_rate: float, decay_steps: float, alpha: float, warmup_target: float | None, warmup_steps: float
) -> optax.Schedule:
    highest = initial_learning_rate if warmup_target is None else warmup_target
    # Without a target there is no warm-up, whatever its steps.
    warming = 0 if warmup_target is None else warmup_steps

    def schedule(step):
        done = jnp.clip(step - warming, 0, decay_steps) / decay_steps
        decayed = highest * ((1 - alpha) * 0.5 * (1 + jnp.cos(jnp.pi * done)) + alpha)
        rising = initial_learning_rate + (highest - initial_learning_rate) * step / max(warming, 1)
        return jnp.where(step < warming, rising, decayed)

    return schedule


def _cosine_restarts(
    initial_learning_rate: float, first_decay_steps: float, t_mul: float, m_mul: float, alpha: float
) -> optax.Schedule:
    def schedule(step):
        done = step / first_decay_steps
        if t_mul == 1:
            number = jnp.floor(done)
            done = done - number
        else:
            number = jnp.floor(jnp.log(1 - done * (1 - t_mul)) / jnp.log(t_mul))
            # At a restart the quotient of logarithms falls to either side of the whole number: the steps decide.
            begins = lambda n: (1 - t_mul**n) / (1 - t_mul)  # noqa: E731
            number = jnp.where(done >= begins(number + 1), number + 1, number)
            number = jnp.where(done < begins(number), number - 1, number)
            done = (done - begins(number)) / t_mul**number
        cosine = 0.5 * m_mul**number * (1 + jnp.cos(jnp.pi * done))
        return initial_learning_rate * ((1 - alpha) * cosine + alpha)

    return schedule


def _piecewise_constant(values: dict[str, Any], where: str) -> optax.Schedule:
    """A boundary belongs to the value before it."""
    steps, rates = values["boundaries"], values["values"]
    _check_boundaries(steps, where)
    if not isinstance(rates, list | tuple) or len(rates) != len(steps) + 1:
        raise ConfigError(
            f"{where}.values: expected {len(steps) + 1} numbers for {len(steps)} boundaries, got {shown(rates)}."
        )
    for i, rate in enumerate(rates):
        _check_number("values", rate, f"{where}.values[{i}]")
    return piecewise_schedule([optax.constant_schedule(float(rate)) for rate in rates], steps)


FIRST = ("initial_learning_rate", "decay_steps")
SCHEDULES: dict[str, tuple[Callable, tuple[str, ...], dict[str, Any]]] = {
    # name: (what makes it, settings that it needs, defaults of the others)
    "PolynomialDecay": (_polynomial, FIRST, {"end_learning_rate": 1e-4, "power": 1.0, "cycle": False}),
    "ExponentialDecay": (_exponential, (*FIRST, "decay_rate"), {"staircase": False}),
    "InverseTimeDecay": (_inverse_time, (*FIRST, "decay_rate"), {"staircase": False}),
    "CosineDecay": (_cosine, FIRST, {"alpha": 0.0, "warmup_target": None, "warmup_steps": 0}),
    "CosineDecayRestarts": (
        _cosine_restarts, ("initial_learning_rate", "first_decay_steps"), {"t_mul": 2.0, "m_mul": 1.0, "alpha": 0.0}),
    "PiecewiseConstantDecay": (_piecewise_constant, ("boundaries", "values"), {}),
}  # fmt: skip
