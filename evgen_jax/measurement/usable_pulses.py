"""Which pulses of an event carry information: pulses with a charge, at modules that take part."""

import numpy as np

from evgen_jax.measurement.event import Event

DARK = "no usable pulse"
"""Reason why an event without a usable pulse is not fitted."""


def usable_pulses(event: Event) -> np.ndarray:
    """Finds the pulses of one event that have a charge above 0 and lie at usable DOMs.

    Args:
      event: one event.

    Returns:
      Flags [P].
    """
    mask, slot = np.asarray(event.pulses.mask), np.asarray(event.pulses.slot)
    if len(slot) == 0:
        return mask
    dom = np.asarray(event.active)[np.minimum(slot, len(event.active) - 1)]
    usable = np.asarray(event.usable)[np.minimum(dom, len(event.usable) - 1)]
    return mask & usable & (np.asarray(event.pulses.charge) > 0)


def is_dark(event: Event) -> bool:
    """Returns whether an event has no usable pulse, so that nothing can be fitted.

    Args:
      event: one event.

    Returns:
      True without a usable pulse.
    """
    return not usable_pulses(event).any()
