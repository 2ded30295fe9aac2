"""The combinator: light adds, so a multi-source is a sum over sub-sources, nested as deep as one likes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from evgen_jax.detector import Detector
from evgen_jax.event import Event
from evgen_jax.light_yield import LightYield
from evgen_jax.sources.source import Source, Variables
from evgen_jax.trafo import Trafo

CHUNK = 8
"""Sub-sources of one base that are evaluated together; larger chunks need more memory."""


class ParameterMap(Protocol):
    """Maps a hypothesis [H] to {base name: (parameters [N, H_base], mask [N] or None)}; hashable."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Of the joint hypothesis [H]."""

    def __call__(self, hypothesis: Array) -> Mapping[str, tuple[Array, Array | None]]: ...

    def base_trafos(self, trafo: Trafo) -> Mapping[str, Trafo]:
        """The normalisation of every base, from that of the joint hypothesis."""


@dataclass(frozen=True)
class MultiSource:
    """Superposition of sub-sources.

    Attributes:
      bases: (base name, source) pairs; the weights of a base exist once, however many sub-sources use it.
      expand: maps a hypothesis [H] to {base name: (parameters [N, H_base], mask [N])}.
      chunk: sub-sources evaluated together.
    """

    bases: tuple[tuple[str, Source], ...]
    expand: ParameterMap
    chunk: int = CHUNK

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return self.expand.parameter_names

    def init_variables(self, key: Array, detector: Detector) -> Variables:
        keys = jax.random.split(key, len(self.bases))
        return {name: base.init_variables(k, detector) for k, (name, base) in zip(keys, self.bases, strict=True)}

    def light_yield(
        self, variables: Variables, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        expanded = self.expand(hypothesis)
        parts = [
            self._sum_over_copies(base, variables[name], *expanded[name], event, detector, cumulative)
            for name, base in self.bases
        ]
        return reduce(LightYield.__add__, parts)

    def _sum_over_copies(
        self,
        base: Source,
        variables: Any,
        parameters: Array,
        mask: Array | None,
        event: Event,
        detector: Detector,
        cumulative: bool,
    ) -> LightYield:
        def one(theta: Array, keep: Array | None) -> LightYield:
            light = base.light_yield(variables, theta, event, detector, cumulative)
            return light if keep is None else light.scale(keep)

        count = parameters.shape[0]
        if count == 1:
            return one(parameters[0], None if mask is None else mask[0])
        size = min(self.chunk, count)
        keep = jnp.ones(count, bool) if mask is None else mask
        extra = -count % size
        # Padding repeats a real sub-source, so that masked values stay in the allowed range.
        theta = jnp.concatenate([parameters, jnp.repeat(parameters[:1], extra, axis=0)])
        keep = jnp.concatenate([keep, jnp.zeros(extra, bool)])

        @jax.checkpoint
        def body(total: LightYield, chunk):
            light = jax.vmap(one)(*chunk)
            return total + jax.tree.map(lambda x: jnp.sum(x, axis=0), light), None

        start = jax.tree.map(jnp.zeros_like, jax.eval_shape(one, theta[0], keep[0]))
        start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), start)
        chunks = (theta.reshape(-1, size, theta.shape[1]), keep.reshape(-1, size))
        return jax.lax.scan(body, start, chunks)[0]

    def sample_times(
        self, variables: Variables, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array
    ) -> Array:
        """Each photoelectron comes from a sub-source with the probability of that source's share of the charge.

        Sub-sources are visited one after the other (reservoir sampling), so memory does not grow with their number.
        """
        expanded = self.expand(hypothesis)
        charge = jnp.zeros(dom.shape)
        times = jnp.zeros(dom.shape)
        for name, base in self.bases:
            parameters, mask = expanded[name]
            keep = jnp.ones(parameters.shape[0], bool) if mask is None else mask
            key, key_base = jax.random.split(key)

            def visit(carry, item, base=base, variables=variables[name]):
                charge, times = carry
                theta, keep, key = item
                key_times, key_choice = jax.random.split(key)
                own = base.light_yield(variables, theta, event, detector).charge_full[dom] * keep
                drawn = base.sample_times(variables, key_times, theta, event, detector, dom)
                total = charge + own
                chosen = jax.random.uniform(key_choice, dom.shape) * total < own
                return (total.astype(charge.dtype), jnp.where(chosen, drawn, times).astype(times.dtype)), None

            keys = jax.random.split(key_base, parameters.shape[0])
            (charge, times), _ = jax.lax.scan(visit, (charge, times), (parameters, keep, keys))
        return times
