"""Every figure shows what it was given; none needs a fit: results, scans, sky maps and samples are made up."""

import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import jax
import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.image import imread
from scipy import stats

import evgen_jax as eg
from evgen_jax import plots
from evgen_jax.building.analytic import analytic_model
from evgen_jax.errors import ReconstructionError
from evgen_jax.measurement.event import build_event
from evgen_jax.measurement.site import ICECUBE
from evgen_jax.model.expectation import DomExpectation, make_dom_expectation
from evgen_jax.physics.sphere import angles, unit_vectors
from evgen_jax.reconstruction.fit.result import Diagnostics, FitResult
from evgen_jax.reconstruction.uncertainty.celestial import Celestial
from evgen_jax.reconstruction.uncertainty.pixels import pixel_vectors
from evgen_jax.reconstruction.uncertainty.posterior import Posterior
from evgen_jax.reconstruction.uncertainty.profile import Profile
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap
from evgen_jax.report.plots.arrival_times import arrival_times, brightest_doms, signal_window
from evgen_jax.report.plots.canvas import Drawing, empty, event_title, finished, styled, subplots, write
from evgen_jax.report.plots.charges import light_yield
from evgen_jax.report.plots.display import event_display
from evgen_jax.report.plots.expected import ExpectedCharges, expected_arrivals, expected_charges
from evgen_jax.report.plots.overview import Example, figures
from evgen_jax.report.plots.recovery import coverage, errors
from evgen_jax.report.plots.sky import sky_map
from evgen_jax.report.plots.training import Run, loss_curve, steps_per_second, training_curves
from evgen_jax.report.plots.uncertainty import corner, profile
from evgen_jax.report.recovery import Recovery

TRUTH = np.array([20.0, -30.0, 40.0, 1.1, 2.0, 3000.0, 10000.0])
BRIGHT, DIM, UNUSABLE = 17, 60, 5


@pytest.fixture
def drawn(tmp_path):
    """Checks that a figure can be written, and returns it."""

    def checked(figure: Drawing) -> Drawing:
        path = write(tmp_path / "drawn" / "figure.png", figure)
        height, width, _ = imread(path).shape  # a PNG, or matplotlib says what it is
        assert 200 < height < 2000 and 300 < width < 2000 and path.stat().st_size > 2000
        return figure

    return checked


@pytest.fixture(scope="module")
def model(loaded_detector) -> eg.Model:
    return analytic_model(loaded_detector)


@pytest.fixture(scope="module")
def event() -> eg.Event:
    """Ten pulses of 2 PE at one DOM, one of 1 PE at another, one at a DOM that takes no part; a window is excluded."""
    dom = np.array([BRIGHT] * 10 + [DIM, UNUSABLE])
    time = 10000.0 + np.array([*np.arange(10) * 50.0, 300.0, 100.0])
    charge = np.array([2.0] * 10 + [1.0, 50.0])
    return build_event(
        charge,
        time,
        dom,
        num_doms=108,
        readout=(0.0, 20000.0),
        usable=np.arange(108) != UNUSABLE,
        windows=np.array([[10700.0, 10800.0]]),
        window_dom=np.array([BRIGHT]),
    )


def empty_event(num_doms: int) -> eg.Event:
    none = np.zeros(0)
    return build_event(none, none, none.astype(int), num_doms=num_doms, readout=(0.0, 20000.0))


@pytest.fixture(scope="module")
def single() -> eg.Model:
    """A detector of one module, 30 m from the cascade."""
    detector = eg.Detector(
        position=np.float32([[20.0, 0.0, 40.0]]),
        relative_efficiency=np.ones(1, np.float32),
        noise_rate=np.full(1, 5e-7, np.float32),
        string=np.ones(1, np.int32),
        om=np.ones(1, np.int32),
        usable=np.ones(1, bool),
        name="single",
    )
    return analytic_model(detector)


def single_event() -> eg.Event:
    return build_event(np.ones(5), 10150.0 + np.arange(5) * 20.0, np.zeros(5, int), num_doms=1, readout=(0.0, 20000.0))


def made_up_view(charge: np.ndarray, variance: float) -> ExpectedCharges:
    return ExpectedCharges(charge, np.full(len(charge), variance))


def light_of(model: eg.Model, start: float, stop: float) -> DomExpectation:
    """At all DOMs at once, as users have it; figures compute it at the DOMs that they show."""
    return jax.jit(make_dom_expectation(model))(
        model.variables, TRUTH.astype(np.float32), np.linspace(start, stop, 200)
    )


