"""Problems whose minima are wanted, and who searches for them: SciPy, one after the other, or a user's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int
from scipy import optimize

from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.fit.minimiser import Minima
from evgen_jax.reconstruction.fit.objective import Loss
from evgen_jax.reconstruction.fit.state import CONVERGED, NOT_FINITE


class Problem(struct.PyTreeNode):
    """Holds what the loss of one problem takes besides its unknowns; see `Problems.loss`.

    Attributes:
      model: what is fitted.
      anchor: [H], the hypothesis around which the unknowns are counted.
      event: what was measured.
    """

    model: AnyModel
    anchor: Array
    event: Event


@dataclass(frozen=True)
class Problems:
    """Describes L problems whose minima are wanted, fits of events of one padded shape.

    Attributes:
      evaluator: -log L in the precision of the model, with sums in float64.
      precise: -log L in float64 wherever there is light; None for a log-likelihood that is not the model's own.
      smooth: -log L under a largest density of arrival times, which has no pits; None where `precise` is None.
      events: [E], a batch.
      which: [L], place of each problem's event in the batch.
      start: [L, n], unknowns at the start; NaN for a problem that cannot be fitted.
      anchors: [L, H], hypotheses around which the unknowns are counted, physical units.
      to_beat: [E], values that minima must fall below to be wanted, inf for none. With it the problems of one event
        compete: those that fall behind or do not get below it need not be followed. None where every minimum is wanted.
    """

    evaluator: Evaluator
    precise: Evaluator | None
    smooth: Evaluator | None
    events: Event
    which: np.ndarray
    start: np.ndarray
    anchors: np.ndarray
    to_beat: np.ndarray | None = None

    @property
    def exact(self) -> Evaluator:
        """Returns the evaluator with the smallest rounding errors."""
        return self.precise or self.evaluator

    @property
    def loss(self) -> "UnknownLoss":
        """Returns -log L as a pure, hashable function of (unknown [n], `Problem`), a scalar, to be differentiated."""
        return UnknownLoss(self.exact.loss)

    def problem(self, lane: int) -> Problem:
        """Makes the second argument of `loss` for one of the problems.

        Args:
          lane: number of the problem, 0 to L - 1.

        Returns:
          Model, anchor and event.
        """
        event = jax.tree.map(lambda a: a[self.which[lane]], self.events)
        return Problem(self.exact.model, jnp.asarray(self.anchors[lane], jnp.float64), event)

    def values(self, unknown: Float[np.ndarray, "L n"]) -> tuple[Float[np.ndarray, " L"], Float[np.ndarray, "L n"]]:
        """Computes values and gradients of all problems with the evaluator `exact`.

        Args:
          unknown: [L, n].

        Returns:
          Values [L] and gradients [L, n].
        """
        return self.exact.gradient(self.events, self.which, unknown, self.anchors)

    def found(self, x: Float[np.ndarray, "L n"], status: Sequence[str], evaluations: Int[np.ndarray, " L"]) -> Minima:
        """Makes the result of a search from the ends that it found; a start that is lower than its end counts instead.

        Args:
          x: [L, n], ends.
          status: [L], why each search ended; `state.CONVERGED` for one that has converged.
          evaluations: [L], that the search took.

        Returns:
          The minima, with values and gradients by `exact`; two evaluations of each problem more.
        """
        first_value, first_gradient = self.values(self.start)
        value, gradient = self.values(x)
        finite = np.isfinite(first_value) & np.all(np.isfinite(first_gradient), axis=1)
        lower = finite & (value <= first_value)
        count, size = self.start.shape
        return Minima(
            x=np.where(lower[:, None], x, self.start),
            value=np.where(lower, value, first_value),
            first_value=first_value,
            gradient=np.where(lower[:, None], gradient, first_gradient),
            status=np.where(finite, np.array(status, dtype=object), NOT_FINITE),
            evaluations=np.asarray(evaluations) + 2,
            iterations=np.zeros(count, int),
            inverse=np.full((count, size, size), np.nan),
        )


@dataclass(frozen=True)
class UnknownLoss:
    """Is -log L of one problem as a function of its unknowns.

    Attributes:
      loss: of (model, unknown [n], anchor [H], event).
    """

    loss: Loss

    def __call__(self, unknown: Float[Array, " n"], problem: Problem) -> Float[Array, ""]:
        """Computes -log L.

        Args:
          unknown: [n].
          problem: model, anchor and event.

        Returns:
          -log L, a scalar.
        """
        return self.loss(problem.model, unknown, problem.anchor, problem.event)


class Search(Protocol):
    """Searches for minima; one that a user writes goes to `make_fitter(..., search=...)`.

    It is called with float64 switched on.
    """

    def __call__(self, problems: Problems) -> Minima:
        """Finds the minima of all problems.

        Args:
          problems: what to minimise and where to start. `problems.loss` is for minimisers written in JAX,
            `problems.values` for others, and `problems.found` makes the result of the ends that they find.

        Returns:
          One minimum per problem, in the order of the problems.
        """
        ...


@dataclass(frozen=True)
class ScipySearch:
    """Calls SciPy's minimisers, one problem after the other, in float64 where there is light.

    Attributes:
      settings: further arguments of scipy.optimize.minimize.
    """

    settings: dict[str, Any]

    def __call__(self, problems: Problems) -> Minima:
        """Finds the minima of all problems.

        Args:
          problems: what to minimise and where to start.

        Returns:
          One minimum per problem, in the order of the problems.
        """
        x, evaluations = problems.start.copy(), np.zeros(len(problems.start), int)
        status = []
        for lane in range(len(x)):
            result = self._minimum(problems, lane)
            x[lane], evaluations[lane] = result.x, int(result.nfev)
            status.append(CONVERGED if result.success else str(result.message))
        return problems.found(x, status, evaluations)

    def _minimum(self, problems: Problems, lane: int) -> optimize.OptimizeResult:
        own = slice(lane, lane + 1)

        def function(unknown: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = problems.exact.gradient(
                problems.events, problems.which[own], unknown[None], problems.anchors[own]
            )
            finite = np.isfinite(value[0]) and np.all(np.isfinite(gradient[0]))
            return (float(value[0]), gradient[0]) if finite else (np.inf, np.zeros_like(gradient[0]))

        if not np.isfinite(function(problems.start[lane])[0]):
            return optimize.OptimizeResult(x=problems.start[lane], nfev=0, success=False, message=NOT_FINITE)
        return optimize.minimize(function, problems.start[lane], jac=True, **self.settings)
