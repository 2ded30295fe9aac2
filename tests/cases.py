"""Tables over which generic tests run. A new family of distributions is one row here."""

import scipy.stats

from evgen_jax.decoders import FAMILIES, Component, Decoder, Mixture

SQRT_HALF_PI = 1.2533141373155001

SPLINE = (
    0.5, -1.0, 0.3,  1.2, -0.4,  0.0, 0.8, -0.2,       # widths of eight bins
   -0.3,  0.9, 0.1, -1.1,  0.7,  1.0, -0.6, 0.2,       # heights
    0.5, -0.5, 1.5, -2.0,  0.3, -0.1, 0.9, -0.7, 0.4,  # slopes at their edges
)  # fmt: skip
CONTINUOUS = {
    # family class: (parameters, scipy distribution or None, support)
    "AsymmetricGaussianDecoder": [
        ((0.3, 0.7, 2.5), None),
        ((-2.0, 0.05, 0.2), None),
        ((0.3, 1.2, 1.0), scipy.stats.norm(0.3, 1.2)),
    ],
    "GammaFunctionDecoder": [
        ((2.5, 1.3), scipy.stats.gamma(2.5, scale=1 / 1.3)),
        ((0.6, 4.0), scipy.stats.gamma(0.6, scale=1 / 4.0)),
        ((40.0, 12.0), scipy.stats.gamma(40.0, scale=1 / 12.0)),
    ],
    "ShiftedGammaFunctionDecoder": [((2.5, 1.3, -1.5), scipy.stats.gamma(2.5, loc=-1.5, scale=1 / 1.3))],
    "SmearedGammaFunctionDecoder": [((2.5, 1.3, 0.35), None), ((0.2, 4.0, 0.008), None), ((30.0, 12.0, 0.008), None)],
    "RationalQuadraticSplineDecoder": [
        ((0.3, 0.7, 2.5, *SPLINE), None),
        ((0.3, 1.2, 1.0, *[0.0] * 25), scipy.stats.logistic(0.3, 1.2)),
    ],
}
DISCRETE = {
    "PoissonDecoder": [((2.2,), scipy.stats.poisson(2.2)), ((300.0,), scipy.stats.poisson(300.0))],
    "NegativeBinomialDecoder": [
        ((2.2, 0.3), scipy.stats.nbinom(1 / 0.3, 1 / (1 + 0.3 * 2.2))),
        ((50.0, 4.0), scipy.stats.nbinom(0.25, 1 / 201.0)),
        ((800.0, 1e-3), scipy.stats.nbinom(1000, 1 / 1.8)),
    ],
}


def time_mixture() -> Mixture:
    """Two Gaussians and a gamma."""
    return Mixture(
        (
            Component("gauss", Decoder(FAMILIES["AsymmetricGaussianDecoder"]), 2, 1.0),
            Component("gamma", Decoder(FAMILIES["GammaFunctionDecoder"]), 1, 10.0),
        )
    )


MIXTURE_LATENT = (2.0, 3.0, 0.3, 0.3, 0.7, 2.5, 0.1, -1.0, 0.4, 1.0, 0.8)
