"""Goodness of fit: is the log-likelihood of a fit typical for events that the fitted model itself would make?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from evgen_jax.checks import check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.host_jit import host_jit
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import AnyModel, check_model, members_of
from evgen_jax.model.log_likelihood import loss_parts
from evgen_jax.reconstruction.fit.batching import batches
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.covariance import Terms
from evgen_jax.reconstruction.fit.fit import Fitter, make_fitter
from evgen_jax.reconstruction.fit.lanes import each_lane
from evgen_jax.short_repr import short_repr
from evgen_jax.simulation.events import EventSampler, split_events


@dataclass(frozen=True)
class GoodnessOfFit:
    """Compares a fit with fits of events simulated at its best hypothesis.

    Attributes:
      p_value: one-sided: the share of simulated events that fit as badly or worse, the event itself counted among them;
        small where the model does not describe the event.
      p_value_two_sided: also small where the event fits better than it should.
      dom_p_value: [D], one-sided p-value of every DOM's part of the log-likelihood.
      log_likelihood: of the event at its fit.
      dom_log_likelihood: [D], part of every DOM in the log-likelihood of the event at its fit.
      simulated: [S], log-likelihoods of the simulated events at their fits.
      hypothesis: [S, H], fits of the simulated events; their scatter around the truth is that of the fit.
      truth: [S, H], what the events were simulated from.
    """

    p_value: float
    p_value_two_sided: float
    dom_p_value: np.ndarray
    log_likelihood: float
    dom_log_likelihood: np.ndarray
    simulated: np.ndarray
    hypothesis: np.ndarray
    truth: np.ndarray

    __repr__ = short_repr


def make_goodness_of_fit(
    model: AnyModel,
    *,
    num_samples: int = 50,
    per_charge: bool = False,
    single_photoelectron_charge: bool = False,
    fit: Fitter | None = None,
) -> Callable[..., GoodnessOfFit]:
    """Makes a function that compares a fit with fits of events that are simulated at it.

    Events are simulated at the best fit, or at `hypotheses` [num_samples, H] such as samples of the posterior, with the
    event's readout window, unusable DOMs and excluded windows, and fitted from what they were simulated from. Pulses at
    modules that take no part count on neither side, whatever the fit does with those of the event.

    Args:
      model: what was fitted; the events of an ensemble come from its members in turn, and are fitted by all of them.
      num_samples: simulated events.
      per_charge: compare log-likelihoods per photoelectron.
      single_photoelectron_charge: pulses have the charge response of a module instead of 1 PE.
      fit: made by `make_fitter`; default one that fits all parameters.

    Returns:
      Function (event, best fit [H], seed, hypotheses=None) -> GoodnessOfFit.

    Raises:
      ConfigError: no model.
      ReconstructionError: no sample, hypotheses of another shape, or a best fit that is not finite.
      HypothesisError: a best fit of another model.
      DataError: an event of another detector.
    """
    check_model(model)
    check_whole(num_samples, 1, "num_samples", ReconstructionError)
    fitter = fit or make_fitter(model, covariance=False)
    evaluator = fitter.evaluator
    members = members_of(model)
    samplers: dict[tuple[float, float], list[EventSampler]] = {}

    def dom_terms(events: list[Event], hypotheses: np.ndarray) -> np.ndarray:
        out = np.empty((len(events), model.detector.num_doms))
        for own, batch in batches(events):
            nothing = np.zeros((len(own), evaluator.coordinates.size))
            out[own] = evaluator.run(_dom_terms, loss_parts, batch, np.arange(len(own)), nothing, hypotheses[own])
        return out

    def goodness_of_fit(
        event: Event, best: np.ndarray, seed: int, hypotheses: np.ndarray | None = None
    ) -> GoodnessOfFit:
        check_event(event, model.detector)
        check_hypothesis(best, model.parameter_names, "a best fit")
        check_whole(seed, 0, "seed", ReconstructionError)
        best = np.asarray(best, np.float64)
        if not np.all(np.isfinite(best)):
            raise ReconstructionError("the best fit is not finite; a failed fit has no goodness.")
        truth = np.tile(best, (num_samples, 1)) if hypotheses is None else np.asarray(hypotheses, np.float64)
        if truth.shape != (num_samples, len(best)):
            raise ReconstructionError(f"expected hypotheses of shape {(num_samples, len(best))}, got {truth.shape}.")
        event = without_unusable_pulses(event)
        start, stop = np.asarray(event.readout, np.float64)
        readout = (float(start), float(stop))
        if readout not in samplers:
            samplers[readout] = [EventSampler(member, readout) for member in members]
        simulated: list[Event] = [event] * num_samples
        for number, sampler in enumerate(samplers[readout]):
            own = slice(number, None, len(members))
            if len(truth[own]):
                simulated[own] = _simulated(sampler, event, truth[own], seed + number, single_photoelectron_charge)
        fits = fitter([event, *simulated], np.concatenate([best[None], truth]))
        fitted = np.stack([f.hypothesis for f in fits])
        value = np.array([f.log_likelihood for f in fits])
        fine = np.isfinite(value)
        if not fine[0]:
            raise ReconstructionError("the log-likelihood at the best fit is not finite; a failed fit has no goodness.")
        doms = dom_terms([event, *simulated], np.where(fine[:, None], fitted, best))
        if per_charge:
            charge = np.array([float(np.sum(e.charge[np.asarray(e.usable)])) + 1 for e in [event, *simulated]])
            value, doms = value / charge, doms / charge[:, None]
        value, doms, fitted, truth = value[fine], doms[fine], fitted[fine], truth[fine[1:]]
        p_value = float(_p_value(value))
        return GoodnessOfFit(
            p_value=p_value,
            p_value_two_sided=2 * min(p_value, 1 - p_value + 1 / len(value), 0.5),
            dom_p_value=_p_value(doms),
            log_likelihood=float(value[0]),
            dom_log_likelihood=doms[0],
            simulated=value[1:],
            hypothesis=fitted[1:],
            truth=truth,
        )

    return goodness_of_fit


@host_jit(static_argnums=(0, 1))
def _dom_terms(parts: Terms, coordinates: Coordinates, *lanes: Any) -> jax.Array:
    """Log-likelihood of every DOM [L, D] at the anchors."""

    def terms(model: AnyModel, unknown: jax.Array, anchor: jax.Array, event: Event) -> jax.Array:
        return -parts(model, anchor, event).per_dom(event)

    return each_lane(terms, *lanes)


def _p_value(values: np.ndarray) -> np.ndarray:
    """Share of rows (the first one among them) that are not above the first one."""
    return np.mean(values <= values[0], axis=0)


def without_unusable_pulses(event: Event) -> Event:
    """Masks the pulses at modules that take no part.

    Args:
      event: one event.

    Returns:
      The event with these pulses masked.
    """
    pulses = event.pulses
    dom = np.asarray(event.active)[np.minimum(np.asarray(pulses.slot), len(event.active) - 1)]
    kept = np.asarray(event.usable)[np.minimum(dom, len(event.usable) - 1)]
    return event.replace(pulses=pulses.replace(mask=np.asarray(pulses.mask) & kept))


def _simulated(
    sampler: EventSampler, event: Event, truth: np.ndarray, seed: int, single_photoelectron_charge: bool
) -> list[Event]:
    pulses = sampler(truth, jax.random.key(seed), single_photoelectron_charge, np.random.default_rng(seed))
    windows = np.flatnonzero(np.asarray(event.windows.mask))
    limits = np.stack([np.asarray(event.windows.start), np.asarray(event.windows.stop)], axis=1)[windows]
    doms = np.asarray(event.active)[np.asarray(event.windows.slot)[windows]]
    return split_events(
        pulses,
        len(truth),
        num_doms=len(event.charge),
        readout=(float(event.readout[0]), float(event.readout[1])),
        usable=np.asarray(event.usable),
        windows=limits,
        window_dom=doms,
        discard_excluded=True,
    )
