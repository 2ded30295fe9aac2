"""Places and times of any size: counted from an origin where float32 would not hold them. Only differences matter."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Real

from evgen_jax.errors import DataError
from evgen_jax.hypothesis.parameters import POSITIONS, Parameter
from evgen_jax.hypothesis.roles import TIMES
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event

LARGE_TIME = 1e5
"""Begin of the readout up to which float32 holds times to 0.01 ns, ns."""


def relative_to_origin(
    detector: Detector, parameters: Sequence[Parameter], values: Real[np.ndarray, "*shape H"], sign: int = -1
) -> Real[np.ndarray, "*shape H"]:
    """Shifts hypotheses in a table's coordinates to those of its detector; with sign +1 the way back.

    Args:
      detector: whose `origin` counts.
      parameters: H of them; those with the role x, y or z are coordinates.
      values: [..., H], physical units.
      sign: -1 subtracts the origin, +1 adds it.

    Returns:
      Hypotheses [..., H], physical units.
    """
    if not any(detector.origin):
        return values
    shift = np.zeros(len(parameters))
    for i, parameter in enumerate(parameters):
        if parameter.role in POSITIONS:
            shift[i] = detector.origin[POSITIONS.index(parameter.role)]
    return values + sign * shift


def anchor_of(begin: Real[np.ndarray, "*shape"]) -> Real[np.ndarray, "*shape"]:
    """Chooses where times are counted from.

    Args:
      begin: begins of readout windows (any shape), ns.

    Returns:
      Anchors of that shape, ns: the begin where float32 does not hold it to 0.01 ns, else 0.
    """
    return np.where(np.abs(begin) >= LARGE_TIME, begin, 0.0)


def time_places(parameters: Sequence[Parameter]) -> tuple[int, ...] | None:
    """Finds the parameters that are times.

    Args:
      parameters: of a hypothesis.

    Returns:
      Places of the times; None if a parameter has no role and may be a time.
    """
    if any(parameter.role is None for parameter in parameters):
        return None
    return tuple(i for i, parameter in enumerate(parameters) if parameter.role in TIMES)


def shifted_times(
    parameters: Sequence[Parameter], hypotheses: Real[np.ndarray, "*shape H"], by: float
) -> Float[np.ndarray, "*shape H"]:
    """Adds a shift to every time of hypotheses.

    Args:
      parameters: of a hypothesis, H of them.
      hypotheses: [..., H], physical units.
      by: shift, ns.

    Returns:
      Shifted hypotheses [..., H], float64.

    Raises:
      DataError: a parameter of which nothing tells whether it is a time, and a shift that is not 0.
    """
    moved = np.array(hypotheses, np.float64)
    if by == 0:
        return moved
    places = time_places(parameters)
    if places is None:
        unknown = [parameter.name for parameter in parameters if parameter.role is None]
        raise DataError(
            f"the readout begins at {abs(by):g} ns, which float32 does not hold; times are counted from there, but the names of the "
            f"parameters {', '.join(unknown[:5])} do not tell whether they are times. Declare them in the source as "
            "Parameter(name, role='time') or role='other', or subtract the begin of the readout from all times of the event."
        )
    moved[..., places] += by
    return moved


def counted_from_readout(
    parameters: Sequence[Parameter], hypothesis: Real[np.ndarray, " H"], event: Event
) -> tuple[np.ndarray, Event, float]:
    """Counts the times of a hypothesis and an event from the begin of the readout window where they are large.

    Args:
      parameters: of the hypothesis, H of them.
      hypothesis: [H], physical units.
      event: one event.

    Returns:
      Hypothesis [H], event, and what was subtracted from all times, ns; 0 and unchanged where times are small.

    Raises:
      DataError: large times, and a parameter of which nothing tells whether it is a time.
    """
    anchor = float(anchor_of(np.asarray(event.readout, np.float64)[0]))
    moved = shifted_times(parameters, hypothesis, -anchor)
    if anchor == 0:
        return moved, event, anchor

    def less(times: jax.Array) -> np.ndarray:
        return np.asarray(times, np.float64) - anchor

    pulses, windows = event.pulses, event.windows
    event = event.replace(
        readout=less(event.readout),
        pulses=pulses.replace(time=less(pulses.time)),
        windows=windows.replace(start=less(windows.start), stop=less(windows.stop)),
    )
    return moved, event, anchor
