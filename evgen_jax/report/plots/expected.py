"""What figures need of a model: its expected light at all modules against time."""

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.hypothesis.origin import counted_from_readout
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.expectation import DomExpectation, dom_expectation
from evgen_jax.model.model import Model

TIMES = 200
"""Number of times at which light is expected."""


def expectation(
    model: Model, event: Event, hypothesis: np.ndarray, span: tuple[float, float] | None = None
) -> DomExpectation:
    """Computes what a model expects at all DOMs and at `TIMES` times.

    Args:
      model: no ensemble.
      event: gives the readout window.
      hypothesis: [H], physical units.
      span: first and last time, ns; None: the readout window.

    Returns:
      Expected charge, variance and density in time at D DOMs.

    Raises:
      ConfigError: for an ensemble.
      DataError: large times, and a parameter of which nothing tells whether it is a time.
    """
    check_no_ensemble(model)
    start, stop = span or (float(event.readout[0]), float(event.readout[1]))
    hypothesis, event, anchor = counted_from_readout(model.parameters, hypothesis, event)
    times = jnp.linspace(start - anchor, stop - anchor, TIMES, dtype=jnp.float32)
    readout = jnp.asarray(event.readout, jnp.float32)
    return _compiled(model, jnp.asarray(hypothesis, jnp.float32), times, readout)


_compiled = jax.jit(dom_expectation)
