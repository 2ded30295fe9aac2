"""Errors of fits, the Cramer-Rao bound below them, and what uncertainties are worth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.sources import identity_trafo
from evgen_jax.reconstruction.fit.covariance import Covariance
from evgen_jax.reconstruction.fit.result import Diagnostics, FitResult
from evgen_jax.report.recovery import Recovery, bound_errors, cascade_errors, confidence_levels, coverage, medians
from evgen_jax.simulation.information import fisher_information

TRUTH = np.array([10.0, 0.0, 0.0, np.pi / 2, 1.0, 1000.0, 10000.0])
READOUT = (0.0, 20000.0)


class Lamp(eg.LinenSource):
    """Shines with exp(brightness) photoelectrons into every module, for exp(duration) ns on average after `time` 0."""

    parameters = (eg.Parameter("brightness", role="other"), eg.Parameter("duration", role="other"))

    @eg.compact
    def __call__(self, hypothesis, event, detector, cumulative=False):
        charge = jnp.exp(hypothesis[0]) * jnp.ones(detector.num_doms)
        time, dom = event.pulses.time, event.active[event.pulses.slot]
        density = charge[dom] * jnp.exp(-time / jnp.exp(hypothesis[1]) - hypothesis[1])
        return eg.LightYield(charge, charge, 0 * charge, density, None)

    @eg.compact
    def draw_times(self, key, hypothesis, event, detector, dom):
        return jnp.exp(hypothesis[1]) * jax.random.exponential(key, dom.shape)


def test_information_of_charges_and_times_has_its_closed_form(loaded_detector):
    """Of a Poisson charge q the information on ln q is q, of an exponential time that on ln tau is 1 a photoelectron."""
    lamp = Lamp()
    model = eg.Model(lamp, {}, identity_trafo(lamp.parameter_names), loaded_detector)
    hypotheses = np.log([[0.5, 300.0], [2.0, 200.0]])
    found = fisher_information(model, hypotheses, READOUT, jax.random.key(1), repeats=40)
    charge = np.exp(hypotheses[:, 0]) * loaded_detector.num_doms
    for own, expected in zip(found, charge, strict=True):
        few = expected / np.sqrt(40 * expected)  # one standard deviation of the photoelectrons of 40 events
        assert own[0, 0] == pytest.approx(expected, abs=4 * few)
        assert own[1, 1] == pytest.approx(expected, abs=4 * np.sqrt(8) * few)  # kurtosis of the exponential
        assert abs(own[0, 1]) < 4 * few


def result(hypothesis, covariance=None, angular=np.nan):
    own = None
    if covariance is not None:
        own = Covariance(np.arange(7), covariance, covariance, covariance, covariance, angular, angular, False)
    return FitResult(hypothesis, 0.0, 0.0, own, Diagnostics(True, "", 0.0, 1, 0.0), ())


@pytest.fixture(scope="module")
def parameters(loaded_detector):
    return analytic_model(loaded_detector).parameters


def test_medians_of_errors_are_those_of_the_hypotheses(parameters):
    truth = np.tile(TRUTH, (3, 1))
    fitted = truth.copy()
    fitted[:, 0] += [3.0, 30.0, -4.0]
    fitted[:, 4] += np.radians([5.0, 2.0, -90.0])  # at the horizon an azimuth is an angle
    fitted[:, 5] *= np.exp([0.3, -0.1, 0.2])
    fitted[:, 6] += [-7.0, 100.0, 1.0]
    found = medians(cascade_errors(fitted, truth, parameters))
    assert found == pytest.approx({"vertex_m": 4.0, "angle_deg": 5.0, "log_energy": 0.2, "time_ns": 7.0}, rel=1e-6)


def test_errors_at_the_bound_have_the_widths_of_the_information(parameters):
    """3, 3 and 3 m, 0.05 rad on both axes of the sphere far from the horizon, 10 % and 2 ns; correlations widen them."""
    truth = np.tile(TRUTH, (4, 1))
    truth[:, 3] = 0.3
    width = np.array([3.0, 3.0, 3.0, 0.05, 0.05 / np.sin(0.3), 100.0, 2.0])
    information = np.tile(np.diag(width**-2.0), (4, 1, 1))
    found = medians(bound_errors(information, truth, parameters))
    normal = stats.norm.ppf(0.75)
    expected = (3 * stats.chi(3).median(), np.degrees(0.05) * stats.chi(2).median(), 0.1 * normal, 2 * normal)
    assert list(found.values()) == pytest.approx(expected, rel=0.06)
    correlated = np.diag(width**2)
    correlated[5, 6] = correlated[6, 5] = 0.9 * width[5] * width[6]
    one = np.tile(np.linalg.inv(correlated), (4, 1, 1))
    assert medians(bound_errors(one, truth, parameters))["time_ns"] == pytest.approx(2 * normal, rel=0.06)


def test_right_uncertainties_cover_and_narrow_ones_do_not(parameters):
    rng = np.random.default_rng(3)
    truth = np.tile(TRUTH, (2000, 1))
    width = np.array([3.0, 5.0, 2.0, 0.05, 0.05, 0.1, 4.0])  # the energy's in ln(1 + E)
    offset = width * rng.normal(size=truth.shape)
    fitted = truth + offset
    fitted[:, 5] = np.expm1(np.log1p(truth[:, 5]) + offset[:, 5])
    for scale, expected in ((1.0, (0.68,) * 4), (0.5, None)):
        fits = [result(h, np.diag((scale * width) ** 2), 0.05 * scale) for h in fitted]
        found = coverage(confidence_levels(fits, truth, parameters))
        assert list(found) == ["vertex", "direction", "log_energy", "time"]
        if expected:
            assert list(found.values()) == pytest.approx(expected, abs=0.04)
        else:
            assert max(found.values()) < 0.45
    nothing = confidence_levels([result(fitted[0])], truth[:1], parameters)
    assert nothing == Recovery(1.0, 1.0, 1.0, 1.0), "a fit without uncertainties covers nothing"
