"""What a notebook prints: fits, events, models and records say what they hold in a few lines, in words of the field."""

import re
from dataclasses import replace

import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax import sources
from evgen_jax.building.analytic import analytic_model
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.superposition import MultiSource
from evgen_jax.reconstruction.fit.coordinates import make_coordinates
from evgen_jax.reconstruction.fit.covariance import Covariance
from evgen_jax.reconstruction.fit.result import Diagnostics, FitResult
from evgen_jax.reconstruction.uncertainty.profile import Profile
from evgen_jax.simulation.events import EventSampler

VALUES = np.array([20.31, -30.0, 40.0, 1.1, 2.0, 3000.0, 10000.0])
WIDTHS = np.array([1.23, 2.0, 3.0, 0.05, 0.06, 0.1, 4.0])  # that of the energy is in ln(1 + p)
COMPOSITES = (
    "IndependentMultiSource",
    "StartingVariableMultiCascadeModel",
    "FiniteTrackMultiCascadeModel",
    "InfSphereTrackVariableMultiCascadeModel",
    "InfSphereTrackEquidistantCascadeModel",
)


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


def fitted(model, settings=None, hypothesis=VALUES, repaired=False, converged=True):
    coordinates = make_coordinates(model, settings or eg.FitSettings())
    free = coordinates.free
    physical = np.diag(WIDTHS[free] ** 2)
    covariance = Covariance(free, physical, physical, physical, 4 * physical, np.radians(2.7), 0.1, repaired)
    notes = Diagnostics(converged, "converged" if converged else "too many iterations", 3e-3, 57, 0.1)
    names = model.parameter_names
    return FitResult(np.array(hypothesis), -8123.414, -8140.2, covariance, notes, names, coordinates, 412, 387.2)


def test_a_summary_has_values_with_their_errors_and_units(model):
    text = fitted(model).summary()
    lines = text.splitlines()
    assert lines[0] == "Fit converged after 57 evaluations, gradient norm 0.003"
    assert lines[1] == "log-likelihood -8123.41, -8140.20 at the seed; 412 pulses, 387 PE"
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert rows["cascade_x"] == ["20.3", "+-", "1.23", "m"]
    assert rows["cascade_energy"] == ["3000", "+-", "300", "GeV"]  # 0.1 of 1 + 3000
    assert rows["cascade_time"] == ["10000.0", "+-", "4", "ns"]
    assert rows["direction"][:4] == ["known", "to", "2.7", "degrees"] and "warning" not in text


def test_a_seed_without_a_gradient_is_told(model):
    own = fitted(model)
    flat = replace(own, log_likelihood_seed=own.log_likelihood, diagnostics=replace(own.diagnostics, gradient_norm=0.0))
    assert [text for text in flat.warnings() if "too far from all light" in text] and not own.warnings()


def test_uncertainties_are_in_the_units_of_the_parameters(model):
    own = fitted(model)
    assert own.uncertainties()["cascade_energy"] == pytest.approx(300.1)
    assert own.uncertainties(sandwich=True)["cascade_x"] == pytest.approx(2.46)
    held = fitted(model, eg.FitSettings(free={"cascade_time": False}))
    assert np.isnan(held.uncertainties()["cascade_time"]) and "cascade_time" in held.as_dict()
    assert re.search(r"cascade_time +10000 \(held\) +ns", held.summary())
    assert all(np.isnan(value) for value in replace(own, covariance=None).uncertainties().values())


