"""What searches for minima can be exchanged from outside the package."""

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.reconstruction.fit import lanes
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.fit.minimiser import Minima
from evgen_jax.reconstruction.fit.search import Problems, ScipySearch, Search
from evgen_jax.reconstruction.fit.state import CONVERGED, NOT_FINITE
from evgen_jax.sources.linen_source import empty_event

MEAN = np.array([10.0, -20.0, 30.0, 1.0, 4.0, 1000.0, 9900.0])
WIDTH = np.array([2.0, 3.0, 4.0, 0.02, 0.03, 50.0, 5.0])


class Optimistix:
    """BFGS of optimistix, one problem after the other; the loss is differentiated and compiled by it."""

    def __init__(self) -> None:
        solver = optimistix.BFGS(rtol=1e-6, atol=1e-6)
        self.asked: list[Problems] = []
        self.solve = jax.jit(
            lambda loss, start, problem: optimistix.minimise(loss, solver, start, args=problem, throw=False),
            static_argnums=0,
        )

    def __call__(self, problems: Problems) -> Minima:
        self.asked.append(problems)
        x, status, evaluations = problems.start.copy(), [], []
        for lane, start in enumerate(problems.start):
            solution = self.solve(problems.loss, jnp.asarray(start), problems.problem(lane))
            x[lane] = solution.value
            status.append(CONVERGED if solution.result == optimistix.RESULTS.successful else "no minimum")
            evaluations.append(int(solution.stats["num_steps"]))
        return problems.found(x, status, np.array(evaluations))


def parabola(variables, h, event):
    """A log-likelihood whose best fit is `MEAN`, of 0 at most."""
    return -0.5 * jnp.sum(((h - MEAN) / WIDTH) ** 2)


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


def test_an_optimiser_of_another_library_searches(model):
    """Of several seeds the best fit counts, a seed that is not finite says so, and uncertainties are those at the minimum."""
    search: Search = Optimistix()
    seeds = MEAN + np.array(
        [[[5.0, 5, 5, 0.1, 0.1, 300, 20], [4.0, 0, 0, 0, 0, 0, 0]], [[np.nan] * 7, [0.0, 4, 0, 0, 0, 0, 0]]]
    )
    fits = make_fitter(model, log_likelihood=parabola, search=search, covariance=True)([empty_event(108)] * 2, seeds)
    for fit in fits:
        assert fit.diagnostics.converged and fit.diagnostics.evaluations > 4
        assert fit.log_likelihood == pytest.approx(0.0, abs=1e-6)
        np.testing.assert_allclose(fit.hypothesis, MEAN, rtol=1e-4)
        assert fit.covariance.physical[6, 6] == pytest.approx(WIDTH[6] ** 2, rel=1e-3)
    assert fits[1].diagnostics.best_seed == 1
    (problems,) = search.asked
    assert problems.start.shape == (4, 7) and list(problems.which) == [0, 0, 1, 1]
    assert problems.precise is None and problems.exact is problems.evaluator
    (lost,) = make_fitter(model, log_likelihood=parabola, search=search, covariance=False)(
        [empty_event(108)], np.full((1, 7), np.nan)
    )
    assert lost.failed and not lost.diagnostics.converged


def test_problems_make_results_of_ends(model):
    """A start that is lower than the end of its search counts; what is not finite at its start has no result."""

    class Lost:
        def __call__(self, problems: Problems) -> Minima:
            return problems.found(problems.start + 1.0, ["done"] * 2, np.array([3, 4]))

    seeds = MEAN + np.array([[0.0] * 7, [np.inf, *[0.0] * 6]])
    fitter = make_fitter(model, log_likelihood=parabola, search=Lost(), covariance=False)
    best, lost = fitter([empty_event(108)] * 2, seeds)
    np.testing.assert_allclose(best.hypothesis, MEAN, rtol=1e-6)
    assert best.log_likelihood == best.log_likelihood_seed == pytest.approx(0.0, abs=1e-12)
    assert best.diagnostics.message == "done" and best.diagnostics.evaluations == 5
    assert lost.failed and lost.diagnostics.message == "the seed is not finite"


def test_scipy_goes_through_the_protocol(model):
    seed = MEAN[None] + np.array([5.0, 5, 5, 0.1, 0.1, 300, 20])
    named = make_fitter(model, eg.FitSettings(method="L-BFGS-B"), log_likelihood=parabola, covariance=False)
    given = make_fitter(model, log_likelihood=parabola, search=ScipySearch({"method": "L-BFGS-B"}), covariance=False)
    (one,), (other,) = named([empty_event(108)], seed), given([empty_event(108)], seed)
    np.testing.assert_array_equal(one.hypothesis, other.hypothesis)
    np.testing.assert_allclose(one.hypothesis, MEAN, rtol=1e-3)
    assert one.diagnostics.evaluations == other.diagnostics.evaluations > 4
    (lost,) = named([empty_event(108)], np.full((1, 7), np.nan))
    assert lost.failed and NOT_FINITE not in lost.diagnostics.message


def test_fits_side_by_side_are_those_one_after_the_other(model, monkeypatch):
    """On an accelerator several fits share a loop; none of them changes the others, finished ones included."""
    seeds = MEAN + np.random.default_rng(3).normal(size=(5, 7)) * [20, 20, 20, 0.3, 0.3, 100, 50]
    seeds[0], seeds[1, 0] = MEAN, np.nan
    alone = make_fitter(model, log_likelihood=parabola, covariance=False)([empty_event(108)] * 5, seeds)
    monkeypatch.setattr(lanes, "lanes_together", lambda: 4)
    together = make_fitter(model, log_likelihood=lambda *given: parabola(*given), covariance=False)(
        [empty_event(108)] * 5, seeds
    )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.hypothesis, other.hypothesis, rtol=1e-6)
        assert one.diagnostics.message == other.diagnostics.message
        assert one.diagnostics.evaluations == other.diagnostics.evaluations
    assert together[1].failed and [fit.diagnostics.converged for fit in together] == [True, False, True, True, True]
