"""Priors of hypothesis parameters, as terms of a loss: soft walls and Gaussians."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.hypothesis.parameters import Parameter, names_of
from evgen_jax.numerics import sum_dtype

STEEPNESS = 10.0
"""Growth of the exponent of a wall over one width of the range."""
LARGEST_EXPONENT = 40.0
"""Exponent beyond which a wall is linear, so that float32 stays finite."""
FOURIER_PREFIX = "IceWavePlusModes_"
"""Begin of the names of the modes of the ice, which have Gaussian priors."""
DEFAULT_UNIFORM: dict[str, tuple[float, ...]] = {
    "Absorption": (0.9, 1.1), "AnisotropyScale": (0.0, 2.0), "DOMEfficiency": (0.9, 1.1), "Scattering": (0.9, 1.1),
    "HoleIceForward_Unified_00": (-2.0, 1.0), "HoleIceForward_Unified_01": (-0.2, 0.2),
}  # fmt: skip
"""Usual range (low, high) of parameters with a uniform prior."""


def _find(name: str, parameters: Sequence[Parameter]) -> list[int]:
    """Places of a parameter in a joint hypothesis, where the names of its sources stand before it."""
    return [i for i, parameter in enumerate(parameters) if parameter.answers_to(name)]


@dataclass(frozen=True)
class UniformPrior:
    """Is flat between low and high with soft walls outside.

    The penalty is exp(10 (excess / (high - low) + 1)) - e^10 for the excess over the nearer edge, which is moved
    inwards by `eps`; 0 inside. It is continuous, its slope at the edge 10 e^10 / (high - low).

    Attributes:
      name: of the parameter.
      low: lower edge, unit of the parameter.
      high: upper edge, unit of the parameter.
      eps: by which the walls begin inside of the edges, unit of the parameter.
      required: whether a hypothesis without the parameter is an error.

    Raises:
      ConfigError: low is not below high.
    """

    name: str
    low: float
    high: float
    eps: float = 0.0
    required: bool = True

    def __post_init__(self) -> None:
        if not self.high > self.low:
            raise ConfigError(
                f"uniform_parameters.{self.name}: expected low < high, got [{self.low:g}, {self.high:g}]."
            )

    def __call__(self, value: Array) -> Array:
        """Computes the penalty of one value; its gradient is finite everywhere.

        Args:
          value: scalar, unit of the parameter.

        Returns:
          Penalty, scalar.
        """
        width = self.high - self.low
        penalty = jnp.zeros((), sum_dtype())
        for excess, beyond in (
            (value - self.high, value > self.high - self.eps),
            (self.low - value, value < self.low + self.eps),
        ):
            scaled = jnp.where(beyond, STEEPNESS * (excess / width + 1), STEEPNESS).astype(sum_dtype())
            bent = jnp.minimum(scaled, LARGEST_EXPONENT)
            wall = jnp.exp(bent) * (1 + scaled - bent) - float(np.exp(STEEPNESS))
            penalty = penalty + jnp.where(beyond, wall, 0)
        return penalty


@dataclass(frozen=True)
class GaussianPrior:
    """Is -log of a Gaussian around 0.

    Attributes:
      name: of the parameter.
      sigma: width, unit of the parameter.
      required: whether a hypothesis without the parameter is an error.

    Raises:
      ConfigError: a width that is not positive.
    """

    name: str
    sigma: float
    required: bool = True

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ConfigError(f"sigmas: the prior of '{self.name}': expected a width > 0, got {self.sigma}.")

    def __call__(self, value: Array) -> Array:
        """Computes the penalty of one value.

        Args:
          value: scalar, unit of the parameter.

        Returns:
          Penalty, scalar.
        """
        z = value.astype(sum_dtype()) / self.sigma
        return 0.5 * z * z + float(np.log(self.sigma) + 0.5 * np.log(2 * np.pi))


Prior = UniformPrior | GaussianPrior
"""Prior of one parameter."""


def snowstorm_priors(
    sigmas: Sequence[float] | None, uniform_parameters: Mapping[str, Sequence[float]] | None
) -> tuple[Prior, ...]:
    """Makes the priors of the ice and detector parameters of SnowStorm simulation.

    Args:
      sigmas: of the parameters IceWavePlusModes_00 and so on; None: the tabulated ones of those that the hypothesis
        has (IceCube, arXiv:1909.01530).
      uniform_parameters: name -> (low, high[, eps]); None: the usual ranges of those that the hypothesis has.

    Returns:
      One prior per parameter.

    Raises:
      ConfigError: a range that is none, or a width that is not positive.
    """
    priors: list[Prior] = []
    given = uniform_parameters is not None
    for name, values in (uniform_parameters if uniform_parameters is not None else DEFAULT_UNIFORM).items():
        low, high, eps = (*(float(v) for v in values), 0.0)[:3]
        priors.append(UniformPrior(name, low, high, eps, required=given))
    for i, sigma in enumerate(_tabulated_sigmas() if sigmas is None else sigmas):
        priors.append(GaussianPrior(f"{FOURIER_PREFIX}{i:02d}", float(sigma), sigmas is not None))
    return tuple(priors)


@lru_cache(maxsize=1)
def _tabulated_sigmas() -> tuple[float, ...]:
    text = (resources.files("evgen_jax") / "tables" / "icewave_fourier_mode_sigmas.csv").read_text()
    return tuple(float(row["sigma"]) for row in csv.DictReader(text.splitlines()))


def penalty(priors: Sequence[Prior], parameters: Sequence[Parameter], hypothesis: Array) -> Array:
    """Adds the penalties of a hypothesis; a prior whose parameter it does not have gives none.

    Args:
      priors: of parameters, by their names.
      parameters: of the hypothesis, H of them.
      hypothesis: [H], physical units.

    Returns:
      Sum of the penalties, scalar, in units of -log density.
    """
    total = jnp.zeros((), sum_dtype())
    for prior in priors:
        for i in _find(prior.name, parameters):
            total = total + prior(jnp.asarray(hypothesis)[i])
    return total


def penalised(priors: Sequence[Prior], parameters: Sequence[Parameter]) -> tuple[str, ...]:
    """Lists the parameters of a hypothesis that have a prior.

    Args:
      priors: of parameters, by their names.
      parameters: of the hypothesis.

    Returns:
      Their names.
    """
    places = {i for prior in priors for i in _find(prior.name, parameters)}
    return tuple(parameters[i].name for i in sorted(places))


def check_priors(priors: Sequence[Prior], parameters: Sequence[Parameter]) -> None:
    """Checks that every prior that was asked for has a parameter.

    Args:
      priors: of parameters, by their names.
      parameters: of the hypothesis.

    Raises:
      ConfigError: a prior that finds none, with the nearest match.
    """
    names = names_of(parameters)
    for prior in priors:
        if prior.required and not _find(prior.name, parameters):
            raise ConfigError(
                f"loss_module_settings: the prior of '{prior.name}' finds no such parameter; the model has "
                f"{', '.join(names)}." + suggestion(prior.name, names)
            )
