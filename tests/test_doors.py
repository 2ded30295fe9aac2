"""What public functions say of arguments that do not belong together: one line, when they are traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax.analytic_model import analytic_model
from evgen_jax.errors import DataError, EvgenError, HypothesisError, ReconstructionError
from evgen_jax.event import stack_events
from evgen_jax.model import make_dom_expectation, make_ensemble, make_loss_parts, make_sampler
from evgen_jax.reconstruction.clusters import cluster_seed, find_clusters
from evgen_jax.reconstruction.coordinates import make_coordinates
from evgen_jax.reconstruction.evaluator import Evaluator
from evgen_jax.reconstruction.fit import make_fitter
from evgen_jax.reconstruction.global_search import global_search
from evgen_jax.reconstruction.goodness_of_fit import make_goodness_of_fit
from evgen_jax.reconstruction.other_directions import fit_without_seeds, refit_directions
from evgen_jax.reconstruction.posterior import make_posterior_sampler
from evgen_jax.reconstruction.prior_density import make_prior
from evgen_jax.reconstruction.profile import scan_profile
from evgen_jax.reconstruction.seeds import smear
from evgen_jax.reconstruction.sky_map import make_sky_map
from evgen_jax.reconstruction.starts import make_starts
from evgen_jax.reconstruction.unfolding import unfold_energies
from evgen_jax.sources.linen_source import empty_event

H = np.array([10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 10000.0])


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


EVENT = empty_event(108)
MANY = stack_events([EVENT, EVENT])
WRONG_HYPOTHESES = {
    "eight": (np.append(H, 1.0), r"of 7 parameters \(cascade_x, .*\), got shape \(8,\)"),
    "six": (H[:6], r"got shape \(6,\)"),
    "a batch": (np.tile(H, (2, 1)), r"got shape \(2, 7\)\. Many at once: jax\.vmap"),
    "a number": (3.0, r"got shape \(\)"),
    "a ragged list": ([[1.0, 2.0], [3.0]], "numbers of different lengths"),
}
WRONG_EVENTS = {
    "another detector": (empty_event(60), "the event has 60 DOMs, the detector '.*' of the model 108"),
    "a batch": (MANY, r"got a batch of shape \(2,\)\. Many at once: jax\.vmap"),
    "a list": ([EVENT], "expected one Event, got a list of 1"),
    "nothing": (None, "expected one Event, got a NoneType"),
}


@pytest.mark.parametrize("which", WRONG_HYPOTHESES)
def test_a_wrong_hypothesis_is_told_by_every_function(which, model):
    wrong, message = WRONG_HYPOTHESES[which]
    variables, key, times = model.variables, jax.random.key(0), jnp.linspace(9e3, 1e4, 3)
    both = make_ensemble([model, model])
    for call in (
        lambda: eg.make_log_likelihood(model)(variables, wrong, EVENT),
        lambda: eg.make_log_likelihood(both)(both.variables, wrong, EVENT),
        lambda: make_loss_parts(model)(variables, wrong, EVENT),
        lambda: make_dom_expectation(model)(variables, wrong, times),
        lambda: make_sampler(model)(variables, key, wrong),
        lambda: eg.approximate(model, EVENT, wrong, 0.5),
        lambda: unfold_energies(model, wrong, EVENT),
        lambda: make_goodness_of_fit(model)(EVENT, wrong, 1),
        lambda: scan_profile(model, EVENT, wrong, {"cascade_x": [1.0]}),
        lambda: cluster_seed(model, EVENT, wrong),
    ):
        with pytest.raises(HypothesisError, match=message):
            call()
    log_likelihood = eg.make_log_likelihood(model)
    if which in ("eight", "six"):
        for transformed in (jax.jit(log_likelihood), jax.grad(log_likelihood, argnums=1)):
            with pytest.raises(HypothesisError, match=message):
                transformed(variables, wrong, EVENT)
        with pytest.raises(HypothesisError, match=message):
            jax.vmap(log_likelihood, in_axes=(None, 0, 0))(variables, np.tile(wrong, (2, 1)), MANY)


@pytest.mark.parametrize("which", WRONG_EVENTS)
def test_a_wrong_event_is_told_by_every_function(which, model):
    wrong, message = WRONG_EVENTS[which]
    for call in (
        lambda: eg.make_log_likelihood(model)(model.variables, H, wrong),
        lambda: jax.jit(eg.make_log_likelihood(model))(model.variables, H, wrong),
        lambda: make_loss_parts(model)(model.variables, H, wrong),
        lambda: eg.approximate(model, wrong, H, 0.5),
        lambda: unfold_energies(model, H, wrong),
        lambda: make_goodness_of_fit(model)(wrong, H, 1),
        lambda: scan_profile(model, wrong, H, {"cascade_x": [1.0]}),
        lambda: find_clusters(wrong, model.detector, 2),
    ):
        with pytest.raises(DataError, match=message):
            call()


def test_extras_have_the_same_doors(model):
    pytest.importorskip("blackjax")
    pytest.importorskip("astropy_healpix")
    sample = make_posterior_sampler(model, make_prior(model.parameter_names, {}))
    for call in (lambda e, h: sample(e, h, jax.random.key(0)), make_sky_map(model)):
        with pytest.raises(HypothesisError, match=r"a best fit of 7 parameters .* got shape \(8,\)"):
            call(EVENT, np.append(H, 1.0))
        with pytest.raises(DataError, match="the event has 60 DOMs"):
            call(empty_event(60), H)


def test_fits_take_lists_of_events_and_their_seeds(model):
    fitter = make_fitter(model)
    for wrong, message in ((EVENT, r"got one Event. Of one event it is \[event\]"), (MANY, "got a batch"),
                           ([empty_event(60)], "the event has 60 DOMs"), (3, "expected a list of events, got a int")):  # fmt: skip
        for call in (
            lambda e=wrong: eg.reconstruct(model, e, H[None]),
            lambda e=wrong: fitter(e, H[None]),
            lambda e=wrong: fit_without_seeds(fitter, e),
            lambda e=wrong: refit_directions(fitter, e, []),
            lambda e=wrong: make_starts(model, fitter.evaluator)(e, 2),
        ):
            with pytest.raises(DataError, match=message):
                call()
    for seeds in (H, np.append(H, 1.0)[None], np.zeros((3, 7)), [[1.0], [1.0, 2.0]], "text"):
        with pytest.raises(ReconstructionError, match="expected seeds"):
            eg.reconstruct(model, [EVENT], seeds)
    with pytest.raises(ReconstructionError, match=r"expected seeds \[E, S, 7\], got shape \(1, 7\)"):
        smear(H[None], model.parameter_names, 2, np.random.default_rng(0))
    evaluator = Evaluator(eg.make_log_likelihood(model), make_coordinates(model), model.variables)
    with pytest.raises(HypothesisError, match="a seed of 7 parameters"):
        global_search(evaluator, EVENT, H[:6])
    with pytest.raises(DataError, match=r"expected times \[T\] in ns, got shape \(\)"):
        make_dom_expectation(model)(model.variables, H, 3.0)
    assert issubclass(HypothesisError, EvgenError)


def test_a_list_of_numbers_is_a_hypothesis(model):
    log_likelihood = eg.make_log_likelihood(model)
    as_list = jax.eval_shape(lambda *h: log_likelihood(model.variables, list(h), EVENT), *H)
    assert as_list.shape == ()
