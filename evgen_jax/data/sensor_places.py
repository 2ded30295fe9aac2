"""Check whether the sensors of pulses stand where the detector's table says, in files that tell their places."""

import numpy as np

from evgen_jax.data.protocol import Tables
from evgen_jax.errors import DataError
from evgen_jax.measurement.detector import Detector

TOLERANCE = 1.0
"""Largest distance, m, of a sensor from its place in the detector's table, before another detector is meant."""


def check_places(file: Tables, table: str, rows: np.ndarray, dom: np.ndarray, detector: Detector) -> bool:
    """Checks the columns x, y and z of pulses, where there are any.

    Args:
      file: that holds the table.
      table: its name.
      rows: of the table [P].
      dom: [P], places of the sensors in the detector's tables.
      detector: to which the file is said to belong.

    Returns:
      Whether the file tells the places of its sensors.

    Raises:
      DataError: a sensor stands elsewhere.
    """
    if not {"x", "y", "z"} <= set(rows.dtype.names or ()):
        return False
    own, first = np.unique(dom, return_index=True)
    there = np.stack([rows[axis][first].astype(np.float64) for axis in "xyz"], axis=1)
    here = np.asarray(detector.position, np.float64)[own] + np.asarray(detector.origin)
    shift = there - here
    far = np.linalg.norm(shift, axis=1)
    if not np.any(far > TOLERANCE):
        return len(own) > 0
    worst, middle = int(np.argmax(far)), np.median(shift, axis=0)
    shifted = np.all(np.linalg.norm(shift - middle, axis=1) < TOLERANCE)
    row = rows[first[worst]]
    raise DataError(
        f"{file.path}: table '{table}': the sensor (string {row['string']}, om {row['om']}) is at {_place(there[worst])} m, in the "
        f"detector '{detector.name}' at {_place(here[worst])} m. "
        + (
            f"All {len(own)} sensors are shifted by {_place(middle)} m: file and detector count from different origins. Make the "
            "detector's table from the geometry that belongs to the file."
            if shifted and len(own) > 1
            else "The file is of another detector, or its coordinates are in another unit. Give its detector in "
            "detector_settings.geometry (evgen-jax detector makes tables)."
        )
    )


def _place(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"
