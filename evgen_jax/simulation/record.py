"""What a directory of simulated events was made with, and whether its ranges reach the detector."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.data.file_detector import EARLIER_LIGHT
from evgen_jax.errors import DataError
from evgen_jax.files import write_whole
from evgen_jax.hypothesis.names import with_time_spelled_out
from evgen_jax.hypothesis.parameters import POSITIONS, Parameter
from evgen_jax.measurement.detector import Detector
from evgen_jax.physics.media import KNOWN

LOGGER = logging.getLogger("evgen_jax")


def check_record(directory: Path, name: str, settings: dict[str, Any]) -> None:
    """Compares the settings of a simulation with those of the files that are there, and remembers them.

    More events than before may be asked for, if all files are full.

    Args:
      directory: of the events.
      name: of the simulation; every one has its own record `<name>.simulation.json`.
      settings: plain values; 'num_events' and 'events_per_file' are among them.

    Raises:
      DataError: the directory holds events of this name that were simulated with other settings.
    """
    path, now = directory / f"{name}.simulation.json", json.loads(json.dumps(settings))
    there = sorted(directory.glob(f"{name}_*.hdf5"))
    if there and not path.is_file():
        LOGGER.warning(
            "%s: keeps %d files (%s, ...) that do not say with which settings they were simulated.",
            directory,
            len(there),
            there[0].name,
        )
    elif there:
        was = _as_now(json.loads(path.read_text()))
        if "medium" in now:  # earlier versions knew one alone
            was.setdefault("medium", KNOWN[0])
        if "provenance" in now:
            was.setdefault("provenance", f"{EARLIER_LIGHT} (of an earlier version)")
        grown = now["num_events"] > was["num_events"] and was["num_events"] % was["events_per_file"] == 0
        different = [
            key for key in {**was, **now} if was.get(key) != now.get(key) and not (grown and key == "num_events")
        ]
        if different:
            changes = "; ".join(_change(key, was.get(key), now.get(key)) for key in different)
            raise DataError(
                f"{directory}: holds {len(there)} files of '{name}' that were simulated with other settings: {changes}. "
                "Give another directory with -o, or remove them."
            )
    write_whole(path, json.dumps(settings, indent=1) + "\n")


def _as_now(was: dict[str, Any]) -> dict[str, Any]:
    """A record of an earlier version, whose label tables had cascade_t for the time."""
    tables = was.get("tables")
    if not isinstance(tables, dict) or "labels" not in tables:
        return was
    return {**was, "tables": {**tables, "labels": [with_time_spelled_out(name) for name in tables["labels"]]}}


def _change(key: str, was: Any, now: Any) -> str:
    if isinstance(was, dict) and isinstance(now, dict):
        return "; ".join(
            _change(f"{key}.{k}", was.get(k), now.get(k)) for k in {**was, **now} if was.get(k) != now.get(k)
        )
    return f"{key}: another one" if key == "detector" else f"{key}: {was} -> {now}"


def tell_far_ranges(parameters: Sequence[Parameter], ranges: np.ndarray, detector: Detector) -> None:
    """Warns of coordinates whose range ends before the modules of the detector begin.

    Args:
      parameters: of the hypothesis, H of them.
      ranges: [H, 2], low and high, physical units.
      detector: where the modules are.
    """
    position = np.asarray(detector.position, np.float64)
    low, high = position.min(axis=0), position.max(axis=0)
    for parameter, (first, last) in zip(parameters, ranges, strict=True):
        if parameter.role not in POSITIONS:
            continue
        axis = POSITIONS.index(parameter.role)
        gap = max(low[axis] - last, first - high[axis])
        if gap > 0:
            centre = (low[axis] + high[axis]) / 2
            text = (
                "simulation_settings.ranges.%s: from %g to %g m ends %.4g m outside of the detector (%g to %g m); its centre "
                "is %.4g m from the middle of the range."
            )
            away = abs((first + last) / 2 - centre)
            LOGGER.warning(text, parameter.name, first, last, gap, low[axis], high[axis], away)


def tell_dark_events(dark: int, count: int) -> None:
    """Warns of simulated events without a pulse.

    Args:
      dark: number of events without a pulse.
      count: number of all events.

    Raises:
      DataError: no event has one.
    """
    if dark and dark == count:
        raise DataError(
            f"simulation_settings: none of the {count} simulated events has a pulse. Compare the ranges of x, y, z and energy "
            "with detector_settings.geometry."
        )
    if dark:
        LOGGER.warning("%d of %d simulated events (%.1f%%) have no pulse.", dark, count, 100 * dark / count)
