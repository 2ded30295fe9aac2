"""Starts without seeds, global search and goodness of fit on simulated events, by the true likelihood."""

import re
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from evgen_jax.building.analytic import analytic_model
from evgen_jax.config.records import ModelSettings, ReconstructionSettings
from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.parameters import Parameter, standard_parameters
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.detector import load_detector
from evgen_jax.measurement.event import build_event
from evgen_jax.measurement.usable_pulses import is_dark, usable_pulses
from evgen_jax.model.model import Model
from evgen_jax.physics.sphere import angle_between, unit_vectors
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.fit.plausible import far_away, implausible_fit, unlikely_fit
from evgen_jax.reconstruction.fit.result import Diagnostics, FitResult
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.reconstruction.run.file_fit import fit_as_configured, make_configured_fitter, with_other_directions
from evgen_jax.reconstruction.starts.clusters import cluster_seed, find_clusters
from evgen_jax.reconstruction.starts.directions import fit_without_seeds, refit_directions
from evgen_jax.reconstruction.starts.global_search import global_search
from evgen_jax.reconstruction.starts.pulses import first_pulses, make_starts, spread_directions
from evgen_jax.reconstruction.starts.shape import Shape, _sphere_radius
from evgen_jax.reconstruction.uncertainty.goodness_of_fit import make_goodness_of_fit
from evgen_jax.simulation.events import EventSampler
from evgen_jax.sources.linen_source import LinenSource, empty_event

TRUTH = np.array([[20.0, -30.0, 15.0, 1.1, 2.0, 3000.0, 9900.0], [-40.0, 10.0, -25.0, 2.2, 5.0, 2500.0, 10050.0]])
READOUT = (0.0, 20000.0)


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


def simulated(model, truth, seed):
    return EventSampler(model, READOUT).events(truth, jax.random.key(seed))


def without_charge(event):
    return event.replace(charge=0 * event.charge, pulses=event.pulses.replace(charge=0 * event.pulses.charge))


@pytest.fixture(scope="module")
def events(model):
    return simulated(model, TRUTH, 4)


@pytest.fixture(scope="module")
def fitter(model):
    return make_fitter(model, covariance=False)


def test_events_are_fitted_without_seeds(model, events, fitter):
    """As good as from the truth; an event without pulses, or with pulses of no charge, has no start."""
    dark = without_charge(events[0])
    seeds = make_starts(model, fitter.evaluator)([*events, empty_event(108), dark], 4)
    assert seeds.shape == (4, 4, 7) and np.all(np.isnan(seeds[2:])) and np.all(np.isfinite(seeds[:2]))
    for own in seeds[:2]:
        directions = unit_vectors(own[:, 3], own[:, 4])
        assert min(angle_between(directions[i], directions[j]) for i in range(4) for j in range(i)) > 0.5
    *found, nothing = fit_without_seeds(fitter, [*events, dark])
    assert nothing.failed and nothing.diagnostics.message == "no usable pulse"
    known = fitter(events, TRUTH)
    for free, seeded, truth in zip(found, known, TRUTH, strict=True):
        assert free.log_likelihood > seeded.log_likelihood - 0.1
        assert np.linalg.norm(free.hypothesis[:3] - truth[:3]) < 15


def test_pulses_that_say_nothing(events):
    event = events[0]
    assert not is_dark(event) and is_dark(without_charge(event)) and is_dark(empty_event(108))
    assert is_dark(event.replace(usable=np.zeros(108, bool)))
    assert [len(a) for a in first_pulses(without_charge(event))] == [0, 0, 0]
    # A pulse of no charge changes nothing of the others.
    charge = np.array(event.pulses.charge)
    charge[3] = 0
    marks = usable_pulses(event.replace(pulses=event.pulses.replace(charge=charge)))
    np.testing.assert_array_equal(np.flatnonzero(usable_pulses(event) & ~marks), [3])


