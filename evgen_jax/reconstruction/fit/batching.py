"""Batches of events that share the programs of fits: padded to few different lengths, stacked."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket, pulse_bucket
from evgen_jax.measurement.padding import repad
from evgen_jax.reconstruction.fit.lanes import LANES

BUCKET_FACTOR = 4
"""Ratio of successive padded lengths: few programs to compile, at most four times the pulses."""
PULSES_PER_ACTIVE = 8
"""Pulses per active DOM up to which events of one bucket of pulses share a shape."""
MOST_FOR_PULSES = 1024
"""Active DOMs to which the number of pulses pads at most; beyond, their own number alone counts."""
WORTH_A_SHAPE = 1 << 17
"""Padded pulses and DOMs of all events of a shape together that cost as much as the programs of another shape."""
CHEAP = 1 / 16
"""Cost of a padded pulse beside that of a padded DOM on a CPU, which leaves out blocks of padded pulses."""


def shape_of(event: Event) -> tuple[int, int, int]:
    """Computes the padded lengths of an event within its bucket.

    Active DOMs are padded to an eighth of the pulses at least, up to 1024, so that events of one bucket of pulses mostly share
    a shape.

    Args:
      event: one event.

    Returns:
      Padded numbers of pulses, active DOMs and windows.
    """
    count = max(int(np.sum(np.asarray(event.pulses.mask))), 1)
    pulses = pulse_bucket(count, BUCKET_FACTOR)
    num_doms = event.charge.shape[0]
    count = max(int(np.sum(np.asarray(event.active) < num_doms)), min(pulses // PULSES_PER_ACTIVE, MOST_FOR_PULSES), 1)
    active = min(bucket(count, factor=BUCKET_FACTOR), num_doms)
    windows = int(np.sum(np.asarray(event.windows.mask)))
    return pulses, active, bucket(windows, factor=BUCKET_FACTOR) if windows else 0


def grouped_by_shape(events: Sequence[Event]) -> dict[tuple[int, int, int], list[int]]:
    """Groups events by padded lengths that they share.

    These are the lengths of their buckets, or those of larger events of which there are too few to be worth programs of
    their own.

    Args:
      events: E of them.

    Returns:
      Padded lengths -> places of the events that have them, small events first.
    """
    own: dict[tuple[int, int, int], list[int]] = {}
    for i, event in enumerate(events):
        own.setdefault(shape_of(event), []).append(i)
    groups: dict[tuple[int, int, int], list[int]] = {}
    for shape in sorted(own):
        places = own[shape]
        for smaller in list(groups):
            both = (max(smaller[0], shape[0]), max(smaller[1], shape[1]), max(smaller[2], shape[2]))
            if _padding(both, (groups[smaller], smaller), (places, shape)) <= WORTH_A_SHAPE:
                places, shape = groups.pop(smaller) + places, both
        groups[shape] = groups.get(shape, []) + places
    return groups


def _padding(shape: tuple[int, int, int], *groups: tuple[list[int], tuple[int, int, int]]) -> float:
    """Costs of padding groups of events with lengths of their own to a shape, in padded DOMs."""
    weights = (CHEAP if jax.default_backend() == "cpu" else 1.0, 1.0, 1.0)
    return sum(
        len(events) * sum(w * (new - had) for w, new, had in zip(weights, shape, own, strict=True))
        for events, own in groups
    )


def blocks(events: Sequence[Event], size: int) -> Iterator[list[int]]:
    """Splits events into blocks that are fitted together; the events of a block share a shape.

    Args:
      events: E of them.
      size: largest number of events in a block.

    Yields:
      Places of the events; the blocks of one shape hold small and large events alike, so that each has that shape.
    """
    for places in grouped_by_shape(events).values():
        count = -(-len(places) // size)
        yield from (places[first::count] for first in range(count))


def batches(events: Sequence[Event], most: int = LANES) -> Iterator[tuple[list[int], Event]]:
    """Packs events of one padded shape into batches; every event is in one of them.

    Args:
      events: E of them.
      most: largest number of events in a batch.

    Yields:
      Places of the events, and the batch.
    """
    for shape, places in grouped_by_shape(events).items():
        for first in range(0, len(places), most):
            own = places[first : first + most]
            yield own, stacked([events[i] for i in own], shape, LANES)


def stacked(events: Sequence[Event], shape: tuple[int, int, int], lanes: int) -> Event:
    """Stacks events to a batch on the device; lanes without an event repeat the first one.

    Args:
      events: of one shape.
      shape: padded numbers of pulses, active DOMs and windows.
      lanes: number of events in the batch.

    Returns:
      The batch, with leading axis `lanes`.
    """
    padded = [_fitted(event, shape) for event in events]
    rows = padded + [padded[0]] * (lanes - len(padded))
    with jax.enable_x64(True):
        return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *rows)


def _fitted(event: Event, shape: tuple[int, int, int]) -> Event:
    """The event with exactly these padded lengths."""
    event = jax.tree.map(np.asarray, event)
    cut = event.replace(
        pulses=jax.tree.map(lambda a: a[: shape[0]], event.pulses),
        active=event.active[: shape[1]],
        windows=jax.tree.map(lambda a: a[: shape[2]], event.windows),
    )
    return repad(cut, *shape)
