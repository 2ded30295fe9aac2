"""Checks of what users give to be written: columns of one length, numbers that can be, events that are told apart."""

from collections.abc import Mapping, Sequence

import numpy as np
from jax.typing import ArrayLike

from evgen_jax.errors import DataError, shown, suggestion
from evgen_jax.measurement.detector import Detector

PULSES = ("event", "string", "om", "time", "charge")
"""Columns of pulses that are given."""
LARGEST_ID = 2**32 - 1
"""Largest run and event number that the layout holds."""


def check_columns(name: str, columns: Mapping[str, ArrayLike], needed: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Makes arrays of columns.

    Args:
      name: of the table, for messages.
      columns: column name -> values [N].
      needed: columns that must be there; where none is given at all, they are empty.

    Returns:
      Column name -> array [N].

    Raises:
      DataError: a column is missing, no list of numbers, or of another length.
    """
    if not columns:
        return {
            column: np.zeros(0, np.int64 if column in ("event", "string", "om") else np.float64) for column in needed
        }
    arrays = {column: np.asarray(values) for column, values in columns.items()}
    for column in needed:
        if column not in arrays:
            raise DataError(
                f"{name}: the column '{column}' is missing; got {', '.join(arrays)}, expected {', '.join(needed)}."
                + suggestion(column, arrays)
            )
    count = len(next(iter(arrays.values()))) if next(iter(arrays.values())).ndim else -1
    for column, values in arrays.items():
        if values.ndim < 1 or values.dtype.kind not in "iufb":
            raise DataError(f"{name}: '{column}' must be a list of numbers, got {shown(columns[column])}.")
        if len(values) != count:
            raise DataError(
                f"{name}: '{column}' has {len(values)} values, '{next(iter(arrays))}' has {count}; expected equally many."
            )
        if column in ("event", "string", "om"):
            whole = values.astype(np.int64) if values.dtype.kind != "f" or np.all(np.isfinite(values)) else None
            if whole is None or np.any(whole != values) or np.any(whole < 0):
                raise DataError(f"{name}: '{column}' must hold whole numbers from 0, got {shown(columns[column])}.")
            arrays[column] = whole
    return arrays


def check_pulses(columns: Mapping[str, np.ndarray]) -> None:
    """Checks the numbers of pulses.

    Args:
      columns: column name -> values [P] of the table of pulses.

    Raises:
      DataError: a column that the layout does not have, times that are not finite, or charges that are negative or not finite.
    """
    for column in columns:
        if column not in PULSES:
            raise DataError(
                f"pulses: '{column}' is no column of pulses; expected {', '.join(PULSES)}." + suggestion(column, PULSES)
            )
    for column, wrong, expected in (
        ("time", ~np.isfinite(columns["time"]), "finite times, ns"),
        ("charge", ~(np.isfinite(columns["charge"]) & (columns["charge"] >= 0)), "finite charges >= 0, PE"),
    ):
        if wrong.any():
            i = int(np.argmax(wrong))
            raise DataError(
                f"pulses: '{column}' is {columns[column][i]} in row {i} of {len(wrong)}; expected {expected}."
            )


def check_labels(columns: Mapping[str, np.ndarray]) -> None:
    """Checks that zeniths are radians and energies not negative; labels that are not finite are events without labels.

    Args:
      columns: column name -> values [E].

    Raises:
      DataError: a zenith outside [0, pi], or an energy below 0.
    """
    for column, values in columns.items():
        if column.endswith("zenith"):
            wrong, expected = (values < 0) | (values > np.pi + 1e-6), "an angle in [0, pi], radians"
        elif column.endswith("energy"):
            wrong, expected = values < 0, "an energy >= 0, GeV"
        else:
            continue
        if wrong.any():
            raise DataError(f"labels: '{column}' is {values[wrong][0]}; expected {expected}.")


def check_ids(
    run: ArrayLike,
    event_ids: ArrayLike | None,
    num_events: int | None,
    tables: Mapping[str, Mapping[str, np.ndarray]],
    named: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds out how many events there are, and their ids.

    Args:
      run: run number of all events, or of every event [E].
      event_ids: event numbers [E]; None: from 0.
      num_events: E; None: what the others say.
      tables: table name -> column name -> values [E].
      named: numbers of the events that have pulses [P].

    Returns:
      Run numbers [E] and event numbers [E].

    Raises:
      DataError: several numbers of events, ids that cannot be, or events with equal ids.
    """
    runs = np.asarray(run)
    counts = {} if num_events is None else {"num_events": int(num_events)}
    counts |= {"run": len(runs)} if runs.ndim else {}
    counts |= {} if event_ids is None else {"event_ids": len(np.atleast_1d(np.asarray(event_ids)))}
    for name, columns in tables.items():
        counts |= {f"table '{name}'": len(values) for values in list(columns.values())[:1]}
    count = next(iter(counts.values()), int(named.max(initial=-1)) + 1)
    for name, own in counts.items():
        if own != count:
            first = next(iter(counts))
            raise DataError(f"{name} has {own} events, {first} has {count}; expected equally many.")
    ids = np.broadcast_to(runs, count), np.arange(count) if event_ids is None else np.atleast_1d(np.asarray(event_ids))
    for name, values in zip(("run", "event_ids"), ids, strict=True):
        if values.dtype.kind not in "iu" or np.any(values < 0) or np.any(values > LARGEST_ID):
            raise DataError(f"{name}: expected whole numbers from 0 to {LARGEST_ID}, got {shown(values.tolist()[:5])}.")
    pairs, times = np.unique(np.stack(ids, axis=1), axis=0, return_counts=True)
    if len(pairs) < count:
        worst = pairs[np.argmax(times)]
        raise DataError(
            f"run {worst[0]}, event {worst[1]} is given {times.max()} times; events are told apart by these."
        )
    return ids


def check_modules(name: str, columns: Mapping[str, np.ndarray], events: int, detector: Detector | None) -> None:
    """Checks that rows belong to events and modules that there are.

    Args:
      name: of the table, for messages.
      columns: event [X], string [X] and om [X].
      events: number of events.
      detector: that has the modules; None: not known.

    Raises:
      DataError: an event or a module that there is not.
    """
    event = columns["event"]
    if len(event) and event.max() >= events:
        raise DataError(f"{name}: 'event' is {event.max()}, but there are {events} events, numbered from 0.")
    if detector is None or not len(event):
        return
    string, om = columns["string"], columns["om"]
    unknown = (detector.dom_index(string, om) < 0) & ~detector.is_ignored(string, om)
    if unknown.any():
        i = int(np.argmax(unknown))
        raise DataError(
            f"{name}: the module (string {string[i]}, om {om[i]}) is none of the detector '{detector.name}'. Check the labels, or "
            "write without detector."
        )
