"""Pulses and modules that are kept out of a fit: bright modules, unions of exclusions, masked and merged pulses."""

from collections.abc import Iterable, Sequence

import numpy as np

from evgen_jax.errors import ConfigError
from evgen_jax.icetray.records import NO_WINDOWS, PulseTable, WindowTable


def sensor_keys(sensor: np.ndarray) -> np.ndarray:
    """Makes one number of the three of every sensor, by which sensors are compared and sorted.

    Args:
      sensor: [N, 3], string, module and photomultiplier.

    Returns:
      Numbers [N], int64.
    """
    sensor = np.asarray(sensor, np.int64).reshape(-1, 3)
    return (sensor[:, 0] << 40) + (sensor[:, 1] << 20) + sensor[:, 2]


def bright_sensors(pulses: PulseTable, fraction: float = 0.4, charge: float = 100.0) -> np.ndarray:
    """Finds sensors that hold so much of the charge that their saturation and the model of the ice would dominate.

    Args:
      pulses: of one event.
      fraction: of the event's charge, above which a sensor is bright.
      charge: PE, above which a sensor is bright; both must be exceeded.

    Returns:
      Sensors [N, 3], sorted.
    """
    keys, first, place = np.unique(sensor_keys(pulses.sensor), return_index=True, return_inverse=True)
    own = np.bincount(place, weights=pulses.charge, minlength=len(keys))
    bright = (own > fraction * pulses.charge.sum()) & (own > charge)
    return pulses.sensor[first[bright]].reshape(-1, 3)


def union_of_sensors(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Unites lists of sensors.

    Args:
      parts: lists [N, 3] each.

    Returns:
      Sensors [N, 3], each once, sorted.
    """
    together = np.concatenate([np.zeros((0, 3), np.int64), *(np.reshape(part, (-1, 3)) for part in parts)])
    _, first = np.unique(sensor_keys(together), return_index=True)
    return together[first]


def union_of_windows(parts: Iterable[WindowTable]) -> WindowTable:
    """Unites time windows; windows of a sensor that overlap or touch become one.

    Args:
      parts: tables of windows.

    Returns:
      Windows sorted by sensor and start.
    """
    tables = [NO_WINDOWS, *parts]
    sensor, start, stop = (
        np.concatenate([getattr(table, name) for table in tables]) for name in ("sensor", "start", "stop")
    )
    order = np.lexsort((start, sensor_keys(sensor)))
    sensor, start, stop = sensor[order], start[order], stop[order]
    keys, kept = sensor_keys(sensor), list[int]()
    stop = stop.copy()
    for i in range(len(keys)):
        if kept and keys[i] == keys[kept[-1]] and start[i] <= stop[kept[-1]]:
            stop[kept[-1]] = max(stop[kept[-1]], stop[i])
        else:
            kept.append(i)
    return WindowTable(sensor[kept], start[kept], stop[kept])


def combined(
    sensors: Iterable[np.ndarray], windows: Iterable[WindowTable], partial: bool = True
) -> tuple[np.ndarray, WindowTable]:
    """Combines all exclusions of an event.

    Windows of a sensor that takes no part at all are left out.

    Args:
      sensors: lists [N, 3] of sensors that take no part.
      windows: tables of time windows that take no part.
      partial: whether sensors with windows take part outside of these; False: they take no part at all.

    Returns:
      Sensors [N, 3] and windows that take no part.
    """
    united = union_of_windows(windows)
    excluded = union_of_sensors([*sensors, *([] if partial else [united.sensor])])
    kept = ~np.isin(sensor_keys(united.sensor), sensor_keys(excluded))
    return excluded, WindowTable(united.sensor[kept], united.start[kept], united.stop[kept])


def outside_exclusions(pulses: PulseTable, excluded: np.ndarray, windows: WindowTable) -> np.ndarray:
    """Finds the pulses that take part.

    Args:
      pulses: of one event, P of them.
      excluded: sensors [N, 3] that take no part.
      windows: united windows (`union_of_windows`) that take no part, both ends included.

    Returns:
      Flags [P].
    """
    keys, own = sensor_keys(pulses.sensor), sensor_keys(windows.sensor)
    kept = ~np.isin(keys, sensor_keys(excluded))
    for i in np.flatnonzero(kept & np.isin(keys, own)):
        mine = own == keys[i]
        kept[i] = not np.any((windows.start[mine] <= pulses.time[i]) & (pulses.time[i] <= windows.stop[mine]))
    return kept


def merged(pulses: PulseTable, threshold: float) -> PulseTable:
    """Merges pulses of a sensor that follow each other closely, as a digitiser would see them.

    Args:
      pulses: of one event.
      threshold: ns; a pulse that comes less than this after the first one of a group belongs to it.

    Returns:
      Pulses sorted by sensor and time: time and flags of the first pulse of each group, the sum of its charges, a width
      to the end of its last pulse.

    Raises:
      ConfigError: a threshold that is not positive.
    """
    if not threshold > 0:
        raise ConfigError(f"merge_pulses_time_threshold: expected a time above 0 ns, or None, got {threshold!r}.")
    order = np.lexsort((pulses.time, sensor_keys(pulses.sensor)))
    pulses = pulses.select(order)
    keys, time = sensor_keys(pulses.sensor), pulses.time
    starts: list[int] = []
    for i in range(len(time)):
        if not starts or keys[i] != keys[starts[-1]] or time[i] - time[starts[-1]] >= threshold:
            starts.append(i)
    if not starts:
        return pulses
    first = np.array(starts)
    last = np.maximum.reduceat(time + pulses.width, first)
    return PulseTable(
        pulses.sensor[first],
        time[first],
        np.add.reduceat(pulses.charge, first),
        last - time[first],
        pulses.flags[first],
    )


def dead_time_windows(pulses: PulseTable, flag: int = 4) -> WindowTable:
    """Finds the time after an isolated (SLC) readout in which a module of IceCube records nothing.

    Args:
      pulses: of one event.
      flag: value of `flags` of a pulse that was digitised by the slow channel alone.

    Returns:
      Windows from 50 ns behind such a pulse to 2500 ns behind it, or to the module's first pulse at least 1875 ns
      behind their start, which shows that it is awake again.
    """
    order = np.lexsort((pulses.time, sensor_keys(pulses.sensor)))
    pulses = pulses.select(order)
    keys = sensor_keys(pulses.sensor)
    isolated = np.flatnonzero(pulses.flags == flag)
    start, stop = pulses.time[isolated] + 50.0, pulses.time[isolated] + 2500.0
    for k, i in enumerate(isolated):
        later = pulses.time[(keys == keys[i]) & (pulses.time >= start[k] + 1875.0)]
        if len(later):
            stop[k] = min(stop[k], later[0])
    return WindowTable(pulses.sensor[isolated], start, stop)


def check_keys(keys: Sequence[str] | str, what: str) -> tuple[str, ...]:
    """Takes one key of a frame or several; the caller's list stays as it is.

    Args:
      keys: as the user gave them.
      what: names the parameter in messages.

    Returns:
      The keys.

    Raises:
      ConfigError: something else than names.
    """
    names = (keys,) if isinstance(keys, str) else tuple(keys or ())
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{what}: expected a key of the frame or a list of keys, got {keys!r}.")
    return names
