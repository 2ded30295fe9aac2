"""Scans and sky maps of a likelihood whose profile is known; distributions on the sphere; FITS files."""

import healpy
import numpy as np
import pytest
from scipy import stats
from synthetic import KAPPA, MEAN, PULL, WIDTH, around_a_direction

from evgen_jax.building.analytic import analytic_model
from evgen_jax.errors import ReconstructionError
from evgen_jax.measurement.site import Site
from evgen_jax.physics.sphere import (
    Kent,
    VonMisesFisher,
    angle_between,
    angles,
    fit_kent,
    fit_von_mises_fisher,
    unit_vectors,
)
from evgen_jax.reconstruction.fit.refit import FAR, make_refit
from evgen_jax.reconstruction.uncertainty.alert_header import best_direction
from evgen_jax.reconstruction.uncertainty.celestial import Celestial
from evgen_jax.reconstruction.uncertainty.profile import scan_profile
from evgen_jax.reconstruction.uncertainty.sky_file import write_sky_map
from evgen_jax.reconstruction.uncertainty.sky_map import make_sky_map
from evgen_jax.sources.linen_source import empty_event


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


@pytest.fixture(scope="module")
def sky_map(model):
    return make_sky_map(model, log_likelihood=around_a_direction, resolved=40)(empty_event(108), MEAN)


def test_profiles_are_those_of_the_likelihood(model):
    event, start = empty_event(108), MEAN + [1, 1, 1, 0.02, 0.02, 5, 3]
    grid = np.linspace(-25.0, -15.0, 11)
    profile = scan_profile(model, event, start, {"cascade_y": grid}, log_likelihood=around_a_direction)
    np.testing.assert_allclose(profile.delta(), ((grid + 20) / WIDTH[1]) ** 2, atol=0.03)
    low, high = profile.interval()
    assert low == pytest.approx(-23, abs=0.1) and high == pytest.approx(-17, abs=0.1)
    assert profile.interval(0.99) == (-np.inf, np.inf)  # beyond the grid
    two = scan_profile(
        model,
        event,
        start,
        {"cascade_x": [8.0, 10.0, 12.0], "cascade_time": [9890.0, 9900.0]},
        log_likelihood=around_a_direction,
    )
    expected = -0.5 * (np.array([[-1.0], [0.0], [1.0]]) ** 2 + np.array([[-2.0, 0.0]]) ** 2)
    assert two.log_likelihood.shape == (3, 2) and two.hypothesis.shape == (3, 2, 7)
    # x is pulled by the direction, which is fitted: between the parabola and what the pull makes of it.
    assert np.all(two.log_likelihood >= expected - 0.02)
    np.testing.assert_allclose(two.log_likelihood[1], expected[1], atol=0.02)
    np.testing.assert_array_equal(two.hypothesis[..., 0], np.tile([[8.0], [10.0], [12.0]], (1, 2)))


def test_what_cannot_be_scanned(model):
    event = empty_event(108)
    with pytest.raises(ReconstructionError, match="one or two parameters, got 3"):
        scan_profile(model, event, MEAN, dict.fromkeys(model.parameter_names[:3], [0.0]))
    with pytest.raises(ReconstructionError, match="Did you mean 'cascade_x'"):
        scan_profile(model, event, MEAN, {"cascadex": [0.0]})
    with pytest.raises(ReconstructionError, match="no parameter is left to fit"):
        make_refit(model, model.parameter_names)
    with pytest.raises(ReconstructionError, match="expected one of cascade_zenith, got 'zenith'"):
        make_sky_map(model, direction="zenith")


def test_a_map_covers_the_sky_once_and_is_finest_at_the_maximum(sky_map):
    assert sky_map.area.sum() == pytest.approx(4 * np.pi)
    cosine = sky_map.direction @ unit_vectors(MEAN[3], MEAN[4])
    # x follows the direction, so the profile is that of the direction alone.
    expected = KAPPA * (cosine - 1)
    near = expected > -FAR
    np.testing.assert_allclose(sky_map.log_likelihood[near], expected[near], atol=0.03)
    np.testing.assert_allclose(sky_map.hypothesis[near, 0], MEAN[0] + PULL * (cosine[near] - 1), atol=0.5)
    # Far below the best fit pixels need not be exact, as long as they stay far.
    assert np.all(sky_map.log_likelihood <= expected + 0.03)
    np.testing.assert_allclose(sky_map.log_likelihood[~near], expected[~near], atol=0.03, rtol=0.05)
    assert sky_map.order[sky_map.at(MEAN[3], MEAN[4])] == sky_map.order.max()
    assert np.sum(sky_map.delta() < stats.chi2.ppf(0.9, 2)) >= 40
    assert sky_map.at(np.pi - 0.1, 0.3) != sky_map.at(MEAN[3], MEAN[4])


