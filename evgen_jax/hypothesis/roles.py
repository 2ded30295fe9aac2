"""Roles that a hypothesis parameter may have, with the unit, range and scale that are usual for each."""

from typing import NamedTuple

import numpy as np

DRAWS = ("uniform", "log", "zenith")
"""Ways to draw a parameter of simulated events: evenly, evenly in the logarithm, isotropically."""


class Facts(NamedTuple):
    """Holds what is usual for a role.

    Attributes:
      unit: 'm', 'ns', 'GeV', 'rad' or '' for a number.
      log: whether a parameter is usually normalised and fitted as ln(1 + p).
      low: lower end of the range of simulated events, in `unit`; None where there is none.
      high: upper end of the range of simulated events, in `unit`; None where there is none.
      draw: how events are drawn from the range, of `DRAWS`.
      spread: width of seeds that are smeared truth; of the logarithm where `draw` is 'log'.
      mean: typical mean, of ln(1 + p) where `log` is set.
      std: typical standard deviation, of ln(1 + p) where `log` is set.
    """

    unit: str
    log: bool
    low: float | None
    high: float | None
    draw: str
    spread: float
    mean: float
    std: float


_COORDINATE = Facts("m", False, -500.0, 500.0, "uniform", 15.0, 0.0, 300.0)
_ZENITH = Facts("rad", False, 0.0, np.pi, "zenith", 0.2, 1.57, 0.69)
_AZIMUTH = Facts("rad", False, 0.0, 2 * np.pi, "uniform", 0.2, 3.14, 1.81)
_ENERGY = Facts("GeV", True, 1e3, 1e6, "log", 0.3, 10.0, 2.0)
_FACTOR = Facts("", False, 0.9, 1.1, "uniform", 0.0, 1.0, 0.1)
NOTHING = Facts("", False, None, None, "uniform", 0.0, 0.0, 1.0)
"""What is usual where no role is known."""
ROLES: dict[str, Facts] = {
    "x": _COORDINATE,
    "y": _COORDINATE,
    "z": _COORDINATE,
    "zenith": _ZENITH,
    "azimuth": _AZIMUTH,
    "energy": _ENERGY,
    "time": Facts("ns", False, 9000.0, 11000.0, "uniform", 30.0, 10000.0, 600.0),
    "length": Facts("m", False, 100.0, 800.0, "uniform", 30.0, 400.0, 200.0),
    "entry_zenith": _ZENITH._replace(spread=0.02),
    "entry_azimuth": _AZIMUTH._replace(spread=0.02),
    "entry_time": Facts("ns", False, 7000.0, 9000.0, "uniform", 30.0, 8000.0, 600.0),
    "entry_energy": _ENERGY,
    "energy_loss": Facts("GeV", True, 1.0, 1e4, "log", 0.3, 3.0, 2.0),
    "cascade_energy": Facts("GeV", True, 1e3, 1e5, "log", 0.3, 9.0, 2.0),
    "cascade_distance": Facts("m", False, 5.0, 200.0, "uniform", 10.0, 100.0, 60.0),
    "Absorption": _FACTOR,
    "Scattering": _FACTOR,
    "DOMEfficiency": _FACTOR,
    "HoleIceForward_Unified_p0": Facts("", False, -0.1, 0.5, "uniform", 0.0, 0.2, 0.17),
    "HoleIceForward_Unified_p1": Facts("", False, -0.1, 0.0, "uniform", 0.0, -0.05, 0.03),
    "other": NOTHING,
}
"""Roles of parameters with what is usual for each.

A vertex, direction, energy, time or length of a particle; where, when and with which energy a track enters its sphere;
the energy of a loss on a track; energy and distance of a further cascade; factors and properties of the ice and the
modules; 'other', which is none of these.
"""
TIMES = ("time", "entry_time")
"""Roles of times, ns."""
ENERGIES = ("energy", "entry_energy", "cascade_energy", "energy_loss")
"""Roles of energies, GeV."""
LENGTHS = ("length", "cascade_distance")
"""Roles of lengths, m."""
FACTORS = ("Absorption", "Scattering", "DOMEfficiency")
"""Roles of factors of ice and modules."""
MANY = ("energy_loss", "cascade_energy", "cascade_distance", "other", None)
"""Roles that several parameters of one group may have."""
STANDARD_NAMES = {
    **{role: role for role in ROLES if role not in MANY},
    "t": "time",
    "entry_t": "entry_time",
    "HoleIceForward_Unified_00": "HoleIceForward_Unified_p0",
    "HoleIceForward_Unified_01": "HoleIceForward_Unified_p1",
}
"""Name -> role that it tells where nothing else is declared; names that are not here tell nothing."""
