"""Directions on the sky against sidereal time; alerts and results of scans as other programs read them."""

import json
import socket

import healpy
import numpy as np
import pytest
from astropy.io import fits
from scipy import stats

from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.parts import experiment_detector
from evgen_jax.config.validate import load_config
from evgen_jax.errors import ConfigError, DetectorError, EvgenError, ReconstructionError
from evgen_jax.measurement.detector import load_detector
from evgen_jax.measurement.site import ICECUBE, Site, read_site
from evgen_jax.physics.sphere import angle_between, angles, unit_vectors
from evgen_jax.reconstruction.uncertainty.alert_header import best_direction, contour_extent
from evgen_jax.reconstruction.uncertainty.celestial import Celestial, celestial_of
from evgen_jax.reconstruction.uncertainty.pixel_map import SkyMap
from evgen_jax.reconstruction.uncertainty.pixels import pixel_vectors
from evgen_jax.reconstruction.uncertainty.sky_file import write_sky_map
from evgen_jax.reconstruction.uncertainty.skyscan import write_skyscan

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ligo.*", "ignore::DeprecationWarning:skyreader.*")
MJD = 58018.870554
RA, DEC, KAPPA = np.radians(77.43), np.radians(5.72), 900.0
ARCA = Site(36.27, 16.1, 90.0)
EQUATORIAL = Site(0.0, 30.0, 90.0)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network is asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def sidereal(mjd: float) -> float:
    """Greenwich mean sidereal time, degrees (IAU 1982, UT1 taken as UTC: within 0.004 degrees)."""
    days = mjd - 51544.5
    return (280.46061837 + 360.98564736629 * days + 0.000387933 * (days / 36525) ** 2) % 360


def of_date(vectors: np.ndarray, mjd: float) -> np.ndarray:
    """J2000 to the mean equator and equinox of date (IAU 1976 precession)."""
    t = (mjd - 51544.5) / 36525
    zeta, z, theta = np.radians(
        np.array(
            [
                (2306.2181 + (0.30188 + 0.017998 * t) * t) * t,
                (2306.2181 + (1.09468 + 0.018203 * t) * t) * t,
                (2004.3109 - (0.42665 + 0.041833 * t) * t) * t,
            ]
        )
        / 3600
    )

    def turn(axis, angle):
        c, s = np.cos(angle), np.sin(angle)
        return np.array({"z": [[c, s, 0], [-s, c, 0], [0, 0, 1]], "y": [[c, 0, -s], [0, 1, 0], [s, 0, c]]}[axis])

    return vectors @ (turn("z", -z) @ turn("y", theta) @ turn("z", -zeta)).T


@pytest.mark.parametrize("site", [ICECUBE, ARCA, EQUATORIAL, ARCA._replace(x_axis=37.0)], ids=str)
@pytest.mark.parametrize("mjd", [MJD, 51544.5, 60310.123, 61600.5])  # the last one is predicted, or not in the tables
def test_the_sky_turns_with_sidereal_time(site, mjd):
    """Against hour angles: the zenith is at the declination of the latitude and the sidereal time of the longitude."""
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    frame = Celestial(site, mjd)
    found = of_date(frame.to_sky(directions), mjd)
    # East, north, up of the directions; then the axes of the equator by the local sidereal time.
    latitude, local = np.radians(site.latitude), np.radians(sidereal(mjd) + site.longitude)
    x = np.radians(site.x_axis)  # compass: east = sin, north = cos; y is 90 degrees counter-clockwise of x
    east = directions[:, 0] * np.sin(x) - directions[:, 1] * np.cos(x)
    north = directions[:, 0] * np.cos(x) + directions[:, 1] * np.sin(x)
    up = directions[:, 2]
    outward = up * np.cos(latitude) - north * np.sin(latitude)
    pole = up * np.sin(latitude) + north * np.cos(latitude)
    expected = np.stack(
        [outward * np.cos(local) - east * np.sin(local), outward * np.sin(local) + east * np.cos(local), pole], axis=1
    )
    # Nutation 0.005, aberration 0.006 and UT1 - UTC 0.004 degrees are not in the formula.
    assert np.degrees(angle_between(found, expected)).max() < 0.015
    np.testing.assert_allclose(frame.to_detector(frame.to_sky(directions)), directions, atol=1e-9)


