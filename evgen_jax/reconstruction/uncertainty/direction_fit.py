"""Fits of one event at a held direction without a fit of the whole: a pixel of somebody else's scan of the sky."""

from collections.abc import Callable

import numpy as np

from evgen_jax.checks import check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.fit.objective import LogLikelihood
from evgen_jax.reconstruction.fit.refit import make_refit
from evgen_jax.reconstruction.fit.settings import DEFAULT, FitSettings
from evgen_jax.reconstruction.starts.pulses import make_starts
from evgen_jax.reconstruction.starts.shape import Shape

DirectionFit = Callable[[Event, float, float, np.ndarray | None], tuple[np.ndarray, float]]
"""Function (event, zenith, azimuth, seed [H] or None) -> (hypothesis [H], log-likelihood)."""


def make_direction_fit(
    model: AnyModel,
    settings: FitSettings = DEFAULT,
    *,
    log_likelihood: LogLikelihood | None = None,
    num_starts: int = 3,
) -> DirectionFit:
    """Makes a function that fits everything but the direction of a cascade.

    It begins at a seed, if there is one, and at the best vertices, times and energies that are found from the pulses; the
    best of the fits counts.

    Args:
      model: a hypothesis with one cascade.
      settings: free parameters and bounds of the fits.
      log_likelihood: function (variables, hypothesis, event); None: that of the model.
      num_starts: number of starts from the pulses.

    Returns:
      Function (event, zenith, azimuth, seed [H] or None) -> hypothesis [H] and its log-likelihood; directions in rad, of
      where the particle comes from.

    Raises:
      ReconstructionError: another hypothesis than one cascade, a number that is none, or, when the result is called, an event
        at which no start has a finite log-likelihood.
      HypothesisError: when the result is called with a seed of another model.
      DataError: when the result is called with an event of another detector.
    """
    check_whole(num_starts, 1, "num_starts", ReconstructionError)
    shape = Shape(model)
    if shape.is_track:
        raise ReconstructionError(
            "a scan by pixels is for hypotheses of one cascade: a track enters its sphere elsewhere for every direction."
        )
    zenith, azimuth = shape.place["zenith"], shape.place["azimuth"]
    held = (model.parameter_names[zenith], model.parameter_names[azimuth])
    refit = make_refit(model, held, settings, log_likelihood=log_likelihood)
    evaluator = make_fitter(model, settings, covariance=False, log_likelihood=log_likelihood).evaluator
    find_starts = make_starts(model, evaluator)

    def direction_fit(
        event: Event, at_zenith: float, at_azimuth: float, seed: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        check_event(event, model.detector)
        starts = find_starts([event], num_starts)[0]
        if seed is not None:
            check_hypothesis(seed, model.parameter_names, "a seed")
            starts = np.concatenate([np.asarray(seed, np.float64)[None], starts])
        starts = starts[np.all(np.isfinite(starts), axis=1)]
        starts[:, zenith], starts[:, azimuth] = at_zenith, at_azimuth
        if len(starts):
            found = refit(event, starts)
            if np.any(np.isfinite(found.log_likelihood)):
                best = int(np.nanargmax(found.log_likelihood))
                return found.hypothesis[best], float(found.log_likelihood[best])
        raise ReconstructionError("no start has a finite log-likelihood: the event has no usable pulse, or is damaged.")

    return direction_fit
