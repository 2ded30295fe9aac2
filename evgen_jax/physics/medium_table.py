"""Files of media: layers as a CSV table with scalars in comments, or as YAML; read with every number checked, and written."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evgen_jax.config.reader import read_yaml_file
from evgen_jax.errors import ConfigError, MediumError, shown, suggestion

LENGTHS = ("effective_scattering_length", "absorption_length")
"""Columns of the layers that a file must have, m."""
PLACES = ("z", "depth")
"""Columns of which a file of several layers must have one, m: upwards, or downwards from the surface."""
LONGEST = 1e5
"""Largest length, m: clearer than anything, shorter than a length in mm."""
FARTHEST = 1e5
"""Largest z and depth, m."""
EVEN = 1e-5
"""Relative difference of thicknesses up to which layers are an even grid themselves."""
UNEVEN = 1.5
"""Ratio of the thicknesses of layers from which the grid follows the thinnest one."""
MOST_POINTS = 4096
"""Largest number of points of the grid."""


class Scalar(NamedTuple):
    """Says what a scalar of a medium may be.

    Attributes:
      low: smallest value.
      high: largest value.
      meaning: in words, with the value of South Pole ice.
      needed: whether a file must have it.
    """

    low: float
    high: float
    meaning: str
    needed: bool = True


SCALARS = {
    "phase_index": Scalar(1.01, 3, "a refractive index; 1.3195 in South Pole ice"),
    "group_index": Scalar(1.01, 3, "a refractive index; 1.35634 in South Pole ice"),
    "asymmetry": Scalar(0, 0.9999, "the mean cosine of scattering at particles; 0.9 in South Pole ice"),
    "liu_fraction": Scalar(0, 1, "the share of simplified Liu scattering; 0.45 in South Pole ice"),
    "molecular_fraction": Scalar(0, 1, "the share of molecular scattering; 0 in South Pole ice", needed=False),
    "density": Scalar(0.1, 10, "relative to water; 0.9216 in South Pole ice"),
    "photons_per_gev": Scalar(1, 1e6, "photons of a shower; 12873 for IceCube's modules in South Pole ice"),
    "photons_per_metre": Scalar(1, 1e6, "photons of a bare muon; 2450.08 for IceCube's modules in South Pole ice"),
    "surface_z": Scalar(-FARTHEST, FARTHEST, "z of the surface in m; 1948.07 at the South Pole"),
    "mean_scattering_length": Scalar(1e-3, LONGEST, "a length in m", needed=False),
    "mean_absorption_length": Scalar(1e-3, LONGEST, "a length in m", needed=False),
}
"""Scalars of a medium by the names of their keys in a file."""


@dataclass(frozen=True)
class MediumTable:
    """Holds what a file of a medium says.

    Attributes:
      z: [N], of the layers, m, upwards; one or none for a homogeneous medium.
      lengths: [N, 2], effective scattering and absorption lengths, m.
      scalars: key of `SCALARS` -> value; those that are not needed may be missing.
      name: what the medium is called; None where the file does not say.
    """

    z: np.ndarray
    lengths: np.ndarray
    scalars: dict[str, float]
    name: str | None


def read_medium_table(path: Path) -> MediumTable:
    """Reads and checks a file of a medium.

    Args:
      path: of a CSV table with the columns effective_scattering_length, absorption_length and z or depth, and comments
        such as `# group_index: 1.356`; or of a YAML file (.yaml, .yml) with these keys, columns being lists or, in a
        homogeneous medium, numbers.

    Returns:
      The layers and the scalars.

    Raises:
      MediumError: a key or column that is missing or unknown, a number outside its range, or layers out of order.
    """
    if path.suffix in (".yaml", ".yml"):
        columns, scalars, name, places = _from_yaml(path)
    else:
        columns, scalars, name, places = _from_csv(path)
    for key, scalar in SCALARS.items():
        if scalar.needed and key not in scalars:
            given = ", ".join(scalars) or "none"
            raise MediumError(
                f"{path}: {key} is missing ({scalar.meaning}); given: {given}. Write a comment '# {key}: NUMBER' in a CSV "
                f"file, '{key}: NUMBER' in a YAML file."
            )
    for key, value in scalars.items():
        if not SCALARS[key].low <= value <= SCALARS[key].high:
            raise MediumError(
                f"{path}: {key} is {value:g}; expected {SCALARS[key].meaning}, from {SCALARS[key].low:g} to {SCALARS[key].high:g}."
            )
    if scalars["liu_fraction"] + scalars.get("molecular_fraction", 0) > 1:
        raise MediumError(
            f"{path}: liu_fraction {scalars['liu_fraction']:g} and molecular_fraction {scalars['molecular_fraction']:g} are more "
            "than 1; expected shares of all scattering."
        )
    return MediumTable(*_layers(path, columns, places, scalars["surface_z"]), scalars, name)


def write_medium_table(path: str | Path, table: MediumTable) -> None:
    """Writes a CSV table that `read_medium_table` reads back.

    Args:
      path: of the CSV file; an existing one is overwritten.
      table: what is written.
    """
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(f"# name: {table.name}\n")
        for key, value in table.scalars.items():
            file.write(f"# {key}: {value!r}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("z", *LENGTHS))
        writer.writerows(map(repr, (z, *row)) for z, row in zip(table.z.tolist(), table.lengths.tolist(), strict=True))


Found = tuple[dict[str, np.ndarray], dict[str, float], str | None, list[str]]
"""Columns, scalars, name, and of every row how a message names it."""


def _from_csv(path: Path) -> Found:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise MediumError(f"{path}: is no text file; expected a CSV table of layers.") from None
    kept = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if len(kept) < 2:
        raise MediumError(f"{path}: expected a header line and one line per layer, got {len(kept)} lines.")
    rows = list(csv.reader(line for _, line in kept))
    header, places = [column.strip() for column in rows[0]], [f"line {i}" for i, _ in kept[1:]]
    _check_columns(path, header)
    columns = {}
    for place, column in enumerate(header):
        if column not in (*PLACES, *LENGTHS):
            continue
        if header.count(column) > 1:
            raise MediumError(f"{path}: the column '{column}' is given {header.count(column)} times.")
        for where, row in zip(places, rows[1:], strict=True):
            given = repr(row[place]) if place < len(row) else f"{len(row)} columns instead of {len(header)}"
            if len(row) <= place or not _is_number(row[place]):
                raise MediumError(f"{path}: {where}: '{column}' must be a number, got {given}.")
        columns[column] = np.array([float(row[place]) for row in rows[1:]])
    scalars, name = _comments(path, [line for line in lines if line.lstrip().startswith("#")])
    return columns, scalars, name, places


def _comments(path: Path, comments: Sequence[str]) -> tuple[dict[str, float], str | None]:
    """Scalars and name of comments `# key: value`; other comments are free, unless they look like a key."""
    scalars: dict[str, float] = {}
    name = None
    for line in comments:
        found = re.fullmatch(r"#\s*([A-Za-z_]\w*)\s*:\s*(.*?)\s*", line.strip())
        if found is None:
            continue
        key, text = found.groups()
        if key == "name":
            name = text or None
        elif key in scalars:
            raise MediumError(f"{path}: '# {key}: {text}': is given twice.")
        elif key in SCALARS:
            if not _is_number(text):
                raise MediumError(f"{path}: '# {key}: {text}': expected a number, {SCALARS[key].meaning}.")
            scalars[key] = float(text)
        elif _is_number(text):
            raise MediumError(_unknown(path, key, ("name", *SCALARS)))
    return scalars, name


def _from_yaml(path: Path) -> Found:
    try:
        content = read_yaml_file(path)
    except ConfigError as error:
        raise MediumError(str(error)) from None
    known = ("name", *SCALARS, *PLACES, *LENGTHS)
    for key in content:
        if key not in known:
            raise MediumError(_unknown(path, key, known))
    _check_columns(path, list(content))
    columns, scalars = {}, {}
    for key, value in content.items():
        if key == "name":
            if not isinstance(value, str):
                raise MediumError(f"{path}: name: expected a text, got {shown(value)}.")
            continue
        numbers = value if key not in SCALARS and isinstance(value, list) else [value]
        if not numbers or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
            expected = "a number" if key in SCALARS else "a number or a list of numbers"
            raise MediumError(f"{path}: {key}: expected {expected}, got {shown(value)}.")
        if key in SCALARS:
            scalars[key] = float(value)
        else:
            columns[key] = np.array(numbers, np.float64)
    if len({len(column) for column in columns.values()}) > 1:
        counts = ", ".join(f"{key} {len(column)}" for key, column in columns.items())
        raise MediumError(f"{path}: expected one number per layer in every column, got {counts}.")
    return columns, scalars, content.get("name"), [f"layer {i + 1}" for i in range(len(columns[LENGTHS[0]]))]


def _check_columns(path: Path, given: Sequence[str]) -> None:
    for column in LENGTHS:
        if column not in given:
            raise MediumError(
                f"{path}: column '{column}' is missing; found {', '.join(given)}." + suggestion(column, given)
            )
    if all(place in given for place in PLACES):
        raise MediumError(f"{path}: has z and depth; expected one of them.")


def _unknown(path: Path, key: str, known: Sequence[str]) -> str:
    return f"{path}: the key '{key}' is unknown; known: {', '.join(known)}." + suggestion(key, known)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _layers(
    path: Path, columns: Mapping[str, np.ndarray], places: Sequence[str], surface_z: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns z [N], upwards, and lengths [N, 2], m."""
    for column in LENGTHS:
        good = (columns[column] > 0) & (columns[column] <= LONGEST)
        if not good.all():
            i = int(np.argmin(good))
            raise MediumError(
                f"{path}: {places[i]}: '{column}' is {columns[column][i]:g}; expected a length above 0 and up to "
                f"{LONGEST:g}, in m."
            )
    lengths = np.stack([columns[column] for column in LENGTHS], axis=1)
    place = next((name for name in PLACES if name in columns), None)
    if place is None:
        if len(lengths) > 1:
            raise MediumError(
                f"{path}: column 'z' or 'depth' is missing, which says where the {len(lengths)} layers are."
            )
        return np.zeros(1), lengths
    values = columns[place]
    good = np.abs(values) <= FARTHEST  # False for NaN
    if not good.all():
        i = int(np.argmin(good))
        raise MediumError(f"{path}: {places[i]}: '{place}' is {values[i]:g}; expected up to {FARTHEST:g}, in m.")
    z = values if place == "z" else surface_z - values
    if len(z) > 1:
        wrong = np.sign(np.diff(z)) != np.sign(z[1] - z[0]) if z[1] != z[0] else np.ones(len(z) - 1, bool)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise MediumError(
                f"{path}: {places[i + 1]}: layers out of order: '{place}' is {values[i + 1]:g} after {values[i]:g}; expected "
                f"values that only {'rise' if values[1] > values[0] else 'fall'}."
            )
    order = np.argsort(z)
    return z[order], lengths[order]


def grid_of(table: MediumTable) -> tuple[float, float, np.ndarray]:
    """Puts the coefficients of layers on an even grid.

    Args:
      table: N layers.

    Returns:
      z of the lowest point and the distance of points, m, and coefficients [Z, 2], 1 / m, from the lowest point
      upwards. Points are the layers where these are equally thick; else coefficients are interpolated linearly, at 2 N
      points where the layers are about equally thick.
    """
    if len(table.z) == 1:
        return float(table.z[0]), 1.0, 1 / table.lengths
    thickness, number = np.diff(table.z), len(table.z)
    if np.ptp(thickness) <= EVEN * thickness.min():
        return float(table.z[0]), float(np.ptp(table.z) / (number - 1)), 1 / table.lengths
    number *= 2
    if thickness.max() > UNEVEN * thickness.min():
        number = int(np.clip(2 * np.ptp(table.z) / thickness.min(), number, MOST_POINTS))
    points = np.linspace(table.z[0], table.z[-1], number)
    columns = [np.interp(points, table.z, 1 / table.lengths[:, i]) for i in range(2)]
    return float(points[0]), float(points[1] - points[0]), np.stack(columns, axis=1)
