"""Priors of single hypothesis parameters: uniform with soft walls or hard ends, power laws, normal, isotropic.

Densities are by the physical parameters (m, ns, GeV, and per rad of zenith and of azimuth). Losses, posteriors and
penalised fits take products of priors, see `evgen_jax.hypothesis.joint_prior`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.checks import check_finite
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.parameters import Parameter, direction_pairs
from evgen_jax.numerics import sum_dtype

STEEPNESS = 10.0
"""Growth of the exponent of a wall over one width of the range."""
LARGEST_EXPONENT = 40.0
"""Exponent beyond which a wall is linear, so that float32 stays finite."""
SMALLEST_SINE = 1e-12
"""Least sine of a zenith in a density, which keeps its logarithm finite at the poles."""


@dataclass(frozen=True)
class Prior:
    """Is the distribution of one parameter; base of all kinds, whose further fields are their numbers.

    Attributes:
      name: of the parameter.
      required: whether a hypothesis without the parameter is an error.

    Raises:
      ConfigError: a number that is not finite, or numbers that make no distribution.
    """

    name: str
    required: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        for key in numbers_of(type(self)):
            check_finite(getattr(self, key), f"priors.{self.name}.{key}", ConfigError)
            object.__setattr__(self, key, float(getattr(self, key)))
        if fault := self.fault():
            raise ConfigError(f"priors.{self.name}{fault}.")

    def fault(self) -> str:
        """Finds what is wrong with the numbers.

        Returns:
          Key, expected and given, as they follow the name of the parameter in a message; '' if nothing is wrong.
        """
        return ""

    def log_density(self, value: Array) -> Array:
        """Computes the logarithm of the density, up to a constant where the distribution is not normalised.

        Args:
          value: of the parameter, scalar, physical units.

        Returns:
          Logarithm, scalar; -inf outside of hard ends.
        """
        raise NotImplementedError

    @property
    def limits(self) -> tuple[float, float] | None:
        """Returns (low, high), physical units, outside of which the density is 0; None without such ends."""
        return None

    def check_place(self, parameters: Sequence[Parameter], place: int) -> None:
        """Checks that the distribution is one of the parameter.

        Args:
          parameters: of the hypothesis.
          place: of the parameter among them.

        Raises:
          ConfigError: the parameter is of a kind that cannot have the distribution.
        """


def numbers_of(kind: type[Prior]) -> tuple[str, ...]:
    """Lists the numbers of a kind of prior.

    Args:
      kind: class of a prior.

    Returns:
      Names of its fields beside those of every prior.
    """
    common = {own.name for own in fields(Prior)}
    return tuple(own.name for own in fields(kind) if own.name not in common)


@dataclass(frozen=True)
class SoftUniformPrior(Prior):
    """Is flat between low and high with soft walls outside; not normalised, 1 inside.

    Minus the logarithm is exp(10 (excess / (high - low) + 1)) - e^10 for the excess over the nearer edge, which is
    moved inwards by `eps`; 0 inside. It is continuous, its slope at the edge 10 e^10 / (high - low).

    Attributes:
      low: lower edge, unit of the parameter.
      high: upper edge, unit of the parameter.
      eps: by which the walls begin inside of the edges, unit of the parameter.
    """

    low: float
    high: float
    eps: float = 0.0

    def fault(self) -> str:
        """Tells whether the edges are in the wrong order.

        Returns:
          What is wrong, '' if nothing is.
        """
        return _order(self.low, self.high)

    def log_density(self, value: Array) -> Array:
        """Computes minus the height of the walls; its gradient is finite everywhere.

        Args:
          value: of the parameter, scalar, physical units.

        Returns:
          Logarithm, scalar, 0 at most.
        """
        width, value = self.high - self.low, jnp.asarray(value)
        penalty = jnp.zeros((), sum_dtype())
        for excess, beyond in (
            (value - self.high, value > self.high - self.eps),
            (self.low - value, value < self.low + self.eps),
        ):
            scaled = jnp.where(beyond, STEEPNESS * (excess / width + 1), STEEPNESS).astype(sum_dtype())
            bent = jnp.minimum(scaled, LARGEST_EXPONENT)
            wall = jnp.exp(bent) * (1 + scaled - bent) - float(np.exp(STEEPNESS))
            penalty = penalty + jnp.where(beyond, wall, 0)
        return -penalty


@dataclass(frozen=True)
class NormalPrior(Prior):
    """Is a normal distribution.

    Attributes:
      mean: unit of the parameter.
      sigma: standard deviation, unit of the parameter.
    """

    mean: float
    sigma: float

    def fault(self) -> str:
        """Tells whether the width is none.

        Returns:
          What is wrong, '' if nothing is.
        """
        return "" if self.sigma > 0 else f".sigma: expected a width > 0, got {self.sigma}"

    def log_density(self, value: Array) -> Array:
        """Computes the logarithm of the density.

        Args:
          value: of the parameter, scalar, physical units.

        Returns:
          Logarithm, scalar.
        """
        z = (jnp.asarray(value).astype(sum_dtype()) - self.mean) / self.sigma
        return -(0.5 * z * z + float(np.log(self.sigma) + 0.5 * np.log(2 * np.pi)))


@dataclass(frozen=True)
class UniformPrior(Prior):
    """Is a uniform distribution, 0 outside.

    Attributes:
      low: lower end, unit of the parameter.
      high: upper end, unit of the parameter.
    """

    low: float
    high: float

    def fault(self) -> str:
        """Tells whether the ends are in the wrong order.

        Returns:
          What is wrong, '' if nothing is.
        """
        return _order(self.low, self.high)

    def log_density(self, value: Array) -> Array:
        """Computes the logarithm of the density.

        Args:
          value: of the parameter, scalar, physical units.

        Returns:
          Logarithm, scalar; -inf outside.
        """
        return _between(value, self.low, self.high, 0.0, float(np.log(self.high - self.low)))

    @property
    def limits(self) -> tuple[float, float]:
        """Returns (low, high), unit of the parameter."""
        return self.low, self.high


@dataclass(frozen=True)
class PowerLawPrior(UniformPrior):
    """Is proportional to E^-index between low > 0 and high, 0 outside; an index of 1 is flat in the logarithm.

    Attributes:
      index: of the power.
    """

    index: float

    def fault(self) -> str:
        """Tells whether the ends are none, or the power is so steep that its integral is no number of float64.

        Returns:
          What is wrong, '' if nothing is.
        """
        if not 0 < self.low < self.high:
            return f": expected low < high and low > 0, got [{self.low:g}, {self.high:g}]"
        return "" if np.isfinite(self._log_integral) else f".index: E^-{self.index:g} has no integral in float64"

    @property
    def _log_integral(self) -> float:
        low, high, rest = np.float64(self.low), np.float64(self.high), 1 - self.index
        with np.errstate(all="ignore"):
            return float(np.log(np.log(high / low) if rest == 0 else (high**rest - low**rest) / rest))

    def log_density(self, value: Array) -> Array:
        """Computes the logarithm of the density.

        Args:
          value: of the parameter, scalar, physical units.

        Returns:
          Logarithm, scalar; -inf outside.
        """
        return _between(value, self.low, self.high, self.index, self._log_integral)


@dataclass(frozen=True)
class IsotropicPrior(Prior):
    """Is the isotropic distribution of a direction, by its zenith and azimuth; given for the zenith."""

    def log_density(self, value: Array) -> Array:
        """Computes the logarithm of the density by zenith and azimuth.

        Args:
          value: zenith, scalar, rad.

        Returns:
          Logarithm, scalar.
        """
        return jnp.log(jnp.maximum(jnp.sin(value), SMALLEST_SINE) / (4 * np.pi)).astype(sum_dtype())

    def check_place(self, parameters: Sequence[Parameter], place: int) -> None:
        """Checks that the parameter is the zenith of a direction, whose azimuth the hypothesis has as well.

        Args:
          parameters: of the hypothesis.
          place: of the parameter among them.

        Raises:
          ConfigError: another parameter.
        """
        if place not in [zenith for zenith, _ in direction_pairs(parameters)]:
            raise ConfigError(f"priors.{self.name}: 'isotropic' is given for the zenith of a direction.")


def _order(low: float, high: float) -> str:
    return "" if low < high else f": expected low < high, got [{low:g}, {high:g}]"


def _between(value: Array, low: float, high: float, index: float, log_integral: float) -> Array:
    """log(value^-index) - log_integral between low and high, -inf outside."""
    inside = (value >= low) & (value <= high)
    slope = -index * jnp.log(jnp.where(inside, value, high)) if index else 0.0
    return jnp.where(inside, slope - log_integral, -jnp.inf)
