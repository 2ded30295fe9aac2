"""Maximum-likelihood fits: many events at once, or one at a time with SciPy, behind one interface."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from evgen_jax.approximation.precise_where_lit import precise_where_lit
from evgen_jax.errors import ReconstructionError, shown
from evgen_jax.hypothesis.plausible_angles import implausible_angle
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_events
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.reconstruction.fit.batched_search import NO_GAIN, BatchedSearch, rules_under_limited_charges
from evgen_jax.reconstruction.fit.batching import batches, blocks
from evgen_jax.reconstruction.fit.capped_density import with_capped_density
from evgen_jax.reconstruction.fit.coordinates import make_coordinates
from evgen_jax.reconstruction.fit.covariance import (
    Covariance,
)
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.fit.lanes import LANES
from evgen_jax.reconstruction.fit.limited_charge import limited_log_likelihood
from evgen_jax.reconstruction.fit.objective import LogLikelihood, chosen
from evgen_jax.reconstruction.fit.plausible import implausible_fit, unlikely_fit
from evgen_jax.reconstruction.fit.result import Diagnostics, FitResult
from evgen_jax.reconstruction.fit.search import Problems, ScipySearch, Search
from evgen_jax.reconstruction.fit.settings import DEFAULT, FitSettings
from evgen_jax.reconstruction.fit.state import CONVERGED, NOT_FINITE, Rules
from evgen_jax.reconstruction.fit.uncertainty import Uncertainty

LOGGER = logging.getLogger("evgen_jax")


@dataclass(frozen=True)
class Fitter:
    """Fits events from seeds; made by `make_fitter`.

    Attributes:
      model: what is fitted.
      evaluator: log-likelihood of the model, compiled per padded shape of event; searches for starts share it.
      precise: log-likelihood in float64 where there is light; None for a log-likelihood that is not that of the model.
      search: what searches for minima.
      uncertainty: what computes covariances; None for none.
      limited: fits of limited charges, where searches in bright events begin (see `limited_charge`); None for a
        log-likelihood that is not that of the model.
      smooth: log-likelihood under a largest density of arrival times, where searches begin (see `capped_density`); None
        for a log-likelihood that is not that of the model.
    """

    model: AnyModel
    evaluator: Evaluator
    precise: Evaluator | None
    search: Search
    uncertainty: "Uncertainty | None"
    limited: "Fitter | None"
    smooth: Evaluator | None = None

    def __call__(
        self, events: Sequence[Event], seeds: np.ndarray, to_beat: np.ndarray | None = None
    ) -> list[FitResult]:
        """Fits events.

        Args:
          events: E of them.
          seeds: [E, H] or [E, S, H], physical units; of S seeds the best fit counts.
          to_beat: [E], log-likelihoods of earlier fits: fits that will not be better end early and have no covariance.

        Returns:
          One fit per event.

        Raises:
          ReconstructionError: seeds of another shape, or none.
          DataError: an event of another detector.
        """
        seeds = _checked_seeds(self.model, events, seeds)
        if beyond := self.evaluator.coordinates.outside(seeds.reshape(-1, seeds.shape[-1])):
            LOGGER.warning(
                "of %d seeds beyond the bounds: %s; these fits begin at the bound.", seeds[..., 0].size, beyond
            )
        if to_beat is None:
            to_beat = np.full(len(events), -np.inf)
        results: dict[int, FitResult] = {}
        per_call = max(LANES // seeds.shape[1], 1)
        for own, batch in batches(events, per_call):
            found = _fit_batch(self, batch, seeds[own], to_beat[own])
            results |= dict(zip(own, found, strict=True))
        return [results[i] for i in range(len(events))]

    @property
    def compile_seconds(self) -> float:
        """Returns the time that was spent on compilation so far, s."""
        parts = (self.evaluator, self.precise, self.limited, self.smooth)
        return sum(part.compile_seconds for part in parts if part is not None)


def check_fitter(fitter: Any) -> None:
    """Checks that something fits events.

    Args:
      fitter: what the user gave.

    Raises:
      ReconstructionError: something else than a fitter.
    """
    if not (callable(fitter) and hasattr(fitter, "model")):  # a user's own may wrap one
        kind = type(fitter).__name__
        raise ReconstructionError(f"expected a Fitter, got a {kind}. Make one with `make_fitter(model)`.")


def make_fitter(
    model: AnyModel,
    settings: FitSettings = DEFAULT,
    *,
    covariance: bool = True,
    log_likelihood: LogLikelihood | None = None,
    search: Search | None = None,
) -> Fitter:
    """Makes a fitter, a function (events, seeds [E, H] or [E, S, H]) -> one FitResult per event.

    Fits of equal models with equal settings share their programs, one set per padded shape of event. Of S seeds the
    best fit counts.

    Args:
      model: what to fit.
      settings: free parameters, bounds, method and tolerances.
      covariance: compute uncertainties as well.
      log_likelihood: another function (variables, hypothesis, event) than the model's own; sandwich covariances are
        NaN then.
      search: what searches for minima, instead of what `settings.method` names.

    Returns:
      The fitter.

    Raises:
      ConfigError: no model.
      ReconstructionError: an unknown parameter name, or a bound that cannot be.
    """
    check_model(model)
    coordinates = make_coordinates(model, settings)
    own_settings = settings if settings.method == "batched" else FitSettings()
    rules = Rules(stalled=NO_GAIN, **own_settings.of_batched())
    evaluator = Evaluator(chosen(log_likelihood), coordinates, model)
    precise = limited = smooth = None
    if log_likelihood is None:
        own = Evaluator(limited_log_likelihood, coordinates, model)
        limited = Fitter(model, own, None, BatchedSearch(rules_under_limited_charges(rules)), None, None)
        precise = Evaluator(chosen(None), coordinates, precise_where_lit(model))
        smooth = Evaluator(chosen(None), coordinates, with_capped_density(model))
    if search is None:
        search = BatchedSearch(rules) if settings.method == "batched" else ScipySearch(settings.of_scipy())
    uncertainty = Uncertainty(coordinates, evaluator, precise) if covariance else None
    return Fitter(model, evaluator, precise, search, uncertainty, limited, smooth)


def _checked_seeds(model: AnyModel, events: Sequence[Event], seeds: np.ndarray) -> np.ndarray:
    check_events(events, model.detector)
    if not events:
        return np.zeros((0, 1, len(model.parameter_names)))
    if seeds is None or isinstance(seeds, str):
        raise ReconstructionError(
            f"expected seeds as an array of numbers [E, H] or [E, S, H], got {shown(seeds)}. Without seeds: "
            "eg.reconstruction.fit_without_seeds(eg.reconstruction.make_fitter(model), events)."
        )
    seeds = _in_order_of(model.parameter_names, seeds)
    try:
        seeds = np.asarray(seeds, np.float64)
    except (TypeError, ValueError):
        raise ReconstructionError(
            "expected seeds as an array of numbers [E, H] or [E, S, H], got a list that is none."
        ) from None
    seeds = seeds[:, None, :] if seeds.ndim == 2 else seeds
    expected = (len(events), len(model.parameter_names))
    if seeds.ndim != 3 or (seeds.shape[0], seeds.shape[2]) != expected:
        raise ReconstructionError(
            f"expected seeds of shape ({expected[0]}, {expected[1]}), or with an axis of several seeds between, for "
            f"{expected[0]} events and the parameters {', '.join(model.parameter_names)}, got {np.shape(seeds)}."
        )
    if seeds.shape[1] == 0:
        raise ReconstructionError(f"expected seeds [E, S, H] with at least one per event, got shape {seeds.shape}.")
    return seeds


def _in_order_of(names: Sequence[str], seeds: Any) -> Any:
    """Seeds of a table with named columns, such as a DataFrame, in the order of the parameters; others as they are."""
    if not hasattr(seeds, "columns"):
        return seeds
    columns = [str(column) for column in seeds.columns]
    if missing := [name for name in names if name not in columns]:
        raise ReconstructionError(
            f"seeds: the table has no column {', '.join(missing)}; it has {', '.join(columns) or 'none'}. Name its columns as the "
            "parameters, or give an array [E, H] in their order."
        )
    return np.column_stack([seeds[name] for name in names])


def _fit_batch(fitter: Fitter, batch: Event, seeds: np.ndarray, to_beat: np.ndarray) -> list[FitResult]:
    """Fits events of one shape from seeds [E, S, H]."""
    begin, compiling = time.perf_counter(), fitter.compile_seconds
    evaluator = fitter.evaluator
    num_events, num_seeds, _ = seeds.shape
    competing = num_seeds > 1 or np.any(np.isfinite(to_beat))
    anchors = seeds.reshape(num_events * num_seeds, -1)
    which = np.repeat(np.arange(num_events), num_seeds)
    usable = np.all(np.isfinite(anchors), axis=1)
    safe = np.where(usable[:, None], anchors, np.nan)
    start = evaluator.start(safe)
    problems = Problems(
        evaluator, fitter.precise, fitter.smooth, batch, which, start, safe, -to_beat if competing else None
    )
    with jax.enable_x64(True):
        minima = fitter.search(problems)
    hypotheses = evaluator.hypothesis(minima.x, safe)
    ranked = np.where(np.isfinite(minima.value) & usable, minima.value, np.inf).reshape(num_events, num_seeds)
    best = np.argmin(ranked, axis=1) + np.arange(num_events) * num_seeds
    covariances: list[Covariance | None] = [None] * num_events
    if fitter.uncertainty is not None:
        wanted = np.isfinite(ranked.min(axis=1)) & (-ranked.min(axis=1) > to_beat)
        covariances = fitter.uncertainty(batch, hypotheses[best], wanted)
    share = (time.perf_counter() - begin - fitter.compile_seconds + compiling) / num_events
    evaluations = minima.evaluations.reshape(num_events, num_seeds).sum(axis=1)
    pulses, charges = np.asarray(batch.pulses.mask).sum(axis=-1), np.asarray(batch.charge, np.float64).sum(axis=-1)
    results = []
    for event, lane in enumerate(best):
        status = str(minima.status[lane]) if usable[lane] else "the seed is not finite"
        fine = np.isfinite(ranked[event].min())
        fixed = np.setdiff1d(np.arange(anchors.shape[1]), evaluator.coordinates.free)
        hypothesis = hypotheses[lane] if fine else np.full(anchors.shape[1], np.nan)
        hypothesis[fixed] = anchors[lane][fixed]  # exactly as given
        if status == NOT_FINITE:
            status = "the log-likelihood at the seed is not finite"
        elif fine and status == CONVERGED:
            reason = implausible_fit(fitter.model.parameters, fitter.model.detector, hypothesis)
            if fitter.precise is not None and not len(fixed):
                reason = reason or unlikely_fit(fitter.model, float(-minima.value[lane]), float(charges[event]))
            status = reason or status
        steepest = float(np.max(np.abs(minima.gradient[lane])))
        seed = int(lane - event * num_seeds)
        notes = Diagnostics(status == CONVERGED, status, steepest, int(evaluations[event]), share, seed)
        value, first = float(-minima.value[lane]) if fine else np.nan, float(-minima.first_value[lane])
        names, own = fitter.model.parameter_names, covariances[event]
        seen = int(pulses[event]), float(charges[event])
        results.append(FitResult(hypothesis, value, first, own, notes, names, evaluator.coordinates, *seen))
    return results


def reconstruct(
    model: AnyModel,
    events: Sequence[Event],
    seeds: np.ndarray,
    settings: FitSettings = DEFAULT,
    *,
    covariance: bool = True,
    search: Search | None = None,
    progress: Callable[[list[list[int]]], Iterable[Sequence[int]]] = lambda items: items,
) -> list[FitResult]:
    """Fits events, many at once, with their uncertainties.

    An event that cannot be fitted has a log-likelihood of NaN and says why in its diagnostics; the fits of all further
    events go on.

    Args:
      model: what to fit.
      events: from one detector.
      seeds: [E, H], or [E, S, H] for several per event of which the best fit counts; physical units.
      settings: free parameters, bounds, method and tolerances.
      covariance: compute uncertainties as well.
      search: what searches for minima, instead of what `settings.method` names.
      progress: wraps the list of blocks of events.

    Returns:
      One result per event.

    Raises:
      ConfigError: no model.
      ReconstructionError: shapes that do not fit, or an unknown name or method.
      DataError: no list of events of the model's detector.

    Example:
      `eg.reconstruct(model, events, seeds, eg.FitSettings(bounds={"cascade_energy": (1e2, 1e7)}))`
    """
    fit = make_fitter(model, settings, covariance=covariance, search=search)
    seeds = _checked_seeds(model, events, seeds)
    if fault := implausible_angle(model.parameters, seeds):
        raise ReconstructionError(f"seeds: {fault}")
    results: dict[int, FitResult] = {}
    for block in progress(list(blocks(events, LANES))):
        results |= dict(zip(block, fit([events[i] for i in block], seeds[list(block)]), strict=True))
    return [results[i] for i in range(len(events))]
