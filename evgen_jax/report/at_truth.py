"""What a model expects of events whose truth is known, beside what was measured: charges in bins, arrival times."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from evgen_jax.errors import DataError
from evgen_jax.host_jit import host_jit
from evgen_jax.hypothesis.origin import counted_from_readout
from evgen_jax.hypothesis.parameters import CASCADE, DIRECTION, POSITIONS, places_by_role
from evgen_jax.measurement.event import Event
from evgen_jax.model.model import Model
from evgen_jax.model.terms import floored, pulse_cdf
from evgen_jax.physics.sphere import unit_vectors
from evgen_jax.reconstruction.fit.batching import batches
from evgen_jax.short_repr import short_repr

DISTANCES = np.geomspace(10, 1000, 15)
"""Edges of bins in the distance from the vertex, m."""
COSINES = np.linspace(-1, 1, 11)
"""Edges of bins in the cosine between the direction of the shower and the way to a module."""
CHARGES = np.geomspace(1e-3, 1e3, 13)
"""Edges of bins in the expected charge, PE."""
NUM_HEIGHTS = 16
"""Number of bins in the height of a module."""
NUM_SHARES = 20
"""Number of bins in the share of light that came before a pulse."""
BANDS = np.array([-1.0, -0.4, 0.4, 1.0])
"""Edges of bands in the cosine for light by distance: backward, sideward, forward."""


class Binned(NamedTuple):
    """Holds charges of modules of many events, summed in bins.

    Attributes:
      edges: [B + 1] of the bins.
      measured: [B], PE.
      expected: [B], PE.
      variance: [B], of the measured charges as the model has it, PE^2.
    """

    edges: np.ndarray
    measured: np.ndarray
    expected: np.ndarray
    variance: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """Returns measured over expected charge [B]; NaN where less than 1 PE is expected."""
        return np.where(self.expected >= 1, self.measured / np.maximum(self.expected, 1e-9), np.nan)

    @property
    def error(self) -> np.ndarray:
        """Returns the standard deviation of `ratio` [B] that the model expects."""
        return np.sqrt(self.variance) / np.maximum(self.expected, 1e-9)


@dataclass(frozen=True)
class AtTruth:
    """Holds what a model expects of events at their truth, beside what was measured.

    Attributes:
      events: number of them.
      pulses: number of pulses at usable modules.
      charges: sums by what they are binned in: 'expected charge (PE)', 'height (m)', and of a single cascade 'distance (m)'
        and 'cosine of direction and way'.
      bands: [3, distances] sums of the cascade's charges behind, beside and before it; None without a single cascade.
      energy: [3, distances], sum over modules and events of the energy of the event, GeV; None without a single cascade.
      shares: [distances or 1, shares], charge by the share of the module's light that the model expects before the pulse:
        uniform along the second axis where arrival times are right.
    """

    events: int
    pulses: int
    charges: Mapping[str, Binned]
    bands: tuple[Binned, ...] | None
    energy: np.ndarray | None
    shares: np.ndarray

    __repr__ = short_repr

    @property
    def total(self) -> Binned:
        """Returns the charges of all modules in one bin."""
        heights = self.charges["height (m)"]
        return Binned(heights.edges[[0, -1]], *(np.sum(own, keepdims=True) for own in heights[1:]))


@host_jit()
def _expected(model: Model, events: Event, hypotheses: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Expected charges [B, D], their variances [B, D] and shares of light before each pulse [B, P]."""

    def one(pair: tuple[Event, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        event, hypothesis = pair
        light = floored(model.source.light_yield(model.variables, hypothesis, event, model.detector, True))
        return light.charge, light.charge + light.excess, pulse_cdf(light, event)

    return jax.lax.map(one, (events, hypotheses))


class _Sums:
    """Adds up charges in bins."""

    def __init__(self, edges: np.ndarray, rows: int = 1):
        self.edges, self.rows = edges, rows
        self.sums = np.zeros((4, rows * (len(edges) - 1)))

    def add(self, values: np.ndarray, *columns: np.ndarray, row: np.ndarray | int = 0) -> None:
        """Adds up to four columns by bins of the values; the outer bins have no end."""
        count = len(self.edges) - 1
        place = row * count + np.clip(np.searchsorted(self.edges, values, "right") - 1, 0, count - 1)
        for total, column in zip(self.sums, columns, strict=False):
            total += np.bincount(place, column, minlength=len(total))

    def binned(self) -> tuple[Binned, ...]:
        """The first three columns of each row."""
        return tuple(Binned(self.edges, *own) for own in self.sums[:3].reshape(3, self.rows, -1).swapaxes(0, 1))


def compare_at_truth(model: Model, events: Sequence[Event], truth: Float[np.ndarray, "E H"]) -> AtTruth:
    """Compares events with what a model expects at their truth.

    Args:
      model: trained.
      events: E events of its detector.
      truth: [E, H], physical units.

    Returns:
      Sums over all events.

    Raises:
      DataError: no event, or large times and a parameter of which nothing tells whether it is a time.
    """
    if not events:
        raise DataError("a comparison at the truth needs at least one event.")
    position = np.asarray(model.detector.position, np.float64)
    found = places_by_role(model.parameters, CASCADE)
    place = found[0] if len(found) == 1 and {*POSITIONS, *DIRECTION, "energy"} <= set(found[0]) else None
    heights = np.linspace(position[:, 2].min() - 1e-3, position[:, 2].max() + 1e-3, NUM_HEIGHTS + 1)
    sums = {"height (m)": _Sums(heights), "expected charge (PE)": _Sums(CHARGES)}
    if place is not None:
        sums |= {"distance (m)": _Sums(DISTANCES), "cosine of direction and way": _Sums(COSINES)}
    bands, shares, pulses = _Sums(DISTANCES, 3), np.zeros((len(DISTANCES) - 1 if place else 1, NUM_SHARES)), 0
    counted = [counted_from_readout(model.parameters, h, e) for h, e in zip(truth, events, strict=True)]
    hypotheses = np.stack([hypothesis for hypothesis, *_ in counted])
    for own, lanes in batches([event for _, event, _ in counted]):
        batch = jax.tree.map(np.asarray, lanes)
        repeated = np.append(own, np.repeat(own[:1], batch.charge.shape[0] - len(own)))
        expected, variance, share = (
            np.asarray(out, np.float64) for out in _expected(model, batch, hypotheses[repeated])
        )
        for row, i in enumerate(own):
            event = jax.tree.map(lambda leaf, row=row: leaf[row], batch)
            usable = event.usable
            columns = event.charge[usable].astype(np.float64), expected[row][usable], variance[row][usable]
            sums["height (m)"].add(position[usable, 2], *columns)
            sums["expected charge (PE)"].add(columns[1], *columns)
            near = np.zeros(len(position), np.int64)
            if place is not None:
                away = position - truth[i, [place[role] for role in POSITIONS]]
                distance = np.linalg.norm(away, axis=1)
                axis = unit_vectors(*truth[i, [place[role] for role in DIRECTION]])
                cosine = away @ -axis / np.maximum(distance, 1e-9)  # directions of the field say where light comes from
                sums["distance (m)"].add(distance[usable], *columns)
                sums["cosine of direction and way"].add(cosine[usable], *columns)
                band = np.clip(np.searchsorted(BANDS, cosine, "right") - 1, 0, 2)
                energy = np.full(int(usable.sum()), truth[i, place["energy"]])
                bands.add(distance[usable], *columns, energy, row=band[usable])
                near = np.clip(np.searchsorted(DISTANCES, distance, "right") - 1, 0, len(DISTANCES) - 2)
            dom = event.active[np.minimum(event.pulses.slot, len(event.active) - 1)]
            counts = event.pulses.mask & usable[np.minimum(dom, len(usable) - 1)]
            bins = np.minimum((share[row][counts] * NUM_SHARES).astype(int), NUM_SHARES - 1)
            np.add.at(shares, (near[dom[counts]], bins), event.pulses.charge[counts])
            pulses += int(counts.sum())
    return AtTruth(
        events=len(events),
        pulses=pulses,
        charges={name: own.binned()[0] for name, own in sums.items()},
        bands=bands.binned() if place is not None else None,
        energy=bands.sums[3].reshape(3, -1) if place is not None else None,
        shares=shares,
    )


def largest_difference(counts: Iterable[float]) -> float:
    """Computes the largest difference between the cumulative distribution of counts in even bins and a uniform one.

    Args:
      counts: in bins of [0, 1].

    Returns:
      The difference, 0 for equal counts.
    """
    total = np.cumsum(np.asarray(list(counts), np.float64))
    uniform = np.arange(1, len(total) + 1) / len(total)
    return float(np.abs(total / max(total[-1], 1e-9) - uniform).max())
