"""Batches read ahead in a thread, so that a training step does not wait for them."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

from evgen_jax.data.batches import Batch, BatchStream


class Prefetch:
    """Reads a stream in a thread of its own; `position` is that of the last batch handed out."""

    def __init__(self, stream: BatchStream, depth: int = 4):
        self._stream, self.position = stream, stream.position
        self._queue: queue.Queue[Any] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        try:
            for batch in self._stream:
                self._put((batch, self._stream.position))
                if self._stop.is_set():
                    return
            self._put(StopIteration())
        except BaseException as error:  # handed to the trainer, which raises it
            self._put(error)

    def _put(self, item: Any) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        batch, self.position = item
        return batch

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        self._stream.close()
