"""A likelihood for searches in bright events: no DOM counts for more than some photoelectrons.

The few DOMs next to a bright shower outweigh all others by orders of magnitude, and hold the fit in minima of their own:
on their string, on its other side. Where all count alike, the minimum that all of them agree on is found first.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.light.source import Variables
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.model.model import Model, make_loss_parts
from evgen_jax.numerics import precise_sum

MOST = 100.0
"""Photoelectrons: the charge of a DOM is believed to a tenth at best."""
WIDTH, GROWTH = 2.0, 0.2
"""See `merge_pulses`: what a hundred photoelectrons can tell apart needs no more pulses."""


def make_limited_log_likelihood(model: Model, most: float = MOST) -> Callable[[Variables, Array, Event], Array]:
    """The log-likelihood in which DOMs of larger charge weigh `most / charge`, a pure function as `make_log_likelihood`.

    Terms of a DOM are those of its charge and of its pulses; terms of the whole event and priors keep their weight. A
    weighted likelihood has its minimum near that of the full one, and wider: for searches, not for results.
    """
    parts, names, terms = make_loss_parts(model), model.parameter_names, model.loss

    def log_likelihood(variables: Variables, hypothesis: Array, event: Event) -> Array:
        event = jax.tree.map(jnp.asarray, event)
        loss = parts(variables, hypothesis, event)
        weight = most / jnp.maximum(event.charge, most)
        total = precise_sum(loss.per_dom(event) * weight) + loss.event
        return -total - terms.prior(names, hypothesis)

    return log_likelihood


def is_bright(event: Event, most: float = MOST) -> bool:
    """Whether limited charges change anything."""
    return bool(np.any(np.asarray(event.charge)[np.asarray(event.usable)] > most))


def with_fewer_pulses(event: Event) -> Event:
    return merge_pulses(event, WIDTH, GROWTH)
