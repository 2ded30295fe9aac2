"""Searches for the minima of many problems: batched on the device, or SciPy's one after the other."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from scipy import optimize

from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.fit.minimiser import CONVERGED, LEFT_BEHIND, NOT_FINITE, Minima, minimise

DECREMENT, STALLED = 1e-4, 5e-3
"""Promised gain in log-likelihood, and gain over ten iterations, below which float32 has done its part."""
ENOUGH = 0.1
"""The same gain where a search begins under a largest density: its minimum is near the one that is wanted, not there."""
NO_GAIN = 1e-7
"""Gain over ten iterations below which float64 has done its own: edges of a likelihood at which it would creep."""
BEHIND, FAR_BEHIND = 2.0, 10.0
"""A rival that is left behind by more, in log-likelihood, is not followed in float64; under a largest density minima differ by
less than in the likelihood itself."""
SAME = 0.01
"""Normalised units: two searches of one problem that end nearer to each other go on as one."""
Search = Callable[..., Minima]
"""(events [E], which of them [L], unknowns [L, n], anchors [L, H], to_beat=None) -> minima of L problems; with values
`to_beat` [E] problems of one event compete: those that fall behind or do not get below it need not be followed."""


def batched_search(
    evaluator: Evaluator, precise: Evaluator | None, settings: Mapping[str, Any], smooth: Evaluator | None = None
) -> Search:
    """All problems at once: BFGS in the network's own precision until that is what limits it, then few steps in float64.

    A problem without rivals is searched twice, with the Hessian at its start and along its gradient, and the better end
    counts: where a likelihood is rugged one of them often ends in a minimum of no meaning.

    Args:
      evaluator, precise: of the same likelihood; without the second the first goes all the way.
      settings: further arguments of `minimise`.
      smooth: of a likelihood near it without pits, where searches begin unless there are values to beat.
    """
    return partial(_batched, evaluator, precise, smooth, dict(settings))


def scipy_search(evaluator: Evaluator, settings: Mapping[str, Any]) -> Search:
    """One problem after the other; `settings` are arguments of scipy.optimize.minimize.

    Args:
      evaluator: best in float64: with the rounding errors of float32 SciPy's line searches end on their way.
      settings: of the minimiser.
    """
    return partial(_scipy, evaluator, dict(settings))


def _batched(
    evaluator: Evaluator, precise: Evaluator | None, smooth: Evaluator | None, settings: dict,
    batch, which, start, anchors, to_beat=None,
) -> Minima:  # fmt: skip
    settings = {"stalled": NO_GAIN, **settings}
    if precise is None:
        race = {} if to_beat is None else {"rivals": which, "to_beat": to_beat}
        return minimise(evaluator.problems(batch, which, anchors), start, **settings, **race)
    count, own = len(start), np.arange(len(start))
    if to_beat is None:
        lanes = np.tile(own, 2)
        rivals, to_beat, plain = lanes, np.full(count, np.inf), np.arange(2 * count) >= count
    else:
        lanes, rivals, plain = own, which, None
    if smooth is None or np.any(np.isfinite(to_beat)):
        smooth = None
    rough = smooth or evaluator
    first = minimise(
        rough.problems(batch, which[lanes], anchors[lanes]), start[lanes], rivals=rivals, to_beat=to_beat, plain=plain,
        **{**settings, "decrement_tolerance": DECREMENT, "stalled": ENOUGH if smooth else STALLED, "kinks": False},
    )  # fmt: skip
    if plain is not None:
        _leave_doubles(first)
    behind = FAR_BEHIND if smooth else BEHIND
    _end_in_float64(first, precise, settings, batch, which[lanes], anchors[lanes], rivals, to_beat, behind)
    if smooth is not None:
        first.first_value[:] = precise.gradient(batch, which, start, anchors)[0][lanes]
        first.evaluations[:count] += 1
    return first if plain is None else _better_half(first)


def _end_in_float64(
    first: Minima, precise: Evaluator, settings: dict, batch, which, anchors, rivals: np.ndarray, to_beat: np.ndarray,
    behind: float,
) -> None:  # fmt: skip
    """Goes on in float64 from those minima that may be the best of their group."""
    best = np.array(to_beat)
    np.fmin.at(best, rivals, first.value)
    going_on = (first.status != NOT_FINITE) & (first.status != LEFT_BEHIND)
    going_on &= (first.value <= best[rivals] + behind) & (first.value < to_beat[rivals])
    lanes = np.flatnonzero(going_on)
    if len(lanes) == 0:
        return
    evaluate = precise.problems(batch, which[lanes], anchors[lanes])
    last = minimise(evaluate, first.x[lanes], inverse=first.inverse[lanes], refresh=np.inf, **settings)
    for field in ("x", "value", "gradient", "status"):
        getattr(first, field)[lanes] = getattr(last, field)
    # Sums of float32 terms round differently: what was left behind does not compare with float64.
    followed = np.zeros(len(to_beat), bool)
    followed[rivals[lanes]] = True
    first.value[~going_on & followed[rivals]] = np.inf
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
    chosen = Minima(**{field: getattr(found, field)[best] for field in vars(found)})
    for field in ("evaluations", "iterations"):
        setattr(chosen, field, getattr(found, field).reshape(2, -1).sum(axis=0))
    return chosen


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
