"""One step of quasi-Newton searches: BFGS with a line search, as a pure function from states to states.

A step takes one value and one gradient of every search, where its phase wants them: a column of a Hessian by differences, a
trial of a line search, a gradient beside a kink. No search waits for the line search of another one.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from evgen_jax.reconstruction.fit import line_search
from evgen_jax.reconstruction.fit.differences import DIFFERENCE
from evgen_jax.reconstruction.fit.inverse_hessian import inverse_by_differences, newton_step, plain_inverse, updated
from evgen_jax.reconstruction.fit.kinks import step_along_kink
from evgen_jax.reconstruction.fit.state import (
    CONVERGED,
    LIMIT,
    NO_DESCENT,
    NOT_FINITE,
    RUNNING,
    STATUSES,
    Begin,
    Phase,
    Rules,
    State,
    is_running,
)

Evaluate = Callable[[Array], tuple[Array, Array]]
"""Unknowns [L, n] of L searches -> values [L], gradients [L, n]."""
LARGEST_STEP = 2.0
"""Normalised units: further steps are shortened, the likelihood is no parabola that far away."""
REACHES = (1e-3, 1e-2)
"""Normalised units, within which gradients are taken on all sides of a kink."""
PATIENCE = 10
"""Iterations over which `Rules.stalled` counts."""
HEAT, OUTLOOK = 5, 6.0
"""Iterations of a heat; a search is left if its best rival is ahead by more than `OUTLOOK` times its gain in a heat."""


def run(evaluate: Evaluate, rules: Rules, budget: Array, state: State) -> State:
    """States of L searches after up to `budget` evaluations each, fewer if all have ended or wait.

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
    """States of L searches after one more evaluation of each; those that have ended or wait stay as they are.

    Args:
      evaluate: values and gradients of all searches.
      rules: of all searches.
      state: leading axis L.

    Returns:
      The states.
    """
    value, gradient = evaluate(jax.vmap(wanted)(state))
    after = jax.vmap(partial(_told, rules))(state, value, gradient)
    # What takes decompositions is computed only where some search needs it.
    complete = after.column == state.x.shape[1]
    after = _where_any(complete & (after.phase == Phase.HESSIAN), _with_hessian, after)
    after = _where_any(complete & (after.phase == Phase.KINK), _leaving_kink, after)
    after = jax.vmap(partial(_departing, rules))(after)
    return _selected(is_running(state), after, state)


def wanted(state: State) -> Array:
    """Unknowns [n] at which a search wants its next value and gradient."""
    column = jnp.arange(len(state.x)) == state.column
    beside = jnp.where(state.gradient > 0, -1.0, 1.0) * jnp.asarray(REACHES, state.x.dtype)[state.reach]
    shift = jnp.where(state.phase == Phase.HESSIAN, DIFFERENCE, jnp.where(state.phase == Phase.KINK, beside, 0.0))
    on_line = (state.phase == Phase.LINE) | (state.phase == Phase.KINK_LINE)
    return jnp.where(on_line, line_search.trial(state.line, state.x), state.x + jnp.where(column, shift, 0.0))


def _told(rules: Rules, state: State, value: Array, gradient: Array) -> State:
    """The state of one search with the value and gradient that it wanted."""
    branches = {Phase.START: _started, Phase.HESSIAN: _with_column, Phase.NEWTON: _with_column, Phase.LINE: _searched,
                Phase.KINK: _with_column, Phase.KINK_LINE: _searched}  # fmt: skip
    functions = list(dict.fromkeys(branches.values()))
    which = jnp.asarray([functions.index(branches[phase]) for phase in Phase])[state.phase]
    after = jax.lax.switch(which, [partial(function, rules) for function in functions], state, value, gradient)
    return after.replace(evaluations=state.evaluations + 1)


def _started(rules: Rules, state: State, value: Array, gradient: Array) -> State:
    plain, fresh = state.begin == Begin.PLAIN, state.begin == Begin.HESSIAN
    finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
    after = state.replace(
        value=value, gradient=gradient, first_value=value, stall_mark=value, heat_mark=value,
        inverse=jnp.where(plain, plain_inverse(gradient, 1.0), state.inverse),
        # A Hessian that was not made here is not trusted: where it leads nowhere, one by differences follows.
        age=jnp.where(fresh, 0, 1).astype(jnp.int32),
        phase=jnp.where(fresh, Phase.HESSIAN, Phase.NEWTON).astype(jnp.int32), column=jnp.zeros_like(state.column),
    )  # fmt: skip
    return _judged(rules, _ended(after, ~finite, NOT_FINITE))


def _with_column(rules: Rules, state: State, value: Array, gradient: Array) -> State:
    return state.replace(columns=state.columns.at[state.column].set(gradient), column=state.column + 1)


def _searched(rules: Rules, state: State, value: Array, gradient: Array) -> State:
    line, over = line_search.tried(state.line, state.x, state.value, value, gradient)
    along_kink = state.phase == Phase.KINK_LINE
    ended = jnp.where(along_kink, 1, 0)
    after = jax.lax.switch(ended, [_iterated, _rescued], rules, state.replace(line=line))
    return _selected(over, after, state.replace(line=line))


