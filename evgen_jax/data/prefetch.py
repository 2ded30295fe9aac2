"""Reading of batches ahead in a thread, so that a training step does not wait for them."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax

from evgen_jax.data.batch import Batch
from evgen_jax.data.batches import BatchStream


def place(batch: Batch) -> Batch:
    """Sends a batch to the device, beside its copy on the host.

    Args:
      batch: events and labels on the host.

    Returns:
      The batch with `placed` set.
    """
    return replace(batch, placed=jax.device_put((batch.events, batch.labels)))


class Prefetch:
    """Iterates over the batches of a stream, which a thread reads ahead.

    Args:
      stream: where the batches come from.
      depth: number of batches that are read ahead.
      while_waiting: called several times a second while there is no batch; what it raises ends the waiting.
      prepare: applied to every batch in the thread, such as `place`.

    Raises:
      DataError: the stream raised it; the error comes when its batch is asked for.

    Attributes:
      position: of the stream after the last batch that was handed out.
    """

    def __init__(
        self,
        stream: BatchStream,
        depth: int = 4,
        while_waiting: Callable[[], None] = lambda: None,
        prepare: Callable[[Batch], Batch] = lambda batch: batch,
    ):
        self._prepare = prepare
        self._stream, self.position, self._while_waiting = stream, stream.position, while_waiting
        self._end: BaseException | None = None
        self._queue: queue.Queue[Any] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        try:
            for batch in self._stream:
                self._put((self._prepare(batch), self._stream.position))
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
        while self._end is None:
            try:
                item = self._queue.get(timeout=0.2)
                break
            except queue.Empty:
                self._while_waiting()
        if self._end is None and isinstance(item, BaseException):
            self._end = item
        if self._end is not None:
            raise self._end
        batch, self.position = item
        return batch

    def close(self) -> None:
        """Ends the thread and the readers; a file that is being read is not waited for."""
        self._stop.set()
        self._stream.close()
        self._thread.join(timeout=30)
