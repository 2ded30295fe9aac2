"""Hypotheses of simulated events: drawn from ranges, and smeared into seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.hypothesis.parameters import (
    ENTERING_TRACK,
    Parameter,
    check_records,
    column_names,
    names_of,
    places_by_role,
)
from evgen_jax.hypothesis.roles import ROLES, STANDARD_NAMES
from evgen_jax.physics.muon import IONISATION, RADIATION

LARGEST_IMPACT = 0.9
"""Largest distance between a track and the centre of its sphere, in radii of the sphere."""
SMALLEST_LOSS = 1.0
"""Smallest stochastic loss, GeV; smaller ones belong to the light of the bare muon."""


def parameter_ranges(
    parameters: Sequence[Parameter], given: Mapping[str, tuple[float, float]]
) -> Float[np.ndarray, "H 2"]:
    """Finds the range of every parameter: given by its name, by that of its role, or the default.

    Args:
      parameters: of the hypothesis, H of them.
      given: {name: (low, high)}, where the names of the sources before it may be left out of a name.

    Returns:
      Ranges [H, 2], low and high, physical units.

    Raises:
      ConfigError: a range for no parameter, of wrong order, or none at all; or names instead of parameters.
    """
    check_records(parameters)
    names = names_of(parameters)
    known = {*names, *(own.own_name for own in parameters), *(own.role for own in parameters if own.role)}
    for key in given:
        named = key in known or key in ROLES or key in STANDARD_NAMES
        if not named and not any(own.answers_to(key) for own in parameters):
            raise ConfigError(
                f"simulation_settings.ranges.{key}: is no parameter; parameters: {', '.join(names)}."
                + suggestion(key, known)
            )
    ranges = []
    for parameter in parameters:
        low, high = _range_of(parameter, given)
        if high < low or (parameter.draw == "log" and low <= 0):
            raise ConfigError(
                f"simulation_settings.ranges.{parameter.name}: expected low <= high, got [{low}, {high}]; "
                "energies must be above 0."
            )
        ranges.append((low, high))
    return np.array(ranges)


def _range_of(parameter: Parameter, given: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """The range that names a parameter most fully: by its whole name, a shorter one, or its role."""
    fitting = sorted((key for key in given if parameter.answers_to(key)), key=len, reverse=True)
    by_role = [key for key in given if parameter.role is not None and parameter.role in (key, STANDARD_NAMES.get(key))]
    for key in (*fitting, *by_role):
        return given[key]
    if parameter.low is None or parameter.high is None:
        raise ConfigError(f"simulation_settings.ranges.{parameter.name}: is missing and has no default.")
    return parameter.low, parameter.high


def draw_hypotheses(
    rng: np.random.Generator,
    parameters: Sequence[Parameter],
    ranges: Float[np.ndarray, "H 2"],
    count: int,
    segment_length: float = 15.0,
) -> Float[np.ndarray, "{count} H"]:
    """Draws hypotheses.

    Energies log-uniform, zenith isotropic, others uniform in their range. A track enters its sphere at a point that its
    direction leads into the sphere, its impact evenly over a disc. Energy losses in segments are those of a muon:
    stochastic ones above 1 GeV with dN/dv ~ 1/v and the right mean.

    Args:
      rng: numpy's generator.
      parameters: of the hypothesis, H of them.
      ranges: [H, 2], low and high, see `parameter_ranges`.
      count: number of hypotheses.
      segment_length: m, between energy losses where the hypothesis has no length of its own.

    Returns:
      Hypotheses [count, H], physical units, float64.

    Raises:
      ConfigError: names instead of parameters.
    """
    check_records(parameters)
    u = rng.uniform(size=(count, len(parameters)))
    low, high = ranges[:, 0], ranges[:, 1]
    values = low + (high - low) * u
    for i, parameter in enumerate(parameters):
        if parameter.draw == "log":
            values[:, i] = np.exp(np.log(low[i]) + np.log(high[i] / low[i]) * u[:, i])
        if parameter.draw == "zenith":
            values[:, i] = np.arccos(np.cos(low[i]) + (np.cos(high[i]) - np.cos(low[i])) * u[:, i])
    for place in places_by_role(parameters, ENTERING_TRACK):
        _enter_the_sphere(rng, values, place)
    losing = (own.group for own in parameters if own.role == "energy_loss")
    for group in dict.fromkeys(losing):
        _lose_energy(rng, values, parameters, group, segment_length)
    return values


def _enter_the_sphere(rng: np.random.Generator, values: np.ndarray, place: Mapping[str, int]) -> None:
    """Entry points whose tracks cross a disc around the centre, evenly over its area."""
    zenith, azimuth = values[:, place["zenith"]], values[:, place["azimuth"]]
    flight = -np.stack([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)], axis=1)
    helper = np.where(np.abs(flight[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(flight, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    angle, impact = rng.uniform(0, 2 * np.pi, len(values)), LARGEST_IMPACT * np.sqrt(rng.uniform(size=len(values)))
    sideways = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * np.cross(flight, first)
    entry = impact[:, None] * sideways - np.sqrt(1 - impact**2)[:, None] * flight
    values[:, place["entry_zenith"]] = np.arccos(entry[:, 2])
    values[:, place["entry_azimuth"]] = np.mod(np.arctan2(entry[:, 1], entry[:, 0]), 2 * np.pi)


def _lose_energy(
    rng: np.random.Generator, values: np.ndarray, parameters: Sequence[Parameter], group: tuple[str, ...], step: float
) -> None:
    """Losses of one track, one after the other along it; `step` in m, where it has no length."""
    own = [(i, parameter.role) for i, parameter in enumerate(parameters) if parameter.group == group]
    columns = [i for i, role in own if role == "energy_loss"]
    start = next((i for i, role in own if role == "entry_energy"), None)
    whole = next((i for i, role in own if role == "length"), None)
    for row in values:
        length = step if whole is None else row[whole] / len(columns)
        # A hypothesis without the muon's energy starts with one that its range of losses suggests.
        energy = row[start] if start is not None else 10 * row[columns[0]]
        for i in columns:
            row[i] = _segment_loss(rng, energy, length)
            energy = max(energy - row[i] - IONISATION * length, 0.0)


def _segment_loss(rng: np.random.Generator, energy: float, length: float) -> float:
    if energy <= 2 * SMALLEST_LOSS:
        return 0.0
    smallest = SMALLEST_LOSS / energy
    # dN/dv = c / v between `smallest` and 1 has the mean c (1 - smallest) per m, which is b.
    number = rng.poisson(RADIATION / (1 - smallest) * length * np.log(1 / smallest))
    shares = smallest ** rng.uniform(size=number)
    return float(min(energy * shares.sum(), energy))


def smeared_seeds(
    rng: np.random.Generator, parameters: Sequence[Parameter], hypotheses: Float[np.ndarray, "E H"]
) -> dict[str, Any]:
    """Columns of a seed table: the truth, smeared by the spread of each parameter.

    Args:
      rng: numpy's generator.
      parameters: of the hypothesis, H of them.
      hypotheses: [E, H], physical units.

    Returns:
      {name of the column: values [E]}.
    """
    columns = {}
    for i, (parameter, column) in enumerate(zip(parameters, column_names(parameters), strict=True)):
        noise, value = rng.normal(size=len(hypotheses)), hypotheses[:, i]
        if parameter.draw == "log":
            value = value * np.exp(parameter.spread * noise)
        else:
            value = value + parameter.spread * noise
        if parameter.draw == "zenith":
            value = np.clip(value, 0.01, np.pi - 0.01)
        columns[column] = value
    return columns
