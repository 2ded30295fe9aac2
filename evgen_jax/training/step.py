"""One training step as a pure function, for one device and for several."""

from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Bool, Float

from evgen_jax.hypothesis.parameters import parameters_of
from evgen_jax.light.source import Variables, with_dropout_keys
from evgen_jax.measurement.event import Event
from evgen_jax.model.likelihood import Loss
from evgen_jax.model.model import Model


class TrainState(struct.PyTreeNode):
    """Holds what a step carries.

    Attributes:
      variables: weights.
      optimizer_state: of the optimiser.
      step: number of finished steps, scalar.
    """

    variables: Variables
    optimizer_state: Any
    step: Array


class Guarded(struct.PyTreeNode):
    """Holds a state that stays as it is from the first step on whose numbers are not finite.

    Attributes:
      state: after the last step with finite numbers.
      sound: whether all steps so far had finite numbers, a flag [].
    """

    state: TrainState
    sound: Array


TrainStep = Callable[[TrainState, Event, Array], tuple[TrainState, dict[str, Array]]]
"""(state, events [B], labels [B, H]) -> (state, metrics)."""
GuardedStep = Callable[[Guarded, Event, Array], tuple[Guarded, dict[str, Array]]]
"""(guarded, events [B], labels [B, H]) -> (guarded, metrics)."""
LossTerms = Callable[[Variables, Event, Array | np.ndarray], dict[str, Array]]
"""(variables, events [B], labels [B, H]) -> {name of a term: [B]}; the total stands under 'loss'."""
_Sum = tuple[Array, Variables]
"""Loss and its gradient."""
BatchLoss = Callable[[Variables, Event, Array, Array], _Sum]
"""(variables, events [B], labels [B, H], key) -> (loss, gradient)."""


def guarded(state: TrainState) -> Guarded:
    """Copies a state, to be carried by a step of `make_guarded_step`, which takes its memory.

    Args:
      state: to start from.

    Returns:
      The copy, sound so far.
    """
    return Guarded(copied(state), jnp.array(True))


def copied(tree: Any) -> Any:
    """Copies all arrays of a tree into new memory.

    Args:
      tree: of arrays.

    Returns:
      The copy.
    """
    return jax.tree.map(jnp.copy, tree)


def make_guarded_step(
    step: TrainStep,
    schedule: Callable[[Array], Array | float],
    nan_gradients: bool = False,
) -> GuardedStep:
    """Makes the step of a training, which changes nothing once a number of it or of an earlier step is not finite.

    Args:
      step: (state, events [B], labels [B, H]) -> (state, metrics), of `make_train_step`.
      schedule: number of finished steps -> learning rate, which is added to the metrics as 'learning_rate'.
      nan_gradients: whether a gradient that is not finite is no fault, because the optimiser takes it
        (`remove_nan_gradients`).

    Returns:
      The pure step (guarded, events, labels) -> (guarded, metrics).
    """

    def guarded_step(carry: Guarded, events: Event, labels: Array) -> tuple[Guarded, dict[str, Array]]:
        state, metrics = step(carry.state, events, labels)
        chex.assert_trees_all_equal_shapes_and_dtypes(state, carry.state)  # another state would be another program
        sound = carry.sound & is_sound(metrics, nan_gradients)
        kept = jax.tree.map(lambda new, old: jnp.where(sound, new, old), state, carry.state)
        return Guarded(kept, sound), {"learning_rate": jnp.asarray(schedule(carry.state.step)), **metrics}

    return guarded_step


def is_sound(metrics: Mapping[str, Any], nan_gradients: bool) -> Bool[Array, ""]:
    """Tells whether the numbers of a step are finite: its loss, its gradient and the weights after it.

    Args:
      metrics: of the step.
      nan_gradients: whether a gradient that is not finite is no fault.

    Returns:
      A flag, scalar.
    """
    gradient = jnp.isfinite(metrics["gradient_norm"]) | nan_gradients
    return jnp.isfinite(metrics["loss"]) & gradient & jnp.asarray(metrics["finite"], bool)


def init_state(variables: Variables, optimizer: optax.GradientTransformation) -> TrainState:
    """Makes the state before the first step.

    Args:
      variables: weights.
      optimizer: whose state begins.

    Returns:
      The state.
    """
    return TrainState(variables, optimizer.init(variables), jnp.zeros((), jnp.int32))


