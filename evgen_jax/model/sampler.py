"""Simulation of photoelectrons with a model."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, PRNGKeyArray

from evgen_jax.checks import check_whole
from evgen_jax.decoders.negative_binomial import sample_counts
from evgen_jax.errors import ConfigError
from evgen_jax.light.source import Variables
from evgen_jax.model.doors import check_hypothesis, check_readout, check_values, check_variables
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.expectation import Readout, probe
from evgen_jax.model.model import Model

SMALLEST_CHARGE = 1e-30
"""Smallest expected charge, PE, with which a negative binomial is drawn; DOMs without light get no photoelectron."""


class SampledPulses(struct.PyTreeNode):
    """Holds the photoelectrons of a simulated event, padded to a length P.

    Attributes:
      time: [P], ns.
      dom: [P], places in the detector's tables.
      mask: [P], False for padding.
      count: scalar, photoelectrons of the event; where it exceeds P, the event was cut.
    """

    time: Array
    dom: Array
    mask: Array
    count: Array


def sample_photoelectrons(
    model: Model,
    key: PRNGKeyArray,
    hypothesis: ArrayLike,
    readout: Readout,
    max_photoelectrons: int = 1 << 14,
    part: ArrayLike = 0,
) -> SampledPulses:
    """Simulates one event: per DOM a number of photoelectrons from the negative binomial, for each an arrival time.

    Args:
      model: gives light, weights and detector.
      key: of the random numbers.
      hypothesis: [H], physical units (m, ns, GeV, rad).
      readout: [2], start and stop of the readout window, ns, which noise needs.
      max_photoelectrons: length P; if `count` of the result is larger, the event was cut: draw it again with more, or the
        further parts of it.
      part: which P photoelectrons of the event, 0 for the first ones; parts drawn with one key belong to one event.

    Returns:
      Photoelectrons [P].

    Raises:
      ConfigError: an ensemble instead of a model, a readout that is no window, or no place for photoelectrons.
      HypothesisError: another number of parameters; of values that are not traced, one that is not finite or an energy below 0.
    """
    _check(model, readout, max_photoelectrons)
    check_hypothesis(hypothesis, model.parameter_names)
    check_values(hypothesis, model.parameters)
    place = jnp.asarray(hypothesis)
    source, variables, detector = model.source, model.variables, jax.tree.map(jnp.asarray, model.detector)
    num_doms = detector.num_doms
    key_count, key_time = jax.random.split(key)
    event = probe(num_doms, jnp.zeros(num_doms), readout)
    light = source.light_yield(variables, place, event, detector)
    counts = sample_counts(key_count, jnp.maximum(light.charge_full, SMALLEST_CHARGE), light.excess)
    counts = jnp.where(light.charge_full > 0, counts, 0).astype(jnp.int32)
    ends = jnp.cumsum(counts)
    order = jnp.asarray(part) * max_photoelectrons + jnp.arange(max_photoelectrons)
    dom = jnp.minimum(jnp.searchsorted(ends, order, side="right"), num_doms - 1)
    times = source.sample_times(variables, jax.random.fold_in(key_time, part), place, event, detector, dom)
    return SampledPulses(times, dom, order < ends[-1], ends[-1])


def make_sampler(
    model: Model, readout: tuple[float, float] = (0.0, 20000.0), max_photoelectrons: int = 1 << 14
) -> Callable[[Variables, Array, Array], SampledPulses]:
    """Makes a function that simulates events of one readout window, with the weights of a model as an argument.

    Args:
      model: gives sources and detector.
      readout: start and stop of the readout window, ns, which noise needs.
      max_photoelectrons: length P of the result; if `count` of the result is larger, the event was cut: draw it again
        with more.

    Returns:
      A pure function (variables, key, hypothesis [H]) -> photoelectrons [P].

    Raises:
      ConfigError: an ensemble, a readout that is no window, no place for photoelectrons, or, when the result is called,
        weights of another model.
      HypothesisError: another number of parameters, when the result is called (or traced).

    Example:
      pulses = jax.jit(eg.make_sampler(model))(model.variables, jax.random.key(0), hypothesis)
    """
    _check(model, readout, max_photoelectrons)

    def function(variables: Variables, key: Array, hypothesis: Array) -> SampledPulses:
        check_variables(variables, model.variables)
        return sample_photoelectrons(model.with_variables(variables), key, hypothesis, readout, max_photoelectrons)

    return function


def _check(model: Any, readout: Any, max_photoelectrons: Any) -> None:
    """Checks what is known before there is a hypothesis."""
    check_no_ensemble(model)
    check_readout(readout)
    check_whole(max_photoelectrons, 1, "max_photoelectrons", ConfigError)
