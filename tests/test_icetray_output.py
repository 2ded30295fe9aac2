"""What fits, samples and maps write into frames: records in, named numbers out, without IceTray."""

import numpy as np
import pytest

from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.parameters import further_cascades, loss_parameters, standard_parameters
from evgen_jax.icetray.fit_frames import FrameFit, sensor_labels
from evgen_jax.icetray.output import (
    both_cascades,
    covariance_maps,
    covariance_of_frame,
    fit_of_numbers,
    named_numbers,
    particle_of_fit,
    wrapped,
)
from evgen_jax.icetray.records import FitStatus, Particle
from evgen_jax.icetray.samples import posterior_numbers, sky_map_numbers
from evgen_jax.icetray.settings import PARAMETERS, checked_values, fit_settings_of, model_directories, seed_rules_of
from evgen_jax.reconstruction.fit.covariance import Covariance
from evgen_jax.reconstruction.fit.result import Diagnostics, FitResult
from evgen_jax.reconstruction.starts.two_cascades import find_two_cascades
from evgen_jax.reconstruction.uncertainty.posterior import Posterior
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap

CASCADE = standard_parameters(("x", "y", "z", "zenith", "azimuth", "energy", "time"))
ONE = np.array([1.0, 2.0, 3.0, 1.1, 2.2, 1000.0, 9000.0])
LOG = (False, False, False, False, False, True, False)
DEFAULTS = {name: default for name, (default, _) in PARAMETERS.items()}


def fit_of(hypothesis, status=FitStatus.OK, covariance=None):
    notes = Diagnostics(True, "converged", 1e-3, 20, 0.5, 1)
    result = FitResult(hypothesis, -100.0, -120.0, covariance, notes, ())
    return FrameFit(status, "converged", hypothesis, hypothesis + 1, "Seed", result)


def test_numbers_of_a_fit_have_the_names_of_the_reference():
    matrix = np.diag([4.0, 0.04])
    covariance = Covariance(np.array([0, 5]), matrix, 4 * matrix, matrix, 4 * matrix, 0.1, 0.2, False)
    numbers = named_numbers(fit_of(ONE, covariance=covariance), CASCADE, LOG)
    assert (numbers["loss_reco"], numbers["loss_seed"], numbers["minimization_success"]) == (100, 120, 1)
    assert (numbers["x"], numbers["x_seed"], numbers["x_unc"], numbers["x_unc_sandwich"]) == (1, 2, 2, 4)
    assert numbers["energy_unc"] == pytest.approx(0.2 * 1001) and numbers["angular_unc"] == 0.1
    assert np.array_equal(fit_of_numbers(numbers, CASCADE), ONE)
    maps = covariance_maps(covariance, [p.name for p in CASCADE], LOG)
    assert set(maps) == {f"cov_matrix_cov{end}" for end in ("", "_sand", "_trafo", "_sand_trafo")}
    assert maps["cov_matrix_cov"] == {"x_x": 4.0, "x_log_energy": 0.0, "log_energy_log_energy": 0.04}


def test_events_without_a_fit_have_the_names_of_all_others():
    """tableio takes the columns of a table from the first event, and stops the job at a name that it lacks."""
    matrix = np.diag([4.0, 0.04])
    covariance = Covariance(np.array([0, 5]), matrix, matrix, matrix, matrix, 0.1, 0.2, False)
    nothing = np.full(7, np.nan)
    failed = FrameFit(FitStatus.MISSING_SEED, "no seed", nothing, nothing)
    good, bad = (named_numbers(fit, CASCADE, LOG, (0, 5), True) for fit in (fit_of(ONE, covariance=covariance), failed))
    assert list(good) == list(bad) and np.isnan(bad["energy_unc"]) and np.isnan(bad["goodness_of_fit_1sided"])
    names = [p.name for p in CASCADE]
    found = covariance_of_frame(failed, (0, 5))
    assert [list(own) for own in covariance_maps(found, names, LOG).values()] == [
        list(own) for own in covariance_maps(covariance, names, LOG).values()
    ]
    assert covariance_of_frame(failed, ()) is None
    posterior = Posterior(np.tile(ONE, (2, 4, 1)), np.ones((2, 4)), np.ones(2), 0, np.ones(7), np.ones(7))
    numbers, _ = posterior_numbers(posterior, CASCADE, (0.5,))
    assert np.isnan(numbers["MCMC_Kent__kappa"]) and numbers["MCMC_energy_median"] == 1000  # the direction is fixed
    for make in (lambda own: posterior_numbers(own, CASCADE, (0.5,)), lambda own: sky_map_numbers(own, CASCADE)):
        without, arrays = make(None)
        assert np.isnan(list(without.values())).all() and arrays == {}
    assert list(numbers) == list(posterior_numbers(None, CASCADE, (0.5,))[0])


