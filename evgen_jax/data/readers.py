"""Processes that read files ahead of a training, and end with it whatever ends it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

from evgen_jax.errors import DataError
from evgen_jax.main_guard import check_guarded


class Readers:
    """Calls functions in `count` processes, which are started by need; with 0 the caller does it himself."""

    def __init__(self, count: int):
        if count > 0:
            check_guarded("reading ahead", "set num_jobs: 0 in data_iterator_settings")
        self._count = count
        self._executor: ProcessPoolExecutor | None = None
        self._delivered = self._closed = False

    def submit(self, function: Callable, *arguments: Any) -> Future:
        """Begins a call; `result` waits for it.

        Raises:
          DataError: a reader process has ended.
        """
        if self._count == 0:
            done: Future = Future()
            done.set_result(function(*arguments))
            return done
        if self._closed:
            raise DataError("input_data: this stream is closed.")
        if self._executor is None:
            # Spawned, not forked: a forked copy of a process that runs JAX may hang.
            self._executor = ProcessPoolExecutor(
                self._count, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
            )
        try:
            return self._executor.submit(function, *arguments)
        except BrokenProcessPool:
            raise self._ended() from None

    def result(self, future: Future) -> Any:
        """What the call returned.

        Raises:
          DataError: a reader process has ended, also where the executor does not notice.
        """
        while not self._closed:
            try:
                result = future.result(timeout=1)
                self._delivered = True
                return result
            except FutureTimeout:
                gone = any(not process.is_alive() for process in _processes(self._executor))
                if gone and not wait_for([future], timeout=2).done:
                    raise self._ended() from None
            except BrokenProcessPool:
                raise self._ended() from None
        raise DataError("input_data: this stream is closed.")

    def close(self) -> None:
        """Stops the processes, also those in the middle of a file."""
        self._closed = True
        if self._executor is None:
            return
        executor, self._executor = self._executor, None
        # The executor itself waits for a reader that hangs in a file system, and for ever for the rest of a result that a
        # reader was sending when it was killed: the end of its pipe must be seen.
        processes, results = _processes(executor), getattr(executor, "_result_queue", None)
        executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(timeout=1)
        if results is not None:
            results._writer.close()

    def _ended(self) -> DataError:
        reason = (
            "was ended from outside, often because memory ran out: use fewer num_jobs or num_add_files."
            if self._delivered
            else "ended before it read anything. In a script, what calls this program belongs below a line "
            "if __name__ == '__main__':, because readers import the script; else use fewer num_jobs."
        )
        return DataError(f"input_data: a reader process {reason}")


def _processes(executor: ProcessPoolExecutor | None) -> list[Any]:
    return list((getattr(executor, "_processes", None) or {}).values())


def _begin() -> None:
    # Ctrl-C reaches every process of a terminal; the trainer ends its readers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Ends this process with its parent, which may be killed without a chance to say so."""
    wait([sentinel])
    os._exit(1)