def result(hypothesis: np.ndarray, names: tuple[str, ...]) -> FitResult:
    return FitResult(hypothesis, -100.0, -120.0, None, Diagnostics(True, "made up", 0.0, 1, 0.0), names)


def test_arrival_times_show_pulses_windows_and_expected_light(model, event, drawn):
    figure = drawn(arrival_times({"own": model}, event, TRUTH, 9))
    shown = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title() for axis in shown] == ["string 2, om 6: 20 PE", "string 6, om 1: 1 PE"]
    # Nine of ten pulses, 400 ns, with 75 ns on both sides; around a single pulse the shortest window.
    start, stop = 9925.0, 10475.0
    assert np.allclose(shown[0].get_xlim(), (start, stop)) and np.allclose(shown[1].get_xlim(), (10225.0, 10725.0))
    bars = [b for b in shown[0].patches if to_rgba(b.get_facecolor()) == to_rgba("0.8")]
    assert sum(bar.get_height() for bar in bars) == pytest.approx(20.0) and len(bars) == 40
    (line,) = shown[0].lines
    view = light_of(model, start, stop)
    assert line.get_label() == "own" and np.allclose(line.get_xdata(), np.linspace(start, stop, 200))
    width = (stop - start) / 40
    np.testing.assert_allclose(line.get_ydata(), width * float(view.charge[BRIGHT]) * view.pdf[BRIGHT], rtol=1e-5)
    assert line.get_ydata().max() > 0
    # The excluded window of this DOM, and none at the other.
    assert [len(axis.patches) for axis in shown] == [41, 40]
    assert figure.get_supxlabel() == "time (ns)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["pulses", "own"]
    named = drawn(arrival_times({"own": model}, event, TRUTH + 5, doms=[DIM], titles={DIM: ", late"}, truth=TRUTH))
    (axis,) = [axis for axis in named.axes if axis.axison]
    assert axis.get_title() == "string 6, om 1: 1 PE, late"
    fit, truth = axis.lines
    assert (fit.get_label(), truth.get_label(), truth.get_linestyle()) == ("own at the fit", "own at the truth", "--")
    at_truth = light_of(model, 10225.0, 10725.0)
    np.testing.assert_allclose(truth.get_ydata(), 12.5 * float(at_truth.charge[DIM]) * at_truth.pdf[DIM], rtol=1e-5)


