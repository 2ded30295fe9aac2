"""Two sources for one hypothesis: the exact one at some DOMs, a cheaper one at all others."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import Source, Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket


@dataclass(frozen=True)
class NearAndFar:
    """The exact source at chosen DOMs; elsewhere a cheaper one times fixed factors.

    Variables: {'near': those of the exact source at the chosen DOMs, 'far': those of the cheaper one, 'factor': a
    LightYield of factors of the cheaper light, 'chosen': see `choose_doms`}.

    Attributes:
      near, far: sources with the same parameters.
    """

    near: Source
    far: Source

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the source."""
        return parameters_of(self.near)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the hypothesis parameters."""
        return names_of(self.parameters)

    def init_variables(self, key: Array, detector: Detector) -> Variables:
        raise TypeError("chosen DOMs belong to an event and a hypothesis; use `evgen_jax.approximate`.")

    def light_yield(
        self, variables: Variables, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        far = self.far.light_yield(variables["far"], hypothesis, event, detector, cumulative)
        far = jax.tree.map(jnp.multiply, far, variables["factor"])
        chosen = variables["chosen"]
        own_detector, own_event = part_of_detector(detector, chosen["doms"]), part_of_event(event, chosen)
        near = self.near.light_yield(variables["near"], hypothesis, own_event, own_detector, cumulative)

        def put(name: str, index: str) -> Array:
            return getattr(far, name).at[chosen[index]].set(getattr(near, name), mode="drop")

        return LightYield(
            put("charge", "doms"), put("charge_full", "doms"), put("excess", "doms"), put("density", "pulses"),
            put("cumulative", "pulses") if cumulative else None,
        )  # fmt: skip

    def sample_times(
        self, variables: Variables, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array
    ) -> Array:
        raise TypeError("an approximation does not simulate; use the exact model.")


def _gather(values: Array, index: Array) -> Array:
    """Rows of `values`; indices beyond the end, which are padding, repeat the last one."""
    return values[jnp.minimum(index, values.shape[0] - 1)]


def part_of_detector(detector: Detector, doms: Array) -> Detector:
    """The detector of the DOMs [B] alone, which keeps the box of the whole; padding repeats the last DOM."""
    part = jax.tree.map(lambda a: _gather(a, doms), detector.replace(extent=None))
    return part.replace(extent=detector.box)


def part_of_event(event: Event, chosen: dict[str, Array]) -> Event:
    """The event as the chosen DOMs see it; all of them are active."""
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


def choose_doms(event: Event, doms: np.ndarray, size: int) -> dict[str, Array]:
    """Index arrays, on the host, that `NearAndFar` needs for chosen DOMs.

    Args:
      event: one event.
      doms: indices of the chosen DOMs.
      size: padded length, at least len(doms).

    Returns:
      doms [size], padded with D; pulses [Q] at them, padded with P; windows likewise; and their places among the DOMs.
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


def part_of_variables(source: Source, variables: Variables, detector: Detector, doms: Array) -> Variables:
    """Weights of the chosen DOMs: arrays with an axis of DOMs keep its rows at `doms`.

    Which axes those are shows by what changes when the detector has one DOM more.
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
