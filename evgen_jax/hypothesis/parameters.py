"""What hypothesis parameters are, by their names: default ranges, scales and spreads of seeds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ParameterKind:
    """Facts that hold for every parameter of one kind.

    Attributes:
      low, high: default range of simulated events.
      draw: 'uniform', 'log' (uniform in the logarithm) or 'zenith' (isotropic).
      mean, std, log: typical normalisation; log: of ln(1 + p).
      spread: of seeds that are smeared truth; of the logarithm where draw is 'log'.
    """

    low: float
    high: float
    draw: str
    mean: float
    std: float
    log: bool
    spread: float


_COORDINATE = ParameterKind(-500.0, 500.0, "uniform", 0.0, 300.0, False, 15.0)
_ZENITH = ParameterKind(0.0, np.pi, "zenith", 1.57, 0.69, False, 0.2)
_AZIMUTH = ParameterKind(0.0, 2 * np.pi, "uniform", 3.14, 1.81, False, 0.2)
_ENERGY = ParameterKind(1e3, 1e6, "log", 10.0, 2.0, True, 0.3)
_SCALE = ParameterKind(0.9, 1.1, "uniform", 1.0, 0.1, False, 0.0)
# The first pattern that matches the end of a name counts.
KINDS: tuple[tuple[str, str, ParameterKind], ...] = (
    ("energy_loss", r"energy_loss_\d+", ParameterKind(1.0, 1e4, "log", 3.0, 2.0, True, 0.3)),
    ("cascade_energy", r"cascade_\d+_energy", ParameterKind(1e3, 1e5, "log", 9.0, 2.0, True, 0.3)),
    ("cascade_distance", r"cascade_\d+_distance", ParameterKind(5.0, 200.0, "uniform", 100.0, 60.0, False, 10.0)),
    ("entry_zenith", "entry_zenith", ParameterKind(0.0, np.pi, "zenith", 1.57, 0.69, False, 0.02)),
    ("entry_azimuth", "entry_azimuth", ParameterKind(0.0, 2 * np.pi, "uniform", 3.14, 1.81, False, 0.02)),
    ("entry_energy", "entry_energy", _ENERGY),
    ("entry_t", "entry_t", ParameterKind(7000.0, 9000.0, "uniform", 8000.0, 600.0, False, 30.0)),
    ("x", "x", _COORDINATE),
    ("y", "y", _COORDINATE),
    ("z", "z", _COORDINATE),
    ("zenith", "zenith", _ZENITH),
    ("azimuth", "azimuth", _AZIMUTH),
    ("energy", "energy", _ENERGY),
    ("time", r"(?:time|t)", ParameterKind(9000.0, 11000.0, "uniform", 10000.0, 600.0, False, 30.0)),
    ("length", "length", ParameterKind(100.0, 800.0, "uniform", 400.0, 200.0, False, 30.0)),
    ("Absorption", "Absorption", _SCALE),
    ("Scattering", "Scattering", _SCALE),
    ("DOMEfficiency", "DOMEfficiency", _SCALE),
    ("HoleIceForward_Unified_p0", r"HoleIceForward_Unified_(p0|00)",
     ParameterKind(-0.1, 0.5, "uniform", 0.2, 0.17, False, 0.0)),
    ("HoleIceForward_Unified_p1", r"HoleIceForward_Unified_(p1|01)",
     ParameterKind(-0.1, 0.0, "uniform", -0.05, 0.03, False, 0.0)),
)  # fmt: skip


def kind_of(name: str) -> tuple[str, ParameterKind] | None:
    """Name and facts of a parameter's kind; None for a parameter of which nothing is known."""
    for kind, pattern, facts in KINDS:
        if re.search(rf"(?:^|_){pattern}$", name):
            return kind, facts
    return None


def column_names(parameter_names: Sequence[str]) -> tuple[str, ...]:
    """Names of table columns: without the name of the source where all parameters are those of one."""
    first = {name.split("_", 1)[0] for name in parameter_names if "_" in name}
    if len(first) == 1 and all("_" in name for name in parameter_names):
        return tuple(name.split("_", 1)[1] for name in parameter_names)
    return tuple(parameter_names)


UNITS = (
    ("runtime", "s"), ("log_likelihood", ""), ("loss_", ""), ("angular_unc", "rad"), ("circular_unc", "rad"),
    ("zenith", "rad"), ("azimuth", "rad"), ("energy", "GeV"), ("time", "ns"), ("entry_t", "ns"), ("distance", "m"),
    ("length", "m"), ("cascade_t", "ns"),
)  # fmt: skip


def unit_of(column: str) -> str:
    """Unit of a table column by its name; '' where it has none."""
    for part, unit in UNITS:
        if part in column:
            return unit
    stem = re.sub(r"_(seed|reco|unc|unc_sandwich|unc_sandwhich)$", "", column)
    return "m" if re.search(r"(?:^|_)[xyz]$", stem) else ""
