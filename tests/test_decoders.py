"""Distributions against SciPy and against their own definitions."""

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.test_util import check_grads
from scipy.integrate import quad

from evgen_jax.building.value_ranges import range_record, read_range
from evgen_jax.decoders import FAMILIES, Component, Decoder, Mixture, ValueRange, smeared_gamma
from evgen_jax.decoders.negative_binomial import log_probability, log_zero
from evgen_jax.errors import ConfigError
from evgen_jax.numerics import log_gamma

pytestmark = pytest.mark.usefixtures("x64")
CONTINUOUS = [(n, p, s) for n, rows in cases.CONTINUOUS.items() for p, s in rows]
DISCRETE = [(n, p, s) for n, rows in cases.DISCRETE.items() for p, s in rows]


def test_every_family_has_a_row():
    assert set(cases.CONTINUOUS) | set(cases.DISCRETE) == set(FAMILIES)


@pytest.mark.parametrize(("dtype", "digits"), [(np.float32, 3e-6), (np.float64, 1e-13)])
def test_log_gamma(dtype, digits):
    x = np.concatenate([np.geomspace(1e-4, 1e5, 301), np.linspace(0.5, 12, 50)]).astype(dtype)
    exact = scipy.special.gammaln(x.astype(float))
    error = (np.asarray(log_gamma(jnp.asarray(x)), float) - exact) / np.maximum(np.abs(exact), 1)
    assert np.max(np.abs(error)) < digits
    slope = scipy.special.digamma(x.astype(float))
    error = np.asarray(jax.vmap(jax.grad(log_gamma))(jnp.asarray(x)), float) - slope
    assert np.max(np.abs(error) / np.maximum(np.abs(slope), 1)) < digits


@pytest.mark.parametrize(("name", "parameters", "oracle"), CONTINUOUS)
def test_continuous_family(name, parameters, oracle):
    decoder, latent = Decoder(FAMILIES[name]), jnp.array(parameters)
    low, high = float(decoder.ppf(jnp.array(1e-9), latent)), float(decoder.ppf(jnp.array(1 - 1e-9), latent))
    middle = float(decoder.ppf(jnp.array(0.3), latent))
    pdf = jax.jit(lambda x: decoder.pdf(x, latent))
    total = sum(quad(lambda x: float(pdf(x)), a, b, limit=300)[0] for a, b in ((low, middle), (middle, high)))
    assert total == pytest.approx(1, abs=2e-6)
    q = np.linspace(0.001, 0.999, 41)
    x = decoder.ppf(jnp.asarray(q), latent[None])
    np.testing.assert_allclose(decoder.cdf(x, latent[None]), q, atol=1e-10)
    slope = jax.jit(jax.vmap(jax.grad(lambda x: decoder.cdf(x, latent))))(x)
    np.testing.assert_allclose(slope, decoder.pdf(x, latent[None]), rtol=1e-8)
    np.testing.assert_allclose(jnp.exp(decoder.log_pdf(x, latent[None])), decoder.pdf(x, latent[None]), rtol=1e-12)
    if oracle is not None:
        np.testing.assert_allclose(decoder.log_pdf(x, latent[None]), oracle.logpdf(x), atol=1e-10, rtol=1e-10)
        np.testing.assert_allclose(decoder.cdf(x, latent[None]), oracle.cdf(x), atol=1e-10)
        assert float(decoder.mean(latent)) == pytest.approx(oracle.mean(), rel=1e-10)
        assert float(decoder.variance(latent)) == pytest.approx(oracle.var(), rel=1e-10)


@pytest.mark.parametrize(("name", "parameters", "oracle"), DISCRETE)
def test_discrete_family(name, parameters, oracle):
    decoder, latent = Decoder(FAMILIES[name]), jnp.array(parameters)
    n = np.unique(np.concatenate([np.arange(30), oracle.ppf(np.linspace(0.001, 0.999, 30))]))
    np.testing.assert_allclose(decoder.log_pdf(jnp.asarray(n), latent[None]), oracle.logpmf(n), atol=1e-8, rtol=1e-10)
    np.testing.assert_allclose(decoder.cdf(jnp.asarray(n), latent[None]), oracle.cdf(n), atol=1e-8)
    q = np.array([0.01, 0.2, 0.5, 0.9, 0.999])
    np.testing.assert_array_equal(decoder.ppf(jnp.asarray(q), latent[None]), oracle.ppf(q))
    assert float(decoder.mean(latent)) == pytest.approx(oracle.mean())
    assert float(decoder.variance(latent)) == pytest.approx(oracle.var())
    assert float(decoder.log_pdf(jnp.array(-1.0), latent)) == -np.inf


