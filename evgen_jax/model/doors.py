"""Checks of what the functions of a model are given: hypotheses, events, times, readouts and weights.

Shapes are known when a function is traced, so that their checks cost nothing when it runs. Values are checked where
they are numbers; traced ones pass.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from evgen_jax.errors import ConfigError, DataError, HypothesisError, shown
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.hypothesis.roles import ENERGIES
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event


def check_hypothesis(hypothesis: Any, names: Sequence[str], what: str = "a hypothesis") -> None:
    """Checks that a hypothesis has one number per parameter.

    Args:
      hypothesis: what the user gave; [H] is expected.
      names: of the H parameters.
      what: names the argument in the message.

    Raises:
      HypothesisError: another shape.
    """
    shape = _shape(hypothesis)
    if shape == (len(names),):
        return
    advice = ""
    if len(shape) == 2 and shape[1] == len(names):
        advice = " Many at once: jax.vmap, or one after the other."
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    given = "numbers of different lengths" if shape == (None,) else f"shape {shape}"
    raise HypothesisError(f"expected {what} of {len(names)} parameters ({shown}), got {given}.{advice}")


def check_values(hypothesis: Any, parameters: Sequence[Parameter]) -> None:
    """Checks that the light of a hypothesis can be computed: finite numbers, no energy below 0; traced ones pass.

    Args:
      hypothesis: [H], physical units.
      parameters: H of them.

    Raises:
      HypothesisError: names the first parameter that is neither.
    """
    numbers = hypothesis if isinstance(hypothesis, list | tuple) else [hypothesis]
    if any(isinstance(number, jax.core.Tracer) for number in numbers):
        return
    for parameter, value in zip(parameters, np.asarray(hypothesis, np.float64), strict=True):
        if not np.isfinite(value):
            raise HypothesisError(f"'{parameter.name}' is {value}; expected a finite number.")
        if parameter.role in ENERGIES and value < 0:
            raise HypothesisError(f"'{parameter.name}' is {value:.4g}; expected an energy >= 0 GeV.")


def check_event(event: Any, detector: Detector) -> None:
    """Checks that something is one event with as many DOMs as the detector.

    Args:
      event: what the user gave.
      detector: of the model.

    Raises:
      DataError: no event, a batch of events, or an event of another number of DOMs.
    """
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
    """Checks that something is a sequence of events of the detector.

    Args:
      events: what the user gave.
      detector: of the model.

    Raises:
      DataError: no sequence, or an entry that is no event of the detector.
    """
    if isinstance(events, Event):
        given = "one Event" if np.ndim(events.charge) == 1 else "a batch"
        raise DataError(f"expected a list of events, got {given}. Of one event it is [event].")
    if not isinstance(events, Sequence):
        raise DataError(f"expected a list of events, got {_kind(events)}.")
    for event in events:
        check_event(event, detector)


def check_times(times: Any) -> None:
    """Checks that something is a list of times [T], ns.

    Args:
      times: what the user gave.

    Raises:
      DataError: another number of axes.
    """
    if len(_shape(times)) != 1:
        raise DataError(f"expected times [T] in ns, got shape {_shape(times)}.")


def check_readout(readout: Any) -> None:
    """Checks that something is a readout window (start, stop) in ns, finite and start <= stop; traced ends pass.

    Args:
      readout: what the user gave.

    Raises:
      ConfigError: no window.
    """
    if _shape(readout) == (2,):
        traced = jax.core.Tracer
        if isinstance(readout, traced) or any(isinstance(end, traced) for end in readout):
            return
        try:
            start, stop = map(float, readout)
        except (TypeError, ValueError):
            pass
        else:
            if np.isfinite([start, stop]).all() and start <= stop:
                return
    raise ConfigError(
        f"readout: expected (start, stop) in ns, finite and start <= stop, got {shown(readout)}. "
        "Of an event it is `event.readout`."
    )


def check_variables(variables: Any, own: Any) -> None:
    """Checks that weights have the names and shapes of a model's weights; further weights pass.

    Args:
      variables: what the user gave.
      own: weights of the model.

    Raises:
      ConfigError: a missing name or another shape; says where in the tree.
    """
    if fault := _fault(variables, own):
        raise ConfigError(f"variables: {fault}. Give `model.variables`, or weights of the same model.")


def _fault(given: Any, own: Any, path: str = "") -> str:
    """Returns what is wrong with weights at a path of the tree, or an empty string."""
    where = f" at '{path}'" if path else ""
    if isinstance(own, Mapping):
        if not isinstance(given, Mapping):
            return f"expected a dictionary of weights{where}, got {_kind(given)}" if own or given is None else ""
        if missing := [name for name in own if name not in given]:
            return f"expected weights named {', '.join(map(str, own))}{where}, '{missing[0]}' is missing"
        faults = (_fault(given[name], part, f"{path}/{name}".strip("/")) for name, part in own.items())
        return next(filter(None, faults), "")
    if isinstance(own, tuple | list):
        if not isinstance(given, tuple | list) or len(given) != len(own):
            return f"expected the weights of {len(own)} models{where}, got {_kind(given)}"
        faults = (
            _fault(one, part, f"{path}/{i}".strip("/")) for i, (one, part) in enumerate(zip(given, own, strict=True))
        )
        return next(filter(None, faults), "")
    if hasattr(own, "shape") and _shape(given) != tuple(own.shape):
        return f"expected weights of shape {tuple(own.shape)}{where}, got {_shape(given)}"
    return ""


def _shape(values: Any) -> tuple[int | None, ...]:
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