def test_dates_beyond_the_tables_are_told(caplog):
    Celestial(ICECUBE, 80000.0).equatorial(1.0, 2.0)
    assert "Without its tables of the Earth's rotation they are right to 0.01 degrees" in caplog.text


def test_icecube_looks_from_the_pole():
    """Declination is zenith - 90 degrees, right ascension turns against azimuth, by the constants of IceCube's analyses."""
    frame = Celestial(ICECUBE, MJD)
    zenith, azimuth = np.radians([84.0, 95.7, 60.0, 120.0]), np.radians([10.0, 77.4, 200.0, 355.0])
    theta, ra = angles(of_date(frame.to_sky(unit_vectors(zenith, azimuth)), MJD))
    np.testing.assert_allclose(90 - np.degrees(theta), np.degrees(zenith) - 90, atol=0.02)
    # The formula of SkyLLH, right to about 0.1 degrees: ra = 2.54199002505 + 2 pi (mjd / sidereal day) - azimuth
    expected = 2.54199002505 + 2 * np.pi * (MJD / 0.997269566 % 1) - azimuth
    np.testing.assert_allclose((np.degrees(ra - expected) + 180) % 360 - 180, 0, atol=0.15)


def test_sites_are_told_by_table_and_configuration(detector, experiment, tmp_path):
    whole = load_detector()
    assert celestial_of(whole, MJD).site == ICECUBE
    detector.replace(site=ARCA).to_csv(tmp_path / "arca.csv")
    assert load_detector(tmp_path / "arca.csv").site == ARCA
    assert read_site(str(ARCA), "--site") == ARCA and read_site(" IceCube", "--site") == ICECUBE
    for text, site in (
        ("icecube", ICECUBE),
        ("{latitude: 36.27, longitude: 16.1, x_axis: 90.0}", ARCA),
        ("null", None),
    ):
        assert (
            experiment_detector(load_config(experiment / "config.yaml", [f"detector_settings.site={text}"])).site
            == site
        )
    with pytest.raises(ConfigError, match="detector_settings.site.*latitude"):
        load_config(
            experiment / "config.yaml", ["detector_settings.site={latitude: 136.0, longitude: 0.0, x_axis: 90.0}"]
        )
    with pytest.raises(ReconstructionError, match="'small' does not say where on Earth .* detector_settings.site"):
        celestial_of(detector, MJD)
    with pytest.raises(DetectorError, match="--site: 'icecub': expected the form .* Did you mean 'icecube'"):
        read_site("icecub", "--site")
    with pytest.raises(DetectorError, match="latitude is 136; expected degrees from -90 to 90"):
        read_site("latitude 136, longitude 0, x_axis 90", "--site")
    for wrong in (2458018.5, np.nan, "today"):
        with pytest.raises(ReconstructionError, match="expected a modified Julian date"):
            Celestial(ICECUBE, wrong)


def alert_map(kappa: float = KAPPA, ra: float = RA, declination: float = DEC) -> SkyMap:
    """A von Mises-Fisher distribution at pixels of several sizes, as `make_sky_map` leaves them."""
    middle = unit_vectors(np.pi / 2 - declination, ra)
    order, pixel = 2, np.arange(12 * 4**2)
    leaves, divided = [], []
    while True:
        value = kappa * (pixel_vectors(order, pixel) @ middle - 1)
        fits = np.tile([1.0, 2.0, 3.0, 0.0, 0.0, 5e3, 9900.0], (len(pixel), 1))
        near = 2 * (0 - value) < 20 + 8 * kappa * 4.0 ** -(order + 1)
        done = np.sum(2 * (value.max() - value) < 4.605) >= 30
        rows = np.full(len(pixel), order), pixel, value, fits
        leaves.append([own[~near | done] for own in rows])
        if done:
            break
        divided.append([own[near] for own in rows])
        order, pixel = order + 1, (pixel[near][:, None] * 4 + np.arange(4)).ravel()
    frame = Celestial(ICECUBE, MJD)
    parts = SkyMap(*(np.concatenate(p) for p in zip(*divided, strict=True)), 0, frame)
    return SkyMap(*(np.concatenate(p) for p in zip(*leaves, strict=True)), 0, frame, parts)


