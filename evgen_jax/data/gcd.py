"""The detector of a GCD file: geometry, calibration and status of IceCube as our detector table."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.data.i3_file import frames_of
from evgen_jax.errors import DataError, DetectorError
from evgen_jax.measurement.detector import ICETOP, Detector
from evgen_jax.measurement.detector_table import LARGEST_NOISE_RATE
from evgen_jax.measurement.sensor_labels import sensor_label

LOGGER = logging.getLogger("evgen_jax")
LIKE_ICECUBE = (20, 110)
"""Numbers of I3OMGeo.OMType of modules with one photomultiplier that IceCube's angular curve describes."""
HERTZ = 1e-9
"""1 Hz in 1/ns."""
FAR = 1.0
"""Distance of a module from its place in a detector table, m, beyond which the table is of another detector."""


@dataclass(frozen=True)
class ModuleTable:
    """Holds the modules of a geometry, D of them.

    Attributes:
      sensor: [D, 3], string, module and photomultiplier.
      position: [D, 3], m.
      axis: [D, 3], unit vectors into which they look.
      kind: [D], numbers of I3OMGeo.OMType.
      efficiency: [D], relative to a standard module; NaN where no calibration says it.
      noise_rate: [D], 1/ns; NaN where no calibration says it.
      usable: [D], False for modules that are off or listed as bad.
    """

    sensor: np.ndarray
    position: np.ndarray
    axis: np.ndarray
    kind: np.ndarray
    efficiency: np.ndarray
    noise_rate: np.ndarray
    usable: np.ndarray


def read_modules(geometry: Any, calibration: Any = None, status: Any = None, bad: Iterable[Any] = ()) -> ModuleTable:
    """Reads the modules of frame objects.

    Args:
      geometry: an I3Geometry.
      calibration: an I3Calibration; None: efficiencies and noise rates are not known.
      status: an I3DetectorStatus, in which modules that are on have a voltage; None: all are on.
      bad: OMKeys of modules that are not used.

    Returns:
      Modules in the order of their keys.
    """
    out = {(key.string, key.om, key.pmt) for key in bad}
    calibrated = {} if calibration is None else {_label(key): own for key, own in calibration.dom_cal.items()}
    states = None if status is None else {_label(key): own for key, own in status.dom_status.items()}
    rows = []
    for key, own in sorted(((_label(key), own) for key, own in geometry.omgeo.items()), key=lambda row: row[0]):
        known = calibrated.get(key)
        direction = own.direction
        rows.append(
            (
                key,
                (own.position.x, own.position.y, own.position.z),
                (direction.x, direction.y, direction.z),
                int(own.omtype),
                np.nan if known is None else float(known.relative_dom_eff),
                np.nan if known is None else float(known.dom_noise_rate),
                key not in out and (states is None or (key in states and states[key].pmt_hv > 0)),
            )
        )
    if not rows:
        raise DetectorError("the geometry has no modules.")
    sensor, position, axis, kind, efficiency, noise, usable = map(np.array, zip(*rows, strict=True))
    noise = np.where(noise > LARGEST_NOISE_RATE, noise * HERTZ, noise)  # older calibrations have Hz
    return ModuleTable(sensor, position, axis, kind, efficiency, noise, usable)


def _label(key: Any) -> tuple[int, int, int]:
    return int(key.string), int(key.om), int(key.pmt)


