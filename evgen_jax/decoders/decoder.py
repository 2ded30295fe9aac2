"""A decoder: a family of distributions, the value ranges of its parameters and a constant offset."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Real

from evgen_jax.decoders.family import IMPOSSIBLE, Family
from evgen_jax.decoders.value_range import ValueRange
from evgen_jax.errors import ConfigError, suggestion


@dataclass(frozen=True)
class Decoder:
    """Turns latent variables [..., L] into a distribution, L = number of parameters.

    Attributes:
      family: the distribution.
      value_ranges: (parameter name, range) pairs; a parameter without a range equals its latent variable.
      offset: constant shift of x in units of x; the mean moves with it.

    Raises:
      ConfigError: a value range of a parameter that the family does not have.
    """

    family: Family
    value_ranges: tuple[tuple[str, ValueRange], ...] = ()
    offset: float = 0.0

    def __post_init__(self) -> None:
        for name, _ in self.value_ranges:
            if name not in self.family.parameter_names:
                raise ConfigError(
                    f"value_range_mapping: '{name}' is not a parameter of {self.family.name}; "
                    f"its parameters are {', '.join(self.family.parameter_names)}."
                    + suggestion(name, self.family.parameter_names)
                )

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Returns the names of the L parameters in the order of the latent variables."""
        return self.family.parameter_names

    @property
    def loc_parameters(self) -> tuple[str, ...]:
        """Returns the names of the parameters that carry the expected charge or the position in time."""
        return self.family.loc_parameters

    @property
    def is_charge(self) -> bool:
        """Returns whether the distribution is one of charges, else of times."""
        return self.family.is_charge

    @property
    def num_components(self) -> int:
        """Returns 1: a decoder is a mixture of one component."""
        return 1

    def parameters(self, latent: Float[Array, "*shape L"]) -> tuple[Float[Array, "*shape"], ...]:
        """Maps latent variables to parameters within their value ranges.

        Args:
          latent: [..., L].

        Returns:
          L arrays (...), in the order of `parameter_names`.
        """
        ranges = dict(self.value_ranges)
        return tuple(
            ranges[name](latent[..., i]) if name in ranges else latent[..., i]
            for i, name in enumerate(self.parameter_names)
        )

    def prepare(self, latent: Float[Array, "*#shape L"]) -> tuple[Float[Array, "*#shape 1"], ...]:
        """Computes the constants of the log density, once for many x.

        Args:
          latent: [..., L].

        Returns:
          Arrays (..., 1): the last axis counts components.
        """
        return tuple(a[..., None] for a in self.family.prepare(self.parameters(latent)))

    def log_components(
        self, x: Real[Array, "*#shape 1"], prepared: tuple[Float[Array, "*#shape 1"], ...]
    ) -> Float[Array, "*#shape 1"]:
        """Computes the log density of the single component.

        Args:
          x: (..., 1).
          prepared: constants as `prepare` returns them.

        Returns:
          Log density (..., 1) per unit of x; -1e30 where x is impossible.
        """
        return self.family.log_kernel(x - self.offset, prepared)

    def log_pdf(self, x: Real[Array, "*#shape"], latent: Float[Array, "*#shape L"]) -> Float[Array, "*#shape"]:
        """Computes the log density.

        Args:
          x: shape (...).
          latent: [..., L].

        Returns:
          Log density (...) per unit of x; -inf where it vanishes.
        """
        value = self.family.log_kernel(x - self.offset, self.family.prepare(self.parameters(latent)))
        return jnp.where(value > IMPOSSIBLE / 2, value, -jnp.inf)

    def pdf(self, x: Real[Array, "*#shape"], latent: Float[Array, "*#shape L"]) -> Float[Array, "*#shape"]:
        """Computes the density; of a charge distribution, the probability.

        Args:
          x: shape (...).
          latent: [..., L].

        Returns:
          Density (...) per unit of x.
        """
        return jnp.exp(self.family.log_kernel(x - self.offset, self.family.prepare(self.parameters(latent))))

    def cdf(self, x: Real[Array, "*#shape"], latent: Float[Array, "*#shape L"]) -> Float[Array, "*#shape"]:
        """Computes the cumulative distribution.

        Args:
          x: shape (...).
          latent: [..., L].

        Returns:
          Probabilities (...) within [0, 1].
        """
        return jnp.clip(self.family.cdf(x - self.offset, self.parameters(latent)), 0, 1)

    def cdf_components(
        self, x: Real[Array, "*#shape 1"], latent: Float[Array, "*#shape L"]
    ) -> Float[Array, "*#shape 1"]:
        """Computes the cumulative distribution with an axis of components, of which a decoder has one with weight 1.

        Args:
          x: (..., 1).
          latent: [..., L].

        Returns:
          Probabilities (..., 1) within [0, 1].
        """
        return self.cdf(x[..., 0], latent)[..., None]

    def ppf(self, q: Float[Array, "*#shape"], latent: Float[Array, "*#shape L"]) -> Float[Array, "*#shape"]:
        """Computes the quantile.

        Args:
          q: probability in [0, 1], shape (...).
          latent: [..., L].

        Returns:
          x (...) with cdf(x) = q; for charges, the smallest integer with cdf >= q.
        """
        return self.family.ppf(q, self.parameters(latent)) + self.offset

    def mean(self, latent: Float[Array, "*shape L"]) -> Float[Array, "*shape"]:
        """Computes the mean, the offset included.

        Args:
          latent: [..., L].

        Returns:
          Mean (...) in units of x.
        """
        return self.family.mean(self.parameters(latent)) + self.offset

    def variance(self, latent: Float[Array, "*shape L"]) -> Float[Array, "*shape"]:
        """Computes the variance.

        Args:
          latent: [..., L].

        Returns:
          Variance (...) in squared units of x.
        """
        return self.family.variance(self.parameters(latent))

    def mean_and_excess(
        self, latent: Float[Array, "*shape L"]
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Computes the mean of a charge and its over-dispersion, variance - mean, without a subtraction.

        Args:
          latent: [..., L].

        Returns:
          Mean, PE, and over-dispersion, PE^2, each (...).

        Raises:
          TypeError: the family is one of times.
        """
        parameters = self.parameters(latent)
        return self.family.mean(parameters) + self.offset, self.family.excess(parameters)

    def sample(
        self, key: PRNGKeyArray, latent: Float[Array, "*shape L"], offsets: Float[Array, "*shape 1"] | None = None
    ) -> Float[Array, "*shape"]:
        """Draws one value per latent vector.

        Args:
          key: of the random numbers.
          latent: [..., L].
          offsets: (..., 1), added to the values; None: nothing is added.

        Returns:
          Values (...) in units of x.
        """
        value = self.family.sample(key, self.parameters(latent), latent.shape[:-1]) + self.offset
        return value if offsets is None else value + offsets[..., 0]
