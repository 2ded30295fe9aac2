"""The light of a source at every DOM and pulse: an element of a commutative monoid, since light adds."""

from collections.abc import Iterable
from functools import reduce

import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Shaped

from evgen_jax.errors import ConfigError
from evgen_jax.measurement.event import Event
from evgen_jax.short_repr import short_repr


class LightYield(struct.PyTreeNode):
    """Is the light that a source gives in one event: an element of a commutative monoid.

    `+` superposes sources, `zeros` is darkness, `sum` (that of Python, too) adds many. All elements of one sum are of
    one event, and either all or none of them have the cumulative light.

    Attributes:
      charge: [D], expected charge q after exclusion windows, PE.
      charge_full: [D], expected charge before exclusion windows, PE.
      excess: [D], over-dispersion variance - mean, PE^2 (alpha q^2 of a negative binomial).
      density: [P], q p(t_j): expected charge per ns at each pulse.
      cumulative: [P], q C(t_j): expected charge before each pulse, PE; None if not asked for.
    """

    charge: Array
    charge_full: Array
    excess: Array
    density: Array
    cumulative: Array | None = None

    __repr__ = short_repr

    def __add__(self, other: "LightYield") -> "LightYield":
        """Superposes the light of two sources in one event.

        Raises:
          ConfigError: the light of two different events, or only one of them with `cumulative`.
        """
        if not isinstance(other, LightYield):
            return NotImplemented
        mine, its = (jax.tree.map(jnp.shape, vars(light)) for light in (self, other))
        for name in mine:  # axes of length 1 would be added without a word
            if mine[name] != its[name]:
                raise ConfigError(
                    f"light of different events cannot be added: '{name}' has the shape {mine[name]} and {its[name]}."
                )
        return jax.tree.map(jnp.add, self, other)

    def __radd__(self, other: int) -> "LightYield":
        """Lets Python's `sum` begin with 0, which stands for darkness."""
        return self if other == 0 else NotImplemented

    @staticmethod
    def sum(lights: Iterable["LightYield"]) -> "LightYield":
        """Adds the light of at least one source.

        Args:
          lights: elements of one event.

        Returns:
          Their superposition.

        Raises:
          ConfigError: no light at all, or the light of different events.
        """
        parts = list(lights)
        if not parts:
            raise ConfigError("expected the light of at least one source; darkness is `LightYield.zeros(event)`.")
        return reduce(LightYield.__add__, parts)

    def scale(self, factor: Shaped[Array, ""], excess_factor: Shaped[Array, ""] | None = None) -> "LightYield":
        """Multiplies light by a factor.

        Args:
          factor: scalar, of all members; without `excess_factor` it must be 0 or 1, a mask.
          excess_factor: scalar, of the excess; None: `factor`.

        Returns:
          The scaled light.
        """
        scaled = jax.tree.map(lambda x: x * factor.astype(x.dtype), self)
        return scaled if excess_factor is None else scaled.replace(excess=self.excess * excess_factor)

    @staticmethod
    def zeros(event: Event, dtype: DTypeLike = jnp.float32, cumulative: bool = False) -> "LightYield":
        """Makes darkness, the neutral element of `+`.

        Args:
          event: gives the numbers D of DOMs and P of pulses.
          dtype: of all arrays.
          cumulative: whether there is cumulative light.

        Returns:
          Light that is 0 everywhere.
        """
        dom = jnp.zeros(event.charge.shape, dtype)
        pulse = jnp.zeros(event.pulses.charge.shape, dtype)
        return LightYield(dom, dom, dom, pulse, pulse if cumulative else None)


def excluded_fraction(event: Event, window_fraction: Float[Array, " W"]) -> Float[Array, " M"]:
    """Computes the fraction F of the light at every active DOM that falls into excluded windows.

    Args:
      event: one event with M active DOMs and W windows.
      window_fraction: [W], fraction of the DOM's light in each window.

    Returns:
      Fractions [M] within [0, 1].
    """
    masked = jnp.where(event.windows.mask, window_fraction, 0)
    total = jax.ops.segment_sum(masked, event.windows.slot, num_segments=event.active.shape[0])
    return jnp.clip(total, 0, 1)


def excluded_before_pulse(event: Event, window_fraction: Float[Array, " W"]) -> Float[Array, " P"]:
    """Computes the fraction of the light in those excluded windows of the pulse's DOM that start before the pulse.

    Args:
      event: one event with P pulses and W windows.
      window_fraction: [W], fraction of the DOM's light in each window.

    Returns:
      Fractions [P].
    """
    windows, pulses = event.windows, event.pulses
    same = (windows.slot[None, :] == pulses.slot[:, None]) & windows.mask[None, :]
    earlier = windows.start[None, :] < pulses.time[:, None]
    return jnp.sum(jnp.where(same & earlier, window_fraction[None, :], 0), axis=1)


def spread_to_doms(event: Event, values: Shaped[Array, " M"]) -> Shaped[Array, " D"]:
    """Writes values of active DOMs into an array of all DOMs.

    Args:
      event: one event with M active DOMs of D.
      values: [M].

    Returns:
      Values [D], 0 at DOMs that are not active.
    """
    return jnp.zeros(event.charge.shape, values.dtype).at[event.active].set(values, mode="drop")


def at_active(event: Event, values: Shaped[Array, " D *rest"]) -> Shaped[Array, " M *rest"]:
    """Takes the values of active DOMs from an array of all DOMs.

    Args:
      event: one event with M active DOMs of D.
      values: [D, ...].

    Returns:
      Values [M, ...]; entries of the padding repeat the last DOM.
    """
    return values[jnp.minimum(event.active, values.shape[0] - 1)]
