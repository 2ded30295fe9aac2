"""From frames of IceTray to plain records."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from icecube import dataclasses

from evgen_jax.data.i3_file import line_of
from evgen_jax.data.i3_rows import pulse_array
from evgen_jax.errors import DataError
from evgen_jax.icetray.records import FrameEvent, Particle, PulseTable, SeedObject, WindowTable
from evgen_jax.icetray.simulation import TreeNode


def _sensor(key: Any) -> tuple[int, int, int]:
    return key.string, key.om, key.pmt


def _table(rows: Sequence[tuple[Any, ...]]) -> tuple[np.ndarray, ...]:
    """Rows (sensor, number, number, ...) as columns."""
    if not rows:
        return (np.zeros((0, 3), np.int64),)
    sensor, *columns = zip(*rows, strict=True)
    return (np.array(sensor, np.int64).reshape(-1, 3), *(np.array(column) for column in columns))


def _checked(what: str, key: str, read: Callable[[], Any]) -> Any:
    """What a frame holds; errors of IceTray's classes become one message."""
    try:
        return read()
    except DataError:
        raise
    except Exception as error:  # boost::python raises whatever the C++ classes throw
        raise DataError(f"the frame's '{key}' cannot be read as {what} ({line_of(error)})") from None


def read_pulses(frame: Any, key: str, flags: bool = False) -> PulseTable:
    """Reads pulses: a map of pulses, a mask or a union of maps, or an I3SuperDST.

    Args:
      frame: of IceTray.
      key: of the pulses.
      flags: whether flags of pulses are read; they take forty times as long as all else, and are 0 otherwise.

    Returns:
      The pulses, by sensor, in the order of the map.

    Raises:
      DataError: the frame has no such key, or it holds no pulses.
    """
    if not frame.Has(key):
        raise DataError(f"the frame has no pulses '{key}'")

    def read() -> PulseTable:
        held = dataclasses.I3RecoPulseSeriesMap.from_frame(frame, key)
        rows = pulse_array(held)
        bits = [int(pulse.flags) for series in held.values() for pulse in series] if flags else np.zeros(len(rows))
        sensor, (time, charge, width) = rows[:, :3].astype(np.int64), rows[:, 3:].T
        return PulseTable(sensor, time, charge, width, np.asarray(bits, np.int64))

    return _checked("pulses", key, read)


def read_exclusions(frame: Any, keys: Iterable[str]) -> tuple[list[np.ndarray], list[WindowTable], set[str]]:
    """Reads exclusions: lists of modules, or time windows of modules. Keys that a frame does not have exclude nothing.

    Args:
      frame: of IceTray.
      keys: of the exclusions.

    Returns:
      Lists [N, 3] of sensors, tables of windows, and the keys that were found.

    Raises:
      DataError: a key that holds something else.
    """
    sensors, windows, found = list[np.ndarray](), list[WindowTable](), set[str]()
    for key in keys:
        if not frame.Has(key):
            continue
        found.add(key)
        held = _checked("an exclusion", key, lambda key=key: frame[key])  # type: ignore[misc]
        if isinstance(held, dataclasses.I3TimeWindowSeriesMap):
            rows = [(_sensor(om), window.start, window.stop) for om, series in held.items() for window in series]
            sensor, *columns = _table(rows)
            windows.append(WindowTable(sensor, *(columns or [np.zeros(0)] * 2)))
        elif isinstance(held, dataclasses.I3VectorOMKey):
            sensors.append(np.array([_sensor(om) for om in held], np.int64).reshape(-1, 3))
        else:
            raise DataError(
                f"the frame's '{key}' is a {type(held).__name__}; expected an I3VectorOMKey of modules or an "
                "I3TimeWindowSeriesMap of time windows that take no part"
            )
    return sensors, windows, found


def read_window(frame: Any, key: str) -> tuple[float, float]:
    """Reads a readout window.

    Args:
      frame: of IceTray.
      key: of an I3TimeWindow.

    Returns:
      Start and stop, ns.

    Raises:
      DataError: no such key, or something else.
    """
    if not frame.Has(key):
        raise DataError(
            f"the frame has no readout window '{key}'; readout_window_key names another one, or '' for the range of the pulses"
        )
    return _checked("a time window", key, lambda: (float(frame[key].start), float(frame[key].stop)))


