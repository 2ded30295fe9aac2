"""The state of one quasi-Newton search, and the rules by which searches go on and end."""

from enum import IntEnum
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float

STATUSES = (
    "",
    "converged",
    "no further descent",
    "iteration limit",
    "not finite at start",
    "left behind by a rival",
)
"""Texts of the ends of a search; a `State` holds a place in this list."""
RUNNING, CONVERGED, NO_DESCENT, LIMIT, NOT_FINITE, LEFT_BEHIND = STATUSES
"""Ends of a search by name; RUNNING stands for a search that goes on."""


class Phase(IntEnum):
    """States what the next value and gradient of a search are for."""

    START = 0
    HESSIAN = 1  # a column of a Hessian by differences
    NEWTON = 2  # nothing: the next step is due, no state rests here
    LINE = 3  # a trial of the line search along a quasi-Newton step
    KINK = 4  # a gradient beside a kink
    KINK_LINE = 5  # a trial of the line search along a kink


class Begin(IntEnum):
    """States where the first inverse Hessian of a search comes from."""

    HESSIAN = 0  # differences of gradients at the start
    GIVEN = 1  # the caller
    PLAIN = 2  # a multiple of the identity: the first step of length 1 against the gradient


class Rules(struct.PyTreeNode):
    """States when searches end and how they go on; all of them numbers, so that programs serve all rules.

    Attributes:
      gradient_tolerance: largest |component| of the gradient at which a search has converged.
      decrement_tolerance: Newton decrement g^T H^-1 g / 2, with gradient g and approximate Hessian H, below which a
        search has converged.
      decrement_share: a search has also converged if its Newton decrement is less than this share of the difference
        between its value and `far_value`.
      far_value: value with which `decrement_share` compares.
      stalled: gain over `step.PATIENCE` iterations below which a search ends by stagnation: likelihoods of networks
        have edges along which it would make no progress.
      judged: whether a search that stagnates has converged where the Newton decrement of a Hessian by differences is
        less than `step.AT_MINIMUM`.
      refresh: iterations of BFGS between Hessians by differences; inf: only where a line search fails. Along edges of a
        function the memory of BFGS leads it better (Lewis & Overton, Math. Program. 141, 135 (2013)).
      max_iterations: per search, at least 1.
      max_rescues: kinks that one search is led along; a likelihood with pits has one at every step.
      competing: whether a search waits at the end of each heat, to be compared with its rivals.
    """

    gradient_tolerance: float = 1e-2
    decrement_tolerance: float = 0.0
    decrement_share: float = 0.0
    far_value: float = 0.0
    stalled: float = 0.0
    judged: bool = False
    refresh: float = 30.0
    max_iterations: int = 200
    max_rescues: int = 1
    competing: bool = False


class LineSearch(struct.PyTreeNode):
    """Holds a search for a lower value along a step.

    Attributes:
      step: [n].
      slope: derivative of the value along the step, at its beginning.
      length: step size of the trial that comes next, in steps.
      low: largest length known to be too short; 0 at first.
      high: least length known to be too long; infinite at first.
      trials: number of trials so far.
      found: whether a trial fell enough.
      x: [n], unknowns at the lowest trial that fell enough.
      value: at `x`, scalar.
      gradient: [n], at `x`.
    """

    step: Array
    slope: Array
    length: Array
    low: Array
    high: Array
    trials: Array
    found: Array
    x: Array
    value: Array
    gradient: Array


class State(struct.PyTreeNode):
    """Holds one search, or L of them with a leading axis in all fields; floats are float64.

    Attributes:
      x: [n], unknowns where the search is.
      value: at `x`, scalar.
      gradient: [n], at `x`.
      inverse: [n, n], approximate inverse Hessian.
      phase: a `Phase`, which says where value and gradient are wanted next.
      columns: [n, n], gradients beside `x` so far.
      column: number of gradients beside `x` so far.
      reach: place in `step.REACHES` of the distance at which gradients around a kink are taken.
      line: the line search.
      status: place in `STATUSES`.
      waiting: whether a heat has ended, and the search is to be compared with its rivals before it goes on.
      judging: whether the search has stagnated, and a Hessian by differences is made to tell whether it has converged.
      begin: a `Begin`.
      first_value: at the start.
      stall_mark: value at the last check for stagnation.
      heat_mark: value at the end of the last heat.
      outlook: value that the search may reach if it goes on as in the last heat.
      age: iterations since the Hessian was made by differences; 0 for a fresh one.
      iterations: number so far.
      evaluations: number so far.
      rescues: number of kinks that the search was led along so far.
    """

    x: Array
    value: Array
    gradient: Array
    inverse: Array
    phase: Array
    columns: Array
    column: Array
    reach: Array
    line: LineSearch
    status: Array
    waiting: Array
    judging: Array
    begin: Array
    first_value: Array
    stall_mark: Array
    heat_mark: Array
    outlook: Array
    age: Array
    iterations: Array
    evaluations: Array
    rescues: Array


def initial(
    start: Float[np.ndarray, "L n"],
    inverse: Float[np.ndarray, "... n n"] | None = None,
    plain: Bool[np.ndarray, " L"] | None = None,
) -> State:
    """States of L searches before their first evaluation, in memory of the host.

    Args:
      start: [L, n].
      inverse: [n, n] or [L, n, n], inverse Hessians to begin with; None for Hessians by differences at the start.
      plain: [L], which searches begin along their gradient instead; None for none.

    Returns:
      The states, with leading axis L.
    """
    count, size = start.shape
    begin: Any = np.full(count, Begin.HESSIAN if inverse is None else Begin.GIVEN, np.int32)
    if plain is not None:
        begin[plain] = Begin.PLAIN
    first: Any = np.broadcast_to(np.zeros((size, size)) if inverse is None else inverse, (count, size, size))
    x: Any = np.array(start, np.float64)
    vector: Any = np.full((count, size), np.nan)
    number: Any = np.full(count, np.nan)
    zero: Any = np.zeros(count, np.int32)
    false: Any = np.zeros(count, bool)
    line = LineSearch(
        step=vector,
        slope=number,
        length=number,
        low=number,
        high=number,
        trials=zero,
        found=false,
        x=vector,
        value=number,
        gradient=vector,
    )
    return State(
        x=x,
        value=number,
        gradient=vector,
        inverse=first,
        phase=zero,
        columns=0 * first,
        column=zero,
        reach=zero,
        line=line,
        status=zero,
        waiting=false,
        judging=false,
        begin=begin,
        first_value=number,
        stall_mark=number,
        heat_mark=number,
        outlook=number,
        age=zero,
        iterations=zero,
        evaluations=zero,
        rescues=zero,
    )


def is_running(state: State) -> Bool[Array, "..."]:
    """Tells whether a search goes on without being compared with its rivals first.

    Args:
      state: of one search, or of L searches.

    Returns:
      A scalar, or [L].
    """
    return (state.status == STATUSES.index(RUNNING)) & ~jnp.asarray(state.waiting)