def test_directions_are_wrapped_and_particles_are_what_they_are():
    odd = ONE.copy()
    odd[3:5] = [-0.2, 7.0]
    assert wrapped(odd, CASCADE)[3:5] == pytest.approx([0.2, (7.0 + np.pi) % (2 * np.pi)])
    found = particle_of_fit(fit_of(odd), CASCADE)
    assert (found.shape, found.kind, found.status) == ("Cascade", "EMinus", FitStatus.OK) and np.isnan(found.length)
    track = standard_parameters(("entry_zenith", "entry_azimuth", "entry_time", "entry_energy", "zenith", "azimuth"))
    found = particle_of_fit(
        fit_of(np.array([1.0, 2.0, 8000.0, 5e3, 1.1, 2.1]), FitStatus.FAILED_TO_CONVERGE), track, 500.0
    )
    assert (found.shape, found.kind, found.energy, found.status) == ("InfiniteTrack", "MuMinus", 5e3, 30)
    assert np.linalg.norm([found.x, found.y, found.z]) == pytest.approx(500)
    finite = standard_parameters(("x", "y", "z", "zenith", "azimuth", "time", "length")) + loss_parameters(2)
    found = particle_of_fit(fit_of(np.array([1.0, 2, 3, 1, 2, 9000, 300, 10, 20])), finite)
    assert (found.shape, found.length) == ("ContainedTrack", 300)
    muon = CASCADE + further_cascades(1, 4)
    assert particle_of_fit(fit_of(np.concatenate([ONE, np.ones(6)])), muon).shape == "StartingTrack"


def test_both_cascades_have_their_place_energy_and_time():
    parameters = CASCADE + further_cascades(1, 2)
    fit = fit_of(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 100.0, 9000.0, 300.0, 30.0]))
    first, second = both_cascades(fit, parameters, find_two_cascades(parameters))
    assert (first.energy, second.energy, first.z) == (100, 300, 0)
    assert second.z == pytest.approx(-30) and second.time == pytest.approx(9000 + 30 / 0.299792458)
    numbers = named_numbers(fit, parameters, LOG + (True, False))
    assert (numbers["length"], numbers["energy_asymmetry"], numbers["energy_total"]) == (30, -0.5, 400)
    assert np.isnan(numbers["log_likelihood_ratio"])


def test_a_failed_fit_has_the_same_names_with_nan():
    nothing = np.full(7, np.nan)
    failed = FrameFit(FitStatus.MISSING_SEED, "no seed", nothing, nothing)
    numbers = named_numbers(failed, CASCADE, LOG)
    assert set(numbers) == set(named_numbers(fit_of(ONE), CASCADE, LOG))
    assert numbers["fit_status"] == 40 and numbers["minimization_success"] == 0 and np.isnan(numbers["loss_reco"])
    found = particle_of_fit(failed, CASCADE)
    assert np.isnan(found.energy) and found.status == 40


def test_samples_are_described():
    rng = np.random.default_rng(0)
    samples = ONE + rng.normal(size=(2, 500, 7)) * [10, 10, 10, 0.1, 0.1, 50, 5]
    posterior = Posterior(
        samples, rng.normal(size=(2, 500)), np.array([0.8, 0.9]), 0, np.full(9, 1.01), np.full(9, 400.0)
    )
    numbers, arrays = posterior_numbers(posterior, CASCADE, (0.5, 0.68))
    assert numbers["MCMC_acceptance_ratio"] == pytest.approx(0.85) and numbers["MCMC_largest_r_hat"] == 1.01
    assert numbers["MCMC_x_median"] == pytest.approx(1, abs=1.5)
    width = numbers["MCMC_x_q0.680_upper"] - numbers["MCMC_x_q0.680_lower"]
    assert width == pytest.approx(20, rel=0.15) and numbers["MCMC_vMF__sigma"] == pytest.approx(0.095, rel=0.1)
    assert numbers["MCMC_Kent__zenith"] == pytest.approx(1.1, abs=0.02)
    assert arrays["MCMC_energy"].shape == (1000,) and arrays["MCMC_log_prob_values"].shape == (1000,)