def test_expected_light_of_figures_is_that_of_the_model(model, event):
    whole, doms = light_of(model, 9925.0, 10475.0), np.array([DIM, BRIGHT, 0])
    charges = expected_charges(model, event, TRUTH)
    np.testing.assert_allclose(charges.charge, whole.charge, rtol=1e-5)
    np.testing.assert_allclose(charges.variance, whole.variance, rtol=1e-5)
    some = expected_arrivals(model, event, TRUTH, doms, np.tile(np.linspace(9925.0, 10475.0, 200), (3, 1)))
    np.testing.assert_allclose(some.charge, whole.charge[doms], rtol=1e-5)
    np.testing.assert_allclose(some.pdf, whole.pdf[doms], rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(some.cdf, whole.cdf[doms], rtol=1e-4, atol=1e-6)


def test_a_window_follows_the_light_and_not_the_noise():
    light = 5000.0 + np.arange(40) * 10.0
    time, charge = np.append(light, [100.0, 19000.0]), np.append(np.full(40, 2.0), [1.0, 1.0])
    start, stop = signal_window(time, charge)
    assert 4900 < start < 5000 and 5390 < stop < 5600
    start, stop = signal_window(np.array([700.0]), np.array([1.0]))
    assert start < 700 < stop and stop - start == 500


def test_titles_name_event_energy_and_pulses(event):
    assert event_title("Run 1, event 3", 2300.0, event) == "Run 1, event 3: 2.3 TeV, 12 pulses, 71 PE"
    assert event_title("Run 1, event 3", 45.0, event) == "Run 1, event 3: 45 GeV, 12 pulses, 71 PE"
    assert event_title("Run 1, event 3", 1.25e7, event) == "Run 1, event 3: 12.5 PeV, 12 pulses, 71 PE"
    assert event_title("Run 1, event 3", None, event.replace(charge=event.charge / 3)).endswith("12 pulses, 24 PE")


def test_a_style_of_its_own_leaves_other_figures_alone(drawn):
    before = dict(matplotlib.rcParams)

    @styled
    def cycle():
        figure, axis = subplots(figsize=(4, 3))
        axis.plot([0, 1], label="one")
        return [line.get_color() for line in axis.lines], finished(figure, "a title above the figure")

    (color,), figure = cycle()
    drawn(figure)
    assert color == "#0072B2" and dict(matplotlib.rcParams) == before


def test_a_notebook_shows_what_a_file_holds(drawn, tmp_path):
    """With the title, which stands above the figure's own area; and nothing of pyplot is touched."""
    figure = profile(Profile(("x",), (np.arange(3.0),), -np.arange(3.0), None), title="a title")
    shown, written = BytesIO(figure._repr_png_()), tmp_path / "scan.png"
    figure.savefig(written)
    np.testing.assert_array_equal(imread(shown), imread(written))
    assert imread(written).shape[0] > figure.get_size_inches()[1] * 120
    script = "import sys, evgen_jax.plots as p; p.event_display, p.sky_map, p.corner; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda model, event: plots.event_display("demo", event, TRUTH), "expected a Model, got 'demo'"),
        (
            lambda model, event: plots.event_display(model, event, TRUTH[:3]),
            "a fit of 7 parameters .*got shape \\(3,\\)",
        ),
        (lambda model, event: plots.event_display(model, event, TRUTH, truth=TRUTH[:3]), "a truth of 7 parameters"),
        (lambda model, event: plots.arrival_times(model, [event], TRUTH), "expected one Event, got a list"),
        (lambda model, event: plots.arrival_times({}, event, TRUTH), "expected a model or {name: model}, got none"),
        (lambda model, event: plots.charges({"a": "demo"}, event, TRUTH), "expected a Model, got 'demo'"),
        (lambda model, event: plots.charges(model, empty_event(5), TRUTH), "the event has 5 DOMs"),
        (lambda model, event: plots.charges(model, event, failed(model)), "the fit failed \\(made up\\)"),
        (lambda model, event: plots.sky_map(TRUTH), "expected what .*make_sky_map.* gives .SkyMap., got"),
        (lambda model, event: plots.profile(TRUTH), "expected what .*scan_profile.* gives"),
        (lambda model, event: plots.corner(model, TRUTH, TRUTH), "expected what .*make_posterior_sampler.* gives"),
        (lambda model, event: plots.charge_ratios([event]), "expected what .*compare_at_truth.* gives"),
        (
            lambda model, event: plots.pull_histograms(model.parameter_names, np.ones((3, 2))),
            r"expected pulls \[E, 7\]",
        ),
        (lambda model, event: plots.errors(TRUTH), "expected {label: Recovery}"),
        (lambda model, event: plots.coverage({"own": TRUTH}), "expected what .*confidence_levels.* gives"),
        (lambda model, event: plots.training_curves("nowhere"), "nowhere: no such directory"),
    ],
)
def test_what_cannot_be_drawn_is_told(draw, message, model, event):
    with pytest.raises(eg.EvgenError, match=message):
        draw(model, event)


def failed(model: eg.Model) -> FitResult:
    return replace(result(TRUTH, model.parameter_names), log_likelihood=np.nan)


def test_a_fit_is_drawn_as_its_hypothesis(model, event):
    own = result(TRUTH, model.parameter_names)
    for draw in (plots.arrival_times, plots.charges, plots.event_display):
        by_fit, by_values = draw(model, event, own), draw(model, event, TRUTH)
        for one, other in zip(by_fit.axes, by_values.axes, strict=True):
            assert len(one.lines) == len(other.lines)
            for a, b in zip(one.lines, other.lines, strict=True):
                np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())


def test_title_and_notice_overprint_nothing(model, event, drawn):
    """They stand above and below everything that is drawn."""
    made, x = made_up_map(1.4, 2.0), np.linspace(-3, 3, 21)
    views = {"own": made_up_view(np.full(108, 16.0), 4.0)}
    words = {"title": "Run 1, event 3: 2.3 TeV, 412 pulses, 387 PE", "notice": "made up for a test"}
    levels = {"own": Recovery(*np.random.default_rng(0).uniform(0.01, 1, (4, 20)))}
    for figure in (
        arrival_times({"own": model}, event, TRUTH, **words),
        light_yield(views, event, model.detector, **words),
        event_display(model, event, TRUTH, truth=TRUTH + 1, seed=TRUTH + 9, **words),
        errors(levels, **words),
        coverage(levels, **words),
        loss_curve(metric_rows(30), **words),
        sky_map(made, (1.4, 2.0), **words),
        profile(
            Profile(("x", "y"), (x, x), -np.add.outer(x**2, x**2), None),
            ["m", "m"],
            [0, 0],
            **words,
        ),
    ):
        drawn(figure)
        title, notice = (
            next(text for text in figure.texts if text.get_text() == words[w]) for w in ("title", "notice")
        )
        renderer = figure.canvas.get_renderer()
        drawings = [*figure.axes, *figure.legends, *(t for t in figure.texts if t not in (title, notice))]
        for own in (title, notice):
            box = own.get_window_extent(renderer)
            for other in drawings:
                assert not box.overlaps(other.get_tightbbox(renderer)), f"{own.get_text()} and {other}"


