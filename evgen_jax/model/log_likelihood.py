"""The log-likelihood of an event as a pure function of a model, its weights, a hypothesis and the event."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from evgen_jax.errors import ConfigError, shown
from evgen_jax.light.source import Variables
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event, check_hypothesis, check_values, check_variables
from evgen_jax.model.ensemble import AnyModel, Ensemble, check_model
from evgen_jax.model.likelihood import Loss
from evgen_jax.model.terms import LossParts


def loss_parts(model: AnyModel, hypothesis: ArrayLike, event: Event, loss: Loss | None = None) -> LossParts:
    """Computes the loss terms of one event by pulse, DOM and event, without priors; for an ensemble, their mean.

    Args:
      model: gives light, weights and detector.
      hypothesis: [H], physical units (m, ns, GeV, rad).
      event: one event of the model's detector.
      loss: likelihood terms; default those of the model.

    Returns:
      Terms by pulse [P], DOM [D] and event.

    Raises:
      ConfigError: no model, or no loss.
      HypothesisError: another number of parameters; of values that are not traced, one that is not finite or an energy below 0.
      DataError: something else than one event of the model's detector.
    """
    check_model(model)
    _check_loss(loss)
    if isinstance(model, Ensemble):
        parts = [loss_parts(member, hypothesis, event, loss) for member in model.members]
        return jax.tree.map(lambda *terms: sum(terms) / len(terms), *parts)
    check_hypothesis(hypothesis, model.parameter_names)
    check_values(hypothesis, model.parameters)
    check_event(event, model.detector)
    terms, place = loss or model.loss, jnp.asarray(hypothesis)
    # Tables and events are made with numpy, whose arrays cannot be indexed by traced ones.
    detector, event = jax.tree.map(jnp.asarray, (model.detector, event))
    light = model.source.light_yield(model.variables, place, event, detector, terms.needs_cumulative)
    return terms.parts(light, event)


def log_likelihood(
    model: AnyModel, hypothesis: ArrayLike, event: Event, loss: Loss | None = None, *, priors: bool = True
) -> Float[Array, ""]:
    """Computes the log-likelihood of one event for a hypothesis.

    It holds the priors of the loss, if there are any, as the training and the fits do. For a posterior with priors of
    the user leave them out, or they count twice.

    It composes with jit, vmap, grad, hessian and pmap; the model is a pytree, so that gradients by weights, by
    positions and efficiencies of modules are those by leaves of `model`. The sum over DOMs and pulses is done in
    float64 where JAX has it enabled (`jax.enable_x64`), the network in the precision of the model.

    Args:
      model: gives light, weights and detector; of an ensemble the mean of the members' log-likelihoods counts.
      hypothesis: [H], physical units, as `model.hypothesis(...)` makes it.
      event: one event of the model's detector.
      loss: likelihood terms; default those of the model.
      priors: whether the log of the loss's priors is added.

    Returns:
      A scalar.

    Raises:
      ConfigError: no model, or no loss.
      HypothesisError: another number of parameters; of values that are not traced, one that is not finite or an energy below 0.
      DataError: something else than one event of the model's detector.

    Example:
      `jax.grad(eg.log_likelihood, argnums=1)(model, hypothesis, event)`
    """
    value = -loss_parts(model, hypothesis, event, loss).total()
    if not priors:
        return value
    return value - (loss or model.loss).penalty(model.parameters, jnp.asarray(hypothesis))


def make_loss_parts(model: AnyModel, loss: Loss | None = None) -> Callable[[Variables, Array, Event], LossParts]:
    """Makes a function that computes loss terms without priors, with the weights of a model as an argument.

    Args:
      model: gives sources and detector.
      loss: likelihood terms; default those of the model.

    Returns:
      A pure function (variables, hypothesis [H], event) -> terms by pulse [P], DOM [D] and event.

    Raises:
      ConfigError: no model, no loss, or, when the result is called, weights of another model.
      HypothesisError: another number of parameters, when the result is called (or traced).
      DataError: something else than one event of the model's detector, when the result is called.
    """
    check_model(model)
    _check_loss(loss)

    def parts(variables: Variables, hypothesis: Array, event: Event) -> LossParts:
        check_variables(variables, model.variables)
        return loss_parts(model.with_variables(variables), hypothesis, event, loss)

    return parts


def make_log_likelihood(
    model: AnyModel, loss: Loss | None = None, *, priors: bool = True
) -> Callable[[Variables, Array, Event], Array]:
    """Makes a function that computes the log-likelihood of an event, with the weights of a model as an argument.

    Args:
      model: its weights are not used, they are an argument of the result.
      loss: likelihood terms; default those of the model.
      priors: whether the log of the loss's priors is added.

    Returns:
      A pure function (variables, hypothesis [H], event) -> scalar.

    Raises:
      ConfigError: no model, no loss, or, when the result is called, weights of another model.
      HypothesisError: another number of parameters, when the result is called (or traced).
      DataError: something else than one event of the model's detector, when the result is called.

    Example:
      log_likelihood = eg.make_log_likelihood(model)
      jax.value_and_grad(log_likelihood, argnums=1)(model.variables, hypothesis, event)
    """
    check_model(model)
    _check_loss(loss)

    def function(variables: Variables, hypothesis: Array, event: Event) -> Array:
        check_variables(variables, model.variables)
        return log_likelihood(model.with_variables(variables), hypothesis, event, loss, priors=priors)

    return function


def _check_loss(loss: Any) -> None:
    if loss is not None and not isinstance(loss, Loss):
        raise ConfigError(f"loss: expected a Loss, or None for the model's own, got {shown(loss)}.")