def detector_of_modules(table: ModuleTable, name: str) -> Detector:
    """Makes a detector of the modules of a geometry.

    Modules that IceCube's angular curve does not describe (IceTop, modules of several photomultipliers, calibration
    devices) are left out and told. What no calibration says is what is usual: an efficiency of 1, no noise.

    Args:
      table: modules.
      name: of the detector.

    Returns:
      The detector, in South Pole ice.

    Raises:
      DetectorError: no module is like those of IceCube.
    """
    kept = np.isin(table.kind, LIKE_ICECUBE) & (table.sensor[:, 2] == 0)
    if not kept.any():
        raise DetectorError(
            f"{name}: none of the {len(kept)} modules of the geometry has one photomultiplier that looks like IceCube's; "
            "write a detector table with kinds of your own."
        )
    if not kept.all():
        kinds, counts = np.unique(table.kind[~kept], return_counts=True)
        LOGGER.warning(
            "%s: left out modules of other kinds than IceCube's, by the number of I3OMGeo.OMType: %s.",
            name,
            ", ".join(f"{kind}: {count}" for kind, count in zip(kinds, counts, strict=True)),
        )
    efficiency, noise = table.efficiency[kept], table.noise_rate[kept]
    # Modules that never worked have an efficiency of 0 or none; as unusable ones they need a number that can be.
    alive = np.isfinite(efficiency) & (efficiency > 0)
    if np.isnan(efficiency).all():
        alive[:] = True
    relative: Any = np.where(np.isfinite(efficiency) & (efficiency > 0), efficiency, 1.0).astype(np.float32)
    return Detector(
        position=table.position[kept].astype(np.float32),
        relative_efficiency=relative,
        noise_rate=np.nan_to_num(noise, nan=0.0).astype(np.float32),
        string=table.sensor[kept, 0].astype(np.int32),
        om=table.sensor[kept, 1].astype(np.int32),
        usable=table.usable[kept] & alive,
        name=name,
        ignored=(ICETOP,),
    )


def load_gcd(path: str | Path, bad_doms_key: str | None = "BadDomsList") -> Detector:
    """Reads the detector of a GCD file, or of any I3 file that begins with these frames, through IceTray.

    `detector.to_csv("detector.csv")` writes the table that detector_settings.geometry names.

    Args:
      path: of the I3 file.
      bad_doms_key: list of modules in the status frame that are not used; None: none.

    Returns:
      The detector, in South Pole ice.

    Raises:
      DataError: IceTray or the file is not there, or the file has no geometry.
      DetectorError: no module is like those of IceCube.

    Example:
      load_gcd("GeoCalibDetectorStatus_IC86.AVG_Pass2.i3.gz").to_csv("icecube.csv")
    """
    held: dict[str, Any] = {}
    bad: Iterable[Any] = ()
    frames = frames_of(path)
    for frame in frames:
        for key in ("I3Geometry", "I3Calibration", "I3DetectorStatus"):
            if key not in held and frame.Has(key):
                held[key] = frame[key]
        if bad_doms_key is not None and frame.Has(bad_doms_key):
            bad = list(frame[bad_doms_key])
        if len(held) == 3:
            break
    frames.close()  # type: ignore[attr-defined]
    if "I3Geometry" not in held:
        raise DataError(f"{path}: has no geometry frame (I3Geometry); expected a GCD file.")
    lacking = [key for key in ("I3Calibration", "I3DetectorStatus") if key not in held]
    if lacking:
        LOGGER.warning("%s: has no %s: %s.", path, " and no ".join(lacking), "what it would say is what is usual")
    modules = read_modules(held["I3Geometry"], held.get("I3Calibration"), held.get("I3DetectorStatus"), bad)
    return detector_of_modules(modules, Path(path).name.split(".i3")[0])


def check_geometry(table: ModuleTable, detector: Detector) -> None:
    """Checks that the modules of a geometry stand where a detector has them.

    Args:
      table: modules of a geometry.
      detector: of a model.

    Raises:
      DetectorError: a module that stands elsewhere, or no module of the detector in the geometry.
    """
    place = detector.dom_index(table.sensor[:, 0], sensor_label(table.sensor[:, 1], table.sensor[:, 2]))
    known = place >= 0
    if not known.any():
        raise DetectorError(
            f"the geometry of the frames has no module of the model's detector '{detector.name}': the model is for another one."
        )
    own = np.asarray(detector.position, np.float64)[place[known]] + np.asarray(detector.origin)
    distance = np.linalg.norm(own - table.position[known], axis=1)
    worst = int(np.argmax(distance))
    if distance[worst] > FAR:
        string, om, _ = table.sensor[known][worst]
        raise DetectorError(
            f"the geometry of the frames is not that of the model's detector '{detector.name}': string {string}, om {om} stands "
            f"{distance[worst]:.4g} m from its place. Use the GCD file that the model was trained for."
        )