@pytest.mark.parametrize(("name", "parameters"), [(n, p) for n, p, _ in CONTINUOUS + DISCRETE])
def test_samples_follow_the_distribution(name, parameters):
    decoder = Decoder(FAMILIES[name])
    latent = jnp.broadcast_to(jnp.array(parameters), (20000, len(parameters)))
    drawn = np.asarray(decoder.sample(jax.random.key(3), latent))
    mean, variance = float(decoder.mean(latent[0])), float(decoder.variance(latent[0]))
    assert abs(drawn.mean() - mean) < 5 * np.sqrt(variance / len(drawn))
    assert drawn.var() == pytest.approx(variance, rel=0.1)
    if not decoder.is_charge:
        result = scipy.stats.kstest(drawn, lambda x: np.asarray(decoder.cdf(jnp.asarray(x), latent[0])))
        assert result.pvalue > 1e-4


def test_mixture_is_the_weighted_sum():
    mixture, latent = cases.time_mixture(), jnp.array(cases.MIXTURE_LATENT)
    x = jnp.linspace(-4, 6, 50)
    weights = np.array([(0.3 + 1 + 1e-5 + 1) * 10, 0.1 + 2 + 1e-5, 0.8 + 2 + 1e-5])
    weights /= weights.sum()
    gauss, gamma = (Decoder(FAMILIES[f]) for f in ("AsymmetricGaussianDecoder", "GammaFunctionDecoder"))
    parts = [gamma.pdf(x, latent[:2]), gauss.pdf(x, latent[3:6]), gauss.pdf(x, latent[7:10])]
    np.testing.assert_allclose(mixture.pdf(x, latent[None]), weights @ np.stack(parts), rtol=1e-10)
    pdf, cdf = jax.jit(mixture.pdf), jax.jit(mixture.cdf)
    assert quad(lambda t: float(pdf(jnp.array(t), latent)), -20, 20, points=[0.0, 0.3], limit=200)[0] == (
        pytest.approx(1, abs=1e-6)
    )
    q = jnp.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(cdf(jax.jit(mixture.ppf)(q, latent[None]), latent[None]), q, atol=1e-10)
    t = np.linspace(-30, 40, 200001)
    density = np.asarray(pdf(jnp.asarray(t), latent[None]))
    mean = np.trapezoid(t * density, t)
    assert float(mixture.mean(latent)) == pytest.approx(mean, abs=1e-5)
    assert float(mixture.variance(latent)) == pytest.approx(np.trapezoid((t - mean) ** 2 * density, t), rel=1e-4)
    drawn = np.asarray(jax.jit(mixture.sample)(jax.random.key(0), jnp.broadcast_to(latent, (20000, len(latent)))))
    assert scipy.stats.kstest(drawn, lambda x: np.asarray(cdf(jnp.asarray(x), latent[None]))).pvalue > 1e-4