def make_batch_loss(model: Model, events_per_step: int | None = None) -> BatchLoss:
    """Makes the sum of the loss over a batch with its gradient.

    Args:
      model: gives source, detector and loss terms.
      events_per_step: events whose network is evaluated together; gradients of groups are added up one after the
        other. None: one at a time on a CPU, where a whole batch does not fit the cache, all at once elsewhere.

    Returns:
      Function (variables, events [B], labels [B, H], key) -> (loss, gradient).
    """
    source, detector, loss = model.source, model.detector, model.loss

    def group_loss(variables: Variables, events: Event, labels: Array, keys: Array) -> Array:
        def one(event: Event, hypothesis: Array, key: Array) -> Array:
            weights = with_dropout_keys(variables, key)
            light = source.light_yield(weights, hypothesis, event, detector, loss.needs_cumulative)
            return loss(light, event) + loss.penalty(parameters_of(source), hypothesis)

        if labels.shape[0] == 1:
            return one(*jax.tree.map(lambda x: x[0], (events, labels, keys)))
        return jnp.sum(jax.vmap(one)(events, labels, keys))

    def batch_loss(variables: Variables, events: Event, labels: Array, key: Array) -> tuple[Array, Variables]:
        count = labels.shape[0]
        keys = jax.random.split(key, count)
        size = events_per_step or (1 if jax.default_backend() == "cpu" else count)
        size = next(s for s in range(min(size, count), 0, -1) if count % s == 0)
        value_and_grad = jax.value_and_grad(group_loss)
        if size == count:
            return value_and_grad(variables, events, labels, keys)
        groups = jax.tree.map(lambda x: x.reshape(count // size, size, *x.shape[1:]), (events, labels, keys))

        def add(total: _Sum, group: tuple[Event, Array, Array]) -> tuple[_Sum, None]:
            value, gradient = value_and_grad(variables, *group)
            return (total[0] + value, jax.tree.map(jnp.add, total[1], gradient)), None

        zero = jnp.zeros((), jax.eval_shape(group_loss, variables, *jax.tree.map(lambda x: x[0], groups)).dtype)
        return jax.lax.scan(add, (zero, jax.tree.map(jnp.zeros_like, variables)), groups)[0]

    return batch_loss


def make_loss_terms(model: Model) -> LossTerms:
    """Makes the loss of every event of a batch, without gradients.

    Args:
      model: gives source, detector and loss terms.

    Returns:
      Function (variables, events [B], labels [B, H]) -> {name of a term: [B]}; the total stands under 'loss'.
    """
    source, detector = model.source, model.detector

    def one(variables: Variables, event: Event, hypothesis: Array) -> dict[str, Array]:
        light = source.light_yield(variables, hypothesis, event, detector, model.loss.needs_cumulative)
        terms = {term.name: Loss((term,))(light, event) for term in model.loss.terms}
        prior = model.loss.penalty(parameters_of(source), hypothesis)
        if model.loss.priors:
            terms["prior"] = prior
        return {"loss": model.loss(light, event) + prior, **terms}

    def loss_terms(variables: Variables, events: Event, labels: Array | np.ndarray) -> dict[str, Array]:
        return jax.lax.map(lambda pair: one(variables, *pair), (events, labels))

    return loss_terms


def make_train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    axis_name: str | None = None,
    events_per_step: int | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    normalize_by_total_charge: bool = False,
    trainable: Callable[[Variables], Any] | None = None,
    seed: int = 0,
) -> TrainStep:
    """Makes the pure step of a training.

    The loss is the mean over the events of the batch (the reference sums; Adam does not see the factor). The metric
    'finite' says whether all weights and the optimiser's numbers are finite after the step.

    Args:
      model: gives source, detector and loss terms.
      optimizer: transformation of gradients.
      axis_name: None on one device; the axis of pmap, over which gradients are averaged.
      events_per_step: events whose network is evaluated together; None: what suits the machine.
      l1: strength of the penalty sum |w|.
      l2: strength of the penalty sum w^2.
      normalize_by_total_charge: the loss is that of the batch per photoelectron.
      trainable: gives a tree of flags for the weights; frozen ones stay as they are.
      seed: of the random numbers of a step, which follow from it and the step's number alone.

    Returns:
      Function (state, events [B], labels [B, H]) -> (state, metrics).
    """
    batch_loss = make_batch_loss(model, events_per_step)

    def step(state: TrainState, events: Event, labels: Array) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
        total, gradient = batch_loss(state.variables, events, labels, key)
        count = labels.shape[0]
        charge = jnp.sum(events.charge) / count
        loss, gradient = total / count, jax.tree.map(lambda g: g / count, gradient)
        if axis_name is not None:
            loss, gradient, charge = jax.lax.pmean((loss, gradient, charge), axis_name)
        charge = jnp.maximum(charge, 1.0)
        # The loss of an event grows with its brightness: per photoelectron, batches can be compared.
        loss_per_pe = loss / charge
        if normalize_by_total_charge:
            loss, gradient = loss_per_pe, jax.tree.map(lambda g: g / charge, gradient)
        penalty = jnp.zeros(())
        if l1 or l2:
            penalty, extra = jax.value_and_grad(_penalty)(state.variables, l1, l2)
            gradient = jax.tree.map(jnp.add, gradient, extra)
        if trainable is not None:
            gradient = jax.tree.map(lambda g, keep: g if keep else jnp.zeros_like(g), gradient, trainable(gradient))
        updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.variables)
        if trainable is not None:
            updates = jax.tree.map(lambda u, keep: u if keep else jnp.zeros_like(u), updates, trainable(updates))
        variables = optax.apply_updates(state.variables, updates)
        metrics = {
            "loss": loss,
            "loss_per_pe": loss_per_pe,
            "penalty": penalty,
            "gradient_norm": optax.tree.norm(gradient),
            "finite": all_finite((variables, optimizer_state)),
        }
        return TrainState(variables, optimizer_state, state.step + 1), metrics

    return step


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Tells whether all floating-point numbers of a tree are finite.

    Args:
      tree: of arrays.

    Returns:
      A flag, scalar.
    """
    numbers = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in numbers])) if numbers else jnp.array(True)


def _penalty(variables: Variables, l1: float, l2: float) -> Float[Array, ""]:
    leaves = jax.tree.leaves(variables)
    total = jnp.zeros(())
    for w in leaves:
        total = total + l1 * jnp.sum(jnp.abs(w)) + l2 * jnp.sum(jnp.square(w))
    return total
