"""The detector: where the optical modules (DOMs) are and how they respond; any geometry, read from a CSV table."""

import hashlib
import logging
import os
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from evgen_jax.errors import DetectorError, shown
from evgen_jax.measurement.detector_table import DetectorTable, LabelRange, read_detector_table, write_detector_table

LOGGER = logging.getLogger("evgen_jax")
EMBEDDED = "icecube86"
"""Name of the detector table that is part of the package."""
EMBEDDED_FINGERPRINT = "f57f89a84b1ecc90a1f0f4fcb4ddd611d8eccbe09641dd66af015be58791d3a1"
"""Checksum (`fingerprint`) of the embedded detector."""
ICETOP = LabelRange(1, 86, 61, 66)
"""Labels of IceCube's surface modules, whose pulses may stand in one table with pulses of the in-ice array."""
SMALL_TABLE = 1 << 22
"""Range of labels up to which they are looked up in a table of all numbers; wider ranges are searched for in lists."""


class Detector(struct.PyTreeNode):
    """Describes the modules of a detector by tables; every array has the DOM axis D first.

    Attributes:
      position: [D, 3], m, detector coordinates relative to `origin`, z up.
      relative_efficiency: [D], 1 for a standard module.
      noise_rate: [D], 1/ns.
      string: [D], first label, as the experiment numbers strings.
      om: [D], second label, as the experiment numbers the modules of a string.
      usable: [D], False for modules that never give data: they take no part in any event.
      name: what the table is called.
      origin: x, y, z in m that were subtracted from the table's coordinates, 0 unless those are too large for float32
        (such as eastings and northings). Hypotheses are relative to it, and so are ranges, bounds and priors of a
        configuration; labels, seeds and fits in files have the table's coordinates.
      ignored: labels of modules that belong to the experiment but not to this array, such as IceTop's; their pulses are
        left out and counted. Any other label that is not in the table is an error.
      extent: [2, 3], m, box of the whole array where this is a part of one; None: the box of `position`.
    """

    position: Array
    relative_efficiency: Array
    noise_rate: Array
    string: Array
    om: Array
    usable: Array
    name: str = struct.field(pytree_node=False, default="detector")
    origin: tuple[float, float, float] = struct.field(pytree_node=False, default=(0.0, 0.0, 0.0))
    ignored: tuple[LabelRange, ...] = struct.field(pytree_node=False, default=())
    extent: Array | None = None

    @property
    def num_doms(self) -> int:
        """Returns the number D of modules."""
        return self.position.shape[0]

    @property
    def box(self) -> Array:
        """Returns the lowest and the highest coordinates of the array [2, 3], m."""
        if self.extent is not None:
            return self.extent
        return jnp.stack([jnp.min(self.position, axis=0), jnp.max(self.position, axis=0)])

    def dom_index(self, string: np.ndarray, om: np.ndarray) -> np.ndarray:
        """Finds the places of modules in the detector's tables by their labels; runs on the host.

        Args:
          string: first labels [P].
          om: second labels [P].

        Returns:
          Places [P], int; -1 for labels that are not in the tables.
        """
        strings, string_rank = np.unique(np.asarray(self.string, np.int64), return_inverse=True)
        oms, om_rank = np.unique(np.asarray(self.om, np.int64), return_inverse=True)
        # Two small ranks make one key, however large the labels are.
        first, second = _rank(strings, whole_labels(string)), _rank(oms, whole_labels(om))
        key = string_rank.ravel() * len(oms) + om_rank.ravel()
        order = np.argsort(key)
        found = _rank(key[order], np.where((first >= 0) & (second >= 0), first * len(oms) + second, -1))
        return np.where(found >= 0, order[found], -1)

    def is_ignored(self, string: np.ndarray, om: np.ndarray) -> np.ndarray:
        """Finds labels that are known to belong to the experiment but not to this array.

        Args:
          string: first labels [P].
          om: second labels [P].

        Returns:
          Flags [P], True within one of the ranges of `ignored`.
        """
        out = np.zeros(np.shape(string), bool)
        for a, b, c, d in self.ignored:
            out |= (string >= a) & (string <= b) & (om >= c) & (om <= d)
        return out

    def to_csv(self, path: str | Path) -> None:
        """Writes the table that `load_detector` reads, with the coordinates of the original table.

        Args:
          path: of the CSV file; an existing one is overwritten.
        """
        position = np.asarray(self.position, np.float64) + np.asarray(self.origin)
        columns = dict(zip("xyz", position.T, strict=True)) | {
            name: np.asarray(getattr(self, name), np.float64)
            for name in ("string", "om", "relative_efficiency", "noise_rate", "usable")
        }
        write_detector_table(path, DetectorTable(columns, self.name, self.origin, self.ignored))