def test_noise_before_bright_light_is_no_start(model, fitter):
    """A DOM that holds most of the charge decides the time of a start: not by its first pulse, which is noise."""
    rng = np.random.default_rng(3)
    bright, dim, noise = np.sort(10000 + rng.gamma(2, 40, 500)), np.array([10200.0, 10400.0]), 1750.0
    time, dom = np.concatenate([[noise], bright, dim, [noise]]), np.repeat([40, 41, 80], [501, 2, 1])
    event = build_event(np.ones(len(time)), time, dom, num_doms=108, readout=READOUT)
    doms, charge, first = first_pulses(event)
    np.testing.assert_array_equal(doms, [40, 41, 80])
    np.testing.assert_array_equal(charge, [501, 2, 1])
    assert bright[0] <= first[0] < np.quantile(bright, 0.05)
    np.testing.assert_allclose(first[1:], [dim[0], noise])
    place = model.parameter_names.index("cascade_time")
    assert np.all(np.abs(make_starts(model, fitter.evaluator)([event], 2)[0, :, place] - 10000) < 300)


def test_a_global_search_finds_the_way_from_afar(model, events, fitter):
    far = TRUTH[0] + [40.0, 40.0, -40.0, 1.2, 2.0, 3000.0, 100.0]
    found = global_search(
        fitter.evaluator, events[0], far, spreads={"cascade_time": 60.0, "cascade_x": 25.0}, max_generations=30
    )
    (searched,), (nearby,) = fitter(events[:1], found[None]), fitter(events[:1], far[None])
    assert searched.log_likelihood >= nearby.log_likelihood - 1e-3
    assert np.linalg.norm(searched.hypothesis[:3] - TRUTH[0, :3]) < 15


def test_other_directions_lead_out_of_a_local_minimum(model, fitter):
    events = simulated(model, TRUTH, 12)  # the second has a minimum on the other side
    known = fitter(events, TRUTH)
    seeds = TRUTH.copy()
    seeds[:, 3], seeds[:, 4] = np.pi - seeds[:, 3], seeds[:, 4] + np.pi  # the other side of the sky
    stuck = fitter([*events, empty_event(108)], np.concatenate([seeds, np.full((1, 7), np.nan)]))
    found = refit_directions(fitter, [*events, empty_event(108)], stuck)
    assert min(s.log_likelihood - k.log_likelihood for s, k in zip(stuck, known, strict=False)) < -0.5
    for free, first, seeded in zip(found[:2], stuck, known, strict=False):
        assert free.log_likelihood > seeded.log_likelihood - 0.1
        assert free.log_likelihood_seed == first.log_likelihood_seed
        assert free.diagnostics.evaluations > first.diagnostics.evaluations
    assert found[2] is stuck[2]


def test_a_good_fit_is_told_from_a_bad_one(model, events, fitter):
    goodness = make_goodness_of_fit(model, num_samples=16, fit=fitter)
    good = goodness(events[0], TRUTH[0], 1)
    assert good.p_value > 1.5 / 17 and good.p_value_two_sided <= 1
    assert good.simulated.shape == (16,) and good.hypothesis.shape == good.truth.shape == (16, 7)
    assert np.mean(np.linalg.norm(good.hypothesis[:, :3] - TRUTH[0, :3], axis=1)) < 20
    total = good.log_likelihood
    assert good.dom_log_likelihood.sum() == pytest.approx(total, abs=0.01 * abs(total))
    # Pulses that no cascade makes: a DOM far away shines.
    wrong = events[0]
    dom = np.asarray(wrong.active)[np.asarray(wrong.pulses.slot)[np.asarray(wrong.pulses.mask)]]
    time = np.asarray(wrong.pulses.time)[np.asarray(wrong.pulses.mask)]
    charge = np.asarray(wrong.pulses.charge)[np.asarray(wrong.pulses.mask)]
    lit = int(np.argmax(np.linalg.norm(np.asarray(model.detector.position) - TRUTH[0, :3], axis=1)))
    spoiled = build_event(
        np.append(charge, np.ones(40)),
        np.append(time, np.linspace(1e4, 1.2e4, 40)),
        np.append(dom, np.full(40, lit)),
        num_doms=108,
        readout=READOUT,
        usable=np.asarray(wrong.usable),
    )
    bad = goodness(spoiled, TRUTH[0], 1)
    assert bad.p_value == pytest.approx(1 / 17) and bad.dom_p_value[lit] == pytest.approx(1 / 17)
    with pytest.raises(ReconstructionError, match="best fit is not finite"):
        goodness(events[0], np.full(7, np.nan), 1)