def test_warnings_name_bounds_convergence_and_hessian(model):
    bounds = eg.FitSettings(
        bounds={"cascade_energy": (1e2, 3e3), "cascade_z": (-500, 40.0002), "cascade_x": (-100, 100)}
    )
    own = fitted(model, bounds, repaired=True, converged=False)
    assert own.warnings() == [
        "the fit did not converge: too many iterations (gradient norm 0.003)",
        "cascade_z is at its bound of 40.0002 m",
        "cascade_energy is at its bound of 3000 GeV",
        "the Hessian is not positive definite: the uncertainties are not to be relied on",
    ]
    assert [line for line in own.summary().splitlines() if line.startswith("warning: ")] == [
        f"warning: {text}" for text in own.warnings()
    ]
    # A parabola around a bound says nothing: the value stands alone.
    (energy,) = [line for line in own.summary().splitlines() if line.startswith("  cascade_energy")]
    (x,) = [line for line in own.summary().splitlines() if line.startswith("  cascade_x")]
    assert "+-" not in energy and "3000" in energy and "+-" in x
    wide = fitted(model)
    wide = replace(wide, covariance=replace(wide.covariance, angular=2.0))
    assert wide.warnings() == ["the direction is not determined: the event has too little light for this hypothesis"]
    nothing = replace(fitted(model, converged=False), log_likelihood=np.nan, covariance=None)
    assert nothing.warnings() == ["there is no fit: too many iterations"]
    assert nothing.summary().startswith("Fit failed") and repr(nothing).startswith("FitResult(failed")


def test_a_fit_is_printed_on_one_line(model):
    assert repr(fitted(model)) == (
        "FitResult(converged, log-likelihood -8123.41, cascade_x=20.31, cascade_y=-30, cascade_z=40, cascade_zenith=1.1, "
        "cascade_azimuth=2, cascade_energy=3000, cascade_time=10000)"
    )
    names = tuple(f"p{i}" for i in range(100))
    many = FitResult(np.arange(100.0), -1.0, -2.0, None, Diagnostics(True, "", 0, 1, 0), names)
    assert len(repr(many)) < 250 and "100 parameters" in repr(many) and len(many.summary().splitlines()) == 102


def test_events_and_detectors_are_printed_shortly(model):
    event = eg.Event.from_pulses([1.2, 0.9], [9800.0, 9850.0], [2, 2], [3, 4], detector=model.detector)
    assert repr(event) == "Event: 2 pulses, 2.1 PE at 2 of 108 modules, readout 9700 to 9950 ns"
    batch = repr(eg.stack_events([event, event]))
    assert batch.startswith("Event(charge=float32[2, 108], ") and len(batch) < 500
    assert "position=float32[108, 3]" in repr(model.detector) and len(repr(model.detector)) < 800
    scan = Profile(("x",), (np.arange(3.0),), -np.arange(3.0), None)
    assert repr(scan) == "Profile(names=('x',), values=(float64[3]), log_likelihood=float64[3], hypothesis=None)"


def test_normalisations_and_samplers_are_printed_shortly(model):
    trafo = repr(model.trafo).splitlines()
    assert trafo[0] == "Trafo of 7 parameters: mean and standard deviation" and len(trafo) == 8
    assert trafo[6].split() == [
        "cascade_energy",
        f"{model.trafo.mean[5]:.5g}",
        "+-",
        f"{model.trafo.std[5]:.4g}",
        "of",
        "ln(1",
        "+",
        "p)",
    ]
    many = Trafo(tuple(f"p_{i}" for i in range(300)), (0.0,) * 300, (1.0,) * 300, (False,) * 300)
    assert len(repr(many).splitlines()) == 25 and repr(many).endswith("... and 277 more")
    assert repr(EventSampler(model, (9e5, 9.1e5))).endswith("in small, readout 900000 to 910000 ns")


@pytest.mark.parametrize("name", COMPOSITES)
def test_examples_of_sums_build_and_print_no_inner_names(name, model):
    example = getattr(sources, name).__doc__.split("Example:\n")[1]
    record = eval(" ".join(example.split()), {"sources": sources})  # noqa: S307 (the example itself)
    source = record.build()
    assert isinstance(source, MultiSource) and len(source.parameters) > 6
    printed = repr(replace(model, source=source, variables={}))
    assert not re.search(r"\b_\w", printed) and not re.search(r"\b_\w", repr(source)), printed
    assert len(printed.splitlines()) < 30


def test_help_says_where_to_read_on():
    for path in ("docs/first_event.md", "docs/how_it_works.md", "docs/how_to/"):
        assert path in eg.__doc__
