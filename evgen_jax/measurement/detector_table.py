"""Detector tables: CSV files with one line per module, read with every column checked, and written."""

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.errors import DetectorError, suggestion
from evgen_jax.measurement.detector_comments import LabelRange, read_comments
from evgen_jax.measurement.site import Site
from evgen_jax.physics.diffusion import DOM_AREA

LOGGER = logging.getLogger("evgen_jax")
REQUIRED_COLUMNS = ("string", "om", "x", "y", "z")
"""Columns that a detector table must have: labels, and coordinates in m."""
OPTIONAL_COLUMNS = {"relative_efficiency": 1.0, "noise_rate": 0.0, "usable": 1.0}
"""Column that a detector table may have -> value where the table does not have it; noise rates are in 1/ns."""
AXIS_COLUMNS = ("axis_x", "axis_y", "axis_z")
"""Columns of the direction into which a sensor looks; a table has all of them or none."""
SENSOR_COLUMNS = {"axis_x": 0.0, "axis_y": 0.0, "axis_z": -1.0, "area": DOM_AREA}
"""Column of what differs from IceCube's modules, which look down -> value of these; areas are in m^2."""
KIND_COLUMN = "kind"
"""Column with the name of the angular curve of a sensor."""
WRITTEN_COLUMNS = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
"""Columns that every written table has, in this order."""
COLUMNS = (*WRITTEN_COLUMNS, *SENSOR_COLUMNS, KIND_COLUMN)
"""All columns of a detector table that are read."""
LARGEST_LABEL = 2**31 - 1
"""Largest string or om number."""
LARGEST_COORDINATE = 16384.0
"""Largest distance from the origin along one axis, m: up to here float32 holds a millimetre."""
LARGEST_NOISE_RATE = 1e-2
"""Largest noise rate, 1/ns (10 MHz): above every module's, below every rate that was given in Hz or kHz."""
LARGEST_EFFICIENCY = 1000.0
"""Largest relative efficiency of a module."""
AXIS_ROUNDING = 1e-6
"""Difference from 1 up to which the length of an axis is 1, rounded."""
LARGEST_AREA = 10.0
"""Largest area of a sensor, m^2: above every sensor's, below every area that was given in cm^2."""


@dataclass(frozen=True)
class DetectorTable:
    """Holds what a detector table says.

    Attributes:
      columns: name -> values [D], float64, for every column of numbers; coordinates as they stand in the file, axes
        of length 1. What is written may lack the columns of `SENSOR_COLUMNS`.
      name: what the detector is called; None where the file does not say.
      origin: x, y, z, m, to be subtracted from the coordinates.
      ignored: labels whose pulses are left out.
      kind: [D], names of the angular curves; None where the file has no such column.
      kinds: name of a kind -> form of its curve, as the file declares them.
      site: place on Earth and direction of the x axis; None where the file does not say.
    """

    columns: dict[str, np.ndarray]
    name: str | None
    origin: tuple[float, float, float]
    ignored: tuple[LabelRange, ...]
    kind: tuple[str, ...] | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    site: Site | None = None


