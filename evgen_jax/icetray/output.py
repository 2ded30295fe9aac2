"""What a fit writes into a frame: named numbers, particles, covariances and texts, by the end of their keys."""

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np

from evgen_jax.hypothesis.parameters import CASCADE, ENTERING_TRACK, Parameter, direction_pairs, places_by_role
from evgen_jax.icetray.fit_frames import FrameFit
from evgen_jax.icetray.records import FitStatus, Particle
from evgen_jax.icetray.sphere_track import CENTRE, SPHERE_RADIUS, particle_of_entry
from evgen_jax.physics.sphere import angles, unit_vectors
from evgen_jax.reconstruction.fit.covariance import Covariance, unknown_covariance
from evgen_jax.reconstruction.run.covariance_columns import covariance_labels
from evgen_jax.reconstruction.starts.two_cascades import (
    TwoCascades,
    energy_asymmetry,
    find_two_cascades,
    length,
    with_second,
)

COVARIANCES = {
    "cov_matrix_cov": "physical",
    "cov_matrix_cov_sand": "physical_sandwich",
    "cov_matrix_cov_trafo": "hessian",
    "cov_matrix_cov_sand_trafo": "sandwich",
}
"""End of a key -> the field of `Covariance` that it holds."""


def covariance_of_frame(fit: FrameFit, free: Sequence[int]) -> Covariance | None:
    """Finds the uncertainties of a fit.

    Args:
      fit: of one frame.
      free: places of the parameters that have uncertainties; none if these are not asked for.

    Returns:
      The uncertainties, NaN without a fit; None if they are not asked for.
    """
    if fit.result is not None and fit.result.covariance is not None:
        return fit.result.covariance
    return unknown_covariance(free) if free else None


def named_numbers(
    fit: FrameFit, parameters: Sequence[Parameter], log: Sequence[bool], free: Sequence[int] = (), ranked: bool = False
) -> dict[str, float]:
    """Collects the numbers of a fit, with Event-Generator's names for its quantities.

    Names are those of all other events: tableio takes the columns of a table from the first frame, and stops at a name that it lacks.

    Args:
      fit: of one frame.
      parameters: of the model, H of them.
      log: H flags, True for parameters that are fitted as ln(1 + p).
      free: places of the parameters that have uncertainties; none if these are not asked for.
      ranked: whether ranks among simulated events are asked for.

    Returns:
      Every parameter (directions wrapped), its value in the seed (`<parameter>_seed`) and its uncertainty
      (`<parameter>_unc`, `<parameter>_unc_sandwich`), in its unit; loss_reco, loss_seed, minimization_success, fit_status, runtime_reco
      (s), gradient_norm, evaluations, best_seed, angular_unc and angular_unc_sandwich (rad, 39 % within), covariance_repaired;
      of two cascades length (m), energy_asymmetry, energy_total (GeV) and log_likelihood_ratio; NaN without a fit.
    """
    fitted, names = wrapped(fit.hypothesis, parameters), [parameter.name for parameter in parameters]
    numbers = dict(zip(names, map(float, fitted), strict=True))
    numbers |= {f"{name}_seed": float(value) for name, value in zip(names, fit.seed, strict=True)}
    result, unknown = fit.result, float("nan")
    numbers |= {
        "loss_reco": unknown if result is None else -result.log_likelihood,
        "loss_seed": unknown if result is None else -result.log_likelihood_seed,
        "minimization_success": float(result is not None and result.diagnostics.converged),
        "fit_status": float(fit.status),
        "runtime_reco": unknown if result is None else result.diagnostics.runtime,
        "gradient_norm": unknown if result is None else result.diagnostics.gradient_norm,
        "evaluations": unknown if result is None else float(result.diagnostics.evaluations),
        "best_seed": unknown if result is None else float(result.diagnostics.best_seed),
    }
    if ranked or fit.goodness is not None:
        rank = fit.goodness
        numbers["goodness_of_fit_1sided"] = unknown if rank is None else float(rank.p_value)
        numbers["goodness_of_fit_2sided"] = unknown if rank is None else float(rank.p_value_two_sided)
    if (two := find_two_cascades(parameters)) is not None:
        numbers |= {
            "length": float(length(two, fitted)),
            "energy_asymmetry": float(energy_asymmetry(two, fitted)),
            "energy_total": float(fitted[two.first["energy"]] + fitted[two.energy]),
            "log_likelihood_ratio": float(fit.log_likelihood_ratio),
        }
    if (covariance := covariance_of_frame(fit, free)) is not None:
        numbers |= _uncertainties(covariance, fitted, names, log)
    return numbers


def _uncertainties(
    covariance: Covariance, fitted: np.ndarray, names: Sequence[str], log: Sequence[bool]
) -> dict[str, float]:
    found = {
        "angular_unc": float(covariance.angular),
        "angular_unc_sandwich": float(covariance.angular_sandwich),
        "covariance_repaired": float(covariance.repaired),
    }
    for ending, matrix in (("unc", covariance.physical), ("unc_sandwich", covariance.physical_sandwich)):
        for place, variance in zip(covariance.free, np.diag(matrix), strict=True):
            factor = 1 + fitted[place] if log[place] else 1.0
            found[f"{names[place]}_{ending}"] = float(factor * np.sqrt(variance))
    return found


