"""The minimiser as a pure step from states to states, on functions whose minima are known."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from evgen_jax.reconstruction.fit.inverse_hessian import inverse_by_differences, updated
from evgen_jax.reconstruction.fit.kinks import shortest_in_hull
from evgen_jax.reconstruction.fit.minimiser import Advance, behind_rivals, minimise
from evgen_jax.reconstruction.fit.state import (
    CONVERGED,
    LEFT_BEHIND,
    LIMIT,
    NO_DESCENT,
    NOT_FINITE,
    Rules,
    State,
    initial,
)
from evgen_jax.reconstruction.fit.step import run, step

MATRICES = np.stack([a @ a.T + 0.1 * np.eye(3) for a in np.random.default_rng(1).normal(size=(4, 3, 3))])
VALLEY = np.array([-1.2, 1.0])


def valley(x):
    """Rosenbrock's, with its minimum of 0 at (1, 1)."""
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def several(problem, x):
    """Four quadratics, Rosenbrock's valley, one that is not finite."""
    quadratic = 0.5 * x @ jnp.asarray(MATRICES)[jnp.minimum(problem, 3)] @ x
    return jnp.where(problem < 4, quadratic, jnp.where(problem == 4, valley(x) + x[2] ** 2, jnp.nan))


def searches_of(function, count: int) -> tuple[Advance, np.ndarray]:
    """Searches of functions (number of the problem, x [n]), and how often the device was handed each of them."""
    handed = np.zeros(count, int)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def program(lanes, state, rules, budget):
        return run(partial(jax.vmap(jax.value_and_grad(function, argnums=1)), lanes), rules, budget, state)

    def advance(lanes: np.ndarray, state: State, rules: Rules, budget: int) -> State:
        np.add.at(handed, lanes, 1)
        fill = np.resize(np.arange(len(lanes)), count)
        rules = jax.tree.map(lambda default, given: np.asarray(given, np.asarray(default).dtype), Rules(), rules)
        with jax.enable_x64(True):
            new = program(lanes[fill], jax.tree.map(lambda a: a[fill], state), rules, budget)
        return jax.tree.map(lambda a: np.asarray(a)[: len(lanes)], new)

    return advance, handed


def test_many_functions_are_minimised_at_once():
    """Finished ones are not handed to the device again."""
    rng = np.random.default_rng(2)
    start = np.concatenate([rng.normal(size=(4, 3)), [[*VALLEY, 0.5]], np.zeros((1, 3))])
    advance, handed = searches_of(several, 6)
    minima = minimise(advance, start, Rules(gradient_tolerance=1e-6))
    assert list(minima.status) == [CONVERGED] * 5 + [NOT_FINITE]
    np.testing.assert_allclose(minima.x[:4], 0, atol=1e-5)
    np.testing.assert_allclose(minima.x[4], [1, 1, 0], atol=1e-4)
    assert list(handed) == [1, 1, 1, 1, 2, 1] and minima.evaluations[5] == 1
    # The differenced Hessian of a parabola (three evaluations) leads to its minimum in one step, the known one at once.
    assert np.all(minima.evaluations[:4] <= 6)
    inverse = np.concatenate([np.linalg.inv(MATRICES), [np.eye(3)] * 2])
    known = minimise(advance, start, inverse=inverse)
    assert np.all(known.evaluations[:4] <= 3)
    np.testing.assert_allclose(known.inverse[:4], inverse[:4], rtol=1e-3, atol=1e-6)
    # With an inverse that is not positive definite the first step goes uphill, which is no minimum.
    wrong = minimise(advance, start, Rules(gradient_tolerance=1e-6), inverse=-np.eye(3))
    assert list(wrong.status[:4]) == [CONVERGED] * 4
    np.testing.assert_allclose(wrong.x[:4], 0, atol=1e-5)
    few = minimise(advance, start, Rules(gradient_tolerance=1e-12, max_iterations=2))
    assert few.status[4] == LIMIT and few.iterations[4] == 2
    easy = minimise(advance, start, Rules(gradient_tolerance=0.0, decrement_share=1e-3, far_value=-1.0))
    assert list(easy.status[:5]) == [CONVERGED] * 5 and 0 < easy.value[4] < 1


@pytest.mark.parametrize("seed", [104, 118, 131])
def test_a_search_goes_on_along_a_kink(seed):
    """A bent valley whose floor is a kink: its gradients on either side lead across, no step along them falls."""

    def kinked(problem, x):
        return 10 * jnp.abs(x[1] - x[0] ** 2) + (1 - x[0]) ** 2 + jnp.sum(x[2:] ** 2)

    start = 2 * np.random.default_rng(seed).normal(size=(1, 7))
    start[0, :2] = VALLEY
    advance, _ = searches_of(kinked, 1)
    found = minimise(advance, start, Rules(stalled=1e-7))
    assert found.value[0] < 0.1
    alone = minimise(advance, start, Rules(stalled=1e-7, max_rescues=0))
    assert alone.status[0] == NO_DESCENT and alone.value[0] > 3 * found.value[0]


