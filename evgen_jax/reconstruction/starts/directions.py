"""Fits from other directions over the sky, and fits without seeds, which begin there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evgen_jax.checks import check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.usable_pulses import DARK, is_dark
from evgen_jax.model.doors import check_events
from evgen_jax.physics.sphere import angles
from evgen_jax.reconstruction.fit.batching import batches
from evgen_jax.reconstruction.fit.covariance import inverse_of_hessian
from evgen_jax.reconstruction.fit.differences import differenced_hessian
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.fit.fit import Fitter, check_fitter
from evgen_jax.reconstruction.fit.limited_charge import is_bright, with_fewer_pulses
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.starts.pulses import best_apart, make_starts, spread_directions, values_at
from evgen_jax.reconstruction.starts.shape import Shape

SKY = 192
"""Number of directions of the scan around a fitted vertex."""
MOVED = 48
"""Number of the best directions from which all other parameters take a Newton step."""
LENGTHS = (0.3, 1.0)
"""Lengths tried for a Newton step, in full steps."""
NUM_REFITS = 12
"""Default number of directions that are fitted per round."""
ROUNDS = 4
"""Default of the largest number of rounds."""
NUM_CHECKS = 4
"""Number of directions per round with all charge, after a search with limited charges."""
GAINED = 0.01
"""Gain in log-likelihood below which a fit counts as at the known minimum."""


def _scan_sky(shape: Shape, evaluator: Evaluator, batch: Event, fits: np.ndarray, count: int) -> np.ndarray:
    """The best directions [E, count, H] with everything else as in fits [E, H], or where a Newton step takes it.

    In bright events vertices of different minima differ by metres, which cost more log-likelihood than a direction.
    """
    sky, size = spread_directions(SKY), SKY
    rows = np.repeat(fits, size, axis=0)
    rows[:, shape.place["zenith"]], rows[:, shape.place["azimuth"]] = angles(np.tile(sky, (len(fits), 1)))
    value = values_at(evaluator, batch, np.repeat(np.arange(len(fits)), size), rows).reshape(-1, size)
    rows = rows.reshape(len(fits), size, -1)
    best = np.argsort(value, axis=1)[:, : max(MOVED, count)]
    rows, value = np.take_along_axis(rows, best[:, :, None], axis=1), np.take_along_axis(value, best, axis=1)
    _move_along(evaluator, batch, fits, rows, value)
    return np.stack([best_apart(*own, count) for own in zip(rows, value, sky[best], strict=True)])


def _move_along(evaluator: Evaluator, batch: Event, fits: np.ndarray, rows: np.ndarray, value: np.ndarray) -> None:
    """Takes Newton steps of everything but the direction from rows [E, C, H], with the Hessians at fits [E, H].

    Where values [E, C] fall, rows and values are replaced.
    """
    lanes = np.arange(len(fits))
    at_fits, evaluate = evaluator.start(fits), evaluator.problems(batch, lanes, fits)
    hessians = differenced_hessian(evaluate, lanes, at_fits, evaluate(lanes, at_fits)[1])
    others = hessians.shape[1] - (2 if evaluator.coordinates.directions else 0)
    anchors, which = rows.reshape(-1, rows.shape[-1]).copy(), np.repeat(lanes, rows.shape[1])
    unknown = evaluator.start(anchors)
    gradient = evaluator.gradient(batch, which, unknown, anchors)[1]
    inverse = np.stack([inverse_of_hessian(h[:others, :others])[0] for h in hessians])
    step = np.zeros_like(unknown)
    step[:, :others] = -np.einsum("lij,lj->li", inverse[which], gradient[:, :others])
    for length in LENGTHS:
        moved = evaluator.hypothesis(unknown + length * step, anchors)
        new = values_at(evaluator, batch, which, moved).reshape(value.shape)
        falls = new < value
        rows[falls], value[falls] = moved.reshape(rows.shape)[falls], new[falls]


def refit_directions(
    fitter: Fitter,
    events: Sequence[Event],
    fits: Sequence[FitResult],
    *,
    num_directions: int = NUM_REFITS,
    rounds: int = ROUNDS,
) -> list[FitResult]:
    """Fits again from other directions: the light of a shower often has several minima in direction.

    With the vertex, time and energy of each fit, the log-likelihood of 192 directions over the sky, and for the better
    ones after a Newton step of vertex, time and energy; from the best of them, apart from each other, new fits. The
    best fit counts, and is where the next round begins.

    Bright events are searched with limited charges first (`limited_charge`), then all charge is fitted from the end of
    that search and from a few other directions.

    Args:
      fitter: made by `make_fitter`, of one cascade or entering track.
      events: what was measured, E of them.
      fits: of the events so far; failed ones stay.
      num_directions: directions fitted per round.
      rounds: most rounds; one that finds nothing better for an event is its last.

    Returns:
      The best fit of each event.

    Raises:
      ReconstructionError: a hypothesis that is neither one cascade nor one entering track, another number of fits than
        of events, or a number out of range.
      DataError: an event of another detector.
    """
    check_fitter(fitter)
    check_events(events, fitter.model.detector)
    check_whole(num_directions, 1, "num_directions", ReconstructionError)
    check_whole(rounds, 0, "rounds", ReconstructionError)
    if len(fits) != len(events):
        raise ReconstructionError(f"expected one fit per event, got {len(fits)} fits for {len(events)} events.")
    shape, best = Shape(fitter.model), list(fits)
    bright = [i for i, f in enumerate(fits) if fitter.limited and not f.failed and is_bright(events[i])]
    if bright:
        seeds = np.stack([best[i].hypothesis for i in bright])[:, None]
        to_beat = np.array([best[i].log_likelihood for i in bright])
        new = _by_limited_charges(fitter, shape, [events[i] for i in bright], seeds, num_directions, rounds, to_beat)
        best = _replaced(best, {i: _better(best[i], f) for i, f in zip(bright, new, strict=True)})
    return _checked(fitter, shape, events, best, bright, num_directions, rounds)


def _checked(
    fitter: Fitter,
    shape: Shape,
    events: Sequence[Event],
    fits: Sequence[FitResult],
    bright: Sequence[int],
    count: int,
    rounds: int,
) -> list[FitResult]:
    """Rounds from other directions with all charge; a few directions for the bright events."""
    best = list(fits)
    others = sorted(set(range(len(fits))) - set(bright))
    for own, few in ((others, count), (bright, min(count, NUM_CHECKS))):
        new = _rounds(fitter, shape, [events[i] for i in own], [best[i] for i in own], few, rounds)
        best = _replaced(best, dict(zip(own, new, strict=True)))
    return best


def _rounds(
    fitter: Fitter, shape: Shape, events: Sequence[Event], fits: Sequence[FitResult], count: int, rounds: int
) -> list[FitResult]:
    """The best fits after up to `rounds` from `count` other directions each; failed ones stay."""
    best, waiting = list(fits), [i for i, f in enumerate(fits) if not f.failed]
    for _ in range(rounds):
        if not waiting:
            break
        own, hypotheses = [events[i] for i in waiting], np.stack([best[i].hypothesis for i in waiting])
        seeds = np.empty((len(own), count, len(shape.names)))
        for places, batch in batches(own):
            seeds[places] = _scan_sky(shape, fitter.evaluator, batch, hypotheses[places], count)
        to_beat = np.array([best[i].log_likelihood for i in waiting])
        better = []
        for i, new in zip(waiting, fitter(own, seeds, to_beat), strict=True):
            if not new.failed and new.log_likelihood > best[i].log_likelihood + GAINED:
                better.append(i)
            best[i] = _better(best[i], new)
        waiting = better
    return best


def _by_limited_charges(
    fitter: Fitter,
    shape: Shape,
    events: Sequence[Event],
    seeds: np.ndarray,
    count: int,
    rounds: int,
    to_beat: np.ndarray | None = None,
) -> list[FitResult]:
    """Fits from seeds [E, S, H] to limited charges, from other directions too; where they end, fits to all charge."""
    assert fitter.limited is not None
    few = [with_fewer_pulses(event) for event in events]
    limited = _rounds(fitter.limited, shape, few, fitter.limited(few, seeds), count, rounds)
    ends = np.stack([own[0] if f.failed else f.hypothesis for own, f in zip(seeds, limited, strict=True)])
    return [
        replace(full, diagnostics=replace(full.diagnostics, **_cost(full, search)))
        for full, search in zip(fitter(events, ends, to_beat), limited, strict=True)
    ]


def _replaced(fits: Sequence[FitResult], others: dict[int, FitResult]) -> list[FitResult]:
    return [others.get(i, fit) for i, fit in enumerate(fits)]


def _told(fit: FitResult, message: str) -> FitResult:
    return replace(fit, diagnostics=replace(fit.diagnostics, converged=False, message=message))


def _cost(*fits: FitResult) -> dict[str, Any]:
    """Evaluations and runtime of several fits together, as fields of their diagnostics."""
    return {name: sum(getattr(f.diagnostics, name) for f in fits) for name in ("evaluations", "runtime")}


def _better(old: FitResult, new: FitResult) -> FitResult:
    """The better fit, with the cost of both and the seed of the old one."""
    chosen = new if not new.failed and new.log_likelihood > old.log_likelihood else old
    notes = replace(chosen.diagnostics, best_seed=old.diagnostics.best_seed, **_cost(old, new))
    return replace(chosen, log_likelihood_seed=old.log_likelihood_seed, diagnostics=notes)


def fit_without_seeds(
    fitter: Fitter,
    events: Sequence[Event],
    *,
    num_starts: int = 2,
    num_directions: int = NUM_REFITS,
    rounds: int = ROUNDS,
    base: np.ndarray | None = None,
    sphere_radius: float | None = None,
) -> list[FitResult]:
    """Fits events from their pulses alone: from starts of `make_starts`, then from other directions.

    Bright events are searched with limited charges first; their `log_likelihood_seed` is that at the end of this
    search.

    Args:
      fitter: made by `make_fitter`.
      events: what was measured; one without usable pulses fails.
      num_starts: starts per event.
      num_directions: directions fitted per round, see `refit_directions`.
      rounds: most rounds of other directions, see `refit_directions`.
      base: [H], values of parameters that are neither vertex, time, direction nor energy; None: the means of the
        normalisation.
      sphere_radius: m, of the sphere that an entering track enters; None: that of the model's sources.

    Returns:
      The best fit of each event.

    Raises:
      ReconstructionError: a hypothesis that is neither one cascade nor one entering track, a track of which no source
        says what sphere it enters, or a number out of range.
      DataError: an event of another detector.
    """
    check_fitter(fitter)
    check_events(events, fitter.model.detector)
    check_whole(num_starts, 1, "num_starts", ReconstructionError)
    check_whole(num_directions, 1, "num_directions", ReconstructionError)
    check_whole(rounds, 0, "rounds", ReconstructionError)
    shape, results = Shape(fitter.model, sphere_radius), dict[int, FitResult]()
    bright = [i for i, event in enumerate(events) if fitter.limited and is_bright(event)]
    others = [i for i in range(len(events)) if i not in bright]
    if bright and fitter.limited:
        own = [events[i] for i in bright]
        starts = make_starts(fitter.model, fitter.limited.evaluator, sphere_radius)
        seeds = starts([with_fewer_pulses(event) for event in own], num_starts, base)
        found = _by_limited_charges(fitter, shape, own, seeds, num_directions, rounds)
        results |= dict(zip(bright, found, strict=True))
    if others:
        own = [events[i] for i in others]
        starts = make_starts(fitter.model, fitter.evaluator, sphere_radius)
        results |= dict(zip(others, fitter(own, starts(own, num_starts, base)), strict=True))
    first = [_told(results[i], DARK) if is_dark(events[i]) else results[i] for i in range(len(events))]
    return _checked(fitter, shape, events, first, bright, num_directions, rounds)
