"""The detector: where the optical modules are and how they respond. Any geometry, from a CSV table."""

import csv
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from evgen_jax.errors import DetectorError, suggestion

REQUIRED_COLUMNS = ("string", "om", "x", "y", "z")
OPTIONAL_COLUMNS = {"relative_efficiency": 1.0, "noise_rate": 0.0, "usable": 1.0}
EMBEDDED = "icecube86"


class Detector(struct.PyTreeNode):
    """Per-DOM tables; every array has the DOM axis D first.

    Attributes:
      position: [D, 3], m, detector coordinates, z up.
      relative_efficiency: [D], 1 for a standard module.
      noise_rate: [D], 1/ns.
      string, om: [D], labels as the experiment numbers them.
      usable: [D], False for modules that never give data.
      name: what the table is called.
      extent: [2, 3], m, box of the whole array where this is a part of one; None: that of `position`.
    """

    position: Array
    relative_efficiency: Array
    noise_rate: Array
    string: Array
    om: Array
    usable: Array
    name: str = struct.field(pytree_node=False, default="detector")
    extent: Array | None = None

    @property
    def num_doms(self) -> int:
        return self.position.shape[0]

    @property
    def box(self) -> Array:
        """Lowest and highest coordinates of the array [2, 3], m."""
        if self.extent is not None:
            return self.extent
        return jnp.stack([jnp.min(self.position, axis=0), jnp.max(self.position, axis=0)])

    def dom_index(self, string: np.ndarray, om: np.ndarray) -> np.ndarray:
        """Positions in the tables of modules given by their labels (host side); -1 for unknown ones."""
        own_string, own_om = np.asarray(self.string), np.asarray(self.om)
        width = int(own_om.max()) + 1
        table = np.full((int(own_string.max()) + 1) * width, -1, np.int64)
        table[own_string.astype(np.int64) * width + own_om] = np.arange(len(own_string))
        string, om = np.asarray(string, np.int64), np.asarray(om, np.int64)
        known = (string >= 0) & (string <= own_string.max()) & (om >= 0) & (om < width)
        return np.where(known, table[np.where(known, string * width + om, 0)], -1)

    def to_csv(self, path: str | Path) -> None:
        """Writes the table that `load_detector` reads."""
        with open(path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS])
            for i in range(self.num_doms):
                numbers = [*self.position[i], self.relative_efficiency[i], self.noise_rate[i]]
                writer.writerow(
                    [int(self.string[i]), int(self.om[i]), *(repr(float(v)) for v in numbers), int(self.usable[i])]
                )


def load_detector(path: str | Path | None = None) -> Detector:
    """Reads a detector from a CSV table with a header line.

    Args:
      path: a file, or None or 'icecube86' for the embedded IceCube-86 in-ice array. Columns string, om, x, y, z
        (m) are needed; relative_efficiency, noise_rate (1/ns) and usable (0 or 1) default to 1, 0 and 1.

    Raises:
      DetectorError: no such file, a missing column, a value that is no number, or a DOM given twice.
    """
    if path is None or str(path) == EMBEDDED:
        with resources.as_file(resources.files("evgen_jax") / "tables" / f"{EMBEDDED}.csv") as embedded:
            return _read(Path(embedded), EMBEDDED)
    path = Path(path)
    if not path.is_file():
        raise DetectorError(f"{path}: no such detector table. Give a CSV file or '{EMBEDDED}'.")
    return _read(path, path.stem)


def _read(path: Path, name: str) -> Detector:
    with open(path, newline="") as file:
        rows = list(csv.reader(line for line in file if line.strip() and not line.startswith("#")))
    if len(rows) < 2:
        raise DetectorError(f"{path}: expected a header line and one line per DOM, got {len(rows)} lines.")
    header = [c.strip() for c in rows[0]]
    for column in REQUIRED_COLUMNS:
        if column not in header:
            raise DetectorError(
                f"{path}: column '{column}' is missing; found {', '.join(header)}." + suggestion(column, header)
            )
    try:
        values: dict[str, Any] = {c: np.array([float(row[i]) for row in rows[1:]]) for i, c in enumerate(header)}
    except (ValueError, IndexError) as error:
        raise DetectorError(f"{path}: every line needs {len(header)} numbers ({error}).") from None
    for column, default in OPTIONAL_COLUMNS.items():
        values.setdefault(column, np.full(len(rows) - 1, default))
    for column in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS):
        if not np.all(np.isfinite(values[column])):
            line = int(np.argmin(np.isfinite(values[column]))) + 2
            raise DetectorError(f"{path}: line {line}: '{column}' is not finite.")
    labels: Any = np.stack([values["string"], values["om"]], axis=1).astype(np.int64)
    if labels.min() < 0:
        raise DetectorError(f"{path}: string and om numbers must not be negative.")
    unique, counts = np.unique(labels, axis=0, return_counts=True)
    if counts.max() > 1:
        string, om = unique[np.argmax(counts)]
        raise DetectorError(f"{path}: DOM (string {string}, om {om}) is given {counts.max()} times.")
    position: Any = np.stack([values[c] for c in "xyz"], axis=1)
    return Detector(
        position=position.astype(np.float32),
        relative_efficiency=values["relative_efficiency"].astype(np.float32),
        noise_rate=values["noise_rate"].astype(np.float32),
        string=labels[:, 0].astype(np.int32),
        om=labels[:, 1].astype(np.int32),
        usable=values["usable"] > 0,
        name=name,
    )


def fingerprint(detector: Detector) -> str:
    """Checksum of all tables: equal for equal detectors, whatever they are called."""
    digest = hashlib.sha256()
    for table in jax.tree.leaves(detector):
        array = np.asarray(table)
        digest.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()
