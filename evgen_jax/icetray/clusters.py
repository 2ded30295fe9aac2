"""Clusters of light of the events of frames, as named numbers."""

import numpy as np

from evgen_jax.icetray.fit_frames import events_of_frames
from evgen_jax.icetray.records import FrameEvent, Particle
from evgen_jax.measurement.detector import Detector
from evgen_jax.reconstruction.starts.clusters import Clusters, find_clusters


def cluster_numbers(clusters: Clusters, count: int, first: tuple[Particle, ...] = ()) -> dict[str, float]:
    """Writes clusters as named numbers.

    Args:
      clusters: that were found, the brightest first.
      count: of clusters that are written.
      first: particles whose vertices stand before the clusters.

    Returns:
      found_clusters, zenith and azimuth (rad, of the line through the clusters in the order of their times; NaN for fewer
      than two), and cluster_000000_x, _y, _z (m), _t (ns) and so on; inf for those that were not found.
    """
    points: list[tuple[float, ...]] = [(own.x, own.y, own.z, own.time) for own in first]
    points += [(*map(float, p), float(t)) for p, t in zip(clusters.position, clusters.time, strict=True)]
    points = points[:count]
    numbers = {"found_clusters": float(len(points)), "zenith": clusters.zenith, "azimuth": clusters.azimuth}
    for i in range(count):
        own = points[i] if i < len(points) else (np.inf,) * 4
        numbers |= {f"cluster_{i:06d}_{axis}": value for axis, value in zip("xyzt", own, strict=True)}
    return numbers


def clusters_of_event(
    event: FrameEvent,
    detector: Detector,
    count: int,
    *,
    min_dist: float = 200.0,
    min_cluster_charge: float = 3.0,
    min_hit_doms: int = 3,
    first: tuple[Particle, ...] = (),
) -> dict[str, float]:
    """Finds clusters of light in an event.

    Args:
      event: of a frame.
      detector: gives sensors their place.
      count: largest number of clusters.
      min_dist: between clusters, m.
      min_cluster_charge: of a cluster, PE.
      min_hit_doms: hit modules of a cluster.
      first: particles whose vertices stand before the clusters; clusters keep their distance from these, too.

    Returns:
      Named numbers of `cluster_numbers`.
    """
    file = events_of_frames([event], detector)
    nothing = Clusters(np.zeros((0, 3)), np.zeros(0), np.zeros(0), np.nan, np.nan)
    if 0 in file.faults or len(event.pulses) == 0:
        return cluster_numbers(nothing, count, first)
    found = find_clusters(
        file.event(0),
        detector,
        count,
        min_distance=min_dist,
        min_charge=min_cluster_charge,
        min_doms=min_hit_doms,
    )
    vertices = np.array([[own.x, own.y, own.z] for own in first]).reshape(-1, 3) - np.asarray(detector.origin)
    away = np.linalg.norm(found.position[:, None] - vertices[None], axis=2)
    kept = np.all(away >= min_dist, axis=1) if len(first) else np.ones(len(found.charge), bool)
    position = found.position[kept] + np.asarray(detector.origin)
    return cluster_numbers(
        Clusters(position, found.time[kept], found.charge[kept], found.zenith, found.azimuth), count, first
    )
