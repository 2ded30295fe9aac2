"""The detector: where the optical modules (DOMs) are and how they respond; any geometry, read from a CSV table."""

import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from evgen_jax.errors import DetectorError, shown
from evgen_jax.measurement.checksum import checksum
from evgen_jax.measurement.detector_comments import LabelRange
from evgen_jax.measurement.detector_files import read_detector_file
from evgen_jax.measurement.detector_table import (
    AXIS_COLUMNS,
    DetectorTable,
    read_detector_table,
    write_detector_table,
)
from evgen_jax.measurement.module_labels import find_labels
from evgen_jax.measurement.sensor_kinds import are_default, curves_of, defaults, numbers_of, written
from evgen_jax.measurement.site import Site
from evgen_jax.physics.angular_curves import Curve
from evgen_jax.physics.media import is_default, load_medium, tell_medium
from evgen_jax.physics.medium import Medium
from evgen_jax.physics.medium import fingerprint as medium_fingerprint
from evgen_jax.short_repr import short_repr

LOGGER = logging.getLogger("evgen_jax")
EMBEDDED = "icecube86"
"""Name of the detector table that is part of the package."""
EMBEDDED_FINGERPRINT = "f57f89a84b1ecc90a1f0f4fcb4ddd611d8eccbe09641dd66af015be58791d3a1"
"""Checksum (`fingerprint`) of the embedded detector."""
ICETOP = LabelRange(1, 86, 61, 66)
"""Labels of IceCube's surface modules, whose pulses may stand in one table with pulses of the in-ice array."""


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
      axis: [D, 3], unit vectors into which the sensors look; default: down.
      area: [D], m^2, cross section of a sensor; default: that of IceCube's module.
      kind: [D], place of a sensor's angular curve in `kinds`; default: 0.
      kinds: angular curves; default: that of IceCube's module alone.
      medium: in which the sensors are; default: South Pole ice.
      site: place on Earth and direction of the x axis; None: not known.
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
    axis: Array = struct.field(default=None)
    area: Array = struct.field(default=None)
    kind: Array = struct.field(default=None)
    kinds: tuple[Curve, ...] = struct.field(default=None)
    medium: Medium = struct.field(default=None)
    site: Site | None = struct.field(pytree_node=False, default=None)

    __repr__ = short_repr

    def __post_init__(self) -> None:
        # JAX makes detectors of other things than arrays, which have no shape and need no default.
        if not hasattr(self.position, "shape"):
            return
        for name, default in defaults(self.position.shape[:-1]).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, default())

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

    def modules(self, places: Array) -> "Detector":
        """Makes the detector of some of the sensors, which keeps the box of the whole array.

        Args:
          places: [B], in the detector's tables.

        Returns:
          A detector of B sensors.
        """
        own = {name: jnp.asarray(getattr(self, name))[places] for name in PER_SENSOR}
        return self.replace(**own, extent=self.box)

    def dom_index(self, string: np.ndarray, om: np.ndarray) -> np.ndarray:
        """Finds the places of modules in the detector's tables by their labels; runs on the host.

        Args:
          string: first labels [P].
          om: second labels [P].

        Returns:
          Places [P], int; -1 for labels that are not in the tables.
        """
        return find_labels(np.asarray(self.string), np.asarray(self.om), string, om)

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
        different = _different(self)
        if "axis" in different:
            columns |= dict(zip(AXIS_COLUMNS, np.asarray(self.axis, np.float64).T, strict=True))
        if "area" in different:
            columns["area"] = np.asarray(self.area, np.float64)
        kind, kinds = None, dict[str, str]()
        if "kind" in different:
            kind, kinds = written(self.kinds, np.asarray(self.kind))
        write_detector_table(path, DetectorTable(columns, self.name, self.origin, self.ignored, kind, kinds, self.site))


PER_SENSOR = (
    "position", "relative_efficiency", "noise_rate", "string", "om", "usable", "axis", "area", "kind",
)  # fmt: skip
"""Tables of a detector with one row per sensor."""