@pytest.mark.parametrize("declination", [5.72, 70.0])
def test_errors_of_an_alert_are_those_of_its_distribution(declination):
    alert = alert_map(declination=np.radians(declination))
    assert alert.area.sum() == pytest.approx(4 * np.pi)
    found = best_direction(alert)
    pixel = np.degrees(np.sqrt(alert.area.min()))
    assert found[0] == pytest.approx(77.43, abs=pixel / np.cos(np.radians(declination)))
    assert found[1] == pytest.approx(declination, abs=pixel)
    for share in (0.5, 0.9):
        psi = np.degrees(np.sqrt(stats.chi2.ppf(share, 2) / KAPPA))
        for method in ("posterior", "wilks"):
            low, high = contour_extent(alert, share, method)
            # Both sides together do not depend on where in its pixel the maximum is.
            across = np.degrees(np.arcsin(np.sin(np.radians(psi)) / np.cos(np.radians(declination))))
            assert (high - low)[0] / 2 == pytest.approx(across, rel=0.1)
            assert (high - low)[1] / 2 == pytest.approx(psi, rel=0.1)


def test_a_contour_within_a_pixel_is_as_wide_as_the_pixel():
    order = 1
    pixel = np.arange(12 * 4**order)
    value = np.where(pixel == 3, 0.0, -1e4)
    one = SkyMap(np.full(48, order), pixel, value, np.zeros((48, 7)), 0, Celestial(ICECUBE, MJD))
    low, high = contour_extent(one, 0.5)
    half = np.degrees(np.sqrt(4 * np.pi / 48)) / 2
    assert low[1] <= -half and high[1] >= half


def test_flat_alerts_are_read_by_healpy_and_ligo(tmp_path):
    alert = alert_map()
    path = write_sky_map(
        tmp_path / "alert.fits.gz", alert, RUNID=130033, EVENTID=50579430, SENDER="IceCube Collaboration"
    )
    probability = healpy.read_map(path, field=0)  # ring order
    nside = healpy.get_nside(probability)
    assert nside == 2 ** alert.order.max() and probability.sum() == pytest.approx(1)
    best = np.degrees(healpy.pix2ang(nside, np.argmax(probability)))
    header = fits.getheader(path, 1)
    assert header["TTYPE1"] == "PROB" and header["ORDERING"] == "RING" and header["COORDSYS"] == "C"
    assert (header["RUNID"], header["EVENTID"], header["SENDER"]) == (130033, 50579430, "IceCube Collaboration")
    assert header["MJD-OBS"] == MJD and header["DATE-OBS"].startswith("2017-09-22T20:53:35")
    assert (header["RA"], header["DEC"]) == pytest.approx((best[1], 90 - best[0]))
    assert header["RA_ERR_PLUS_90"] > header["RA_ERR_PLUS_50"] > 0 and header["DEC_ERR_MINUS_90"] > 0
    for share in (50, 90):
        psi = stats.chi2.ppf(share / 100, 2) / KAPPA
        assert header[f"CONTOUR_AREA_{share}"] == pytest.approx(np.pi * psi * np.degrees(1) ** 2, rel=0.15)
    ligo = pytest.importorskip("ligo.skymap.io", reason="ligo.skymap is not installed")
    again, _ = ligo.read_sky_map(path)
    np.testing.assert_allclose(again, probability, rtol=1e-6)


