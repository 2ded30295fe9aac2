"""Seeds of hypotheses with several cascades: clusters of light within the event."""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from evgen_jax.checks import check_not_negative, check_whole
from evgen_jax.errors import ReconstructionError, suggestion
from evgen_jax.hypothesis.parameters import CASCADE, places_by_role
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.physics.sphere import angles
from evgen_jax.reconstruction.starts.pulses import first_pulses, vertex_time

PER_GEV = 0.1
"""Charge per energy in a detector like IceCube, PE per GeV, to an order of magnitude."""


@dataclass(frozen=True)
class Clusters:
    """Holds clusters of light, the brightest first.

    Attributes:
      position: [N, 3], charge-weighted, m.
      time: [N], ns, when light left them.
      charge: [N], of the DOMs around, PE.
      zenith: where something that flies through them in the order of their times comes from, rad; NaN for one.
      azimuth: where something that flies through them in the order of their times comes from, rad; NaN for one.
    """

    position: np.ndarray
    time: np.ndarray
    charge: np.ndarray
    zenith: float
    azimuth: float


def find_clusters(
    event: Event,
    detector: Detector,
    count: int,
    *,
    radius: float = 125.0,
    min_distance: float = 150.0,
    min_charge: float = 3.0,
    min_doms: int = 3,
) -> Clusters:
    """Finds clusters of charge.

    Every hit DOM is a candidate with the charge within `radius` of it; candidates are taken by falling charge where
    they are `min_distance` or more from all that are taken.

    Args:
      event: what was measured.
      detector: of the event.
      count: largest number of clusters.
      radius: of a cluster, m.
      min_distance: between clusters, m.
      min_charge: of a cluster, PE.
      min_doms: hit DOMs of a cluster.

    Returns:
      The clusters.

    Raises:
      ReconstructionError: a number that is negative, or a count that is not whole.
      DataError: an event of another detector.
    """
    check_event(event, detector)
    check_whole(count, 0, "count", ReconstructionError)
    for what, value in (
        ("radius", radius),
        ("min_distance", min_distance),
        ("min_charge", min_charge),
        ("min_doms", min_doms),
    ):
        check_not_negative(value, what, ReconstructionError)
    doms, charge, first = first_pulses(event)
    position = np.asarray(detector.position, np.float64)[doms]
    distance = np.linalg.norm(position[:, None] - position[None], axis=2)
    near = distance < radius
    total = near @ charge
    centres = (near * charge) @ position / np.maximum(total, 1e-12)[:, None]
    taken: list[int] = []
    for i in np.argsort(-total, kind="stable"):
        if len(taken) == count or total[i] < min_charge:
            break
        if near[i].sum() >= max(min_doms, 1) and all(
            np.linalg.norm(centres[i] - centres[j]) >= min_distance for j in taken
        ):
            taken.append(int(i))
    times = np.array([vertex_time(position[near[i]], charge[near[i]], first[near[i]], centres[i]) for i in taken])
    points = centres[taken]
    zenith = azimuth = float("nan")
    if len(taken) > 1:
        middle = points - points.mean(axis=0)
        axis = np.linalg.svd(middle, full_matrices=False)[2][0]
        forward = axis if (middle @ axis) @ (times - times.mean()) >= 0 else -axis
        theta, phi = angles(-forward)
        zenith, azimuth = float(theta), float(phi)
    return Clusters(points.reshape(-1, 3), times, total[taken], zenith, azimuth)


def cluster_seed(model: AnyModel, event: Event, base: np.ndarray | None = None, **settings: Any) -> np.ndarray:
    """Makes a seed for a hypothesis of several cascades: one cluster each, the brightest first.

    Cascades without a cluster stay at the brightest one with a tenth of its energy; directions are those of the line
    through the clusters.

    Args:
      model: a hypothesis in which every cascade has a vertex, a direction, an energy and a time.
      event: what was measured.
      base: [H], values of all other parameters, physical units; None: the means of the normalisation.
      **settings: of `find_clusters`.

    Returns:
      Seed [H], physical units.

    Raises:
      ReconstructionError: no such cascade, no cluster of light, or an unknown setting.
      HypothesisError: a base of another model.
      DataError: an event of another detector.
    """
    if base is not None:
        check_hypothesis(base, model.parameter_names, "a base")
    cascades = places_by_role(model.parameters, CASCADE)
    if not cascades:
        raise ReconstructionError(
            f"the hypothesis has no cascades to put at clusters; its parameters are {', '.join(model.parameter_names[:12])}."
        )
    known = [name for name, p in inspect.signature(find_clusters).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in settings:
        if name not in known:
            raise ReconstructionError(
                f"cluster_seed: '{name}' is no setting; settings: {', '.join(known)}." + suggestion(name, known)
            )
    clusters = find_clusters(event, model.detector, len(cascades), **settings)
    if len(clusters.charge) == 0:
        raise ReconstructionError("the event has no cluster of light; nothing can be seeded.")
    seed = np.array(model.trafo.centre() if base is None else base, np.float64)
    for number, place in enumerate(cascades):
        k = number if number < len(clusters.charge) else 0
        energy = clusters.charge[k] / PER_GEV * (1.0 if k == number else 0.1)
        values = dict(zip("xyz", clusters.position[k], strict=True)) | {"time": clusters.time[k], "energy": energy}
        if np.isfinite(clusters.zenith):
            values |= {"zenith": clusters.zenith, "azimuth": clusters.azimuth}
        for role, value in values.items():
            seed[place[role]] = value
    return seed
