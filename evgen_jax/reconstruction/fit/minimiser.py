"""Quasi-Newton minimisation of many functions at once: BFGS with a line search, finished ones left alone.

The loop runs on the host in float64 with small matrices; what costs time, values and gradients, is evaluated for all
unfinished problems in one call. Nothing is compiled here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evgen_jax.reconstruction.fit.kinks import Evaluate, steps_along_kinks

CONVERGED, NO_DESCENT, LIMIT, NOT_FINITE = "converged", "no further descent", "iteration limit", "not finite at start"
LEFT_BEHIND = "left behind by a rival"
ARMIJO, WOLFE = 1e-4, 0.9
LARGEST_STEP = 2.0
"""Normalised units: further steps are shortened, the likelihood is no parabola that far away."""
REFRESH = 30
"""Iterations after which Hessians by differences replace those of BFGS: narrow, bent valleys need them."""
DIFFERENCE = 1e-3
"""Normalised units, of these differences: gradients in float32 give Hessians to some percent."""
REACHES = (1e-3, 1e-2)
"""Normalised units, within which gradients are taken on all sides of a kink."""
MAX_RESCUES = 1
"""Kinks that one problem is led along: a likelihood with pits has one at every step."""
PATIENCE = 10
"""Iterations over which `stalled` counts."""
HEAT, OUTLOOK = 5, 6.0
"""Every `HEAT` iterations a problem is left that lies behind its best rival by more than `OUTLOOK` times its gain in them."""
MAX_SHORTER = 12
"""Trials of one line search."""


@dataclass
class Minima:
    """Results of `minimise`: one row per problem.

    Attributes:
      x: [L, n]. value: [L]. gradient: [L, n]: at the minimum.
      first_value: [L], at the start.
      status: [L], CONVERGED, NO_DESCENT (of rounding errors), LIMIT, NOT_FINITE or LEFT_BEHIND.
      evaluations, iterations: [L]; a Hessian counts n evaluations.
      inverse: [L, n, n], inverse Hessians as the search knows them at its end.
    """

    x: np.ndarray
    value: np.ndarray
    first_value: np.ndarray
    gradient: np.ndarray
    status: np.ndarray
    evaluations: np.ndarray
    iterations: np.ndarray
    inverse: np.ndarray


def minimise(
    evaluate: Evaluate,
    start: np.ndarray,
    *,
    inverse: np.ndarray | None = None,
    plain: np.ndarray | None = None,
    gradient_tolerance: float = 1e-2,
    decrement_tolerance: float | Callable[[np.ndarray], np.ndarray] = 0.0,
    stalled: float = 0.0,
    refresh: float = REFRESH,
    max_iterations: int = 200,
    rivals: np.ndarray | None = None,
    to_beat: np.ndarray | None = None,
    kinks: bool = True,
) -> Minima:
    """Minimises L functions of n unknowns.

    Hessians are differences of gradients at the start, every `refresh` iterations and where a line search fails: n more
    evaluations, and no second program to compile.

    Args:
      evaluate: values and gradients of some of the problems.
      start: [L, n].
      inverse: [n, n] or [L, n, n], inverse Hessians to begin with, positive definite, instead of those at the start.
      plain: [L], which problems begin along their gradient instead, with a step of length 1 and no Hessian.
      gradient_tolerance: of the largest |component| of the gradient.
      decrement_tolerance: of the decrease g^T H^-1 g / 2 that the approximate Hessian promises; also ends a search. May
        be a function of the values [m].
      stalled: gain over `PATIENCE` iterations below which a search ends without descent; likelihoods of networks have edges
        at which it would creep.
      refresh: iterations of BFGS between Hessians by differences; inf: where a line search fails only. Along edges of a
        function its own memory leads BFGS better (Lewis & Overton, Math. Program. 141, 135 (2013)).
      max_iterations: per problem.
      rivals: [L], the number of the group of each problem, of which only the least minimum is wanted: those that fall
        behind are left.
      to_beat: [G], values that the minima of the groups must fall below to be wanted at all; inf for none.
      kinks: where a fresh Hessian leads nowhere, look for a way along a kink.
    """
    count, size = start.shape
    x = np.array(start, np.float64)
    everyone = np.arange(count)
    value, gradient = evaluate(everyone, x)
    evaluations, iterations = np.ones(count, int), np.zeros(count, int)
    status = np.full(count, "", dtype="U24")
    status[~(np.isfinite(value) & np.all(np.isfinite(gradient), axis=1))] = NOT_FINITE
    first_value, age, rescues = value.copy(), np.zeros(count, int), np.zeros(count, int)
    given = inverse is not None
    inverse = np.array(np.broadcast_to(np.zeros((size, size)) if inverse is None else inverse, (count, size, size)))

    def renew(problems: np.ndarray) -> None:
        age[problems] = 0
        if len(problems):
            evaluations[problems] += size
            curvature = differenced_hessian(evaluate, problems, x[problems], gradient[problems], DIFFERENCE)
            inverse[problems] = _first_inverse(gradient[problems], curvature)

    def leave_kink(problems: np.ndarray) -> np.ndarray:
        """Moves problems whose own gradient leads nowhere; returns which of them fell."""
        left = np.zeros(len(problems), bool)
        rescues[problems] += 1
        for reach in REACHES:
            places = np.flatnonzero(~left & (rescues[problems] <= MAX_RESCUES))
            own = problems[places]
            if len(own) == 0:
                break
            evaluations[own] += size
            step, slope = steps_along_kinks(evaluate, own, x[own], gradient[own], reach)
            new_x, new_value, new_gradient, found = _search(
                evaluate, own, x[own], value[own], gradient[own], step, slope, evaluations
            )
            moved = own[found]
            x[moved], value[moved], gradient[moved] = new_x[found], new_value[found], new_gradient[found]
            left[places[found]] = True
        return left

    marks = value.copy()  # values `PATIENCE` iterations ago
    race = None if rivals is None else Race(rivals, to_beat, value)

    def finish() -> None:
        turn = (iterations > 0) & (iterations % PATIENCE == 0) & (status == "")
        creeping = turn & (marks - value < stalled)
        marks[turn] = value[turn]
        small = np.max(np.abs(gradient), axis=1) <= gradient_tolerance
        status[(status == "") & small] = CONVERGED
        status[(status == "") & creeping] = NO_DESCENT
        status[(status == "") & (iterations >= max_iterations)] = LIMIT
        if race is not None:
            status[race.behind(value, iterations) & (status == "")] = LEFT_BEHIND

    finish()
    known = np.full(count, given)
    if plain is not None:
        known |= plain
        inverse[plain] = _plain_inverse(gradient[plain], 1.0)
    age[known] = 1  # not made here: where it leads nowhere a new one follows
    renew(np.flatnonzero((status == "") & ~known))
    while np.any(status == ""):
        active = np.flatnonzero(status == "")
        step, slope = _newton_step(inverse[active], gradient[active])
        # Updates lose positive definiteness to rounding: a step uphill promises nothing, and is no sign of a minimum.
        uphill = ~(slope < 0)
        lanes = active[uphill]
        inverse[lanes], age[lanes] = _plain_inverse(gradient[lanes], 1.0), 1
        step[uphill], slope[uphill] = _newton_step(inverse[lanes], gradient[lanes])
        least = decrement_tolerance(value[active]) if callable(decrement_tolerance) else decrement_tolerance
        near = -slope / 2 < least
        status[active[near]] = CONVERGED
        active, step, slope = active[~near], step[~near], slope[~near]
        longest = np.max(np.abs(step), axis=1, initial=0.0)
        shorten = np.minimum(1.0, LARGEST_STEP / np.maximum(longest, 1e-300))
        step, slope = step * shorten[:, None], slope * shorten
        new_x, new_value, new_gradient, found = _search(
            evaluate, active, x[active], value[active], gradient[active], step, slope, evaluations
        )
        iterations[active] += 1
        moved, lost = active[found], active[~found]
        s, y = new_x[found] - x[moved], new_gradient[found] - gradient[moved]
        inverse[moved] = _update(inverse[moved], s, y)
        x[moved], value[moved], gradient[moved] = new_x[found], new_value[found], new_gradient[found]
        # With an old Hessian it is tried again; with a fresh one there is a kink, and perhaps a way along it.
        stuck = lost[age[lost] == 0]
        age[active] += 1
        left = leave_kink(stuck) if kinks else np.zeros(len(stuck), bool)
        status[stuck[~left]] = NO_DESCENT
        finish()
        old = np.zeros(count, bool)
        old[np.setdiff1d(lost, stuck)] = True
        old |= age >= refresh
        renew(np.flatnonzero(old & (status == "")))
    return Minima(x, value, first_value, gradient, status, evaluations, iterations, inverse)


class Race:
    """Tells which problems of a group are not worth following."""

    def __init__(self, rivals: np.ndarray, to_beat: np.ndarray | None, value: np.ndarray):
        count = int(rivals.max(initial=-1)) + 1
        self._rivals, self._marks = rivals, value.copy()
        self._to_beat = np.full(count, np.inf) if to_beat is None else to_beat

    def behind(self, value: np.ndarray, iterations: np.ndarray) -> np.ndarray:
        """[L], of problems that have ended a heat just now."""
        turn = (iterations > 0) & (iterations % HEAT == 0)
        best = self._to_beat.copy()
        np.fmin.at(best, self._rivals, value)
        gain = np.maximum(self._marks - value, 0.0)  # rounding may let values rise, that of the best problem too
        behind = turn & (value - OUTLOOK * gain > best[self._rivals])
        self._marks[turn] = value[turn]
        return behind


def differenced_hessian(
    evaluate: Evaluate, problems: np.ndarray, x: np.ndarray, gradient: np.ndarray, step: float
) -> np.ndarray:
    """Hessians [m, n, n] at x [m, n] by forward differences of the gradients [m, n]: n evaluations per problem."""
    count, size = x.shape
    shifted = (x[:, None, :] + step * np.eye(size)).reshape(-1, size)
    _, further = evaluate(np.repeat(problems, size), shifted)
    hessian = (further.reshape(count, size, size) - gradient[:, None, :]) / step
    return (hessian + np.swapaxes(hessian, 1, 2)) / 2


def central_hessian(evaluate: Evaluate, problems: np.ndarray, x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Hessian [m, n, n] at x [m, n] by central differences over `steps` [m, n]: 2 n evaluations, errors of second order."""
    count, size = x.shape
    moves = steps[:, :, None] * np.eye(size)
    shifted = np.stack([x[:, None, :] + moves, x[:, None, :] - moves], axis=1).reshape(-1, size)
    _, gradients = evaluate(np.repeat(problems, 2 * size), shifted)
    above, below = np.moveaxis(gradients.reshape(count, 2, size, size), 1, 0)
    hessian = (above - below) / (2 * steps[:, :, None])
    return (hessian + np.swapaxes(hessian, 1, 2)) / 2