def read_detector_table(path: Path) -> DetectorTable:
    """Reads and checks a CSV table of modules.

    Args:
      path: of a file with a header line that names at least the columns string, om, x, y and z (m).

    Returns:
      The columns and the comments that have a meaning.

    Raises:
      DetectorError: a missing or misspelt column, a value outside its range, or a DOM given twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DetectorError(f"{path}: is no text file; expected a CSV table of modules.") from None
    kept = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if len(kept) < 2:
        raise DetectorError(f"{path}: expected a header line and one line per DOM, got {len(kept)} lines.")
    rows = list(csv.reader(line for _, line in kept))
    if len(rows) != len(kept):
        raise DetectorError(f"{path}: a quotation mark is opened and not closed; modules need none.")
    header, numbers = [c.strip() for c in rows[0]], [i for i, _ in kept[1:]]
    values = _columns(path, header, rows[1:], numbers)
    kind = _kind(path, header, rows[1:], numbers)
    name, origin, ignored, kinds, site = read_comments(path, [line for line in lines if line.lstrip().startswith("#")])
    position = np.stack([values[c] for c in "xyz"], axis=1)
    origin = _origin(position) if origin is None else origin
    if np.abs(position - origin).max() >= LARGEST_COORDINATE:
        raise DetectorError(
            f"{path}: the modules span {np.ptp(position, axis=0).max():g} m, more than {2 * LARGEST_COORDINATE:g} m; "
            "expected coordinates in m. Are they in mm or cm?"
        )
    return DetectorTable(values, name, origin, ignored, kind, kinds, site)


def write_detector_table(path: str | Path, table: DetectorTable) -> None:
    """Writes a table that `read_detector_table` reads back.

    Args:
      path: of the CSV file; an existing one is overwritten.
      table: what is written.
    """
    whole = {"string", "om", "usable"}
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(f"# name: {table.name}\n")
        if any(table.origin):
            file.write("# origin: " + " ".join(map(repr, table.origin)) + "\n")
        if table.site is not None:
            file.write(f"# site: {table.site}\n")
        for a, b, c, d in table.ignored:
            file.write(f"# ignored: string {a}-{b}, om {c}-{d}\n")
        for kind, form in table.kinds.items():
            file.write(f"# kind {kind}: {form}\n")
        writer = csv.writer(file, lineterminator="\n")
        names = [*WRITTEN_COLUMNS, *(c for c in SENSOR_COLUMNS if c in table.columns)]
        columns = [map(int if c in whole else repr, np.asarray(table.columns[c]).tolist()) for c in names]
        kind_column = [] if table.kind is None else [table.kind]
        writer.writerow([*names, *(KIND_COLUMN for _ in kind_column)])
        writer.writerows(zip(*columns, *kind_column, strict=True))


def _columns(path: Path, header: list[str], rows: list[list[str]], numbers: list[int]) -> dict[str, np.ndarray]:
    """The columns as float64, checked; `numbers` are those of the lines of the file."""
    for column in REQUIRED_COLUMNS:
        if column not in header:
            raise DetectorError(
                f"{path}: column '{column}' is missing; found {', '.join(header)}." + suggestion(column, header)
            )
    for column in header:
        if header.count(column) > 1:
            raise DetectorError(f"{path}: the column '{column}' is given {header.count(column)} times.")
        meant = suggestion(column, (*OPTIONAL_COLUMNS, *SENSOR_COLUMNS, KIND_COLUMN))
        if column not in COLUMNS and meant:
            raise DetectorError(f"{path}: the column '{column}' is unknown; known: {', '.join(COLUMNS)}.{meant}")
    lacking = [column for column in AXIS_COLUMNS if column not in header]
    if 0 < len(lacking) < len(AXIS_COLUMNS):
        raise DetectorError(
            f"{path}: column '{lacking[0]}' is missing; expected {', '.join(AXIS_COLUMNS)}, or none of them for modules "
            "that look down."
        )
    values: dict[str, np.ndarray] = {}
    for column in (*WRITTEN_COLUMNS, *SENSOR_COLUMNS):
        if column not in header:
            values[column] = np.full(len(rows), (OPTIONAL_COLUMNS | SENSOR_COLUMNS)[column])
            continue
        place = header.index(column)
        try:
            values[column] = np.array([float(row[place]) for row in rows])
        except (ValueError, IndexError):
            line, row = next((n, r) for n, r in zip(numbers, rows, strict=True) if not _is_number(r, place))
            given = repr(row[place]) if place < len(row) else f"{len(row)} columns instead of {len(header)}"
            raise DetectorError(f"{path}: line {line}: '{column}' must be a number, got {given}.") from None
        good, expected = _valid(column, values[column])
        if not good.all():
            i = int(np.argmin(good))
            raise DetectorError(f"{path}: line {numbers[i]}: '{column}' is {rows[i][place]}; expected {expected}.")
    _normalise_axes(path, values, numbers)
    _check_modules(path, values)
    return values


def make_table(
    path: Path, columns: Mapping[str, np.ndarray], name: str, ignored: tuple[LabelRange, ...] = (), **kinds: Any
) -> DetectorTable:
    """Makes a detector table of the columns of another format, checked as those of a CSV table.

    Args:
      path: of the file they come from, for messages.
      columns: string, om, x, y, z and any other of `COLUMNS` but kind, values [D].
      name: of the detector.
      ignored: labels whose pulses are left out.
      **kinds: `kind` and `kinds` of `DetectorTable`.

    Returns:
      The table, with every column.

    Raises:
      DetectorError: a value outside its range, or a sensor given twice.
    """
    count = len(columns["string"])
    if not count:
        raise DetectorError(f"{path}: holds no module.")
    values = {}
    for column in (*WRITTEN_COLUMNS, *SENSOR_COLUMNS):
        default = (OPTIONAL_COLUMNS | SENSOR_COLUMNS).get(column)
        values[column] = np.asarray(columns.get(column, np.full(count, default)), np.float64)
        good, expected = _valid(column, values[column])
        if not good.all():
            i = int(np.argmin(good))
            raise DetectorError(f"{path}: module {i + 1}: '{column}' is {values[column][i]:g}; expected {expected}.")
    _normalise_axes(path, values, range(1, count + 1))
    _check_modules(path, values)
    origin = _origin(np.stack([values[c] for c in "xyz"], axis=1))
    return DetectorTable(values, name, origin, ignored, **kinds)


def _check_modules(path: Path, values: Mapping[str, np.ndarray]) -> None:
    """Checks that every module is given once, not all at one point, and that one of them takes part."""
    count = len(values["string"])
    labels = np.stack([values["string"], values["om"]], axis=1).astype(np.int64)
    unique, counts = np.unique(labels, axis=0, return_counts=True)
    if counts.max() > 1:
        string, om = unique[np.argmax(counts)]
        raise DetectorError(f"{path}: DOM (string {string}, om {om}) is given {counts.max()} times.")
    if not np.any(values["usable"]):
        raise DetectorError(f"{path}: 'usable' is 0 for all {count} modules; expected 1 for those that take part.")
    places = np.stack([values[axis] for axis in "xyz"], axis=1)
    if count > 1 and np.all(places == places[0]):
        raise DetectorError(f"{path}: all {count} modules are at one point ({', '.join(f'{v:g}' for v in places[0])}).")
    seen = np.column_stack([places, *(values[axis] for axis in AXIS_COLUMNS)])
    _, first, twin, counts = np.unique(seen, axis=0, return_index=True, return_inverse=True, return_counts=True)
    if counts.max() > 1:
        worst = int(np.argmax(counts))
        a, b = np.flatnonzero(twin.ravel() == worst)[:2]
        LOGGER.warning(
            "%s: (string %d, om %d) and (string %d, om %d) are at one point and look the same way, as %d sensors do with another one. Is a "
            "module listed twice? Photomultipliers of one module need axis_x, axis_y and axis_z.",
            path,
            *labels[a],
            *labels[b],
            int(count - len(first)),
        )


def _normalise_axes(path: Path, values: dict[str, np.ndarray], numbers: Sequence[int]) -> None:
    """Makes axes of length 1; those that are it to float32 stay as they are, so that a written table is read back."""
    axis = np.stack([values[column] for column in AXIS_COLUMNS], axis=1)
    length = np.linalg.norm(axis, axis=1)
    if not length.all():
        i = int(np.argmin(length))
        raise DetectorError(f"{path}: line {numbers[i]}: the axis (0, 0, 0) has no length; expected a direction.")
    axis = np.where(np.abs(length - 1)[:, None] < AXIS_ROUNDING, axis, axis / length[:, None])
    values.update(zip(AXIS_COLUMNS, axis.T, strict=True))


def _kind(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]
) -> tuple[str, ...] | None:
    """Names of the kinds of sensors; None without such a column."""
    if KIND_COLUMN not in header:
        return None
    place = header.index(KIND_COLUMN)
    names = tuple(row[place].strip() if place < len(row) else "" for row in rows)
    if "" in names:
        raise DetectorError(
            f"{path}: line {numbers[names.index('')]}: 'kind' is empty; expected the name of a kind of sensor."
        )
    return names


def _is_number(row: Sequence[str], place: int) -> bool:
    try:
        float(row[place])
    except (ValueError, IndexError):
        return False
    return True


def _valid(column: str, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Which values of a column are possible, and what is expected there."""
    if column in ("string", "om"):
        whole = (values >= 0) & (values <= LARGEST_LABEL) & (values == np.floor(values))
        return (
            whole,
            f"a whole number from 0 to {LARGEST_LABEL} (give modules of larger numbers smaller ones, here and in the files)",
        )
    if column == "usable":
        return (values == 0) | (values == 1), "0 or 1"
    if column == "noise_rate":
        return (values >= 0) & (values <= LARGEST_NOISE_RATE), (
            f"a rate from 0 to {LARGEST_NOISE_RATE:g} per ns; 500 Hz are 5e-7 per ns"
        )
    if column == "relative_efficiency":
        return (values >= 0) & (values <= LARGEST_EFFICIENCY), f"a number from 0 to {LARGEST_EFFICIENCY:g}"
    if column == "area":
        return (values > 0) & (values <= LARGEST_AREA), (
            f"an area above 0 and up to {LARGEST_AREA:g} m^2; {SENSOR_COLUMNS['area']:g} is that of IceCube's modules"
        )
    if column in AXIS_COLUMNS:
        return np.abs(values) <= LARGEST_COORDINATE, "a component of a direction"
    return np.isfinite(values), "a finite number, in m"


def _origin(position: np.ndarray) -> tuple[float, float, float]:
    """Of each coordinate its middle, rounded to km, where float32 would not hold it to a millimetre; else 0."""
    middle = np.round((position.min(axis=0) + position.max(axis=0)) / 2, -3)
    x, y, z = np.where(np.abs(position).max(axis=0) >= LARGEST_COORDINATE, middle, 0.0).tolist()
    return x, y, z
