"""Handling of SIGTERM and Ctrl-C: a command ends in order, a training between two steps with its state saved."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

BETWEEN_LOOKS = 0.02
"""Seconds between two looks at a computation."""


class Interrupted(KeyboardInterrupt):
    """Reports that a program was told to end; its text is one line for the user.

    Attributes:
      number: of the signal, such as `signal.SIGTERM`.
      exit_code: 128 + number, as shells expect: 143 after SIGTERM, 130 after Ctrl-C.
    """

    def __init__(self, number: int, text: str = ""):
        super().__init__(text or f"interrupted by {signal.Signals(number).name}")
        self.number, self.exit_code = number, 128 + number


class Interruption:
    """Handles SIGTERM and Ctrl-C inside a `with` statement; the earlier handlers come back afterwards.

    A signal raises `Interrupted` at once. After `defer` it is stored until `check` is called: a training step, a line
    of metrics or a checkpoint is never cut in two, however often the signal comes. Outside of the main thread, and for
    signals that the calling program handles or ignores itself, nothing is changed. Of two nested `Interruption`s the
    inner one handles the signals.
    """

    def __init__(self) -> None:
        self._earlier: dict[int, Any] = {}
        self._deferred = False
        self._received: int | None = None

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            usual = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
            for number, handler in usual.items():
                present = signal.getsignal(number)
                if present == handler or isinstance(getattr(present, "__self__", None), Interruption):
                    self._earlier[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is None:
            self._received = number
        if not self._deferred:
            raise Interrupted(self._received)

    def defer(self) -> None:
        """Makes signals wait until `check` is called."""
        self._deferred = True

    def check(self) -> None:
        """Raises the exception of a signal that came since the `with` statement was entered.

        Raises:
          Interrupted: a signal came.
        """
        if self._received is not None:
            raise Interrupted(self._received)


@contextmanager
def told_when_interrupted(text: str) -> Iterator[None]:
    """Adds a text to the message of an interruption: what is kept, and how to go on.

    Args:
      text: one or two sentences.

    Yields:
      None; the work is done inside the `with` statement.

    Raises:
      Interrupted: the work was interrupted by a signal.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Interrupted) else signal.SIGINT
        raise Interrupted(number, f"interrupted by {signal.Signals(number).name}. {text}") from None


class Computation(Protocol):
    """Is an array that may still be computed, as those of JAX are."""

    def is_ready(self) -> bool:
        """Returns whether it is computed."""
        ...


_left: list[Computation] = []
"""Computations that nobody waits for any more."""


def wait_for(arrays: Sequence[Computation]) -> None:
    """Waits for arrays so that signals are heard meanwhile: nobody handles them inside of a computation of minutes.

    Args:
      arrays: of computations that have begun.

    Raises:
      Interrupted: a signal came; the computation goes on until it is done, or the process ends (see `computing`).
    """
    try:
        while not all(array.is_ready() for array in arrays):
            time.sleep(BETWEEN_LOOKS)
    except KeyboardInterrupt:
        _left.extend(arrays)
        raise


def computing() -> bool:
    """Returns whether a computation is running that `wait_for` gave up: Python would wait for it at its end."""
    return not all(array.is_ready() for array in _left)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Lets SIGTERM and Ctrl-C wait until what stands in the `with` statement is done; whoever handles them does so then.

    Outside of the main thread, which alone handles signals, nothing is changed.

    Yields:
      None.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    # Not blocked: processes that are started meanwhile would inherit that.
    earlier = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
