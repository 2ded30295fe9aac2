"""The combinator: light adds, so a multi-source is a sum over sub-sources, nested as deep as one likes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import Source, Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event

CHUNK = 8
"""Sub-sources of one base that an accelerator evaluates together; more of them need more memory."""
ON_CPU = 1024
"""DOMs of all sub-sources that a CPU evaluates together: of a large detector, one sub-source at a time.

On a CPU a batch of products with weights per DOM takes two to three times as long as the products one by one.
"""
KEPT = 5
"""Most copies of a source whose intermediate results are kept for the backward pass; for more they are recomputed."""


Expanded = dict[str, tuple[Array, tuple[Array, Array] | None]]
"""Base name -> parameters [N, H_base] and weights of `sum_of_copies`."""


class ParameterMap(Protocol):
    """Maps a hypothesis [H] and a detector to {base name: (parameters [N, H_base], mask [N] or None)}; hashable."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of the joint hypothesis, H of them."""

    def __call__(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> Mapping[str, tuple[Float[Array, "N H_base"], Shaped[Array, " N"] | None]]:
        """Expands a joint hypothesis into those of its sub-sources.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          detector: where light is measured.

        Returns:
          Base name -> parameters [N, H_base] and mask [N], None: all N count.
        """

    def base_trafos(self, trafo: Trafo) -> Mapping[str, Trafo]:
        """Splits the normalisation of the joint hypothesis into one for every base.

        Args:
          trafo: normalisation of the joint hypothesis [H].

        Returns:
          Base name -> normalisation of its parameters [H_base].
        """


@dataclass(frozen=True)
class MultiSource:
    """Superposition of sub-sources.

    Attributes:
      bases: (base name, source) pairs; the weights of a base exist once, however many sub-sources use it.
      expand: maps a hypothesis [H] and a detector to {base name: (parameters [N, H_base], mask [N] or None)}.
      chunk: sub-sources evaluated together; None: what suits the detector and the machine.
    """

    bases: tuple[tuple[str, Source], ...]
    expand: ParameterMap
    chunk: int | None = None

    def __repr__(self) -> str:
        return f"{type(self.expand).__name__.lstrip('_')}({', '.join(name for name, _ in self.bases)})"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of the joint hypothesis, H of them."""
        return parameters_of(self.expand)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Returns the names of the hypothesis parameters, H of them."""
        return names_of(self.parameters)

    def init_variables(self, key: PRNGKeyArray, detector: Detector) -> Variables:
        """Makes fresh weights for every base, with an independent random key each.

        Args:
          key: of the random numbers.
          detector: for which the weights are made, D modules.

        Returns:
          Base name -> pytree of weights.
        """
        keys = jax.random.split(key, len(self.bases))
        return {name: base.init_variables(k, detector) for k, (name, base) in zip(keys, self.bases, strict=True)}

    def light_yield(
        self,
        variables: Variables,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        cumulative: bool = False,
    ) -> LightYield:
        """Computes the light of all sub-sources at every DOM and pulse of an event.

        Args:
          variables: weights by base name.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses.
        """
        expanded: Expanded = {
            name: (parameters, None if mask is None else (mask, mask))
            for name, (parameters, mask) in self.expand(hypothesis, detector).items()
        }
        return self.sum_of_bases(variables, expanded, event, detector, cumulative)

    def sum_of_bases(
        self, variables: Variables, expanded: Expanded, event: Event, detector: Detector, cumulative: bool
    ) -> LightYield:
        """Computes the light of all bases from the parameters of their copies.

        Args:
          variables: weights by base name.
          expanded: base name -> parameters [N, H_base] and factors of light and excess ([N], [N]), None: all 1.
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses.
        """
        parts = []
        for name, base in self.bases:
            parameters, weights = expanded[name]
            parts.append(
                sum_of_copies(base, variables[name], parameters, weights, event, detector, cumulative, self.chunk)
            )
        return LightYield.sum(parts)

    def sample_times(
        self,
        variables: Variables,
        key: PRNGKeyArray,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        dom: Int[Array, " P"],
    ) -> Float[Array, " P"]:
        """Draws arrival times from the sub-sources, each with the probability of its share of the charge.

        Sub-sources are visited one after the other (reservoir sampling), so memory does not grow with their number.

        Args:
          variables: weights by base name.
          key: of the random numbers.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: gives the readout window, which noise needs.
          detector: of the event.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
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
    parameters: Float[Array, "N H"],
    weights: tuple[Shaped[Array, " N"], Shaped[Array, " N"]] | None,
    event: Event,
    detector: Detector,
    cumulative: bool = False,
    chunk: int | None = None,
) -> LightYield:
    """Computes the light of N copies of one source; memory and compile time stay flat in N.

    Args:
      base: source that is copied.
      variables: weights of the base, one set for all copies.
      parameters: [N, H], physical units (m, ns, GeV, rad).
      weights: ([N], [N]), factors of the light and of its excess; None: all 1.
      event: one event.
      detector: of the event.
      cumulative: whether to compute the cumulative light at pulses.
      chunk: copies evaluated together; None: what suits the detector and the machine.

    Returns:
      Sum of the light at D DOMs and P pulses.
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
    """Chooses how many sub-sources are evaluated together on this machine.

    Args:
      num_doms: number D of modules of the detector.

    Returns:
      The number of sub-sources.
    """
    return CHUNK if jax.default_backend() != "cpu" else min(max(ON_CPU // num_doms, 1), CHUNK)