def read_particle(particle: Any) -> Particle:
    """Reads a particle.

    Args:
      particle: an I3Particle.

    Returns:
      Its record.
    """
    return Particle(
        particle.pos.x,
        particle.pos.y,
        particle.pos.z,
        particle.dir.zenith,
        particle.dir.azimuth,
        particle.energy,
        particle.time,
        particle.length,
        str(particle.shape),
        kind if (kind := str(particle.type)).isidentifier() else f"particle of PDG code {int(particle.type)}",
        int(particle.fit_status),
    )


def read_seed(frame: Any, key: str) -> SeedObject:
    """Reads a seed: a particle, several, or named numbers.

    Args:
      frame: of IceTray.
      key: of the seed, which the frame has.

    Returns:
      Its record.

    Raises:
      DataError: the key holds something else.
    """

    def read() -> SeedObject:
        held = frame[key]
        if isinstance(held, dataclasses.I3Particle):
            return read_particle(held)
        if isinstance(held, dataclasses.I3VectorI3Particle):
            return tuple(read_particle(own) for own in held)
        if isinstance(held, dataclasses.I3MapStringDouble):
            return {str(name): float(value) for name, value in held.items()}
        raise DataError(
            f"the frame's '{key}' is a {type(held).__name__}; expected an I3Particle, an I3VectorI3Particle or an "
            "I3MapStringDouble as a seed"
        )

    return _checked("a seed", key, read)


def read_ids(frame: Any) -> tuple[int, int, int, int]:
    """Reads the ids of an event.

    Args:
      frame: of IceTray.

    Returns:
      Run, event, sub-event and 0 for its stream; zeros without a header.
    """
    if not frame.Has("I3EventHeader"):
        return 0, 0, 0, 0
    header = frame["I3EventHeader"]
    return int(header.run_id), int(header.event_id), int(header.sub_event_id), 0


def read_event(
    frame: Any,
    pulse_key: str,
    exclusion_keys: Sequence[str] = (),
    readout_key: str | None = None,
    seed_keys: Sequence[str] = (),
) -> tuple[FrameEvent, set[str]]:
    """Reads the event of a frame; what is wrong with it is its fault, not an error.

    Args:
      frame: of IceTray.
      pulse_key: of the pulses.
      exclusion_keys: of modules and time windows that take no part; those that a frame lacks exclude nothing.
      readout_key: of the readout window; None or '': from the first to the last pulse.
      seed_keys: of seeds; those that a frame lacks are left out.

    Returns:
      The event, and the exclusion keys that were found.
    """
    found: set[str] = set()
    ids = (0, 0, 0, 0)
    try:
        ids = _checked("an event header", "I3EventHeader", lambda: read_ids(frame))
        if frame.Has(fault := fault_key(pulse_key)):
            raise DataError(str(frame[fault].value))
        sensors, windows, found = read_exclusions(frame, exclusion_keys)
        event = FrameEvent(
            ids,
            read_pulses(frame, pulse_key),
            np.concatenate([np.zeros((0, 3), np.int64), *sensors]),
            WindowTable(
                *(
                    np.concatenate([np.zeros((0, 3) if name == "sensor" else 0), *(getattr(w, name) for w in windows)])
                    for name in ("sensor", "start", "stop")
                )
            ),
            read_window(frame, readout_key) if readout_key else None,
            {key: read_seed(frame, key) for key in seed_keys if frame.Has(key)},
        )
    except DataError as error:
        return FrameEvent(ids).with_fault(str(error)), found
    return event, found


def fault_key(pulse_key: str) -> str:
    """Names the key under which a module that makes pulses says why it could not.

    Args:
      pulse_key: of the pulses.

    Returns:
      Key of an I3String.
    """
    return f"{pulse_key}Fault"


def read_tree(tree: Any) -> list[TreeNode]:
    """Reads a tree of particles.

    Args:
      tree: an I3MCTree.

    Returns:
      Its primary particles with their daughters.
    """

    def node(particle: Any) -> TreeNode:
        return TreeNode(read_particle(particle), tuple(node(own) for own in tree.children(particle.id)))

    return [node(primary) for primary in tree.primaries]
