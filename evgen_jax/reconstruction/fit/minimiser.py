"""Quasi-Newton minimisation of many functions at once: BFGS with a line search, whose loop runs on the device.

The host hands the states of all unfinished searches to the device, gets them back some tens of evaluations later, takes
out those that have ended and those that lie behind their rivals, and hands over the others.
"""

from dataclasses import dataclass
from typing import Protocol

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from evgen_jax.reconstruction.fit.state import LEFT_BEHIND, RUNNING, STATUSES, Rules, State, initial

BUDGET = 32
"""Largest number of evaluations of a search in one call of the device."""


class Advance(Protocol):
    """Lets searches go on, on the device."""

    def __call__(self, lanes: Int[np.ndarray, " m"], state: State, rules: Rules, budget: int) -> State:
        """States of some searches after up to `budget` evaluations each.

        Args:
          lanes: [m], numbers of the searches.
          state: leading axis m.
          rules: of all searches.
          budget: evaluations; a search takes fewer if it ends or waits.

        Returns:
          The states, in memory of the host.
        """
        ...


@dataclass
class Minima:
    """Holds what searches found: one row per search.

    Attributes:
      x: [L, n].
      value: [L], at x.
      first_value: [L], at the start.
      gradient: [L, n], at x.
      status: [L], one of `state.STATUSES`, or what another minimiser says of its end.
      evaluations: [L], of value and gradient; a Hessian by differences counts n.
      iterations: [L], steps that were taken.
      inverse: [L, n, n], inverse Hessians as the searches know them at their ends; NaN where they know none.
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
    advance: Advance,
    start: Float[np.ndarray, "L n"],
    rules: Rules | None = None,
    *,
    inverse: Float[np.ndarray, "... n n"] | None = None,
    plain: Bool[np.ndarray, " L"] | None = None,
    rivals: Int[np.ndarray, " L"] | None = None,
    to_beat: Float[np.ndarray, " G"] | None = None,
) -> Minima:
    """Minimises L functions of n unknowns.

    Args:
      advance: lets searches of these functions go on.
      start: [L, n].
      rules: when searches end; None for the defaults.
      inverse: [n, n] or [L, n, n], inverse Hessians to begin with, positive definite, instead of those by differences.
      plain: [L], which searches begin along their gradient instead, with a step of length 1 and no Hessian.
      rivals: [L], the number of the group of each search, of which only the least minimum is wanted: those that fall
        behind are left.
      to_beat: [G], values that the minima of the groups must fall below to be wanted at all; inf for none. Default inf.

    Returns:
      The minima.
    """
    rules = (rules or Rules()).replace(competing=rivals is not None)
    # Copies in any case: the states are written into.
    state = jax.tree.map(np.array, initial(start, inverse, plain))
    lanes = np.arange(len(start))
    while len(lanes):
        _put(state, lanes, advance(lanes, jax.tree.map(lambda a: a[lanes], state), rules, BUDGET))  # noqa: B023
        if rivals is not None:
            behind = behind_rivals(rivals, to_beat, state)
            state.status[behind] = STATUSES.index(LEFT_BEHIND)
            state.waiting[:] = False
        lanes = np.flatnonzero(state.status == STATUSES.index(RUNNING))
    return Minima(
        x=state.x,
        value=state.value,
        first_value=state.first_value,
        gradient=state.gradient,
        status=np.array(STATUSES)[state.status],
        evaluations=state.evaluations,
        iterations=state.iterations,
        inverse=state.inverse,
    )


def behind_rivals(
    rivals: Int[np.ndarray, " L"], to_beat: Float[np.ndarray, " G"] | None, state: State
) -> Bool[np.ndarray, " L"]:
    """Finds waiting searches that are pruned: they will not reach the value of a rival.

    Args:
      rivals: [L], numbers of groups.
      to_beat: [G], values to fall below; None for none.
      state: of the searches, in memory of the host.

    Returns:
      [L], whether the value that a search may reach lies above that of a rival, or above the value to fall below.
    """
    best = np.full(int(rivals.max(initial=-1)) + 1, np.inf) if to_beat is None else np.array(to_beat, np.float64)
    np.fmin.at(best, rivals, state.value)
    return np.asarray(state.waiting) & (state.outlook > best[rivals])


def _put(state: State, lanes: Int[np.ndarray, " m"], new: State) -> None:
    """Writes rows into states."""

    def write(into: np.ndarray, rows: np.ndarray) -> None:
        into[lanes] = rows

    jax.tree.map(write, state, new)
