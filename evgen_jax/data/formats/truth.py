"""The truth of other programs in the columns of cascade labels: x, y, z, zenith, azimuth, energy, time."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Naming(NamedTuple):
    """Holds how a program names the columns of its truth.

    Attributes:
      place: columns of x, y and z, m.
      direction: columns of zenith and azimuth, rad.
      flies: whether the direction is that of the flight; else it is where the particle comes from, as in labels.
      energy: columns of the energy, GeV; the first one that is there counts.
      time: columns of the time, ns, at which the particle is at its place.
    """

    place: tuple[str, str, str]
    direction: tuple[str, str]
    flies: bool
    energy: tuple[str, ...]
    time: tuple[str, ...] = ()


NAMINGS = (
    Naming(
        ("position_x", "position_y", "position_z"),
        ("zenith", "azimuth"),
        False,
        ("energy_cascade", "energy"),
        ("interaction_time",),
    ),
    Naming(
        ("initial_state_x", "initial_state_y", "initial_state_z"),
        ("initial_state_zenith", "initial_state_azimuth"),
        True,
        ("initial_state_energy",),
    ),
    Naming(
        ("injection_position_x", "injection_position_y", "injection_position_z"),
        ("injection_zenith", "injection_azimuth"),
        False,
        ("injection_energy",),
    ),
)
"""graphnet's truth of IceCube, the truth of Prometheus, and what early versions of Prometheus are called in graphnet."""


def naming_of(columns: Sequence[str]) -> Naming | None:
    """Finds how a table names the truth.

    Args:
      columns: of the table.

    Returns:
      One of `NAMINGS`; None for a table of other things.
    """
    return next((naming for naming in NAMINGS if {*naming.place, *naming.direction} <= set(columns)), None)


def read_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Lists the columns of a table of the truth that labels are made of.

    Args:
      columns: of the table.

    Returns:
      Those that the table has; none for a table of other things.
    """
    naming = naming_of(columns)
    if naming is None:
        return ()
    own = (*naming.place, *naming.direction, *naming.energy, *naming.time)
    return tuple(column for column in own if column in columns)


def with_labels(columns: Mapping[str, np.ndarray], vertex_time: float | None) -> tuple[dict[str, np.ndarray], str]:
    """Adds cascade labels to a table of the truth.

    Args:
      columns: name -> values [E], with the columns of one of `NAMINGS`.
      vertex_time: ns, of all vertices where the table has none; None: unknown.

    Returns:
      All columns, with those of the labels (without cascade_time where it is unknown), and a sentence on where the labels
      come from.
    """
    naming = naming_of(list(columns))
    assert naming is not None
    labels = dict(zip(("cascade_x", "cascade_y", "cascade_z"), (columns[c] for c in naming.place), strict=True))
    zenith, azimuth = (np.asarray(columns[c], np.float64) for c in naming.direction)
    labels["cascade_zenith"], labels["cascade_azimuth"] = (
        reversed_angles(zenith, azimuth) if naming.flies else (zenith, azimuth)
    )
    energy = next((c for c in naming.energy if c in columns), None)
    if energy is not None:
        labels["cascade_energy"] = columns[energy]
    time = next((c for c in naming.time if c in columns), None)
    if time is not None:
        labels["cascade_time"] = columns[time]
    elif vertex_time is not None:
        labels["cascade_time"] = np.full(len(zenith), float(vertex_time))
    places = f"{naming.place[0]}, {naming.place[1]}, {naming.place[2]}"
    said = f"labels cascade_x, ... are {places}, {' and '.join(naming.direction)}"
    said += " turned round (they are of the flight)" if naming.flies else ""
    said += f", the energy {energy}" if energy else ", without an energy"
    said += f", the time {time or (f'{vertex_time:g} ns of all events' if vertex_time is not None else 'unknown')}"
    return {**columns, **{name: np.asarray(values, np.float64) for name, values in labels.items()}}, said


def reversed_angles(zenith: np.ndarray, azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns directions round: from that of a flight to where it comes from.

    Args:
      zenith: [...], rad.
      azimuth: [...], rad.

    Returns:
      Zenith in [0, pi] and azimuth in [0, 2 pi), rad.
    """
    return np.pi - zenith, np.mod(azimuth + np.pi, 2 * np.pi)


def angles_of(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the angles from which particles come.

    Args:
      direction: [N, 3], along which they fly, of any length.

    Returns:
      Zenith [N] in [0, pi] and azimuth [N] in [0, 2 pi), rad; NaN for a direction of no length.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y, z = -(direction / np.linalg.norm(direction, axis=1, keepdims=True)).T
    return np.arccos(np.clip(z, -1, 1)), np.mod(np.arctan2(y, x), 2 * np.pi)
