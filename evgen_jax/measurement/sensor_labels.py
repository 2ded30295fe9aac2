"""Labels of sensors in modules of several photomultipliers."""

import numpy as np

STEP = 1000
"""Difference of the om numbers of neighbouring photomultipliers of a module."""


def sensor_label(module: np.ndarray, photomultiplier: np.ndarray) -> np.ndarray:
    """Numbers the sensors of a string: photomultiplier 0 has the number of its module.

    Args:
      module: [N], numbers of modules on their string, below 1000.
      photomultiplier: [N], numbers of photomultipliers in their module, from 0.

    Returns:
      om [N].
    """
    return module + STEP * photomultiplier