def test_mixture_of_charges_has_the_moments_of_a_mixture():
    base = Decoder(FAMILIES["NegativeBinomialDecoder"])
    mixture = Mixture((Component("nb", base, 2),), ValueRange())
    latent = jnp.array([1.0, 0.2, 1.0, 5.0, 0.1, 3.0])
    n = np.arange(400)
    pmf = np.asarray(mixture.pdf(jnp.asarray(n, float), latent[None]))
    mean, excess = mixture.mean_and_excess(latent)
    assert float(mean) == pytest.approx((pmf * n).sum())
    assert float(mean + excess) == pytest.approx((pmf * n**2).sum() - (pmf * n).sum() ** 2)
    assert mixture.is_charge
    assert not cases.time_mixture().is_charge


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_negative_binomial_at_every_over_dispersion(dtype):
    """float32 within 2e-3 in log for alpha from 1e-12 to 10 and mean from 1e-6 to 1e3."""
    mu = np.geomspace(1e-6, 1e3, 19)[:, None, None]
    alpha = np.geomspace(1e-12, 10, 27)[None, :, None]
    n = np.array([0.0, 1, 2, 5, 17, 100, 1000])[None, None, :]
    got = np.asarray(log_probability(jnp.asarray(n, dtype), jnp.asarray(mu, dtype), jnp.asarray(alpha * mu**2, dtype)))
    assert got.dtype == dtype
    large = alpha > 1e-5
    exact = scipy.stats.nbinom.logpmf(n, 1 / np.where(large, alpha, 1), 1 / (1 + np.where(large, alpha, 1) * mu))
    # SciPy takes log(1 - 1 / (1 + alpha mu)), which cancels for small alpha mu.
    usable = large & (alpha * mu > 1e-7) & (exact > -1e5)
    # Beyond 1e4 the spacing of float32 itself is 1e-3.
    tolerance = {"atol": 2e-3, "rtol": 2e-7} if dtype == np.float32 else {"atol": 1e-6, "rtol": 1e-9}
    np.testing.assert_allclose(got[usable], exact[usable], **tolerance)
    poisson = scipy.stats.poisson.logpmf(n, np.broadcast_to(mu, (19, 1, 1)))
    np.testing.assert_allclose(got[:, 0], poisson[:, 0], **tolerance)
    zero = log_zero(jnp.asarray(mu, dtype), jnp.asarray(alpha * mu**2, dtype))
    np.testing.assert_allclose(zero[..., 0], got[..., 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_negative_binomial_accumulates_at_every_over_dispersion(dtype):
    """From Poisson (0) over alphas at which the incomplete beta function has no digits left to broad distributions."""
    n = np.array([-1.0, 0, 1, 2, 5, 17, 60])[None, :]
    cdf = FAMILIES["NegativeBinomialDecoder"].cdf
    for alpha in (0.0, 1e-16, 1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 4e-3, 0.1, 1.0):
        mu = np.geomspace(1e-6, 50, 12)[:, None]
        exact = (
            scipy.stats.poisson.cdf(n, mu)
            if alpha < 1e-8
            else scipy.stats.nbinom.cdf(n, 1 / alpha, 1 / (1 + alpha * mu))
        )
        got = np.asarray(cdf(jnp.asarray(n, dtype), (jnp.asarray(mu, dtype), jnp.asarray(alpha, dtype))))
        np.testing.assert_allclose(got, exact, atol=2e-3 if dtype == np.float32 else 5e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_finite(dtype):
    n, mu, excess = (
        a.ravel()
        for a in np.meshgrid([0.0, 0.3, 1, 7.5, 1e4], np.geomspace(1e-7, 1e4, 12), [0.0, 1e-14, 1e-8, 1e-3, 1.0, 1e5])
    )
    slopes = jax.jit(jax.vmap(jax.grad(log_probability, argnums=(1, 2))))
    gradient = slopes(*(jnp.asarray(a, dtype) for a in (n, mu, excess)))
    assert all(np.isfinite(g).all() for g in gradient)
    mixture, latent = cases.time_mixture(), jnp.asarray(cases.MIXTURE_LATENT, dtype)
    x = jnp.asarray([-1e7, -10.0, -1e-3, 0.0, 1e-30, 1e-3, 5.0, 1e7], dtype)

    def density(x, latent):
        terms = mixture.log_components(x[None], mixture.prepare(latent))
        return jnp.exp(jax.nn.logsumexp(terms))

    for gradient in jax.jit(jax.vmap(jax.grad(density, argnums=(0, 1)), in_axes=(0, None)))(x, latent):
        assert np.isfinite(gradient).all()


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="Did you mean 'sigma'"):
        Decoder(FAMILIES["AsymmetricGaussianDecoder"], (("sigm", ValueRange()),))
    with pytest.raises(ConfigError, match="number of components >= 1, got 0"):
        Mixture((Component("a", Decoder(FAMILIES["GammaFunctionDecoder"]), 0),))
    with pytest.raises(ConfigError, match="weight factor >= 0"):
        Mixture((Component("a", Decoder(FAMILIES["GammaFunctionDecoder"]), 1, -1.0),))


def test_smeared_gamma_is_the_convolution():
    decoder, latent = Decoder(FAMILIES["SmearedGammaFunctionDecoder"]), jnp.array([0.6, 4.0, 0.125])

    def response(u):
        v = u / 0.125
        return (v**2 / 2 if v < 1 else 0.75 - (v - 1.5) ** 2 if v < 2 else (3 - v) ** 2 / 2) / 0.125

    for x in (0.05, 0.2, 0.3, 0.4, 0.51, 3.0):
        edges = [e for e in (0.0, 0.125, 0.25, 0.375) if e < x] + [min(x, 0.375)]
        # The substitution x - u = s^3 takes the peak of the gamma density at 0 away.
        expected = sum(
            quad(
                lambda s, x=x: response(x - s**3) * scipy.stats.gamma.pdf(s**3, 0.6, scale=0.25) * 3 * s**2,
                np.cbrt(x - b),
                np.cbrt(x - a),
                epsabs=1e-12,
            )[0]
            for a, b in zip(edges[:-1], edges[1:], strict=True)
            if b > a
        )
        assert float(decoder.pdf(jnp.array(x), latent)) == pytest.approx(expected, rel=1e-6)


@jax.jit
def log_density(x, alpha, beta, width):
    return smeared_gamma.log_kernel(x, smeared_gamma.prepare((alpha, beta, width)))


def test_derivatives_of_the_smeared_gamma_are_those_of_differences():
    """First and second ones: those of the series come along with it."""
    width = 0.1
    x = jnp.asarray(width * np.array([0.4, 1.7, 2.9, 3.6]))
    check_grads(lambda *p: log_density(x, *p, jnp.asarray(width)), (jnp.asarray(0.7), jnp.asarray(3.0)), order=2)


@pytest.mark.parametrize("width", [0.008, 0.15])
def test_smeared_gamma_in_single_precision_is_smooth(width):
    alpha, beta = np.array([0.02, 0.3, 1.0, 2.5, 12.0, 40.0])[:, None], 3.0
    edges = width * np.array([1.0, 1.0001, 3.0, 3.0001, 4.0, 4.0001])
    x = np.concatenate([[-1.0, 0.0], np.geomspace(1e-4, 60, 400), edges])[None]
    prepared = jnp.asarray(alpha), jnp.asarray(beta), jnp.asarray(width)
    exact = np.asarray(jax.jit(log_density)(jnp.asarray(x), *prepared))
    single = tuple(p.astype(jnp.float32) for p in prepared)
    got = np.asarray(jax.jit(log_density)(jnp.asarray(x, jnp.float32), *single))
    assert np.all(np.isfinite(got))
    usual = exact > np.where(alpha < 0.1, -8, -40)
    np.testing.assert_allclose(got[usual], exact[usual], atol=4e-3)
    # Both formulas and their slopes meet.
    slope = jax.jit(jax.vmap(jax.grad(lambda t: jnp.sum(log_density(t, prepared[0].ravel(), *prepared[1:])))))
    for edge in (3, 4):
        left, right = (slope(jnp.asarray([edge * width * (1 + s)]))[0] for s in (-1e-7, 1e-7))
        assert float(left) == pytest.approx(float(right), rel=1e-3)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(log_density(jnp.asarray(x, jnp.float32), *p))))(single)
    assert all(np.all(np.isfinite(g)) for g in gradient)


