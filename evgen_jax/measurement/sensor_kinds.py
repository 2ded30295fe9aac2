"""Kinds of sensors that a detector table names, and their angular curves."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evgen_jax.errors import DetectorError, suggestion
from evgen_jax.measurement.detector_table import DetectorTable
from evgen_jax.physics.angular_curves import ICECUBE, NAMED, Curve, named_curve
from evgen_jax.physics.curve_forms import read_curve

LOGGER = logging.getLogger("evgen_jax")


def curves_of(table: DetectorTable, given: Mapping[str, str], path: Path) -> tuple[np.ndarray, tuple[Curve, ...]]:
    """Finds the angular curves of the sensors of a table.

    Args:
      table: what the table says.
      given: kind of sensor -> form of its curve, beside those that the table declares and instead of them.
      path: of the table, in whose folder files of curves lie.

    Returns:
      Place of every sensor's curve [D], and the curves that occur.

    Raises:
      DetectorError: a kind without a curve, a kind that has the name of a known curve, or a curve that cannot be read.
    """
    names = table.kind or (ICECUBE,) * len(table.columns["string"])
    where = {name: (table.kinds[name], path.parent, f"{path}: kind {name}") for name in table.kinds}
    where |= {name: (form, Path(), f"detector_settings.kinds.{name}") for name, form in given.items()}
    for name, (_, _, place) in where.items():
        if name in NAMED:
            raise DetectorError(f"{place}: '{name}' is the name of a known curve; give the kind another name.")
        if name not in names:
            LOGGER.warning("%s: the kind '%s' is declared, but no sensor of %s is of it.", place, name, path)
    curves: dict[str, Curve] = {}
    for name in dict.fromkeys(names):
        if name in where:
            form, folder, place = where[name]
            curves[name] = read_curve(name, form, folder, place)
        elif name in NAMED:
            curves[name] = named_curve(name)
        else:
            raise DetectorError(
                f"{path}: the kind '{name}' has no angular curve. Declare it, '# kind {name}: table {name}.csv', or in "
                f"detector_settings.kinds; known: {', '.join((*where, *NAMED))}." + suggestion(name, (*where, *NAMED))
            )
    places = {name: i for i, name in enumerate(curves)}
    return np.array([places[name] for name in names], np.int32), tuple(curves.values())
