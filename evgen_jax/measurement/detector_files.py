"""Detectors of other programs as detector tables: .geo of Prometheus, .detx of KM3NeT, Parquet of graphnet."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.errors import DetectorError, suggestion
from evgen_jax.extras import need
from evgen_jax.measurement.detector_comments import LabelRange
from evgen_jax.measurement.detector_table import (
    AXIS_COLUMNS,
    LARGEST_AREA,
    DetectorTable,
    make_table,
    read_detector_table,
)
from evgen_jax.measurement.detx import is_detx, read_detx
from evgen_jax.measurement.sensor_labels import sensor_label
from evgen_jax.physics.angular_curves import ICECUBE
from evgen_jax.physics.diffusion import DOM_AREA

PARQUET = b"PAR1"
"""First bytes of a Parquet file."""
GEO = "### Metadata ###"
"""First line of a detector file of Prometheus."""
PMT_AREA = 0.0045
"""Area of a photomultiplier of 3 inches, m^2: that of its photocathode, of a radius of 38 mm."""
FLAT = "cosine 1"
"""Curve of a sensor of which nothing is known but its axis: the area that light from a direction sees of a flat one."""
ICECUBE_PMT_AREA = 0.0444
"""What graphnet calls the area of IceCube's photomultiplier, m^2; areas of others are in proportion to it."""
IN_ICE = {20: None, 110: None, 120: "d-egg", 130: "mdom"}
"""dom_type of modules in the ice (IceCube, PDOM, D-Egg, mDOM) -> kind of their sensors, None for IceCube's."""


def read_detector_file(path: Path) -> DetectorTable:
    """Reads the modules of a detector from a file of any known kind, which its content tells.

    Args:
      path: of a CSV table of modules, a detector file of Prometheus (.geo) or of KM3NeT (.detx), or a Parquet table of
        modules as graphnet has them.

    Returns:
      The table of modules.

    Raises:
      ConfigError: Parquet, and pyarrow is not installed.
      DetectorError: a file of another kind, or values that cannot be.
    """
    if ".i3" in path.suffixes:
        raise DetectorError(
            f"{path}: is an I3 file, which only IceTray reads. Make a table of it first: evgen-jax detector {path.name} -o detector.csv"
        )
    with open(path, "rb") as file:
        if file.read(len(PARQUET)) == PARQUET:
            return _from_parquet(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DetectorError(
            f"{path}: is no text file; expected a CSV table of modules, a .geo, a .detx (not .datx) or a Parquet table of modules."
        ) from None
    if text.startswith(GEO):
        return _from_geo(path, text)
    return _from_detx(path) if is_detx(text) else read_detector_table(path)


def with_sensors(path: Path, area: float | None, kinds: Mapping[str, str]) -> DetectorTable:
    """Reads a detector file, with other properties of its sensors.

    Args:
      path: as of `read_detector_file`.
      area: of every sensor, m^2; None: that of the file.
      kinds: kind of sensor -> form of its curve, in place of that of the file; files of curves lie in the working directory.

    Returns:
      The table of modules, in which curves stand in the words of their forms.

    Raises:
      DetectorError: as of `read_detector_file`, or a kind that no sensor has.
    """
    if not path.is_file():
        raise DetectorError(f"{path}: no such file.")
    table = read_detector_file(path)
    forms = {name: _absolute(form, path.parent) for name, form in table.kinds.items()}
    for name, form in kinds.items():
        if name not in (table.kind or ()):
            known = sorted(set(table.kind or ()))
            raise DetectorError(
                f"--kind {name}: no sensor of {path} is of this kind; it has {', '.join(known) or 'IceCube modules alone'}."
                + suggestion(name, known)
            )
        forms[name] = _absolute(form, Path())
    if area is not None and not 0 < area <= LARGEST_AREA:
        raise DetectorError(f"--area {area:g}: expected an area above 0 and up to {LARGEST_AREA:g} m^2.")
    columns = table.columns if area is None else {**table.columns, "area": np.full_like(table.columns["area"], area)}
    return replace(table, columns=columns, name=table.name or path.stem, kinds=forms)


def _absolute(form: str, folder: Path) -> str:
    """The form of a curve, with the whole path of its file."""
    word, _, rest = form.strip().partition(" ")
    return f"table {(folder / rest.strip()).absolute()}" if word == "table" else form


def _from_geo(path: Path, text: str) -> DetectorTable:
    """Spheres of the radius that the file says: uniform ones in water, with IceCube's curve in ice."""
    head, found, body = text.partition("### Modules ###")
    if not found:
        raise DetectorError(f"{path}: has no line '### Modules ###', behind which a .geo file has its modules.")
    rows = []
    start = head.count("\n") + 1
    for number, line in enumerate(body.splitlines(), start):
        if not line.strip():
            continue
        try:
            x, y, z, string, om = map(float, line.split()[:5])
        except ValueError:
            raise DetectorError(
                f"{path}: line {number}: '{line.strip()[:40]}': expected x, y, z (m), string and om."
            ) from None
        rows.append((x, y, z, string, om))
    columns = dict(zip(("x", "y", "z", "string", "om"), np.array(rows, np.float64).reshape(-1, 5).T, strict=True))
    radius = re.search(r"DOM Radius \[(cm|m)\]:\s*([\d.]+)", head)
    if radius is not None:
        metres = float(radius.group(2)) * (0.01 if radius.group(1) == "cm" else 1.0)
        columns["area"] = np.full(len(rows), np.pi * metres**2)
    medium = re.search(r"Medium:\s*(\w+)", head)
    water = medium is not None and medium.group(1).lower() == "water"
    return make_table(path, columns, path.stem, kind=("uniform",) * len(rows) if water else None)


def _from_detx(path: Path) -> DetectorTable:
    """Every photomultiplier is a sensor: string is the id of its module, om its channel."""
    detx = read_detx(path)
    columns = dict(zip("xyz", detx.position.T, strict=True)) | dict(zip(AXIS_COLUMNS, detx.axis.T, strict=True))
    columns |= {"string": detx.module, "om": detx.channel, "usable": detx.usable}
    columns["area"] = np.full(len(detx.module), PMT_AREA)
    return make_table(path, columns, path.stem, kind=("pmt",) * len(detx.module), kinds={"pmt": FLAT})


def _from_parquet(path: Path) -> DetectorTable:
    need("pyarrow", f"{path}: reading Parquet")
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DetectorError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}).") from None
    found = {
        name: np.asarray(table[name].to_numpy())
        for name in table.column_names
        if _is_number(table.schema.field(name).type)
    }
    if {"dom_x", "dom_y", "dom_z", "string", "dom_number"} <= set(found):
        return _of_icecube(path, found)
    if {"sensor_pos_x", "sensor_pos_y", "sensor_pos_z", "sensor_string_id", "sensor_id"} <= set(found):
        columns = {axis: found[f"sensor_pos_{axis}"] for axis in "xyz"}
        columns |= {"string": found["sensor_string_id"], "om": found["sensor_id"]}
        return make_table(path, columns, path.stem, kind=("uniform",) * len(columns["x"]))
    raise DetectorError(
        f"{path}: is no table of modules: expected the columns dom_x, dom_y, dom_z, string and dom_number, or sensor_pos_x, "
        f"sensor_pos_y, sensor_pos_z, sensor_string_id and sensor_id, as graphnet has them; found {', '.join(table.column_names)}."
    )