def test_light_yield_shows_charges_and_pulls(model, event, drawn):
    expected = np.full(108, 0.1)
    expected[[BRIGHT, UNUSABLE]] = 16.0, 7.0
    views = {"own": made_up_view(expected, 4.0)}
    left, right = drawn(light_yield(views, event, model.detector)).axes
    # Two DOMs were hit and take part; one is expected to see more than half a photoelectron.
    np.testing.assert_allclose(np.transpose(left.lines[0].get_data()), [[20.0, 16.0], [1.0, 0.1]], rtol=1e-6)
    ((distance,), (pull,)) = right.lines[0].get_data()
    position = np.asarray(model.detector.position)
    centre = (20 * position[BRIGHT] + position[DIM]) / 21
    assert pull == pytest.approx((20 - 16) / 2)
    assert distance == pytest.approx(np.linalg.norm(position[BRIGHT] - centre), rel=1e-5)
    assert left.get_xscale() == left.get_yscale() == "log" and left.get_ylabel() == "expected charge (PE)"
    assert right.get_ylabel() == "(measured - expected) / sigma"


def test_event_display_shows_hit_modules_by_charge_and_first_time(model, event, drawn):
    moved = TRUTH + np.array([30.0, -20.0, 10.0, 0.3, -0.5, 100.0, 5.0])
    figure = drawn(event_display(model, event, TRUTH, truth=moved))
    position, panels, lengths = np.asarray(model.detector.position), figure.axes[:3], []
    for axis, (i, j) in zip(panels, ((0, 1), (0, 2), (1, 2)), strict=True):
        assert (axis.get_xlabel(), axis.get_ylabel()) == (f"{'xyz'[i]} (m)", f"{'xyz'[j]} (m)")
        (hits,) = axis.collections
        hit = [DIM, BRIGHT, UNUSABLE]  # the brightest on top
        np.testing.assert_allclose(hits.get_offsets(), position[hit][:, [i, j]])
        first = {UNUSABLE: 10100.0, BRIGHT: 10000.0, DIM: 10300.0}
        np.testing.assert_allclose(hits.get_array(), [first[d] for d in hit])
        size = dict(zip(hit, hits.get_sizes(), strict=True))
        assert size[BRIGHT] > size[DIM]
        # Truth, then the fit on top of it.
        for line, arrow, hypothesis in zip(axis.lines[-2:], axis.texts, (moved, TRUTH), strict=True):
            np.testing.assert_allclose(np.ravel(line.get_data()), hypothesis[[i, j]])
            flight = -unit_vectors(hypothesis[3], hypothesis[4])
            lengths.append(np.subtract(arrow.xy, arrow.xyann) / flight[[i, j]])
        assert all(axis.get_xlim()[0] < p < axis.get_xlim()[1] for p in (position[BRIGHT, i], TRUTH[i], moved[i]))
    np.testing.assert_allclose(lengths, lengths[0][0], rtol=1e-4)  # arrows of one length along the flight
    assert lengths[0][0] > 0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["truth", "fit"]
    assert figure.axes[3].get_ylabel() == "first pulse (ns)"


def test_an_empty_event_is_drawn(model, drawn):
    nothing = empty_event(108)
    assert len(brightest_doms(nothing, 9)) == 0
    figure = drawn(arrival_times({"own": model}, nothing, TRUTH))
    assert not any(axis.axison for axis in figure.axes)
    assert "no pulses at usable modules" in [text.get_text() for text in figure.texts]
    views = {"own": made_up_view(np.full(108, 4.0), 4.0)}
    left, right = drawn(light_yield(views, nothing, model.detector)).axes
    assert len(left.lines[0].get_xdata()) == 0
    np.testing.assert_allclose(right.lines[0].get_ydata(), -2.0)
    figure = drawn(event_display(model, nothing, TRUTH))
    assert all(len(axis.collections[0].get_offsets()) == 0 for axis in figure.axes[:3])


