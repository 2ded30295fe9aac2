"""Detector files of KM3NeT (.detx): photomultipliers of modules, with their axes and time offsets; versions 1 to 5."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np

from evgen_jax.errors import DetectorError

HEAD = re.compile(r"\s*-?\d+(\s+[vV]([2-5]))?\s*(\d+)?\s*")
"""First line that is no comment: number of the detector and version, or number of the detector and of its modules."""

LARGEST_NUMBER = 2**53
"""Bound of ids and counts: larger ones are no numbers of their own in float64."""


@dataclass(frozen=True)
class Detx:
    """Holds the D photomultipliers of a detector file.

    Attributes:
      identifier: number of the detector.
      module: [D], ids of the modules (dom_id).
      channel: [D], numbers of the photomultipliers in their modules, from 0.
      line: [D], numbers of the detection units.
      floor: [D], numbers of the modules on their units.
      number: [D], numbers of the photomultipliers in the detector (pmt_id).
      position: [D, 3], m.
      axis: [D, 3], directions into which they look.
      time_offset: [D], ns, to be added to the times of raw hits.
      usable: [D], False where the status says that a photomultiplier or its module takes no part.
    """

    identifier: int
    module: np.ndarray
    channel: np.ndarray
    line: np.ndarray
    floor: np.ndarray
    number: np.ndarray
    position: np.ndarray
    axis: np.ndarray
    time_offset: np.ndarray
    usable: np.ndarray


def is_detx(text: str) -> bool:
    """Returns whether a text begins as a detector file of KM3NeT does.

    Args:
      text: the first lines.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or not HEAD.fullmatch(lines[0]):
        return False
    return re.search(r"[vV][2-5]", lines[0]) is not None or (len(lines) > 1 and len(lines[1].split()) == 4)


def read_detx(path: str | Path) -> Detx:
    """Reads a detector file of KM3NeT.

    Args:
      path: of the file.

    Returns:
      Its photomultipliers; modules without any are left out.

    Raises:
      DetectorError: no such file, or one that is not as its version says; names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise DetectorError(f"{path}: no such file; expected a detector file of KM3NeT (.detx).")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DetectorError(
            f"{path}: is no text file; expected a detector file of KM3NeT (.detx), not .datx."
        ) from None
    lines = iter(
        [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    )
    place, first = _next(path, lines)
    found = HEAD.fullmatch(first)
    if found is None or not (found.group(2) or found.group(3)):
        raise DetectorError(
            f"{path}: line {place}: '{first.strip()[:40]}': expected the number of a detector and 'v2' to 'v5'."
        )
    version = int(found.group(2) or 1)
    if version > 1:
        for _ in range(2):  # validity and UTM reference point
            _next(path, lines)
        count = int(_numbers(path, *_next(path, lines), at_least=1, whole=[0])[0])
    else:
        count = int(first.split()[1])
    rows: list[list[float]] = []
    for _ in range(count):
        rows += _module(path, lines, version)
    if not rows:
        raise DetectorError(f"{path}: holds no photomultiplier.")
    values = np.array(rows, np.float64)
    module, channel, line, floor, number = values[:, :5].astype(np.int64).T
    where, axis, offset, usable = values[:, 5:8], values[:, 8:11], values[:, 11], values[:, 12] > 0
    return Detx(int(first.split()[0]), module, channel, line, floor, number, where, axis, offset, usable)


def _module(path: Path, lines: Iterator[tuple[int, str]], version: int) -> list[list[float]]:
    """Rows of the photomultipliers of one module: module, channel, line, floor, number, place, axis, offset, usable."""
    place, line = _next(path, lines)
    head = _numbers(path, place, line, at_least={4: 12, 5: 13}.get(version, 4), whole=[0, 1, 2, -1])
    module, unit, floor, count = head[0], head[1], head[2], int(head[-1])
    works = not (version == 5 and int(head[-2]) & 1)
    rows = []
    for channel in range(count):
        place, line = _next(path, lines)
        own = _numbers(path, place, line, at_least=8 if version < 3 else 9, whole=[0])
        usable = works and not (len(own) > 8 and int(own[8]) & 1)
        rows.append([module, channel, unit, floor, *own[:8], float(usable)])
    return rows


def _next(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[int, str]:
    found = next(lines, None)
    if found is None:
        raise DetectorError(f"{path}: ends before all its modules are there; it is cut off.")
    return found


def _numbers(path: Path, place: int, line: str, *, at_least: int, whole: Sequence[int]) -> list[float]:
    """The numbers of a line, those at some places whole."""
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        values = []
    good = len(values) >= at_least and all(map(isfinite, values))
    if not good or any(values[i] % 1 or abs(values[i]) >= LARGEST_NUMBER for i in whole):
        raise DetectorError(
            f"{path}: line {place}: '{line.strip()[:60]}': expected at least {at_least} numbers, whole ones where ids and "
            "counts stand."
        )
    return values