def test_a_celestial_map_is_the_same_sky_in_other_pixels(model, sky_map):
    celestial = Celestial(Site(36.27, 16.1, 90.0), 60000.25)
    own = make_sky_map(model, log_likelihood=around_a_direction, resolved=40)(empty_event(108), MEAN, celestial)
    assert own.area.sum() == pytest.approx(4 * np.pi) and own.divided.celestial == celestial
    expected = KAPPA * (celestial.to_detector(own.direction) @ unit_vectors(MEAN[3], MEAN[4]) - 1)
    near = expected > -FAR
    np.testing.assert_allclose(own.log_likelihood[near], expected[near], atol=0.03)
    assert own.order[own.at(MEAN[3], MEAN[4])] == own.order.max()
    for probability in (0.5, 0.9):
        assert own.contour_area(probability) == pytest.approx(sky_map.contour_area(probability), rel=0.2)
    ra, declination = celestial.equatorial(MEAN[3], MEAN[4])
    assert best_direction(own) == pytest.approx((ra, declination), abs=np.degrees(np.sqrt(own.area.min())) * 1.5)
    # What was divided covers what is finer than the first pixels.
    finer = own.order > own.divided.order.min()
    first = own.divided.order == own.divided.order.min()
    assert own.area[finer].sum() == pytest.approx(own.divided.area[first].sum())


def test_contours_hold_what_they_say(sky_map):
    """Against the von Mises-Fisher distribution that the map is."""
    truth = VonMisesFisher(MEAN[3], MEAN[4], KAPPA)
    assert sky_map.probability().sum() == pytest.approx(1)
    for probability in (0.5, 0.9):
        psi = np.sqrt(stats.chi2.ppf(probability, 2) / KAPPA)
        expected = np.degrees(1) ** 2 * 2 * np.pi * (1 - np.cos(psi))
        assert sky_map.contour_area(probability) == pytest.approx(expected, rel=0.15)
        assert sky_map.contour_area(probability, "posterior") == pytest.approx(expected, rel=0.15)
        # A direction at that distance lies at that level, whichever way it is reckoned.
        zenith, azimuth = angles(unit_vectors(MEAN[3] + psi, MEAN[4]))
        for method in ("wilks", "posterior"):
            assert sky_map.level(method)[sky_map.at(zenith, azimuth)] == pytest.approx(probability, abs=0.1)
        assert truth.containment(psi) == pytest.approx(probability, abs=0.01)
    with pytest.raises(ReconstructionError, match="'wilks' or 'posterior'"):
        sky_map.level("bayes")


def test_fits_files_are_read_by_healpy(sky_map, tmp_path):
    path = write_sky_map(tmp_path / "map.fits", sky_map, RUNID=1, EVENTID=7)
    probability, delta = healpy.read_map(path, field=(0, 1), nest=True)
    nside = healpy.get_nside(probability)
    assert nside == 2 ** sky_map.order.max() and probability.sum() == pytest.approx(1)
    best = sky_map.direction[np.argmax(sky_map.log_likelihood)]
    np.testing.assert_allclose(healpy.pix2vec(nside, np.argmin(delta), nest=True), best, atol=1e-12)
    header = dict(healpy.read_map(path, h=True, nest=True)[1])
    assert header["EVENTID"] == 7 and header["ORDERING"] == "NESTED"
    multi = write_sky_map(tmp_path / "multi.fits", sky_map, multi_order=True)
    from astropy.io import fits

    with fits.open(multi) as file:
        table = file[1].data
        order = np.floor(np.log2(table["UNIQ"] / 4) / 2).astype(int)
        assert np.sum(table["PROBDENSITY"] * 4 * np.pi / (12 * 4.0**order)) == pytest.approx(1)
        assert len(table) == len(sky_map.order) and file[1].header["ORDERING"] == "NUNIQ"


def test_distributions_on_the_sphere_are_normalised_and_found_again():
    rng = np.random.default_rng(0)
    pixels = np.arange(12 * 64**2)
    zenith, azimuth = healpy.pix2ang(64, pixels)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0].T
    for own in (
        VonMisesFisher(1.0, 2.0, 3.0),
        VonMisesFisher(0.0, 0.0, 50.0),
        Kent(axes, 30.0, 8.0),
        Kent(axes, 2.0, 0.3),
    ):
        total = np.exp(own.log_density(zenith, azimuth)).sum() * 4 * np.pi / len(pixels)
        assert total == pytest.approx(1, rel=2e-3)
    truth = Kent(axes, 400.0, 120.0)
    weight = np.exp(truth.log_density(zenith, azimuth))
    drawn = rng.choice(len(pixels), size=20000, p=weight / weight.sum())
    found = fit_kent(zenith[drawn], azimuth[drawn])
    assert found.kappa == pytest.approx(400, rel=0.1) and found.beta == pytest.approx(120, rel=0.1)
    assert found.sigmas[0] > found.sigmas[1]
    assert abs(found.axes[1] @ axes[1]) > 0.99
    vectors = stats.vonmises_fisher(unit_vectors(0.02, 1.0), 500.0).rvs(5000, random_state=1)
    round_fit = fit_von_mises_fisher(*angles(vectors))
    assert round_fit.kappa == pytest.approx(500, rel=0.05)
    assert angle_between(unit_vectors(round_fit.zenith, round_fit.azimuth), unit_vectors(0.02, 1.0)) < 0.003
    with pytest.raises(ReconstructionError, match="two different directions"):
        fit_kent(np.ones(5), np.ones(5))
