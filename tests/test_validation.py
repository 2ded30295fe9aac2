"""Validation of a model: light at the truth, pulls, checks, the command."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from evgen_jax.building.analytic import analytic_model
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.parameters import CASCADE, standard_parameters
from evgen_jax.reconstruction.fit.covariance import Covariance
from evgen_jax.reconstruction.fit.result import Diagnostics, FitResult
from evgen_jax.report.at_truth import compare_at_truth, largest_difference
from evgen_jax.report.pulls import half_width, pulls
from evgen_jax.report.validation import Check, Validation, summary, validate_model
from evgen_jax.simulation.events import EventSampler

READOUT = (0.0, 20000.0)


@pytest.fixture(scope="module")
def drawn(loaded_detector):
    """The analytic model, events drawn from it and their truth."""
    model = analytic_model(loaded_detector)
    rng = np.random.default_rng(4)
    count = 12
    truth = np.column_stack(
        [
            rng.uniform(-80, 80, (count, 3)),
            np.arccos(rng.uniform(-1, 1, count)),
            rng.uniform(0, 2 * np.pi, count),
            np.geomspace(2e3, 2e4, count),
            rng.uniform(9e3, 1e4, count),
        ]
    )
    return model, EventSampler(model, READOUT).events(truth, jax.random.key(3)), truth


def test_events_of_a_model_are_what_it_expects(drawn):
    model, events, truth = drawn
    found = compare_at_truth(model, events, truth)
    total = found.total
    assert total.measured[0] == pytest.approx(sum(float(e.charge[e.usable].sum()) for e in events))
    assert abs(total.ratio[0] - 1) < 3 * total.error[0] < 0.1
    for own in found.charges.values():
        assert own.measured.sum() == pytest.approx(total.measured[0]) and own.expected.sum() == pytest.approx(
            total.expected[0]
        )
        away = ((own.ratio - 1) / own.error)[np.isfinite(own.ratio)]
        assert np.abs(away).max() < 4 and len(away) > 3
    assert sum(band.measured.sum() for band in found.bands) == pytest.approx(total.measured[0])
    assert found.energy.sum() == pytest.approx(truth[:, 5].sum() * int(np.sum(events[0].usable)), rel=1e-6)
    # Showers throw more light ahead.
    near = slice(0, 6)
    before, behind = (
        band.expected[near].sum() / found.energy[i, near].sum()
        for i, band in ((2, found.bands[2]), (0, found.bands[0]))
    )
    assert before > 1.3 * behind
    assert largest_difference(found.shares.sum(axis=0)) < 2 / np.sqrt(found.pulses) + 0.01


def test_wrong_light_and_wrong_times_are_found(drawn):
    model, events, truth = drawn
    wrong = truth.copy()
    wrong[:, 5] *= 1.5
    wrong[:, 6] -= 60
    none = lambda *_: []  # noqa: E731
    found = validate_model(model, events, wrong, none, 0)
    values = {check.name: check for check in found.checks}
    scale = values["charge of all modules, measured / expected"]
    assert 0.6 < scale.value < 0.75 and not scale.passed
    times = next(check for name, check in values.items() if name.startswith("arrival times"))
    assert times.value > 0.1 and not times.passed
    assert "Not ready: " in summary("net", "files", found) and scale.advice in summary("net", "files", found)
    fine = validate_model(model, events, truth, none, 0)
    assert not fine.failing and "Ready: all" in summary("net", "files", fine)
    assert "But no fits decide little" in summary("net", "files", fine)
    with pytest.raises(DataError, match="at least one event"):
        compare_at_truth(model, [], truth[:0])


def test_bins_of_even_counts_differ_by_nothing():
    assert largest_difference(np.full(10, 7.0)) == pytest.approx(0)
    assert largest_difference([1, 0, 0, 0]) == pytest.approx(0.75)


def fit_of(hypothesis, sigmas, **changes):
    covariance = np.diag(np.square(sigmas))
    nothing = np.zeros_like(covariance)
    own = Covariance(np.arange(7), nothing, nothing, covariance, covariance, 0.1, 0.1, False)
    names = tuple(p.name for p in standard_parameters(CASCADE))
    return FitResult(
        np.asarray(hypothesis), -10.0, -13.0, replace(own, **changes), Diagnostics(True, "", 0.0, 1, 0.0), names
    )


def test_pulls_are_errors_over_uncertainties():
    parameters = standard_parameters(CASCADE)
    truth = np.array([1.0, 2.0, 3.0, 0.5, 6.2, 999.0, 50.0])
    sigmas = np.array([1.0, 2.0, 4.0, 0.1, 0.2, 0.05, 10.0])
    # 0.03 rad in azimuth across 2 pi, at sin(0.5): an arc of 0.0144 rad.
    at = truth + np.array([1.0, -2.0, 2.0, 0.05, 0.03 - 2 * np.pi, 1000 * np.expm1(0.1), 5.0])
    (found,) = pulls([fit_of(at, sigmas)], truth[None], parameters)
    np.testing.assert_allclose(found[[0, 1, 2, 5, 6]], [1, -1, 0.5, 2, 0.5], rtol=1e-6)
    np.testing.assert_allclose(found[3], 0.5, rtol=2e-2)
    np.testing.assert_allclose(found[4], 0.03 / 0.2, rtol=0.1)
    (repaired,) = pulls([fit_of(at, sigmas, repaired=True)], truth[None], parameters)
    assert np.isnan(repaired).all()
    (held,) = pulls([fit_of(at, sigmas[:2], free=np.array([0, 5]))], truth[None], parameters)
    assert np.isfinite(held[[0, 5]]).all() and np.isnan(held[[1, 2, 3, 4, 6]]).all()
    rng = np.random.default_rng(0)
    assert half_width(rng.normal(size=20000)) == pytest.approx(1, abs=0.02) and np.isnan(half_width(np.array([np.nan])))


def test_uncertainties_that_are_too_small_fail(drawn):
    model, events, truth = drawn
    rng = np.random.default_rng(1)
    sigmas = np.array([2.0, 2.0, 2.0, 0.1, 0.1, 0.1, 5.0])
    many = np.tile(truth, (10, 1))
    off = rng.normal(size=many.shape) * sigmas
    off[:, 4] /= np.sin(many[:, 3])
    at = many + off
    at[:, 5] = many[:, 5] * np.exp(off[:, 5])
    stated = sigmas / np.array([1, 2, 1, 1, 1, 1, 1])  # that of y is half of what it is
    fits = [fit_of(h, np.where(np.arange(7) == 4, stated / np.sin(h[3]), stated)) for h in at]
    found: Validation = validate_model(model, list(events) * 10, many, lambda *_: fits, len(fits))
    failing = {check.name for check in found.failing}
    assert (
        "width of the pulls of cascade_y" in failing
        and not {"width of the pulls of cascade_x", "width of the pulls of cascade_energy"} & failing
    )


def test_a_check_has_limits():
    check = Check("what", 1.0, 0.9, 1.0, "do something")
    assert check.passed and not check._replace(value=1.01).passed and not check._replace(value=float("nan")).passed


def test_the_command_writes_a_page(experiment, small_detector_csv, command, tmp_path, caplog):
    files = experiment / "events" / "small_00000[01].hdf5"
    given = ("validate", "icecube86-table", files, "--detector", small_detector_csv, "-o", tmp_path / "page")
    code, out, err = command(*given, "--events", "30", "--fits", "0")
    assert code == 0, err
    assert "labels by their columns: label_settings.label_key LabelsMCCascade" in caplog.text
    assert out.startswith("# Validation of icecube86-table") and "Ready: all" in out
    assert json.loads((tmp_path / "page" / "validation.json").read_text())["checks"][0]["passed"]
    page = (tmp_path / "page" / "index.html").read_text()
    for name in ("charges", "light", "arrival_times"):
        assert f"figures/{name}.png" in page and (tmp_path / "page" / "figures" / f"{name}.png").stat().st_size > 5000
    # Converted events are the events, with the labels that were kept.
    labels = "data_handler_settings.label_settings={label_key: LabelsMCCascade}"
    code, _, err = command("convert", files, "-o", tmp_path / "kept", "--detector", small_detector_csv, "--set", labels)
    assert code == 0, err
    kept = (
        "validate",
        "icecube86-table",
        tmp_path / "kept",
        "--detector",
        small_detector_csv,
        "-o",
        tmp_path / "again",
    )
    code, again, err = command(*kept, "--events", "30", "--fits", "0")
    assert code == 0, err
    assert again.splitlines()[4:-1] == out.splitlines()[4:-1]
    key = ("--set", "data_handler_settings.label_settings={label_key: SmearedSeed, trafo_log: [true]}")
    code, _, err = command(*given, *key)
    assert code == 2 and err.strip().splitlines()[-1].startswith("error: ")


@pytest.mark.nightly
def test_the_true_likelihood_is_ready(experiment, small_detector_csv, command, tmp_path):
    files = experiment / "events" / "small_*.hdf5"
    given = (
        "validate",
        "icecube86-table",
        files,
        "--detector",
        small_detector_csv,
        "-o",
        tmp_path / "page",
        "--fits",
        "40",
    )
    code, out, err = command(*given)
    assert code == 0, err
    assert "width of the pulls of cascade_x" in out and (tmp_path / "page" / "figures" / "pulls.png").exists()
