"""Distributions of arrival times and charges; adding a family is one file and one entry in FAMILIES.

Contents:
  Family, FAMILIES: a distribution as functions of its parameters; those that there are, by their names in configurations.
  Decoder, ValueRange: a family with the ranges of its parameters.
  Mixture, Component: a weighted sum of decoders.
  rational_quadratic_spline: a family with any number of bins.
"""

from evgen_jax.decoders.asymmetric_gaussian import ASYMMETRIC_GAUSSIAN
from evgen_jax.decoders.decoder import Decoder
from evgen_jax.decoders.family import Family
from evgen_jax.decoders.gamma import GAMMA, SHIFTED_GAMMA
from evgen_jax.decoders.mixture import Component, Mixture
from evgen_jax.decoders.negative_binomial import NEGATIVE_BINOMIAL
from evgen_jax.decoders.poisson import POISSON
from evgen_jax.decoders.smeared_gamma import SMEARED_GAMMA
from evgen_jax.decoders.spline import rational_quadratic_spline
from evgen_jax.decoders.value_range import ValueRange

FAMILIES: dict[str, Family] = {
    "AsymmetricGaussianDecoder": ASYMMETRIC_GAUSSIAN,
    "GammaFunctionDecoder": GAMMA,
    "ShiftedGammaFunctionDecoder": SHIFTED_GAMMA,
    "SmearedGammaFunctionDecoder": SMEARED_GAMMA,
    "RationalQuadraticSplineDecoder": rational_quadratic_spline(),
    "PoissonDecoder": POISSON,
    "NegativeBinomialDecoder": NEGATIVE_BINOMIAL,
}
"""Decoder class name in configurations -> family."""

__all__ = ["FAMILIES", "Component", "Decoder", "Family", "Mixture", "ValueRange", "rational_quadratic_spline"]
