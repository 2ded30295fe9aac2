"""What every source offers: the contract between the zoo, the multi-sources and the likelihood."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
from jax import Array

from evgen_jax.light.light_yield import LightYield
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event

Variables = Any
"""Pytree of a source's weights: {'params': ...} of a linen module, or {base name: variables} of a multi-source."""


def with_dropout_keys(variables: Variables, key: Array) -> Variables:
    """Adds a random key beside the weights of every source, which makes its dropout act.

    The keys are data like the weights, so that sources without dropout need not know of them; sub-sources of one base
    drop the same.
    """
    if not isinstance(variables, Mapping):
        return variables
    if "params" in variables:
        return {**variables, "dropout": {"key": key}}
    return {
        name: with_dropout_keys(part, jax.random.fold_in(key, i)) for i, (name, part) in enumerate(variables.items())
    }


@runtime_checkable
class Source(Protocol):
    """A hashable, static description; weights, hypothesis, event and detector are arguments."""

    def __hash__(self) -> int: ...

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the hypothesis parameters, H of them.

        What they are a source declares as `parameters`, records of `Parameter` in this order; where it has none, standard
        names tell their roles (`parameters_of`).
        """

    def init_variables(self, key: Array, detector: Detector) -> Variables:
        """Fresh weights for a detector."""

    def light_yield(
        self, variables: Variables, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        """Light at every DOM and pulse of an event for hypothesis [H] in physical units.

        `cumulative` asks for the cumulative light at pulses, which costs incomplete gamma functions.
        """

    def sample_times(
        self, variables: Variables, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array
    ) -> Array:
        """Arrival times [P], ns, of one photoelectron each at the DOMs [P] with index `dom`."""
