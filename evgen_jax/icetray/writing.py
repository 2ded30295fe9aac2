"""From plain records to objects of frames of IceTray."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from icecube import dataclasses, icetray

from evgen_jax.data.i3_rows import series_index
from evgen_jax.errors import ConfigError
from evgen_jax.icetray.records import Particle, PulseTable, WindowTable
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.sensor_labels import STEP


def omkeys(sensor: np.ndarray) -> list[Any]:
    """Makes IceTray's keys of sensors.

    Args:
      sensor: [N, 3], string, module and photomultiplier.

    Returns:
      N OMKeys.
    """
    return [icetray.OMKey(int(s), int(m), int(p)) for s, m, p in sensor]


def to_pulses(pulses: PulseTable) -> Any:
    """Makes a map of pulses.

    Args:
      pulses: of one event.

    Returns:
      An I3RecoPulseSeriesMap.
    """
    series: dict[tuple[int, int, int], Any] = {}
    for sensor, time, charge, width, flags in zip(
        pulses.sensor.tolist(),
        pulses.time.tolist(),
        pulses.charge.tolist(),
        pulses.width.tolist(),
        pulses.flags.tolist(),
        strict=True,
    ):
        pulse = dataclasses.I3RecoPulse()
        pulse.time, pulse.charge, pulse.width, pulse.flags = time, charge, width, flags
        own = series.get(tuple(sensor))
        if own is None:
            own = series[tuple(sensor)] = dataclasses.I3RecoPulseSeries()
        own.append(pulse)
    found = dataclasses.I3RecoPulseSeriesMap()
    for sensor, own in series.items():
        found[icetray.OMKey(*sensor)] = own
    return found


def selected_pulses(frame: Any, key: str, pulses: PulseTable, kept: np.ndarray) -> Any:
    """Selects pulses of a frame: IceTray copies those that are kept, with all that they have.

    Args:
      frame: of IceTray.
      key: of the pulses: a map, a mask or a union of maps, or an I3SuperDST.
      pulses: of the key, P of them, as `reading.read_pulses` gives them.
      kept: flags [P].

    Returns:
      An I3RecoPulseSeriesMap of the pulses that are kept.
    """
    mask = dataclasses.I3RecoPulseSeriesMapMask(frame, key)
    index = series_index(pulses.sensor)
    group, dropped = np.cumsum(index == 0) - 1, np.flatnonzero(~kept)
    whole = np.bincount(group) == np.bincount(group[dropped], minlength=group[-1] + 1) if len(group) else group
    for place in dropped[~whole[group[dropped]]].tolist():
        mask.set(icetray.OMKey(*pulses.sensor[place].tolist()), int(index[place]), False)
    for place in dropped[whole[group[dropped]] & (index[dropped] == 0)].tolist():
        mask.set(icetray.OMKey(*pulses.sensor[place].tolist()), False)
    return mask.apply(frame)


def to_sensors(sensor: np.ndarray) -> Any:
    """Makes a list of modules.

    Args:
      sensor: [N, 3], string, module and photomultiplier.

    Returns:
      An I3VectorOMKey.
    """
    return dataclasses.I3VectorOMKey(omkeys(sensor))


def to_windows(windows: WindowTable) -> Any:
    """Makes time windows of modules.

    Args:
      windows: sorted by sensor.

    Returns:
      An I3TimeWindowSeriesMap.
    """
    series: dict[tuple[int, ...], Any] = {}
    for sensor, start, stop in zip(windows.sensor.tolist(), windows.start, windows.stop, strict=True):
        own = series.setdefault(tuple(map(int, sensor)), dataclasses.I3TimeWindowSeries())
        own.append(dataclasses.I3TimeWindow(float(start), float(stop)))
    found = dataclasses.I3TimeWindowSeriesMap()
    for sensor, own in series.items():
        found[icetray.OMKey(*sensor)] = own
    return found


def to_particle(particle: Particle) -> Any:
    """Makes a particle.

    Args:
      particle: its record.

    Returns:
      An I3Particle.
    """
    made = dataclasses.I3Particle()
    made.pos = dataclasses.I3Position(particle.x, particle.y, particle.z)
    made.dir = dataclasses.I3Direction(particle.zenith, particle.azimuth)
    made.energy, made.time, made.length = particle.energy, particle.time, particle.length
    made.speed = dataclasses.I3Constants.c
    made.shape = getattr(dataclasses.I3Particle.ParticleShape, particle.shape)
    made.type = getattr(dataclasses.I3Particle.ParticleType, particle.kind)
    made.fit_status = dataclasses.I3Particle.FitStatus.values[int(particle.status)]
    return made


def to_particles(particles: Iterable[Particle]) -> Any:
    """Makes a list of particles.

    Args:
      particles: their records.

    Returns:
      An I3VectorI3Particle.
    """
    return dataclasses.I3VectorI3Particle([to_particle(own) for own in particles])


def to_numbers(values: Mapping[str, float]) -> Any:
    """Makes named numbers.

    Args:
      values: by name.

    Returns:
      An I3MapStringDouble.
    """
    made = dataclasses.I3MapStringDouble()
    for name, value in values.items():
        made[name] = float(value)
    return made


def to_sensor_numbers(sensor: np.ndarray, values: np.ndarray) -> Any:
    """Makes a number for every module.

    Args:
      sensor: [N, 3], string, module and photomultiplier.
      values: [N].

    Returns:
      An I3MapKeyDouble.
    """
    made = dataclasses.I3MapKeyDouble()
    for key, value in zip(omkeys(sensor), values, strict=True):
        made[key] = float(value)
    return made


def put(frame: Any, key: str, value: Any) -> None:
    """Puts something into a frame.

    Args:
      frame: of IceTray.
      key: that the frame does not have.
      value: a frame object, or a text.

    Raises:
      ConfigError: the frame has the key already.
    """
    if frame.Has(key):
        raise ConfigError(
            f"the frame has a '{key}' already: give every module an output_key (every segment a name) of its own, or delete "
            "the earlier one."
        )
    frame[key] = dataclasses.I3String(value) if isinstance(value, str) else value


def to_array(values: np.ndarray) -> Any:
    """Makes a list of numbers.

    Args:
      values: [N], real or whole numbers.

    Returns:
      An I3VectorInt of whole numbers (an I3VectorInt64 where 32 bits do not hold them), else an I3VectorDouble.
    """
    if values.dtype.kind in "iu":
        if len(values) and np.max(np.abs(values)) > np.iinfo(np.int32).max:
            return dataclasses.I3VectorInt64([int(v) for v in values])
        return dataclasses.I3VectorInt([int(v) for v in values])
    return dataclasses.I3VectorDouble([float(v) for v in values])


def sensors_of(detector: Detector) -> np.ndarray:
    """Finds the keys of the sensors of a detector: the reverse of `fit_frames.sensor_labels`.

    Args:
      detector: with labels of strings and modules.

    Returns:
      Sensors [D, 3], string, module and photomultiplier.
    """
    string, om = np.asarray(detector.string, np.int64), np.asarray(detector.om, np.int64)
    return np.stack([string, om % STEP, om // STEP], axis=1)


def to_window(ends: np.ndarray) -> Any:
    """Makes a time window.

    Args:
      ends: [2], start and stop, ns.

    Returns:
      An I3TimeWindow.
    """
    return dataclasses.I3TimeWindow(float(ends[0]), float(ends[1]))