def test_a_detector_of_one_module_is_drawn(single, drawn):
    event = single_event()
    axes = drawn(arrival_times({"own": single}, event, TRUTH)).axes
    (shown,) = [axis for axis in axes if axis.axison]
    assert shown.get_title() == "string 1, om 1: 5 PE" and shown.lines[0].get_ydata().max() > 0
    views = {"own": made_up_view(np.array([4.0]), 4.0)}
    left, right = drawn(light_yield(views, event, single.detector)).axes
    np.testing.assert_allclose(np.ravel(left.lines[0].get_data()), [5.0, 4.0])
    np.testing.assert_allclose(np.ravel(right.lines[0].get_data()), [0.0, 0.5], atol=1e-5)
    figure = drawn(event_display(single, event, TRUTH))
    np.testing.assert_allclose(figure.axes[0].collections[0].get_offsets(), [[20.0, 0.0]])


def test_a_scan_of_one_parameter_is_a_curve_with_its_levels(drawn):
    energy = np.linspace(900.0, 1100.0, 21)
    value = -0.5 * ((energy - 1000.0) / 30.0) ** 2
    value[3] = np.nan  # a fit that failed
    scan = Profile(("energy",), (energy,), value, np.zeros((21, 7)))
    (axis,) = drawn(profile(scan, ["GeV"], [1010.0])).axes
    np.testing.assert_allclose(axis.lines[0].get_xdata(), energy)
    seen = np.isfinite(value)
    np.testing.assert_allclose(axis.lines[0].get_ydata()[seen], ((energy - 1000.0) / 30.0)[seen] ** 2, atol=1e-9)
    assert [line.get_ydata()[0] for line in axis.lines[1:3]] == pytest.approx([1.0, 4.0], abs=1e-3)
    assert list(axis.lines[3].get_xdata()) == [1010.0, 1010.0] and axis.lines[3].get_label() == "truth"
    assert axis.get_xlabel() == "energy (GeV)" and axis.get_ylabel() == "2 (best - log-likelihood)"
    assert [text.get_text().strip() for text in axis.texts] == ["68 %", "95 %"]


def test_a_scan_of_two_parameters_has_contours_at_the_right_place(drawn):
    x, charge = np.linspace(-20.0, 20.0, 81), np.linspace(0.0, 2.0, 81)
    value = -0.5 * ((x[:, None] / 5.0) ** 2 + ((charge - 1.0) / 0.2) ** 2)
    value[0, 0] = np.nan
    scan = Profile(("x", "scale"), (x, charge), value, np.zeros((81, 81, 7)))
    axis, bar = drawn(profile(scan, ["m", ""], [2.0, 1.1])).axes
    assert (axis.get_xlabel(), axis.get_ylabel(), bar.get_ylabel()) == ("x (m)", "scale", "2 (best - log-likelihood)")
    mesh, contours = axis.collections
    assert [text.get_text() for text in contours.labelTexts] == ["50 %", "90 %"]
    best, truth = axis.lines
    assert np.ravel(best.get_data()) == pytest.approx([0.0, 1.0]) and list(np.ravel(truth.get_data())) == [2.0, 1.1]
    assert np.nanmax(mesh.get_array()) == 25 and np.nanmin(mesh.get_array()) == 0
    for path, level in zip(contours.get_paths(), (0.5, 0.9), strict=True):
        radius = np.hypot(path.vertices[:, 0] / 5.0, (path.vertices[:, 1] - 1.0) / 0.2)
        np.testing.assert_allclose(radius, np.sqrt(stats.chi2.ppf(level, 2)), rtol=0.01)


KAPPA, ORDER = 60.0, 4


def made_up_map(zenith: float, azimuth: float) -> SkyMap:
    """The whole sky in pixels of one size, a von Mises-Fisher distribution around a direction; one pixel has no fit."""
    pixels = np.arange(12 * 4**ORDER)
    value = KAPPA * (pixel_vectors(ORDER, pixels) @ unit_vectors(zenith, azimuth))
    value[np.argmin(value)] = np.nan
    return SkyMap(np.full(len(pixels), ORDER), pixels, value, np.zeros((len(pixels), 7)), len(pixels))