@pytest.mark.parametrize("rate_times_width", [0.1, 0.5, 1.5])
def test_the_smeared_gamma_is_the_integral_wherever_its_formulas_meet(rate_times_width):
    """Networks may learn rates up to three halves of 1 / width; the integral, piece by piece, without the power of u at 0."""
    width, nodes, weights = 0.008, *np.polynomial.legendre.leggauss(60)
    beta = rate_times_width / width

    def response(t):
        return np.where(
            t < 1, t**2 / 2, np.where(t < 2, (-2 * t**2 + 6 * t - 3) / 2, np.where(t < 3, (3 - t) ** 2 / 2, 0))
        )

    def integral(x, alpha):
        power, total = 4 / min(alpha, 1.0), 0.0
        for piece in range(3):
            ends = [max(x - end * width, 0.0) ** (1 / power) for end in (piece + 1, piece)]
            if ends[1] == 0:
                continue
            v = (nodes + 1) / 2 * (ends[1] - ends[0]) + ends[0]
            density = scipy.stats.gamma.pdf(v**power, alpha, scale=1 / beta) * response((x - v**power) / width) / width
            total += np.sum(weights / 2 * (ends[1] - ends[0]) * power * v ** (power - 1) * density)
        return total

    for alpha in (0.2, 1.0, 5.0):
        x = width * np.array([0.3, 1.5, 2.2, 3.0, 3.7, 3.99, 4.01, 8.0])
        exact = np.log([integral(own, alpha) for own in x])
        got = log_density(jnp.asarray(x), jnp.asarray(alpha), jnp.asarray(beta), jnp.asarray(width))
        np.testing.assert_allclose(got, exact, atol=1e-7 if rate_times_width < 1 else 1e-3)


def test_a_range_with_two_ends():
    own = ValueRange("sigmoid", scale=2.0, offset=0.5, min_value=0.006, max_value=0.010)
    x = jnp.linspace(-3.0, 3.0, 25)
    np.testing.assert_allclose(own(x), 0.006 + 0.004 / (1 + np.exp(-(2 * np.asarray(x) + 0.5))), rtol=1e-12)
    assert own(jnp.array(-1e4)) >= 0.006 and own(jnp.array(1e4)) <= 0.010
    middle = own(x[8:17])
    np.testing.assert_allclose(own(own.inverse(middle)), middle, rtol=1e-9)
    with pytest.raises(ConfigError, match="max_value: expected more than min_value = 2, got 1"):
        ValueRange("sigmoid", min_value=2.0)
    with pytest.raises(ConfigError, match=r"max_value: expected more than min_value = 2, got 1"):
        read_range({"value_range_class": "SigmoidValueRange", "config": {"min_value": 2.0}}, "alpha")
    record = read_range({"value_range_class": "SigmoidValueRange", "config": {"max_value": 3.0}}, "alpha")
    assert range_record(record.build()) == record
