"""How well hypotheses of one cascade recover the truth: errors, their bound, and what uncertainties are worth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from evgen_jax.hypothesis.parameters import CASCADE, DIRECTION, POSITIONS, Parameter, places_by_role
from evgen_jax.physics.sphere import angle_between, unit_vectors
from evgen_jax.reconstruction.fit.result import FitResult

LEVEL = 0.68
"""Confidence level at which coverage is stated."""
DRAWS = 500
"""Number of errors that are drawn of the bound of each event."""


class Recovery(NamedTuple):
    """Holds one number an event for each quantity of a cascade: errors, or confidence levels.

    Attributes:
      vertex: [E], errors in m.
      direction: [E], opening angles in degrees.
      log_energy: [E], |ln(E / E_true)|.
      time: [E], errors in ns.
    """

    vertex: Float[np.ndarray, " E"]
    direction: Float[np.ndarray, " E"]
    log_energy: Float[np.ndarray, " E"]
    time: Float[np.ndarray, " E"]


def cascade_errors(
    hypotheses: Float[np.ndarray, "E H"], truth: Float[np.ndarray, "E H"], parameters: Sequence[Parameter]
) -> Recovery:
    """Computes the errors of hypotheses of one cascade.

    Args:
      hypotheses: [E, H], physical units (m, ns, GeV, rad).
      truth: [E, H], physical units.
      parameters: of a hypothesis with one cascade.

    Returns:
      Errors [E] of vertex (m), direction (degrees), logarithm of the energy and time (ns).
    """
    place = places_by_role(parameters, CASCADE)[0]
    vertex, direction = [place[role] for role in POSITIONS], [place[role] for role in DIRECTION]
    energy, time = place["energy"], place["time"]
    towards, true = (unit_vectors(*h[:, direction].T) for h in (hypotheses, truth))
    return Recovery(
        vertex=np.linalg.norm(hypotheses[:, vertex] - truth[:, vertex], axis=1),
        direction=np.degrees(angle_between(towards, true)),
        log_energy=np.abs(np.log(np.maximum(hypotheses[:, energy], 1e-3) / truth[:, energy])),
        time=np.abs(hypotheses[:, time] - truth[:, time]),
    )


def bound_errors(
    information: Float[np.ndarray, "E H H"], truth: Float[np.ndarray, "E H"], parameters: Sequence[Parameter]
) -> Recovery:
    """Draws errors of estimates that are normally distributed about the truth with the least possible covariance.

    That covariance is the inverse of the Fisher information (Cramer-Rao bound); `DRAWS` estimates are drawn of each event.

    Args:
      information: [E, H, H], by physical units (m, ns, GeV, rad).
      truth: [E, H], physical units.
      parameters: of a hypothesis with one cascade, and nothing else.

    Returns:
      Errors [E DRAWS] of vertex (m), direction (degrees), logarithm of the energy and time (ns).
    """
    place = places_by_role(parameters, CASCADE)[0]
    # Unknowns on one scale: along the directions of growing zenith and azimuth, and the logarithm of the energy.
    scale = np.ones(truth.shape)
    scale[:, place["azimuth"]] = 1 / np.maximum(np.sin(truth[:, place["zenith"]]), 1e-6)
    scale[:, place["energy"]] = truth[:, place["energy"]]
    scaled = information * scale[:, :, None] * scale[:, None, :]
    values, vectors = np.linalg.eigh(scaled)
    widths = 1 / np.sqrt(np.maximum(values, 1e-12 * values[:, -1:]))
    normal = np.random.default_rng(0).normal(size=(DRAWS, *widths.shape))
    offset = np.einsum("eij,dej->edi", vectors, normal * widths).reshape(-1, truth.shape[1])
    away = np.hypot(offset[:, place["zenith"]], offset[:, place["azimuth"]])
    return Recovery(
        vertex=np.linalg.norm(offset[:, [place[role] for role in POSITIONS]], axis=1),
        direction=np.degrees(np.minimum(away, np.pi)),
        log_energy=np.abs(offset[:, place["energy"]]),
        time=np.abs(offset[:, place["time"]]),
    )


def medians(errors: Recovery) -> dict[str, float]:
    """Computes the median errors.

    Args:
      errors: of E hypotheses.

    Returns:
      vertex_m, m; angle_deg, degrees; log_energy, |ln(E / E_true)|; time_ns, ns.
    """
    names = ("vertex_m", "angle_deg", "log_energy", "time_ns")
    return {name: float(np.median(own)) for name, own in zip(names, errors, strict=True)}


def confidence_levels(
    fits: Sequence[FitResult], truth: Float[np.ndarray, "E H"], parameters: Sequence[Parameter]
) -> Recovery:
    """Computes the confidence level at which the uncertainties of each fit reach the truth, for normal distributions.

    Uncertainties that are right make levels that are uniform between 0 and 1.

    Args:
      fits: of E events, with covariances.
      truth: [E, H], physical units.
      parameters: of a hypothesis with one cascade, which was free.

    Returns:
      Levels [E] of vertex, direction (the circular width on the sphere), energy (its logarithm) and time; 1 for fits
      without a covariance.
    """
    place = places_by_role(parameters, CASCADE)[0]
    errors = cascade_errors(np.stack([fit.hypothesis for fit in fits]), truth, parameters)
    vertex, energy, time = [place[role] for role in POSITIONS], place["energy"], place["time"]
    levels = np.ones((4, len(fits)))
    for i, fit in enumerate(fits):
        if fit.covariance is None or not np.all(np.isfinite(fit.covariance.physical)):
            continue
        own, at = fit.covariance.physical, {int(p): k for k, p in enumerate(fit.covariance.free)}
        rows = [at[p] for p in vertex]
        away = fit.hypothesis[vertex] - truth[i, vertex]
        squares = (
            float(away @ np.linalg.solve(own[np.ix_(rows, rows)], away)),
            float((np.radians(errors.direction[i]) / fit.covariance.angular) ** 2),
            float(errors.log_energy[i] ** 2 / own[at[energy], at[energy]]),
            float(errors.time[i] ** 2 / own[at[time], at[time]]),
        )
        levels[:, i] = stats.chi2.cdf(squares, (3, 2, 1, 1))
    return Recovery(*levels)


def coverage(levels: Recovery) -> dict[str, float]:
    """Computes the share of events whose truth lies within `LEVEL` of the uncertainties.

    Args:
      levels: confidence levels of E fits.

    Returns:
      Share by quantity: vertex, direction, log_energy, time; `LEVEL` where uncertainties are right.
    """
    return {name: float(np.mean(own <= LEVEL)) for name, own in levels._asdict().items()}
