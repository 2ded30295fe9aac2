"""Kinds of sensors that a detector table names, and their angular curves."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from evgen_jax.errors import DetectorError, suggestion
from evgen_jax.measurement.detector_table import AXIS_COLUMNS, SENSOR_COLUMNS, DetectorTable
from evgen_jax.physics.angular_curves import ICECUBE, NAMED, Curve, is_named, named_curve
from evgen_jax.physics.curve_forms import read_curve
from evgen_jax.physics.media import load_medium

LOGGER = logging.getLogger("evgen_jax")


def defaults(shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """Returns what stands for sensors that look down, of IceCube's kind, in South Pole ice.

    Args:
      shape: of the tables of sensors, (D,).

    Returns:
      Name of an attribute of a detector -> function that makes its value.
    """
    down = np.array([SENSOR_COLUMNS[column] for column in AXIS_COLUMNS], np.float32)
    return {
        "axis": lambda: np.broadcast_to(down, (*shape, 3)).copy(),
        "area": lambda: np.full(shape, SENSOR_COLUMNS["area"], np.float32),
        "kind": lambda: np.zeros(shape, np.int32),
        "kinds": lambda: (named_curve(ICECUBE),),
        "medium": load_medium,
    }


def are_default(kinds: Sequence[Curve]) -> bool:
    """Whether all sensors are of the kind of IceCube's modules.

    Args:
      kinds: angular curves of a detector, of concrete numbers.

    Returns:
      False where another curve occurs, or other numbers under the name of the default.
    """
    return all(curve.name == ICECUBE and is_named(curve) for curve in kinds)


def written(kinds: Sequence[Curve], kind: np.ndarray) -> tuple[tuple[str, ...], dict[str, str]]:
    """Says kinds of sensors in the words of a detector table.

    Args:
      kinds: angular curves, of concrete numbers.
      kind: [D], place of every sensor's curve in `kinds`.

    Returns:
      Names [D] of the kinds, and name -> form of the curves that a table must declare.
    """
    names = [curve.name if is_named(curve) else f"own-{curve.name}" for curve in kinds]
    forms = {name: own.words() for name, own in zip(names, kinds, strict=True) if name not in NAMED}
    return tuple(names[i] for i in np.asarray(kind).tolist()), forms


def numbers_of(kinds: Sequence[Curve]) -> list[np.ndarray]:
    """Lists the numbers of angular curves for a checksum.

    Args:
      kinds: angular curves, of concrete numbers.

    Returns:
      Arrays in float32.
    """
    return [np.asarray(leaf, np.float32) for curve in kinds for leaf in jax.tree.leaves(curve)]


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