def test_multi_order_alerts_are_read_by_astropy_healpix_and_ligo(tmp_path):
    from astropy import units
    from astropy.table import QTable
    from astropy_healpix import HEALPix, uniq_to_level_ipix

    alert = alert_map()
    path = write_sky_map(tmp_path / "alert.multiorder.fits", alert, multi_order=True, RUNID=1, EVENTID=2)
    table = QTable.read(path)
    level, pixel = uniq_to_level_ipix(table["UNIQ"])
    share = (table["PROBDENSITY"] * (4 * np.pi / (12 * 4.0**level)) * units.sr).to_value(units.dimensionless_unscaled)
    assert share.sum() == pytest.approx(1)
    best = int(np.argmax(table["PROBDENSITY"]))
    lon, lat = HEALPix(2 ** int(level[best]), order="nested").healpix_to_lonlat(pixel[best])
    assert table.meta["RA"] == pytest.approx(lon.to_value(units.deg)) and table.meta["ORDERING"] == "NUNIQ"
    assert table.meta["DEC"] == pytest.approx(lat.to_value(units.deg)) and table.meta["COORDSYS"] == "C"
    ligo = pytest.importorskip("ligo.skymap.io", reason="ligo.skymap is not installed")
    moc = ligo.read_sky_map(path, moc=True)
    assert set(moc.colnames) >= {"UNIQ", "PROBDENSITY"}
    flat, _ = ligo.read_sky_map(path)
    assert flat.sum() == pytest.approx(1, rel=1e-6)


def test_a_scan_is_read_by_skyreader(loaded_detector, tmp_path):
    model, alert = analytic_model(loaded_detector), alert_map()
    failed = int(np.argmin(alert.log_likelihood))
    alert.log_likelihood[failed] = np.nan
    path = write_skyscan(tmp_path / "scan.json", alert, model, run_id=130033, event_id=7, event_type="gold")
    content = json.loads(path.read_text())
    assert list(content)[0] == "nside-4" and content["nside-4"]["metadata"]["mjd"] == MJD
    skyreader = pytest.importorskip("skyreader", reason="icecube-skyreader is not installed")
    result = skyreader.SkyScanResult.read_json(path)
    assert result.has_minimal_metadata() and result.get_event_metadata().run_id == 130033
    assert result.min_llh == pytest.approx(-np.nanmax(alert.log_likelihood))
    assert np.degrees(result.best_dir) == pytest.approx(best_direction(alert))
    assert result.best_fit["E_tot"] == 5e3 and result.best_fit["Z"] == 3.0 and result.best_fit["T"] == 9900.0
    for ra, declination in ((RA, DEC), (RA + 0.01, DEC - 0.02), (3.0, -1.0)):
        pixel = alert.at(
            *(float(a) for a in angles(alert.celestial.to_detector(unit_vectors(np.pi / 2 - declination, ra))))
        )
        assert result.llh(ra, declination) == pytest.approx(-alert.log_likelihood[pixel])
    extract = pytest.importorskip("skyreader.utils.handle_map_data").extract_map
    values, _, _, flat, unique = extract(result)
    assert np.nanmin(flat) == 0 and len(unique) == len(alert.order) + len(alert.divided.order)


def test_maps_of_the_detector_are_no_alerts(loaded_detector, tmp_path):
    alert = alert_map()
    own = SkyMap(alert.order, alert.pixel, alert.log_likelihood, alert.hypothesis, 0)
    with pytest.raises(ReconstructionError, match="with the time of the event for skyreader"):
        write_skyscan(tmp_path / "x.json", own, analytic_model(loaded_detector))
    with pytest.raises(EvgenError, match="12 is no run of a measured event; expected 100000"):
        write_skyscan(tmp_path / "x.json", alert, analytic_model(loaded_detector), run_id=12, is_real_event=True)
    assert not list(tmp_path.iterdir())
