"""Steps that were given to the device and whose numbers the host has not read yet."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax import Array

from evgen_jax.data.batch import Batch

AHEAD = 8
"""Steps in the queue of the device while the host goes on; with steps of 2 ms the host may be late by 16 ms."""


@dataclass(frozen=True)
class Dispatched:
    """A step that was given to the device.

    Attributes:
      number: of the step, from 1.
      metrics: its numbers, on the device.
      batch: on which it is taken; its copy on the host, by which events are named if a number is not finite.
      position: where the data stand after it.
    """

    number: int
    metrics: Mapping[str, Array]
    batch: Batch
    position: dict[str, Any]


class Unread:
    """A queue of steps, the oldest first; the host waits only for steps that are `ahead` behind the newest.

    Batches of steps that were not read stay in the host's memory: up to `log_every` + `ahead` of them.

    Args:
      ahead: steps in flight. 0: every step is waited for.
    """

    def __init__(self, ahead: int = AHEAD):
        self.ahead = ahead
        self._steps: deque[Dispatched] = deque()

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: Dispatched) -> None:
        """Adds the newest step; waits until no more than `ahead` steps are in flight. No number is transferred.

        Args:
          step: that was given to the device.
        """
        self._steps.append(replace(step, batch=replace(step.batch, placed=None)))
        if len(self._steps) > self.ahead:
            jax.block_until_ready(self._steps[-1 - self.ahead].metrics)

    def clear(self) -> None:
        """Forgets all steps."""
        self._steps.clear()

    def read(self, in_flight: bool) -> Iterator[tuple[Dispatched, dict[str, float]]]:
        """Takes steps out, oldest first, with their numbers, which come in one transfer.

        A step stays in the queue until the next one is asked for: where the caller fails, it is not lost.

        Args:
          in_flight: leave the newest `ahead` steps to the device, so that nothing is waited for.

        Yields:
          A step and its numbers by name.
        """
        steps = list(self._steps)[: max(0, len(self) - self.ahead * in_flight)]
        for step, metrics in zip(steps, jax.device_get([dict(s.metrics) for s in steps]), strict=True):
            yield step, {name: float(value) for name, value in metrics.items()}
            self._steps.popleft()
