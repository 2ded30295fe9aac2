r"""Negative binomial with mean mu and variance mu + alpha mu^2, for real counts n >= 0.

Written in the excess X = alpha mu^2 = variance - mean, which adds over independent sources. In float32 the textbook
difference lgamma(n + r) - lgamma(r), r = 1 / alpha, loses all digits for small alpha; here

    log p = n log mu - lgamma(n + 1) - (n + r) log(1 + mu / r) + G(n, r)
    G(n, r) = (n + r - 1/2) log(1 + n / r) - n + s(n + r) - s(r),   r > 20

with the Stirling tail s; r to infinity is the Poisson distribution exactly.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc, gammaincc, gammaln
from jaxtyping import Array, Float, PRNGKeyArray, Real

from evgen_jax.decoders.discrete import discrete_quantile
from evgen_jax.decoders.family import IMPOSSIBLE, Family
from evgen_jax.numerics import stirling_tail

_HALF_LOG_TWO_PI = 0.5 * np.log(2 * np.pi)


def _log1p_ratio(t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(1 + t) / t, 1 at t = 0, with a derivative that does not cancel there."""
    small = t < 1e-3
    series = 1 - t * (1 / 2 - t * (1 / 3 - t * (1 / 4 - t / 5)))
    safe = jnp.where(small, 1.0, t)
    return jnp.where(small, series, jnp.log1p(safe) / safe)


def log_factorial_term(
    n: Real[Array, "*#shape"], mu: Float[Array, "*#shape"], add_normalization_term: bool = True
) -> Float[Array, "*#shape"]:
    """Computes n log mu - lgamma(n + 1), for large n without the cancellation of the two terms.

    Args:
      n: charge >= 0, PE, shape (...).
      mu: expected charge > 0, PE, broadcastable against n.
      add_normalization_term: False leaves lgamma(n + 1) out, which no parameter changes.

    Returns:
      The term, shape (...).
    """
    if not add_normalization_term:
        return n * jnp.log(mu)
    large = n > 16
    n_large = jnp.where(large, n, 16.0)
    n_small = jnp.where(large, 1.0, n)
    stirling = (
        n_large * (jnp.log(mu / n_large) + 1)
        - 0.5 * jnp.log(n_large)
        - (float(_HALF_LOG_TWO_PI) + stirling_tail(n_large))
    )
    return jnp.where(large, stirling, n_small * jnp.log(mu) - gammaln(n_small + 1))


