"""Two sources for one hypothesis: the exact one at some DOMs, a cheaper one at all others."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import DerivedSource, Source, Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket


@dataclass(frozen=True)
class NearAndFar(DerivedSource):
    """Is the exact source at chosen DOMs, and at all others a cheaper source times fixed factors.

    Variables: {'near': weights of the exact source at the chosen DOMs, 'far': variables of the cheaper one, 'factor': a
    LightYield of factors of the cheaper light, 'chosen': index arrays as `choose_doms` makes them}.

    Attributes:
      near: the exact source.
      far: a cheaper source with equal parameters.
    """

    near: Source
    far: Source

    @property
    def original(self) -> Source:
        """Returns the source whose hypothesis this one has."""
        return self.near

    def init_variables(self, key: PRNGKeyArray, detector: Detector) -> Variables:
        """Refuses to make weights: chosen DOMs belong to an event and a hypothesis.

        Args:
          key: not used.
          detector: not used.

        Raises:
          TypeError: always.
        """
        raise TypeError("chosen DOMs belong to an event and a hypothesis; use `evgen_jax.approximate`.")

    def light_yield(
        self,
        variables: Variables,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        cumulative: bool = False,
    ) -> LightYield:
        """Computes the light at every DOM and pulse: exact at the chosen DOMs, approximate at all others.

        Args:
          variables: weights, factors and chosen DOMs.
          hypothesis: [H], physical units.
          event: the event for which the DOMs were chosen.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses.
        """
        far = self.far.light_yield(variables["far"], hypothesis, event, detector, cumulative)
        far = jax.tree.map(jnp.multiply, far, variables["factor"])
        chosen = variables["chosen"]
        own_detector, own_event = part_of_detector(detector, chosen["doms"]), part_of_event(event, chosen)
        near = self.near.light_yield(variables["near"], hypothesis, own_event, own_detector, cumulative)

        def put(name: str, index: str) -> Array:
            return getattr(far, name).at[chosen[index]].set(getattr(near, name), mode="drop")

        return LightYield(
            put("charge", "doms"),
            put("charge_full", "doms"),
            put("excess", "doms"),
            put("density", "pulses"),
            put("cumulative", "pulses") if cumulative else None,
        )

    def sample_times(
        self,
        variables: Variables,
        key: PRNGKeyArray,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        dom: Int[Array, " P"],
    ) -> Float[Array, " P"]:
        """Refuses to draw times: an approximation does not simulate.

        Args:
          variables: not used.
          key: not used.
          hypothesis: not used.
          event: not used.
          detector: not used.
          dom: not used.

        Raises:
          TypeError: always.
        """
        raise TypeError("an approximation does not simulate; use the exact model.")


def _gather(values: Shaped[Array, " N *rest"], index: Int[Array, " B"]) -> Shaped[Array, " B *rest"]:
    """Rows of `values`; indices beyond the end, which are padding, repeat the last one."""
    return values[jnp.minimum(index, values.shape[0] - 1)]


def part_of_detector(detector: Detector, doms: Int[Array, " B"]) -> Detector:
    """Makes the detector of some of the DOMs, which keeps the box of the whole array.

    Args:
      detector: D modules.
      doms: [B], places in the detector's tables; places >= D are padding and repeat the last DOM.

    Returns:
      A detector of B modules.
    """
    part = jax.tree.map(lambda a: _gather(a, doms), detector.replace(extent=None))
    return part.replace(extent=detector.box)


def part_of_event(event: Event, chosen: dict[str, Int[Array, "..."]]) -> Event:
    """Makes the event as some of the DOMs see it; all of them are active.

    Args:
      event: one event.
      chosen: index arrays as `choose_doms` makes them.

    Returns:
      An event of as many DOMs as were chosen, padding included.
    """
    doms, num_chosen = chosen["doms"], chosen["doms"].shape[0]
    num_doms, num_pulses = event.charge.shape[0], event.pulses.charge.shape[0]
    pulses = jax.tree.map(lambda a: _gather(a, chosen["pulses"]), event.pulses)
    windows = event.windows
    if event.windows.start.shape[0]:
        windows = jax.tree.map(lambda a: _gather(a, chosen["windows"]), event.windows)
        real = chosen["windows"] < event.windows.start.shape[0]
        windows = windows.replace(slot=chosen["window_slots"], mask=windows.mask & real)
    return event.replace(
        charge=_gather(event.charge, doms),
        usable=_gather(event.usable, doms) & (doms < num_doms),
        pulses=pulses.replace(slot=chosen["pulse_slots"], mask=pulses.mask & (chosen["pulses"] < num_pulses)),
        active=jnp.arange(num_chosen, dtype=event.active.dtype),
        windows=windows,
    )


def choose_doms(event: Event, doms: Int[np.ndarray, "..."], size: int) -> dict[str, Int[Array, "..."]]:
    """Makes the index arrays that `NearAndFar` needs for chosen DOMs; runs on the host.

    Args:
      event: one event with D DOMs, P pulses and W windows, padding included.
      doms: places of the chosen DOMs in the detector's tables.
      size: padded length, at least len(doms).

    Returns:
      'doms' [size], padded with D; 'pulses' [Q], places of their pulses, padded with P; 'windows' [V], places of their
      windows, padded with W; 'pulse_slots' [Q] and 'window_slots' [V], their places among the chosen DOMs.
    """
    num_doms = event.charge.shape[0]
    place = np.full(num_doms + 1, -1)
    place[doms] = np.arange(len(doms))
    at_slot = place[np.minimum(np.asarray(event.active), num_doms)]
    padded = np.full(size, num_doms)
    padded[: len(doms)] = doms
    out = {"doms": padded}
    for key, record in (("pulse", event.pulses), ("window", event.windows)):
        total = len(record.slot)
        own = at_slot[np.asarray(record.slot)] if total else np.zeros(0, int)
        index = np.flatnonzero(np.asarray(record.mask) & (own >= 0))
        length = bucket(len(index)) if total else 0
        out[f"{key}s"], out[f"{key}_slots"] = np.full(length, total), np.zeros(length, int)
        out[f"{key}s"][: len(index)], out[f"{key}_slots"][: len(index)] = index, own[index]
    return {k: jnp.asarray(v, jnp.int32) for k, v in out.items()}


def part_of_variables(source: Source, variables: Variables, detector: Detector, doms: Int[Array, " B"]) -> Variables:
    """Selects the weights of some of the DOMs: arrays with an axis of DOMs keep the rows of these DOMs.

    Which axes those are shows by what changes when the detector has one DOM more.

    Args:
      source: to which the weights belong.
      variables: its weights.
      detector: D modules.
      doms: [B], places in the detector's tables; places >= D are padding and repeat the last DOM.

    Returns:
      Weights for a detector of B modules.
    """

    def shapes(extra: int) -> Any:
        grown = jax.tree.map(lambda a: jnp.concatenate([jnp.asarray(a), jnp.repeat(a[-1:], extra, axis=0)]), detector)
        return jax.eval_shape(lambda key: source.init_variables(key, grown), jax.random.key(0))

    def pick(values: Array, own: Any, grown: Any) -> Array:
        axes = [i for i, (a, b) in enumerate(zip(own.shape, grown.shape, strict=True)) if a != b]
        for axis in axes:
            values = jnp.take(values, jnp.minimum(doms, values.shape[axis] - 1), axis=axis)
        return values

    return jax.tree.map(pick, variables, shapes(0), shapes(1))
