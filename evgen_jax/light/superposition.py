"""The combinator: light adds, so a multi-source is a sum over sub-sources, nested as deep as one likes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import Source, Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event

CHUNK = 8
"""Sub-sources of one base that an accelerator evaluates together; larger chunks need more memory."""
ON_CPU = 1024
"""A CPU evaluates as many together as have so many DOMs, one alone of a large detector: there a batch of products, one per DOM
with weights of its own, takes two to three times what they take one after the other."""
KEPT = 5
"""So many copies keep what the backward pass needs; of more it is computed again, so that memory stays flat."""


Expanded = dict[str, tuple[Array, tuple[Array, Array] | None]]
"""Base name -> parameters [N, H_base] and weights of `sum_of_copies`."""


class ParameterMap(Protocol):
    """Maps a hypothesis [H] and a detector to {base name: (parameters [N, H_base], mask [N] or None)}; hashable."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Of the joint hypothesis [H]."""

    def __call__(self, hypothesis: Array, detector: Detector) -> Mapping[str, tuple[Array, Array | None]]: ...

    def base_trafos(self, trafo: Trafo) -> Mapping[str, Trafo]:
        """The normalisation of every base, from that of the joint hypothesis."""


@dataclass(frozen=True)
class MultiSource:
    """Superposition of sub-sources.

    Attributes:
      bases: (base name, source) pairs; the weights of a base exist once, however many sub-sources use it.
      expand: maps a hypothesis [H] before a detector to {base name: (parameters [N, H_base], mask [N])}.
      chunk: sub-sources evaluated together; None: what suits the detector and the machine.
    """

    bases: tuple[tuple[str, Source], ...]
    expand: ParameterMap
    chunk: int | None = None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Of the joint hypothesis, H of them."""
        return parameters_of(self.expand)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the hypothesis parameters."""
        return names_of(self.parameters)

    def init_variables(self, key: Array, detector: Detector) -> Variables:
        keys = jax.random.split(key, len(self.bases))
        return {name: base.init_variables(k, detector) for k, (name, base) in zip(keys, self.bases, strict=True)}

    def light_yield(
        self, variables: Variables, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        expanded: Expanded = {
            name: (parameters, None if mask is None else (mask, mask))
            for name, (parameters, mask) in self.expand(hypothesis, detector).items()
        }
        return self.sum_of_bases(variables, expanded, event, detector, cumulative)

    def sum_of_bases(
        self, variables: Variables, expanded: Expanded, event: Event, detector: Detector, cumulative: bool
    ) -> LightYield:
        """Light of all bases."""
        parts = []
        for name, base in self.bases:
            parameters, weights = expanded[name]
            parts.append(
                sum_of_copies(base, variables[name], parameters, weights, event, detector, cumulative, self.chunk)
            )
        return LightYield.sum(parts)

    def sample_times(
        self, variables: Variables, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array
    ) -> Array:
        """Each photoelectron comes from a sub-source with the probability of that source's share of the charge.

        Sub-sources are visited one after the other (reservoir sampling), so memory does not grow with their number.
        """
        expanded = self.expand(hypothesis, detector)
        charge = jnp.zeros(dom.shape)
        times = jnp.zeros(dom.shape)
        for name, base in self.bases:
            parameters, mask = expanded[name]
            keep = jnp.ones(parameters.shape[0], bool) if mask is None else mask
            key, key_base = jax.random.split(key)

            def visit(
                carry: tuple[Array, Array],
                item: tuple[Array, Array, Array],
                base: Source = base,
                variables: Any = variables[name],
            ) -> tuple[tuple[Array, Array], None]:
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


def sum_of_copies(
    base: Source,
    variables: Variables,
    parameters: Array,
    weights: tuple[Array, Array] | None,
    event: Event,
    detector: Detector,
    cumulative: bool = False,
    chunk: int | None = None,
) -> LightYield:
    """Light of N copies of one source, memory and compile time flat in N.

    Args:
      base: what is copied.
      variables: its weights, the same for all copies.
      parameters: [N, H].
      weights: [N] each, factors of the light and of its excess; None: all 1.
      event, detector, cumulative: as for every source.
      chunk: copies evaluated together; None: what suits the detector and the machine.
    """

    def one(
        theta: Array, weight: tuple[Array, Array] | None, variables: Variables, event: Event, detector: Detector
    ) -> LightYield:
        light = base.light_yield(variables, theta, event, detector, cumulative)
        return light if weight is None else light.scale(*weight)

    common = (variables, event, detector)
    count = parameters.shape[0]
    if count == 1:
        return one(parameters[0], jax.tree.map(lambda w: w[0], weights), *common)
    chunk = chunk or suitable_chunk(detector.num_doms)
    # Chunks of nearly equal size: ten copies are two times five, not eight and two that are padded to eight.
    size = -(-count // -(-count // chunk))
    extra = -count % size
    given = (jnp.ones(count, bool),) * 2 if weights is None else weights
    # Padding repeats a real sub-source, so that masked values stay in the allowed range.
    theta = jnp.concatenate([parameters, jnp.repeat(parameters[:1], extra, axis=0)])
    padded = jax.tree.map(lambda w: jnp.concatenate([w, jnp.zeros(extra, w.dtype)]), given)
    blocks = (theta.reshape(-1, size, theta.shape[1]), jax.tree.map(lambda w: w.reshape(-1, size), padded))

    # Compiled by itself so that it is traced once: for the shape of the sum and for every use.
    @partial(jax.jit, inline=True)
    def of_block(block: Any, *common: Any) -> LightYield:
        if size == 1:
            return one(*jax.tree.map(lambda x: x[0], block), *common)
        light = jax.vmap(one, in_axes=(0, 0, None, None, None))(*block, *common)
        return jax.tree.map(lambda x: jnp.sum(x, axis=0), light)

    def block(i: int) -> Any:
        return jax.tree.map(lambda x: x[i], blocks)

    if count <= KEPT:
        number = (count + extra) // size
        return LightYield.sum(of_block(block(i), *common) for i in range(number))

    @jax.checkpoint
    def body(total: LightYield, block: Any) -> tuple[LightYield, None]:
        return total + of_block(block, *common), None

    start = jax.eval_shape(of_block, block(0), *common)
    start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), start)
    return jax.lax.scan(body, start, blocks)[0]


def suitable_chunk(num_doms: int) -> int:
    """How many sub-sources are best evaluated together on this machine, at so many DOMs."""
    return CHUNK if jax.default_backend() != "cpu" else min(max(ON_CPU // num_doms, 1), CHUNK)
