"""A likelihood for searches in bright events: no DOM counts for more than some photoelectrons.

The few DOMs next to a bright shower outweigh all others by orders of magnitude, and hold the fit in minima of their own:
on their string, on its other side. Where all count alike, the minimum that all of them agree on is found first.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.measurement.event import Event
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.model.log_likelihood import loss_parts
from evgen_jax.numerics import precise_sum

MOST = 100.0
"""Photoelectrons: the charge of a DOM is believed to a tenth at best."""
WIDTH, GROWTH = 2.0, 0.2
"""See `merge_pulses`: what a hundred photoelectrons can tell apart needs no more pulses."""


def limited_log_likelihood(model: AnyModel, hypothesis: Array, event: Event) -> Array:
    """The log-likelihood in which DOMs of a charge above `MOST` weigh `MOST / charge`, a scalar.

    Terms of a DOM are those of its charge and of its pulses; terms of the whole event and priors keep their weight. A
    weighted likelihood has its minimum near that of the full one, and wider: for searches, not for results.

    Args:
      model: what is fitted.
      hypothesis: [H], physical units.
      event: one event.
    """
    event = jax.tree.map(jnp.asarray, event)
    loss = loss_parts(model, hypothesis, event)
    weight = MOST / jnp.maximum(event.charge, MOST)
    total = precise_sum(loss.per_dom(event) * weight) + loss.event
    return -total - model.loss.prior(model.parameters, hypothesis)


def is_bright(event: Event, most: float = MOST) -> bool:
    """Whether limited charges change anything: a usable DOM has seen more than `most` photoelectrons."""
    return bool(np.any(np.asarray(event.charge)[np.asarray(event.usable)] > most))


def with_fewer_pulses(event: Event) -> Event:
    """The event with pulses merged as far as limited charges allow."""
    return merge_pulses(event, WIDTH, GROWTH)
