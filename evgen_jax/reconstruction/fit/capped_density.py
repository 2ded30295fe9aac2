"""A model for the begin of a search: no density of arrival times exceeds a largest one.

Mixtures of gamma distributions with shapes below 1 are infinite where their light begins: every pulse makes a narrow pit
without a bottom, wherever a hypothesis puts the begin of the light onto it. A search that falls into one sees nothing but
its walls. Under a largest density the pits are shallow, and what lies between them leads on.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.light.source import Source, Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel, Ensemble
from evgen_jax.numerics import safe_log

LARGEST = 0.004
"""Per ns, that of a normal distribution of 100 ns: from 0.3 down, the smaller it was, the deeper were the minima found."""
BEND = 0.3
"""Width of the bend in the logarithm of the density: at a third of the largest one it takes a percent."""


def capped(density: Array) -> Array:
    """Densities per ns, bent smoothly to stay below `LARGEST`."""
    distance = (np.log(LARGEST) - safe_log(density)) / BEND
    return density * jnp.exp(-BEND * jax.nn.softplus(-distance))


@dataclass(frozen=True)
class CappedDensity:
    """A source whose arrival times have densities up to `LARGEST` at most; its variables are those of the source."""

    source: Source

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the source."""
        return parameters_of(self.source)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the hypothesis parameters."""
        return names_of(self.parameters)

    def init_variables(self, key: Array, detector: Detector) -> Variables:
        return self.source.init_variables(key, detector)

    def light_yield(
        self, variables: Variables, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        light = self.source.light_yield(variables, hypothesis, event, detector, cumulative)
        charge = at_active(event, light.charge)[event.pulses.slot]
        lit = charge > 0
        density = capped(light.density / jnp.where(lit, charge, 1.0))
        return light.replace(density=jnp.where(lit, charge * density, light.density))

    def sample_times(
        self, variables: Variables, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array
    ) -> Array:
        return self.source.sample_times(variables, key, hypothesis, event, detector, dom)


def with_capped_density(model: AnyModel) -> AnyModel:
    """The same model under a largest density of arrival times: for searches, not for results."""
    if isinstance(model, Ensemble):
        return Ensemble([replace(m, source=CappedDensity(m.source)) for m in model.members])
    return replace(model, source=CappedDensity(model.source))
