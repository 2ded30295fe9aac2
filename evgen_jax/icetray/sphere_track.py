"""Tracks through a sphere around the detector: from a particle to where it enters, and back."""

from collections.abc import Mapping, Sequence

import numpy as np

from evgen_jax.icetray.records import FitStatus, Particle
from evgen_jax.physics.constants import SPEED_OF_LIGHT
from evgen_jax.physics.sphere import angles, unit_vectors

SPHERE_RADIUS = 750.0
"""Usual radius of the sphere around IceCube, m."""
CENTRE = (0.0, 0.0, 0.0)
"""Usual centre of the sphere, m: the origin of coordinates."""
UNKNOWN_ENERGY = 1e4
"""Energy of a track whose seed does not say one, GeV."""


def entering_track(
    particle: Particle,
    radius: float = SPHERE_RADIUS,
    unknown_energy: float = UNKNOWN_ENERGY,
    centre: Sequence[float] = CENTRE,
) -> dict[str, float]:
    """Computes where and when a track enters a sphere.

    A track that misses the sphere enters it at its point of closest approach, moved to the sphere.

    Args:
      particle: with vertex, direction, time and energy.
      radius: of the sphere, m.
      unknown_energy: GeV, where the energy of the particle is not finite or not positive.
      centre: x, y, z of the sphere, m: where the places of the model's detector are counted from.

    Returns:
      entry_zenith, entry_azimuth, entry_time, entry_energy, zenith and azimuth (rad, ns, GeV); NaN where the particle
      has no vertex, direction or time.
    """
    position = np.array([particle.x, particle.y, particle.z]) - np.asarray(centre)
    flight = -unit_vectors(particle.zenith, particle.azimuth)
    along = float(position @ flight)
    inside = radius**2 - float(position @ position) + along**2
    step = -along - np.sqrt(max(inside, 0.0)) if np.isfinite(inside) else np.nan
    entry = position + step * flight
    zenith, azimuth = angles(entry) if np.all(np.isfinite(entry)) else (np.nan, np.nan)
    fine = np.isfinite(particle.energy) and particle.energy > 0
    return {
        "entry_zenith": float(zenith),
        "entry_azimuth": float(azimuth),
        "entry_time": particle.time + step / SPEED_OF_LIGHT,
        "entry_energy": particle.energy if fine else unknown_energy,
        "zenith": particle.zenith,
        "azimuth": particle.azimuth,
    }


def sphere_seed(
    particle: Particle,
    radius: float = SPHERE_RADIUS,
    unknown_energy: float = UNKNOWN_ENERGY,
    centre: Sequence[float] = CENTRE,
) -> dict[str, float]:
    """Computes the seed of an entering track with the names of Event-Generator's converter.

    Args:
      particle: with vertex, direction, time and energy.
      radius: of the sphere, m.
      unknown_energy: GeV, where the energy of the particle is not finite or not positive.
      centre: x, y, z of the sphere, m: where the places of the model's detector are counted from.

    Returns:
      The numbers of `entering_track`, entry_t beside entry_time, and the entry point entry_x, entry_y and entry_z, m.
    """
    values = entering_track(particle, radius, unknown_energy, centre)
    point = np.asarray(centre) + radius * unit_vectors(values["entry_zenith"], values["entry_azimuth"])
    return (
        values
        | {"entry_t": values["entry_time"]}
        | dict(zip(("entry_x", "entry_y", "entry_z"), map(float, point), strict=True))
    )


def particle_of_entry(
    values: Mapping[str, float],
    radius: float = SPHERE_RADIUS,
    length_key: str = "finite_length",
    centre: Sequence[float] = CENTRE,
) -> Particle:
    """Makes a particle at the entry point of a track.

    Args:
      values: of labels or a fit, with entry_zenith, entry_azimuth, entry_t or entry_time, entry_energy, zenith and
        azimuth.
      radius: of the sphere, m.
      length_key: name of the length, m, of a track that stops.
      centre: x, y, z of the sphere, m: where the places of the model's detector are counted from.

    Returns:
      The particle, whose status is that of a fit that succeeded if all values are finite.
    """
    point = np.asarray(centre) + radius * unit_vectors(values["entry_zenith"], values["entry_azimuth"])
    time = values["entry_t"] if "entry_t" in values else values["entry_time"]
    x, y, z = map(float, point)
    energy, zenith, azimuth = values["entry_energy"], values["zenith"], values["azimuth"]
    length = values.get(length_key, np.nan)
    fine = np.all(np.isfinite([x, y, z, zenith, azimuth, energy, time]))
    return Particle(
        x,
        y,
        z,
        zenith,
        azimuth,
        energy,
        time,
        length,
        shape="StoppingTrack" if np.isfinite(length) else "InfiniteTrack",
        kind="MuMinus",
        status=FitStatus.OK if fine else FitStatus.GENERAL_FAILURE,
    )
