"""Searches for the minima of many problems: batched on the device, or SciPy's one after the other."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy import optimize

from evgen_jax.reconstruction.evaluator import Evaluator
from evgen_jax.reconstruction.minimiser import CONVERGED, LEFT_BEHIND, NOT_FINITE, Minima, minimise

DECREMENT, STALLED = 1e-4, 5e-3
"""Promised gain in log-likelihood, and gain over ten iterations, below which float32 has done its part."""
NO_GAIN = 1e-7
"""Gain over ten iterations below which float64 has done its own: edges of a likelihood at which it would creep."""
BEHIND = 2.0
"""A rival that float32 leaves behind by more, in log-likelihood, is not followed in float64."""
Search = Callable[..., Minima]
"""(events [E], which of them [L], unknowns [L, n], anchors [L, H], to_beat=None) -> minima of L problems; with values
`to_beat` [E] problems of one event compete: those that fall behind or do not get below it need not be followed."""


def batched_search(evaluator: Evaluator, precise: Evaluator | None, settings: Mapping[str, Any]) -> Search:
    """All problems at once: BFGS in the network's own precision until that is what limits it, then few steps in float64.

    Args:
      evaluator, precise: of the same likelihood; without the second the first goes all the way.
      settings: further arguments of `minimise`.
    """
    return partial(_batched, evaluator, precise, dict(settings))


def scipy_search(evaluator: Evaluator, settings: Mapping[str, Any]) -> Search:
    """One problem after the other; `settings` are arguments of scipy.optimize.minimize.

    Args:
      evaluator: best in float64: with the rounding errors of float32 SciPy's line searches end on their way.
      settings: of the minimiser.
    """
    return partial(_scipy, evaluator, dict(settings))


def _batched(
    evaluator: Evaluator, precise: Evaluator | None, settings: dict, batch, which, start, anchors, to_beat=None
) -> Minima:
    """BFGS with the network in its own precision until that is what limits it, then few steps in float64."""

    settings = {"stalled": NO_GAIN, **settings}
    rough = {**settings, "decrement_tolerance": DECREMENT, "stalled": STALLED, "kinks": False} if precise else settings
    race = {} if to_beat is None else {"rivals": which, "to_beat": to_beat}
    first = minimise(evaluator.problems(batch, which, anchors), start, **rough, **race)
    if precise is None:
        return first
    going_on = (first.status != NOT_FINITE) & (first.status != LEFT_BEHIND)
    if to_beat is not None:
        best = np.array(to_beat)
        np.fmin.at(best, which, first.value)
        going_on &= (first.value <= best[which] + BEHIND) & (first.value < to_beat[which])
    lanes = np.flatnonzero(going_on)
    if len(lanes) == 0:
        return first

    evaluate = precise.problems(batch, which[lanes], anchors[lanes])
    last = minimise(evaluate, first.x[lanes], inverse=first.inverse[lanes], refresh=np.inf, **settings)
    for field in ("x", "value", "gradient", "status"):
        getattr(first, field)[lanes] = getattr(last, field)
    if to_beat is not None:
        # Sums of float32 terms round differently: what was left behind does not compare with float64.
        followed = np.zeros(len(to_beat), bool)
        followed[which[lanes]] = True
        first.value[~going_on & followed[which]] = np.inf
    first.evaluations[lanes] += last.evaluations
    first.iterations[lanes] += last.iterations
    return first


def _scipy(evaluator: Evaluator, settings: Mapping[str, Any], batch, which, start, anchors, to_beat=None) -> Minima:
    """SciPy's minimiser, one problem after the other."""
    count = len(start)
    x, value, gradient = start.copy(), np.full(count, np.inf), np.full(start.shape, np.nan)
    first, status, evaluations = np.full(count, np.inf), np.full(count, "", dtype="U120"), np.zeros(count, int)
    for lane in range(count):
        own = slice(lane, lane + 1)

        def function(unknown: np.ndarray, own=own) -> tuple[float, np.ndarray]:
            v, g = evaluator.gradient(batch, which[own], unknown[None], anchors[own])
            finite = np.isfinite(v[0]) and np.all(np.isfinite(g[0]))
            return (float(v[0]), g[0]) if finite else (np.inf, np.zeros_like(g[0]))

        first[lane], _ = function(start[lane])
        if not np.isfinite(first[lane]):
            status[lane], evaluations[lane] = NOT_FINITE, 1
            continue
        result = optimize.minimize(function, start[lane], jac=True, **settings)
        x[lane] = result.x if result.fun <= first[lane] else start[lane]
        value[lane], gradient[lane] = function(x[lane])
        status[lane] = CONVERGED if result.success else str(result.message)
        evaluations[lane] = int(result.nfev) + 2
    return Minima(
        x,
        value,
        first,
        gradient,
        status,
        evaluations,
        np.zeros(count, int),
        np.full((count, *[start.shape[1]] * 2), np.nan),
    )
