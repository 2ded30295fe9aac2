"""Processes that read files ahead of a training, and end with it whatever ends it."""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from evgen_jax.errors import DataError
from evgen_jax.main_guard import check_guarded
from evgen_jax.processes import make_pool, pool_processes, stop_pool


class Readers:
    """Calls functions in other processes, which are started when work is given to them.

    Args:
      count: number of processes; with 0 the functions are called in the present one.

    Raises:
      ConfigError: new processes would run the script that makes this object again.
    """

    def __init__(self, count: int):
        if count > 0:
            check_guarded("reading ahead", "set num_jobs: 0 in data_iterator_settings")
        self._count = count
        self._executor: ProcessPoolExecutor | None = None
        self._delivered = self._closed = False

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Begins a call; `result` waits for it.

        Args:
          function: a function of a module, which processes can import.
          *arguments: of the function.

        Returns:
          A future, to be given to `result`.

        Raises:
          DataError: a reader process has ended, or the readers are closed.
        """
        if self._count == 0:
            done: Future[Any] = Future()
            done.set_result(function(*arguments))
            return done
        if self._closed:
            raise DataError("input_data: this stream is closed.")
        if self._executor is None:
            self._executor = make_pool(self._count)
        try:
            return self._executor.submit(function, *arguments)
        except BrokenProcessPool:
            raise self._ended() from None

    def result(self, future: Future[Any]) -> Any:
        """Waits for a call.

        Args:
          future: as `submit` returned it.

        Returns:
          What the function returned.

        Raises:
          DataError: a reader process has ended, also where the executor does not notice, or the readers are closed.
        """
        while not self._closed:
            try:
                result = future.result(timeout=1)
                self._delivered = True
                return result
            except FutureTimeout:
                gone = any(not process.is_alive() for process in pool_processes(self._executor))
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
        stop_pool(executor)

    def _ended(self) -> DataError:
        reason = (
            "was ended from outside, often because memory ran out: use fewer num_jobs or num_add_files."
            if self._delivered
            else "ended before it read anything. In a script, what calls this program belongs below a line "
            "if __name__ == '__main__':, because readers import the script; else use fewer num_jobs."
        )
        return DataError(f"input_data: a reader process {reason}")
