"""A likelihood for searches in bright events: no DOM counts for more than some photoelectrons.

The few DOMs next to a bright shower outweigh all others by orders of magnitude, and hold the fit in minima of their
own:
on their string, on its other side. Where all count alike, the minimum that all of them agree on is found first.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from evgen_jax.measurement.event import Event
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.model.log_likelihood import loss_parts
from evgen_jax.numerics import precise_sum

MOST = 100.0
"""Charge above which the terms of a DOM are weighted down, PE: its charge is known to a tenth at best."""
WIDTH = 2.0
"""Width within which pulses are merged, ns, see `merge_pulses`."""
GROWTH = 0.2
"""Growth of the width within which pulses are merged with the time since light began, see `merge_pulses`."""


def limited_log_likelihood(model: AnyModel, hypothesis: Float[Array, " H"], event: Event) -> Float[Array, ""]:
    """Computes the log-likelihood in which DOMs of a charge above `MOST` weigh `MOST / charge`.

    Terms of a DOM are those of its charge and of its pulses; terms of the whole event and priors keep their weight. A
    weighted likelihood has its minimum near that of the full one, and wider: for searches, not for results.

    Args:
      model: what is fitted.
      hypothesis: [H], physical units.
      event: one event.

    Returns:
      Log-likelihood, a scalar.
    """
    event = jax.tree.map(jnp.asarray, event)
    loss = loss_parts(model, hypothesis, event)
    weight = MOST / jnp.maximum(event.charge, MOST)
    total = precise_sum(loss.per_dom(event) * weight) + loss.event
    return -total - model.loss.penalty(model.parameters, hypothesis)


def is_bright(event: Event, most: float = MOST) -> bool:
    """Tells whether limited charges change anything: a usable DOM has seen more than `most` photoelectrons.

    Args:
      event: one event.
      most: charge, PE.

    Returns:
      Whether it does.
    """
    return bool(np.any(np.asarray(event.charge)[np.asarray(event.usable)] > most))


def with_fewer_pulses(event: Event) -> Event:
    """Merges the pulses of an event as far as limited charges allow.

    Args:
      event: one event.

    Returns:
      The event with merged pulses.
    """
    return merge_pulses(event, WIDTH, GROWTH)