def test_a_celestial_map_is_drawn_by_right_ascension_and_declination(drawn):
    pytest.importorskip("astropy")
    frame = Celestial(ICECUBE, 58018.87)
    made = replace(made_up_map(1.4, 2.0), celestial=frame)  # right ascension 2 rad
    truth = tuple(float(a) for a in angles(frame.to_detector(unit_vectors(1.5, 2.1))))
    whole, near, _ = drawn(sky_map(made, truth)).axes
    for axis in (whole, near):
        place = {line.get_label(): np.ravel(line.get_data()) for line in axis.lines if line.get_marker() in "*o"}
        ra, declination = axis.coords[0]._transform.transform(place["truth"][None]).T
        assert (ra[0], declination[0]) == pytest.approx((np.degrees(2.1), 90 - np.degrees(1.5)), abs=1e-6)
        assert place["truth"][0] < place["fit"][0]  # right ascension grows to the left
    assert near.coords[0].get_axislabel() == "right ascension (deg)"


@pytest.mark.parametrize("azimuth", [2.0, 0.02])
def test_a_sky_map_has_contours_and_truth_at_the_right_place(azimuth, drawn):
    """Also where azimuths on both sides of 0 are near each other."""
    pytest.importorskip("astropy_healpix")
    pytest.importorskip("astropy")
    made = made_up_map(1.4, azimuth)
    best = int(np.nanargmax(made.log_likelihood))
    truth, seed = (1.45, azimuth + 0.1), (1.2, azimuth)
    whole, near, bar = drawn(sky_map(made, truth, seed)).axes

    def towards(axis, pixels):
        """Directions (unit vectors) of pixels [N, 2] of the axis, from the numbers of its graticule."""
        azimuths, zeniths = axis.coords[0]._transform.transform(np.reshape(pixels, (-1, 2))).T
        return unit_vectors(np.radians(zeniths), np.radians(azimuths))

    for axis in (whole, near):
        marks = {
            line.get_label(): towards(axis, np.ravel(line.get_data()))
            for line in axis.lines
            if line.get_marker() in "*os"
        }
        expected = {"fit": made.direction[best], "seed": unit_vectors(*seed), "truth": unit_vectors(*truth)}
        assert marks.keys() == expected.keys()
        for name, vector in expected.items():
            np.testing.assert_allclose(marks[name][0], vector, atol=1e-6)
        (image,) = axis.images
        shown = image.get_array()
        rows = np.array([np.unravel_index(np.argmin(shown), shown.shape)[::-1]])
        assert np.arccos(towards(axis, rows)[0] @ made.direction[best]) < np.radians(4.0), (
            "the best pixel is the brightest"
        )
        assert [coordinate.get_ticklabel_visible() for coordinate in axis.coords] == [True, True]
    contours = next(c for c in near.collections if hasattr(c, "labelTexts"))
    assert [text.get_text() for text in contours.labelTexts] == ["50 %", "90 %"]
    for lines, level in zip(contours.allsegs, (0.5, 0.9), strict=True):
        away = np.degrees(np.arccos(towards(near, np.concatenate(lines)) @ unit_vectors(1.4, azimuth)))
        # Pixels are 3.7 degrees wide, and their best one is where the likelihood ratio begins.
        np.testing.assert_allclose(np.median(away), np.degrees(np.sqrt(stats.chi2.ppf(level, 2) / KAPPA)), rtol=0.1)
    areas = [float(part.split(": ")[1].split()[0]) for part in near.get_title().split(", ")]
    assert areas == pytest.approx([made.contour_area(0.5), made.contour_area(0.9)], rel=1e-2)
    upper, lower = towards(near, [[150.0, 290.0], [150.0, 10.0]])
    assert upper[2] > lower[2], "zenith grows downwards"
    assert bar.get_ylabel() == "2 (best - log-likelihood)"


def test_a_sky_map_without_astropy_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "evgen_jax.report.plots.sky_frame", None)
    with pytest.raises(ReconstructionError, match=r"pip install 'evgen_jax\[sky\]'"):
        sky_map(made_up_map(1.4, 2.0))
    assert not list(tmp_path.iterdir())


