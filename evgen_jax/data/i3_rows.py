"""Objects of I3 frames as rows of tables, with the columns that IceCube's tableio gives them in HDF5."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from evgen_jax.errors import DataError

Row = dict[str, float | int]
"""A row of a table: name of a column -> value."""
Columns = dict[str, np.ndarray]
"""Rows of a table: name of a column -> values [N]."""


def pulse_array(held: Any) -> np.ndarray:
    """Reads the pulses of a map of pulses at once: a loop over them in Python takes forty times longer.

    Args:
      held: an I3RecoPulseSeriesMap.

    Returns:
      Rows [P, 6] of string, module, photomultiplier, time (ns), charge (PE) and width (ns), by sensor in their order.

    Raises:
      DataError: IceTray is too old to give its pulses as an array.
    """
    if not len(held):
        return np.zeros((0, 6))
    rows = np.array(held)
    if rows.ndim != 2 or rows.shape[1] != 6:
        raise DataError("this version of IceTray does not give its pulses as an array")
    return rows


def series_index(sensor: np.ndarray) -> np.ndarray:
    """Counts the rows of each sensor.

    Args:
      sensor: [N, 3], rows of equal sensors behind each other.

    Returns:
      Number [N] of a row among those of its sensor, from 0.
    """
    place = np.arange(len(sensor))
    new = np.ones(len(sensor), bool)
    new[1:] = np.any(sensor[1:] != sensor[:-1], axis=1)
    return place - np.maximum.accumulate(np.where(new, place, 0))


def _of_key(key: Any) -> Row:
    return {"string": int(key.string), "om": int(key.om), "pmt": int(key.pmt)}


def _pulses(held: Any) -> Columns:
    rows = pulse_array(held)
    string, om, pmt, time, charge, width = rows.T
    keys = {"string": string, "om": om, "pmt": pmt, "vector_index": series_index(rows[:, :3])}
    return keys | {"time": time, "width": width, "charge": charge}


def _windows(held: Mapping[Any, Any]) -> Iterable[Row]:
    for key, series in held.items():
        own = _of_key(key)
        for index, window in enumerate(series):
            start, stop = float(window.start), float(window.stop)
            yield own | {"vector_index": index, "start_time": start, "stop_time": stop, "length": stop - start}


def _keys(held: Iterable[Any]) -> Iterable[Row]:
    for index, key in enumerate(held):
        yield {"vector_index": index, **_of_key(key)}


def _particle(held: Any) -> Row:
    return {
        **{axis: float(getattr(held.pos, axis)) for axis in "xyz"},
        "time": float(held.time),
        "zenith": float(held.dir.zenith),
        "azimuth": float(held.dir.azimuth),
        "energy": float(held.energy),
        "speed": float(held.speed),
        "length": float(held.length),
        "pdg_encoding": int(held.pdg_encoding),
        "type": int(held.type),
        "shape": int(held.shape),
        "location": int(held.location_type),
        "fit_status": int(held.fit_status),
    }


def _particles(held: Iterable[Any]) -> Iterable[Row]:
    for index, particle in enumerate(held):
        yield {"vector_index": index, **_particle(particle)}


def _tree(held: Any) -> Iterable[Row]:
    for particle in held:
        yield {"depth": int(held.depth(particle)), **_particle(particle)}


def _header(held: Any) -> Row:
    row: Row = {}
    for begin in ("start", "end"):
        time = getattr(held, f"{begin}_time", None)
        if time is not None:
            row[f"time_{begin}_utc_daq"] = int(time.utc_daq_time)
            row[f"time_{begin}_mjd"] = float(time.mod_julian_day_double)
    return row


def _items(kind: Callable[[Any], float | int]) -> Callable[[Any], Iterable[Row]]:
    return lambda held: [{"vector_index": index, "item": kind(value)} for index, value in enumerate(held)]


def _named(kind: Callable[[Any], float | int]) -> Callable[[Any], Iterable[Row]]:
    return lambda held: [{str(name): kind(value) for name, value in held.items()}]


def _value(kind: Callable[[Any], float | int]) -> Callable[[Any], Iterable[Row]]:
    return lambda held: [{"value": kind(held.value)}]


PULSE_MAP = "I3RecoPulseSeriesMap"
"""Class as which pulses are read."""
CONVERTERS: dict[str, Callable[[Any], Iterable[Row]]] = {
    "I3TimeWindowSeriesMap": _windows,
    "I3VectorOMKey": _keys,
    "I3VectorI3Particle": _particles,
    "I3MCTree": _tree,
    "I3Particle": lambda held: [_particle(held)],
    "I3TimeWindow": lambda held: [{"start": float(held.start), "stop": float(held.stop)}],
    "I3EventHeader": lambda held: [_header(held)],
    "I3Double": _value(float),
    "I3Int": _value(int),
    "I3Bool": _value(int),
    "I3MapStringDouble": _named(float),
    "I3MapStringInt": _named(int),
    "I3MapStringBool": _named(int),
    "I3MapKeyDouble": lambda held: [{**_of_key(key), "value": float(value)} for key, value in held.items()],
    "I3VectorDouble": _items(float),
    "I3VectorFloat": _items(float),
    **dict.fromkeys(
        (
            "I3VectorBool",
            "I3VectorShort",
            "I3VectorUShort",
            "I3VectorInt",
            "I3VectorUInt",
            "I3VectorInt64",
            "I3VectorUInt64",
        ),
        _items(int),
    ),
}
"""Name of a class of IceTray -> its rows, of classes that are not pulses."""
PULSES = (
    PULSE_MAP, "I3RecoPulseSeriesMapMask", "I3RecoPulseSeriesMapUnion", "I3RecoPulseSeriesMapApplySPECorrection",
    "I3RecoPulseSeriesMapCombineByModule", "I3SuperDST",
)  # fmt: skip
"""Classes that are read as the pulses that they stand for."""
SINGLE = (
    "I3Particle", "I3TimeWindow", "I3EventHeader", "I3Double", "I3Int", "I3Bool", "I3MapStringDouble", "I3MapStringInt",
    "I3MapStringBool",
)  # fmt: skip
"""Classes with one row an event; others have any number of them."""
COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "I3RecoPulseSeriesMap": (
        ("string", "<i4"), ("om", "<u4"), ("pmt", "<u4"), ("vector_index", "<u8"), ("time", "<f8"), ("width", "<f8"),
        ("charge", "<f8"),
    ),
    "I3TimeWindowSeriesMap": (
        ("string", "<i4"), ("om", "<u4"), ("pmt", "<u4"), ("vector_index", "<u8"), ("start_time", "<f8"),
        ("stop_time", "<f8"), ("length", "<f8"),
    ),
    "I3VectorOMKey": (("vector_index", "<u8"), ("string", "<i4"), ("om", "<u4"), ("pmt", "<u4")),
}  # fmt: skip
"""Columns of tables that may have no row at all, in the types of tableio."""


def class_of(name: str) -> str | None:
    """Finds the class as which an object is read.

    Args:
      name: of the object's class in Python.

    Returns:
      `PULSE_MAP` for pulses, else a key of `CONVERTERS`; None for a class that is not read.
    """
    if name in PULSES:
        return PULSE_MAP
    return name if name in CONVERTERS else None


def columns_of_object(held: Any, kind: str) -> Columns:
    """Reads an object as columns of a table.

    Args:
      held: the object; pulses as an I3RecoPulseSeriesMap.
      kind: of `class_of`.

    Returns:
      Columns of N rows each.

    Raises:
      DataError: pulses of a version of IceTray that is too old.
    """
    if kind == PULSE_MAP:
        return _pulses(held)
    rows = list(CONVERTERS[kind](held))
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
