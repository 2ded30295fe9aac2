"""Coordinates, minimiser, fits and uncertainties against functions whose answers are known."""

import gc
import weakref
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import write_config

import evgen_jax as eg
from evgen_jax.approximation import precise_where_lit as precise_module
from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.experiment import build_model
from evgen_jax.building.losses import build_loss
from evgen_jax.config.records import LossSettings
from evgen_jax.config.validate import load_config
from evgen_jax.errors import ReconstructionError
from evgen_jax.light.tree import with_precision
from evgen_jax.model.log_likelihood import make_log_likelihood, make_loss_parts
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.reconstruction.fit import evaluator as evaluator_module
from evgen_jax.reconstruction.fit.batching import shape_of, stacked
from evgen_jax.reconstruction.fit.coordinates import make_coordinates
from evgen_jax.reconstruction.fit.covariance import covariance_of, inverse_of_hessian, to_physical
from evgen_jax.reconstruction.fit.fit import _in_order_of, make_fitter
from evgen_jax.reconstruction.fit.objective import chosen
from evgen_jax.reconstruction.starts.smear import smear
from evgen_jax.simulation.events import EventSampler
from evgen_jax.sources.linen_source import empty_event

TRUTH = np.array(
    [
        [20.0, -30.0, 15.0, 1.1, 2.0, 3000.0, 9900.0],
        [-40.0, 10.0, -25.0, 2.2, 5.0, 2000.0, 10050.0],
        [5.0, 60.0, 40.0, 0.02, 1.0, 4000.0, 10000.0],
    ]
)


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


@pytest.fixture(scope="module")
def events(model):
    return EventSampler(model, (0.0, 20000.0)).events(TRUTH, jax.random.key(3))


@pytest.fixture(scope="module")
def learned(experiment, tmp_path_factory, detector):
    """A network with fresh weights: a smooth likelihood, though of nothing."""
    path = write_config(tmp_path_factory.mktemp("learned"), detector)
    text = path.read_text().replace(f"{path.parent}/trafo", f"{experiment}/trafo")
    path.write_text(text)
    return build_model(load_config(path))


def test_coordinates_go_there_and_back(model):
    coordinates = make_coordinates(model, eg.FitSettings(bounds={"cascade_x": (-100.0, 100.0)}))
    with jax.enable_x64(True):
        for anchor in [
            *TRUTH,
            np.array([0.0, 0, 0, 0.0, 0.0, 0.01, 9000.0]),
            np.array([99.9999999, 0, 0, np.pi, 7, 1e6, 1e4]),
        ]:
            start = coordinates.start(jnp.asarray(anchor))
            back = np.asarray(coordinates.hypothesis(start, jnp.asarray(anchor)))
            np.testing.assert_allclose(back[[0, 1, 2, 5, 6]], anchor[[0, 1, 2, 5, 6]], rtol=1e-6, atol=1e-4)
            np.testing.assert_allclose(
                flight_direction(back[3], back[4]),
                flight_direction(anchor[3], anchor[4]),
                atol=1.1e-4 if anchor[3] in (0.0, np.pi) else 1e-9,
            )
            slope = jax.jacfwd(lambda u, a=anchor: flight_direction(*coordinates.hypothesis(u, jnp.asarray(a))[3:5]))(
                start
            )
            assert np.all(np.isfinite(slope))
            # One unit of a direction is one spread of the zenith, in any direction and at the pole as well.
            for k in (0, 1):
                moved = coordinates.hypothesis(start.at[5 + k].add(0.3), jnp.asarray(anchor))
                angle = np.arccos(float(flight_direction(moved[3], moved[4]) @ flight_direction(anchor[3], anchor[4])))
                assert angle == pytest.approx(0.3 * model.trafo.scale()[3], rel=1e-3)
        far = coordinates.hypothesis(jnp.full(7, -50.0), jnp.asarray(TRUTH[0]))
        assert far[0] >= -100 and far[5] >= 0  # bounds and the sign of an energy hold everywhere
        some = make_coordinates(
            model, eg.FitSettings(free={"cascade_x": True, "cascade_zenith": True}, default_free=False)
        )
        assert some.size == 2 and some.directions == ()
        kept = np.asarray(some.hypothesis(jnp.array([1.0, 1.0]), jnp.asarray(TRUTH[1])))
        np.testing.assert_array_equal(kept[[1, 2, 4, 5, 6]], TRUTH[1, [1, 2, 4, 5, 6]])


