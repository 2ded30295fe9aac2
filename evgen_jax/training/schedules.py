"""Learning-rate schedules under the names of Keras and Event-Generator, with the formulas of their documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from evgen_jax.building.record import ZooRecord, named
from evgen_jax.config.kinds import Kind, Misfit
from evgen_jax.config.record import described, needed
from evgen_jax.config.records import ClassSettings
from evgen_jax.errors import ConfigError, shown, suggestion
from evgen_jax.training.schedule_values import MOST_STEPS, Amount, Increasing, Switch

WHERE = "training_settings.optimizer_settings.learning_rate"
"""Key path of the schedule, for messages."""


@dataclass(frozen=True, eq=False)
class _Rates(Kind):
    """A list of learning rates, or of schedules too."""

    schedules: bool = False

    def check(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise self.refuse(value, "a list")
        found: list[Any] = []
        for i, entry in enumerate(value):
            if self.schedules and isinstance(entry, ScheduleRecord):
                found.append(entry)
                continue
            try:
                found.append(RATE.check(entry))
            except Misfit as error:
                raise Misfit(str(error), f"[{i}]") from None
        return tuple(found)

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"x-record": "schedule"} if self.schedules else RATE.schema()}


RATE = Amount()
Rate = Annotated[float, RATE]
Steps = Annotated[float, Amount(limit=MOST_STEPS)]
Length = Annotated[float, Amount(limit=MOST_STEPS, open=True)]
Yes = Annotated[bool, Switch()]
Boundaries = Annotated[tuple[int, ...], Increasing()]


class ScheduleRecord(ZooRecord):
    """A function step -> learning rate."""

    inside: ClassVar[str] = "settings"

    name: Any = described(None, "Name of the schedule in Keras; of no effect.")

    def build(self) -> optax.Schedule:
        """Makes the schedule.

        Returns:
          Function step -> learning rate.
        """
        raise NotImplementedError

    def section(self) -> dict[str, Any]:
        """Writes the record as the section of a file.

        Returns:
          Plain values: full_class_string and settings.
        """
        return {"full_class_string": type(self).__name__, "settings": self.config()}


class PolynomialDecay(ScheduleRecord):
    """From the initial rate to the last one by a power of what remains: (initial - end) (1 - step / decay_steps)^power + end."""

    initial_learning_rate: Rate = needed("Rate at the begin.")
    decay_steps: Length = needed("Steps until the last rate.")
    end_learning_rate: Rate = described(1e-4, "Last rate.")
    power: Rate = described(1.0, "Power of the decay.")
    cycle: Yes = described(False, "Whether it begins again at a lower rate, over a longer time.")

    def build(self) -> optax.Schedule:
        """Makes the schedule.

        Returns:
          Function step -> learning rate.
        """

        def schedule(step: ArrayLike) -> Array:
            length: Any = self.decay_steps
            if self.cycle:
                length = self.decay_steps * jnp.maximum(jnp.ceil(step / self.decay_steps), 1)
            else:
                step = jnp.minimum(step, self.decay_steps)
            height = self.initial_learning_rate - self.end_learning_rate
            return height * (1 - step / length) ** self.power + self.end_learning_rate

        return schedule


class _Decay(ScheduleRecord):
    initial_learning_rate: Rate = needed("Rate at the begin.")
    decay_steps: Length = needed("Steps of one decay.")
    decay_rate: Rate = needed("Strength of one decay.")
    staircase: Yes = described(False, "Whether the rate falls at whole decays only.")

    def _passed(self, step: Array) -> Array:
        return jnp.floor(step / self.decay_steps) if self.staircase else step / self.decay_steps


class ExponentialDecay(_Decay):
    """The rate initial * decay_rate^(step / decay_steps)."""

    def build(self) -> optax.Schedule:
        """Makes the schedule.

        Returns:
          Function step -> learning rate.
        """
        return lambda step: self.initial_learning_rate * self.decay_rate ** self._passed(step)


class InverseTimeDecay(_Decay):
    """The rate initial / (1 + decay_rate * step / decay_steps)."""

    def build(self) -> optax.Schedule:
        """Makes the schedule.

        Returns:
          Function step -> learning rate.
        """
        return lambda step: self.initial_learning_rate / (1 + self.decay_rate * self._passed(step))


class CosineDecay(ScheduleRecord):
    """Half a cosine from the highest rate to alpha times it, after a linear warm-up where a target is given."""

    initial_learning_rate: Rate = needed("Rate at the begin, of the warm-up if there is one.")
    decay_steps: Length = needed("Steps of the decay.")
    alpha: Rate = described(0.0, "Share of the highest rate at the end.")
    warmup_target: Rate | None = described(
        None, "Rate at the end of the warm-up; empty: no warm-up, whatever its steps."
    )
    warmup_steps: Steps = described(0, "Steps of the warm-up.")

    def build(self) -> optax.Schedule:
        """Makes the schedule.

        Returns:
          Function step -> learning rate.
        """
        initial, alpha, steps = self.initial_learning_rate, self.alpha, self.decay_steps
        highest = initial if self.warmup_target is None else self.warmup_target
        warming = 0 if self.warmup_target is None else self.warmup_steps

        def schedule(step: ArrayLike) -> Array:
            done = jnp.clip(step - warming, 0, steps) / steps
            decayed = highest * ((1 - alpha) * 0.5 * (1 + jnp.cos(jnp.pi * done)) + alpha)
            rising = initial + (highest - initial) * step / max(warming, 1)
            return jnp.where(jnp.less(step, warming), rising, decayed)

        return schedule


class CosineDecayRestarts(ScheduleRecord):
    """Half cosines one after the other, each t_mul times as long as the one before it and m_mul times as high."""

    initial_learning_rate: Rate = needed("Rate at the begin.")
    first_decay_steps: Length = needed("Steps of the first decay.")
    t_mul: Annotated[float, Amount(least=1.0, why=", or the cycles end")] = described(2.0, "Factor of the length.")
    m_mul: Rate = described(1.0, "Factor of the height.")
    alpha: Rate = described(0.0, "Share of the initial rate at the end of a decay.")

    def build(self) -> optax.Schedule:
        """Makes the schedule.

        Returns:
          Function step -> learning rate.
        """
        t_mul, alpha = self.t_mul, self.alpha

        def begins(number: Array) -> Array:
            return (1 - t_mul**number) / (1 - t_mul)

        def schedule(step: ArrayLike) -> Array:
            done = step / self.first_decay_steps
            if t_mul == 1:
                number = jnp.floor(done)
                done = done - number
            else:
                number = jnp.floor(jnp.log(1 - done * (1 - t_mul)) / jnp.log(t_mul))
                # At a restart the quotient of logarithms falls to either side of the whole number: the steps decide.
                number = jnp.where(done >= begins(number + 1), number + 1, number)
                number = jnp.where(done < begins(number), number - 1, number)
                done = (done - begins(number)) / t_mul**number
            cosine = 0.5 * self.m_mul**number * (1 + jnp.cos(jnp.pi * done))
            return self.initial_learning_rate * ((1 - alpha) * cosine + alpha)

        return schedule


class PiecewiseConstantDecay(ScheduleRecord):
    """Rates between steps; the step of a boundary belongs to the rate before it."""

    boundaries: Boundaries = needed("Steps at which the rate changes.")
    values: Annotated[tuple[float, ...], _Rates()] = needed("Rates, one more than boundaries.")

    def check(self) -> None:
        """Checks that there is one rate more than boundaries.

        Raises:
          Misfit: another number of rates.
        """
        number = len(self.boundaries)
        if len(self.values) != number + 1:
            raise Misfit(
                f"expected {number + 1} numbers for {number} boundaries, got {shown(list(self.values))}.", "values"
            )

    def build(self) -> optax.Schedule:
        """Makes the schedule.

        Returns:
          Function step -> learning rate.
        """
        return piecewise_schedule([optax.constant_schedule(float(rate)) for rate in self.values], self.boundaries)


class MultiLearningRateScheduler(ScheduleRecord):
    """Schedules one after the other, each of which counts its steps from its boundary."""

    boundaries: Boundaries = needed("Steps at which the next schedule begins.")
    scheduler_settings: Annotated[tuple[Any, ...], _Rates(schedules=True)] = needed(
        "Schedules or rates, one more than boundaries."
    )

    def check(self) -> None:
        """Checks that there is one schedule more than boundaries.

        Raises:
          ConfigError: another number of schedules.
        """
        self.build()

    def build(self) -> optax.Schedule:
        """Makes the schedule.

        Returns:
          Function step -> learning rate.

        Raises:
          ConfigError: not exactly one boundary between two schedules.
        """
        pieces = [_built(entry) for entry in self.scheduler_settings]
        return piecewise_schedule(pieces, self.boundaries)


SCHEDULES: dict[str, type[ScheduleRecord]] = {
    record.__name__: record
    for record in (
        MultiLearningRateScheduler,
        PolynomialDecay,
        ExponentialDecay,
        InverseTimeDecay,
        CosineDecay,
        CosineDecayRestarts,
        PiecewiseConstantDecay,
    )
}
"""Class name in configurations -> record."""


def _built(entry: float | ScheduleRecord) -> optax.Schedule:
    return entry.build() if isinstance(entry, ScheduleRecord) else optax.constant_schedule(float(entry))


def build_schedule(settings: float | ClassSettings) -> optax.Schedule:
    """Makes a schedule of the learning rate.

    Args:
      settings: a rate, or the section of one of `SCHEDULES`.

    Returns:
      Function step -> learning rate.

    Raises:
      ConfigError: an unknown schedule, or a setting that is missing, unknown or no number of its kind.
    """
    return _built(read_schedule(settings, WHERE))


def read_schedule(settings: Any, where: str) -> float | ScheduleRecord:
    """Reads a rate, or the record of a schedule.

    Args:
      settings: a number, a `ClassSettings` or the plain values of one.
      where: key path, for messages.

    Returns:
      The rate or the record.

    Raises:
      ConfigError: an unknown schedule, or a setting that is missing, unknown or no number of its kind.
    """
    if isinstance(settings, dict) and "full_class_string" in settings:
        name, values = settings["full_class_string"], settings.get("settings", {})
        settings = ClassSettings(full_class_string=str(name), settings=values) if isinstance(values, dict) else settings
    if isinstance(settings, int | float) and not isinstance(settings, bool):
        try:
            return RATE.check(settings)
        except Misfit as error:
            raise ConfigError(f"{where}: {error}") from None
    if not isinstance(settings, ClassSettings):
        raise ConfigError(f"{where}: expected full_class_string and settings, got {shown(settings)}.")
    record, values = named(settings.full_class_string, SCHEDULES, f"{where}.full_class_string"), dict(settings.settings)
    known = record.config_keys()
    for key in values:
        if key not in known:
            raise ConfigError(
                f"{where}.settings: {record.__name__} has no setting '{key}'; it has {', '.join(known)}."
                + suggestion(key, known)
            )
    pieces = values.get("scheduler_settings")
    if isinstance(pieces, list | tuple):
        place = f"{where}.settings.scheduler_settings"
        values["scheduler_settings"] = [read_schedule(entry, f"{place}[{i}]") for i, entry in enumerate(pieces)]
    return record.read(values, where)


def piecewise_schedule(schedules: Sequence[optax.Schedule], boundaries: Sequence[int]) -> optax.Schedule:
    """Joins schedules at steps; each piece counts its steps from the boundary before it.

    A boundary belongs to the piece before it.

    Args:
      schedules: step -> rate each.
      boundaries: increasing steps, one between two pieces.

    Returns:
      Function step -> learning rate.

    Raises:
      ConfigError: not exactly one boundary between two pieces, or boundaries that do not increase.
    """
    try:
        Increasing().check(boundaries)
    except Misfit as error:
        raise ConfigError(f"boundaries: {error}") from None
    if len(schedules) != len(boundaries) + 1:
        raise ConfigError(
            f"{len(boundaries)} boundaries need {len(boundaries) + 1} scheduler_settings, got {len(schedules)}."
        )

    def one_later(schedule: optax.Schedule) -> optax.Schedule:
        return lambda step: schedule(step + 1)

    # optax gives the step of a boundary to the piece behind it.
    pieces = [schedules[0], *map(one_later, schedules[1:])]
    return optax.join_schedules(pieces, [boundary + 1 for boundary in boundaries])
