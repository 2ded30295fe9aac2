"""Several models of one hypothesis that are fitted together, and what functions that take either need to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from evgen_jax.errors import ConfigError, shown
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.model.likelihood import Loss
from evgen_jax.model.model import Model, index_of, named_hypothesis


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True, eq=False, repr=False)
class Ensemble:
    """Holds several models of one hypothesis and detector that are fitted together: the mean of their log-likelihoods.

    The mean is taken, not the sum, so that identical members give the uncertainties of one of them. Names,
    normalisation, priors, detector and settings are those of the first member. An ensemble has no light: expectations, samplers and
    figures take one of its members.

    Attributes:
      members: at least one model; kept as a tuple.

    Raises:
      ConfigError: no model, or models of different parameters or detectors.
    """

    members: Sequence[Model]

    def __post_init__(self) -> None:
        models = self.members
        if not isinstance(models, Sequence):
            raise ConfigError(f"an ensemble: expected a list of models, got {shown(models)}.")
        if not models:
            raise ConfigError("an ensemble needs at least one model, got none.")
        object.__setattr__(self, "members", tuple(models))
        first = models[0]
        for number, model in enumerate(models):
            if not isinstance(model, Model):
                raise ConfigError(f"expected a Model, got {shown(model)}. Load one with `load_model(directory)`.")
            if model.parameter_names != first.parameter_names:
                raise ConfigError(
                    f"ensemble: model {number} has the parameters {', '.join(model.parameter_names)}, the first one "
                    f"{', '.join(first.parameter_names)}."
                )
            if not np.array_equal(model.detector.position, first.detector.position):
                raise ConfigError(
                    f"ensemble: model {number} is of another detector ({model.detector.name}) than the first."
                )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns what the hypothesis parameters are, H of them: roles, units, ranges."""
        return self.members[0].parameters

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Returns the names of the hypothesis parameters, H of them."""
        return self.members[0].parameter_names

    @property
    def variables(self) -> tuple[Variables, ...]:
        """Returns the weights of every member."""
        return tuple(model.variables for model in self.members)

    @property
    def trafo(self) -> Trafo:
        """Returns the normalisation in which the ensemble is fitted."""
        return self.members[0].trafo

    @property
    def detector(self) -> Detector:
        """Returns the detector of all members."""
        return self.members[0].detector

    @property
    def loss(self) -> Loss:
        """Returns the loss of the first member, whose priors are those of the ensemble."""
        return self.members[0].loss

    @property
    def settings(self) -> dict[str, Any]:
        """Returns the configuration sections of the first member."""
        return self.members[0].settings

    def index(self, name: str) -> int:
        """Finds the position of a parameter in a hypothesis.

        Args:
          name: of the parameter.

        Returns:
          Its position, 0 to H - 1.

        Raises:
          ConfigError: an unknown name; the message has the nearest match.
        """
        return index_of(self.parameter_names, name)

    def hypothesis(self, **values: float) -> np.ndarray:
        """Makes a hypothesis from parameters by name.

        The name of a source may be left out where one parameter alone has the rest of the name.

        Args:
          **values: one number per parameter, physical units (m, ns, GeV, rad).

        Returns:
          Hypothesis [H], float64, in the order of `parameter_names`.

        Raises:
          HypothesisError: an unknown or ambiguous name, a parameter given twice or not at all, or no number.
        """
        return named_hypothesis(self.parameters, values)

    def with_variables(self, variables: Sequence[Variables]) -> "Ensemble":
        """Makes the ensemble with other weights.

        Args:
          variables: of every member.

        Returns:
          A new ensemble.
        """
        pairs = zip(self.members, variables, strict=True)
        return self.tree_unflatten(None, [model.with_variables(own) for model, own in pairs])

    def tree_flatten_with_keys(self) -> tuple[list[tuple[jax.tree_util.SequenceKey, Model]], None]:
        """Returns the members with their places, for JAX."""
        return [(jax.tree_util.SequenceKey(i), model) for i, model in enumerate(self.members)], None

    def tree_flatten(self) -> tuple[Sequence[Model], None]:
        """Returns the members, for JAX."""
        return self.members, None

    @classmethod
    def tree_unflatten(cls, _: None, members: Sequence[Any]) -> "Ensemble":
        """Makes an ensemble from its members without a check, for JAX, which puts other things than models there."""
        ensemble = object.__new__(cls)
        object.__setattr__(ensemble, "members", tuple(members))
        return ensemble

    def __repr__(self) -> str:
        return f"Ensemble of {len(self.members)}, the first one:\n{self.members[0]!r}"


AnyModel = Model | Ensemble
"""What can be fitted: a model or an ensemble of models."""


def members_of(model: AnyModel) -> tuple[Model, ...]:
    """Lists the models of which something consists.

    Args:
      model: a model or an ensemble.

    Returns:
      The members of an ensemble; of a model, the model alone.
    """
    return tuple(model.members) if isinstance(model, Ensemble) else (model,)


def check_model(model: Any) -> None:
    """Checks that something can be fitted.

    Args:
      model: what the user gave.

    Raises:
      ConfigError: it is neither a model nor an ensemble.
    """
    if not isinstance(model, AnyModel):
        raise ConfigError(f"expected a Model, got {shown(model)}. Load one with `load_model(directory)`.")


def check_no_ensemble(model: Any) -> None:
    """Checks that something is a model, which has light.

    Args:
      model: what the user gave.

    Raises:
      ConfigError: an ensemble, each of whose members has other light, or no model at all.
    """
    check_model(model)
    if isinstance(model, Ensemble):
        raise ConfigError("an ensemble has no light of its own; take one of its members (`ensemble.members`).")
