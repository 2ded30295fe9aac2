"""Starts of fits from the pulses alone: vertices where the light is, directions over the sky, energies by scan."""

from collections.abc import Callable, Sequence

import numpy as np

from evgen_jax.checks import check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import charge_quantiles
from evgen_jax.measurement.usable_pulses import usable_pulses
from evgen_jax.model.doors import check_events, check_hypothesis
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.physics.sphere import angle_between, unit_vectors
from evgen_jax.reconstruction.fit.batching import batches
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.starts.shape import Shape

NUM_DIRECTIONS = 24
"""Number of directions that are tried per vertex."""
ENERGIES = np.geomspace(10.0, 1e7, 13)
"""Energies that are tried per vertex, GeV."""
EARLY = 0.2
"""Share of the charge that may be earlier than light from the vertex: noise, and inexact vertices."""
BEFORE = 0.02
"""Share of a DOM's charge that counts as noise before its first light."""
APART = 0.35
"""Angle between directions below which starts count as one, rad."""


def make_starts(model: AnyModel, evaluator: Evaluator, sphere_radius: float | None = None) -> Callable[..., np.ndarray]:
    """Makes a function that finds starts of fits from pulses, for hypotheses of one cascade or one entering track.

    Three vertices (charge-weighted in two ways, brightest DOM) with the time at which light from there explains the
    first pulses, the best of 13 energies, 24 directions over the sky, all by the log-likelihood: 111 evaluations per
    event. Further parameters keep the values of `base` [H] (default: the means of the normalisation), as do those that
    the fit does not free; what lies beyond bounds of the fit is brought to the nearer one.

    Args:
      model: gives names and detector.
      evaluator: of the fit (`make_fitter(...).evaluator`).
      sphere_radius: m, of an entering track's sphere; None: that of the model's sources.

    Returns:
      Function (events, count, base=None) -> seeds [E, count, H], physical units, the best first.

    Raises:
      ReconstructionError: a hypothesis that is neither one cascade nor one entering track, a track of which no source
        says what sphere it enters, or a radius that is none or is given for a cascade.
    """
    shape = Shape(model, sphere_radius)
    if shape.is_track:
        _ = shape.radius  # told before there are events where nothing says it

    def starts(events: Sequence[Event], count: int, base: np.ndarray | None = None) -> np.ndarray:
        check_events(events, model.detector)
        check_whole(count, 1, "count", ReconstructionError)
        if base is not None:
            check_hypothesis(base, model.parameter_names, "a base")
        seeds = np.empty((len(events), count, len(model.parameter_names)))
        for own, batch in batches(events):
            seeds[own] = _scan_pulses(shape, evaluator, [events[i] for i in own], batch, count, base)
        flat = seeds.reshape(-1, seeds.shape[-1])
        if evaluator.coordinates.outside(flat):  # the search knows nothing of bounds
            seeds = evaluator.hypothesis(evaluator.start(flat), flat).reshape(seeds.shape)
        return seeds

    return starts