def covariance_maps(covariance: Covariance, names: Sequence[str], log: Sequence[bool]) -> dict[str, dict[str, float]]:
    """Writes covariances as named numbers: the upper triangles, as `<a>_<b>`, with log_ before parameters in ln(1 + p).

    Args:
      covariance: of a fit.
      names: of the parameters, H of them.
      log: H flags, True for parameters that are fitted as ln(1 + p).

    Returns:
      End of the key -> numbers: by the Hessian and by the sandwich, in units of the parameters and (_trafo) normalised.
    """
    labels = covariance_labels(names, log, [int(place) for place in covariance.free])
    keys = [f"{a}_{b}" for a, b in combinations_with_replacement(labels, 2)]
    upper = np.triu_indices(len(labels))
    return {
        end: dict(zip(keys, map(float, getattr(covariance, field)[upper]), strict=True))
        for end, field in COVARIANCES.items()
    }


def wrapped(hypothesis: np.ndarray, parameters: Sequence[Parameter]) -> np.ndarray:
    """Brings directions into their range: zenith from 0 to pi, azimuth from 0 to 2 pi.

    Args:
      hypothesis: [H], physical units.
      parameters: of the model, H of them.

    Returns:
      Hypothesis [H] of the same directions.
    """
    found = np.array(hypothesis, np.float64)
    for zenith, azimuth in direction_pairs(parameters):
        inside = 0 <= found[zenith] <= np.pi and 0 <= found[azimuth] < 2 * np.pi
        if not inside and np.isfinite(found[[zenith, azimuth]]).all():
            found[zenith], found[azimuth] = map(float, angles(unit_vectors(found[zenith], found[azimuth])))
    return found


def particle_of_fit(
    fit: FrameFit,
    parameters: Sequence[Parameter],
    sphere_radius: float | None = None,
    sphere_centre: Sequence[float] = CENTRE,
) -> Particle:
    """Makes the particle of a fit, with status, type and shape.

    Args:
      fit: of one frame.
      parameters: of the model, H of them.
      sphere_radius: m, of the sphere that a track enters; None: the usual one.
      sphere_centre: m, of that sphere: where the places of the model's detector are counted from.

    Returns:
      A cascade, a track that starts, stops or neither; of two cascades the vertex of the first with the energy of both and the
      length between them. NaN without a fit.
    """
    fitted = wrapped(fit.hypothesis, parameters)
    if tracks := places_by_role(parameters, ENTERING_TRACK):
        values = {role: float(fitted[place]) for role, place in tracks[0].items()}
        entry = particle_of_entry(values, sphere_radius or SPHERE_RADIUS, centre=sphere_centre)
        return _with_status(entry, fit.status)
    roles = [parameter.role for parameter in parameters]
    cascades = places_by_role(parameters, CASCADE)
    places = {role: roles.index(role) for role in CASCADE if role in roles} if not cascades else cascades[0]
    numbers = {role: float(fitted[place]) for role, place in places.items()}
    shape, kind = ("Cascade", "EMinus") if cascades else ("Null", "unknown")
    if "length" in roles:
        numbers["length"], shape, kind = float(fitted[roles.index("length")]), "ContainedTrack", "MuMinus"
    elif (two := find_two_cascades(parameters)) is not None:
        numbers["energy"] += float(fitted[two.energy])
        numbers["length"] = float(length(two, fitted))
    elif "cascade_energy" in roles:
        shape, kind = "StartingTrack", "MuMinus"
    return Particle(**numbers, shape=shape, kind=kind, status=fit.status)


def _with_status(particle: Particle, status: FitStatus) -> Particle:
    return Particle(**{**vars(particle), "status": status})


def both_cascades(fit: FrameFit, parameters: Sequence[Parameter], two: TwoCascades) -> tuple[Particle, Particle]:
    """Makes the two particles of a fit of two cascades.

    Args:
      fit: of one frame.
      parameters: of the model, H of them.
      two: where the parameters are.

    Returns:
      The cascades in their order along the direction of flight, as the hypothesis has them.
    """
    fitted = wrapped(fit.hypothesis, parameters)
    first = {role: float(fitted[place]) for role, place in two.first.items()}
    if two.distance is None:
        second = {role: float(fitted[place]) for role, place in two.second.items()}
    else:
        # As a second cascade with a vertex of its own, whose places are behind those of the first.
        places = {role: 7 + k for k, role in enumerate(CASCADE)}
        apart = TwoCascades({role: k for k, role in enumerate(CASCADE)}, 7 + CASCADE.index("energy"), None, places)
        values = np.array([first[role] for role in CASCADE] + [np.nan] * 7)
        values = with_second(apart, values, float(fitted[two.distance]), float(fitted[two.energy]))
        second = {role: float(values[place]) for role, place in places.items()}
    return tuple(  # type: ignore[return-value]
        Particle(**numbers, shape="Cascade", kind="EMinus", status=fit.status) for numbers in (first, second)
    )


def fit_of_numbers(numbers: Mapping[str, float], parameters: Sequence[Parameter]) -> np.ndarray:
    """Reads the hypothesis of a fit back from the named numbers that it wrote.

    Args:
      numbers: of `named_numbers`, or of Event-Generator.
      parameters: of the model, H of them.

    Returns:
      Hypothesis [H]; NaN for parameters that are not there.
    """
    return np.array([numbers.get(parameter.name, np.nan) for parameter in parameters], np.float64)
