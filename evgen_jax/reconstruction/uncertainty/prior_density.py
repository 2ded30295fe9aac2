"""Prior densities of hypothesis parameters, stated explicitly and normalised, for posteriors and penalised fits.

A prior is a function hypothesis [H] -> log density by the physical parameters (m, ns, GeV, and per rad of zenith and of
azimuth). What is not given is flat and improper: nothing is implied. The priors of a loss belong to training and fits; a
posterior has those that are stated, which may be the loss's own (`prior_of_loss`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.errors import ReconstructionError, shown, suggestion
from evgen_jax.hypothesis.priors import penalised
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_mapping, is_number
from evgen_jax.model.model import Model
from evgen_jax.numerics import sum_dtype
from evgen_jax.reconstruction.fit.evaluator import LogLikelihood

LogPrior = Callable[[Array], Array]
KINDS = {
    "isotropic": (),
    "uniform": ("low", "high"),
    "power_law": ("low", "high", "index"),
    "normal": ("mean", "sigma"),
}
"""Distributions by the names of a configuration, and the numbers that each needs."""
SMALLEST_SINE = 1e-12


def make_prior(names: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> LogPrior:
    """The joint prior of independent parameters.

    Args:
      names: of the hypothesis.
      settings: {parameter: {"distribution": one of KINDS, ...its numbers}}; 'isotropic' is given for a zenith and holds for
        its azimuth; 'power_law' is E^-index between low and high (index 1: flat in the logarithm).

    Raises:
      ReconstructionError: unknown parameter or distribution, missing, further or impossible numbers.
    """
    parts = []
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
        parts.append(_one(names, name, kind, numbers))

    def log_prior(hypothesis: Array) -> Array:
        total = jnp.zeros((), sum_dtype())
        for part in parts:
            total = total + part(hypothesis)
        return total

    return log_prior


def prior_limits(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """{parameter: (low, high)} of the priors that end somewhere, as `bounds` of fits and samplers.

    Angles are left out: directions are sampled on the whole sphere, where such a prior keeps its edge.

    Args:
      settings: as `make_prior` takes them.

    Raises:
      ReconstructionError: no such mapping.
    """
    _check_settings(settings)
    return {
        name: (float(own["low"]), float(own["high"]))
        for name, own in settings.items()
        if {"low", "high"} <= set(own) and not name.endswith(("zenith", "azimuth"))
    }


def _check_settings(settings: Any) -> None:
    form = "{'distribution': name, ...its numbers}"
    check_mapping(settings, "priors", f"{{parameter: {form}}}", ReconstructionError)
    for name, given in settings.items():
        check_mapping(given, f"priors.{name}", form, ReconstructionError)


def _one(names: Sequence[str], name: str, kind: str, numbers: Mapping[str, float]) -> LogPrior:
    place = list(names).index(name)
    if kind == "isotropic":
        if not name.endswith("zenith") or name.removesuffix("zenith") + "azimuth" not in names:
            raise ReconstructionError(f"priors.{name}: 'isotropic' is given for the zenith of a direction.")
        return lambda h: jnp.log(jnp.maximum(jnp.sin(h[place]), SMALLEST_SINE) / (4 * np.pi)).astype(sum_dtype())
    if kind == "normal":
        mean, sigma = numbers["mean"], numbers["sigma"]
        if not sigma > 0:
            raise ReconstructionError(f"priors.{name}.sigma: expected a width > 0, got {sigma}.")
        return lambda h: -0.5 * ((h[place] - mean) / sigma) ** 2 - float(np.log(sigma * np.sqrt(2 * np.pi)))
    low, high, index = numbers["low"], numbers["high"], numbers.get("index", 0.0)
    if not low < high or (kind == "power_law" and not low > 0):
        raise ReconstructionError(
            f"priors.{name}: expected low < high{' and low > 0' if kind == 'power_law' else ''}, got [{low}, {high}]."
        )
    norm = np.log(high / low) if index == 1 else (high ** (1 - index) - low ** (1 - index)) / (1 - index)

    def density(hypothesis: Array) -> Array:
        value = hypothesis[place]
        inside = (value >= low) & (value <= high)
        slope = -index * jnp.log(jnp.where(inside, value, high)) if index else 0.0
        return jnp.where(inside, slope - float(np.log(norm)), -jnp.inf)

    return density


def prior_of_loss(model: Model) -> LogPrior:
    """What the priors of the model's loss say, with their weights, to be added where they are wanted; not normalised."""

    def log_prior(hypothesis: Array) -> Array:
        return -model.loss.prior(model.parameter_names, hypothesis)

    return log_prior


def parameters_of_loss_priors(model: Model) -> tuple[str, ...]:
    """Parameters that the loss has a prior for."""
    return penalised([prior for _, prior in model.loss.priors], model.parameter_names)


def with_prior(log_likelihood: LogLikelihood, log_prior: LogPrior) -> LogLikelihood:
    """Sum of both as a function (variables, hypothesis, event): its maximum is that of the density by physical parameters.

    The likelihood should hold no prior of the same parameters: `make_log_likelihood(model, priors=False)`.
    """

    def log_density(variables: Any, hypothesis: Array, event: Event) -> Array:
        return log_likelihood(variables, hypothesis, event) + log_prior(hypothesis)

    return log_density
