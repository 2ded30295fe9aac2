"""Pulls of fits whose truth is known: errors in units of the uncertainties that the fits state."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from evgen_jax.hypothesis.parameters import Parameter, direction_pairs
from evgen_jax.physics.sphere import angle_between, unit_vectors
from evgen_jax.reconstruction.fit.result import FitResult


def offsets(
    fitted: Float[np.ndarray, "E H"], truth: Float[np.ndarray, "E H"], parameters: Sequence[Parameter]
) -> Float[np.ndarray, "E H"]:
    """Computes fit minus truth, of directions as arcs in the plane that touches the sphere at the fit.

    Args:
      fitted: [E, H], physical units.
      truth: [E, H], physical units.
      parameters: of the hypothesis; logged ones are compared as ln(1 + p).

    Returns:
      Offsets [E, H]: m, ns, no unit for logged parameters; rad to the south and to the east for zenith and azimuth.
    """
    log = np.array([own.log for own in parameters])
    difference = fitted - truth
    difference[:, log] = np.log1p(fitted[:, log]) - np.log1p(truth[:, log])
    for zenith, azimuth in direction_pairs(parameters):
        at, true = (unit_vectors(h[:, zenith], h[:, azimuth]) for h in (fitted, truth))
        south = unit_vectors(fitted[:, zenith] + np.pi / 2, fitted[:, azimuth])
        east = unit_vectors(np.full(len(fitted), np.pi / 2), fitted[:, azimuth] + np.pi / 2)
        plane = np.stack([np.sum(true * south, axis=1), np.sum(true * east, axis=1)], axis=1)
        plane *= (angle_between(at, true) / np.maximum(np.linalg.norm(plane, axis=1), 1e-12))[:, None]
        difference[:, [zenith, azimuth]] = -plane
    return difference


def pulls(
    fits: Sequence[FitResult], truth: Float[np.ndarray, "E H"], parameters: Sequence[Parameter]
) -> Float[np.ndarray, "E H"]:
    """Computes (fit - truth) / standard deviation of each parameter.

    Args:
      fits: of E events, with covariances.
      truth: [E, H], physical units.
      parameters: of the hypothesis.

    Returns:
      Pulls [E, H]; NaN for parameters that were not free, and for fits without a positive definite Hessian.
    """
    away = offsets(np.stack([fit.hypothesis for fit in fits]), np.asarray(truth, np.float64), parameters)
    width = np.full(away.shape, np.nan)
    for i, fit in enumerate(fits):
        if fit.covariance is not None and not fit.covariance.repaired and not fit.failed:
            width[i, fit.covariance.free] = np.sqrt(np.diag(fit.covariance.physical))
    for zenith, azimuth in direction_pairs(parameters):
        width[:, azimuth] *= np.sin([fit.hypothesis[zenith] for fit in fits])
    return away / width


def half_width(values: Float[np.ndarray, " E"]) -> float:
    """Computes half the length of the central 68.27 % of values: 1 for pulls that are right.

    Args:
      values: [E]; NaN counts not.

    Returns:
      The half width; NaN without a value.
    """
    if not np.any(np.isfinite(values)):
        return float("nan")
    low, high = np.nanquantile(values, [0.15865, 0.84135])
    return float(high - low) / 2
