"""Compiled programs of fits, which belong to the module: two fits of equal models share them, whoever asks."""

from functools import partial
from typing import Any

import jax
from jaxtyping import Array, Float, Int

from evgen_jax.host_jit import host_jit
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.lanes import each_block, each_lane, side_by_side
from evgen_jax.reconstruction.fit.objective import Loss, ModelLogLikelihood
from evgen_jax.reconstruction.fit.state import Rules, State
from evgen_jax.reconstruction.fit.step import run


@host_jit(static_argnums=(0, 1))
def values(function: ModelLogLikelihood, coordinates: Coordinates, *lanes: Any) -> Array:
    """Computes -log L of lanes.

    Args:
      function: log-likelihood of (model, hypothesis [H], event), pure and hashable.
      coordinates: of the fit, hashable.
      *lanes: model, unknowns [L, n], anchors [L, H], batch of events, places of the lanes' events in it [L] and number of
        lanes that are computed, as `each_lane` takes them.

    Returns:
      Values [L], float64; zero for lanes that are not computed.
    """
    return each_lane(Loss(function, coordinates), *lanes)


@host_jit(static_argnums=(0, 1))
def searches(
    function: ModelLogLikelihood,
    coordinates: Coordinates,
    model: AnyModel,
    states: State,
    anchors: Float[Array, "L H"],
    events: Event,
    which: Int[Array, " L"],
    count: Int[Array, ""],
    rules: Rules,
    budget: Int[Array, ""],
) -> State:
    """Lets searches for minima of -log L go on.

    Args:
      function: log-likelihood of (model, hypothesis [H], event), pure and hashable.
      coordinates: of the fit, hashable.
      model: first argument of the log-likelihood.
      states: of the searches, leading axis L.
      anchors: [L, H], hypotheses around which the unknowns are counted, physical units.
      events: a batch.
      which: [L], places of the lanes' events in the batch.
      count: number of lanes that are computed.
      rules: when a search ends.
      budget: evaluations of every lane at most.

    Returns:
      States after the budget, or where the searches have ended.
    """
    loss = jax.value_and_grad(Loss(function, coordinates), argnums=1)

    def block(model: AnyModel, states: State, anchors: Array, events: Event) -> State:
        evaluate = side_by_side(partial(loss, model))
        return run(lambda unknown: evaluate(unknown, anchors, events), rules, budget, states)

    return each_block(block, model, states, anchors, events, which, count)


@host_jit(static_argnums=(0, 1))
def hessians(function: ModelLogLikelihood, coordinates: Coordinates, *lanes: Any) -> Array:
    """Computes exact Hessians of -log L of lanes.

    Args:
      function: log-likelihood of (model, hypothesis [H], event), pure and hashable.
      coordinates: of the fit, hashable.
      *lanes: model, unknowns [L, n], anchors [L, H], batch of events, places of the lanes' events in it [L] and number of
        lanes that are computed, as `each_lane` takes them.

    Returns:
      Hessians [L, n, n], float64; zero for lanes that are not computed.
    """
    return each_lane(jax.jacfwd(jax.grad(Loss(function, coordinates), argnums=1), argnums=1), *lanes)


@partial(jax.jit, static_argnums=0)
def starts(coordinates: Coordinates, anchors: Float[Array, "L H"]) -> Float[Array, "L n"]:
    """Computes the unknowns at hypotheses.

    Args:
      coordinates: of the fit, hashable.
      anchors: [L, H], physical units.

    Returns:
      Unknowns [L, n].
    """
    return jax.vmap(coordinates.start)(anchors)


@partial(jax.jit, static_argnums=0)
def hypotheses(
    coordinates: Coordinates, unknown: Float[Array, "L n"], anchors: Float[Array, "L H"]
) -> Float[Array, "L H"]:
    """Maps unknowns to hypotheses.

    Args:
      coordinates: of the fit, hashable.
      unknown: [L, n].
      anchors: [L, H], hypotheses around which the unknowns are counted, physical units.

    Returns:
      Hypotheses [L, H], physical units.
    """
    return jax.vmap(coordinates.hypothesis)(unknown, anchors)
