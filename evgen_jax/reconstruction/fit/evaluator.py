"""Values, derivatives and searches for minima of a likelihood for many fits at once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Real

from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.fit import programs
from evgen_jax.reconstruction.fit.calls import Call, compile_together
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.differences import Gradients
from evgen_jax.reconstruction.fit.lanes import PARTS
from evgen_jax.reconstruction.fit.minimiser import Advance
from evgen_jax.reconstruction.fit.objective import Loss, ModelLogLikelihood
from evgen_jax.reconstruction.fit.state import Rules, State, initial


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
        return self._done(self._search(events, which, anchors, state, rules, budget))

    def beginning(
        self,
        events: Event,
        which: Int[np.ndarray, " L"],
        start: Float[np.ndarray, "L n"],
        anchors: Real[np.ndarray, "L H"],
    ) -> Call:
        """Makes the first call of searches for the minima of L problems, for `compile_together`.

        Args:
          events: [E], a batch.
          which: [L], place of each problem's event in the batch.
          start: [L, n], unknowns.
          anchors: [L, H], hypotheses around which the unknowns are counted, physical units.

        Returns:
          The call.
        """
        return self._search(events, which, anchors, initial(start), Rules(), 1)

    def _search(
        self,
        events: Event,
        which: Int[np.ndarray, " L"],
        anchors: Real[np.ndarray, "L H"],
        state: State,
        rules: Rules,
        budget: int,
    ) -> Call:
        # Numbers of one type each, whatever the caller wrote: another type would be another program.
        own = jax.tree.map(lambda default, given: np.asarray(given, np.asarray(default).dtype), Rules(), rules)
        return self.call(
            programs.searches,
            self.function,
            events,
            which,
            state,
            anchors,
            own,
            np.asarray(budget, np.int32),
            parts=PARTS if budget > 1 else 1,
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

    def call(
        self,
        program: Callable[..., Any],
        function: Callable[..., Any],
        events: Event,
        which: Int[np.ndarray, " L"],
        lanes: Any,
        anchors: Real[np.ndarray, "L H"],
        *shared: Any,
        parts: int = 1,
    ) -> Call:
        """Makes the call of a program for any number of lanes.

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
          The call.
        """
        return Call(program, function, self.coordinates, self.model, events, which, lanes, anchors, shared, parts)

    def run(self, *arguments: Any) -> Any:
        """Computes the results of a program for any number of lanes.

        Args:
          *arguments: those of `call`.

        Returns:
          Arrays with a leading axis L, floats as float64.
        """
        return self._done(self.call(*arguments))

    def _done(self, call: Call) -> Any:
        self.compile_seconds += sum(compile_together([call]))
        return call()
