"""Distributions of arrival times and charges; adding a family is one file and one entry in FAMILIES.

Records, with the names and keys of configurations; a source takes them as its decoders:
  AsymmetricGaussianDecoder, GammaFunctionDecoder, ShiftedGammaFunctionDecoder, SmearedGammaFunctionDecoder: arrival times.
  RationalQuadraticSplineDecoder: arrival times with any number of bins.
  MixtureModel: a weighted sum of decoders.
  PoissonDecoder, NegativeBinomialDecoder: charges.
  BaseValueRange, EluValueRange, ExpValueRange: ranges of their parameters.

What the records build:
  Family, FAMILIES: a distribution as functions of its parameters; those that there are, by the names of their decoders.
  Decoder, ValueRange: a family with the ranges of its parameters.
  Mixture, Component: a weighted sum of decoders.
  rational_quadratic_spline: a family with any number of bins.

`eg.register_decoder` adds a family of one's own.
"""

from evgen_jax.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "evgen_jax.building.decoders": [
            "AsymmetricGaussianDecoder",
            "GammaFunctionDecoder",
            "MixtureModel",
            "NegativeBinomialDecoder",
            "PoissonDecoder",
            "RationalQuadraticSplineDecoder",
            "ShiftedGammaFunctionDecoder",
            "SmearedGammaFunctionDecoder",
        ],
        "evgen_jax.building.value_ranges": ["BaseValueRange", "EluValueRange", "ExpValueRange"],
        "evgen_jax.decoders.decoder": ["Decoder"],
        "evgen_jax.decoders.families": ["FAMILIES"],
        "evgen_jax.decoders.family": ["Family"],
        "evgen_jax.decoders.mixture": ["Component", "Mixture"],
        "evgen_jax.decoders.spline": ["rational_quadratic_spline"],
        "evgen_jax.decoders.value_range": ["ValueRange"],
    },
)
