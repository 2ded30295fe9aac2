"""A trained model, and ensembles of models that are fitted together; both are pytrees of weights and detector."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from evgen_jax.errors import ConfigError, HypothesisError, shown, suggestion
from evgen_jax.hypothesis.names import place_of
from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.hypothesis.plausible_angles import implausible_angle
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.superposition import MultiSource
from evgen_jax.light.tree import Path, walk
from evgen_jax.measurement.detector import Detector
from evgen_jax.model.doors import check_values
from evgen_jax.model.likelihood import DEFAULT_LOSS, Loss


class _Structure:
    """What is static in a model, for JAX: two models share their compiled programs if it is equal.

    The settings are handed through and not compared: they say where a model comes from, not what it computes.
    """

    def __init__(self, source: Source, trafo: Trafo, loss: Loss, settings: dict[str, Any]):
        self.source, self.trafo, self.loss, self.settings = source, trafo, loss, settings

    @cached_property
    def _hash(self) -> int:
        return hash((self.source, self.trafo, self.loss))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, _Structure):
            return NotImplemented
        return (self.source, self.trafo, self.loss) == (other.source, other.trafo, other.loss)


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """Holds everything that belongs to a trained model.

    It is a pytree: `variables` and `detector` are leaves, so that a model is an argument of jitted functions, a
    gradient can be taken by the position or the efficiency of modules, and `jax.vmap` runs over detectors. All else is
    static.

    Attributes:
      source: static tree of sources.
      variables: weights of the sources.
      trafo: normalisation of the hypothesis, used to fit in.
      detector: where the DOMs are.
      loss: the likelihood terms.
      settings: the configuration sections that the model was built from (plain values), for saving.
    """

    source: Source
    variables: Variables
    trafo: Trafo
    detector: Detector
    loss: Loss = DEFAULT_LOSS
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns what the hypothesis parameters are, H of them: roles, units, ranges."""
        return parameters_of(self.source)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Returns the names of the hypothesis parameters, H of them."""
        return self.source.parameter_names

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

        The name of a source may be left out where one parameter alone has the rest of the name: `energy` for
        `cascade_energy`.

        Args:
          **values: one number per parameter, physical units (m, ns, GeV, rad).

        Returns:
          Hypothesis [H], float64, in the order of `parameter_names`.

        Raises:
          HypothesisError: an unknown or ambiguous name, a parameter given twice or not at all, no number, or an angle in degrees.

        Example:
          `model.hypothesis(x=0, y=0, z=-300, zenith=1.2, azimuth=3.0, energy=1e4, time=9700)`
        """
        return named_hypothesis(self.parameters, values)

    def replace(self, **fields: Any) -> "Model":
        """Makes the model with other values of some of its attributes.

        Args:
          **fields: attribute names and values.

        Returns:
          A new model.
        """
        return replace(self, **fields)

    def with_variables(self, variables: Variables) -> "Model":
        """Makes the model with other weights.

        Args:
          variables: of the same names and shapes as the present ones.

        Returns:
          A new model.
        """
        return replace(self, variables=variables)

    @cached_property
    def _structure(self) -> _Structure:
        return _Structure(self.source, self.trafo, self.loss, self.settings)

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[jax.tree_util.GetAttrKey, Any], ...], _Structure]:
        """Returns the leaves with their names, and what is static, for JAX."""
        key = jax.tree_util.GetAttrKey
        return ((key("variables"), self.variables), (key("detector"), self.detector)), self._structure

    def tree_flatten(self) -> tuple[tuple[Variables, Detector], _Structure]:
        """Returns the leaves and what is static, for JAX."""
        return (self.variables, self.detector), self._structure

    @classmethod
    def tree_unflatten(cls, structure: _Structure, leaves: Sequence[Any]) -> "Model":
        """Makes a model from its leaves and what is static, for JAX."""
        model = cls(structure.source, leaves[0], structure.trafo, leaves[1], structure.loss, structure.settings)
        model.__dict__["_structure"] = structure  # keeps its hash
        return model

    def __repr__(self) -> str:
        lines = [
            "Model",
            *(_source_line(path, one, self.variables) for path, one in walk(self.source, most=MOST_NAMES)),
        ]
        named = [f"{own.name} ({own.unit})" if own.unit else own.name for own in self.parameters]
        shown_names = ", ".join(named[:MOST_NAMES]) + (f", ... {len(named)} in all" if len(named) > MOST_NAMES else "")
        terms = " + ".join(term.name for term in self.loss.terms) + f", {len(self.loss.priors)} priors" * bool(
            self.loss.priors
        )
        lines += [f"  parameters: {shown_names}", f"  detector: {_detector_line(self.detector)}", f"  loss: {terms}"]
        return "\n".join(lines)


MOST_NAMES = 20
"""Number of parameters, and of bases of one multi-source, that a printed model shows."""


def index_of(names: Sequence[str], name: str) -> int:
    """Returns the position of a hypothesis parameter.

    Args:
      names: of the parameters, H of them.
      name: that is looked for.

    Raises:
      ConfigError: for an unknown name, with the nearest match.
    """
    if name not in names:
        raise ConfigError(
            f"'{name}' is no parameter of the model; it has {', '.join(names)}." + suggestion(name, names)
        )
    return names.index(name)


def named_hypothesis(parameters: Sequence[Parameter], values: dict[str, float]) -> np.ndarray:
    """Makes a hypothesis from values by name.

    Args:
      parameters: H of them.
      values: one number per parameter, physical units; the names of sources may be left out where one parameter alone fits.

    Returns:
      [H], float64, in the order of `parameters`.

    Raises:
      HypothesisError: an unknown or ambiguous name, a parameter given twice or not at all, no number, an angle in degrees, or an
        energy below 0.
    """
    names, found = names_of(parameters), dict[str, float]()
    for given, value in values.items():
        name = names[place_of(given, parameters, "", HypothesisError)]
        if name in found:
            raise HypothesisError(f"'{name}' is given twice, the second time as '{given}'.")
        try:
            number = np.nan if isinstance(value, str | bytes) or np.ndim(value) else float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not np.isfinite(number):
            raise HypothesisError(f"{given}: expected a finite number, got {shown(value)}.")
        found[name] = number
    if missing := [name for name in names if name not in found]:
        raise HypothesisError(f"a hypothesis needs every parameter of the model; missing: {', '.join(missing)}.")
    hypothesis = np.array([found[name] for name in names])
    if fault := implausible_angle(parameters, hypothesis):
        raise HypothesisError(fault)
    check_values(hypothesis, parameters)
    return hypothesis


def _source_line(path: Path, source: Any, variables: Any) -> str:
    """The line of one source of a tree: its name, its class and the number of its weights."""
    for name in path:
        variables = variables.get(name) if isinstance(variables, dict) else None
    weights = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(variables))
    kind = type(source.expand if isinstance(source, MultiSource) else source).__name__.lstrip("_")
    name = f"{path[-1]}: " if path else ""
    return "  " * (len(path) + 1) + name + kind + (f", {weights:,} weights" if weights else "")


def _detector_line(detector: Any) -> str:
    # Within JAX anything may stand for a leaf.
    shape = np.shape(detector.position) if isinstance(detector, Detector) else ()
    return f"{detector.name}, {shape[-2]} DOMs" if len(shape) >= 2 else type(detector).__name__