def test_seeds_beyond_the_bounds_are_told(model, caplog):
    bounds = {"cascade_x": (-100.0, 100.0), "cascade_energy": (1e2, 1e4)}
    coordinates = make_coordinates(model, eg.FitSettings(bounds=bounds))
    seeds = np.tile(TRUTH[0], (5, 1))
    seeds[:, 0], seeds[:, 5] = [-100, 100, 0, 700, np.nan], [1e2, 1e4, 2e4, 5e4, 1e3]
    assert coordinates.outside(seeds) == "'cascade_x' of 1 (such as 700), 'cascade_energy' of 2 (such as 20000)"
    assert coordinates.outside(seeds[:2]) == "" and make_coordinates(model).outside(seeds) == ""
    dark = empty_event(108)
    make_fitter(model, eg.FitSettings(bounds=bounds, max_iterations=1), covariance=False)([dark, dark], seeds[2:4])
    (told,) = [record.message for record in caplog.records if "seeds" in record.message]
    assert told.startswith("of 2 seeds beyond the bounds: 'cascade_x' of 1 (such as 700), 'cascade_energy' of 2")


def test_wrong_names_and_bounds_are_refused(model):
    for arguments, message in (
        ({"free": {"cascade_enrgy": False}}, "Did you mean 'cascade_energy'"),
        ({"free": dict.fromkeys(model.parameter_names, False)}, "nothing to fit"),
        ({"bounds": {"cascade_w": (0.0, 1.0)}}, r"bounds \(.*\): 'cascade_w' is no parameter"),
        ({"bounds": {"cascade_x": (5.0, 1.0)}}, r"expected low < high, got \[5, 1\]"),
        ({"bounds": {"cascade_zenith": (0.0, 1.0)}}, "on the whole sphere"),
        ({"bounds": {"cascade_energy": (-5.0, 1.0)}}, "expected low >= 0"),
        ({"method": "Newton"}, "expected one of batched, BFGS, L-BFGS-B"),
    ):
        with pytest.raises(ReconstructionError, match=message):
            make_fitter(model, eg.FitSettings(**arguments))
    with pytest.raises(ReconstructionError, match=r"expected seeds of shape \(1, 7\)"):
        make_fitter(model)([empty_event(108)], np.zeros((2, 7)))
    with pytest.raises(ReconstructionError, match="Did you mean 'cascade_x'"):
        smear(TRUTH[:, None], model.parameters, 1, np.random.default_rng(0), {"cascadex": 1.0})


def test_hessians_that_are_not_positive_are_repaired_and_flagged():
    inverse, repaired = inverse_of_hessian(np.diag([4.0, 2.0]))
    np.testing.assert_allclose(inverse, np.diag([0.25, 0.5]))
    assert not repaired
    inverse, repaired = inverse_of_hessian(np.diag([4.0, -2.0]))
    assert repaired and np.all(np.linalg.eigvalsh(inverse) > 0)
    assert inverse_of_hessian(np.diag([4.0, 0.0]))[1] and inverse_of_hessian(np.full((2, 2), np.nan))[1]