def test_maps_are_written_by_the_size_of_their_pixels():
    order, pixel = np.array([0] * 11 + [1] * 4), np.array([*range(1, 12), 0, 1, 2, 3])
    log_likelihood = -np.arange(15.0)[::-1]
    hypothesis = np.tile(ONE, (15, 1))
    sky = SkyMap(order, pixel, log_likelihood, hypothesis, 100)
    numbers, arrays = sky_map_numbers(sky, CASCADE)
    assert set(numbers) == set(sky_map_numbers(None, CASCADE)[0])
    assert (numbers["SkyScan_min_loss"], numbers["SkyScan_min_nside"], numbers["SkyScan_min_ipix"]) == (0, 2, 3)
    assert numbers["SkyScan_min_energy"] == 1000 and 0 < numbers["SkyScan_area_50"] <= numbers["SkyScan_area_90"]
    assert arrays["SkyScan_001_ipix"].tolist() == list(range(1, 12)) and arrays["SkyScan_002_ipix"].dtype == np.int64
    assert arrays["SkyScan_002_loss"].tolist() == [3, 2, 1, 0]


def test_parameters_of_the_module_become_settings():
    given = DEFAULTS | {
        "seed_keys": "Monopod",
        "parameter_boundaries": {"energy": [1.0, 1e8]},
        "minimize_parameter_dict": {"time": False},
        "missing_seed_value_dict": {"Absorption": 1},
        "seed_distances": 10,
    }
    settings = fit_settings_of(given, "module")
    assert settings.parameter_boundaries == {"energy": (1.0, 1e8)} and settings.minimize_parameter_dict == {
        "time": False
    }
    assert not settings.calculate_covariance_matrix and settings.reco_optimizer_interface == "batched"
    scipy = fit_settings_of(given | {"reco_optimizer_interface": "scipy", "add_covariances": True}, "module")
    assert scipy.scipy_optimizer_settings == {"method": "BFGS"} and scipy.calculate_covariance_matrix
    assert fit_settings_of(given | {"seed_keys": "pulses"}, "module").seed == "pulses"
    with pytest.raises(ConfigError, match="max_iterations"):
        fit_settings_of(given | {"max_iterations": -1}, "module")
    values = checked_values(given.__getitem__)
    assert (
        values["mcmc_quantiles"] == (0.5, 0.68, 0.9)
        and values["minimize_parameter_dict"] is not given["minimize_parameter_dict"]
    )
    for name, wrong in (("minimize_parameter_dict", [1]), ("seed_distances", "ten"), ("missing_seed_value", {"x": 1})):
        with pytest.raises(ConfigError, match=f"{name}: expected a"):
            checked_values((given | {name: wrong}).__getitem__)
    rules = seed_rules_of(values, None)
    assert rules.keys == ("Monopod",) and rules.distances == (10.0,) and rules.missing == {"Absorption": 1.0}
    assert model_directories("a", "/models") == ("/models/a",) and model_directories(["a", "b"], None) == ("a", "b")
    assert model_directories("demo", "/models") == ("demo",)
    with pytest.raises(ConfigError, match="model_names: expected the directory of an exported model"):
        model_directories(None, None)


def test_photomultipliers_of_one_module_have_labels_of_their_own():
    string, om = sensor_labels(np.array([[1, 5, 0], [1, 5, 3]]))
    assert string.tolist() == [1, 1] and om.tolist() == [5, 3005]
    assert (
        Particle(status=FitStatus.GENERAL_FAILURE).failed and not Particle(status=FitStatus.FAILED_TO_CONVERGE).failed
    )
