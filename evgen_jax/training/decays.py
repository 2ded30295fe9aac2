"""Learning rates that fall or rise with the step, by the names and formulas of Keras and Event-Generator."""

from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from evgen_jax.building.record import ZooRecord
from evgen_jax.config.record import described, needed
from evgen_jax.training.schedule_values import MOST_STEPS, Amount, Switch

RATE = Amount()
Rate = Annotated[float, RATE]
Steps = Annotated[float, Amount(limit=MOST_STEPS)]
Length = Annotated[float, Amount(limit=MOST_STEPS, open=True)]
Yes = Annotated[bool, Switch()]


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
