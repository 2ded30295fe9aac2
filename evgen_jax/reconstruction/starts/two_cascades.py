"""Hypotheses of two cascades, as tau neutrinos make them: their seeds, their length, and what they are as one cascade."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.parameters import CASCADE, POSITIONS, Parameter, places_by_role
from evgen_jax.physics.constants import SPEED_OF_LIGHT
from evgen_jax.physics.sphere import unit_vectors


@dataclass(frozen=True)
class TwoCascades:
    """States where a hypothesis of two cascades has its parameters.

    Attributes:
      first: role -> place, of the first cascade.
      energy: place of the second cascade's energy.
      distance: place of the distance of the second cascade along the direction of flight; None where the second cascade
        has a vertex of its own.
      second: role -> place, of a second cascade with a vertex of its own; empty for one at a distance.
    """

    first: dict[str, int]
    energy: int
    distance: int | None
    second: dict[str, int]

    @property
    def of_second(self) -> tuple[int, ...]:
        """Returns the places of all parameters that one cascade alone does not have."""
        return tuple(self.second.values()) if self.distance is None else (self.energy, self.distance)


def find_two_cascades(parameters: Sequence[Parameter]) -> TwoCascades | None:
    """Tells whether a hypothesis is that of two cascades.

    Args:
      parameters: of the hypothesis, H of them.

    Returns:
      Where its parameters are; None for any other hypothesis.
    """
    cascades = places_by_role(parameters, CASCADE)
    roles = [parameter.role for parameter in parameters]
    if {"length", "entry_time", "energy_loss"} & set(roles):
        return None
    if len(cascades) == 2 and "cascade_energy" not in roles:
        return TwoCascades(cascades[0], cascades[1]["energy"], None, cascades[1])
    if len(cascades) == 1 and roles.count("cascade_energy") == roles.count("cascade_distance") == 1:
        return TwoCascades(cascades[0], roles.index("cascade_energy"), roles.index("cascade_distance"), {})
    return None


def split_cascade(
    two: TwoCascades, hypothesis: Float[np.ndarray, " H"], shares: Sequence[float], distances: Sequence[float]
) -> Float[np.ndarray, "N H"]:
    """Makes seeds of two cascades from one cascade: its centre of light and its energy stay.

    Args:
      two: where the parameters are.
      hypothesis: [H], physical units, with the single cascade in the place of the first one.
      shares: of the energy in the second cascade, between 0 and 1.
      distances: m, of the second cascade from the first along the direction of flight.

    Returns:
      Seeds [N, H], one per distance and share.

    Raises:
      ReconstructionError: a share or a distance that cannot be.

    Example:
      `split_cascade(two, seed, (0.5,), (10.0, 0.05 * seed[two.first["energy"]]))`: 10 m, and 50 m per TeV.
    """
    for share in shares:
        if not 0 < share < 1:
            raise ReconstructionError(f"seed_energy_shares: expected shares between 0 and 1, got {share!r}.")
    for distance in distances:
        if not np.isfinite(distance):
            raise ReconstructionError(f"seed_distances: expected finite distances, m, got {distance!r}.")
    flight = -unit_vectors(hypothesis[two.first["zenith"]], hypothesis[two.first["azimuth"]])
    energy = hypothesis[two.first["energy"]]
    seeds = []
    for distance, share in product(distances, shares):
        seed = np.array(hypothesis, np.float64)
        back = share * distance
        _put(seed, two.first, [hypothesis[two.first[axis]] for axis in POSITIONS] - back * flight)
        seed[two.first["time"]] -= back / SPEED_OF_LIGHT
        seed[two.first["energy"]] = (1 - share) * energy
        seeds.append(with_second(two, seed, distance, share * energy))
    return np.array(seeds).reshape(-1, len(hypothesis))


def with_second(
    two: TwoCascades, hypothesis: Float[np.ndarray, " H"], distance: float, energy: float
) -> Float[np.ndarray, " H"]:
    """Puts the second cascade behind the first one.

    Args:
      two: where the parameters are.
      hypothesis: [H], physical units.
      distance: m, along the direction of flight.
      energy: of the second cascade, GeV.

    Returns:
      Hypothesis [H] with the second cascade.
    """
    seed = np.array(hypothesis, np.float64)
    if two.distance is not None:
        seed[two.distance] = distance
    else:
        for role, place in two.second.items():
            seed[place] = seed[two.first[role]]
        flight = -unit_vectors(seed[two.first["zenith"]], seed[two.first["azimuth"]])
        _put(seed, two.second, [seed[two.first[axis]] for axis in POSITIONS] + distance * flight)
        seed[two.second["time"]] += distance / SPEED_OF_LIGHT
    seed[two.energy] = energy
    return seed


def _put(hypothesis: np.ndarray, places: dict[str, int], position: np.ndarray) -> None:
    for axis, value in zip(POSITIONS, position, strict=True):
        hypothesis[places[axis]] = value


def as_one_cascade(two: TwoCascades, hypothesis: Float[np.ndarray, "*shape H"]) -> Float[np.ndarray, "*shape H"]:
    """Makes one cascade of two: at the centre of their light, with the energy of both; the second one has none.

    Args:
      two: where the parameters are.
      hypothesis: [..., H], physical units.

    Returns:
      Hypotheses [..., H].
    """
    one = np.array(hypothesis, np.float64)
    total = one[..., two.first["energy"]] + one[..., two.energy]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, one[..., two.energy] / total, 0.0)
    step, delay = _step(two, one)
    for k, axis in enumerate(POSITIONS):
        one[..., two.first[axis]] += share * step[..., k]
    one[..., two.first["time"]] += share * delay
    one[..., two.first["energy"]] = total
    one[..., two.energy] = 0.0
    return one


def _step(two: TwoCascades, hypothesis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the first cascade to the second: a vector [..., 3], m, and the delay [...], ns."""
    if two.distance is None:
        step = np.stack(
            [hypothesis[..., two.second[axis]] - hypothesis[..., two.first[axis]] for axis in POSITIONS], -1
        )
        return step, hypothesis[..., two.second["time"]] - hypothesis[..., two.first["time"]]
    flight = -unit_vectors(hypothesis[..., two.first["zenith"]], hypothesis[..., two.first["azimuth"]])
    distance = hypothesis[..., two.distance]
    return distance[..., None] * flight, distance / SPEED_OF_LIGHT


def length(two: TwoCascades, hypothesis: Float[np.ndarray, "*shape H"]) -> Float[np.ndarray, "*shape"]:
    """Computes the distance between both cascades.

    Args:
      two: where the parameters are.
      hypothesis: [..., H], physical units.

    Returns:
      Lengths [...], m; negative where the second cascade lies before the first one along the direction of flight.
    """
    step, _ = _step(two, hypothesis)
    if two.distance is not None:
        return hypothesis[..., two.distance]
    flight = -unit_vectors(hypothesis[..., two.first["zenith"]], hypothesis[..., two.first["azimuth"]])
    return np.linalg.norm(step, axis=-1) * np.where(np.sum(step * flight, axis=-1) < 0, -1.0, 1.0)


def energy_asymmetry(two: TwoCascades, hypothesis: Float[np.ndarray, "*shape H"]) -> Float[np.ndarray, "*shape"]:
    """Computes (E1 - E2) / (E1 + E2) of both cascades.

    Args:
      two: where the parameters are.
      hypothesis: [..., H], physical units.

    Returns:
      Asymmetries [...], from -1 to 1; NaN without energy.
    """
    first, second = hypothesis[..., two.first["energy"]], hypothesis[..., two.energy]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (first - second) / (first + second)
