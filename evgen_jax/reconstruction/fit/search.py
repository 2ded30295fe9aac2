"""Searches for the minima of many problems: batched on the device, SciPy's one after the other, or a user's own."""

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
from evgen_jax.reconstruction.fit.evaluator import Evaluator, Loss
from evgen_jax.reconstruction.fit.minimiser import Minima, minimise
from evgen_jax.reconstruction.fit.state import CONVERGED, LEFT_BEHIND, NOT_FINITE, Rules

DECREMENT = 1e-4
"""Newton decrement, in log-likelihood, below which a search in float32 has converged."""
STALLED = 5e-3
"""Gain in log-likelihood over ten iterations below which a search in float32 ends by stagnation."""
ENOUGH = 0.1
"""Gain over ten iterations below which a search under a largest density ends: its minimum is only near the wanted one."""
NO_GAIN = 1e-7
"""Gain over ten iterations below which a search in float64 ends by stagnation, as it does along edges of a likelihood."""
BEHIND = 2.0
"""Distance from the best rival, in log-likelihood, beyond which a search is not followed in float64."""
FAR_BEHIND = 10.0
"""Distance from the best rival beyond which a search is not followed after searches under a largest density, where minima differ by less than in the likelihood itself."""
SAME = 0.01
"""Distance, in normalised units, below which two ends of searches of one problem count as one."""


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
class BatchedSearch:
    """Searches all problems at once: BFGS in the precision of the model until that limits it, then in float64.

    A problem without rivals is searched twice, with the Hessian at its start and along its gradient, and the better end
    counts: where a likelihood is rugged one of them often ends in a minimum of no meaning. Searches begin under a
    largest density unless there are values to beat.

    Attributes:
      rules: of the search in float64, or of the only one where there is none in float64.
    """

    rules: Rules

    def __call__(self, problems: Problems) -> Minima:
        """Finds the minima of all problems.

        Args:
          problems: what to minimise and where to start.

        Returns:
          One minimum per problem, in the order of the problems.
        """
        if problems.precise is None:
            rivals = {} if problems.to_beat is None else {"rivals": problems.which, "to_beat": problems.to_beat}
            evaluator = problems.evaluator
            advance = evaluator.searches(problems.events, problems.which, problems.anchors)
            return minimise(advance, problems.start, self.rules, **rivals)
        return _in_two_precisions(problems, self.rules)


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


def rules_under_limited_charges(rules: Rules) -> Rules:
    """Makes the rules of searches whose minima are only near the wanted ones: float32 is enough, no kink is followed.

    Args:
      rules: of the search with all charge.

    Returns:
      The changed rules.
    """
    return rules.replace(decrement_tolerance=DECREMENT, stalled=STALLED, max_rescues=0)


def _in_two_precisions(problems: Problems, rules: Rules) -> Minima:
    """Minima of searches in the precision of the model and from there in float64; see `BatchedSearch`."""
    count, own = len(problems.start), np.arange(len(problems.start))
    twice = problems.to_beat is None
    lanes = np.tile(own, 2) if twice else own
    rivals = lanes if twice else problems.which
    to_beat = np.full(count, np.inf) if twice else np.asarray(problems.to_beat)
    plain = np.arange(2 * count) >= count if twice else None
    smooth = None if np.any(np.isfinite(to_beat)) else problems.smooth
    which, anchors = problems.which[lanes], problems.anchors[lanes]
    rough = rules_under_limited_charges(rules).replace(stalled=ENOUGH if smooth else STALLED)
    advance = (smooth or problems.evaluator).searches(problems.events, which, anchors)
    first = minimise(advance, problems.start[lanes], rough, rivals=rivals, to_beat=to_beat, plain=plain)
    if twice:
        _leave_doubles(first)
    going_on = _worth_float64(first, rivals, to_beat, FAR_BEHIND if smooth else BEHIND)
    if len(going_on):
        assert problems.precise is not None
        exact = problems.precise.searches(problems.events, which[going_on], anchors[going_on])
        last = minimise(exact, first.x[going_on], rules.replace(refresh=np.inf), inverse=first.inverse[going_on])
        _go_on(first, last, going_on, rivals)
    if smooth is not None:
        first.first_value[:] = problems.values(problems.start)[0][lanes]
        first.evaluations[:count] += 1
    return _better_half(first) if twice else first


def _worth_float64(first: Minima, rivals: np.ndarray, to_beat: np.ndarray, behind: float) -> np.ndarray:
    """Numbers of the searches whose minima may be the best of their group."""
    best = np.array(to_beat)
    np.fmin.at(best, rivals, first.value)
    going_on = (first.status != NOT_FINITE) & (first.status != LEFT_BEHIND)
    return np.flatnonzero(going_on & (first.value <= best[rivals] + behind) & (first.value < to_beat[rivals]))


def _go_on(first: Minima, last: Minima, lanes: np.ndarray, rivals: np.ndarray) -> None:
    """Puts the ends of further searches from some of the minima into these."""
    for name in ("x", "value", "gradient", "status"):
        getattr(first, name)[lanes] = getattr(last, name)
    # Sums of float32 terms round differently: what was left behind does not compare with float64.
    followed = np.isin(rivals, rivals[lanes])
    followed[lanes] = False
    first.value[followed] = np.inf
    first.evaluations[lanes] += last.evaluations
    first.iterations[lanes] += last.iterations


def _leave_doubles(found: Minima) -> None:
    """Leaves the worse of two searches of every problem [2 L] where both have ended at one place."""
    count = len(found.value) // 2
    near = np.max(np.abs(found.x[:count] - found.x[count:]), axis=1) < SAME
    second = found.value[count:] >= found.value[:count]
    found.status[:count][near & ~second] = LEFT_BEHIND
    found.status[count:][near & second] = LEFT_BEHIND


def _better_half(found: Minima) -> Minima:
    """The better of two searches of every problem [2 L], with the evaluations of both."""
    value = np.where(np.isfinite(found.value), found.value, np.inf).reshape(2, -1)
    count = value.shape[1]
    best = np.argmin(value, axis=0) * count + np.arange(count)
    chosen = Minima(**{name: getattr(found, name)[best] for name in vars(found)})
    for name in ("evaluations", "iterations"):
        setattr(chosen, name, getattr(found, name).reshape(2, -1).sum(axis=0))
    return chosen
