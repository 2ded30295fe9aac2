"""Hypotheses of simulated events: drawn from ranges, and smeared into seeds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.hypothesis.parameters import KINDS, column_names, kind_of
from evgen_jax.physics.muon import IONISATION, RADIATION

LARGEST_IMPACT = 0.9
"""Tracks pass the centre of their sphere within this share of its radius."""
SMALLEST_LOSS = 1.0
"""Stochastic losses below this many GeV belong to the light of the bare muon."""


def parameter_ranges(names: tuple[str, ...], given: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Range [low, high] of every parameter [H, 2]: given by its name, by that of its kind, or the default.

    Raises:
      ConfigError: a range for no parameter, of wrong order, or none at all.
    """
    kinds = [kind_of(name) for name in names]
    known = {*names, *(k[0] for k in kinds if k)}
    for key in given:
        if key not in known and key not in {k for k, _, _ in KINDS}:
            raise ConfigError(
                f"simulation_settings.ranges.{key}: is no parameter; parameters: {', '.join(names)}."
                + suggestion(key, known)
            )
    ranges = []
    for name, kind in zip(names, kinds, strict=True):
        if name not in given and kind is None:
            raise ConfigError(f"simulation_settings.ranges.{name}: is missing and has no default.")
        low, high = given.get(name) or given.get(kind[0] if kind else name) or (kind[1].low, kind[1].high)  # type: ignore[index]
        if high < low or (kind is not None and kind[1].draw == "log" and low <= 0):
            raise ConfigError(f"simulation_settings.ranges.{name}: expected low <= high, got [{low}, {high}]; "
                              "energies must be above 0.")  # fmt: skip
        ranges.append((low, high))
    return np.array(ranges)


def draw_hypotheses(
    rng: np.random.Generator, names: tuple[str, ...], ranges: np.ndarray, count: int, segment_length: float = 15.0
) -> np.ndarray:
    """Hypotheses [count, H], float64.

    Energies log-uniform, zenith isotropic, others uniform in their range. A track enters its sphere at a point that its
    direction leads into the sphere, its impact evenly over a disc. Energy losses in segments are those of a muon:
    stochastic ones above 1 GeV with dN/dv ~ 1/v and the right mean.

    Args:
      rng: numpy's generator.
      names, ranges: H each, see `parameter_ranges`.
      count: how many.
      segment_length: m, of `energy_loss` parameters where the hypothesis has no length of its own.
    """
    u = rng.uniform(size=(count, len(names)))
    low, high = ranges[:, 0], ranges[:, 1]
    values = low + (high - low) * u
    for i, name in enumerate(names):
        kind = kind_of(name)
        draw = kind[1].draw if kind else "uniform"
        if draw == "log":
            values[:, i] = np.exp(np.log(low[i]) + np.log(high[i] / low[i]) * u[:, i])
        if draw == "zenith":
            values[:, i] = np.arccos(np.cos(low[i]) + (np.cos(high[i]) - np.cos(low[i])) * u[:, i])
    place = {name: i for i, name in enumerate(names)}
    for name in names:
        if name.endswith("entry_zenith"):
            _enter_the_sphere(rng, values, place, name.removesuffix("entry_zenith"))
    for prefix in dict.fromkeys(n[: n.index("energy_loss_")] for n in names if "energy_loss_" in n):
        _lose_energy(rng, values, place, prefix, segment_length)
    return values


def _enter_the_sphere(rng: np.random.Generator, values: np.ndarray, place: Mapping[str, int], prefix: str) -> None:
    """Entry points whose tracks cross a disc around the centre, evenly over its area."""
    zenith, azimuth = values[:, place[prefix + "zenith"]], values[:, place[prefix + "azimuth"]]
    flight = -np.stack([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)], axis=1)
    helper = np.where(np.abs(flight[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(flight, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    angle, impact = rng.uniform(0, 2 * np.pi, len(values)), LARGEST_IMPACT * np.sqrt(rng.uniform(size=len(values)))
    sideways = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * np.cross(flight, first)
    entry = impact[:, None] * sideways - np.sqrt(1 - impact**2)[:, None] * flight
    values[:, place[prefix + "entry_zenith"]] = np.arccos(entry[:, 2])
    values[:, place[prefix + "entry_azimuth"]] = np.mod(np.arctan2(entry[:, 1], entry[:, 0]), 2 * np.pi)


def _lose_energy(rng: np.random.Generator, values: np.ndarray, place: Mapping[str, int], prefix: str, step: float):
    columns = [i for name, i in place.items() if name.startswith(prefix + "energy_loss_")]
    start = place.get(prefix + "entry_energy")
    for row in values:
        length = row[place[prefix + "length"]] / len(columns) if prefix + "length" in place else step
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


def smeared_seeds(rng: np.random.Generator, names: tuple[str, ...], hypotheses: np.ndarray) -> dict[str, Any]:
    """Columns of a seed table: the truth, smeared by the spread of each parameter's kind."""
    columns = {}
    for i, (name, column) in enumerate(zip(names, column_names(names), strict=True)):
        kind, noise = kind_of(name), rng.normal(size=len(hypotheses))
        value = hypotheses[:, i]
        if kind is not None:
            value = value * np.exp(kind[1].spread * noise) if kind[1].draw == "log" else value + kind[1].spread * noise
            if kind[1].draw == "zenith":
                value = np.clip(value, 0.01, np.pi - 0.01)
        columns[column] = value
    return columns
