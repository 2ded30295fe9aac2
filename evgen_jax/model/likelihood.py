"""The loss of an event: the weighted sum of likelihood terms, and priors of hypothesis parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.hypothesis.joint_prior import JointPrior, product_of
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.hypothesis.prior import Prior
from evgen_jax.light.light_yield import LightYield
from evgen_jax.measurement.event import Event
from evgen_jax.model.terms import NEEDS_CUMULATIVE, TERMS, LossParts, floored, nothing


@dataclass(frozen=True)
class LossTerm:
    """Is one weighted term of a loss.

    Attributes:
      name: of a function in `TERMS`.
      options: (name, value) pairs of the arguments that it takes by keyword.
      weight: factor.

    Raises:
      ConfigError: an unknown name.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in TERMS:
            raise ConfigError(
                f"loss_function_name '{self.name}' is unknown; known: {', '.join(TERMS)}."
                + suggestion(self.name, TERMS)
            )


@dataclass(frozen=True)
class Loss:
    """Is a weighted sum of terms and priors; every weight acts.

    Attributes:
      terms: compare the light with the event.
      priors: (weight, prior) of hypothesis parameters.
    """

    terms: tuple[LossTerm, ...]
    priors: tuple[tuple[float, Prior], ...] = ()

    @property
    def needs_cumulative(self) -> bool:
        """Returns whether a term asks for the cumulative light at pulses."""
        return any(t.name in NEEDS_CUMULATIVE for t in self.terms)

    def parts(self, light: LightYield, event: Event) -> LossParts:
        """Returns the weighted sum of the terms by pulse [P], DOM [D] and event; adds the charge floor to the light."""
        light = floored(light)
        total = nothing(light)
        for term in self.terms:
            own = TERMS[term.name](light, event, **dict(term.options))
            total = jax.tree.map(lambda a, b, w=term.weight: a + w * b, total, own)
        return total

    def __call__(self, light: LightYield, event: Event) -> Float[Array, ""]:
        """Returns the loss of one event without the priors, a scalar."""
        return self.parts(light, event).total()

    def joint_prior(self, parameters: Sequence[Parameter]) -> JointPrior:
        """Makes the joint prior of a hypothesis from the priors of the loss, with their weights.

        Args:
          parameters: of the hypothesis, H of them.

        Returns:
          Function hypothesis [H] -> log density.

        Raises:
          ConfigError: a prior that its parameter cannot have.
        """
        return product_of(self.priors, parameters)

    def penalty(self, parameters: Sequence[Parameter], hypothesis: Float[Array, " H"]) -> Float[Array, ""]:
        """Computes what the priors add to the loss of an event: minus the log density of their product.

        Args:
          parameters: of the hypothesis, H of them.
          hypothesis: [H], physical units.

        Returns:
          Penalty, scalar.

        Raises:
          ConfigError: a prior that its parameter cannot have.
        """
        return 0 - self.joint_prior(parameters)(hypothesis)  # 0 where there are no priors, not -0

    def sorted(self, light: LightYield, event: Event) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, " D"]]:
        """Returns the loss of one event as (scalar, per event, per DOM [D]), whose sum is the whole loss.

        The scalar is zero: no term is shared between events.
        """
        parts = self.parts(light, event)
        return jnp.zeros_like(parts.event), parts.event, parts.per_dom(event)


DEFAULT_LOSS = Loss((LossTerm("unbinned_pulse_time_llh"), LossTerm("dom_charge_pdf")))
"""Loss of arrival times and DOM charges, for models made without one."""