def test_variances_are_not_negative_where_curvatures_nearly_vanish(model):
    """H and J of which one combination of parameters is all but unknown."""
    coordinates = make_coordinates(model)
    size, rng = 7, np.random.default_rng(3)
    vectors = np.linalg.qr(rng.normal(size=(size, size)))[0]
    hessian = (vectors * np.logspace(9, -1, size)) @ vectors.T
    scores = np.asarray(rng.normal(size=(30, size)) @ vectors[:, :3] @ vectors[:, :3].T * 1e4, np.float32)
    found = covariance_of(hessian, scores.T @ scores, np.eye(size), coordinates)
    for matrix in (found.hessian, found.sandwich, found.physical, found.physical_sandwich):
        np.testing.assert_array_equal(matrix, matrix.T)
    for matrix in (found.hessian, found.sandwich, found.physical, found.physical_sandwich):
        assert np.all(np.diag(matrix) >= 0) and np.linalg.eigvalsh(matrix).min() > -1e-9 * np.trace(matrix)
    good = covariance_of(np.diag([4.0, 2, 1, 1, 1, 1, 1]), np.diag([8.0, 2, 1, 1, 1, 1, 1]), np.eye(size), coordinates)
    np.testing.assert_allclose(np.diag(good.sandwich)[:2], [0.5, 0.5])
    np.testing.assert_allclose(np.diag(good.hessian)[:2], [0.25, 0.5])


def test_a_gaussian_likelihood_gives_back_its_mean_and_covariance(model):
    """Any log-likelihood can be fitted; with a fixed parameter the conditional one counts."""
    mean = np.array([10.0, -20.0, 30.0, 1.0, 4.0, 999.0, 9900.0])
    width = np.array([2.0, 3.0, 4.0, 0.02, 0.03, 0.1, 5.0])
    correlation = np.eye(7)
    correlation[0, 6] = correlation[6, 0] = 0.8
    covariance = correlation * np.outer(width, width)

    def gaussian(variables, h, event):
        d = h - mean
        d = d.at[5].set(jnp.log1p(h[5]) - np.log(1000.0))
        return -0.5 * d @ jnp.asarray(np.linalg.inv(covariance)) @ d

    seeds = mean + np.array([[5.0, 5, 5, 0.1, 0.1, 300, 20]])
    event = empty_event(108)
    (fit,) = make_fitter(model, eg.FitSettings(gradient_tolerance=1e-6), log_likelihood=gaussian, covariance=True)(
        [event], seeds
    )
    assert fit.diagnostics.converged
    np.testing.assert_allclose(fit.hypothesis, mean, rtol=1e-5)
    expected = covariance.copy()
    np.testing.assert_allclose(fit.covariance.physical, expected, rtol=2e-4, atol=1e-6)
    angular = np.sqrt((width[3] ** 2 + np.sin(1.0) ** 2 * width[4] ** 2) / 2)
    assert fit.covariance.angular == pytest.approx(angular, rel=1e-4)
    fixed = make_fitter(model, eg.FitSettings(free={"cascade_time": False}), log_likelihood=gaussian, covariance=True)(
        [event], mean[None]
    )
    assert fixed[0].covariance.physical[0, 0] == pytest.approx(4.0 * (1 - 0.8**2), rel=1e-4)
    assert fixed[0].hypothesis[6] == mean[6] and list(fixed[0].covariance.free) == [0, 1, 2, 3, 4, 5]


def test_batched_and_scipy_find_the_same(learned, events):
    # Near a minimum: that of fresh weights lies anywhere, and from afar each search finds one of its own.
    minima = np.array([fit.hypothesis for fit in eg.reconstruct(learned, events, TRUTH, covariance=False)])
    seeds = minima + np.array([5.0, -5, 5, 0.1, 0.1, 200, 10])
    batched = eg.reconstruct(learned, events, seeds)
    single = eg.reconstruct(
        learned,
        events,
        seeds,
        eg.FitSettings(method="BFGS", optimizer_settings={"options": {"gtol": 1e-2}}),
        covariance=False,
    )
    alone = eg.reconstruct(learned, events[1:2], seeds[1:2])
    for b, s in zip(batched, single, strict=True):
        assert b.diagnostics.converged and b.diagnostics.gradient_norm <= 1e-2
        assert b.log_likelihood >= b.log_likelihood_seed
        # With the rounding errors of float32 SciPy's line searches would stop on their way.
        assert s.diagnostics.converged and s.diagnostics.gradient_norm <= 1e-2
        assert b.log_likelihood > s.log_likelihood - 1e-3
    assert np.median([abs(b.log_likelihood - s.log_likelihood) for b, s in zip(batched, single, strict=True)]) < 1e-3
    # Neighbours in a batch do not matter.
    np.testing.assert_allclose(alone[0].hypothesis, batched[1].hypothesis, rtol=1e-4)