def test_rivals_that_fall_behind_are_left():
    """Rosenbrock's valley at different heights: within a group the lowest is followed to its end."""
    heights = np.array([0.0, 1e3, 0.2, 50.0, 0.0])
    advance, _ = searches_of(lambda problem, x: valley(x) + jnp.asarray(heights)[problem], 5)
    start = np.tile(VALLEY, (5, 1))
    rules = Rules(gradient_tolerance=1e-6)
    alone = minimise(advance, start, rules)
    assert list(alone.status) == [CONVERGED] * 5
    groups, to_beat = np.array([0, 0, 1, 1, 2]), np.array([np.inf, np.inf, -9.0])
    raced = minimise(advance, start, rules, rivals=groups, to_beat=to_beat)
    np.testing.assert_array_equal(raced.status, [CONVERGED, LEFT_BEHIND, CONVERGED, LEFT_BEHIND, LEFT_BEHIND])
    np.testing.assert_array_equal(raced.x[[0, 2]], alone.x[[0, 2]])
    assert np.all(raced.evaluations[[1, 3, 4]] < alone.evaluations[[1, 3, 4]] / 2)


def test_rounding_does_not_leave_the_best_rival_behind():
    """The best search of a group may rise by rounding errors, and then has gained nothing."""
    values = np.array([3e4 + 1e-5, 3e4 + 50])
    state = initial(np.zeros((2, 1))).replace(value=values, outlook=values, waiting=np.ones(2, bool))
    np.testing.assert_array_equal(behind_rivals(np.zeros(2, int), None, state), [False, True])
    np.testing.assert_array_equal(behind_rivals(np.array([0, 1]), np.array([2e4, np.inf]), state), [True, False])


def test_a_step_is_a_pure_function(x64):
    """One search at a time and several side by side go the same way; jit and vmap compose."""
    problems = np.array([0, 4, 5])
    start = np.array([[1.0, 2, 3], [*VALLEY, 0.5], [0, 0, 0]])
    functions = jax.vmap(jax.value_and_grad(several, argnums=1))
    begin = jax.tree.map(jnp.asarray, initial(start))

    @jax.jit
    @chex.assert_max_traces(n=2)
    def once(state, problems):
        return step(partial(functions, problems), Rules(gradient_tolerance=1e-6), state)

    together, alone = begin, [jax.tree.map(lambda a, i=i: a[i : i + 1], begin) for i in range(3)]
    for _ in range(12):
        together = once(together, problems)
        alone = [once(state, problems[i : i + 1]) for i, state in enumerate(alone)]
    chex.assert_trees_all_close(together, jax.tree.map(lambda *a: jnp.concatenate(a), *alone), rtol=1e-9, atol=1e-12)
    # Those that have ended stay as they are.
    assert together.evaluations[0] < 8 and list(together.evaluations[1:]) == [12, 1]
    # Searches of searches: a further axis, each row with rules of its own.
    pair = jax.tree.map(lambda a: jnp.stack([a, a]), begin)
    rules = jax.vmap(lambda tolerance: Rules(gradient_tolerance=tolerance))(jnp.array([1e-6, 1e9]))
    mapped = jax.jit(jax.vmap(partial(step, partial(functions, problems))))
    for _ in range(12):
        pair = mapped(rules, pair)
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[0], pair), together, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(pair.evaluations[1], [1, 1, 1])


def test_the_budget_of_evaluations_is_kept(x64):
    begin = jax.tree.map(jnp.asarray, initial(np.array([[*VALLEY, 0.5], [1.0, 2, 3]])))
    evaluate = partial(jax.vmap(jax.value_and_grad(several, argnums=1)), np.array([4, 0]))
    go = jax.jit(lambda state, budget: run(evaluate, Rules(), budget, state))
    np.testing.assert_array_equal(go(begin, 9).evaluations, [9, 6])
    chex.assert_trees_all_equal(go(go(begin, 3), 6), go(begin, 9))


def test_the_shortest_vector_of_a_hull_is_that_of_non_negative_least_squares(x64):
    """Hulls around zero and far from it, with equal and nearly equal vectors; of any scale."""
    rng = np.random.default_rng(0)
    program = jax.jit(shortest_in_hull)
    for trial in range(60):
        vectors = rng.normal(size=(8, 7)) + rng.normal(size=7) * rng.choice([0, 1, 5])
        if trial % 3 == 0:
            vectors[1] = vectors[0]
        if trial % 5 == 0:
            vectors[2:] = vectors[0] + 1e-4 * rng.normal(size=(6, 7))
        # Weights are not negative, and a heavy last equation makes their sum 1.
        weights, _ = nnls(np.vstack([vectors.T, np.full(8, 1e4)]), np.append(np.zeros(7), 1e4))
        expected = weights @ vectors / weights.sum()
        for scale in (1.0, 1e8):
            np.testing.assert_allclose(program(scale * vectors) / scale, expected, rtol=1e-5, atol=1e-5)


def test_inverse_hessians(x64):
    rng = np.random.default_rng(5)
    root, s, y = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    inverse = root @ root.T
    y = y * np.sign(s @ y)
    rho, eye = 1 / (s @ y), np.eye(4)
    left = eye - rho * np.outer(s, y)
    np.testing.assert_allclose(
        updated(inverse, s, y), left @ inverse @ left.T + rho * np.outer(s, s), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(updated(inverse, s, -y), inverse)  # no positive curvature along the step
    # Negative curvatures count with their absolute value, missing ones give a short step along the gradient.
    gradient, hessian = rng.normal(size=4), np.diag([2.0, -0.5, 1.0, 4.0])
    found = inverse_by_differences(gradient, gradient + 1e-3 * hessian, 1e-3)
    np.testing.assert_allclose(found, np.diag([0.5, 2.0, 1.0, 0.25]), rtol=1e-4, atol=1e-9)
    lost = inverse_by_differences(gradient, np.full((4, 4), np.nan), 1e-3)
    assert np.linalg.norm(lost @ gradient) == pytest.approx(min(0.1, np.linalg.norm(gradient)))
