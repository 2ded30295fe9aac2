"""Training steps that see some modules of each event: the lit ones, the nearest, and a sample of the dark rest.

Terms of the loss are sums over modules. All lit modules and the nearest dark ones are taken as they are; of the others a few are
drawn for every step and count for all of them, so that the gradient of the whole event is met in the mean. Needs sources whose
modules share their weights.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import evgen_jax as eg
from evgen_jax.training.step import TrainState

SURE = 0.75
"""Share of the chosen modules that is taken for sure."""


class Chosen(NamedTuple):
    """A batch of parts of B events, N modules each.

    Attributes:
      near: events of the modules that are taken for sure.
      far: events of those that are drawn.
      near_places: [B, Nn], places in the detector's tables.
      far_places: [B, Nf].
      weight: for how many modules one drawn module stands.
      labels: [B, H].
    """

    near: eg.Event
    far: eg.Event
    near_places: np.ndarray
    far_places: np.ndarray
    weight: np.ndarray
    labels: np.ndarray


def choose(event: eg.Event, label: np.ndarray, position: np.ndarray, count: int, rng: np.random.Generator) -> Chosen:
    """Chooses modules of one event; its first three labels are the place of its light, m."""
    event = jax.tree.map(np.asarray, event)
    doms = position.shape[0]
    sure = int(SURE * count)
    distance = np.linalg.norm(position - label[:3], axis=1)
    lit = event.active[event.active < doms]
    distance[lit] = -1.0
    if len(lit) > sure:
        raise ValueError(f"modules={count}: an event has {len(lit)} lit modules, which do not fit {sure} places.")
    order = np.argsort(distance)
    near, rest = np.sort(order[:sure]), order[sure:]
    far = rng.choice(rest, count - sure, replace=False)
    place_of = np.full(doms + 1, sure)
    place_of[near] = np.arange(sure)
    own = event.replace(charge=event.charge[near], usable=event.usable[near], active=place_of[event.active])
    dark = event.replace(
        charge=event.charge[far],
        usable=event.usable[far],
        active=np.full_like(event.active, count - sure),
        pulses=event.pulses.replace(mask=np.zeros_like(event.pulses.mask)),
        windows=event.windows.replace(mask=np.zeros_like(event.windows.mask)),
    )
    return Chosen(own, dark, near, far, np.float32(len(rest) / (count - sure)), label)


def chosen_batches(stream: Iterator, detector: eg.Detector, count: int) -> Iterator[Chosen]:
    """Batches of chosen modules from batches of whole events."""
    position, rng = np.asarray(detector.position), np.random.default_rng(1)
    for events, labels in stream:
        parts = [
            choose(jax.tree.map(lambda x, i=i: np.asarray(x)[i], events), labels[i], position, count, rng)
            for i in range(len(labels))
        ]
        yield jax.tree.map(lambda *leaves: np.stack(leaves), *parts)


def make_chosen_step(model: eg.Model, optimizer: optax.GradientTransformation) -> Callable:
    """The step (state, chosen) -> (state, loss)."""
    source, detector, loss = model.source, model.detector, model.loss

    def part(variables, event: eg.Event, label, places):
        light = source.light_yield(variables, label, event, detector.modules(places), loss.needs_cumulative)
        return loss(light, event)

    def one(variables, chosen: Chosen):
        near = part(variables, chosen.near, chosen.labels, chosen.near_places)
        return near + chosen.weight * part(variables, chosen.far, chosen.labels, chosen.far_places)

    def mean(variables, chosen: Chosen):
        return jnp.mean(jax.vmap(one, (None, 0))(variables, chosen))

    def step(state: TrainState, chosen: Chosen):
        value, gradient = jax.value_and_grad(mean)(state.variables, chosen)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.variables)
        return TrainState(optax.apply_updates(state.variables, updates), optimizer_state, state.step + 1), value

    return step