def test_threads_share_problems_of_several_events(model, events, monkeypatch):
    evaluator = evaluator_module.Evaluator(eg.log_likelihood, make_coordinates(model), model)
    which = np.arange(11) % 3
    anchors = TRUTH[which] + np.arange(11)[:, None] * np.array([1.0, 0, 0, 0, 0, 10, 0])
    batch = stacked(events, max(map(shape_of, events)), 4)
    one = [
        evaluator.value(batch, which[i : i + 1], evaluator.start(anchors[i : i + 1]), anchors[i : i + 1])[0]
        for i in range(11)
    ]
    monkeypatch.setattr(evaluator_module, "threads_together", lambda count, fewest: 3)
    for problems in (11, 2):
        own = slice(0, problems)
        value, gradient = evaluator.gradient(batch, which[own], evaluator.start(anchors[own]), anchors[own])
        np.testing.assert_allclose(value, one[own], rtol=1e-6)
        assert gradient.shape == (problems, 7)


def test_seeds_of_a_table_go_by_their_names(model):
    pandas = pytest.importorskip("pandas")
    names = list(model.parameter_names)
    table = pandas.DataFrame(TRUTH, columns=names)[names[::-1]].assign(run=1)
    np.testing.assert_array_equal(_in_order_of(names, table), TRUTH)
    np.testing.assert_array_equal(_in_order_of(names, TRUTH), TRUTH)
    with pytest.raises(ReconstructionError, match="the table has no column cascade_time; it has .*cascade_x, run"):
        _in_order_of(names, table.drop(columns="cascade_time"))


def test_an_evaluator_that_is_gone_leaves_nothing_behind(model):
    class Data:
        """What a log-likelihood of the user reads."""

    def program(function, coordinates, model, unknown, *rest):
        return np.zeros(len(unknown))

    unknown, events = np.zeros((2, make_coordinates(model).size)), stacked([empty_event(108)], (1, 1, 0), 1)

    def run(function):
        evaluator = evaluator_module.Evaluator(function, make_coordinates(model), model)
        evaluator.run(program, evaluator.function, events, np.zeros(2, int), unknown, np.zeros((2, 7)))
        return evaluator

    def of_a_user(data):
        run(chosen(lambda *arguments: data))
        return weakref.ref(data)

    other = run(eg.log_likelihood)  # of equal coordinates
    data = of_a_user(Data())
    gc.collect()
    assert other.coordinates == make_coordinates(model)
    assert data() is None


def test_hessian_and_sandwich_against_finite_differences(learned, events):
    (fit,) = eg.reconstruct(learned, events[:1], TRUTH[:1])
    with jax.enable_x64(True):
        precise = replace(
            learned,
            source=with_precision(learned.source, jnp.float64),
            variables=jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), learned.variables),
        )
        log_likelihood = jax.jit(make_log_likelihood(precise))
        best = learned.trafo.transform(jnp.asarray(fit.hypothesis))

        def value(t):
            return -float(log_likelihood(precise.variables, learned.trafo.inverse(t), events[0]))

        step, eye = 1e-3, np.eye(7)
        hessian = np.array(
            [
                [
                    (
                        value(best + step * (eye[i] + eye[j]))
                        - value(best + step * (eye[i] - eye[j]))
                        - value(best - step * (eye[i] - eye[j]))
                        + value(best - step * (eye[i] + eye[j]))
                    )
                    / (4 * step**2)
                    for j in range(7)
                ]
                for i in range(7)
            ]
        )
    if not fit.covariance.repaired:
        # Whatever the units: all eigenvalues of the product are 1.
        np.testing.assert_allclose(np.linalg.eigvals(fit.covariance.hessian @ hessian), 1, atol=0.02)
    assert fit.covariance.sandwich.shape == (7, 7) and np.all(np.linalg.eigvalsh(fit.covariance.sandwich) >= -1e-12)