def test_several_cascades_are_seeded_at_the_clusters_of_light(loaded_detector):
    two = analytic_model(
        loaded_detector,
        ModelSettings(
            model_class="IndependentMultiSource",
            config={"sources": {"a": "cascade", "b": "cascade"}},
            multi_source_bases={"cascade": ModelSettings(model_class="AnalyticCascadeModel")},
        ),
    )
    truth = np.array([[-110.0, 0, -60, 0.5, 1, 5000.0, 9500.0, 100.0, 20, 70, 0.5, 1, 5000.0, 10100.0]])
    (event,) = simulated(two, truth, 1)
    seed = cluster_seed(two, event, min_distance=120.0)
    for first in (0, 7):
        assert np.linalg.norm(seed[first : first + 3] - truth[0, first : first + 3]) < 60
        assert abs(seed[first + 6] - truth[0, first + 6]) < 250
    # Flies from a to b: comes from the other side.
    assert angle_between(unit_vectors(seed[3], seed[4]), unit_vectors(*_angles([-210.0, -20, -130]))) < 0.4
    for dark in (empty_event(108), without_charge(event)):
        assert find_clusters(dark, loaded_detector, 3).position.shape == (0, 3)
        with pytest.raises(ReconstructionError, match="no cluster of light"):
            cluster_seed(two, dark)


def test_what_is_far_is_measured_from_the_detector(loaded_detector):
    """Vertices are far from the modules, not from the origin."""
    moved = loaded_detector.replace(position=loaded_detector.position + np.float32([0, 0, -2000]))
    model = SimpleNamespace(
        source=None, detector=moved, parameters=(*standard_parameters("xyz"), Parameter("a_z", "z", group=("a",)))
    )
    seeds = np.array(
        [
            [[0.0, 0.0, -2000.0, -2000.0]],
            [[0.0, 0.0, 100.0, -2000.0]],
            [[0.0, 0.0, 200.0, -2000.0]],
            [[0.0, 0.0, -2000.0, -4150.0]],
            [[2200.0, 0.0, -2000.0, -2000.0]],
        ]
    )
    assert far_away(model.parameters, model.detector, seeds)[:, 0].tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, ""),
        ({"x": 2300.0}, "ended more than 2000 m outside the detector"),
        ({"energy": 1.14e26}, "ended at .*energy 1.14e.26 GeV, which is beyond all particles"),
    ],
)
def test_a_fit_that_cannot_be_says_so(loaded_detector, changed, reason):
    parameters = standard_parameters(("x", "y", "z", "energy"))
    values = {"x": 10.0, "y": 0.0, "z": 0.0, "energy": 3e8, **changed}
    found = implausible_fit(parameters, loaded_detector, np.array(list(values.values())))
    assert re.search(reason, found) if reason else found == ""


