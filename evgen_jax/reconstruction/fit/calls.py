"""Programs with their arguments: compiled once for a shape, several at a time, and run by the threads of this machine."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jaxtyping import Int, Real

from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.program_memory import make_room_for_programs
from evgen_jax.progress import stage
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.lanes import FEWEST, lanes_for, threads_together

LOGGER = logging.getLogger("evgen_jax")
_RUN: WeakKeyDictionary[Callable[..., Any], WeakKeyDictionary[Coordinates, set[Any]]] = WeakKeyDictionary()
"""Programs that have run, each with what it was compiled for; remembered as long as JAX keeps function and coordinates."""


@dataclass(frozen=True, eq=False)
class Call:
    """Holds a program and its arguments for L lanes.

    Attributes:
      program: jitted, of (function, coordinates, model, lanes, anchors, events, which, count, *shared), the first two
        static, as `each_lane` or `each_block` take the others.
      function: first argument of the program, pure and hashable.
      coordinates: of the fit.
      model: of all lanes.
      events: a batch.
      which: [L], places of the lanes' events in the batch.
      lanes: array or tree of arrays [L, ...], as unknowns [L, n].
      anchors: [L, H], physical units.
      shared: further arguments of the program.
      parts: per thread; more than one where lanes take times of their own.
    """

    program: Callable[..., Any]
    function: Callable[..., Any]
    coordinates: Coordinates
    model: AnyModel
    events: Event
    which: Int[np.ndarray, " L"]
    lanes: Any
    anchors: Real[np.ndarray, "L H"]
    shared: tuple[Any, ...] = ()
    parts: int = 1

    def __call__(self) -> Any:
        """Runs the program, which has been compiled.

        Returns:
          Arrays with a leading axis L, floats as float64.
        """
        total = len(self.which)
        threads = threads_together(total, 1 if self.parts > 1 else FEWEST)
        size = -(-total // (threads * self.parts if threads > 1 else 1))
        size = max(min(size, lanes_for(self.coordinates.size)), 1)
        with ThreadPoolExecutor(threads) as pool:
            # An interruption here calls off the parts that wait.
            found = list(pool.map(lambda first: self.part(first, size), range(0, total, size)))
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *found)

    def part(self, first: int, most: int) -> Any:
        """Runs the program for some of the lanes.

        Args:
          first: number of the first of them.
          most: how many at most; 0 compiles alone.

        Returns:
          Arrays with a leading axis, floats as float64.
        """
        count = min(most, len(self.which) - first)
        fill = np.resize(np.arange(first, first + max(count, 1)), lanes_for(self.coordinates.size))
        # The sum over DOMs and pulses needs float64: in float32 minimisers stop at its rounding errors.
        with jax.enable_x64(True):
            out = self.program(
                self.function,
                self.coordinates,
                self.model,
                jax.tree.map(lambda a: a[fill], self.lanes),
                np.asarray(self.anchors[fill], np.float64),
                self.events,
                np.asarray(self.which[fill], np.int32),
                np.asarray(count, np.int32),
                *self.shared,
            )
            return jax.tree.map(lambda a: np.asarray(a)[:count], out)

    @property
    def key(self) -> Any:
        """Returns what the program is compiled for, beside function and coordinates."""
        shapes = tuple(np.shape(a) for a in jax.tree.leaves((self.model, self.events)))
        return self.program, jax.tree.structure(self.model), shapes

    @property
    def known(self) -> set[Any]:
        """Returns the keys of what has been compiled for function and coordinates."""
        return _RUN.setdefault(self.function, WeakKeyDictionary()).setdefault(self.coordinates, set())


def compile_together(calls: Sequence[Call]) -> list[float]:
    """Compiles the programs of some calls side by side: a compiler keeps one core busy for most of its time.

    Args:
      calls: what will be called; programs that have been compiled cost nothing.

    Returns:
      Seconds by the clock that each of them took, their sum what all took together.
    """
    missing: dict[Any, Call] = {}
    for call in calls:
        if call.key not in call.known:
            missing.setdefault((call.function, call.coordinates, call.key), call)
    if not missing:
        return [0.0] * len(calls)
    if make_room_for_programs():
        _RUN.clear()
        missing = {(call.function, call.coordinates, call.key): call for call in reversed(calls)}

    def compiled(call: Call) -> float:
        begin = time.perf_counter()
        call.part(0, 0)
        spent = time.perf_counter() - begin
        LOGGER.info("compiled a program for %d pulses per event in %.1f s", call.events.pulses.charge.shape[-1], spent)
        return spent

    begin = time.perf_counter()
    with stage("compiling"), ThreadPoolExecutor(len(missing)) as pool:
        spent = dict(zip(map(id, missing.values()), pool.map(compiled, missing.values()), strict=True))
    share = (time.perf_counter() - begin) / max(sum(spent.values()), 1e-9)
    for call in missing.values():
        call.known.add(call.key)
    return [share * spent.get(id(call), 0.0) for call in calls]
