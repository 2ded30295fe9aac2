"""What a model expects at every DOM: charges, and distributions of arrival times."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int

from evgen_jax.light.source import Variables
from evgen_jax.measurement.event import Event, Pulses, Windows
from evgen_jax.model.doors import check_hypothesis, check_readout, check_times, check_values, check_variables
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.model import Model
from evgen_jax.model.terms import floored, pulse_cdf, pulse_pdf
from evgen_jax.short_repr import short_repr

Readout = ArrayLike | tuple[float, float]
"""Start and stop of a readout window, ns."""
TIMES_TOGETHER = 16
"""Number of times in one evaluation of the sources.

One after the other would repeat the network, all at once would need [D T, L] latent variables.
"""


class DomExpectation(struct.PyTreeNode):
    """Holds the expected light at D DOMs and T times.

    Attributes:
      charge: [D], expected charge, PE.
      variance: [D], variance of the charge, PE^2.
      pdf: [D, T], density of arrival times, 1/ns.
      cdf: [D, T], share of the charge that has arrived.
    """

    charge: Array
    variance: Array
    pdf: Array
    cdf: Array

    __repr__ = short_repr


def dom_expectation(model: Model, hypothesis: ArrayLike, times: ArrayLike, readout: Readout) -> DomExpectation:
    """Computes expected charges and arrival times at every DOM; pure, composes with jit, vmap and grad.

    Args:
      model: gives light, weights and detector.
      hypothesis: [H], physical units (m, ns, GeV, rad).
      times: [T], ns.
      readout: [2], start and stop of the readout window, ns, which noise needs.

    Returns:
      Charges [D] and distributions of arrival times [D, T].

    Raises:
      ConfigError: an ensemble instead of a model, or a readout that is no window.
      HypothesisError: another number of parameters; of values that are not traced, one that is not finite or an energy below 0.
      DataError: times of another shape.
    """
    _check(model, readout)
    check_hypothesis(hypothesis, model.parameter_names)
    check_values(hypothesis, model.parameters)
    check_times(times)
    place, window = jnp.asarray(hypothesis), jnp.asarray(readout)
    source, variables, detector = model.source, model.variables, jax.tree.map(jnp.asarray, model.detector)
    num_doms = detector.num_doms

    def at_time(time: Array) -> tuple[Array, Array]:
        event = probe(num_doms, jnp.broadcast_to(time, (num_doms,)), window)
        light = floored(source.light_yield(variables, place, event, detector, True))
        return pulse_pdf(light, event), pulse_cdf(light, event)

    pdf, cdf = jax.lax.map(at_time, jnp.asarray(times), batch_size=TIMES_TOGETHER)
    light = floored(source.light_yield(variables, place, probe(num_doms, jnp.zeros(num_doms), window), detector))
    return DomExpectation(light.charge, light.charge + light.excess, pdf.T, cdf.T)


def make_dom_expectation(
    model: Model, readout: tuple[float, float] = (0.0, 20000.0)
) -> Callable[[Variables, Array, Array], DomExpectation]:
    """Makes a function that computes expected charges and arrival times, with the weights of a model as an argument.

    Args:
      model: gives sources and detector.
      readout: start and stop of the readout window, ns, which noise needs.

    Returns:
      A pure function (variables, hypothesis [H], times [T] in ns) -> expected charges and arrival times.

    Raises:
      ConfigError: an ensemble, a readout that is no window, or, when the result is called, weights of another model.
      HypothesisError: another number of parameters, when the result is called (or traced).
      DataError: times of another shape, when the result is called (or traced).

    Example:
      expect = jax.jit(eg.make_dom_expectation(model))
      charges = expect(model.variables, hypothesis, jnp.linspace(0.0, 5000.0, 100)).charge
    """
    _check(model, readout)

    def function(variables: Variables, hypothesis: Array, times: Array) -> DomExpectation:
        check_variables(variables, model.variables)
        return dom_expectation(model.with_variables(variables), hypothesis, times, readout)

    return function


def _check(model: Any, readout: Any) -> None:
    """Checks what is known before there is a hypothesis."""
    check_no_ensemble(model)
    check_readout(readout)


def probe(num_doms: int, times: Float[Array, " P"], readout: Readout, doms: Int[Array, " n"] | None = None) -> Event:
    """Makes an event with equally many pulses at some DOMs, at which sources tell their light.

    Args:
      num_doms: D.
      times: [P], of the pulses, ns, those of one DOM behind each other; P is a multiple of n.
      readout: [2], start and stop of the readout window, ns.
      doms: [n], places of the DOMs with pulses; None: all D.

    Returns:
      An event of D DOMs and P pulses, without excluded windows.
    """
    active = jnp.arange(num_doms, dtype=jnp.int32) if doms is None else doms
    slot = jnp.repeat(jnp.arange(len(active), dtype=jnp.int32), len(times) // len(active))
    ones, flags = jnp.ones(len(times)), jnp.ones(len(times), bool)
    pulses = Pulses(charge=ones, time=times, slot=slot, mask=flags, first=flags, quantile=ones)
    none = jnp.zeros(0)
    windows = Windows(start=none, stop=none, slot=none.astype(jnp.int32), mask=none.astype(bool))
    return Event(jnp.zeros(num_doms), jnp.ones(num_doms, bool), pulses, active, jnp.asarray(readout), windows)