def test_a_fit_where_no_light_is_expected_says_so(loaded_detector):
    """Without noise a late seed leaves all pulses before the light: nothing tells the search where to go."""
    silent = analytic_model(loaded_detector.replace(noise_rate=np.zeros_like(loaded_detector.noise_rate)))
    truth = np.array([[20.0, -30.0, 15.0, 1.1, 2.0, 3000.0, 9900.0]])
    (event,) = EventSampler(silent, (0.0, 20000.0)).events(truth, jax.random.key(3))
    late = truth + [0, 0, 0, 0, 0, 0, 3000.0]
    fit = make_fitter(silent, covariance=False)
    (lost,), (found,) = fit([event], late), fit([event], truth)
    assert not lost.diagnostics.converged
    assert "expects no light at the times of the pulses (log-likelihood -" in lost.diagnostics.message
    assert found.diagnostics.converged and found.log_likelihood > lost.log_likelihood + 1000
    # From the pulses alone it is found.
    (alone,) = fit_without_seeds(fit, [event])
    assert alone.log_likelihood > found.log_likelihood - 0.1
    # Nothing is said of other scales, nor of what the user has fixed.
    heavy = replace(silent, loss=replace(silent.loss, terms=tuple(replace(t, weight=100.0) for t in silent.loss.terms)))
    assert unlikely_fit(silent, -1e6, 100.0) and not unlikely_fit(heavy, -1e6, 100.0)
    held = make_fitter(silent, FitSettings(free={"cascade_time": False}), covariance=False)
    (fixed,) = held([event], late)
    assert "expects no light" not in fixed.diagnostics.message


def _angles(vector):
    x, y, z = vector
    return np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)


def test_no_sphere_is_made_up(loaded_detector):
    """Entry points lie on the sphere of the model's source; where none or several have one, somebody must say which."""
    track = [ModelSettings(model_class="AnalyticSphereTrackModel", config={"sphere_radius": r}) for r in (500.0, 600.0)]
    assert _sphere_radius(analytic_model(loaded_detector, track[0])) == 500
    both = analytic_model(
        loaded_detector,
        ModelSettings(
            model_class="IndependentMultiSource",
            config={"sources": {"a": "a", "b": "b"}},
            multi_source_bases=dict(zip("ab", track, strict=True)),
        ),
    )
    with pytest.raises(ReconstructionError, match="its sources have 500, 600 m. Give it to `make_starts`, or seeds"):
        _sphere_radius(both)
    with pytest.raises(ReconstructionError, match="no source of the model has one"):
        _sphere_radius(analytic_model(loaded_detector))


class Beam(LinenSource):
    """A track that enters a sphere of which it says nothing; its light does not matter."""

    parameter_names = ("entry_zenith", "entry_azimuth", "entry_t", "entry_energy", "zenith", "azimuth")


class NoFit:
    """Stands for a fitter: the best hypothesis is the one whose direction is nearest to a given one, and fits stay there."""

    def __init__(self, model, direction):
        self.model, self.limited, self.evaluator, self.direction = model, None, self, direction
        self.coordinates = SimpleNamespace(outside=lambda rows: "")

    def start(self, rows):
        return rows

    def value(self, batch, which, unknown, rows):
        return angle_between(unit_vectors(rows[:, 4], rows[:, 5]), self.direction)

    def __call__(self, events, seeds, to_beat=None):
        return [FitResult(own[0], -1.0, -1.0, None, Diagnostics(True, "converged", 0.0, 1, 0.0), ()) for own in seeds]