def test_float64_is_computed_where_there_is_light(learned, events, monkeypatch):
    """There the loss is the one in float64, elsewhere the one in the network's own precision, for every event of a batch."""
    monkeypatch.setattr(precise_module, "WORTHWHILE", 1.0)
    mixed = precise_module.precise_where_lit(learned)
    assert isinstance(mixed.source, precise_module.PreciseWhereLit) and mixed.parameter_names == learned.parameter_names
    with jax.enable_x64(True):
        wide = replace(
            learned,
            source=mixed.source.lit,
            variables=jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), learned.variables),
        )
        for event, truth in zip(events, TRUTH, strict=True):
            event = jax.tree.map(jnp.asarray, event)
            here, exact, own = (
                np.asarray(
                    jax.jit(make_loss_parts(m))(m.variables, jnp.asarray(truth), event).per_dom(event), np.float64
                )
                for m in (mixed, wide, learned)
            )
            active = np.asarray(event.active)
            lit = np.isin(np.arange(108), active[active < 108])
            assert 10 < lit.sum() < 108
            np.testing.assert_allclose(here[lit], exact[lit], rtol=1e-12)
            np.testing.assert_allclose(here[~lit], own[~lit], rtol=1e-6, atol=1e-12)
            assert np.max(np.abs(own[lit] / exact[lit] - 1)) > 1e-9


def test_failed_events_say_why_and_leave_the_others_alone(learned, events):
    seeds = np.repeat(TRUTH[:, None], 2, axis=1)
    seeds[0, 0, 2] = np.nan
    seeds[1] = np.nan
    seeds[2, 1] += [30.0, 0, 0, 0, 0, 0, 0]
    results = eg.reconstruct(learned, events, seeds)
    assert results[0].diagnostics.best_seed == 1 and not results[0].failed
    assert (
        results[1].failed
        and results[1].diagnostics.message == "the seed is not finite"
        and results[1].covariance is None
    )
    assert not results[2].failed and results[2].log_likelihood >= results[2].log_likelihood_seed


def test_smeared_seeds_have_the_asked_widths(model):
    smeared = smear(
        np.tile(TRUTH[:1, None], (1, 1, 1)),
        model.parameters,
        4000,
        np.random.default_rng(0),
        {"cascade_x": 30.0, "cascade_zenith": 0.1, "cascade_energy": 0.5, "cascade_time": 0.0},
    )[0]
    np.testing.assert_array_equal(smeared[0], TRUTH[0])
    copies = smeared[1:]
    assert np.std(copies[:, 0]) == pytest.approx(30, rel=0.1) and np.all(copies[:, 6] == TRUTH[0, 6])
    assert np.std(np.log(copies[:, 5])) == pytest.approx(0.5, rel=0.1)
    cosine = np.asarray(flight_direction(copies[:, 3], copies[:, 4])) @ np.asarray(flight_direction(*TRUTH[0, 3:5]))
    assert np.mean(np.arccos(np.clip(cosine, -1, 1)) ** 2) == pytest.approx(2 * 0.1**2, rel=0.1)


def test_covariances_scale_with_the_normalisation(model):
    own = np.arange(49.0).reshape(7, 7)
    scale = model.trafo.scale()
    np.testing.assert_allclose(to_physical(own, model.trafo), np.diag(scale) @ own @ np.diag(scale))
    np.testing.assert_allclose(
        to_physical(own[:2, :2], model.trafo, np.array([1, 5])), own[:2, :2] * np.outer(scale[[1, 5]], scale[[1, 5]])
    )


def test_first_pulse_likelihoods_have_uncertainties(learned, events):
    """The distribution function of a gamma distribution has no exact second derivative by its shape."""
    names = ("unbinned_pulse_time_mpe_llh", "dom_charge_pdf")
    loss = build_loss(tuple(LossSettings(config={"loss_function_name": name}) for name in names))
    model = replace(learned, loss=loss)
    fit = make_fitter(
        model, eg.FitSettings(free={"cascade_x": True, "cascade_energy": True}, default_free=False), covariance=True
    )
    (result,) = fit(events[:1], TRUTH[:1])
    assert not result.failed
    covariance = result.covariance.hessian
    assert covariance.shape == (2, 2)
    assert np.all(np.linalg.eigvalsh(covariance) > 0)
