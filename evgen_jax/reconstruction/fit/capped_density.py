"""A model for the begin of a search: no density of arrival times exceeds a largest one.

Mixtures of gamma distributions with shapes below 1 are infinite where their light begins: every pulse makes a narrow
pit without a bottom, wherever a hypothesis puts the begin of the light onto it. A search that falls into one sees
nothing but its walls. Under a largest density the pits are shallow, and what lies between them leads on.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.light.source import DerivedSource, Source, Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel, Ensemble
from evgen_jax.numerics import safe_log

LARGEST = 0.004
"""Largest density, per ns, that of a normal distribution of width 100 ns.

Of values from 0.3 down, smaller ones led to deeper minima.
"""
BEND = 0.3
"""Width of the bend in the logarithm of the density; a third of the largest density is lowered by a percent."""


def capped(density: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Bends densities smoothly so that they stay below `LARGEST`.

    Args:
      density: shape (...), per ns.

    Returns:
      Densities (...), per ns.
    """
    distance = (np.log(LARGEST) - safe_log(density)) / BEND
    return density * jnp.exp(-BEND * jax.nn.softplus(-distance))


@dataclass(frozen=True)
class CappedDensity(DerivedSource):
    """Wraps a source so that densities of arrival times are at most `LARGEST`; its variables are those of the source.

    Attributes:
      source: that is wrapped.
    """

    source: Source

    @property
    def original(self) -> Source:
        """Returns the source whose hypothesis this one has."""
        return self.source

    def init_variables(self, key: PRNGKeyArray, detector: Detector) -> Variables:
        """Makes fresh weights of the wrapped source.

        Args:
          key: of the random numbers.
          detector: for which the weights are made.

        Returns:
          Pytree of weights.
        """
        return self.source.init_variables(key, detector)

    def light_yield(
        self,
        variables: Variables,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        cumulative: bool = False,
    ) -> LightYield:
        """Computes the light of the wrapped source, with capped densities at pulses.

        Args:
          variables: weights.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses, which is not capped.

        Returns:
          Light at D DOMs and P pulses.
        """
        light = self.source.light_yield(variables, hypothesis, event, detector, cumulative)
        charge = at_active(event, light.charge)[event.pulses.slot]
        lit = charge > 0
        density = capped(light.density / jnp.where(lit, charge, 1.0))
        return light.replace(density=jnp.where(lit, charge * density, light.density))

    def sample_times(
        self,
        variables: Variables,
        key: PRNGKeyArray,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        dom: Int[Array, " P"],
    ) -> Float[Array, " P"]:
        """Draws arrival times from the wrapped source, whose densities are not capped.

        Args:
          variables: weights.
          key: of the random numbers.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: gives the readout window.
          detector: of the event.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
        """
        return self.source.sample_times(variables, key, hypothesis, event, detector, dom)


def with_capped_density(model: AnyModel) -> AnyModel:
    """Caps the densities of arrival times of a model: for searches, not for results.

    Args:
      model: with or without members.

    Returns:
      The changed model.
    """
    if isinstance(model, Ensemble):
        return Ensemble([replace(m, source=CappedDensity(m.source)) for m in model.members])
    return replace(model, source=CappedDensity(model.source))