def log_zero(mu: Float[Array, "*#shape"], excess: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """Computes the log probability of no charge: -r log(1 + mu / r) = -mu log(1 + t) / t with t = X / mu.

    Args:
      mu: expected charge > 0, PE, shape (...).
      excess: over-dispersion X = variance - mean >= 0, PE^2, shape (...).

    Returns:
      Log probability <= 0, shape (...).
    """
    return -mu * _log1p_ratio(excess / mu)


def log_probability(
    n: Real[Array, "*#shape"],
    mu: Float[Array, "*#shape"],
    excess: Float[Array, "*#shape"],
    add_normalization_term: bool = True,
) -> Float[Array, "*#shape"]:
    """Computes the log probability of charge n for mean mu and over-dispersion X = variance - mean.

    Args:
      n: charge in PE, >= 0, need not be an integer; shape (...).
      mu: expected charge > 0, PE, broadcastable against n.
      excess: over-dispersion X >= 0, PE^2, broadcastable against n; 0 is the Poisson distribution.
      add_normalization_term: whether to subtract lgamma(n + 1), which no parameter changes.

    Returns:
      Log probability, shape (...); -1e30 for n < 0.
    """
    n_inside = jnp.maximum(n, 0)
    t = excess / mu
    alpha = jnp.minimum(t / mu, 1e18)
    u = alpha * n_inside
    log_u = jnp.log1p(u)

    small = alpha < 0.05
    # r > 20: everything written in alpha, so that alpha = 0 needs no special case.
    a = jnp.where(small, alpha, 0.01)
    u_small = jnp.where(small, u, 0.0)
    tail_sum = a / (1 + u_small)
    tail = _tail_of_inverse(tail_sum) - _tail_of_inverse(a)
    g_small = n_inside * (log_u + _log1p_ratio(u_small) - 1) - 0.5 * log_u + tail
    # r < 20: the direct form is accurate.
    r = 1 / jnp.where(small, 1.0, alpha)
    g_large = gammaln(n_inside + r) - gammaln(r) - n_inside * jnp.log(r)

    value = (
        log_factorial_term(n_inside, mu, add_normalization_term)
        - mu * _log1p_ratio(t)
        - n_inside * jnp.log1p(t)
        + jnp.where(small, g_small, g_large)
    )
    return jnp.where(n >= 0, value, IMPOSSIBLE)


def _tail_of_inverse(inverse: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Stirling tail s(1 / inverse)."""
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260)))


def _excess(parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    mu, alpha = parameters
    return alpha * mu**2


NEARLY_POISSON = 0.05
"""alpha (n + mu) below which a negative binomial is expanded around the Poisson distribution."""


def _cdf(x: Real[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    """Computes the cumulative distribution: the regularised incomplete beta function, or its limit for small alpha.

    For small alpha the beta function loses all digits (0.63 instead of 0.42 at alpha = 1e-6 in float32); there a series holds
    in the central moments of the gamma distribution whose mixture of Poisson distributions this is. JAX differentiates the beta
    function by mu only.
    """
    mu, alpha = parameters
    n = jnp.maximum(jnp.floor(x), 0)
    small = alpha * (n + mu) < NEARLY_POISSON
    over = jnp.where(small, 1.0, alpha)
    value = jnp.where(small, _nearly_poisson_cdf(n, mu, alpha), betainc(1 / over, n + 1, 1 / (1 + over * mu)))
    return jnp.where(x >= 0, jnp.clip(value, 0, 1), 0.0)


def _nearly_poisson_cdf(
    n: Float[Array, "*#shape"], mu: Float[Array, "*#shape"], alpha: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """Computes E[F(n; l)] for l of mean mu and central moments alpha mu^2, 2 alpha^2 mu^3, 3 alpha^2 mu^4, to second order.

    F is the cumulative Poisson distribution; its derivatives by the mean are differences of probabilities p(n - k).
    """
    p = jnp.exp(
        jnp.where(mu > 0, n * jnp.log(jnp.maximum(mu, 1e-30)) - mu - gammaln(n + 1), jnp.where(n > 0, -jnp.inf, 0.0))
    )
    first, second = n, n * (n - 1)  # p(n - k) mu^k / p(n)
    third = second * (n - 2)
    variance = alpha / 2 * mu * (mu - first)
    skewness = -(alpha**2) / 3 * mu * (mu**2 - 2 * mu * first + second)
    kurtosis = alpha**2 / 8 * mu * (mu**3 - 3 * mu**2 * first + 3 * mu * second - third)
    return gammaincc(n + 1, mu) + p * (variance + skewness + kurtosis)


def _ppf(q: Float[Array, "*#shape"], parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    return discrete_quantile(_cdf, q, parameters, parameters[0], _variance(parameters))


def _variance(parameters: tuple[Float[Array, "*#shape"], ...]) -> Float[Array, "*#shape"]:
    return parameters[0] + _excess(parameters)


def sample_counts(
    key: PRNGKeyArray, mu: Float[Array, "*shape"], excess: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Draws counts of a negative binomial: Poisson variates whose mean is gamma-distributed.

    Args:
      key: of the random numbers.
      mu: expected charge >= 0, PE, shape (...).
      excess: over-dispersion X = variance - mean >= 0, PE^2, shape (...).

    Returns:
      Integer-valued numbers of the type and shape of mu.
    """
    key_gamma, key_poisson = jax.random.split(key)
    alpha = excess / jnp.maximum(mu, 1e-30) ** 2
    over = alpha > 1e-6
    r = 1 / jnp.where(over, jnp.minimum(alpha, 1e18), 1.0)
    # log-gamma: for r << 1 the gamma variate underflows, its logarithm does not.
    log_factor = jax.random.loggamma(key_gamma, r) - jnp.log(r)
    rate = mu * jnp.where(over, jnp.exp(jnp.minimum(log_factor, 60.0)), 1.0)
    return jax.random.poisson(key_poisson, jnp.minimum(rate, 1e9)).astype(jnp.result_type(mu))


NEGATIVE_BINOMIAL = Family(
    "NegativeBinomial",
    ("mu", "alpha"),
    ("mu",),
    True,
    lambda p: (p[0], _excess(p)),
    lambda x, prepared: log_probability(x, *prepared),
    _cdf,
    _ppf,
    lambda p: p[0],
    _variance,
    lambda key, p, shape: sample_counts(key, jnp.broadcast_to(p[0], shape), jnp.broadcast_to(_excess(p), shape)),
    _excess,
)
"""Family of negative binomial distributions, for charges; parameters mu (mean, PE), alpha (over-dispersion / mu^2)."""
