"""Frames that wait until several can be fitted together, and go on in the order in which they came."""

from collections.abc import Callable
from typing import Generic, TypeVar

from evgen_jax.checks import check_whole
from evgen_jax.errors import ConfigError

Item = TypeVar("Item")
HELD_PER_WANTED = 64
"""Frames that wait per frame of a batch at most: behind an event come few frames without one, or the batch is not filled."""


class Waiting(Generic[Item]):
    """Holds frames back until a batch is full.

    Args:
      work: is called with the frames of a batch, in their order.
      batch: number of frames that are worked on together.

    Raises:
      ConfigError: a batch that is no whole number above 0.
    """

    def __init__(self, work: Callable[[list[Item]], None], batch: int):
        check_whole(batch, 1, "batch_frames", ConfigError)
        self._work, self._batch = work, batch
        self._held: list[Item] = []
        self._wanted: list[Item] = []

    def add(self, item: Item, wanted: bool) -> list[Item]:
        """Takes a frame.

        Args:
          item: the frame.
          wanted: whether it is worked on; others keep their place between those that are.

        Returns:
          Frames that go on, in the order in which they came.
        """
        if not wanted and not self._wanted:
            return [item]
        self._held.append(item)
        if wanted:
            self._wanted.append(item)
        full = len(self._wanted) == self._batch or len(self._held) >= HELD_PER_WANTED * self._batch
        return self.flush() if full else []

    def flush(self) -> list[Item]:
        """Works on all frames that wait.

        Returns:
          These frames, in the order in which they came.
        """
        wanted, held = self._wanted, self._held
        self._wanted, self._held = [], []
        if wanted:
            self._work(wanted)
        return held
