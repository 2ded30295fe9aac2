"""Searches for the minima of many problems at once: in the precision of the model, then in float64."""

from dataclasses import dataclass

import numpy as np

from evgen_jax.reconstruction.fit.minimiser import Minima, minimise
from evgen_jax.reconstruction.fit.search import Problems
from evgen_jax.reconstruction.fit.settings import GRADIENT_TOLERANCE
from evgen_jax.reconstruction.fit.state import LEFT_BEHIND, NOT_FINITE, Rules

DECREMENT = 1e-4
"""Newton decrement, in log-likelihood, below which a search in float32 has converged."""
STALLED = 5e-3
"""Gain in log-likelihood over ten iterations below which a search in float32 ends by stagnation."""
ENOUGH = 0.1
"""Gain over ten iterations below which a search under a largest density ends: its minimum is only near the wanted one."""
NO_GAIN = 1e-7
"""Gain over ten iterations below which a search in float64 ends by stagnation, as it does along edges of a likelihood."""
FINE = 1e-6
"""Newton decrement, in log-likelihood, below which a search in float64 has converged at the default tolerance of gradients: a
thousandth of a standard deviation. Parameters that are known well have gradients above that tolerance there."""
BEHIND = 2.0
"""Distance from the best rival, in log-likelihood, beyond which a search is not followed in float64."""
FAR_BEHIND = 10.0
"""Distance from the best rival beyond which a search is not followed after searches under a largest density, where minima differ by less than in the likelihood itself."""
SAME = 0.01
"""Distance, in normalised units, below which two ends of searches of one problem count as one."""


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


def rules_under_limited_charges(rules: Rules) -> Rules:
    """Makes the rules of searches whose minima are only near the wanted ones: float32 is enough, no kink is followed.

    Args:
      rules: of the search with all charge.

    Returns:
      The changed rules.
    """
    return rules.replace(decrement_tolerance=DECREMENT, stalled=STALLED, max_rescues=0)


def _rules_of_float64(rules: Rules) -> Rules:
    """The rules of the search for the exact minimum; its decrement goes with the square of the tolerance of gradients."""
    fine = FINE * (rules.gradient_tolerance / GRADIENT_TOLERANCE) ** 2
    return rules.replace(refresh=np.inf, judged=True, decrement_tolerance=fine)


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
        last = minimise(exact, first.x[going_on], _rules_of_float64(rules), inverse=first.inverse[going_on])
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
