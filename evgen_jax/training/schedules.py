"""Learning-rate schedules under the names of Keras and Event-Generator, with the formulas of their documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import optax

from evgen_jax.building.record import named
from evgen_jax.config.kinds import Kind, Misfit
from evgen_jax.config.record import needed
from evgen_jax.config.records import ClassSettings
from evgen_jax.errors import ConfigError, shown, suggestion
from evgen_jax.training.decays import (
    RATE,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PolynomialDecay,
    ScheduleRecord,
)
from evgen_jax.training.schedule_values import Increasing

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


Boundaries = Annotated[tuple[int, ...], Increasing()]


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
