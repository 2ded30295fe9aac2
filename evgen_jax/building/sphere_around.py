"""Whether the sphere that tracks enter surrounds the detector."""

import numpy as np

from evgen_jax.light.source import Source
from evgen_jax.light.tree import settings_of
from evgen_jax.measurement.detector import Detector


def sphere_doubt(source: Source, detector: Detector) -> str | None:
    """Finds out whether tracks that enter the sphere of a source can be expected to cross the detector.

    Entry points lie on a sphere around the origin from which the detector's places are counted. Where that origin is not
    within the detector, most tracks pass it by; modules beyond the sphere see no track before it has entered.

    Args:
      source: the whole of a model.
      detector: whose modules the sphere should surround.

    Returns:
      One line with the remedy; None where all is well, or where the model has no such tracks.
    """
    radii = settings_of(source, "sphere_radius")
    if not radii:
        return None
    radius, position = float(min(radii)), np.asarray(detector.position, np.float64)
    low, high = position.min(axis=0), position.max(axis=0)
    middle, half = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    count = f"({', '.join(f'{value:g}' for value in detector.origin)}) m"
    if np.linalg.norm(middle) > max(half, 1.0):
        there = " ".join(f"{value:.0f}" for value in middle + np.asarray(detector.origin))
        return (
            f"sphere_radius: tracks enter a sphere of {radius:g} m around {count}, but the middle of '{detector.name}' is "
            f"{np.linalg.norm(middle):.0f} m from there, with modules up to {half:.0f} m around it: most tracks pass it by. Write "
            f"the line '# origin: {there}' at the top of the detector's table: places are counted from there then, the sphere is "
            "around it, and files keep their coordinates."
        )
    outside = int(np.sum(np.linalg.norm(position, axis=1) > radius))
    if outside:
        return (
            f"sphere_radius: {outside} of {len(position)} modules of '{detector.name}' lie outside of the sphere of {radius:g} m "
            f"around {count} that tracks enter; the farthest is {np.linalg.norm(position, axis=1).max():.0f} m from there. Give a "
            "larger sphere_radius."
        )
    return None
