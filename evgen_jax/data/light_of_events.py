"""What the light of an event tells by itself: how much, when, how fast it spreads and which way it goes."""

import numpy as np

from evgen_jax.data.file_events import EventFile
from evgen_jax.measurement.detector import Detector
from evgen_jax.physics.diffusion import DOM_AREA
from evgen_jax.physics.media import load_medium
from evgen_jax.physics.sphere import unit_vectors

FEWEST_PULSES = 5
"""Smallest number of pulses at other modules than the first one for which an event has a speed."""
LIGHT_PER_GEV = 2.7e4
"""Photoelectrons per GeV and per module and m^3: 1.8e5 photons per GeV that reach 100 m and 15 cm^2 of effective area.

It gives 0.13 PE per GeV in IceCube; a contained shower is within a factor of five of it in sparse and dense detectors.
"""
MARGIN = 60.0
"""Width of the surroundings of the outermost modules that count as their volume, m, so that a single string has one."""


def light_per_gev(detector: Detector) -> float:
    """Computes how much light of a contained shower a detector sees, to a factor of five.

    Args:
      detector: its modules' areas and efficiencies, its volume and its medium count.

    Returns:
      Photoelectrons per GeV.
    """
    volume = float(np.prod(np.ptp(np.asarray(detector.position, np.float64), axis=0) + MARGIN))
    seeing = float(np.sum(np.asarray(detector.relative_efficiency) * np.asarray(detector.area))) / DOM_AREA
    photons = float(detector.medium.photons_per_gev / load_medium().photons_per_gev)
    return LIGHT_PER_GEV * seeing * photons / volume


def charge_and_time(file: EventFile, i: int) -> tuple[float, float]:
    """Computes the charge of an event and when half of it has come.

    Args:
      file: events of one file.
      i: place of the event, which has pulses.

    Returns:
      Charge, PE, and the time, ns, from the same begin as the labels (`EventFile.anchors`).
    """
    pulses = file.packed.pulses.of(i)
    charge, time = pulses["charge"][pulses["mask"]], pulses["time"][pulses["mask"]]
    order = np.argsort(time)
    running = np.cumsum(charge[order])
    return float(running[-1]), float(time[order][np.searchsorted(running, running[-1] / 2)] - file.anchors[i])


def forwardness(
    file: EventFile, i: int, vertex: np.ndarray, zenith: float, azimuth: float, detector: Detector
) -> float:
    """Computes how far the light of an event lies ahead of a vertex.

    Args:
      file: events of one file.
      i: place of the event, which has pulses.
      vertex: [3], m, from the detector's origin of coordinates.
      zenith: of the direction that the particle comes from, rad.
      azimuth: of the same direction, rad.
      detector: to which the event belongs.

    Returns:
      The mean over the charge of the cosine between the way from the vertex to the module and the particle's way: above 0
      on average for showers and tracks, below 0 where zenith and azimuth say where the particle goes.
    """
    active = file.packed.active.of(i)
    lit = active["charge"] > 0
    way = np.asarray(detector.position, np.float64)[active["dom"][lit]] - vertex
    length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
    cosine = -way @ unit_vectors(zenith, azimuth) / length
    return float(np.average(cosine, weights=active["charge"][lit])) if lit.any() else 0.0


def apparent_speed(file: EventFile, detector: Detector) -> float:
    """Computes how fast light seems to spread: distances between modules over the differences of their times.

    Args:
      file: events of one file.
      detector: to which the events are said to belong.

    Returns:
      The median over events, m/ns, of the ratio of median distance and median difference of time between the first pulse
      and those of other modules; NaN without events of enough pulses. Light in ice or water is at 0.05 to 0.22, light of a
      muon that passes at up to 0.3.
    """
    position, found = np.asarray(detector.position, np.float64), []
    for i in file.good:
        pulses, active = file.packed.pulses.of(int(i)), file.packed.active.of(int(i))
        seen = pulses["mask"]
        time, dom = pulses["time"][seen].astype(np.float64), active["dom"][pulses["slot"][seen]]
        if not len(time):
            continue
        first = np.argmin(time)
        away = np.linalg.norm(position[dom] - position[dom[first]], axis=1)
        others = away > 0
        if others.sum() < FEWEST_PULSES:
            continue
        found.append(float(np.median(away[others])) / max(float(np.median(time[others] - time[first])), 1e-9))
    return float(np.median(found)) if found else float("nan")
