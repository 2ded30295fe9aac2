"""What a fit minimises: -log L as a function of its unknowns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Float

from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.reconstruction.fit.coordinates import Coordinates

LogLikelihood = Callable[[Any, Array, Event], Array]
"""(variables, hypothesis [H], event) -> scalar."""
ModelLogLikelihood = Callable[[AnyModel, Array, Event], Array]
"""(model, hypothesis [H], event) -> scalar; hashable."""


@dataclass(frozen=True)
class OfVariables:
    """Adapts a user's log-likelihood of (variables, hypothesis [H], event) to (model, hypothesis [H], event).

    Attributes:
      function: pure and hashable; programs are compiled once for every function.
    """

    function: LogLikelihood

    def __call__(self, model: AnyModel, hypothesis: Float[Array, " H"], event: Event) -> Float[Array, ""]:
        """Computes the user's function for the weights of the model.

        Args:
          model: gives the weights.
          hypothesis: [H], physical units.
          event: one event.

        Returns:
          Log-likelihood, a scalar.
        """
        return self.function(model.variables, hypothesis, event)


def chosen(function: LogLikelihood | None, default: ModelLogLikelihood = log_likelihood) -> ModelLogLikelihood:
    """Chooses the log-likelihood of a fit.

    Args:
      function: a user's own, of (variables, hypothesis [H], event); None for the default.
      default: of (model, hypothesis [H], event).

    Returns:
      Function (model, hypothesis [H], event) -> log-likelihood.
    """
    return default if function is None else OfVariables(function)


@dataclass(frozen=True)
class Loss:
    """Is -log L as a function of the unknowns of a fit; pure and hashable.

    Attributes:
      function: log-likelihood of (model, hypothesis [H], event).
      coordinates: of the fit.
    """

    function: ModelLogLikelihood
    coordinates: Coordinates

    def __call__(
        self, model: AnyModel, unknown: Float[Array, " n"], anchor: Float[Array, " H"], event: Event
    ) -> Float[Array, ""]:
        """Computes -log L.

        Args:
          model: what is fitted.
          unknown: [n].
          anchor: [H], hypothesis around which the unknowns are counted, physical units.
          event: one event.

        Returns:
          -log L, a scalar.
        """
        return -self.function(model, self.coordinates.hypothesis(unknown, anchor), event)
