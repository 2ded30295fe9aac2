"""A model in float64 at the DOMs with light, in its own precision at all others.

Rounding errors of a log-likelihood come from pulses and from large charges. DOMs that saw nothing add their expected charge
alone, and they are nine in ten: their networks need no float64, which costs more than twice the time.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from evgen_jax.approximation.near_and_far import part_of_detector, part_of_variables
from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.superposition import with_precision
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.model import AnyModel, Ensemble, Model

WORTHWHILE = 0.5
"""Share of the DOMs that may be active; beyond, all are computed in float64."""


@dataclass(frozen=True)
class PreciseWhereLit:
    """One source in two precisions. Variables: {'everywhere': its weights, 'lit': the same in float64}.

    Attributes:
      everywhere, lit: the source, and its counterpart in float64.
    """

    everywhere: Source
    lit: Source

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the source."""
        return parameters_of(self.lit)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the hypothesis parameters."""
        return names_of(self.parameters)

    def init_variables(self, key: Array, detector: Detector) -> Variables:
        raise TypeError("weights in two precisions are made of a model's own; use `precise_where_lit`.")

    def light_yield(
        self, variables: Variables, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
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
        self, variables: Variables, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array
    ) -> Array:
        return self.everywhere.sample_times(variables["everywhere"], key, hypothesis, event, detector, dom)


def precise_where_lit(model: AnyModel) -> AnyModel:
    """The same model in float64 where an event has light; sources that have no precision stay as they are.

    Its functions need `jax.enable_x64`.
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
