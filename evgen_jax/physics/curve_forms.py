"""Forms by which a detector table or a configuration declares the angular curve of a kind of sensor."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from evgen_jax.errors import DetectorError, suggestion
from evgen_jax.physics.angular_curves import (
    GRID,
    NAMED,
    Curve,
    named_curve,
    polynomial_curve,
    sampled_curve,
    unified_curve,
)

FORMS = ("polynomial", "unified", "cosine", "sampled", "table")
"""First words of the forms by which a detector table declares a kind of sensor."""


def read_curve(name: str, form: str, folder: Path, where: str) -> Curve:
    """Makes the curve of a kind of sensor from its form.

    Args:
      name: of the kind.
      form: one of `NAMED`; or 'polynomial A0 A1 ...', 'unified P0 P1', 'cosine N' (the N-th power of the cosine, 0 for
        light from behind), 'table FILE' (CSV: cosine, relative acceptance), 'sampled V0 V1 ...' (at even cosines from
        -1 to 1).
      folder: in which FILE lies.
      where: file and key, for messages.

    Returns:
      The curve.

    Raises:
      DetectorError: an unknown form, wrong numbers, or a file that cannot be read.
    """
    word, _, rest = form.strip().partition(" ")
    if form.strip() in NAMED:
        return named_curve(form.strip()).replace(name=name)
    if word not in FORMS:
        known = (*NAMED, *FORMS)
        raise DetectorError(
            f"{where}: '{form.strip()}' is no angular curve; expected one of {', '.join(NAMED)}, or 'polynomial A0 A1 ...', "
            "'unified P0 P1', 'cosine N', 'table FILE'." + suggestion(word, known)
        )
    if word == "table":
        return sampled_curve(name, _read_table(Path(rest.strip()), folder, where))
    try:
        numbers = np.array([float(text) for text in rest.replace(",", " ").split()])
    except ValueError:
        numbers = np.full(1, np.nan)
    expected, good = _CHECKS[word]
    if not np.all(np.isfinite(numbers)) or not good(numbers):
        shown = form if len(form) < 80 else f"{form[:77]}..."
        raise DetectorError(f"{where}: '{shown}': expected {expected}.")
    if word == "polynomial":
        return polynomial_curve(name, numbers)
    if word == "unified":
        return unified_curve(name, float(numbers[0]), float(numbers[1]))
    if word == "cosine":
        return sampled_curve(name, np.maximum(GRID, 0) ** numbers[0])
    return sampled_curve(name, numbers)


def _light_from_somewhere(numbers: np.ndarray) -> bool:
    return len(numbers) > 0 and bool(np.polynomial.polynomial.polyval(GRID, numbers).max() > 0)


_CHECKS: dict[str, tuple[str, Callable[[np.ndarray], bool]]] = {
    "polynomial": ("'polynomial A0 A1 ...' with coefficients that are positive somewhere", _light_from_somewhere),
    "unified": ("'unified P0 P1' with numbers from -2 to 2", lambda n: len(n) == 2 and bool(np.abs(n).max() <= 2)),
    "cosine": ("'cosine N' with a power from 0.5 to 100", lambda n: len(n) == 1 and 0.5 <= n[0] <= 100),
    "sampled": (
        "'sampled V0 V1 ...' with four numbers or more >= 0, one above 0",
        lambda n: len(n) >= 4 and bool(n.min() >= 0) and bool(n.max() > 0),
    ),
}


def _read_table(path: Path, folder: Path, where: str) -> np.ndarray:
    """Values [SAMPLES] of the interpolating cubic spline through a CSV table, 0 where it is negative."""
    path = path if path.is_absolute() else folder / path
    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise DetectorError(f"{where}: {path}: no such table of an angular curve." + suggestion(path.name, beside))
    rows: list[list[float]] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DetectorError(
            f"{path}: is no text file; expected a CSV table of cosine and relative acceptance."
        ) from None
    for number, row in enumerate(csv.reader(lines), 1):
        if not row or row[0].lstrip().startswith("#"):
            continue
        try:
            cosine, value = (float(text) for text in row)
        except ValueError:
            if not rows and not any(_starts_like_a_number(text) for text in row):
                continue  # the header line
            raise DetectorError(
                f"{path}: line {number}: expected two numbers, cosine and relative acceptance, got {','.join(row)}."
            ) from None
        if not (-1 <= cosine <= 1 and 0 <= value < np.inf) or (rows and cosine <= rows[-1][0]):
            raise DetectorError(
                f"{path}: line {number}: expected cosines that rise from -1 to 1 and acceptances >= 0, got {','.join(row)}."
            )
        rows.append([cosine, value])
    table = np.array(rows)
    if len(table) < 4 or table[0, 0] > -1 or table[-1, 0] < 1 or table[:, 1].max() <= 0:
        raise DetectorError(
            f"{path}: expected four lines or more with cosines from -1 to 1, and an acceptance above 0; got {len(table)} lines."
        )
    return np.asarray(CubicSpline(*table.T)(GRID))


def _starts_like_a_number(text: str) -> bool:
    return text.strip()[:1] in tuple("+-.0123456789")
