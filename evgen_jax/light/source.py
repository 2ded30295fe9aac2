"""What every source offers: the contract between sources, multi-sources and the likelihood."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.light.light_yield import LightYield
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event

Variables = Any
"""Pytree of a source's weights: {'params': ...} of a linen module, or {base name: variables} of a multi-source."""


def with_dropout_keys(variables: Variables, key: PRNGKeyArray) -> Variables:
    """Adds a random key beside the weights of every source, which makes its dropout act.

    The keys are data like the weights, so that sources without dropout need not know of them; sub-sources of one base
    drop one set of units.

    Args:
      variables: weights of a source.
      key: of the random numbers.

    Returns:
      Weights with {'dropout': {'key': ...}} beside every 'params'.
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
    """Describes a source of light: hashable and static; weights, hypothesis, event and detector are arguments."""

    def __hash__(self) -> int: ...

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Returns the names of the hypothesis parameters, H of them.

        A source declares what its parameters are as `parameters`, records of `Parameter` in this order; for a source
        without them, standard names tell the roles (`parameters_of`).
        """

    def init_variables(self, key: PRNGKeyArray, detector: Detector) -> Variables:
        """Makes fresh weights for a detector.

        Args:
          key: of the random numbers.
          detector: for which the weights are made, D modules.

        Returns:
          Pytree of weights.
        """

    def light_yield(
        self,
        variables: Variables,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        cumulative: bool = False,
    ) -> LightYield:
        """Computes the light at every DOM and pulse of an event; pure, composes with jit, vmap and grad.

        Args:
          variables: weights.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses, which costs incomplete gamma functions.

        Returns:
          Light at D DOMs and P pulses.
        """

    def sample_times(
        self,
        variables: Variables,
        key: PRNGKeyArray,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        dom: Int[Array, " P"],
    ) -> Float[Array, " P"]:
        """Draws one arrival time for each of P photoelectrons.

        Args:
          variables: weights.
          key: of the random numbers.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: gives the readout window, which noise needs.
          detector: of the event.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
        """


class DerivedSource:
    """Gives a source that is made of another one the hypothesis of that one; a subclass defines `original`."""

    @property
    def original(self) -> Source:
        """Returns the source whose hypothesis this one has."""
        raise NotImplementedError

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns what the hypothesis parameters are, H of them."""
        return parameters_of(self.original)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Returns the names of the hypothesis parameters, H of them."""
        return names_of(self.parameters)
