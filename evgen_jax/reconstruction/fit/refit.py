"""Many fits of one event with some parameters held: the engine of scans and sky maps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from evgen_jax.errors import ReconstructionError
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.reconstruction.fit.batching import shape_of, stacked
from evgen_jax.reconstruction.fit.coordinates import free_flags, make_coordinates
from evgen_jax.reconstruction.fit.covariance import inverse_of_hessian
from evgen_jax.reconstruction.fit.differences import differenced_hessian
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.fit.minimiser import minimise
from evgen_jax.reconstruction.fit.objective import LogLikelihood, chosen
from evgen_jax.reconstruction.fit.settings import DEFAULT, FitSettings
from evgen_jax.reconstruction.fit.state import Rules

PRECISION = 1e-2
"""Newton decrement, in log-likelihood, below which a fit ends."""
FAR = 20.0
"""Distance below a log-likelihood to compare with, beyond which fits need less precision."""
SHARE = 0.02
"""Newton decrement below which a fit ends there, as a share of the distance beyond `FAR`."""


@dataclass(frozen=True)
class Refits:
    """Holds fits of one event from L starts.

    Attributes:
      hypothesis: [L, H], the held parameters as given.
      log_likelihood: [L], NaN where it is not finite at the start.
      evaluations: [L], of value and gradient.
    """

    hypothesis: np.ndarray
    log_likelihood: np.ndarray
    evaluations: np.ndarray


class Refit(Protocol):
    """Fits one event from many starts, with some parameters held."""

    def __call__(self, event: Event, starts: np.ndarray, compared: float = -np.inf) -> Refits:
        """Fits one event from many starts.

        Args:
          event: what was measured.
          starts: [L, H], physical units; held parameters keep these values.
          compared: log-likelihood to compare with; fits far below it need not be exact. -inf for none.

        Returns:
          Fits from L starts.
        """


def make_refit(
    model: AnyModel,
    held: Sequence[str],
    settings: FitSettings = DEFAULT,
    *,
    log_likelihood: LogLikelihood | None = None,
) -> Refit:
    """Makes a function that fits all parameters of an event but the held ones, all starts together.

    The Hessian at the first start serves all of them as a first guess: starts that lie near each other need a handful
    of evaluations. Log-likelihoods are exact to about `PRECISION`; those far below the log-likelihood that they are
    compared with, if one is given, need not be.

    Args:
      model: what to fit.
      held: parameters that keep the values of the starts.
      settings: other parameters that are not free, bounds (those of held parameters do not count) and the number of
        iterations per start; the method is always 'batched'.
      log_likelihood: another function (variables, hypothesis, event) than the model's own.

    Returns:
      Function (event, starts [L, H], log-likelihood to compare with, -inf for none) -> fits [L].

    Raises:
      ConfigError: no model.
      ReconstructionError: an unknown name, or nothing left to fit.
    """
    check_model(model)
    names = model.parameter_names
    given = {**(settings.free or {}), **dict.fromkeys(held, False)}
    flags = free_flags(model, replace(settings, free=given)) if len(held) < len(names) else None
    if flags is None or not flags.any():
        raise ReconstructionError(f"no parameter is left to fit when {', '.join(held)} are held.")
    kept = {name: limits for name, limits in (settings.bounds or {}).items() if name not in held}
    coordinates = make_coordinates(model, replace(settings, free=given, bounds=kept))
    evaluator = Evaluator(chosen(log_likelihood), coordinates, model)

    def refit(event: Event, starts: np.ndarray, compared: float = -np.inf) -> Refits:
        anchors = np.array(starts, np.float64)
        batch, which = stacked([event], shape_of(event), 1), np.zeros(len(anchors), int)
        unknown = evaluator.start(anchors)

        evaluate, lane = evaluator.problems(batch, which, anchors), np.zeros(1, int)
        first = differenced_hessian(evaluate, lane, unknown[:1], evaluate(lane, unknown[:1])[1])[0]
        inverse = inverse_of_hessian(first)[0] if np.all(np.isfinite(first)) else None
        rules = Rules(
            decrement_tolerance=PRECISION,
            decrement_share=SHARE,
            far_value=FAR - compared,
            max_iterations=settings.max_iterations,
        )
        minima = minimise(evaluator.searches(batch, which, anchors), unknown, rules, inverse=inverse)
        hypothesis = evaluator.hypothesis(minima.x, anchors)
        fixed = np.flatnonzero(~flags)
        hypothesis[:, fixed] = anchors[:, fixed]  # exactly as given
        return Refits(hypothesis, np.where(np.isfinite(minima.value), -minima.value, np.nan), minima.evaluations)

    return refit
