"""Progress bars that count what a user counts, and say when a program is being compiled.

Silent where errors alone are logged; where nobody watches (standard error is no terminal) a bar writes a line a minute.
"""

import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

LOGGER = logging.getLogger("evgen_jax")
UNWATCHED = 60.0
"""Seconds between the lines of a bar that no terminal shows."""
T = TypeVar("T")


class _Shown(threading.local):
    """Bars that this thread shows now, the innermost last: work in other threads is counted where it is awaited."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []


_shown = _Shown()


class Bar:
    """A bar that counts events (or what `unit` says); use it in a `with` statement.

    Args:
      description: what is done.
      unit: what is counted.
      total: how many there are, if that is known.
    """

    def __init__(self, description: str, unit: str = "event", total: int | None = None):
        self._description, self._stages = description, list[str]()
        self._bar: Any = tqdm(total=total, unit=unit, desc=description, disable=is_quiet(), **pace())

    def __enter__(self) -> "Bar":
        _shown.bars.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        _shown.bars.remove(self)
        self._bar.close()

    @property
    def done(self) -> int:
        return int(self._bar.n)

    def expect(self, total: int) -> None:
        """Sets how many there are."""
        self._bar.total = total
        self._bar.refresh()

    def update(self, count: int = 1) -> None:
        """Counts `count` more."""
        self._bar.update(count)

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        """Shows a word behind the description while something takes long."""
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
    """Settings of tqdm for how often a bar is drawn."""
    if sys.stderr.isatty():
        return {"dynamic_ncols": True}
    return {"mininterval": UNWATCHED, "maxinterval": UNWATCHED}


def is_quiet() -> bool:
    """Whether errors alone are wanted."""
    return LOGGER.getEffectiveLevel() > logging.WARNING


@contextmanager
def stage(text: str) -> Iterator[None]:
    """`Bar.stage` of the bar that is shown now; nothing where there is none."""
    if not _shown.bars:
        yield
        return
    with _shown.bars[-1].stage(text):
        yield


def done(count: int = 1) -> None:
    """Counts on the bar that is shown now; nothing where there is none."""
    if _shown.bars:
        _shown.bars[-1].update(count)


def counted(items: Iterable[T], description: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Goes through items with a bar."""
    with Bar(description, unit, len(items) if total is None and isinstance(items, Sized) else total) as bar:
        for item in items:
            yield item
            bar.update()


def counted_blocks(blocks: Iterable[Sequence[T]], description: str, total: int) -> Iterator[Sequence[T]]:
    """Goes through blocks of events with a bar that counts events."""
    with Bar(description, total=total) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))
