"""A decoder: a family of distributions, the value ranges of its parameters and a constant offset."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from evgen_jax.decoders.family import IMPOSSIBLE, Family
from evgen_jax.decoders.value_range import ValueRange
from evgen_jax.errors import ConfigError, suggestion


@dataclass(frozen=True)
class Decoder:
    """Turns latent variables [..., L] into a distribution, L = number of parameters.

    Attributes:
      family: the distribution.
      value_ranges: (parameter name, range) pairs; other parameters are taken as they are.
      offset: constant shift of x in units of x; the mean moves with it.
    """

    family: Family
    value_ranges: tuple[tuple[str, ValueRange], ...] = ()
    offset: float = 0.0

    def __post_init__(self):
        for name, _ in self.value_ranges:
            if name not in self.family.parameter_names:
                raise ConfigError(
                    f"value_range_mapping: '{name}' is not a parameter of {self.family.name}; "
                    f"its parameters are {', '.join(self.family.parameter_names)}."
                    + suggestion(name, self.family.parameter_names)
                )

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return self.family.parameter_names

    @property
    def loc_parameters(self) -> tuple[str, ...]:
        return self.family.loc_parameters

    @property
    def is_charge(self) -> bool:
        return self.family.is_charge

    @property
    def num_components(self) -> int:
        return 1

    def parameters(self, latent: Array) -> tuple[Array, ...]:
        """Latent variables (..., L) to parameters within their value ranges, one array (...) each."""
        ranges = dict(self.value_ranges)
        return tuple(
            ranges[name](latent[..., i]) if name in ranges else latent[..., i]
            for i, name in enumerate(self.parameter_names)
        )

    def prepare(self, latent: Array) -> tuple[Array, ...]:
        """Constants of the log density, each of shape (..., 1): one component."""
        return tuple(a[..., None] for a in self.family.prepare(self.parameters(latent)))

    def log_components(self, x: Array, prepared: tuple[Array, ...]) -> Array:
        """Log density of the single component at x (..., 1), impossible values as -1e30."""
        return self.family.log_kernel(x - self.offset, prepared)

    def log_pdf(self, x: Array, latent: Array) -> Array:
        """Log density at x (...); -inf where it vanishes."""
        value = self.family.log_kernel(x - self.offset, self.family.prepare(self.parameters(latent)))
        return jnp.where(value > IMPOSSIBLE / 2, value, -jnp.inf)

    def pdf(self, x: Array, latent: Array) -> Array:
        """Density at x (...), per unit of x."""
        return jnp.exp(self.family.log_kernel(x - self.offset, self.family.prepare(self.parameters(latent))))

    def cdf(self, x: Array, latent: Array) -> Array:
        """Cumulative distribution at x (...), within [0, 1]."""
        return jnp.clip(self.family.cdf(x - self.offset, self.parameters(latent)), 0, 1)

    def cdf_components(self, x: Array, latent: Array) -> Array:
        """Cumulative distribution at x (..., 1) as one weighted component."""
        return self.cdf(x[..., 0], latent)[..., None]

    def ppf(self, q: Array, latent: Array) -> Array:
        """Quantile at probability q (...)."""
        return self.family.ppf(q, self.parameters(latent)) + self.offset

    def mean(self, latent: Array) -> Array:
        return self.family.mean(self.parameters(latent)) + self.offset

    def variance(self, latent: Array) -> Array:
        return self.family.variance(self.parameters(latent))

    def mean_and_excess(self, latent: Array) -> tuple[Array, Array]:
        """Mean and variance - mean of a charge, the latter without a subtraction."""
        parameters = self.parameters(latent)
        return self.family.mean(parameters) + self.offset, self.family.excess(parameters)

    def sample(self, key: Array, latent: Array, offsets: Array | None = None) -> Array:
        """Draws one value per latent vector; `offsets` (..., 1) are added."""
        value = self.family.sample(key, self.parameters(latent), latent.shape[:-1]) + self.offset
        return value if offsets is None else value + offsets[..., 0]
