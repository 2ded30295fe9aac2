"""Joint priors: weighted products of priors of single parameters, as functions of a hypothesis.

What has no prior is flat and improper: nothing is implied. The priors of a loss belong to training and fits; a
posterior has those that are stated for it, which may be those of a loss (`model.loss.joint_prior(model.parameters)`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from evgen_jax.checks import check_mapping
from evgen_jax.errors import ConfigError, ReconstructionError, suggestion
from evgen_jax.hypothesis.names import place_of
from evgen_jax.hypothesis.parameters import DIRECTION, ENTRY_POINT, Parameter, check_records, names_of
from evgen_jax.hypothesis.prior import IsotropicPrior, NormalPrior, PowerLawPrior, Prior, UniformPrior, numbers_of
from evgen_jax.numerics import sum_dtype

LogPrior = Callable[[Array], Array]
"""Function hypothesis [H] -> log density, such as a `JointPrior`; hashable."""
DISTRIBUTIONS: dict[str, type[Prior]] = {
    "isotropic": IsotropicPrior,
    "uniform": UniformPrior,
    "power_law": PowerLawPrior,
    "normal": NormalPrior,
}
"""Kinds of priors by the names of a configuration."""


@dataclass(frozen=True)
class Factor:
    """Is one factor of a joint prior.

    Attributes:
      prior: of a parameter.
      places: of the parameters in the hypothesis that the prior holds for, each by itself.
      weight: exponent of the factor.
    """

    prior: Prior
    places: tuple[int, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class JointPrior:
    """Is a product of priors of single parameters: a pure, hashable function hypothesis [H] -> log density.

    Two joint priors of one hypothesis are multiplied by `*`.

    Attributes:
      parameters: of the hypothesis, H of them.
      factors: of the product.

    Example:
      prior = make_prior(model.parameters, {"cascade_x": {"distribution": "normal", "mean": 0, "sigma": 50}})
      both = prior * model.loss.joint_prior(model.parameters)
    """

    parameters: tuple[Parameter, ...]
    factors: tuple[Factor, ...] = ()

    def __call__(self, hypothesis: Array) -> Array:
        """Computes the log density of a hypothesis.

        Args:
          hypothesis: [H], physical units.

        Returns:
          Sum of the factors' log densities with their weights, scalar; -inf outside of a range.
        """
        hypothesis, total = jnp.asarray(hypothesis), jnp.zeros((), sum_dtype())
        for factor in self._acting():
            own = jnp.zeros((), sum_dtype())
            for place in factor.places:
                own = own + factor.prior.log_density(hypothesis[place])
            total = total + factor.weight * own
        return total

    def __mul__(self, other: "JointPrior") -> "JointPrior":
        if not isinstance(other, JointPrior):
            return NotImplemented
        if other.parameters != self.parameters:
            raise ConfigError(
                "two joint priors are multiplied if they have the parameters of one hypothesis; these have "
                f"{', '.join(names_of(self.parameters))} and {', '.join(names_of(other.parameters))}."
            )
        return JointPrior(self.parameters, self.factors + other.factors)

    def without(self, other: LogPrior) -> "JointPrior":
        """Leaves out the factors that another prior of the hypothesis has as well.

        Args:
          other: a joint prior; of any other function nothing is known.

        Returns:
          The rest of the product.
        """
        known = other.factors if isinstance(other, JointPrior) else ()
        return JointPrior(self.parameters, tuple(factor for factor in self.factors if factor not in known))

    @property
    def priors(self) -> tuple[tuple[float, Prior], ...]:
        """Returns (weight, prior) of every factor, as a loss holds them: `Loss(terms, joint.priors)`."""
        return tuple((factor.weight, factor.prior) for factor in self.factors)

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names of the parameters that have a prior."""
        places = {place for factor in self.factors for place in factor.places}
        return tuple(self.parameters[place].name for place in sorted(places))

    def limits(self) -> dict[str, tuple[float, float]]:
        """Finds the ends of the priors that end somewhere, as `bounds` of fits and samplers.

        Angles are left out: directions are sampled on the whole sphere, where such a prior keeps its edge.

        Returns:
          {parameter: (low, high)}, physical units.
        """
        found: dict[str, tuple[float, float]] = {}
        for factor in self._acting():
            ends = factor.prior.limits
            for parameter in (self.parameters[place] for place in factor.places):
                if ends is None or parameter.role in (*DIRECTION, *ENTRY_POINT):
                    continue
                low, high = found.get(parameter.name, ends)
                found[parameter.name] = max(low, ends[0]), min(high, ends[1])
        return found

    def _acting(self) -> tuple[Factor, ...]:
        """Without weight a factor is 1, outside of its range as well."""
        return tuple(factor for factor in self.factors if factor.weight)


