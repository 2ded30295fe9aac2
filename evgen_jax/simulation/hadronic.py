"""Hadronic showers: their light, relative to that of an electron of equal energy, and its fluctuation (acem)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from evgen_jax.errors import ConfigError
from evgen_jax.extras import need
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.physics.medium import Medium

ELECTRON = "electron"
"""Particle whose energy is that of its light."""
PARTICLES = {"pi+": 211, "pi-": -211, "K0L": 130, "K+": 321, "K-": -321, "proton": 2212, "neutron": 2112}
"""Name of a particle -> its number of the Particle Data Group."""
ELECTRON_NUMBER = 11
"""Number of the electron of the Particle Data Group."""
ENERGIES = (10.0, 1e6)
"""Range of energies for which the yields of hadronic showers are taken, GeV."""
PARTICLE_TABLE = "ShowerParticle"
"""Table of the energies of the particles that made the showers, GeV."""


def energy_places(parameters: Sequence[Parameter]) -> list[int]:
    """Finds the energies of showers in a hypothesis.

    Args:
      parameters: of the hypothesis.

    Returns:
      Places of the parameters that are energies of cascades.
    """
    return [i for i, parameter in enumerate(parameters) if parameter.role in ("energy", "cascade_energy")]


def light_energies(
    rng: np.random.Generator, particle: str, energy: Float[np.ndarray, "*shape"], medium: Medium
) -> Float[np.ndarray, "*shape"]:
    """Draws the energies of electrons that give as much light as the showers of a particle.

    The Cherenkov track length of every shower is drawn and divided by the mean one of an electron, per energy
    (parametrisation of FLUKA simulations by acem, after arXiv:1210.5140).

    Args:
      rng: numpy's generator.
      particle: of `PARTICLES`, or 'electron', whose energy is returned.
      energy: of the particle, GeV, shape (...).
      medium: gives density and phase index.

    Returns:
      Energies that labels hold, GeV, shape (...).

    Raises:
      ConfigError: acem is not installed, or an energy is outside of the range of the yields.
    """
    if particle == ELECTRON:
        return energy
    need("acem", f"simulation_settings.shower_particle: {particle}")
    low, high = ENERGIES
    if np.any((energy < low) | (energy > high)):
        odd = energy[(energy < low) | (energy > high)][0]
        raise ConfigError(
            f"simulation_settings.shower_particle: {particle}: an energy is {odd:.4g} GeV; light of hadronic showers is known "
            f"from {low:g} to {high:g} GeV. Change simulation_settings.ranges."
        )
    from acem.media import Medium as OfYields
    from acem.model import Parametrization1D

    model = Parametrization1D(OfYields(float(medium.density), float(medium.phase_index)))
    found = [
        float(model.ltot_dist(PARTICLES[particle], e).rvs(random_state=rng))
        / float(model.ltot_dist(ELECTRON_NUMBER, e).mean())
        for e in np.ravel(energy).astype(float)
    ]
    # Neither less than no light, nor more than energy and the largest upward fluctuation give.
    return energy * np.clip(np.reshape(found, np.shape(energy)), 0.0, 1.1)


def particle_columns(
    parameters: Sequence[Parameter], labels: Sequence[str], energy: Float[np.ndarray, "E N"], particle: str
) -> dict[str, np.ndarray]:
    """Lists the columns of the table of particles.

    Args:
      parameters: of the hypothesis, N of which are energies of showers.
      labels: columns of the labels, in the order of the parameters.
      energy: of the particles [E, N], GeV.
      particle: of `PARTICLES`.

    Returns:
      Name of the column of the label -> energies of the particles [E], and pdg -> the particle's number [E].
    """
    columns = {labels[place]: energy[:, i] for i, place in enumerate(energy_places(parameters))}
    return {**columns, "pdg": np.full(len(energy), float(PARTICLES[particle]))}
