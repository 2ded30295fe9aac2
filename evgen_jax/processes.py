"""Processes that work for the present one and end with it, whatever ends it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any

from evgen_jax.interruption import signals_wait


class _Pool(ProcessPoolExecutor):
    """A pool that signals do not interrupt between the start of a process and the note of it: nobody would end that one."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with signals_wait():
            return super().submit(fn, *args, **kwargs)


def make_pool(count: int) -> ProcessPoolExecutor:
    """Makes a pool of processes, which are started when work is given to them; `stop_pool` ends them.

    Args:
      count: largest number of processes, at least 1.

    Returns:
      A pool whose processes ignore Ctrl-C and end when the present process ends.
    """
    # Spawned, not forked: a forked copy of a process that runs JAX may hang.
    return _Pool(count, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)


def stop_pool(pool: ProcessPoolExecutor) -> None:
    """Stops the processes of a pool at once, also those in the middle of their work.

    Args:
      pool: as `make_pool` makes it; it cannot be used afterwards.
    """
    # The pool itself waits for a process that hangs in a file system, and for ever for the rest of a result that one
    # was sending when it was killed: the end of its pipe must be seen.
    processes, results = pool_processes(pool), getattr(pool, "_result_queue", None)
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(timeout=1)
    if results is not None:
        results._writer.close()


def pool_processes(pool: ProcessPoolExecutor | None) -> list[Any]:
    """Lists the processes that a pool has started.

    Args:
      pool: None stands for a pool without processes.

    Returns:
      Objects of `multiprocessing.Process`.
    """
    return list((getattr(pool, "_processes", None) or {}).values())


def _begin() -> None:
    # Ctrl-C reaches every process of a terminal; the parent ends the others itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Ends this process with its parent, which may be killed without a chance to say so."""
    wait([sentinel])
    os._exit(1)
