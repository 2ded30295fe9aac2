"""Photons of a simulation as pulses of single photoelectrons."""

import numpy as np

from evgen_jax.config.records import FormatSettings


def pulses_of_photons(
    event: np.ndarray, sensor: np.ndarray, time: np.ndarray, settings: FormatSettings, run: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draws which photons become pulses, and when.

    The random numbers of an event follow from the seed, the run and the number of the event, so that a file gives equal
    pulses whenever it is read, alone or among others.

    Args:
      event: [P], ids of events, in any order.
      sensor: [P], a number per sensor.
      time: [P], ns.
      settings: efficiency, jitter and threshold.
      run: id of the run.

    Returns:
      Places of the photons that stay [Q], in order, and their times [Q], ns.
    """
    if settings.efficiency == 1 and settings.jitter == 0 and settings.threshold == 1:
        return np.arange(len(time)), np.asarray(time, np.float64)
    kept, drawn = np.zeros(len(time), bool), np.array(time, np.float64)
    order = np.argsort(event, kind="stable")
    edges = np.flatnonzero(np.diff(event[order], prepend=event[order[:1]] - 1)) if len(event) else np.zeros(0, np.int64)
    for own in np.split(order, edges[1:]):
        if not len(own):
            continue
        rng = np.random.default_rng((settings.seed, abs(run), abs(int(event[own[0]]))))
        seen = rng.random(len(own)) < settings.efficiency
        drawn[own] += settings.jitter * rng.standard_normal(len(own))
        _, place, counts = np.unique(sensor[own], return_inverse=True, return_counts=True)
        lit = np.bincount(place[seen], minlength=len(counts)) >= settings.threshold
        kept[own] = seen & lit[place]
    chosen = np.flatnonzero(kept)
    return chosen, drawn[chosen]
