"""Distributions on the sphere against numbers that do not come from this package."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from evgen_jax.physics.sphere import Kent, angles, fit_kent, fit_von_mises_fisher, log_kent_norm, unit_vectors

CENTRE = unit_vectors(0.7, 1.0)
LONG = np.cross(CENTRE, [0.3, 0.5, 0.8]) / np.linalg.norm(np.cross(CENTRE, [0.3, 0.5, 0.8]))
AXES = np.stack([CENTRE, LONG, np.cross(CENTRE, LONG)])


def integral(kappa: float, beta: float) -> float:
    """ln of the norm by an adaptive integration over cos psi."""

    def density(u: float) -> float:
        return np.exp(kappa * (u - 1) + abs(beta) * (1 - u * u)) * special.i0e(beta * (1 - u * u))

    edges = [-1.0, -0.5, 0.0, 0.5, *(1 - 10.0 ** -np.arange(1, 9)), 1.0]
    parts = [integrate.quad(density, a, b, epsabs=0, epsrel=1e-10)[0] for a, b in zip(edges, edges[1:], strict=False)]
    return float(np.log(2 * np.pi * sum(parts)))


@pytest.mark.parametrize(("kappa", "beta"), [(0.0, 0.0), (2.0, 0.9), (100.0, 20.0), (1e4, 4999.0), (10.0, 30.0)])
def test_the_norm_is_the_integral_and_symmetric_in_beta(kappa, beta):
    assert log_kent_norm(kappa, beta) == pytest.approx(integral(kappa, beta), abs=1e-9)
    assert log_kent_norm(kappa, -beta) == log_kent_norm(kappa, beta)
    if beta == 0:
        assert log_kent_norm(kappa, beta) == pytest.approx(np.log(4 * np.pi))


def drawn(kappa: float, beta: float, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Directions of a Kent distribution: candidates over the cap that holds it, taken by their density."""
    v = min(2.0, 40 / max(kappa - 2 * beta, 0.01)) * rng.uniform(size=300_000) ** 2
    phi = rng.uniform(0, 2 * np.pi, len(v))
    sine = np.sqrt(v * (2 - v))
    vectors = np.stack([1 - v, sine * np.cos(phi), sine * np.sin(phi)], axis=1) @ AXES
    zenith, azimuth = angles(vectors)
    weight = np.exp(Kent(AXES, kappa, beta).log_density(zenith, azimuth)) * np.sqrt(v)
    chosen = rng.choice(len(v), count, p=weight / weight.sum())
    return zenith[chosen], azimuth[chosen]


@pytest.mark.parametrize(
    ("kappa", "beta"), [(1e4, 0.0), (1e4, 900.0), (1e4, 4500.0), (8.0, 0.0), (5.0, 2.0), (1.0, 0.3), (0.3, 0.0)]
)
def test_fits_give_back_what_was_drawn(kappa, beta):
    count = 4000
    zenith, azimuth = drawn(kappa, beta, count, np.random.default_rng(3))
    fit = fit_kent(zenith, azimuth)
    assert 0 <= 2 * fit.beta < fit.kappa
    # The likelihood is that of the truth or better, by what two concentrations and three angles gain.
    gain = np.sum(fit.log_density(zenith, azimuth) - Kent(AXES, kappa, beta).log_density(zenith, azimuth))
    assert -0.1 < gain < 12
    if kappa > 100:
        # A width is known to 1 / sqrt(2 N); axes of a round distribution follow its fluctuations.
        expected = 1 / np.sqrt(kappa - 2 * beta), 1 / np.sqrt(kappa + 2 * beta)
        np.testing.assert_allclose(fit.sigmas, expected, rtol=4 / np.sqrt(2 * count))
    if beta:
        assert np.sum(fit.axes[1] * LONG) ** 2 > 0.9
    else:
        free = stats.vonmises_fisher.fit(unit_vectors(zenith, azimuth))[1]
        assert fit_von_mises_fisher(zenith, azimuth).kappa == pytest.approx(free)
        assert fit.kappa == pytest.approx(free, rel=0.1, abs=0.05)


def test_directions_without_a_preferred_one_have_wide_finite_fits():
    zenith, azimuth = np.array([0.5, np.pi - 0.5]), np.array([1.0, 1.0 + np.pi])
    for fit in (fit_von_mises_fisher(zenith, azimuth), fit_kent(zenith, azimuth)):
        assert np.all(np.isfinite(fit.log_density(zenith, azimuth)))
        assert fit.kappa < 1 or fit.kappa == pytest.approx(2 * fit.beta)
