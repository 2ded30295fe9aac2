"""Files of light tables: plain arrays of NumPy, without pickles; the embedded ones by name."""

import zipfile
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from evgen_jax.errors import DataError, suggestion
from evgen_jax.files import replaced
from evgen_jax.physics.transport.light_table import SURFACES, LightTable
from evgen_jax.physics.transport.surface import Grid

EMBEDDED = ("shower_ice", "muon_ice", "shower_water", "muon_water")
"""Names of the embedded tables: a shower or a bare muon, in South Pole ice or Mediterranean sea water."""
_NUMBERS = (
    "first_distance",
    "last_distance",
    "distances",
    "cosines",
    "centre",
    "width",
    "closer",
    "absorption",
    "decay",
)


def save_table(path: Path, table: LightTable, made: str) -> None:
    """Writes a light table as an .npz file.

    Args:
      path: of the file, whose name ends with .npz.
      table: to be written.
      made: what the table describes and how it was made: source, medium, command, seed, number of photons.

    Raises:
      OSError: the file cannot be written; names it.
    """
    grid = asdict(table.grid)
    first, last = grid.pop("distance")
    numbers = grid | {
        "first_distance": first, "last_distance": last, "absorption": table.absorption, "decay": table.decay
    }  # fmt: skip
    arrays = {name: np.array(numbers[name], np.float64) for name in _NUMBERS}
    arrays |= {"coefficients": np.asarray(table.coefficients, np.float32), "made": np.array(made)}
    with replaced(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load_table(name: str | Path) -> LightTable:
    """Reads a light table.

    Args:
      name: of an embedded table (shower_ice, muon_ice, shower_water, muon_water) or the path of an .npz file.

    Returns:
      The table, float32.

    Raises:
      DataError: no table has this name, or the file is no light table.
    """
    return _read(name)[0]


def table_origin(name: str | Path) -> str:
    """Reads what a light table describes and how it was made.

    Args:
      name: of an embedded table (shower_ice, muon_ice, shower_water, muon_water) or the path of an .npz file.

    Returns:
      Source, medium, command, seed and number of photons, one line.

    Raises:
      DataError: no table has this name, or the file is no light table.
    """
    return _read(name)[1]


def _read(name: str | Path) -> tuple[LightTable, str]:
    """Reads and checks a light table and how it was made."""
    if str(name) in EMBEDDED:
        path = Path(str(resources.files("evgen_jax") / "tables" / f"light_{name}.npz"))
    elif str(name).endswith(".npz"):
        path = Path(name)
    else:
        hint = suggestion(str(name), EMBEDDED)
        raise DataError(f"'{name}' is no light table. Give one of {', '.join(EMBEDDED)} or an .npz file.{hint}")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. experiments/photon_tables.py makes light tables.")
    try:
        with np.load(path, allow_pickle=False) as file:
            numbers = {key: float(file[key]) for key in _NUMBERS}
            coefficients, made = np.asarray(file["coefficients"], np.float32), str(file["made"])
    except (KeyError, ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: is no light table ({error}). experiments/photon_tables.py makes light tables."
        ) from error
    grid = Grid(
        (numbers["first_distance"], numbers["last_distance"]), int(numbers["distances"]), int(numbers["cosines"]),
        numbers["centre"], numbers["width"], numbers["closer"],
    )  # fmt: skip
    if coefficients.shape != (*grid.shape, SURFACES) or not np.all(np.isfinite(coefficients)):
        expected = (*grid.shape, SURFACES)
        raise DataError(
            f"{path}: coefficients have the shape {coefficients.shape}; finite ones of {expected} are expected. "
            "experiments/photon_tables.py makes light tables."
        )
    return LightTable(jnp.asarray(coefficients), grid, numbers["absorption"], numbers["decay"]), made