def load_detector(
    path: str | Path | None = None,
    medium: str | Path | Medium | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Detector:
    """Reads a detector from a CSV table with a header line, or from a file of another program.

    Other files are those of Prometheus (.geo), of KM3NeT (.detx) and tables of modules of graphnet (Parquet); their content
    tells what they are. `Detector.to_csv` makes a CSV table of them.

    Lines that begin with # are comments; five of them have a meaning: `# name: arca`, `# origin: x y z` (m, subtracted from the
    coordinates; chosen by the program where these are too large for float32), `# ignored: string 1-86, om 61-66` (labels of modules
    that are not part of the array, whose pulses are left out and counted), `# kind pmt: table pmt.csv` (the angular curve of a kind of
    sensor, see `read_curve`) and `# site: latitude 36.27, longitude 16.1, x_axis 90` (degrees, see `Site`).

    A module of several photomultipliers is that many sensors at one place; `om` numbers the sensors of a string.

    Args:
      path: a file, or None or 'icecube86' for the embedded IceCube-86 in-ice array. Of a CSV table the columns string, om, x, y, z
        (m) are needed; relative_efficiency, noise_rate (1/ns) and usable (0 or 1) default to 1, 0 and 1, the direction axis_x,
        axis_y, axis_z to down, area (m^2) and kind (name of an angular curve) to those of IceCube's module. Others are not read.
      medium: name or file of the medium, or one that was loaded, see `load_medium`; None: South Pole ice.
      kinds: kind of sensor -> form of its curve, beside those that the table declares and instead of them.

    Returns:
      The detector.

    Raises:
      DetectorError: no such file, a missing or misspelt column, a value out of range, a kind without a curve, a DOM given twice.
      MediumError: no such medium, or one that is impossible.

    Example:
      detector = eg.load_detector("arca.csv", medium="mediterranean_water")
    """
    if path is None or str(path) == EMBEDDED:
        with resources.as_file(resources.files("evgen_jax") / "tables" / f"{EMBEDDED}.csv") as embedded:
            detector = _from_table(read_detector_table(Path(embedded)), EMBEDDED, kinds or {}, Path(embedded))
    else:
        if not isinstance(path, str | os.PathLike):
            raise DetectorError(
                f"expected the path of a detector table, got {shown(path)}. Give a file or '{EMBEDDED}'."
            )
        path = Path(path)
        if not path.is_file():
            raise DetectorError(f"{path}: no such detector table. Give a CSV file or '{EMBEDDED}'.")
        detector = _from_table(read_detector_file(path), path.stem, kinds or {}, path)
    detector = detector.replace(medium=load_medium(medium))
    tell_medium(detector.medium, detector.name, np.asarray(detector.position, np.float64)[:, 2] + detector.origin[2])
    return detector


def _from_table(table: DetectorTable, name: str, given: Mapping[str, str], path: Path) -> Detector:
    """Makes a detector from a table; `name` holds where the table does not name it."""
    values: dict[str, Any] = dict(table.columns)
    position = np.stack([values[c] for c in "xyz"], axis=1) - np.asarray(table.origin)
    kind, kinds = curves_of(table, given, path)
    arrays: dict[str, Any] = {
        "axis": np.stack([values[c] for c in AXIS_COLUMNS], axis=1).astype(np.float32),
        "area": values["area"].astype(np.float32),
        "kind": kind,
    }
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
        kinds=kinds,
        site=table.site,
        **arrays,
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
        "detector '%s': its coordinates are counted from %s m, as its table says or since they are too large for float32. Ranges, bounds and priors of "
        "a configuration are counted from there, too; files keep the table's coordinates.",
        name,
        origin,
    )


def fingerprint(detector: Detector) -> str:
    """Computes a checksum of all tables: equal for equal detectors, whatever they are called.

    Args:
      detector: any detector, of concrete numbers.

    Returns:
      SHA-256 in hexadecimal digits.
    """
    tables = [getattr(detector, name) for name in PER_SENSOR[:6]]
    extent = [] if detector.extent is None else [detector.extent]
    different = _different(detector)
    more: list[Any] = [getattr(detector, name) for name in ("axis", "area") if name in different]
    if "kind" in different:
        more += [detector.kind, *numbers_of(detector.kinds)]
    medium = [] if is_default(detector.medium) else [medium_fingerprint(detector.medium)]
    return checksum([*tables, *extent, *more], detector.origin, [*different, *medium])


def geometry_fingerprint(detector: Detector) -> str:
    """Computes a checksum of labels, positions and axes, by which a file tells that its pulses are those of this detector.

    Args:
      detector: any detector, of concrete numbers.

    Returns:
      SHA-256 in hexadecimal digits.
    """
    axis = ["axis"] if "axis" in _different(detector) else []
    tables = [detector.string, detector.om, detector.position, *(detector.axis for _ in axis)]
    return checksum(tables, detector.origin, axis)


def _different(detector: Detector) -> tuple[str, ...]:
    """Those of axis, area and kind that are not the default, so that checksums and tables of others stay as they were."""
    plain = Detector(**{name: getattr(detector, name) for name in PER_SENSOR[:6]})
    names = [name for name in ("axis", "area") if not np.array_equal(getattr(detector, name), getattr(plain, name))]
    return tuple(names) if are_default(detector.kinds) else (*names, "kind")