def _newton_step(inverse: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps [L, n] by approximate inverse Hessians [L, n, n], and the slopes [L] of the function along them."""
    step = -np.einsum("lij,lj->li", inverse, gradient)
    return step, np.einsum("li,li->l", step, gradient)


def _plain_inverse(gradient: np.ndarray, length: float) -> np.ndarray:
    """Multiples of the identity [L, n, n] with which the first step has this length, or that of the gradient if it is less."""
    norm = np.maximum(np.linalg.norm(gradient, axis=1), 1e-12)
    return np.eye(gradient.shape[1]) * np.minimum(length / norm, 1.0)[:, None, None]


def _first_inverse(gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Inverse Hessians [L, n, n], positive definite: negative curvatures count with their absolute value.

    Where a curvature is not finite, a multiple of the identity from the gradient.
    """
    size, plain = gradient.shape[1], _plain_inverse(gradient, 0.1)
    usable = np.all(np.isfinite(curvature), axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(usable[:, None, None], curvature, np.eye(size)))
    largest = np.max(np.abs(values), axis=1, keepdims=True)
    values = np.maximum(np.abs(values), 1e-6 * largest + 1e-12)
    inverse = np.einsum("lij,lj,lkj->lik", vectors, 1 / values, vectors)
    return np.where(usable[:, None, None], inverse, plain)


def _search(evaluate, active, x, value, gradient, step, slope, evaluations):
    """Line search: shorter steps until the value falls enough; longer ones where the slope stays steep."""
    count = len(active)
    length, low, high = np.ones(count), np.zeros(count), np.full(count, np.inf)
    best_x, best_value, best_gradient = x.copy(), value.copy(), gradient.copy()
    found, open_ = np.zeros(count, bool), np.ones(count, bool)
    # Float64 sums of float32 terms: differences below this are rounding.
    slack = 1e-9 * np.maximum(np.abs(value), 1.0)
    for _ in range(MAX_SHORTER):
        rows = np.flatnonzero(open_)
        if len(rows) == 0:
            break
        trial = x[rows] + length[rows, None] * step[rows]
        new_value, new_gradient = evaluate(active[rows], trial)
        evaluations[active[rows]] += 1
        finite = np.isfinite(new_value) & np.all(np.isfinite(new_gradient), axis=1)
        new_slope = np.einsum("li,li->l", np.where(finite[:, None], new_gradient, 0), step[rows])
        falls = finite & (new_value <= value[rows] + ARMIJO * length[rows] * slope[rows] + slack[rows])
        better = falls & (~found[rows] | (new_value < best_value[rows]))
        own = rows[better]
        best_x[own], best_value[own], best_gradient[own] = trial[better], new_value[better], new_gradient[better]
        found[rows[falls]] = True
        steep = falls & (new_slope < WOLFE * slope[rows])
        open_[rows[falls & ~steep]] = False
        # Too far: go back, by the parabola through both values and the first slope.
        back = rows[~falls]
        high[back] = length[back]
        width = length[back]
        rise = np.where(finite[~falls], new_value[~falls] - value[back] - slope[back] * width, np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = -slope[back] * width**2 / (2 * rise)
        inside = np.clip(
            np.where(np.isfinite(guess), guess, 0.1 * width),
            low[back] + 0.1 * (width - low[back]),
            0.5 * (low[back] + width) + 1e-300,
        )
        length[back] = inside
        open_[back] &= ~found[back]
        # Not far enough: go on, at most to what was too far.
        on = rows[steep]
        low[on] = length[on]
        length[on] = np.where(np.isfinite(high[on]), 0.5 * (length[on] + high[on]), 2 * length[on])
    return best_x, best_value, best_gradient, found


def _update(inverse: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
    """BFGS update of inverse Hessians [m, n, n]; skipped where the curvature along the step is not positive."""
    product = np.einsum("li,li->l", s, y)
    usable = product > 1e-10 * np.linalg.norm(s, axis=1) * np.linalg.norm(y, axis=1)
    rho = np.where(usable, 1 / np.where(usable, product, 1), 0.0)
    left = np.eye(s.shape[1]) - rho[:, None, None] * np.einsum("li,lj->lij", s, y)
    updated = np.einsum("lij,ljk,lmk->lim", left, inverse, left) + rho[:, None, None] * np.einsum("li,lj->lij", s, s)
    return np.where(usable[:, None, None], updated, inverse)