def test_a_corner_plot_holds_all_parameters_that_vary(model, drawn):
    pytest.importorskip("corner")
    best = TRUTH.copy()
    best[4] = 0.05  # samples lie on both sides of azimuth 0
    width = np.array([3.0, 3.0, 2.0, 0.1, 0.1, 200.0, 0.0])
    samples = best + width * np.random.default_rng(1).normal(size=(2, 300, 7))
    samples[..., 4] %= 2 * np.pi
    posterior = Posterior(samples, np.zeros((2, 300)), np.ones(2), 0, np.ones(6), np.full(6, 600.0))
    figure = drawn(corner(model, posterior, best, truth=best + width))
    axes = np.array(figure.axes).reshape(6, 6)  # time does not vary
    names = [axis.get_xlabel() for axis in axes[-1]]
    assert names == [
        "cascade_x (m)",
        "cascade_y (m)",
        "cascade_z (m)",
        "cascade_zenith (rad)",
        "cascade_azimuth (rad)",
        "cascade_energy (GeV)",
    ]
    for i in range(6):
        lines = sorted(float(line.get_xdata()[0]) for line in axes[i, i].lines)
        true = best[i] + width[i]
        assert all(np.min(np.abs(np.subtract(lines, value))) < 1e-9 for value in (best[i], true)), (
            "fit and truth are marked"
        )
        own = samples[..., i].ravel()
        if i == 4:
            own = (own + np.pi) % (2 * np.pi) - np.pi
        low, middle, high = np.quantile(own, [0.16, 0.5, 0.84])
        others = [line for line in lines if min(abs(line - best[i]), abs(line - true)) > 1e-9]
        np.testing.assert_allclose(others, [low, middle, high], rtol=1e-3, atol=1e-3)


def metric_rows(count: int) -> list[dict]:
    return [
        {"kind": kind, "step": 10 * i, "loss_per_pe": level - 0.01 * i}
        for kind, level in (("training", 8.0), ("validation", 9.0))
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [0, 2, 30])
def test_loss_curve_shows_every_number_and_a_running_median(count, drawn):
    (axis,) = drawn(loss_curve(metric_rows(count))).axes
    dots = [line for line in axis.lines if line.get_marker() == "."]
    assert all(line.get_linestyle() == ("None" if count >= 9 else "-") for line in dots), "a few numbers are joined"
    for line, level in zip(dots, (8.0, 9.0), strict=True):
        np.testing.assert_allclose(line.get_xdata(), 10 * np.arange(count))
        np.testing.assert_allclose(line.get_ydata(), level - 0.01 * np.arange(count))
    medians = [line for line in axis.lines if line not in dots]
    assert len(medians) == (2 if count >= 9 else 0)
    for line, level in zip(medians, (8.0, 9.0), strict=False):  # of a straight line: itself, away from its ends
        np.testing.assert_allclose(line.get_ydata(), level - 0.001 * line.get_xdata())
    assert axis.get_xlabel() == "training step" and axis.get_ylabel() == "loss per photoelectron"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["training", "validation"]


def test_curves_of_several_trainings_lie_over_each_other(drawn):
    times = [{"step": s, "time": t} for s, t in ((0, 0.0), (100, 10.0), (200, 15.0), (200, 900.0), (300, 905.0))]
    rows = [row | {"gradient_norm": 5.0, "learning_rate": 1e-3} for row in metric_rows(30)]
    runs = [Run("one", rows, times, true_loss=7.5), Run("two", metric_rows(3))]
    train, validation, norm, speed, rate = drawn(training_curves(runs, title="two runs")).axes
    names = [text.get_text() for text in validation.get_legend().get_texts()]
    assert names == ["one", "one: true likelihood", "two"] and validation.get_ylim()[0] < 7.5
    np.testing.assert_allclose(steps_per_second(times), [[100, 200, 300], [10, 20, 20]])  # without the pause
    np.testing.assert_allclose(speed.lines[0].get_ydata(), [10, 20, 20])
    np.testing.assert_allclose(norm.lines[0].get_ydata(), 5.0)
    np.testing.assert_allclose(rate.lines[0].get_ydata(), 1e-3)
    assert train.lines[0].get_xdata().tolist() == [10 * i for i in range(30)]


def test_errors_are_cumulative_distributions_of_all_four(drawn):
    found = {
        "seeds": Recovery(np.full(4, 30.0), np.full(4, 60.0), np.full(4, 0.5), np.full(4, 90.0)),
        "own": Recovery(
            np.array([3.0, 1.0, 4.0, 2.0]),
            np.array([9.0, 5.0, 7.0, 6.0]),
            np.array([0.1, 0.4, 0.3, 0.2]),
            np.arange(1.0, 5),
        ),
    }
    figure = drawn(errors(found))
    assert [axis.get_xlabel() for axis in figure.axes] == [
        "vertex error (m)",
        "opening angle (deg)",
        "|ln(E / E_true)|",
        "time error (ns)",
    ]
    for axis, own in zip(figure.axes, found["own"], strict=True):
        seeds, curve = axis.lines[:2]
        np.testing.assert_allclose(curve.get_data(), [np.sort(own), [0.25, 0.5, 0.75, 1.0]])
        assert axis.get_xscale() == "log" and seeds.get_label() == "seeds"
        assert f"{np.median(own):.3g}" in axis.get_title(loc="left")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seeds", "own"]


