"""Prior densities of hypothesis parameters, stated explicitly and normalised, for posteriors and penalised fits.

A prior is a function hypothesis [H] -> log density by the physical parameters (m, ns, GeV, and per rad of zenith and of
azimuth). What is not given is flat and improper: nothing is implied. The priors of a loss belong to training and fits;
a posterior has those that are stated, which may be the loss's own (`prior_of_loss`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.checks import check_mapping, is_number
from evgen_jax.errors import ReconstructionError, shown, suggestion
from evgen_jax.hypothesis.parameters import DIRECTION, ENTRY_POINT, Parameter, check_records, direction_pairs, names_of
from evgen_jax.hypothesis.priors import penalised
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.model.likelihood import Loss
from evgen_jax.numerics import sum_dtype

LogPrior = Callable[[Array], Array]
KINDS = {
    "isotropic": (),
    "uniform": ("low", "high"),
    "power_law": ("low", "high", "index"),
    "normal": ("mean", "sigma"),
}
"""Distributions by the names of a configuration, and the numbers that each needs."""
SMALLEST_SINE = 1e-12
"""Least sine of a zenith in a density, which keeps its logarithm finite at the poles."""


@dataclass(frozen=True)
class JointPrior:
    """The product of the priors of single parameters: a function hypothesis [H] -> log density.

    Attributes:
      parts: place of the parameter, name of the distribution and its numbers in the order of `KINDS`, each.
    """

    parts: tuple[tuple[int, str, tuple[float, ...]], ...]

    def __call__(self, hypothesis: Array) -> Array:
        """Log density of a hypothesis [H], physical units; -inf outside of a range."""
        total = jnp.zeros((), sum_dtype())
        for place, kind, numbers in self.parts:
            total = total + LOG_DENSITIES[kind](hypothesis[place], *numbers)
        return total


def make_prior(parameters: Sequence[Parameter], settings: Mapping[str, Mapping[str, Any]]) -> JointPrior:
    """Makes the joint prior of independent parameters.

    Args:
      parameters: of the hypothesis.
      settings: {parameter: {"distribution": one of KINDS, ...its numbers}}; 'isotropic' is given for a zenith and holds
        for its azimuth; 'power_law' is E^-index between low and high (index 1: flat in the logarithm).

    Returns:
      Log density of a hypothesis [H].

    Raises:
      ReconstructionError: unknown parameter or distribution, missing, further or impossible numbers.
      ConfigError: names instead of parameters.
    """
    parts: list[tuple[int, str, tuple[float, ...]]] = []
    check_records(parameters)
    names = names_of(parameters)
    _check_settings(settings)
    for name, given in settings.items():
        if name not in names:
            raise ReconstructionError(
                f"priors: '{name}' is no parameter of the model; it has {', '.join(names)}." + suggestion(name, names)
            )
        numbers = dict(given)
        kind = numbers.pop("distribution", None)
        if not isinstance(kind, str) or kind not in KINDS:
            raise ReconstructionError(f"priors.{name}.distribution: expected one of {', '.join(KINDS)}, got {kind!r}.")
        if set(numbers) != set(KINDS[kind]):
            raise ReconstructionError(
                f"priors.{name}: '{kind}' takes {', '.join(KINDS[kind]) or 'no numbers'}, got "
                f"{', '.join(numbers) or 'none'}."
            )
        for key, number in numbers.items():
            if not is_number(number) or not np.isfinite(number):
                raise ReconstructionError(f"priors.{name}.{key}: expected a finite number, got {shown(number)}.")
        place = names.index(name)
        _check_numbers(parameters, place, kind, numbers)
        parts.append((place, kind, tuple(float(numbers[key]) for key in KINDS[kind])))
    return JointPrior(tuple(parts))


def prior_limits(
    parameters: Sequence[Parameter], settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[float, float]]:
    """Finds the limits of the priors that end somewhere, as `bounds` of fits and samplers.

    Angles are left out: directions are sampled on the whole sphere, where such a prior keeps its edge.

    Args:
      parameters: of the hypothesis.
      settings: {parameter: {"distribution": one of KINDS, ...its numbers}}, see `make_prior`.

    Returns:
      {parameter: (low, high)}, physical units.

    Raises:
      ReconstructionError: no such mapping.
      ConfigError: names instead of parameters.
    """
    _check_settings(settings)
    check_records(parameters)
    angles = {parameter.name for parameter in parameters if parameter.role in (*DIRECTION, *ENTRY_POINT)}
    return {
        name: (float(own["low"]), float(own["high"]))
        for name, own in settings.items()
        if {"low", "high"} <= set(own) and name not in angles
    }


def _check_settings(settings: Any) -> None:
    form = "{'distribution': name, ...its numbers}"
    check_mapping(settings, "priors", f"{{parameter: {form}}}", ReconstructionError)
    for name, given in settings.items():
        check_mapping(given, f"priors.{name}", form, ReconstructionError)


def _check_numbers(parameters: Sequence[Parameter], place: int, kind: str, numbers: Mapping[str, float]) -> None:
    """Checks that a distribution is one, and fits its parameter."""
    name = parameters[place].name
    if kind == "isotropic" and place not in [zenith for zenith, _ in direction_pairs(parameters)]:
        raise ReconstructionError(f"priors.{name}: 'isotropic' is given for the zenith of a direction.")
    if kind == "normal" and not numbers["sigma"] > 0:
        raise ReconstructionError(f"priors.{name}.sigma: expected a width > 0, got {numbers['sigma']}.")
    if kind in ("uniform", "power_law"):
        low, high = numbers["low"], numbers["high"]
        if not low < high or (kind == "power_law" and not low > 0):
            raise ReconstructionError(
                f"priors.{name}: expected low < high{' and low > 0' if kind == 'power_law' else ''}, got [{low}, {high}]."
            )


def _isotropic(zenith: Array) -> Array:
    return jnp.log(jnp.maximum(jnp.sin(zenith), SMALLEST_SINE) / (4 * np.pi)).astype(sum_dtype())


def _normal(value: Array, mean: float, sigma: float) -> Array:
    return -0.5 * ((value - mean) / sigma) ** 2 - float(np.log(sigma * np.sqrt(2 * np.pi)))


def _power_law(value: Array, low: float, high: float, index: float = 0.0) -> Array:
    norm = np.log(high / low) if index == 1 else (high ** (1 - index) - low ** (1 - index)) / (1 - index)
    inside = (value >= low) & (value <= high)
    slope = -index * jnp.log(jnp.where(inside, value, high)) if index else 0.0
    return jnp.where(inside, slope - float(np.log(norm)), -jnp.inf)


LOG_DENSITIES: dict[str, Callable[..., Array]] = {
    "isotropic": _isotropic, "uniform": _power_law, "power_law": _power_law, "normal": _normal,
}  # fmt: skip
"""(value of the parameter, its numbers in the order of `KINDS`) -> log density."""


@dataclass(frozen=True)
class LossPrior:
    """Is the logarithm of the priors of a loss with their weights, not normalised, as a function of a hypothesis.

    Attributes:
      loss: that holds the priors.
      parameters: of the hypothesis, H of them.
    """

    loss: Loss
    parameters: tuple[Parameter, ...]

    def __call__(self, hypothesis: Array) -> Array:
        """Computes the logarithm of the priors.

        Args:
          hypothesis: [H], physical units.

        Returns:
          Logarithm, a scalar.
        """
        return -self.loss.prior(self.parameters, hypothesis)


def prior_of_loss(model: AnyModel) -> LossPrior:
    """Makes the logarithm of the priors of a model's loss, to be added where they are wanted.

    Args:
      model: whose loss holds priors.

    Returns:
      A function hypothesis [H] -> log of the priors with their weights, not normalised.
    """
    return LossPrior(model.loss, model.parameters)


def parameters_of_loss_priors(model: AnyModel) -> tuple[str, ...]:
    """Lists the parameters for which the loss of a model has a prior.

    Args:
      model: whose loss counts.

    Returns:
      Their names.
    """
    return penalised([prior for _, prior in model.loss.priors], model.parameters)
