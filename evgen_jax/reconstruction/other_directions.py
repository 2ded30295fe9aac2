"""Fits from other directions over the sky, and fits without seeds, which begin there."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evgen_jax.event import Event
from evgen_jax.reconstruction.covariance import inverse_of_hessian
from evgen_jax.reconstruction.evaluator import Evaluator, batches
from evgen_jax.reconstruction.fit import Fitter
from evgen_jax.reconstruction.minimiser import DIFFERENCE, differenced_hessian
from evgen_jax.reconstruction.result import FitResult
from evgen_jax.reconstruction.sphere import angles
from evgen_jax.reconstruction.starts import Shape, best_apart, make_starts, spread_directions, values_at

SKY = 192
"""Directions of the scan around a fitted vertex."""
MOVED, LENGTHS = 48, (0.3, 1.0)
"""The best of these directions for which everything else makes a Newton step too, of the best of these lengths."""
NUM_REFITS, ROUNDS = 12, 4
GAINED = 0.01
"""A fit that is better by less is the same minimum."""


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
    """Newton steps of everything but the direction from rows [E, C, H], with the Hessians at fits [E, H]; where values
    [E, C] fall, both are replaced."""
    lanes = np.arange(len(fits))
    at_fits, evaluate = evaluator.start(fits), evaluator.problems(batch, lanes, fits)
    hessians = differenced_hessian(evaluate, lanes, at_fits, evaluate(lanes, at_fits)[1], DIFFERENCE)
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

    With the vertex, time and energy of each fit, the log-likelihood of 192 directions over the sky, and for the better ones
    after a Newton step of vertex, time and energy; from the best of them, apart from each other, new fits. The best fit
    counts, and is where the next round begins.

    Args:
      fitter: made by `make_fitter`, of one cascade or entering track.
      events, fits: what was measured, and the fits so far; failed ones stay.
      num_directions: fitted per round.
      rounds: one that finds nothing better for an event is its last.

    Raises:
      ReconstructionError: a hypothesis that is neither one cascade nor one entering track.
    """
    shape, best = Shape(fitter.model, None), list(fits)
    waiting = [i for i, f in enumerate(fits) if not f.failed]
    for _ in range(rounds):
        if not waiting:
            break
        own, hypotheses = [events[i] for i in waiting], np.stack([best[i].hypothesis for i in waiting])
        seeds = np.empty((len(own), num_directions, len(shape.names)))
        for places, batch in batches(own):
            seeds[places] = _scan_sky(shape, fitter.evaluator, batch, hypotheses[places], num_directions)
        to_beat = np.array([best[i].log_likelihood for i in waiting])
        better = []
        for i, new in zip(waiting, fitter(own, seeds, to_beat), strict=True):
            if not new.failed and new.log_likelihood > best[i].log_likelihood + GAINED:
                better.append(i)
            best[i] = _better(best[i], new)
        waiting = better
    return best


def _better(old: FitResult, new: FitResult) -> FitResult:
    """The better fit, with the cost of both and the seed of the old one."""
    chosen = new if not new.failed and new.log_likelihood > old.log_likelihood else old
    notes = replace(
        chosen.diagnostics, evaluations=old.diagnostics.evaluations + new.diagnostics.evaluations,
        runtime=old.diagnostics.runtime + new.diagnostics.runtime, best_seed=old.diagnostics.best_seed,
    )  # fmt: skip
    return replace(chosen, log_likelihood_seed=old.log_likelihood_seed, diagnostics=notes)


def fit_without_seeds(
    fitter: Fitter,
    events: Sequence[Event],
    *,
    num_starts: int = 2,
    num_directions: int = NUM_REFITS,
    rounds: int = ROUNDS,
    base: np.ndarray | None = None,
) -> list[FitResult]:
    """Fits events from their pulses alone: from `num_starts` starts of `make_starts`, then from other directions.

    Args:
      fitter: made by `make_fitter`.
      events: what was measured; one without usable pulses fails.
      num_directions, rounds: see `refit_directions`.
      base: [H], values of parameters that are neither vertex, time, direction nor energy.

    Raises:
      ReconstructionError: as `make_starts`.
    """
    starts = make_starts(fitter.model, fitter.evaluator)
    first = fitter(events, starts(events, num_starts, base))
    return refit_directions(fitter, events, first, num_directions=num_directions, rounds=rounds)
