"""Fisher information of hypotheses: what the photons of an event can tell at most, whatever is fitted."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Real

from evgen_jax.checks import check_whole
from evgen_jax.errors import DataError
from evgen_jax.host_jit import host_jit
from evgen_jax.hypothesis.origin import counted_from_readout
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.padding import stack_events
from evgen_jax.model.model import Model
from evgen_jax.simulation.events import EventSampler

MOST = 512
"""Most photoelectrons of an event that are looked at; the sum over all is their share of it."""
TOGETHER = 64
"""Number of events that are padded to one length and evaluated in one call."""


def fisher_information(
    model: Model,
    hypotheses: Real[np.ndarray, "E H"],
    readout: tuple[float, float],
    key: PRNGKeyArray,
    repeats: int = 8,
) -> Float[np.ndarray, "E H H"]:
    """Computes the Fisher information of hypotheses, the inverse of the Cramer-Rao bound on covariances of estimates.

    Photoelectrons are a Poisson process with a rate r_d(t) at every module d. Its information, the sum over modules of the
    integral of (dr/dh_i) (dr/dh_j) / r, is the expectation of the sum over photoelectrons of (d ln r/dh_i) (d ln r/dh_j).
    That sum is averaged over simulated events; unlike the outer product of the gradient of a whole event it is positive
    definite for a single one, and needs few.

    Args:
      model: of which charges have Poisson distributions.
      hypotheses: [E, H], physical units (m, ns, GeV, rad).
      readout: start and stop of the readout window, ns.
      key: of the random numbers.
      repeats: number of simulated events of each hypothesis.

    Returns:
      Information [E, H, H], by physical units.

    Raises:
      ConfigError: an ensemble instead of a model, or an event of more light than the memory holds.
      DataError: less than one repeat.

    Example:
      information = fisher_information(model, truth, (0.0, 20000.0), jax.random.key(0))
      least = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))  # standard deviations [E, H]
    """
    check_whole(repeats, 1, "repeats", DataError)
    sampler = EventSampler(model, readout)
    repeated = np.repeat(np.asarray(hypotheses, np.float64), repeats, axis=0)
    events = sampler.events(repeated, key)
    found = np.empty((len(events), *(repeated.shape[1],) * 2))
    by_length = sorted(range(len(events)), key=lambda i: len(events[i].pulses.time))
    for start in range(0, len(events), TOGETHER):
        places = by_length[start : start + TOGETHER]
        padded = np.resize(places, TOGETHER)  # the last events once more, so that batches have one size
        moved = [counted_from_readout(model.parameters, repeated[i], events[i])[:2] for i in padded]
        thinned = [_thinned(event, np.random.default_rng(int(i))) for i, (_, event) in zip(padded, moved, strict=True)]
        batch = stack_events([event for event, _ in thinned], factor=4)
        own = np.stack([hypothesis for hypothesis, _ in moved]).astype(np.float32)
        factor = np.array([factor for _, factor in thinned])
        found[places] = (factor[:, None, None] * np.asarray(_information(model, own, batch)))[: len(places)]
    return found.reshape(-1, repeats, *found.shape[1:]).mean(axis=1)


def _thinned(event: Event, rng: np.random.Generator) -> tuple[Event, float]:
    """The event with `MOST` of its photoelectrons, chosen at random, and how many times more it had."""
    pulses, seen = event.pulses, np.flatnonzero(np.asarray(event.pulses.mask))
    if len(seen) <= MOST:
        return event, 1.0
    chosen = np.sort(rng.choice(seen, MOST, replace=False))
    event = event.replace(pulses=jax.tree.map(lambda values: np.asarray(values)[chosen], pulses))
    return event, len(seen) / MOST


@host_jit()
def _information(model: Model, hypotheses: Float[Array, "B H"], events: Event) -> Float[Array, "B H H"]:
    """Sums of (d ln r/dh_i) (d ln r/dh_j) over the photoelectrons of events [B], one event after the other."""

    def single(pair: tuple[Array, Event]) -> Array:
        hypothesis, event = pair
        seen, detector = event.pulses.mask, model.detector
        if not jax.tree.leaves(model.variables):  # weights may belong to single modules; else those with pulses suffice
            places = jnp.minimum(event.active, detector.num_doms - 1)
            detector = detector.modules(places)
            event = event.replace(
                charge=event.charge[places], usable=event.usable[places], active=jnp.arange(len(places))
            )

        def log_rate(own: Array) -> Array:
            light = model.source.light_yield(model.variables, own, event, detector)
            return jnp.where(seen, jnp.log(jnp.where(seen, light.density, 1.0)), 0.0)

        gradient = jax.jacfwd(log_rate)(hypothesis)
        return gradient.T @ gradient

    return jax.lax.map(single, (hypotheses, events))