def _iterated(rules: Rules, state: State) -> State:
    """After the line search along a quasi-Newton step: at its end, with an updated or new Hessian, or beside a kink."""
    line, found = state.line, state.line.found
    stuck = ~found & (state.age == 0)  # even a fresh Hessian leads nowhere: there is a kink, and perhaps a way along it
    rescue = stuck & (state.rescues < rules.max_rescues)
    age = state.age + 1
    renew = (~found & ~stuck) | (age >= rules.refresh)
    phase = jnp.where(rescue, Phase.KINK, jnp.where(renew, Phase.HESSIAN, Phase.NEWTON))
    update = updated(state.inverse, line.x - state.x, line.gradient - state.gradient)
    after = state.replace(
        x=line.x, value=line.value, gradient=line.gradient, inverse=jnp.where(found, update, state.inverse),
        phase=phase.astype(jnp.int32), column=jnp.zeros_like(state.column), reach=jnp.zeros_like(state.reach),
        age=jnp.where(renew & ~rescue, 0, age), iterations=state.iterations + 1,
        rescues=state.rescues + jnp.where(rescue, 1, 0),
    )  # fmt: skip
    after = _ended(after, stuck & ~rescue, NO_DESCENT)
    return _selected(rescue, after, _judged(rules, after))


def _rescued(rules: Rules, state: State) -> State:
    """After the line search along a kink: at its end, or beside the kink with a longer reach."""
    line, found = state.line, state.line.found
    reach = state.reach + 1
    again = ~found & (reach < len(REACHES))
    after = state.replace(
        x=line.x, value=line.value, gradient=line.gradient,
        phase=jnp.where(again, Phase.KINK, Phase.NEWTON).astype(jnp.int32),
        column=jnp.zeros_like(state.column), reach=jnp.where(again, reach, 0),
    )  # fmt: skip
    after = _ended(after, ~found & ~again, NO_DESCENT)
    return _selected(again, after, _judged(rules, after))


def _with_hessian(state: State) -> State:
    inverse = inverse_by_differences(state.gradient, state.columns, DIFFERENCE)
    return state.replace(inverse=inverse, phase=jnp.full_like(state.phase, Phase.NEWTON))


def _leaving_kink(state: State) -> State:
    reach = jnp.asarray(REACHES, state.x.dtype)[state.reach]
    step, slope = step_along_kink(state.gradient, state.columns, reach)
    line = line_search.begun(state.x, state.value, state.gradient, step, slope)
    return state.replace(line=line, phase=jnp.full_like(state.phase, Phase.KINK_LINE))


def _departing(rules: Rules, state: State) -> State:
    """The state with the line search along its next quasi-Newton step, where one is due."""
    step, slope = newton_step(state.inverse, state.gradient)
    # Updates lose positive definiteness to rounding: a step uphill promises nothing, and is no sign of a minimum.
    uphill = ~(slope < 0)
    inverse = jnp.where(uphill, plain_inverse(state.gradient, 1.0), state.inverse)
    step, slope = jax.tree.map(partial(jnp.where, uphill), newton_step(inverse, state.gradient), (step, slope))
    share = rules.decrement_share * (state.value - rules.far_value)
    near = -slope / 2 < jnp.maximum(rules.decrement_tolerance, share)
    shorten = jnp.minimum(1.0, LARGEST_STEP / jnp.maximum(jnp.max(jnp.abs(step)), 1e-300))
    after = state.replace(
        inverse=inverse, age=jnp.where(uphill, 1, state.age), phase=jnp.full_like(state.phase, Phase.LINE),
        line=line_search.begun(state.x, state.value, state.gradient, step * shorten, slope * shorten),
    )  # fmt: skip
    return _selected(state.phase == Phase.NEWTON, _ended(after, near, CONVERGED), state)


def _judged(rules: Rules, state: State) -> State:
    """The state at the end of an iteration, ended where nothing is to be gained, waiting where a heat ends."""
    begun = state.iterations > 0
    turn = begun & (state.iterations % PATIENCE == 0)
    heat = begun & (state.iterations % HEAT == 0)
    after = _ended(state, jnp.max(jnp.abs(state.gradient)) <= rules.gradient_tolerance, CONVERGED)
    after = _ended(after, turn & (state.stall_mark - state.value < rules.stalled), NO_DESCENT)
    after = _ended(after, state.iterations >= rules.max_iterations, LIMIT)
    # Rounding may let values rise, that of the best search too.
    gain = jnp.maximum(state.heat_mark - state.value, 0.0)
    return after.replace(
        stall_mark=jnp.where(turn, state.value, state.stall_mark),
        heat_mark=jnp.where(heat, state.value, state.heat_mark),
        outlook=jnp.where(heat, state.value - OUTLOOK * gain, state.outlook),
        waiting=rules.competing & heat & (after.status == STATUSES.index(RUNNING)),
    )


def _ended(state: State, condition: Array, status: str) -> State:
    """The state with this status where the condition holds and the search has not ended before."""
    ends = condition & (state.status == STATUSES.index(RUNNING))
    return state.replace(status=jnp.where(ends, STATUSES.index(status), state.status).astype(state.status.dtype))


def _where_any(which: Array, function: Callable[[State], State], state: State) -> State:
    """States [L] of which those that are marked [L] go through a function of one state; it is skipped where none is marked."""
    return jax.lax.cond(jnp.any(which), lambda s: _selected(which, jax.vmap(function)(s), s), lambda s: s, state)


def _selected(condition: Array, this: State, other: State) -> State:
    """Field by field one of two states; a condition [L] for states with a leading axis L."""

    def chosen(a: Array, b: Array) -> Array:
        return jnp.where(jnp.reshape(condition, condition.shape + (1,) * (jnp.ndim(b) - jnp.ndim(condition))), a, b)

    return jax.tree.map(chosen, this, other)
