"""What public functions check of their arguments: shapes, which are known when a function is traced, and free when it runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evgen_jax.detector import Detector
from evgen_jax.errors import DataError, HypothesisError
from evgen_jax.event import Event


def check_hypothesis(hypothesis: Any, names: Sequence[str], what: str = "a hypothesis") -> None:
    """Raises HypothesisError unless there is one number per parameter."""
    shape = _shape(hypothesis)
    if shape == (len(names),):
        return
    advice = ""
    if len(shape) == 2 and shape[1] == len(names):
        advice = " Many at once: jax.vmap, or one after the other."
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    given = "numbers of different lengths" if shape == (None,) else f"shape {shape}"
    raise HypothesisError(f"expected {what} of {len(names)} parameters ({shown}), got {given}.{advice}")


def check_event(event: Any, detector: Detector) -> None:
    """Raises DataError unless it is one event with as many DOMs as the detector."""
    if not isinstance(event, Event):
        raise DataError(
            f"expected one Event, got {_kind(event)}. Events are made by `Event.from_pulses`; many at once: jax.vmap."
        )
    shape = np.shape(event.charge)
    if len(shape) != 1:
        raise DataError(f"expected one event, got a batch of shape {shape[:-1]}. Many at once: jax.vmap.")
    if shape[0] != detector.num_doms:
        raise DataError(
            f"the event has {shape[0]} DOMs, the detector '{detector.name}' of the model {detector.num_doms}: it was made "
            "for another detector. Make it with `Event.from_pulses(..., detector=model.detector)`."
        )


def check_events(events: Any, detector: Detector) -> None:
    """Raises DataError unless it is a sequence of events of the detector."""
    if isinstance(events, Event):
        given = "one Event" if np.ndim(events.charge) == 1 else "a batch"
        raise DataError(f"expected a list of events, got {given}. Of one event it is [event].")
    if not isinstance(events, Sequence):
        raise DataError(f"expected a list of events, got {_kind(events)}.")
    for event in events:
        check_event(event, detector)


def check_times(times: Any) -> None:
    """Raises DataError unless it is a list of times [T], ns."""
    if len(_shape(times)) != 1:
        raise DataError(f"expected times [T] in ns, got shape {_shape(times)}.")


def _shape(values: Any) -> tuple:
    """Of an array, a number or nested lists, which may hold traced values; (None,) if their lengths differ."""
    if isinstance(values, list | tuple):
        inner = {_shape(value) for value in values}
        if len(inner) > 1 or (None,) in inner:
            return (None,)
        return (len(values), *(inner.pop() if inner else ()))
    return tuple(np.shape(values)) if not hasattr(values, "shape") else tuple(values.shape)


def _kind(value: Any) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, list | tuple) else f"a {kind}"
