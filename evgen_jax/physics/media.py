"""Media by name or from a file: `load_medium`, the default one, and what a user is told of them."""

import logging
import os
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np

from evgen_jax.errors import MediumError, shown, suggestion
from evgen_jax.physics.medium import Medium, fingerprint
from evgen_jax.physics.medium_table import SCALARS, MediumTable, grid_of, read_medium_table, write_medium_table
from evgen_jax.physics.transport.scattering import KINDS, nearest_scattering

LOGGER = logging.getLogger("evgen_jax")
KNOWN = ("south_pole", "mediterranean_water")
"""Names of the media whose files are part of the package; the first one is the default."""
SAME_MEAN_COSINE = 0.005
"""Difference in the mean cosine of scattering up to which a light table is one of the medium itself."""


def load_medium(medium: str | Path | Medium | None = None) -> Medium:
    """Loads a medium by its name or from a file.

    Args:
      medium: 'south_pole' (the default) or 'mediterranean_water'; or the path of a CSV table or a YAML file of layers,
        see `read_medium_table`; or a medium, which is returned.

    Returns:
      The medium, of NumPy arrays in float64.

    Raises:
      MediumError: no such name or file, or a file that says something impossible.

    Example:
      `eg.load_detector("arca.csv", medium=eg.load_medium("mediterranean_water"))`
    """
    if isinstance(medium, Medium):
        return medium
    if medium is None:
        return _known(KNOWN[0])
    if not isinstance(medium, str | os.PathLike):
        raise MediumError(f"expected the name or the path of a medium, got {shown(medium)}. Known: {', '.join(KNOWN)}.")
    if str(medium) in KNOWN:
        return _known(str(medium))
    path = Path(medium)
    if not path.is_file():
        raise MediumError(
            f"{path}: no such medium. Give {' or '.join(KNOWN)}, or a CSV or YAML file." + suggestion(path.name, KNOWN)
        )
    table = read_medium_table(path)
    return _from_table(table, table.name or path.stem)


@cache
def _known(name: str) -> Medium:
    with resources.as_file(resources.files("evgen_jax") / "tables" / f"{name}.csv") as path:
        return _from_table(read_medium_table(path), name)


@lru_cache(maxsize=1)
def _default_fingerprint() -> str:
    return fingerprint(load_medium())


def is_default(medium: Medium) -> bool:
    """Whether a medium has the numbers of the default one.

    Args:
      medium: of concrete numbers.

    Returns:
      True for South Pole ice, whatever it is called.
    """
    return fingerprint(medium) == _default_fingerprint()


def tell_medium(medium: Medium, detector: str, z: np.ndarray) -> None:
    """Tells in the log, once, which medium a detector is in, and what does not fit it.

    That is a light table for another way of scattering, and sensors outside of the layers.

    Args:
      medium: of concrete numbers.
      detector: name of the detector.
      z: [D], of its sensors, m, in the coordinates of the detector's table.
    """
    _say_once(logging.INFO, f"detector '{detector}': its medium is {medium.name}.")
    tabled = KINDS[medium.light]
    if abs(float(medium.mean_cosine) - tabled.mean_cosine) > SAME_MEAN_COSINE:
        _say_once(
            logging.WARNING,
            f"detector '{detector}': light in {medium.name}, whose mean cosine of scattering is {medium.mean_cosine:.3f}, is that of the "
            f"tables for {medium.light} (asymmetry {tabled.asymmetry:g}, liu_fraction {tabled.liu:g}, molecular_fraction "
            f"{tabled.molecular:g}: {tabled.mean_cosine:.3f}), the nearest there are. After few scatterings the two differ: events "
            "with simulation_settings.light: photons show by how much.",
        )
    if medium.is_homogeneous:
        return
    low = float(medium.first_z) - float(medium.step) / 2
    high = low + float(medium.step) * medium.scattering.shape[0]
    if outside := int(np.sum((z < low) | (z > high))):
        _say_once(
            logging.WARNING,
            f"detector '{detector}': {outside} of {len(z)} modules are outside the layers of {medium.name}, z from {low:.5g} "
            f"to {high:.5g} m; the first and the last layer are extended. Is detector_settings.medium right?",
        )


@lru_cache(maxsize=64)
def _say_once(level: int, text: str) -> None:
    LOGGER.log(level, "%s", text)


def save_medium(medium: Medium, path: str | Path) -> None:
    """Writes a medium as a CSV table that `load_medium` reads: the points of its grid are the layers.

    Args:
      medium: of concrete numbers.
      path: of the CSV file; an existing one is overwritten.
    """
    medium = jax.tree.map(lambda value: np.asarray(value, np.float64), medium)
    z = np.asarray(medium.first_z + medium.step * np.arange(medium.scattering.shape[0]))
    scalars = {name: float(getattr(medium, name)) for name in SCALARS}
    lengths = 1 / np.stack([medium.scattering, medium.absorption], axis=1)
    write_medium_table(path, MediumTable(z, lengths, scalars, medium.name))


def _from_table(table: MediumTable, name: str) -> Medium:
    first_z, step, values = grid_of(table)
    means = dict(zip(("mean_scattering_length", "mean_absorption_length"), 1 / values.mean(axis=0), strict=True))
    numbers: dict[str, Any] = {"scattering": values[:, 0], "absorption": values[:, 1], "first_z": first_z, "step": step}
    arrays: dict[str, Any] = {
        key: np.asarray(value, np.float64)
        for key, value in (numbers | means | {"molecular_fraction": 0.0} | table.scalars).items()
    }
    medium = Medium(**arrays, name=name)
    return medium.replace(light=nearest_scattering(float(medium.mean_cosine)))
