"""Registered families of distributions, by the names of their decoders."""

from evgen_jax.decoders.asymmetric_gaussian import ASYMMETRIC_GAUSSIAN
from evgen_jax.decoders.family import Family
from evgen_jax.decoders.gamma import GAMMA, SHIFTED_GAMMA
from evgen_jax.decoders.negative_binomial import NEGATIVE_BINOMIAL
from evgen_jax.decoders.poisson import POISSON
from evgen_jax.decoders.smeared_gamma import SMEARED_GAMMA
from evgen_jax.decoders.spline import rational_quadratic_spline

FAMILIES: dict[str, Family] = {
    "AsymmetricGaussianDecoder": ASYMMETRIC_GAUSSIAN,
    "GammaFunctionDecoder": GAMMA,
    "ShiftedGammaFunctionDecoder": SHIFTED_GAMMA,
    "SmearedGammaFunctionDecoder": SMEARED_GAMMA,
    "RationalQuadraticSplineDecoder": rational_quadratic_spline(),
    "PoissonDecoder": POISSON,
    "NegativeBinomialDecoder": NEGATIVE_BINOMIAL,
}
"""Decoder class name in configurations -> family of distributions."""