def _of_icecube(path: Path, found: dict[str, np.ndarray]) -> DetectorTable:
    """IceCube and its upgrade: modules in the ice; labels of all others are ignored."""
    count = len(found["string"])
    types = found.get("dom_type", np.full(count, 20)).astype(np.int64)
    inside = np.isin(types, list(IN_ICE))
    om = sensor_label(found["dom_number"], found.get("pmt_number", np.zeros(count)))
    own = {name: values[inside] for name, values in found.items()}
    columns = {axis: own[f"dom_{axis}"] for axis in "xyz"} | {"string": own["string"], "om": om[inside]}
    if "pmt_area" in own:
        columns["area"] = DOM_AREA * own["pmt_area"] / ICECUBE_PMT_AREA
    if "rde" in own:
        columns["relative_efficiency"] = np.where(np.isnan(own["rde"]), 1.0, own["rde"])
    if {"pmt_dir_x", "pmt_dir_y", "pmt_dir_z"} <= set(own):
        columns |= {f"axis_{axis}": own[f"pmt_dir_{axis}"] for axis in "xyz"}
    names = [IN_ICE[kind] for kind in types[inside].tolist()]
    others = {name: FLAT for name in dict.fromkeys(names) if name is not None}
    kinds: dict[str, Any] = {}
    if others:
        kinds = {"kind": tuple(name or ICECUBE for name in names), "kinds": others}
    return make_table(path, columns, path.stem, _ranges(found["string"], om, inside), **kinds)


def _ranges(string: np.ndarray, om: np.ndarray, inside: np.ndarray) -> tuple[LabelRange, ...]:
    """Labels of the modules outside, as ranges that hold none of those inside."""
    ranges = []
    for number in np.unique(om[~inside]):
        own = string[~inside & (om == number)]
        taken = string[inside & (om == number)]
        if not np.any((taken >= own.min()) & (taken <= own.max())):
            ranges.append(LabelRange(int(own.min()), int(own.max()), int(number), int(number)))
    return tuple(ranges)


def _is_number(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind))