def test_a_radius_that_is_given_is_that_of_the_starts(loaded_detector, monkeypatch):
    """By the function and by a configuration; other directions need none, an impossible one is told."""
    trafo = Trafo(Beam.parameter_names, (0.0,) * 6, (1.0,) * 6, (False,) * 6, 0.0)
    model = Model(Beam(), {}, trafo, loaded_detector)
    event = build_event(np.array([2.0]), np.array([1e4]), np.array([30]), num_doms=108, readout=READOUT)
    vertex, fitter = np.asarray(loaded_detector.position, float)[30], NoFit(model, unit_vectors(0.7, 1.3))
    settings = ReconstructionSettings(seed="pulses", sphere_radius=700)
    # No rounds from other directions: these would ask for a likelihood.
    (given,) = fit_without_seeds(fitter, [event], sphere_radius=400.0, rounds=0)
    searched = "evgen_jax.reconstruction.run.file_fit.fit_without_seeds"
    monkeypatch.setattr(searched, partial(fit_without_seeds, rounds=0))
    (configured,) = fit_as_configured(fitter, [event], np.zeros((1, 1, 6)), settings)
    for fit, radius in ((given, 400.0), (configured, 700.0)):
        entry = radius * unit_vectors(fit.hypothesis[0], fit.hypothesis[1])
        flown, towards = np.linalg.norm(vertex - entry), unit_vectors(fit.hypothesis[4], fit.hypothesis[5])
        np.testing.assert_allclose((entry - vertex) / flown, towards, atol=1e-6)
        assert 1e4 - fit.hypothesis[2] == pytest.approx(flown / 0.299792458, abs=1e-3)
    assert refit_directions(fitter, [event], [given], rounds=0)[0].hypothesis is given.hypothesis
    with pytest.raises(
        ReconstructionError, match="no source of the model has one. Give it to .* `fit_without_seeds` and a key"
    ):
        fit_without_seeds(fitter, [event])
    with pytest.raises(ReconstructionError, match="sphere_radius: expected a finite number > 0, got 0"):
        fit_without_seeds(fitter, [event], sphere_radius=0)
    with pytest.raises(
        ReconstructionError, match="got 500 m, but the hypothesis is one cascade, which enters no sphere"
    ):
        make_starts(analytic_model(loaded_detector), fitter.evaluator, 500.0)


def test_directions_of_seeds_are_not_relied_on_where_light_scatters_little(loaded_detector, small_detector_csv):
    """In sea water one seed ends in a false minimum more often than not; in ice it does not, and costs less."""
    water = load_detector(small_detector_csv, medium="mediterranean_water")
    cascade, track = (
        analytic_model(water, ModelSettings(model_class=name, config=config))
        for name, config in (("AnalyticCascadeModel", {}), ("AnalyticSphereTrackModel", {"sphere_radius": 500.0}))
    )
    two = ModelSettings(
        model_class="IndependentMultiSource", config={"sources": {"one": "cascade", "two": "cascade"}},
        multi_source_bases={"cascade": ModelSettings(model_class="AnalyticCascadeModel")},
    )  # fmt: skip
    at_table = {"seed": "SmearedSeed"}
    held = {"minimize_parameter_dict": {"zenith": False}}
    for model, given, expected in (
        (cascade, at_table, True),
        (track, at_table, True),
        (cascade, at_table | {"refit_directions": False}, False),
        (cascade, {"seed": "x_parameters"}, False),
        (cascade, {"seed": "x_parameters", "refit_directions": True}, True),
        (cascade, at_table | {"reco_optimizer_interface": "scipy"}, False),
        (cascade, at_table | held, False),
        (analytic_model(water, two), at_table, False),
        (analytic_model(loaded_detector), at_table, False),
        (analytic_model(loaded_detector), at_table | {"refit_directions": True}, True),
    ):
        settings = ReconstructionSettings.model_validate(given)
        assert with_other_directions(make_configured_fitter(model, settings), settings) is expected, given


def test_entering_tracks_start_where_the_sphere_is_entered(loaded_detector):
    track = analytic_model(
        loaded_detector, ModelSettings(model_class="AnalyticSphereTrackModel", config={"sphere_radius": 500.0})
    )
    shape = Shape(track, None)
    vertex, direction = np.array([[10.0, 20.0, 30.0]]), unit_vectors(0.7, 1.3)[None]
    (row,) = shape.hypotheses(np.zeros(len(track.parameter_names)), vertex, np.array([1e4]), direction, np.array([1e3]))
    entry = shape.radius * unit_vectors(row[0], row[1])
    flown = vertex[0] - entry
    np.testing.assert_allclose(flown / np.linalg.norm(flown), -direction[0], atol=1e-9)
    assert 1e4 - row[track.parameter_names.index("entry_t")] == pytest.approx(np.linalg.norm(flown) / 0.299792458)
    assert spread_directions(24).shape == (24, 3)