def test_coverage_is_the_share_of_events_within_a_level(drawn):
    levels = Recovery(*np.array([[0.2, 0.9, 0.5, 0.7]] * 4))
    axes = drawn(coverage({"own": levels})).axes
    assert [axis.get_title(loc="left") for axis in axes] == ["vertex", "direction", "energy", "time"]
    for axis in axes:
        np.testing.assert_allclose(axis.lines[1].get_data(), [[0.2, 0.5, 0.7, 0.9], [0.25, 0.5, 0.75, 1.0]])


@pytest.mark.parametrize("mapped", [True, False])
def test_figures_of_a_run_show_an_event_in_both_lights(mapped, model, event, drawn, monkeypatch, tmp_path):
    twice = replace(model, detector=model.detector.replace(relative_efficiency=2 * model.detector.relative_efficiency))
    example = Example(
        "Run 1, event 3", event, TRUTH, TRUTH + 2, TRUTH + 1, made_up_map(1.1, 2.0) if mapped else None, "true"
    )
    found = {"own": Recovery(*np.random.default_rng(0).uniform(0.01, 1, (4, 20)))}
    directory, by_name = tmp_path / "figures", {}

    def keep(path, figure):
        by_name[path.name] = drawn(figure)
        return write(path, figure)

    monkeypatch.setattr("evgen_jax.report.plots.overview.write", keep)
    drawings = figures(
        directory, {"trained": twice, "true": model}, example, found, found, metric_rows(30), "20 events"
    )
    paths = sorted(path.name for path in directory.iterdir())
    names = ["arrival_times.png", "coverage.png", "errors.png", "event.png", "light_yield.png", "loss.png"]
    assert paths == names + ["sky_map.png"] * mapped == sorted(path.name for _, path in drawings)
    assert sorted(by_name) == paths
    title = "Run 1, event 3: 3 TeV, 12 pulses, 71 PE"
    for name in ("event.png", "arrival_times.png", "light_yield.png", *["sky_map.png"] * mapped):
        assert any(text.get_text().startswith(title) for text in by_name[name].texts), name
    assert any(text.get_text() == "20 events" for text in by_name["errors.png"].texts)
    left, _ = by_name["light_yield.png"].axes
    (measured, double), (_, once) = (line.get_data() for line in left.lines[:2])
    assert list(measured) == [20, 1]
    # Noise, 0.01 PE at each module, is not what the efficiency doubles.
    np.testing.assert_allclose(double - 0.01, 2 * (once - 0.01), rtol=0.02, atol=1e-6)
    legend = by_name["arrival_times.png"].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["pulses", "trained", "true"]


def test_the_title_stands_above_a_wide_legend(tmp_path):
    """In the file, which is cut to what is drawn: a legend at the upper edge of the figure would move with that of the file."""
    figure = empty(figsize=(9, 3), layout="constrained")
    axes = figure.subplots(1, 2)
    for number in range(5):
        axes[0].plot([0, 1], label=f"a likelihood with a name, {number}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=5)
    boxes = []

    def look(drawing):
        boxes.append([own.get_window_extent(drawing.renderer) for own in (*figure.texts[:1], *figure.legends)])

    figure.canvas.mpl_connect("draw_event", look)
    write(tmp_path / "figure.png", finished(figure, "Run 1, event 2: a title that reaches below the legend"))
    title, legend = boxes[-1]
    assert not title.overlaps(legend) and title.y0 >= legend.y1


def test_a_corner_plot_of_few_samples_says_nothing_and_draws_points(model, drawn, caplog, capfd):
    pytest.importorskip("corner")
    width = np.array([3.0, 3.0, 2.0, 0.1, 0.1, 200.0, 10.0])

    def posterior(count: int, width: np.ndarray) -> Posterior:
        samples = TRUTH + width * np.random.default_rng(1).normal(size=(1, count, 7))
        return Posterior(samples, np.zeros((1, count)), np.ones(1), 0, np.ones(6), np.full(6, 600.0))

    figure = drawn(corner(model, posterior(20, width), TRUTH))
    assert not figure.axes[7].collections, "no contours"
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ReconstructionError, match="of 7 parameters that vary needs more than 5 samples"):
        corner(model, posterior(5, width), TRUTH)
    with pytest.raises(ReconstructionError, match="every parameter is the same in all of these"):
        corner(model, posterior(20, 0 * width), TRUTH)