def load_detector(path: str | Path | None = None) -> Detector:
    """Reads a detector from a CSV table with a header line.

    Lines that begin with # are comments; three of them have a meaning: `# name: arca`, `# origin: x y z` (m, subtracted
    from the coordinates; chosen by the program where these are too large for float32) and `# ignored: string 1-86, om
    61-66` (labels of modules that are not part of the array, whose pulses are left out and counted).

    Args:
      path: a file, or None or 'icecube86' for the embedded IceCube-86 in-ice array. Columns string, om, x, y, z
        (m) are needed; relative_efficiency, noise_rate (1/ns) and usable (0 or 1) default to 1, 0 and 1. Other columns
        are not read.

    Returns:
      The detector.

    Raises:
      DetectorError: no such file, a missing or misspelt column, a value outside its range, or a DOM given twice.

    Example:
      detector = eg.load_detector("arca.csv")
    """
    if path is None or str(path) == EMBEDDED:
        with resources.as_file(resources.files("evgen_jax") / "tables" / f"{EMBEDDED}.csv") as embedded:
            return _from_table(read_detector_table(Path(embedded)), EMBEDDED)
    if not isinstance(path, str | os.PathLike):
        raise DetectorError(
            f"expected the path of a detector table, got {shown(path)}. Give a CSV file or '{EMBEDDED}'."
        )
    path = Path(path)
    if not path.is_file():
        raise DetectorError(f"{path}: no such detector table. Give a CSV file or '{EMBEDDED}'.")
    return _from_table(read_detector_table(path), path.stem)


def _from_table(table: DetectorTable, name: str) -> Detector:
    """Makes a detector from a table; `name` holds where the table does not name it."""
    values: dict[str, Any] = dict(table.columns)
    position = np.stack([values[c] for c in "xyz"], axis=1) - np.asarray(table.origin)
    detector = Detector(
        position=position.astype(np.float32),
        relative_efficiency=values["relative_efficiency"].astype(np.float32),
        noise_rate=values["noise_rate"].astype(np.float32),
        string=values["string"].astype(np.int32),
        om=values["om"].astype(np.int32),
        usable=values["usable"] > 0,
        name=table.name or name,
        origin=table.origin,
        ignored=table.ignored,
    )
    if any(table.origin):
        _tell_origin(detector.name, table.origin)
    # Models of earlier versions hold copies of the embedded table that do not name the labels to ignore.
    if not table.ignored and fingerprint(detector) == EMBEDDED_FINGERPRINT:
        return detector.replace(ignored=(ICETOP,))
    return detector


@lru_cache(maxsize=8)
def _tell_origin(name: str, origin: tuple[float, float, float]) -> None:
    LOGGER.warning(
        "detector '%s': its coordinates are counted from %s m, since they are too large for float32. Ranges, bounds and priors of "
        "a configuration are counted from there, too; files keep the table's coordinates.",
        name,
        origin,
    )


def whole_labels(labels: np.ndarray) -> np.ndarray:
    """Converts labels to int64.

    Args:
      labels: numbers of any type, shape (...).

    Returns:
      Labels, shape (...); -1 where a number is not whole, negative or beyond int64.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind in "iub":
        return np.where((labels >= 0) & (labels <= np.iinfo(np.int64).max), labels, 0).astype(np.int64) - (labels < 0)
    labels = labels.astype(np.float64)
    whole = np.isfinite(labels) & (labels == np.floor(labels)) & (labels >= 0) & (labels < 2.0**62)
    return np.where(whole, labels, -1).astype(np.int64)


def _rank(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the place of every value among the sorted `known` ones, -1 where it is not among them."""
    low, high = int(known[0]), int(known[-1])
    if high - low < SMALL_TABLE:
        table = np.full(high - low + 1, -1, np.int64)
        table[known - low] = np.arange(len(known))
        inside = (values >= low) & (values <= high)
        return np.where(inside, table[np.where(inside, values - low, 0)], -1)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place, -1)


def fingerprint(detector: Detector) -> str:
    """Computes a checksum of all tables: equal for equal detectors, whatever they are called.

    Args:
      detector: any detector.

    Returns:
      SHA-256 in hexadecimal digits.
    """
    return _checksum(jax.tree.leaves(detector), detector.origin)


def geometry_fingerprint(detector: Detector) -> str:
    """Computes a checksum of labels and positions, by which a file tells that its pulses are those of this detector.

    Args:
      detector: any detector.

    Returns:
      SHA-256 in hexadecimal digits.
    """
    return _checksum((detector.string, detector.om, detector.position), detector.origin)


def _checksum(tables: Sequence[Any], origin: tuple[float, float, float]) -> str:
    digest = hashlib.sha256()
    for table in tables:
        array = np.asarray(table)
        digest.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    if any(origin):
        digest.update(repr(origin).encode())
    return digest.hexdigest()
