"""The light of a source at every DOM and pulse: an element of a commutative monoid, since light adds."""

from collections.abc import Iterable
from functools import reduce

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array
from jax.typing import DTypeLike

from evgen_jax.measurement.event import Event


class LightYield(struct.PyTreeNode):
    """What a source says about one event: an element of a commutative monoid.

    `+` superposes sources, `zeros` is darkness, `sum` (that of Python, too) adds many. All elements of one sum are of one
    event, and either all or none of them have the cumulative light.

    Attributes:
      charge: [D], expected charge q after exclusion windows, PE.
      charge_full: [D], expected charge before exclusion windows, PE.
      excess: [D], over-dispersion variance - mean, PE^2 (alpha q^2 of a negative binomial).
      density: [P], q p(t_j): expected charge per ns at each pulse.
      cumulative: [P], q C(t_j): expected charge before each pulse; None if not asked for.
    """

    charge: Array
    charge_full: Array
    excess: Array
    density: Array
    cumulative: Array | None = None

    def __add__(self, other: "LightYield") -> "LightYield":
        """Light of two sources together."""
        return jax.tree.map(jnp.add, self, other)

    def __radd__(self, other: int) -> "LightYield":
        """Python's `sum` begins with 0, which stands for darkness."""
        return self if other == 0 else NotImplemented

    @staticmethod
    def sum(lights: Iterable["LightYield"]) -> "LightYield":
        """Light of at least one source."""
        return reduce(LightYield.__add__, lights)

    def scale(self, factor: Array, excess_factor: Array | None = None) -> "LightYield":
        """Light times a factor.

        Args:
          factor: of all members; without `excess_factor` a mask of 0 or 1.
          excess_factor: of the excess instead.
        """
        scaled = jax.tree.map(lambda x: x * factor.astype(x.dtype), self)
        return scaled if excess_factor is None else scaled.replace(excess=self.excess * excess_factor)

    @staticmethod
    def zeros(event: Event, dtype: DTypeLike, cumulative: bool = False) -> "LightYield":
        """Darkness.

        Args:
          event: gives the numbers D of DOMs and P of pulses.
          dtype: of all arrays.
          cumulative: whether there is cumulative light.
        """
        dom = jnp.zeros(event.charge.shape, dtype)
        pulse = jnp.zeros(event.pulses.charge.shape, dtype)
        return LightYield(dom, dom, dom, pulse, pulse if cumulative else None)


def excluded_fraction(event: Event, window_fraction: Array) -> Array:
    """Fraction F [M] of the light that falls into excluded windows, from that of each window [W]."""
    masked = jnp.where(event.windows.mask, window_fraction, 0)
    total = jax.ops.segment_sum(masked, event.windows.slot, num_segments=event.active.shape[0])
    return jnp.clip(total, 0, 1)


def excluded_before_pulse(event: Event, window_fraction: Array) -> Array:
    """Fraction [P] of the light in windows of the pulse's DOM that start before the pulse."""
    windows, pulses = event.windows, event.pulses
    same = (windows.slot[None, :] == pulses.slot[:, None]) & windows.mask[None, :]
    earlier = windows.start[None, :] < pulses.time[:, None]
    return jnp.sum(jnp.where(same & earlier, window_fraction[None, :], 0), axis=1)


def spread_to_doms(event: Event, values: Array) -> Array:
    """Values at active DOMs [M] to all DOMs [D], 0 elsewhere."""
    return jnp.zeros(event.charge.shape, values.dtype).at[event.active].set(values, mode="drop")


def at_active(event: Event, values: Array) -> Array:
    """Values of all DOMs [D, ...] at the active ones [M, ...]; padding repeats the last DOM."""
    return values[jnp.minimum(event.active, values.shape[0] - 1)]
