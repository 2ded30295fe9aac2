"""What a frame holds, as plain arrays and numbers: everything between frames and fits works with these records alone."""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

Sensor = tuple[int, int, int]
"""String, module and photomultiplier of a sensor: the three numbers of IceTray's OMKey."""


class FitStatus(IntEnum):
    """States what became of a fit, with the numbers of I3Particle.FitStatus."""

    NOT_SET = -1
    OK = 0
    GENERAL_FAILURE = 10
    INSUFFICIENT_HITS = 20
    FAILED_TO_CONVERGE = 30
    MISSING_SEED = 40


@dataclass(frozen=True)
class PulseTable:
    """Holds pulses of one event, P of them.

    Attributes:
      sensor: [P, 3], string, module and photomultiplier.
      time: [P], ns.
      charge: [P], PE.
      width: [P], ns.
      flags: [P], bits of I3RecoPulse.
    """

    sensor: np.ndarray
    time: np.ndarray
    charge: np.ndarray
    width: np.ndarray
    flags: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    def select(self, kept: np.ndarray) -> "PulseTable":
        """Selects some of the pulses.

        Args:
          kept: flags [P], or places of pulses.

        Returns:
          The selected pulses.
        """
        return PulseTable(self.sensor[kept], self.time[kept], self.charge[kept], self.width[kept], self.flags[kept])


NO_PULSES = PulseTable(
    np.zeros((0, 3), np.int64), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
)  # fmt: skip
"""A table without pulses."""


@dataclass(frozen=True)
class WindowTable:
    """Holds time windows of modules that take no part in an event, W of them.

    Attributes:
      sensor: [W, 3], string, module and photomultiplier.
      start: [W], ns.
      stop: [W], ns.
    """

    sensor: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    def __len__(self) -> int:
        return len(self.start)


NO_WINDOWS = WindowTable(np.zeros((0, 3), np.int64), np.zeros(0), np.zeros(0))
"""A table without time windows."""


@dataclass(frozen=True)
class Particle:
    """Holds a particle, a seed or a fit: what I3Particle has.

    Attributes:
      x: m.
      y: m.
      z: m.
      zenith: where it comes from, rad.
      azimuth: where it comes from, rad.
      energy: GeV.
      time: ns.
      length: m.
      shape: name of an I3Particle.ParticleShape.
      kind: name of an I3Particle.ParticleType.
      status: what became of the fit.
    """

    x: float = np.nan
    y: float = np.nan
    z: float = np.nan
    zenith: float = np.nan
    azimuth: float = np.nan
    energy: float = np.nan
    time: float = np.nan
    length: float = np.nan
    shape: str = "Null"
    kind: str = "unknown"
    status: int = FitStatus.NOT_SET

    @property
    def failed(self) -> bool:
        """Returns whether the fit says that it failed."""
        return self.status > FitStatus.OK and self.status != FitStatus.FAILED_TO_CONVERGE


SeedObject = Particle | tuple[Particle, ...] | dict[str, float]
"""What a seed key of a frame holds: a particle, several (two cascades), or named numbers."""


@dataclass(frozen=True)
class FrameEvent:
    """Holds the event of one frame.

    Attributes:
      ids: Run, Event, SubEvent and its stream's number.
      pulses: that are fitted.
      excluded: [X, 3], sensors that take no part.
      windows: time windows that take no part.
      readout: start and stop of the readout, ns; None: from first to last pulse, widened.
      seeds: key -> what it holds; keys that the frame does not have are left out.
      fault: why the event cannot be fitted; empty if it can.
    """

    ids: tuple[int, int, int, int] = (0, 0, 0, 0)
    pulses: PulseTable = NO_PULSES
    excluded: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    windows: WindowTable = NO_WINDOWS
    readout: tuple[float, float] | None = None
    seeds: dict[str, SeedObject] = field(default_factory=dict)
    fault: str = ""

    def with_fault(self, text: str) -> "FrameEvent":
        """Marks an event that cannot be fitted.

        Args:
          text: why.

        Returns:
          The event without pulses.
        """
        return replace(self, pulses=NO_PULSES, windows=NO_WINDOWS, readout=None, fault=text)
