"""Best fits that cannot be: a minimum of the likelihood far from anything that the model has learned."""

from collections.abc import Sequence

import numpy as np

from evgen_jax.hypothesis.parameters import POSITIONS, Parameter
from evgen_jax.measurement.detector import Detector
from evgen_jax.model.ensemble import AnyModel

FAR_AWAY = 2000.0
"""Largest distance of a vertex from the box of the modules, m."""
LARGEST_ENERGY = 1e12
"""Energy beyond which no particle has been seen, GeV; the most energetic cosmic rays have 3e11."""
UNLIKELY = 50.0
"""Minus log-likelihood per photoelectron beyond which pulses lie where the model expects no light at all; 5 to 10 is usual."""


def far_away(parameters: Sequence[Parameter], detector: Detector, hypotheses: np.ndarray) -> np.ndarray:
    """Finds hypotheses with a vertex far outside of the detector.

    Args:
      parameters: of the hypotheses, H of them.
      detector: whose modules count.
      hypotheses: [..., H], physical units; places that are not finite are passed over.

    Returns:
      Flags [...], true for more than `FAR_AWAY`.
    """
    low, high = np.asarray(detector.box, np.float64)
    far = np.zeros(np.shape(hypotheses)[:-1], bool)
    for i, parameter in enumerate(parameters):
        if parameter.role in POSITIONS:
            axis, own = POSITIONS.index(parameter.role), hypotheses[..., i]
            far |= (own < low[axis] - FAR_AWAY) | (own > high[axis] + FAR_AWAY)
    return far


def implausible_fit(parameters: Sequence[Parameter], detector: Detector, hypothesis: np.ndarray) -> str:
    """Says why a minimum of the likelihood is not to be believed.

    Args:
      parameters: of the hypothesis, H of them.
      detector: whose modules count.
      hypothesis: [H], best fit, physical units.

    Returns:
      The reason, '' if there is none.

    Example:
      implausible_fit(model.parameters, model.detector, fit.hypothesis)
    """
    if far_away(parameters, detector, hypothesis):
        return f"the fit ended more than {FAR_AWAY:g} m outside the detector"
    for parameter, value in zip(parameters, hypothesis, strict=True):
        if parameter.unit == "GeV" and value > LARGEST_ENERGY:
            return f"the fit ended at {parameter.name} {value:.3g} GeV, which is beyond all particles"
    return ""


def unlikely_fit(model: AnyModel, log_likelihood: float, charge: float) -> str:
    """Says whether a minimum lies where the model expects no light at the times of the pulses.

    The likelihood is flat there and a search has nothing to go by: early pulses in a detector without noise, from a seed whose
    time is late.

    Args:
      model: that was fitted, all of whose parameters were free.
      log_likelihood: of the best fit.
      charge: of the event, PE.

    Returns:
      The reason not to believe it, '' if there is none, or where other terms or weights make another scale.
    """
    if any(term.weight != 1 for term in model.loss.terms) or log_likelihood > -UNLIKELY * max(charge, 1.0):
        return ""
    return (
        f"the fit ended where the model expects no light at the times of the pulses (log-likelihood {log_likelihood / max(charge, 1.0):.3g} "
        "per photoelectron): give other seeds, or fit from the pulses alone"
    )
