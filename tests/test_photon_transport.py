"""Photons fly and scatter as their distributions say, and bring the light that independent photon Monte Carlos found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evgen_jax.errors import ConfigError
from evgen_jax.physics.transport.cells import Cells
from evgen_jax.physics.transport.emission import Cone, Shower, emitted
from evgen_jax.physics.transport.follow import follow, follow_on_devices
from evgen_jax.physics.transport.random_numbers import azimuth, random_words, stream, threefry, uniform
from evgen_jax.physics.transport.scattering import (
    MOLECULAR,
    SEA_WATER,
    SOUTH_POLE_ICE,
    Scattering,
    scattering_cosine,
    turned,
)
from evgen_jax.physics.transport.steps import advance, start
from evgen_jax.physics.transport.tally import mean_and_error, tally

MANY = 200_000
PHOTON = jnp.arange(MANY, dtype=jnp.uint32)
WORDS = stream(jax.random.key(3))
CELLS = Cells(distances=36, cosines=20)
"""Cells of the check values."""
COSINES = (-0.95, -0.45, 0.05, 0.55, 0.75, 0.95)
CHECKS = {
    "shower": {
        0.652: ((0.2785, 0.4502, 0.8616, 2.0892, 2.9906, 2.7555), (0.697, 0.363, 0.160, 0.064, 0.045, 0.069)),
        2.469: ((0.2915, 0.4424, 0.6694, 0.9926, 1.1415, 1.2841), (2.688, 2.122, 1.640, 1.280, 1.185, 1.127)),
        6.702: ((0.0148, 0.0213, 0.0298, 0.0405, 0.0452, 0.0501), (6.909, 6.309, 5.837, 5.445, 5.313, 5.203)),
    },
    "muon": {
        0.652: ((0.1889, 0.3150, 0.6841, 2.2187, 3.8160, 2.8402), (1.279, 0.707, 0.251, 0.065, 0.035, 0.079)),
        6.702: ((0.0123, 0.0195, 0.0295, 0.0424, 0.0483, 0.0544), (7.281, 6.502, 5.879, 5.400, 5.247, 5.128)),
    },
}
"""Source -> distance -> 4 pi r^2 fluence and median delay at COSINES, of 1.6e9 photons; lambda_e / lambda_a = 30 / 110."""
ABSORPTION = 30 / 110


def within(values, expected, sigmas=4.5):
    """The mean of independent values is the expected one within its statistical error."""
    values = np.asarray(values, np.float64)
    assert abs(values.mean() - expected) < sigmas * values.std() / np.sqrt(len(values)) + 1e-6


def test_words_are_those_of_threefry():
    """Known answers of Random123."""
    zero = (jnp.uint32(0),) * 4
    known = {
        13: (0x531C7E4F, 0x39491EE5, 0x2C855A92, 0x3D6ABF9A),
        20: (0x9C6CA96A, 0xE17EAE66, 0xFC10ECD4, 0x5256A7D8),
    }
    for rounds, words in known.items():
        assert tuple(int(w) for w in threefry(zero, zero, rounds)) == words


def test_uniform_numbers_of_words_steps_and_photons_are_independent():
    assert float(uniform(jnp.uint32(0))) > 0 and float(uniform(jnp.uint32(2**32 - 1))) < 1
    drawn = [
        np.asarray(uniform(w), np.float64) for step in (1, 2) for w in random_words(WORDS, PHOTON, jnp.uint32(step))
    ]
    for u in drawn:
        within(u, 1 / 2)
        within(u**2, 1 / 3)
        within((u[1:] - 0.5) * (u[:-1] - 0.5), 0)
        assert np.histogram(u, 64, (0, 1))[0].std() / np.sqrt(MANY / 64) == pytest.approx(1, abs=0.45)
    for i, u in enumerate(drawn):
        for v in drawn[:i]:
            within((u - 0.5) * (v - 0.5), 0)
            within((u - 0.5) ** 2 * (v - 0.5) ** 2, 1 / 144)


def test_azimuth_is_uniform():
    cosine, sine = (np.asarray(v, np.float64) for v in azimuth(random_words(WORDS, PHOTON, jnp.uint32(7))[0]))
    np.testing.assert_allclose(cosine**2 + sine**2, 1, atol=1e-6)
    angle = np.arctan2(sine, cosine)
    for order in (1, 2, 3, 4, 8):
        within(np.cos(order * angle), 0)
        within(np.sin(order * angle), 0)


@pytest.mark.parametrize(
    "scattering", [Scattering(0.9, 0.0), Scattering(0.9, 1.0), SOUTH_POLE_ICE, Scattering(0.9, 0.0, 1.0), SEA_WATER]
)
def test_scattering_has_the_moments_of_its_mixture(scattering):
    cosine = np.asarray(scattering_cosine(scattering, random_words(WORDS, PHOTON, jnp.uint32(1))[2]), np.float64)
    beta = (1 - scattering.asymmetry) / (1 + scattering.asymmetry)
    squares = {
        "liu": 4 / (1 + 2 * beta) - 4 / (1 + beta) + 1,
        "molecular": (1 / 3 + MOLECULAR / 5) / (1 + MOLECULAR / 3),
        "henyey_greenstein": (2 * scattering.asymmetry**2 + 1) / 3,
    }
    rest = 1 - scattering.liu - scattering.molecular
    square = (
        scattering.liu * squares["liu"]
        + scattering.molecular * squares["molecular"]
        + rest * squares["henyey_greenstein"]
    )
    within(cosine, scattering.mean_cosine)
    within(cosine**2, square)
    assert scattering.length == pytest.approx(1 - scattering.mean_cosine)


def test_turned_vectors_have_the_angle_and_length_one():
    drawn = random_words(WORDS, PHOTON, jnp.uint32(1))
    direction = turned(
        (0 * uniform(drawn[0]), 0 * uniform(drawn[0]), 0 * uniform(drawn[0]) - 1), 2 * uniform(drawn[0]) - 1, drawn[1]
    )
    cosine = 2 * uniform(drawn[2]) - 1
    after = turned(direction, cosine, drawn[3])
    dot = sum(np.asarray(a) * np.asarray(b) for a, b in zip(direction, after, strict=True))
    np.testing.assert_allclose(dot, cosine, atol=2e-6)
    np.testing.assert_allclose(sum(np.asarray(a) ** 2 for a in after), 1, atol=1e-6)
    for component in after:
        within(component, 0)


def test_shower_light_has_its_profile():
    """Directions against the integral of f(c) = exp(-5.941 |c - 0.75786|^0.2785), and values of it."""
    x, y, z = (np.asarray(v, np.float64) for v in emitted(Shower(), WORDS, PHOTON))
    np.testing.assert_allclose(x**2 + y**2 + z**2, 1, atol=1e-6)
    within(x, 0)
    within(y, 0)
    cosine = np.linspace(-1, 1, 400_001)
    cosine = (cosine[1:] + cosine[:-1]) / 2
    profile = np.exp(-5.941 * np.abs(cosine - 1 / 1.3195) ** 0.2785)
    within(z, np.average(cosine, weights=profile))
    within(z**2, np.average(cosine**2, weights=profile))
    edges = [-1, -0.95, -0.5, -0.05, 0.05, 0.5, 0.7329, 0.75, 0.76, 0.7829, 0.95, 1]
    share = np.histogram(z, edges)[0] / MANY
    expected = np.histogram(cosine, edges, weights=profile)[0] / profile.sum()
    np.testing.assert_array_less(abs(share - expected), 4.5 * np.sqrt(expected / MANY))
    assert share[0] / 0.05 * 2 == pytest.approx(0.06, abs=0.012)
    assert share[3] / 0.1 * 2 == pytest.approx(0.25, abs=0.02)
    cone = emitted(Cone(1.35), WORDS, PHOTON)[2]
    np.testing.assert_allclose(cone, 1 / 1.35, rtol=1e-6)


@pytest.mark.parametrize("scattering", [SOUTH_POLE_ICE, SEA_WATER])
def test_walks_have_the_exact_moments(scattering):
    """After n exponential steps <u_n . u_0> = g^n and <r^2> = 2 l^2 (n + sum (n - k) g^k)."""
    photons = start(Cone(), WORDS, PHOTON)
    first = photons.direction
    g, length, count = scattering.mean_cosine, scattering.length, 8
    for step in range(1, count + 1):
        photons, points = advance(scattering, WORDS, PHOTON, jnp.uint32(step), photons)
    within(sum(np.asarray(a) * np.asarray(b) for a, b in zip(first, photons.direction, strict=True)), g**count)
    square = 2 * length**2 * (count + sum((count - k) * g**k for k in range(1, count)))
    within(sum(np.asarray(p, np.float64) ** 2 for p in photons.position), square)
    within(photons.path, count * length)
    within(points.weight, length)
    assert np.all(points.path <= photons.path)


def test_all_light_goes_out_and_float32_sums_lose_nothing():
    """The flux through each sphere is one photon; one batch of many photons equals many batches in float64."""
    cells = Cells(distances=8, distance=(0.03, 1.0), cosines=4, delays=8, delay=(1e-3, 20.0))
    sums, scatterings = follow(Shower(), SOUTH_POLE_ICE, cells, WORDS, PHOTON[:8192].reshape(2, -1))
    assert scatterings / 8192 == pytest.approx(cells.longest_path / SOUTH_POLE_ICE.length + 1, rel=0.01)
    in_cells = np.asarray(sums, np.float64)[:-1].reshape(*cells.shape, 3)
    flux = in_cells[..., 1].sum(axis=(1, 2)) / np.diff(cells.distance_edges) / 8192
    np.testing.assert_allclose(flux, 1, atol=0.02)
    parts = [follow(Shower(), SOUTH_POLE_ICE, cells, WORDS, p)[0] for p in PHOTON[:8192].reshape(4, 1, -1)]
    exact = np.sum([np.asarray(p, np.float64) for p in parts], axis=0)
    np.testing.assert_allclose(sums[:-1, 0], exact[:-1, 0], rtol=2e-5)


def test_devices_share_photons():
    cells = Cells(distances=4, distance=(0.1, 1.0), cosines=4, delays=4, delay=(1e-2, 1.0))
    photon = np.arange(1024 * jax.local_device_count(), dtype=np.uint32).reshape(2, -1)
    shared, count = follow_on_devices(Shower(), SEA_WATER, cells, WORDS, photon)
    alone, scatterings = follow(Shower(), SEA_WATER, cells, WORDS, jnp.asarray(photon))
    assert count == scatterings
    np.testing.assert_allclose(np.moveaxis(shared, 0, -1).reshape(-1, 3), np.asarray(alone)[:-1], rtol=1e-4, atol=1e-3)


@pytest.fixture(scope="module")
def tallies():
    """Photons of a shower twice, and of a muon."""
    return {
        "shower": tally(Shower(), SOUTH_POLE_ICE, CELLS, 65536, seed=5),
        "again": tally(Shower(), SOUTH_POLE_ICE, CELLS, 65536, seed=6),
        "muon": tally(Cone(), SOUTH_POLE_ICE, CELLS, 65536, seed=5),
    }


def check_cells(distance):
    middle = np.sqrt(CELLS.distance_edges[1:] * CELLS.distance_edges[:-1])
    return np.argmin(abs(middle - distance)), [int((c + 1) * 10) for c in COSINES]


@pytest.mark.parametrize("name", CHECKS)
def test_light_is_that_of_independent_photon_monte_carlos(tallies, name):
    """Each value within its statistical error, and their mean within 1.5 %."""
    ratios = []
    for distance, (fluence, delay) in CHECKS[name].items():
        i, j = check_cells(distance)
        seen = tallies[name].fluence(ABSORPTION)[:, 0, i, j] * np.exp(-distance * ABSORPTION)
        mean, error = mean_and_error(seen)
        np.testing.assert_array_less(abs(mean - fluence), 5 * error + 0.003 * np.asarray(fluence))
        ratios += list(mean / fluence)
        light = tallies[name].sums[:, 0, i][:, j].sum(axis=0) * np.exp(-ABSORPTION * tallies[name].delay_centres)
        shares = np.cumsum(light, axis=-1) / light.sum(axis=-1, keepdims=True)
        medians = [np.interp(0.5, s, CELLS.delay_edges[1:]) for s in shares]
        np.testing.assert_allclose(medians, delay, rtol=0.15)
        ratios += list(np.asarray(medians) / delay)
    assert np.mean(ratios) == pytest.approx(1, abs=0.015)
    assert np.std(ratios) < 0.06


def test_mean_directions(tallies):
    expected = {0.652: (0.509, 0.589, 0.687), 6.702: (0.320, 0.323, 0.325)}
    for distance, cosines in expected.items():
        i, j = check_cells(distance)
        mean, error = mean_and_error(tallies["shower"].fluence(ABSORPTION)[:, 1, i][:, [j[0], j[2], j[5]]])
        np.testing.assert_array_less(abs(mean - cosines), 5 * error + 0.002)


def test_two_seeds_agree_within_their_errors(tallies):
    one, other = (mean_and_error(tallies[name].fluence(ABSORPTION)[:, 0, 10::5]) for name in ("shower", "again"))
    pulls = (one[0] - other[0]) / np.hypot(one[1], other[1])
    assert np.abs(np.mean(pulls)) < 0.5
    assert np.std(pulls) == pytest.approx(1.05, abs=0.25)


def test_numbers_of_photons_that_cannot_be_are_told():
    for photons in (0, 2**32 + 1):
        with pytest.raises(ConfigError, match=f"photons: {photons} was given; one seed has between 1 and 4294967296"):
            tally(Shower(), SOUTH_POLE_ICE, CELLS, photons, seed=1)