def first_pulses(event: Event) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the first pulses of DOMs; noise before bright light is left out.

    Args:
      event: one event.

    Returns:
      DOMs with a usable pulse [M], their charges [M], PE, and the times of their first pulses [M], ns.
    """
    good, slot = usable_pulses(event), np.asarray(event.pulses.slot)
    dom = np.asarray(event.active)[np.minimum(slot, len(event.active) - 1)]
    dom, time = dom[good], np.asarray(event.pulses.time, np.float64)[good]
    # Pulses of an event are sorted by DOM and time; its own quantiles count unusable ones too.
    begins = np.ones(len(dom), bool)
    begins[1:] = dom[1:] != dom[:-1]
    charge, quantile = charge_quantiles(np.asarray(event.pulses.charge, np.float64)[good], begins)
    lit, first = quantile > BEFORE, np.full(len(charge), np.inf)
    np.minimum.at(first, (np.cumsum(begins) - 1)[lit], time[lit])
    return dom[begins], charge, first


def vertex_time(
    position: np.ndarray, charge: np.ndarray, first: np.ndarray, vertex: np.ndarray, velocity: float
) -> float:
    """Estimates when light left a vertex to reach DOMs at their first pulses.

    Args:
      position: [M, 3], of the DOMs, m.
      charge: [M], PE.
      first: [M], times of the first pulses, ns.
      vertex: [3], m.
      velocity: of light in the medium, m / ns.

    Returns:
      The time, ns; a share `EARLY` of the charge comes earlier than light from the vertex could.
    """
    residual = first - np.linalg.norm(position - vertex, axis=1) / velocity
    order = np.argsort(residual)
    share = np.cumsum(charge[order]) / charge.sum()
    return float(residual[order][np.searchsorted(share, EARLY)])


def spread_directions(count: int) -> np.ndarray:
    """Spreads directions evenly over the sphere (Fibonacci lattice).

    Args:
      count: number of directions.

    Returns:
      Unit vectors [count, 3].
    """
    k = np.arange(count) + 0.5
    return unit_vectors(np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k)


def _scan_pulses(
    shape: Shape, evaluator: Evaluator, events: Sequence[Event], batch: Event, count: int, base: np.ndarray | None
) -> np.ndarray:
    names = shape.names
    if base is None:
        base = shape.model.trafo.centre()
    sky = spread_directions(NUM_DIRECTIONS)
    up = np.array([[0.0, 0.0, 1.0]])
    velocity = float(shape.model.detector.medium.group_velocity)
    vertices, times, event_of = [], [], []
    for number, event in enumerate(events):
        doms, charge, first = first_pulses(event)
        if len(doms) == 0:
            continue
        position = np.asarray(shape.model.detector.position, np.float64)[doms]
        module = np.unique(position, axis=0, return_inverse=True)[1].ravel()
        brightest = position[np.argmax(np.bincount(module, charge)[module])]
        middle, wide = (np.average(position, axis=0, weights=own) for own in (charge, np.sqrt(charge)))
        for vertex in (middle, brightest, wide):
            vertices.append(vertex)
            times.append(vertex_time(position, charge, first, vertex, velocity))
            event_of.append(number)
    seeds = np.full((len(events), count, len(names)), np.nan)
    if not vertices:
        return seeds
    points, when, own = np.stack(vertices), np.array(times), np.array(event_of)

    size, total = len(ENERGIES), len(ENERGIES) * len(points)
    vertex, time = np.repeat(points, size, axis=0), np.repeat(when, size)
    rows = shape.hypotheses(base, vertex, time, np.repeat(up, total, axis=0), np.tile(ENERGIES, len(points)))
    value = values_at(evaluator, batch, np.repeat(own, size), rows)
    energy = ENERGIES[np.argmin(value.reshape(-1, size), axis=1)]
    size = NUM_DIRECTIONS
    vertex, time = np.repeat(points, size, axis=0), np.repeat(when, size)
    rows = shape.hypotheses(base, vertex, time, np.tile(sky, (len(points), 1)), np.repeat(energy, size))
    which, directions = np.repeat(own, size), np.tile(sky, (len(points), 1))
    value = values_at(evaluator, batch, which, rows)
    for number in range(len(events)):
        mine = which == number
        seeds[number] = best_apart(rows[mine], value[mine], directions[mine], count)
    return seeds


def values_at(evaluator: Evaluator, batch: Event, which: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Computes minus log-likelihoods of hypotheses.

    Args:
      evaluator: of the fit.
      batch: events with a leading axis B.
      which: [N], place of the event of each hypothesis in the batch.
      rows: [N, H], hypotheses, physical units.

    Returns:
      Values [N]; infinite where they are not finite.
    """
    value = evaluator.value(batch, which, evaluator.start(rows), rows)
    return np.where(np.isfinite(value), value, np.inf)


def best_apart(rows: np.ndarray, value: np.ndarray, directions: np.ndarray, count: int) -> np.ndarray:
    """Chooses the best hypotheses whose directions lie apart.

    Args:
      rows: [N, H], hypotheses, physical units.
      value: [N], minus log-likelihoods.
      directions: [N, 3], unit vectors.
      count: number of hypotheses to choose.

    Returns:
      Hypotheses [count, H], the best first, repeated if there are fewer; NaN if no value is finite.
    """
    chosen: list[int] = []
    for i in np.argsort(value):
        if len(chosen) == count or not np.isfinite(value[i]):
            break
        if all(angle_between(directions[i], directions[j]) > APART for j in chosen):
            chosen.append(int(i))
    return rows[np.resize(chosen, count)] if chosen else np.full((count, rows.shape[1]), np.nan)
