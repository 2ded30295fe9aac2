"""Values, derivatives and searches for minima of a likelihood for many fits at once."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Real

from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.program_memory import make_room_for_programs
from evgen_jax.progress import stage
from evgen_jax.reconstruction.fit import programs
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.differences import Gradients
from evgen_jax.reconstruction.fit.lanes import (
    FEWEST,
    PARTS,
    lanes_for,
    threads_together,
)
from evgen_jax.reconstruction.fit.minimiser import Advance
from evgen_jax.reconstruction.fit.objective import Loss, ModelLogLikelihood
from evgen_jax.reconstruction.fit.state import Rules, State, initial

LOGGER = logging.getLogger("evgen_jax")


_RUN: WeakKeyDictionary[Callable[..., Any], WeakKeyDictionary[Coordinates, set[Any]]] = WeakKeyDictionary()
"""Programs that have run, each with what it was compiled for; remembered as long as JAX keeps function and coordinates."""


class Evaluator:
    """-log L and its derivatives by the unknowns of a fit, and searches for its minima.

    Args:
      function: log-likelihood of (model, hypothesis [H], event), pure and hashable.
      coordinates: of the fit.
      model: first argument of `function`.

    Attributes:
      compile_seconds: spent on programs for new shapes so far, s.
    """

    def __init__(self, function: ModelLogLikelihood, coordinates: Coordinates, model: AnyModel):
        self.function, self.coordinates, self.model = function, coordinates, model
        self.compile_seconds = 0.0

    @property
    def loss(self) -> Loss:
        """Returns -log L as a pure function of (model, unknown [n], anchor [H], event), a scalar."""
        return Loss(self.function, self.coordinates)

    def start(self, anchors: Real[np.ndarray, "L H"]) -> Float[np.ndarray, "L n"]:
        """Computes the unknowns at hypotheses.

        Args:
          anchors: [L, H], physical units.

        Returns:
          Unknowns [L, n].
        """
        with jax.enable_x64(True):
            return np.array(programs.starts(self.coordinates, jnp.asarray(anchors, jnp.float64)))

    def hypothesis(
        self, unknown: Float[np.ndarray, "L n"], anchors: Real[np.ndarray, "L H"]
    ) -> Float[np.ndarray, "L H"]:
        """Maps unknowns to hypotheses.

        Args:
          unknown: [L, n].
          anchors: [L, H], hypotheses around which the unknowns are counted, physical units.

        Returns:
          Hypotheses [L, H], physical units.
        """
        with jax.enable_x64(True):
            return np.array(
                programs.hypotheses(self.coordinates, jnp.asarray(unknown), jnp.asarray(anchors, jnp.float64))
            )

    def value(
        self,
        events: Event,
        which: Int[np.ndarray, " L"],
        unknown: Float[np.ndarray, "L n"],
        anchors: Real[np.ndarray, "L H"],
    ) -> Float[np.ndarray, " L"]:
        """Computes -log L of L problems: a third of the time of `gradient`, and a separate program.

        Args:
          events: [E], a batch.
          which: [L], place of each problem's event in the batch.
          unknown: [L, n].
          anchors: [L, H], hypotheses around which the unknowns are counted, physical units.

        Returns:
          Values [L].
        """
        return self.run(programs.values, self.function, events, which, np.asarray(unknown, np.float64), anchors)

    def gradient(
        self,
        events: Event,
        which: Int[np.ndarray, " L"],
        unknown: Float[np.ndarray, "L n"],
        anchors: Real[np.ndarray, "L H"],
    ) -> tuple[Float[np.ndarray, " L"], Float[np.ndarray, "L n"]]:
        """Computes -log L of L problems and its gradient: the first evaluation of searches, whose program it shares.

        Args:
          events: [E], a batch.
          which: [L], place of each problem's event in the batch.
          unknown: [L, n].
          anchors: [L, H], hypotheses around which the unknowns are counted, physical units.

        Returns:
          Values [L] and gradients [L, n].
        """
        found = self._advance(events, which, anchors, initial(unknown), Rules(), 1)
        return np.asarray(found.value), np.asarray(found.gradient)

    def problems(self, events: Event, which: Int[np.ndarray, " L"], anchors: Real[np.ndarray, "L H"]) -> Gradients:
        """Makes a function that computes values and gradients of some of L problems.

        Args:
          events: [E], a batch.
          which: [L], place of each problem's event in the batch.
          anchors: [L, H], hypotheses around which the unknowns are counted, physical units.

        Returns:
          Function (numbers [m] of problems, unknowns [m, n]) -> values [m], gradients [m, n].
        """

        def evaluate(lanes: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.gradient(events, which[lanes], unknown, anchors[lanes])

        return evaluate

    def searches(self, events: Event, which: Int[np.ndarray, " L"], anchors: Real[np.ndarray, "L H"]) -> Advance:
        """Makes what lets searches for the minima of L problems go on, for `minimise`.

        Args:
          events: [E], a batch.
          which: [L], place of each problem's event in the batch.
          anchors: [L, H], hypotheses around which the unknowns are counted, physical units.

        Returns:
          The function of `minimiser.Advance`.
        """

        def advance(lanes: np.ndarray, state: State, rules: Rules, budget: int) -> State:
            return self._advance(events, which[lanes], anchors[lanes], state, rules, budget)

        return advance

    def _advance(
        self,
        events: Event,
        which: Int[np.ndarray, " L"],
        anchors: Real[np.ndarray, "L H"],
        state: State,
        rules: Rules,
        budget: int,
    ) -> State:
        parts = PARTS if budget > 1 else 1
        # Numbers of one type each, whatever the caller wrote: another type would be another program.
        own = jax.tree.map(lambda default, given: np.asarray(given, np.asarray(default).dtype), Rules(), rules)
        return self.run(
            programs.searches,
            self.function,
            events,
            which,
            state,
            anchors,
            own,
            np.asarray(budget, np.int32),
            parts=parts,
        )

    def hessian(
        self,
        events: Event,
        which: Int[np.ndarray, " L"],
        unknown: Float[np.ndarray, "L n"],
        anchors: Real[np.ndarray, "L H"],
    ) -> Float[np.ndarray, "L n n"]:
        """Computes exact Hessians of -log L of L problems.

        Args:
          events: [E], a batch.
          which: [L], place of each problem's event in the batch.
          unknown: [L, n].
          anchors: [L, H], hypotheses around which the unknowns are counted, physical units.

        Returns:
          Hessians [L, n, n].
        """
        return self.run(programs.hessians, self.function, events, which, np.asarray(unknown, np.float64), anchors)

    def run(
        self,
        program: Callable[..., Any],
        function: Callable[..., Any],
        events: Event,
        which: Int[np.ndarray, " L"],
        lanes: Any,
        anchors: Real[np.ndarray, "L H"],
        *shared: Any,
        parts: int = 1,
    ) -> Any:
        """Results of a program for any number of lanes.

        Args:
          program: jitted, of (function, coordinates, model, lanes, anchors, events, which, count, *shared), the first
            two static, as `each_lane` or `each_block` take the others.
          function: first argument of the program, pure and hashable.
          events: a batch.
          which: [L], places of the lanes' events in the batch.
          lanes: array or tree of arrays [L, ...], as unknowns [L, n].
          anchors: [L, H].
          shared: further arguments of the program.
          parts: per thread; more than one where lanes take times of their own.

        Returns:
          Arrays with a leading axis L, floats as float64.
        """
        total = len(which)
        threads = threads_together(total, 1 if parts > 1 else FEWEST)
        most = lanes_for(self.coordinates.size)
        size = max(min(-(-total // (threads * parts if threads > 1 else 1)), most), 1)

        def part(first: int, most_lanes: int = size) -> Any:
            count = min(most_lanes, total - first)
            fill = np.resize(np.arange(first, first + max(count, 1)), most)
            # The sum over DOMs and pulses needs float64: in float32 minimisers stop at its rounding errors.
            with jax.enable_x64(True):
                out = program(
                    function,
                    self.coordinates,
                    self.model,
                    jax.tree.map(lambda a: a[fill], lanes),
                    np.asarray(anchors[fill], np.float64),
                    events,
                    np.asarray(which[fill], np.int32),
                    np.asarray(count, np.int32),
                    *shared,
                )
                return jax.tree.map(lambda a: np.asarray(a)[:count], out)

        # The first call compiles, which threads would do once each.
        shapes = tuple(np.shape(a) for a in jax.tree.leaves((self.model, events)))
        key = (program, jax.tree.structure(self.model), shapes)
        if key not in self._known(function):
            if make_room_for_programs():
                _RUN.clear()
            begin = time.perf_counter()
            with stage("compiling"):
                part(0, 0)
            spent = time.perf_counter() - begin
            self.compile_seconds += spent
            LOGGER.info("compiled a program for %d pulses per event in %.1f s", events.pulses.charge.shape[-1], spent)
            self._known(function).add(key)
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(part, range(0, total, size)))  # an interruption here calls off the parts that wait
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *found)

    def _known(self, function: Callable[..., Any]) -> set[Any]:
        """What programs of a function have run with."""
        return _RUN.setdefault(function, WeakKeyDictionary()).setdefault(self.coordinates, set())
