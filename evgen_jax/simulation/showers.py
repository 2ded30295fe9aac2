"""Showers of simulated events, whose photons are followed: found in the tree of a model's sources at a hypothesis."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.parameters import CASCADE, Parameter, places_by_role
from evgen_jax.light.source import Source
from evgen_jax.light.tree import copies_at
from evgen_jax.measurement.detector import Detector
from evgen_jax.model.model import Model
from evgen_jax.physics.geometry import flight_direction, shift_to_shower_maximum, shower_maximum
from evgen_jax.simulation.hadronic import energy_places
from evgen_jax.sources.analytic.point_source import AnalyticCascadeSource
from evgen_jax.sources.learned.noise import NoiseSource


@dataclass(frozen=True)
class Shower:
    """Is a shower, whose light comes from its maximum.

    Attributes:
      position: of the maximum [3], m.
      direction: of flight [3], unit vector.
      time: of the maximum, ns.
      energy: GeV.
      ice: properties of ice and modules that differ from the default, by name.
    """

    position: np.ndarray
    direction: np.ndarray
    time: float
    energy: float
    ice: dict[str, float]


def check_showers(model: Model) -> tuple[Source, ...]:
    """Checks that photons can be followed from all light of a model.

    Args:
      model: whose sources are asked.

    Returns:
      Its sources of noise.

    Raises:
      ConfigError: it has another source than cascades and noise.
    """
    typical = jnp.asarray([parameter.mean for parameter in model.parameters])
    noise = []
    for copies in copies_at(model.source, model.variables, typical, model.detector):
        if isinstance(copies.source, NoiseSource):
            noise.append(copies.source)
        elif not isinstance(copies.source, AnalyticCascadeSource) or copies.masked:
            named = "/".join(copies.path) or "model_settings"
            raise ConfigError(
                f"simulation_settings.light: photons can be followed from cascades, beside noise; the source '{named}' is another one "
                f"({type(copies.source).__name__}). Set light: table."
            )
    return tuple(noise)


def showers_at(model: Model, hypothesis: Float[np.ndarray, " H"]) -> list[Shower]:
    """Finds the showers of an event.

    Args:
      model: of cascades and noise, see `check_showers`.
      hypothesis: [H], physical units.

    Returns:
      Its showers, in float64.
    """
    found: list[Shower] = []
    with jax.enable_x64(True):
        place = jnp.asarray(hypothesis, jnp.float64)
        for copies in copies_at(model.source, model.variables, place, model.detector):
            if isinstance(copies.source, AnalyticCascadeSource):
                found += _showers(copies.source, np.asarray(copies.parameters, np.float64), model.detector)
    return found


def _showers(source: AnalyticCascadeSource, parameters: np.ndarray, detector: Detector) -> Iterable[Shower]:
    names = source.ice_parameters
    for row in parameters:
        direction, density = flight_direction(*map(jnp.asarray, row[3:5])), jnp.asarray(detector.medium.density)
        start, zero, energy = (jnp.asarray(value) for value in (row[:3], 0.0, row[5]))
        position, shift = shift_to_shower_maximum(start, zero, direction, energy, density)
        ice = dict(zip(names, row[len(row) - len(names) :].tolist(), strict=True))
        yield Shower(np.asarray(position), np.asarray(direction), float(row[6] + shift), float(row[5]), ice)


def with_shared_maxima(
    hypotheses: Float[np.ndarray, "E H"], parameters: Sequence[Parameter], count: int, density: float
) -> Float[np.ndarray, "E H"]:
    """Lets successive events share a shower's photons: all but energy and time are those of the first of them.

    The maximum of the shower stays where it is, so that the vertex of another energy lies elsewhere on the axis.

    Args:
      hypotheses: [E, H], physical units.
      parameters: of the hypotheses, H of them, those of one cascade among them.
      count: number of events that share photons.
      density: of the medium, relative to water.

    Returns:
      Hypotheses [E, H].

    Raises:
      ConfigError: several events are to share photons, but a hypothesis has several cascades.
    """
    if count == 1:
        return hypotheses
    groups = places_by_role(parameters, CASCADE)
    if len(groups) != 1 or len(energy_places(parameters)) != 1:
        raise ConfigError(
            f"simulation_settings.events_per_cascade: got {count}; events of several cascades share no photons. Set it to 1."
        )
    place = groups[0]
    shared = hypotheses[np.arange(len(hypotheses)) // count * count].copy()
    vertex, own = [place[role] for role in ("x", "y", "z")], [place["energy"], place["time"]]
    with jax.enable_x64(True):
        angles = (jnp.asarray(shared[:, place[role]]) for role in ("zenith", "azimuth"))
        direction = np.asarray(flight_direction(*angles))
        length = [np.asarray(shower_maximum(jnp.asarray(h[:, own[0]]), density)) for h in (shared, hypotheses)]
    shared[:, own] = hypotheses[:, own]
    shared[:, vertex] += (length[0] - length[1])[:, None] * direction
    return shared
