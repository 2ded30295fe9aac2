"""Angles that cannot be radians: values in degrees are fitted without complaint, since angles repeat."""

from collections.abc import Sequence

import numpy as np

from evgen_jax.hypothesis.parameters import Parameter

SPREAD = 0.5
"""Radians beyond its usual range that an angle may have: seeds that were smeared leave it a little."""
RANGES = {
    "zenith": (0.0, np.pi),
    "entry_zenith": (0.0, np.pi),
    "azimuth": (-2 * np.pi, 2 * np.pi),
    "entry_azimuth": (-2 * np.pi, 2 * np.pi),
}
"""Role of a parameter -> its usual range, rad."""


def implausible_angle(parameters: Sequence[Parameter], values: np.ndarray) -> str:
    """Finds an angle that is outside its range in most of several hypotheses.

    Args:
      parameters: of the hypotheses, H of them.
      values: [..., H], physical units; values that are not finite are passed over.

    Returns:
      What is wrong with the first such parameter, '' if there is none.

    Example:
      implausible_angle(model.parameters, seeds)
    """
    for i, parameter in enumerate(parameters):
        if parameter.role not in RANGES:
            continue
        (low, high), own = RANGES[parameter.role], np.asarray(values, np.float64)[..., i]
        own = own[np.isfinite(own)]
        if own.size and np.mean((own < low - SPREAD) | (own > high + SPREAD)) > 0.5:
            return (
                f"'{parameter.name}' is {own.min():.4g}"
                + (f" to {own.max():.4g}" if own.size > 1 else "")
                + f": is it in degrees? Expected radians, from {low:.3g} to {high:.3g}."
            )
    return ""
