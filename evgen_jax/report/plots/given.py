"""What figures are given: models and their names in legends, hypotheses and fits, records of the right kind."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from evgen_jax.errors import ConfigError, ReconstructionError, shown
from evgen_jax.model.doors import check_hypothesis
from evgen_jax.model.ensemble import AnyModel, check_model, check_no_ensemble, members_of
from evgen_jax.model.model import Model
from evgen_jax.reconstruction.fit.result import FitResult

Models = AnyModel | Mapping[str, Model]
"""One model, or several by the names that legends show."""
Hypothesis = ArrayLike | FitResult
"""Parameters [H], physical units, or the fit that found them."""


def models_by_name(models: Models) -> dict[str, Model]:
    """Names the models whose light is drawn.

    Args:
      models: a model, an ensemble, or models by name.

    Returns:
      {name in legends: model}: 'model', of an ensemble 'model 0' and so on.

    Raises:
      ConfigError: no model, or something else.
    """
    if isinstance(models, Mapping):
        if not models:
            raise ConfigError("expected a model or {name: model}, got none.")
        for model in models.values():
            check_no_ensemble(model)
        return dict(models)
    check_model(models)
    members = members_of(models)
    names = ["model"] if len(members) == 1 else [f"model {i}" for i in range(len(members))]
    return dict(zip(names, members, strict=True))


def values_of(given: Hypothesis, model: AnyModel, what: str = "a hypothesis") -> np.ndarray:
    """Reads the parameters that are drawn.

    Args:
      given: hypothesis [H], physical units, or a fit.
      model: whose hypothesis it is.
      what: names the argument in messages.

    Returns:
      Hypothesis [H], float64.

    Raises:
      HypothesisError: another shape.
      ReconstructionError: a fit that failed.
    """
    if isinstance(given, FitResult):
        if given.failed:
            raise ReconstructionError(f"the fit failed ({given.diagnostics.message}); there is nothing to show.")
        given = given.hypothesis
    check_hypothesis(given, model.parameter_names, what)
    return np.asarray(given, np.float64)


def check_kind(given: Any, kind: type, where: str) -> None:
    """Checks that something is a record of a kind.

    Args:
      given: by the user.
      kind: class of the record.
      where: makes such a record.

    Raises:
      ConfigError: something else.
    """
    if not isinstance(given, kind):
        raise ConfigError(f"expected what `{where}` gives ({kind.__name__}), got {shown(given)}.")
