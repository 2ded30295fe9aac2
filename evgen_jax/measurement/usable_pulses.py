"""Which pulses of an event say anything: those with a charge, at modules that take part."""

import numpy as np

from evgen_jax.measurement.event import Event

DARK = "no usable pulse"
"""Why an event is not fitted that has none."""


def usable_pulses(event: Event) -> np.ndarray:
    """Marks [P] of the pulses of one event that have a charge above 0 and lie at usable DOMs."""
    mask, slot = np.asarray(event.pulses.mask), np.asarray(event.pulses.slot)
    if len(slot) == 0:
        return mask
    dom = np.asarray(event.active)[np.minimum(slot, len(event.active) - 1)]
    usable = np.asarray(event.usable)[np.minimum(dom, len(event.usable) - 1)]
    return mask & usable & (np.asarray(event.pulses.charge) > 0)


def is_dark(event: Event) -> bool:
    """Whether nothing can be fitted: no usable pulse."""
    return not usable_pulses(event).any()