def product_of(priors: Sequence[tuple[float, Prior]], parameters: Sequence[Parameter]) -> JointPrior:
    """Makes the joint prior of a hypothesis from priors that are known by name.

    A name stands for every parameter that answers to it: a prior of 'Absorption' holds for the absorption of each
    source. Priors whose parameter the hypothesis does not have are left out, see `check_priors`.

    Args:
      priors: (weight, prior) of each.
      parameters: of the hypothesis, H of them.

    Returns:
      Log density of a hypothesis [H].

    Raises:
      ConfigError: a prior that its parameter cannot have.
    """
    factors = tuple(Factor(prior, _find(prior.name, parameters), weight) for weight, prior in priors)
    for factor in factors:
        for place in factor.places:
            factor.prior.check_place(parameters, place)
    return JointPrior(tuple(parameters), tuple(factor for factor in factors if factor.places))


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


def make_prior(parameters: Sequence[Parameter], settings: Mapping[str, Mapping[str, Any]]) -> JointPrior:
    """Makes the joint prior of independent parameters that a configuration states.

    Args:
      parameters: of the hypothesis.
      settings: {parameter: {"distribution": one of `DISTRIBUTIONS`, ...its numbers}}; 'isotropic' is given for a zenith
        and holds for its azimuth; 'power_law' is E^-index between low and high (index 1: flat in the logarithm).

    Returns:
      Log density of a hypothesis [H].

    Raises:
      ReconstructionError: unknown parameter or distribution, missing, further or impossible numbers.
      ConfigError: names instead of parameters.

    Example:
      make_prior(model.parameters, {"cascade_energy": {"distribution": "power_law", "low": 1e2, "high": 1e6, "index": 1}})
    """
    check_records(parameters)
    names, form = names_of(parameters), "{'distribution': name, ...its numbers}"
    check_mapping(settings, "priors", f"{{parameter: {form}}}", ReconstructionError)
    factors = []
    for name, given in settings.items():
        check_mapping(given, f"priors.{name}", form, ReconstructionError)
        place = place_of(name, parameters, "priors", ReconstructionError)
        try:
            prior = _stated(names[place], dict(given))
            prior.check_place(parameters, place)
        except ConfigError as error:
            raise ReconstructionError(str(error)) from None
        factors.append(Factor(prior, (place,)))
    return JointPrior(tuple(parameters), tuple(factors))


def prior_limits(
    parameters: Sequence[Parameter], settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[float, float]]:
    """Finds the limits of stated priors that end somewhere, as `bounds` of fits and samplers.

    Args:
      parameters: of the hypothesis.
      settings: {parameter: {"distribution": name, ...its numbers}}, see `make_prior`.

    Returns:
      {parameter: (low, high)}, physical units, without angles.

    Raises:
      ReconstructionError: settings that state no prior.
      ConfigError: names instead of parameters.
    """
    return make_prior(parameters, settings).limits()


def _stated(name: str, numbers: dict[str, Any]) -> Prior:
    kind = numbers.pop("distribution", None)
    if not isinstance(kind, str) or kind not in DISTRIBUTIONS:
        raise ReconstructionError(
            f"priors.{name}.distribution: expected one of {', '.join(DISTRIBUTIONS)}, got {kind!r}."
            + suggestion(str(kind), DISTRIBUTIONS)
        )
    known = numbers_of(DISTRIBUTIONS[kind])
    if set(numbers) != set(known):
        raise ReconstructionError(
            f"priors.{name}: '{kind}' takes {', '.join(known) or 'no numbers'}, got {', '.join(numbers) or 'none'}."
        )
    return DISTRIBUTIONS[kind](name, **numbers)


def _find(name: str, parameters: Sequence[Parameter]) -> tuple[int, ...]:
    """Places of a parameter in a joint hypothesis, where the names of its sources stand before it."""
    return tuple(i for i, parameter in enumerate(parameters) if parameter.answers_to(name))
