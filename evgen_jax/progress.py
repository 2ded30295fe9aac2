"""Progress bars that count events, or what else a user counts, and say when a program is being compiled.

A bar is silent where only errors are logged. Where standard error is no terminal, it writes one line a minute.
"""

import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

LOGGER = logging.getLogger("evgen_jax")
"""Logger of the package; its level decides whether bars are shown."""
UNWATCHED = 60.0
"""Seconds between the lines of a bar where standard error is no terminal."""
T = TypeVar("T")


class _Shown(threading.local):
    """Bars that this thread shows now, the innermost last: work in other threads is counted where it is awaited."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []


_shown = _Shown()


class Bar:
    """Shows a progress bar inside a `with` statement.

    Args:
      description: what is done.
      unit: what is counted, in the singular.
      total: how many there are; None if that is unknown.

    Example:
      with Bar("fitting", total=100) as bar:
          bar.update(10)
    """

    def __init__(self, description: str, unit: str = "event", total: int | None = None):
        self._description, self._stages = description, list[str]()
        self._bar: Any = tqdm(total=total, unit=f" {unit}s", desc=description, disable=is_quiet(), **pace())

    def __enter__(self) -> "Bar":
        _shown.bars.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        _shown.bars.remove(self)
        self._bar.close()

    @property
    def done(self) -> int:
        """Returns how many have been counted."""
        return int(self._bar.n)

    def expect(self, total: int) -> None:
        """Sets the total number.

        Args:
          total: how many there are.
        """
        self._bar.total = total
        self._bar.refresh()

    def update(self, count: int = 1) -> None:
        """Counts some more.

        Args:
          count: how many were done since the last call.
        """
        self._bar.update(count)

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        """Shows a text behind the description while the `with` statement runs, such as "compiling".

        Args:
          text: what takes long.

        Yields:
          None.
        """
        self._stages.append(text)
        self._show(True)
        try:
            yield
        finally:
            self._stages.pop()
            self._show(sys.stderr.isatty())

    def _show(self, refresh: bool) -> None:
        stages = f" ({', '.join(self._stages)})" if self._stages else ""
        self._bar.set_description(self._description + stages, refresh=refresh)


def pace() -> dict[str, Any]:
    """Returns the settings of tqdm for how often a bar is drawn, as keyword arguments."""
    if sys.stderr.isatty():
        return {"dynamic_ncols": True}
    return {"mininterval": UNWATCHED, "maxinterval": UNWATCHED}


def is_quiet() -> bool:
    """Returns whether only errors are logged, so that no bar is shown."""
    return LOGGER.getEffectiveLevel() > logging.WARNING


@contextmanager
def stage(text: str) -> Iterator[None]:
    """Shows a text behind the description of the innermost bar of this thread; does nothing where there is no bar.

    Args:
      text: what takes long, such as "compiling".

    Yields:
      None; the work is done inside the `with` statement.
    """
    if not _shown.bars:
        yield
        return
    with _shown.bars[-1].stage(text):
        yield


def done(count: int = 1) -> None:
    """Counts on the innermost bar of this thread; does nothing where there is no bar.

    Args:
      count: how many were done since the last call.
    """
    if _shown.bars:
        _shown.bars[-1].update(count)


def counted(items: Iterable[T], description: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Iterates over items and counts them on a bar.

    Args:
      items: what is iterated over.
      description: what is done with them.
      unit: what one item is called.
      total: number of items; None: their length, if they have one.

    Yields:
      The items.
    """
    with Bar(description, unit, len(items) if total is None and isinstance(items, Sized) else total) as bar:
        for item in items:
            yield item
            bar.update()


def counted_blocks(blocks: Iterable[Sequence[T]], description: str, total: int) -> Iterator[Sequence[T]]:
    """Iterates over blocks of events and counts the events on a bar.

    Args:
      blocks: sequences of events.
      description: what is done with them.
      total: number of events in all blocks.

    Yields:
      The blocks.
    """
    with Bar(description, total=total) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))
