"""What figures need of a model: expected charges of all modules, and light against time at some of them."""

import jax
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int

from evgen_jax.hypothesis.origin import counted_from_readout
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.expectation import probe
from evgen_jax.model.model import Model
from evgen_jax.model.terms import floored, pulse_cdf, pulse_pdf
from evgen_jax.short_repr import short_repr
from evgen_jax.sources.linen_source import empty_event

TIMES = 200
"""Number of times at which light is expected."""
FEWEST_DOMS = 16
"""Least number of DOMs whose light against time is computed together: figures of few and of many share a program."""


class ExpectedCharges(struct.PyTreeNode):
    """Holds the charges that a model expects at D DOMs.

    Attributes:
      charge: [D], PE.
      variance: [D], PE^2.
    """

    charge: Array
    variance: Array

    __repr__ = short_repr


class ExpectedArrivals(struct.PyTreeNode):
    """Holds the light that a model expects at n DOMs against time.

    Attributes:
      charge: [n], PE.
      pdf: [n, T], density of arrival times, 1/ns.
      cdf: [n, T], share of the charge that has arrived.
    """

    charge: Array
    pdf: Array
    cdf: Array

    __repr__ = short_repr


def expected_charges(model: Model, event: Event, hypothesis: Float[np.ndarray, " H"]) -> ExpectedCharges:
    """Computes the charges that a model expects at all DOMs.

    Args:
      model: no ensemble.
      event: gives the readout window.
      hypothesis: [H], physical units.

    Returns:
      Expected charge and its variance.

    Raises:
      ConfigError: for an ensemble.
      DataError: large times, and a parameter of which nothing tells whether it is a time.
    """
    check_no_ensemble(model)
    hypothesis, event, _ = counted_from_readout(model.parameters, hypothesis, event)
    return _charges(model, np.asarray(hypothesis, np.float32), np.asarray(event.readout, np.float32))


def expected_arrivals(
    model: Model,
    event: Event,
    hypothesis: Float[np.ndarray, " H"],
    doms: Int[np.ndarray, " n"],
    times: Float[np.ndarray, "n T"],
) -> ExpectedArrivals:
    """Computes the light that a model expects at some DOMs against time.

    Args:
      model: no ensemble.
      event: gives the readout window.
      hypothesis: [H], physical units.
      doms: [n], places of the DOMs.
      times: [n, T], ns.

    Returns:
      Expected charges and distributions of arrival times.

    Raises:
      ConfigError: for an ensemble.
      DataError: large times, and a parameter of which nothing tells whether it is a time.
    """
    check_no_ensemble(model)
    hypothesis, event, anchor = counted_from_readout(model.parameters, hypothesis, event)
    count = len(doms)
    fill = np.resize(np.arange(count), bucket(count, FEWEST_DOMS))
    found = _arrivals(
        model,
        np.asarray(hypothesis, np.float32),
        np.asarray(doms[fill], np.int32),
        np.asarray(times[fill] - anchor, np.float32),
        np.asarray(event.readout, np.float32),
    )
    # By numpy, for JAX would compile a slice for every number of DOMs.
    return jax.tree.map(lambda a: np.asarray(a)[:count], found)


@jax.jit
def _charges(model: Model, hypothesis: Float[Array, " H"], readout: Float[Array, "2"]) -> ExpectedCharges:
    event = empty_event(model.detector.num_doms).replace(readout=readout)
    light = floored(model.source.light_yield(model.variables, hypothesis, event, model.detector))
    return ExpectedCharges(light.charge, light.charge + light.excess)


@jax.jit
def _arrivals(
    model: Model,
    hypothesis: Float[Array, " H"],
    doms: Int[Array, " n"],
    times: Float[Array, "n T"],
    readout: Float[Array, "2"],
) -> ExpectedArrivals:
    event = probe(model.detector.num_doms, times.ravel(), readout, doms)
    light = floored(model.source.light_yield(model.variables, hypothesis, event, model.detector, True))
    pdf, cdf = (found(light, event).reshape(times.shape) for found in (pulse_pdf, pulse_cdf))
    return ExpectedArrivals(light.charge[doms], pdf, cdf)
