"""A model in float64 at the DOMs with light, in its normal precision at all others.

Rounding errors of a log-likelihood come from pulses and from large charges. DOMs that saw nothing add their expected
charge alone, and they are nine in ten: their networks need no float64, which costs more than twice the time.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from evgen_jax.approximation.near_and_far import part_of_detector, part_of_variables
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.light.source import DerivedSource, Source, Variables
from evgen_jax.light.tree import with_precision
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel, Ensemble
from evgen_jax.model.model import Model

WORTHWHILE = 0.5
"""Share of the DOMs that may be active; beyond, all are computed in float64."""


@dataclass(frozen=True)
class PreciseWhereLit(DerivedSource):
    """Is one source in two precisions.

    Variables: {'everywhere': weights, 'lit': equal weights in float64}.

    Attributes:
      everywhere: the source in its normal precision.
      lit: the source in float64.
    """

    everywhere: Source
    lit: Source

    @property
    def original(self) -> Source:
        """Returns the source whose hypothesis this one has."""
        return self.lit

    def init_variables(self, key: PRNGKeyArray, detector: Detector) -> Variables:
        """Refuses to make weights: they are made of those of a model.

        Args:
          key: not used.
          detector: not used.

        Raises:
          TypeError: always.
        """
        raise TypeError("weights in two precisions are made of a model's own; use `precise_where_lit`.")

    def light_yield(
        self,
        variables: Variables,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        cumulative: bool = False,
    ) -> LightYield:
        """Computes the light at every DOM and pulse, in float64 at active DOMs.

        Args:
          variables: weights in both precisions.
          hypothesis: [H], physical units.
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses, float64.
        """
        doms, num_doms = event.active, event.charge.shape[0]
        if doms.shape[0] > WORTHWHILE * num_doms:
            return self.lit.light_yield(variables["lit"], hypothesis, event, detector, cumulative)
        seen = event.replace(
            charge=at_active(event, event.charge),
            usable=at_active(event, event.usable) & (doms < num_doms),
            active=jnp.arange(len(doms)),
        )
        own = part_of_variables(self.lit, variables["lit"], detector, doms)
        lit = self.lit.light_yield(own, hypothesis, seen, part_of_detector(detector, doms), cumulative)
        rough = self.everywhere.light_yield(variables["everywhere"], hypothesis, event, detector)

        def joined(name: str) -> Array:
            fine = getattr(lit, name)
            return getattr(rough, name).astype(fine.dtype).at[doms].set(fine, mode="drop")

        return lit.replace(**{name: joined(name) for name in ("charge", "charge_full", "excess")})

    def sample_times(
        self,
        variables: Variables,
        key: PRNGKeyArray,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        dom: Int[Array, " P"],
    ) -> Float[Array, " P"]:
        """Draws one arrival time for each of P photoelectrons in the source's normal precision.

        Args:
          variables: weights in both precisions.
          key: of the random numbers.
          hypothesis: [H], physical units.
          event: gives the readout window, which noise needs.
          detector: of the event.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
        """
        return self.everywhere.sample_times(variables["everywhere"], key, hypothesis, event, detector, dom)


def precise_where_lit(model: AnyModel) -> AnyModel:
    """Makes a model that computes in float64 where an event has light; sources that have no precision stay as they are.

    Functions of the result must run under `jax.enable_x64`.

    Args:
      model: a model or an ensemble, whose members are all converted.

    Returns:
      A model or an ensemble.
    """
    if isinstance(model, Ensemble):
        return Ensemble([_of_one(member) for member in model.members])
    return _of_one(model)


def _of_one(model: Model) -> Model:
    with jax.enable_x64(True):
        wide: Any = jax.tree.map(
            lambda a: jnp.asarray(a, jnp.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a, model.variables
        )
    source = with_precision(model.source, jnp.float64)
    if source == model.source:
        return replace(model, variables=wide)
    both = {"everywhere": model.variables, "lit": wide}
    return replace(model, source=PreciseWhereLit(model.source, source), variables=both)
