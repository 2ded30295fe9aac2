"""Objects of I3 frames as rows of tables, with the columns that IceCube's tableio gives them in HDF5."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Row = dict[str, float | int]
"""A row of a table: name of a column -> value."""


def _of_key(key: Any) -> Row:
    return {"string": int(key.string), "om": int(key.om), "pmt": int(key.pmt)}


def _pulses(held: Mapping[Any, Any]) -> Iterable[Row]:
    for key, series in held.items():
        own = _of_key(key)
        for index, pulse in enumerate(series):
            yield own | {
                "vector_index": index,
                "time": float(pulse.time),
                "width": float(pulse.width),
                "charge": float(pulse.charge),
            }


def _windows(held: Mapping[Any, Any]) -> Iterable[Row]:
    for key, series in held.items():
        own = _of_key(key)
        for index, window in enumerate(series):
            yield own | {"vector_index": index, "start": float(window.start), "stop": float(window.stop)}


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
        "type": int(held.type),
        "pdg_encoding": int(held.pdg_encoding),
        "shape": int(held.shape),
        "location": int(held.location_type),
        "fit_status": int(held.fit_status),
    }


def _particles(held: Iterable[Any]) -> Iterable[Row]:
    for index, particle in enumerate(held):
        yield {"vector_index": index, **_particle(particle)}


def _header(held: Any) -> Row:
    row: Row = {}
    for begin in ("start", "end"):
        time = getattr(held, f"{begin}_time", None)
        if time is not None:
            row[f"time_{begin}_mjd"] = float(time.mod_julian_day_double)
    return row


CONVERTERS: dict[str, Callable[[Any], Iterable[Row]]] = {
    "I3RecoPulseSeriesMap": _pulses,
    "I3TimeWindowSeriesMap": _windows,
    "I3VectorOMKey": _keys,
    "I3VectorI3Particle": _particles,
    "I3MCTree": _particles,
    "I3Particle": lambda held: [_particle(held)],
    "I3TimeWindow": lambda held: [{"start": float(held.start), "stop": float(held.stop)}],
    "I3EventHeader": lambda held: [_header(held)],
    "I3Double": lambda held: [{"value": float(held.value)}],
    "I3MapStringDouble": lambda held: [{str(name): float(value) for name, value in held.items()}],
    "I3MapStringInt": lambda held: [{str(name): int(value) for name, value in held.items()}],
    "I3MapStringBool": lambda held: [{str(name): int(value) for name, value in held.items()}],
    "I3MapKeyDouble": lambda held: [{**_of_key(key), "value": float(value)} for key, value in held.items()],
    "I3VectorDouble": lambda held: [{"vector_index": i, "item": float(value)} for i, value in enumerate(held)],
    "I3VectorInt": lambda held: [{"vector_index": i, "item": int(value)} for i, value in enumerate(held)],
}
"""Name of a class of IceTray -> its rows. Masks and unions of pulses are read as the pulses that they stand for."""
PULSES = ("I3RecoPulseSeriesMap", "I3RecoPulseSeriesMapMask", "I3RecoPulseSeriesMapUnion", "I3SuperDST")
"""Classes that are read as pulses."""
RAGGED = (
    "I3RecoPulseSeriesMap", "I3TimeWindowSeriesMap", "I3VectorOMKey", "I3VectorI3Particle", "I3MCTree", "I3MapKeyDouble",
    "I3VectorDouble", "I3VectorInt",
)  # fmt: skip
"""Classes with any number of rows an event."""
COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "I3RecoPulseSeriesMap": (
        ("string", "<i4"), ("om", "<u4"), ("pmt", "<u4"), ("vector_index", "<u8"), ("time", "<f8"), ("width", "<f8"),
        ("charge", "<f8"),
    ),
    "I3TimeWindowSeriesMap": (
        ("string", "<i4"), ("om", "<u4"), ("pmt", "<u4"), ("vector_index", "<u8"), ("start", "<f8"), ("stop", "<f8"),
    ),
    "I3VectorOMKey": (("vector_index", "<u8"), ("string", "<i4"), ("om", "<u4"), ("pmt", "<u4")),
}  # fmt: skip
"""Columns of tables that may have no row at all, in the types of tableio."""


def class_of(name: str) -> str | None:
    """Finds the class as which an object is read.

    Args:
      name: of the object's class in Python.

    Returns:
      A key of `CONVERTERS`; None for a class that is not read.
    """
    if name in PULSES:
        return "I3RecoPulseSeriesMap"
    return name if name in CONVERTERS else None
