"""One step of quasi-Newton searches: BFGS with a line search, as a pure function from states to states.

A step takes one value and one gradient of every search, where its phase wants them: a column of a Hessian by
differences, a trial of a line search, a gradient beside a kink. No search waits for the line search of another one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from evgen_jax.reconstruction.fit import line_search
from evgen_jax.reconstruction.fit.differences import DIFFERENCE
from evgen_jax.reconstruction.fit.inverse_hessian import inverse_by_differences, newton_step, plain_inverse, updated
from evgen_jax.reconstruction.fit.kinks import step_along_kink
from evgen_jax.reconstruction.fit.lanes import side_by_side
from evgen_jax.reconstruction.fit.state import (
    CONVERGED,
    LIMIT,
    NO_DESCENT,
    NOT_FINITE,
    RUNNING,
    STATUSES,
    Begin,
    LineSearch,
    Phase,
    Rules,
    State,
    is_running,
)

Evaluate = Callable[[Array], tuple[Array, Array]]
"""Unknowns [L, n] of L searches -> values [L], gradients [L, n]."""
LARGEST_STEP = 2.0
"""Largest component of a step, normalised units; the likelihood is no parabola that far away."""
REACHES = (1e-3, 1e-2)
"""Distances at which gradients on all sides of a kink are taken, normalised units."""
AT_MINIMUM = 1e-4
"""Newton decrement, in log-likelihood, below which a search that gains nothing is at a minimum."""
PATIENCE = 10
"""Number of iterations over which stagnation is judged."""
HEAT = 5
"""Number of iterations after which rivals are compared."""
OUTLOOK = 6.0
"""Lead of the best rival, in gains of the last `HEAT` iterations, beyond which a search is pruned."""


def run(evaluate: Evaluate, rules: Rules, budget: Int[Array, ""], state: State) -> State:
    """Takes up to `budget` evaluations of each of L searches, fewer if all have ended or wait.

    Args:
      evaluate: values and gradients of all searches.
      rules: of all searches.
      budget: evaluations.
      state: leading axis L.

    Returns:
      The states.
    """

    def goes_on(carry: tuple[State, Array]) -> Array:
        state, spent = carry
        return (spent < budget) & jnp.any(is_running(state))

    def once(carry: tuple[State, Array]) -> tuple[State, Array]:
        state, spent = carry
        return step(evaluate, rules, state), spent + 1

    return jax.lax.while_loop(goes_on, once, (state, jnp.zeros((), jnp.int32)))[0]


def step(evaluate: Evaluate, rules: Rules, state: State) -> State:
    """Takes one more evaluation of each of L searches; those that have ended or wait stay as they are.

    Args:
      evaluate: values and gradients of all searches.
      rules: of all searches.
      state: leading axis L.

    Returns:
      The states.
    """
    value, gradient = evaluate(side_by_side(wanted)(state))
    chex.assert_shape(value, state.x.shape[:1])
    chex.assert_equal_shape([gradient, state.x])
    after = side_by_side(partial(_told, rules))(state, value, gradient)
    # What takes decompositions is computed only where some search needs it.
    complete = after.column == state.x.shape[1]
    hessian, kink = complete & (after.phase == Phase.HESSIAN), complete & (after.phase == Phase.KINK)
    inverse = _where_any(hessian, _inverse, after, after.inverse)
    line = _where_any(kink, _line_along_kink, after, after.line)
    phase = jnp.where(hessian, Phase.NEWTON, jnp.where(kink, Phase.KINK_LINE, after.phase))
    return side_by_side(partial(_departed, rules))(after.replace(inverse=inverse, line=line, phase=phase))


def wanted(state: State) -> Float[Array, " n"]:
    """Computes where a search wants its next value and gradient.

    Args:
      state: of one search.

    Returns:
      Unknowns [n].
    """
    column = jnp.arange(len(state.x)) == state.column
    beside = jnp.where(state.gradient > 0, -1.0, 1.0) * jnp.asarray(REACHES, state.x.dtype)[state.reach]
    shift = jnp.where(state.phase == Phase.HESSIAN, DIFFERENCE, jnp.where(state.phase == Phase.KINK, beside, 0.0))
    on_line = (state.phase == Phase.LINE) | (state.phase == Phase.KINK_LINE)
    return jnp.where(on_line, line_search.trial(state.line, state.x), state.x + jnp.where(column, shift, 0.0))


def _told(rules: Rules, state: State, value: Float[Array, ""], gradient: Float[Array, " n"]) -> State:
    """The state of one search with the value and gradient that it wanted; one that has ended or waits is as it was."""
    told = [lambda _, state, *__: state, _started, _with_column, _searched]
    by_phase = {Phase.START: 1, Phase.HESSIAN: 2, Phase.NEWTON: 0, Phase.LINE: 3, Phase.KINK: 2, Phase.KINK_LINE: 3}
    running = is_running(state)
    which = jnp.where(running, jnp.asarray([by_phase[phase] for phase in Phase])[state.phase], 0)
    counted = state.replace(evaluations=state.evaluations + jnp.where(running, 1, 0))
    return jax.lax.switch(which, told, rules, counted, value, gradient)


def _started(rules: Rules, state: State, value: Float[Array, ""], gradient: Float[Array, " n"]) -> State:
    plain, fresh = state.begin == Begin.PLAIN, state.begin == Begin.HESSIAN
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
    after = state.replace(
        value=value,
        gradient=gradient,
        first_value=value,
        stall_mark=value,
        heat_mark=value,
        inverse=jnp.where(plain, plain_inverse(gradient, 1.0), state.inverse),
        # A Hessian that was not made here is not trusted: where it leads nowhere, one by differences follows.
        age=jnp.where(fresh, 0, 1).astype(jnp.int32),
        phase=jnp.where(fresh, Phase.HESSIAN, Phase.NEWTON).astype(jnp.int32),
        column=jnp.zeros_like(state.column),
    )
    after = _ended(after, ~finite, NOT_FINITE)
    return _ended(after, _is_flat(rules, after), CONVERGED)


def _with_column(rules: Rules, state: State, value: Float[Array, ""], gradient: Float[Array, " n"]) -> State:
    return state.replace(columns=state.columns.at[state.column].set(gradient), column=state.column + 1)


def _searched(rules: Rules, state: State, value: Float[Array, ""], gradient: Float[Array, " n"]) -> State:
    line, over = line_search.tried(state.line, state.x, state.value, value, gradient)
    return jax.lax.cond(over, _iterated, lambda _, s: s, rules, state.replace(line=line))


def _iterated(rules: Rules, state: State) -> State:
    """The state at the end of a line search: with an updated or new Hessian, beside a kink, or ended."""
    line, found, along_kink = state.line, state.line.found, state.phase == Phase.KINK_LINE
    # Even a fresh Hessian leads nowhere: there is a kink, and perhaps a way along it.
    stuck = ~found & ~along_kink & (state.age == 0)
    # Rounding of the value hides what is left to gain, where components of the gradient are still above the tolerance.
    least = stuck & (-line.slope / 2 < AT_MINIMUM)
    stuck = stuck & ~least
    rescue = stuck & (state.rescues < rules.max_rescues)
    further = ~found & along_kink & (state.reach + 1 < len(REACHES))
    beside_kink, lost = rescue | further, ~found & (stuck | least | along_kink)
    age = jnp.where(along_kink, state.age, state.age + 1)
    renew = (~found & ~lost) | (age >= rules.refresh)
    update = updated(state.inverse, line.x - state.x, line.gradient - state.gradient)
    phase = jnp.where(beside_kink, Phase.KINK, jnp.where(renew, Phase.HESSIAN, Phase.NEWTON))
    after = state.replace(
        x=line.x,
        value=line.value,
        gradient=line.gradient,
        inverse=jnp.where(found & ~along_kink, update, state.inverse),
        phase=phase.astype(jnp.int32),
        column=jnp.zeros_like(state.column),
        reach=jnp.where(further, state.reach + 1, 0),
        age=jnp.where(renew & ~beside_kink, 0, age),
        iterations=state.iterations + jnp.where(along_kink, 0, 1),
        rescues=state.rescues + jnp.where(rescue, 1, 0),
    )
    after = _ended(after, least, CONVERGED)
    after = _ended(after, lost & ~beside_kink, NO_DESCENT)
    return selected(beside_kink, after, _judged(rules, after))


def _inverse(state: State) -> Float[Array, "n n"]:
    return inverse_by_differences(state.gradient, state.columns, DIFFERENCE)


def _line_along_kink(state: State) -> LineSearch:
    reach = jnp.asarray(REACHES, state.x.dtype)[state.reach]
    step, slope = step_along_kink(state.gradient, state.columns, reach)
    return line_search.begun(state.x, state.value, state.gradient, step, slope)


def _departed(rules: Rules, state: State) -> State:
    """The state with the line search along its next quasi-Newton step, where one is due."""
    due = (state.phase == Phase.NEWTON) & (state.status == STATUSES.index(RUNNING))
    return jax.lax.cond(due, _departing, lambda _, s: s, rules, state)


def _departing(rules: Rules, state: State) -> State:
    step, slope = newton_step(state.inverse, state.gradient)
    # Updates lose positive definiteness to rounding: a step uphill promises nothing, and is no sign of a minimum.
    uphill = ~(slope < 0)
    inverse = jnp.where(uphill, plain_inverse(state.gradient, 1.0), state.inverse)
    step, slope = jax.tree.map(partial(jnp.where, uphill), newton_step(inverse, state.gradient), (step, slope))
    share = rules.decrement_share * (state.value - rules.far_value)
    near = -slope / 2 < jnp.maximum(rules.decrement_tolerance, share)
    shorten = jnp.minimum(1.0, LARGEST_STEP / jnp.maximum(jnp.max(jnp.abs(step)), 1e-300))
    after = state.replace(
        inverse=inverse,
        age=jnp.where(uphill, 1, state.age),
        phase=jnp.full_like(state.phase, Phase.LINE),
        line=line_search.begun(state.x, state.value, state.gradient, step * shorten, slope * shorten),
    )
    after = _ended(after, near | (state.judging & (-slope / 2 < AT_MINIMUM)), CONVERGED)
    return _ended(after, state.judging, NO_DESCENT)


def _judged(rules: Rules, state: State) -> State:
    """The state at the end of an iteration, ended where nothing is to be gained, waiting where a heat ends."""
    turn, heat = state.iterations % PATIENCE == 0, state.iterations % HEAT == 0
    after = _ended(state, _is_flat(rules, state), CONVERGED)
    stagnant = turn & (state.stall_mark - state.value < rules.stalled) & (after.status == STATUSES.index(RUNNING))
    judging = stagnant & rules.judged
    after = _ended(after, stagnant & ~judging, NO_DESCENT)
    after = _ended(after, state.iterations >= rules.max_iterations, LIMIT)
    # Rounding may let values rise, that of the best search too.
    gain = jnp.maximum(state.heat_mark - state.value, 0.0)
    return after.replace(
        judging=judging,
        phase=jnp.where(judging, Phase.HESSIAN, after.phase).astype(jnp.int32),
        age=jnp.where(judging, 0, after.age),
        stall_mark=jnp.where(turn, state.value, state.stall_mark),
        heat_mark=jnp.where(heat, state.value, state.heat_mark),
        outlook=jnp.where(heat, state.value - OUTLOOK * gain, state.outlook),
        waiting=rules.competing & heat & (after.status == STATUSES.index(RUNNING)),
    )


def _is_flat(rules: Rules, state: State) -> Bool[Array, ""]:
    return jnp.max(jnp.abs(state.gradient)) <= rules.gradient_tolerance


def _ended(state: State, condition: Bool[Array, ""], status: str) -> State:
    """The state with this status where the condition holds and the search has not ended before."""
    ends = condition & (state.status == STATUSES.index(RUNNING))
    return state.replace(status=jnp.where(ends, STATUSES.index(status), state.status).astype(state.status.dtype))


def _where_any(which: Bool[Array, " L"], function: Callable[[State], Any], state: State, otherwise: Any) -> Any:
    """What a function of one state says of those of L states that are marked [L]; it is skipped where none is marked."""
    return jax.lax.cond(
        jnp.any(which), lambda: selected(which, jax.vmap(function)(state), otherwise), lambda: otherwise
    )


def selected(condition: Bool[Array, "*shape"], this: Any, other: Any) -> Any:
    """Selects array by array from one of two trees.

    Args:
      condition: scalar, or [L] for trees whose arrays have a leading axis L.
      this: where the condition holds.
      other: elsewhere.

    Returns:
      The tree; arrays that both trees share are taken as they are.
    """

    def chosen(a: Array, b: Array) -> Array:
        if a is b:
            return a
        return jnp.where(jnp.reshape(condition, condition.shape + (1,) * (jnp.ndim(b) - jnp.ndim(condition))), a, b)

    return jax.tree.map(chosen, this, other)
