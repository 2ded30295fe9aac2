"""What public functions say of arguments that do not belong together: one line, when they are traced."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import lamp_model

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.errors import ConfigError, DataError, EvgenError, HypothesisError, ReconstructionError
from evgen_jax.hypothesis.joint_prior import make_prior, prior_limits
from evgen_jax.measurement.padding import stack_events
from evgen_jax.model.doors import check_variables
from evgen_jax.model.ensemble import Ensemble
from evgen_jax.model.expectation import dom_expectation, make_dom_expectation
from evgen_jax.model.log_likelihood import make_loss_parts
from evgen_jax.model.sampler import make_sampler, sample_photoelectrons
from evgen_jax.physics.sphere import fit_kent, fit_von_mises_fisher
from evgen_jax.reconstruction.fit.coordinates import make_coordinates
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.starts.clusters import cluster_seed, find_clusters
from evgen_jax.reconstruction.starts.directions import fit_without_seeds, refit_directions
from evgen_jax.reconstruction.starts.global_search import global_search
from evgen_jax.reconstruction.starts.pulses import make_starts
from evgen_jax.reconstruction.starts.smear import smear
from evgen_jax.reconstruction.uncertainty.goodness_of_fit import make_goodness_of_fit
from evgen_jax.reconstruction.uncertainty.posterior import make_posterior_sampler
from evgen_jax.reconstruction.uncertainty.profile import Profile, scan_profile
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap, make_sky_map
from evgen_jax.reconstruction.unfolding import unfold_energies
from evgen_jax.simulation.events import EventSampler
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
    both = Ensemble([model, model])
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


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, np.nan, "'cascade_x' is nan; expected a finite number"),
        (6, np.inf, "'cascade_time' is inf; expected a finite number"),
        (5, -10.0, "'cascade_energy' is -10; expected an energy >= 0 GeV"),
    ],
)
def test_values_without_light_are_told_where_they_are_numbers(place, value, message, model):
    wrong = H.copy()
    wrong[place] = value
    variables, key, times = model.variables, jax.random.key(0), jnp.linspace(9e3, 1e4, 3)
    for call in (
        lambda: eg.log_likelihood(model, wrong, EVENT),
        lambda: eg.log_likelihood(Ensemble([model, model]), list(wrong), EVENT),
        lambda: make_dom_expectation(model)(variables, jnp.asarray(wrong), times),
        lambda: make_sampler(model)(variables, key, wrong),
    ):
        with pytest.raises(HypothesisError, match=message):
            call()
    traced = jax.jit(eg.log_likelihood)(model, wrong, EVENT)
    assert np.ndim(traced) == 0, "a traced value cannot be looked at"


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
    sample = make_posterior_sampler(model, make_prior(model.parameters, {}))
    for call in (lambda e, h: sample(e, h, jax.random.key(0)), make_sky_map(model)):
        with pytest.raises(HypothesisError, match=r"a best fit of 7 parameters .* got shape \(8,\)"):
            call(EVENT, np.append(H, 1.0))
        with pytest.raises(DataError, match="the event has 60 DOMs"):
            call(empty_event(60), H)


def test_fits_take_lists_of_events_and_their_seeds(model):
    fitter = make_fitter(model, covariance=False)
    for wrong, message in (
        (EVENT, r"got one Event. Of one event it is \[event\]"),
        (MANY, "got a batch"),
        ([empty_event(60)], "the event has 60 DOMs"),
        (3, "expected a list of events, got a int"),
    ):
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
    for seeds in (None, "pulses"):
        with pytest.raises(ReconstructionError, match="expected seeds .* Without seeds: eg.reconstruction.fit_without"):
            eg.reconstruct(model, [EVENT], seeds)
    with pytest.raises(ReconstructionError, match=r"expected seeds \[E, S, 7\], got shape \(1, 7\)"):
        smear(H[None], model.parameters, 2, np.random.default_rng(0))
    evaluator = Evaluator(eg.log_likelihood, make_coordinates(model), model)
    with pytest.raises(HypothesisError, match="a seed of 7 parameters"):
        global_search(evaluator, EVENT, H[:6])
    with pytest.raises(DataError, match=r"expected times \[T\] in ns, got shape \(\)"):
        make_dom_expectation(model)(model.variables, H, 3.0)
    assert issubclass(HypothesisError, EvgenError)


def test_a_list_of_numbers_is_a_hypothesis(model):
    log_likelihood = eg.make_log_likelihood(model)
    as_list = jax.eval_shape(lambda *h: log_likelihood(model.variables, list(h), EVENT), *H)
    assert as_list.shape == ()


@pytest.mark.parametrize(
    "wrong, message",
    [
        (None, "variables: expected .* got a NoneType.*model.variables"),
        ({}, "variables: expected weights named cascade, noise, 'cascade' is missing"),
        ({"cascade": {}}, "'noise' is missing"),
        (5, "variables: expected a dictionary of weights, got a"),
    ],
)
def test_variables_of_another_model_are_told(wrong, message, model):
    both, times = Ensemble([model, model]), jnp.linspace(9e3, 1e4, 3)
    for call in (
        lambda: eg.make_log_likelihood(model)(wrong, H, EVENT),
        lambda: jax.eval_shape(eg.make_log_likelihood(model), wrong, H, EVENT),
        lambda: make_loss_parts(model)(wrong, H, EVENT),
        lambda: make_dom_expectation(model)(wrong, H, times),
        lambda: make_sampler(model)(wrong, jax.random.key(0), H),
    ):
        with pytest.raises(ConfigError, match=message):
            call()
    for of_one in (wrong, model.variables):
        with pytest.raises(ConfigError, match="variables: expected the weights of 2 models, got a"):
            eg.make_log_likelihood(both)(of_one, H, EVENT)


def test_weights_have_the_shapes_of_the_models_own():
    own = {"params": {"a": np.ones((2, 3))}, "members": (np.ones(1), np.ones(2))}
    check_variables({**own, "dropout": {"key": 1}}, own)
    jax.vmap(lambda v: check_variables(v, own))(jax.tree.map(lambda a: a[None], own))
    with pytest.raises(ConfigError, match=r"expected weights of shape \(2, 3\) at 'params/a', got \(3, 2\)"):
        check_variables({**own, "params": {"a": np.ones((3, 2))}}, own)
    with pytest.raises(ConfigError, match=r"shape \(2,\) at 'members/1', got \(\)"):
        check_variables({**own, "members": [np.ones(1), 2.0]}, own)


@pytest.mark.parametrize("wrong", ["m2", None, 5, EVENT])
def test_what_is_no_model_is_told(wrong):
    for make in (
        eg.make_log_likelihood,
        make_loss_parts,
        make_dom_expectation,
        make_sampler,
        lambda m: Ensemble([m]),
    ):
        with pytest.raises(ConfigError, match="expected a Model, got .*load_model"):
            make(wrong)


def test_losses_readouts_and_sizes_are_told_when_a_function_is_made(model):
    for make in (eg.make_log_likelihood, make_loss_parts):
        with pytest.raises(ConfigError, match="loss: expected a Loss, or None for the model's own, got 'foo'"):
            make(model, loss="foo")
    for readout in ((20000, 0), (np.nan, 0), (0, np.inf), 5, (1,), (0, 1, 2), "ab", ("a", "b"), None, [[0, 1], [2]]):
        for make in (make_dom_expectation, make_sampler):
            with pytest.raises(ConfigError, match=r"readout: expected \(start, stop\) in ns, .* got"):
                make(model, readout=readout)
        for call in (
            lambda r: dom_expectation(model, H, [1e4], r),
            lambda r: sample_photoelectrons(model, jax.random.key(0), H, r),
        ):
            with pytest.raises(ConfigError, match=r"readout: expected \(start, stop\) in ns, .* got"):
                call(readout)
    for size in (-1, 0, 1.5, None, True):
        with pytest.raises(ConfigError, match="max_photoelectrons: expected a whole number >= 1, got"):
            make_sampler(model, max_photoelectrons=size)
        with pytest.raises(ConfigError, match="max_photoelectrons: expected a whole number >= 1, got"):
            sample_photoelectrons(model, jax.random.key(0), H, (0.0, 2e4), size)
    with pytest.raises(ConfigError, match="expected a list of models"):
        Ensemble(model)


def test_a_readout_may_be_traced(model):
    times = jnp.linspace(9e3, 1e4, 3)
    found = jax.eval_shape(lambda r: make_dom_expectation(model, r)(model.variables, H, times), jnp.array([0.0, 2e4]))
    assert found.pdf.shape == (108, 3)
    ends = jax.eval_shape(lambda r: make_dom_expectation(model, (0.0, r))(model.variables, H, times), jnp.array(2e4))
    assert ends.pdf.shape == (108, 3)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ([], "expected at least one event, got none"),
        (EVENT, r"expected a list of events, got one Event \(of it: \[event\]\)"),
        (None, "expected a list of events, got None"),
        ([EVENT, 3], "expected single events, got 3"),
        ([MANY], r"expected single events, got a batch of shape \(2,\)"),
        ([EVENT, empty_event(60)], "the events have 60 and 108 DOMs; expected events of one detector"),
    ],
)
def test_events_that_cannot_be_stacked_are_told(wrong, message):
    with pytest.raises(DataError, match=message):
        stack_events(wrong)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"detector": None}, "detector must be a Detector, got None"),
        ({"detector": "detector.csv"}, "detector must be a Detector, got 'detector.csv'.*load_detector"),
        ({"charge": [1 + 2j]}, "charge must be real numbers"),
        ({"time": np.array([1 + 0j])}, "time must be real numbers"),
        ({"string": [1j]}, "string must be real numbers"),
        ({"readout": ("a", "b")}, "readout must be real numbers"),
        ({"readout": 5}, r"readout must be \(start, stop\) in ns, got 5"),
        ({"window_buffer": "wide"}, "window_buffer must be real numbers, got 'wide'"),
        ({"window_buffer": np.inf}, "window_buffer must be a number >= 0, ns, got inf"),
        ({"window_buffer": [1, 2]}, "window_buffer must be a number >= 0"),
        ({"excluded_doms": 5}, r"excluded_doms must be rows \(string, om\), got 5"),
        ({"excluded_windows": None}, r"excluded_windows must be rows .*, got None"),
    ],
)
def test_wrong_pulses_are_told(change, message, model):
    pulses = {"charge": [1.0], "time": [1.0], "string": [1], "om": [1], "detector": model.detector}
    with pytest.raises(DataError, match=f"Event.from_pulses: {message}"):
        eg.Event.from_pulses(**(pulses | change))


def test_fits_tell_settings_that_cannot_be(model):
    for settings, message in (
        ({"max_iterations": 0}, "max_iterations: expected a whole number >= 1, got 0"),
        ({"max_iterations": 1.5}, "max_iterations: expected a whole number >= 1, got 1.5"),
        ({"gradient_tolerance": np.nan}, "gradient_tolerance: expected a finite number > 0, got nan"),
        ({"gradient_tolerance": 0}, "gradient_tolerance: expected a finite number > 0, got 0"),
        ({"gradient_tolerance": "small"}, "gradient_tolerance: expected a finite number > 0, got 'small'"),
        (
            {"optimizer_settings": {"max_iterations": 1, "foo": 2}},
            "optimizer_settings.foo: 'batched' does not know it; it takes",
        ),
        ({"optimizer_settings": {"max_iteration": 1}}, "Did you mean 'max_iterations'"),
        ({"optimizer_settings": {"max_iterations": 0}}, "max_iterations: expected"),
        ({"optimizer_settings": 5}, "optimizer_settings: expected a mapping"),
        ({"optimizer_settings": 5, "method": "BFGS"}, "optimizer_settings: expected a mapping"),
        ({"bounds": {"cascade_x": 5}}, r"bounds.cascade_x: expected \(low, high\), got 5"),
        ({"bounds": {"cascade_x": (1, 2, 3)}}, r"bounds.cascade_x: expected \(low, high\)"),
        ({"bounds": {"cascade_x": ("a", "b")}}, r"bounds.cascade_x: expected \(low, high\)"),
        ({"bounds": {"cascade_x": (0, np.inf)}}, "bounds.cascade_x: expected two finite ends"),
        ({"bounds": ["cascade_x"]}, r"bounds: expected \{parameter: \(low, high\)\}"),
        ({"free": ["cascade_x"]}, r"free \(minimize_parameter_dict of a configuration\): expected \{parameter"),
        ({"free": {"cascade_x": "no"}}, r"free \(.*\): cascade_x: expected True or False, got 'no'"),
    ):
        with pytest.raises(ReconstructionError, match=message):
            make_fitter(model, eg.FitSettings(**settings))
    for name in ("cascade_energy", "cascade_x"):
        make_coordinates(model, eg.FitSettings(bounds={name: (0.0 if name == "cascade_energy" else -np.inf, np.inf)}))
    for seeds in (np.zeros((1, 0, 7)), np.zeros((1, 0, 6))):
        with pytest.raises(ReconstructionError, match="expected seeds"):
            eg.reconstruct(model, [EVENT], seeds)


def test_settings_of_batched_fits_act(model):
    lamp, seed = lamp_model(model.detector), np.array([[1.5, 1.0, 0.9, 2.0]])
    event = eg.Event.from_pulses([1.0, 2.0], [9e3, 9.1e3], [1, 1], [1, 2], detector=model.detector, readout=(0.0, 2e4))
    (fit,) = eg.reconstruct(
        lamp, [event], seed, eg.FitSettings(optimizer_settings={"max_iterations": 1}), covariance=False
    )
    same, further = (
        make_fitter(lamp, eg.FitSettings(max_iterations=number), covariance=False)([event], seed)[0]
        for number in (1, 9)
    )
    assert fit.diagnostics.evaluations == same.diagnostics.evaluations < further.diagnostics.evaluations


@pytest.mark.parametrize(
    "grid, message",
    [
        (5, r"grid: expected \{parameter: values\}, got 5"),
        ([1.0, 2.0], "grid: expected"),
        ([], "grid: expected"),
        ({"cascade_x": 5}, "grid.cascade_x: expected a list of finite values, at least one, got 5"),
        ({"cascade_x": []}, "grid.cascade_x: expected a list of finite values"),
        ({"cascade_x": [0.0, np.nan]}, "grid.cascade_x: expected a list of finite values"),
        ({"cascade_x": [[0.0], [1.0, 2.0]]}, "grid.cascade_x: expected a list of finite values"),
        ({"cascade_x": ["a"]}, "grid.cascade_x: expected a list of finite values"),
        ({"cascade_x": [1j]}, "grid.cascade_x: expected a list of finite values"),
        ({}, "takes one or two parameters, got 0"),
    ],
)
def test_grids_that_are_none_are_told(grid, message, model):
    with pytest.raises(ReconstructionError, match=message):
        scan_profile(model, EVENT, H, grid)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"count": -2}, "count: expected a whole number >= 0, got -2"),
        ({"count": 1.5}, "count: expected a whole number >= 0, got 1.5"),
        ({"rng": 3}, r"rng: expected np.random.default_rng\(number\), got 3"),
        ({"spreads": 5}, r"seed_spreads: expected \{parameter: width\}, got 5"),
        ({"spreads": {"cascade_x": "wide"}}, "seed_spreads.cascade_x: expected a finite width >= 0, got 'wide'"),
        ({"spreads": {"cascade_x": np.inf}}, "seed_spreads.cascade_x: expected a finite width >= 0, got inf"),
        ({"seeds": "text"}, r"expected seeds \[E, S, 7\] of numbers"),
    ],
)
def test_smearing_that_cannot_be_is_told(change, message, model):
    arguments = {"seeds": H[None, None], "parameters": model.parameters, "count": 1, "rng": np.random.default_rng(0)}
    with pytest.raises(ReconstructionError, match=message):
        smear(**(arguments | change))


@pytest.mark.parametrize(
    "settings, message",
    [
        ("abc", r"priors: expected \{parameter: .*, got 'abc'"),
        (None, "priors: expected"),
        ({"cascade_x": 5}, "priors.cascade_x: expected .*'distribution'.*, got 5"),
        ({"cascade_x": {"distribution": ["normal"]}}, "priors.cascade_x.distribution: expected one of"),
        (
            {"cascade_x": {"distribution": "normal", "mean": np.nan, "sigma": 1}},
            "priors.cascade_x.mean: expected a finite number, got nan",
        ),
        (
            {"cascade_x": {"distribution": "uniform", "low": 0, "high": "b"}},
            "priors.cascade_x.high: expected a finite number, got 'b'",
        ),
        (
            {"cascade_x": {"distribution": "uniform", "low": 0, "high": np.inf}},
            "priors.cascade_x.high: expected a finite number, got inf",
        ),
    ],
)
def test_priors_that_are_none_are_told(settings, message, model):
    with pytest.raises(ReconstructionError, match=message):
        make_prior(model.parameters, settings)
    if not isinstance(settings, dict) or settings["cascade_x"] == 5:
        with pytest.raises(ReconstructionError, match=message):
            prior_limits(model.parameters, settings)


@pytest.mark.parametrize("fit", [fit_kent, fit_von_mises_fisher])
@pytest.mark.parametrize(
    "zenith, azimuth, message",
    [
        ([1.0, np.nan, 1.2], [0.1, 0.2, 0.3], "expected finite zeniths and azimuths, got 1 of 3 that are not"),
        ([1.0, 1.1, 1.2], [0.1, np.inf, np.nan], "got 2 of 3 that are not"),
        ([1.0, 1.1, 1.2], [0.1], r"expected as many zeniths as azimuths, got shapes \(3,\) and \(1,\)"),
        ([1.0, 1.1, 1.2], [0.1, 0.2], r"expected as many zeniths as azimuths, got shapes \(3,\) and \(2,\)"),
        ([1.0, "a"], [0.1, 0.2], "got something else than real numbers"),
        ([1.0, 1j], [0.1, 0.2], "got something else than real numbers"),
        ([], [], "at least two different directions"),
    ],
)
def test_directions_that_cannot_be_fitted_are_told(fit, zenith, azimuth, message):
    with pytest.raises(ReconstructionError, match=message):
        fit(zenith, azimuth)


def test_a_goodness_of_fit_needs_samples(model):
    for number in (0, -1, 2.5, None):
        with pytest.raises(ReconstructionError, match="num_samples: expected a whole number >= 1, got"):
            make_goodness_of_fit(model, num_samples=number)
    with pytest.raises(ReconstructionError, match="seed: expected a whole number >= 0, got None"):
        make_goodness_of_fit(model)(EVENT, H, None)


@pytest.mark.parametrize("wrong", ["m2", None, 5])
def test_fits_of_what_is_no_model_are_told(wrong):
    for call in (
        make_fitter,
        make_goodness_of_fit,
        lambda m: eg.reconstruct(m, [EVENT], H[None]),
        lambda m: scan_profile(m, EVENT, H, {"cascade_x": [1.0]}),
        lambda m: eg.save_model(m, "nowhere"),
    ):
        with pytest.raises(ConfigError, match="expected a Model, got"):
            call(wrong)


def test_paths_that_are_none_are_told(model):
    for wrong in (None, 5, model):
        with pytest.raises(EvgenError, match="expected the directory of a model, got"):
            eg.load_model(wrong)
        with pytest.raises(EvgenError, match="expected the directory of a model, got"):
            eg.save_model(model, wrong)
    for wrong in (5, ["detector.csv"]):
        with pytest.raises(EvgenError, match="expected the path of a detector table, got"):
            eg.load_detector(wrong)


def test_numbers_that_cannot_be_are_told(model):
    fitter = make_fitter(model, covariance=False)
    starts, evaluator = make_starts(model, fitter.evaluator), fitter.evaluator
    for call, message in (
        (
            lambda: unfold_energies(model, H, EVENT, smoothness=-1.0),
            "smoothness: expected a finite number >= 0, got -1.0",
        ),
        (lambda: unfold_energies(model, H, EVENT, pulse_width=np.nan), "pulse_width: expected a finite number >= 0"),
        (lambda: unfold_energies(model, H, EVENT, refreshes=-1), "refreshes: expected a whole number >= 0, got -1"),
        (lambda: unfold_energies(model, H, EVENT, chunk=0), "chunk: expected a whole number >= 1, got 0"),
        (
            lambda: eg.approximate(model, EVENT, H, "fine"),
            "accuracy and reach are numbers that must be above 0, got 'fine'",
        ),
        (lambda: eg.approximate(model, EVENT, H, 0.5, seed=-1), "seed: expected a whole number >= 0"),
        (lambda: find_clusters(EVENT, model.detector, -1), "count: expected a whole number >= 0, got -1"),
        (
            lambda: find_clusters(EVENT, model.detector, 1, radius=np.nan),
            "radius: expected a finite number >= 0, got nan",
        ),
        (lambda: starts([EVENT], 0), "count: expected a whole number >= 1, got 0"),
        (lambda: fit_without_seeds(fitter, [EVENT], num_starts=0), "num_starts: expected a whole number >= 1, got 0"),
        (
            lambda: refit_directions(fitter, [EVENT], [], rounds=1),
            "expected one fit per event, got 0 fits for 1 events",
        ),
        (lambda: refit_directions(fitter, [], [], num_directions=0), "num_directions: expected a whole number >= 1"),
        (lambda: global_search(evaluator, EVENT, H, population=0), "population: expected a whole number >= 1, got 0"),
        (
            lambda: global_search(evaluator, EVENT, H, tolerance=np.nan),
            "tolerance: expected a finite number >= 0, got nan",
        ),
        (
            lambda: global_search(evaluator, EVENT, H, spreads={"cascade_q": 1}),
            "seed_spreads: 'cascade_q' is no parameter",
        ),
    ):
        with pytest.raises(ReconstructionError, match=message):
            call()


def test_numbers_of_maps_and_chains_that_cannot_be_are_told(model):
    pytest.importorskip("blackjax")
    pytest.importorskip("astropy_healpix")
    for settings, message in (
        ({"first_order": -1}, "first_order: expected a whole number >= 0, got -1"),
        ({"last_order": 30}, "last_order: expected at most 29, got 30"),
        ({"first_order": 4, "last_order": 3}, r"last_order: expected at least first_order \(4\), got 3"),
        ({"resolved": 0}, "resolved: expected a whole number >= 1"),
        ({"max_divided": 0}, "max_divided: expected a whole number >= 1"),
    ):
        with pytest.raises(ReconstructionError, match=message):
            make_sky_map(model, **settings)
    prior = make_prior(model.parameters, {})
    for given, message in (
        ({"num_samples": 0}, "num_samples: expected a whole number >= 1, got 0"),
        ({"num_warmup": -1}, "num_warmup: expected a whole number >= 0"),
        ({"num_chains": 0}, "num_chains: expected a whole number >= 1, got 0"),
        ({"log_prior": None}, "log_prior: expected a function as `make_prior` makes it, got None"),
    ):
        with pytest.raises(ReconstructionError, match=message):
            make_posterior_sampler(model, **({"log_prior": prior} | given))


def test_results_tell_numbers_that_cannot_be(model):
    values = np.array([-5.0, -9.0, -4.0, np.nan, -1.0, 0.0, -1.0, -4.0])
    scan = Profile(("cascade_x",), (np.arange(8.0),), values, np.zeros((8, 7)))
    low, high = scan.interval()
    # The failed fit lies where the interval ends: between its neighbours, at 2 (4 - 0) > 1 > 2 (1 - 0).
    assert 2 < low < 5 < high < 7 and np.isfinite([low, high]).all()
    for probability in (0, 1, 90, "0.9", np.nan):
        with pytest.raises(ReconstructionError, match="probability: expected a probability between 0 and 1, got"):
            scan.interval(probability)
    with pytest.raises(ReconstructionError, match="scan of cascade_x has no interval: none of its fits succeeded"):
        replace(scan, log_likelihood=np.full(8, np.nan)).interval()
    with pytest.raises(ReconstructionError, match="cluster_seed: 'radus' is no setting; .*Did you mean 'radius'"):
        cluster_seed(model, EVENT, radus=3.0)
    assert EventSampler(model, (0.0, 1e4)).events(np.zeros((0, 7)), jax.random.key(0)) == []


def test_sky_maps_tell_numbers_that_cannot_be():
    pixels = np.arange(12)
    found = SkyMap(np.zeros(12, int), pixels, -pixels.astype(float), np.zeros((12, 7)), 0)
    with pytest.raises(ReconstructionError, match="probability: expected a probability between 0 and 1, got 90"):
        found.contour_area(90)
    with pytest.raises(ReconstructionError, match=r"values: expected one per pixel, 12 of them, got shape \(3,\)"):
        found.flat(np.zeros(3))
    with pytest.raises(ReconstructionError, match="order: expected a whole number >= 0"):
        found.flat(np.zeros(12), -1)


def test_what_is_no_fitter_and_no_settings_is_told(model):
    for function in (lambda f: fit_without_seeds(f, [EVENT]), lambda f: refit_directions(f, [EVENT], [])):
        with pytest.raises(ReconstructionError, match=r"expected a Fitter, got a Model\. Make one with `make_fitter"):
            function(model)
    for make in (make_fitter, lambda m, s: eg.reconstruct(m, [EVENT], np.zeros((1, 7)), s)):
        with pytest.raises(
            ReconstructionError, match="settings: expected FitSettings, got {'bounds'.* Write FitSettings"
        ):
            make(model, {"bounds": {}})
    with pytest.raises(
        ReconstructionError, match="grid: 'cascade_enrgy' is no parameter.*Did you mean 'cascade_energy'"
    ):
        scan_profile(model, EVENT, np.zeros(7), {"cascade_enrgy": [1.0]})


def test_no_events_give_no_fits(model):
    assert eg.reconstruct(model, [], []) == []


def test_light_of_different_events_is_not_added():
    one, other = eg.LightYield.zeros(EVENT), eg.LightYield.zeros(empty_event(60))
    with pytest.raises(
        ConfigError, match=r"light of different events cannot be added: 'charge' has the shape \(108,\) and"
    ):
        one + other
    with pytest.raises(ConfigError, match="'cumulative' has the shape"):
        one + eg.LightYield.zeros(EVENT, cumulative=True)
    with pytest.raises(ConfigError, match="the light of at least one source; darkness is"):
        eg.LightYield.sum([])
    with pytest.raises(TypeError):
        one + 1


def test_a_parameter_is_known_by_its_short_name_everywhere(model):
    """By the name without its source, wherever a parameter is named; one that several may mean is told."""
    whole, short = (eg.FitSettings(free={f"{p}x": False}, bounds={f"{p}energy": (1e2, 1e5)}) for p in ("cascade_", ""))
    assert make_coordinates(model, whole) == make_coordinates(model, short)
    settings = {"distribution": "uniform", "low": 1e2, "high": 1e5}
    priors = [make_prior(model.parameters, {name: settings}) for name in ("cascade_energy", "energy")]
    assert priors[0] == priors[1]
    two = [parameter.under(source) for source in ("first", "second") for parameter in model.parameters]
    with pytest.raises(
        ReconstructionError, match="priors: 'energy' may be first_cascade_energy or second_cascade_energy"
    ):
        make_prior(two, {"energy": settings})
