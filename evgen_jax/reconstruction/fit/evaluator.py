"""Values, derivatives and searches for minima of a likelihood for many fits at once."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket
from evgen_jax.measurement.padding import repad
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.progress import stage
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.differences import Gradients
from evgen_jax.reconstruction.fit.lanes import (
    FEWEST,
    LANES,
    PARTS,
    each_block,
    each_lane,
    lanes_for,
    side_by_side,
    threads_together,
)
from evgen_jax.reconstruction.fit.minimiser import Advance
from evgen_jax.reconstruction.fit.state import Rules, State, initial
from evgen_jax.reconstruction.fit.step import run

LOGGER = logging.getLogger("evgen_jax")
LogLikelihood = Callable[[Any, Array, Event], Array]
"""(variables, hypothesis [H], event) -> scalar."""
ModelLogLikelihood = Callable[[AnyModel, Array, Event], Array]
"""(model, hypothesis [H], event) -> scalar; hashable."""
BUCKET_FACTOR = 4
"""Ratio of successive padded lengths: few programs to compile, at most four times the pulses."""
MANY_PULSES = 4096
"""Number of pulses beyond which padded lengths double: there evaluations cost more than another program."""


@dataclass(frozen=True)
class OfVariables:
    """Adapts a user's log-likelihood of (variables, hypothesis [H], event) to (model, hypothesis [H], event).

    Attributes:
      function: pure and hashable; programs are compiled once for every function.
    """

    function: LogLikelihood

    def __call__(self, model: AnyModel, hypothesis: Float[Array, " H"], event: Event) -> Float[Array, ""]:
        """Computes the user's function for the weights of the model.

        Args:
          model: gives the weights.
          hypothesis: [H], physical units.
          event: one event.

        Returns:
          Log-likelihood, a scalar.
        """
        return self.function(model.variables, hypothesis, event)


def chosen(function: LogLikelihood | None, default: ModelLogLikelihood = log_likelihood) -> ModelLogLikelihood:
    """Chooses the log-likelihood of a fit.

    Args:
      function: a user's own, of (variables, hypothesis [H], event); None for the default.
      default: of (model, hypothesis [H], event).

    Returns:
      Function (model, hypothesis [H], event) -> log-likelihood.
    """
    return default if function is None else OfVariables(function)


@dataclass(frozen=True)
class Loss:
    """Is -log L as a function of the unknowns of a fit; pure and hashable.

    Attributes:
      function: log-likelihood of (model, hypothesis [H], event).
      coordinates: of the fit.
    """

    function: ModelLogLikelihood
    coordinates: Coordinates

    def __call__(
        self, model: AnyModel, unknown: Float[Array, " n"], anchor: Float[Array, " H"], event: Event
    ) -> Float[Array, ""]:
        """Computes -log L.

        Args:
          model: what is fitted.
          unknown: [n].
          anchor: [H], hypothesis around which the unknowns are counted, physical units.
          event: one event.

        Returns:
          -log L, a scalar.
        """
        return -self.function(model, self.coordinates.hypothesis(unknown, anchor), event)


# Programs of the module: two fits of equal models share them, whoever asks.
@partial(jax.jit, static_argnums=(0, 1))
def _values(function: ModelLogLikelihood, coordinates: Coordinates, *lanes: Any) -> Array:
    return each_lane(Loss(function, coordinates), *lanes)


@partial(jax.jit, static_argnums=(0, 1))
def _searches(
    function: ModelLogLikelihood,
    coordinates: Coordinates,
    model: AnyModel,
    states: State,
    anchors: Float[Array, "L H"],
    events: Event,
    which: Int[Array, " L"],
    count: Int[Array, ""],
    rules: Rules,
    budget: Int[Array, ""],
) -> State:
    loss = jax.value_and_grad(Loss(function, coordinates), argnums=1)

    def block(model: AnyModel, states: State, anchors: Array, events: Event) -> State:
        evaluate = side_by_side(partial(loss, model))
        return run(lambda unknown: evaluate(unknown, anchors, events), rules, budget, states)

    return each_block(block, model, states, anchors, events, which, count)


@partial(jax.jit, static_argnums=(0, 1))
def _hessians(function: ModelLogLikelihood, coordinates: Coordinates, *lanes: Any) -> Array:
    return each_lane(jax.jacfwd(jax.grad(Loss(function, coordinates), argnums=1), argnums=1), *lanes)


@partial(jax.jit, static_argnums=0)
def _starts(coordinates: Coordinates, anchors: Float[Array, "L H"]) -> Float[Array, "L n"]:
    return jax.vmap(coordinates.start)(anchors)


@partial(jax.jit, static_argnums=0)
def _hypotheses(
    coordinates: Coordinates, unknown: Float[Array, "L n"], anchors: Float[Array, "L H"]
) -> Float[Array, "L H"]:
    return jax.vmap(coordinates.hypothesis)(unknown, anchors)


_RUN: set[Any] = set()
"""Programs that have run, each with what it was compiled for."""


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
            return np.array(_starts(self.coordinates, jnp.asarray(anchors, jnp.float64)))

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
            return np.array(_hypotheses(self.coordinates, jnp.asarray(unknown), jnp.asarray(anchors, jnp.float64)))

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
        return self.run(_values, self.function, events, which, np.asarray(unknown, np.float64), anchors)

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
            _searches, self.function, events, which, state, anchors, own, np.asarray(budget, np.int32), parts=parts
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
        return self.run(_hessians, self.function, events, which, np.asarray(unknown, np.float64), anchors)

    def run(
        self,
        program: Callable,
        function: Callable,
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
                    function, self.coordinates, self.model, jax.tree.map(lambda a: a[fill], lanes),
                    np.asarray(anchors[fill], np.float64), events, np.asarray(which[fill], np.int32),
                    np.asarray(count, np.int32), *shared,
                )  # fmt: skip
                return jax.tree.map(lambda a: np.asarray(a)[:count], out)

        # The first call compiles, which threads would do once each.
        shapes = tuple(np.shape(a) for a in jax.tree.leaves((self.model, events)))
        key = (program, function, self.coordinates, jax.tree.structure(self.model), shapes)
        if key not in _RUN:
            begin = time.perf_counter()
            with stage("compiling"):
                part(0, 0)
            spent = time.perf_counter() - begin
            self.compile_seconds += spent
            LOGGER.info("compiled a program for %d pulses per event in %.1f s", events.pulses.charge.shape[-1], spent)
            _RUN.add(key)
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(part, range(0, total, size)))  # an interruption here calls off the parts that wait
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *found)


def shape_of(event: Event) -> tuple[int, int, int]:
    """Computes the padded lengths of an event within its bucket.

    Active DOMs are padded to a quarter of the pulses at least, so that events of one bucket of pulses mostly share a
    shape.

    Args:
      event: one event.

    Returns:
      Padded numbers of pulses, active DOMs and windows.
    """
    count = max(int(np.sum(np.asarray(event.pulses.mask))), 1)
    pulses = bucket(count, factor=BUCKET_FACTOR) if count <= MANY_PULSES else bucket(count, smallest=MANY_PULSES)
    num_doms = event.charge.shape[0]
    count = max(int(np.sum(np.asarray(event.active) < num_doms)), min(pulses // 4, num_doms), 1)
    active = bucket(count, factor=BUCKET_FACTOR)
    windows = int(np.sum(np.asarray(event.windows.mask)))
    return pulses, active, bucket(windows, factor=BUCKET_FACTOR) if windows else 0


def grouped_by_shape(events: Sequence[Event]) -> dict[tuple[int, int, int], list[int]]:
    """Groups events by their padded lengths.

    Args:
      events: E of them.

    Returns:
      Padded lengths -> places of the events that have them.
    """
    groups: dict[tuple[int, int, int], list[int]] = {}
    for i, event in enumerate(events):
        groups.setdefault(shape_of(event), []).append(i)
    return groups


def batches(events: Sequence[Event], most: int = LANES) -> Iterator[tuple[list[int], Event]]:
    """Packs events of one padded shape into batches; every event is in one of them.

    Args:
      events: E of them.
      most: largest number of events in a batch.

    Yields:
      Places of the events, and the batch.
    """
    for shape, places in grouped_by_shape(events).items():
        for first in range(0, len(places), most):
            own = places[first : first + most]
            yield own, stacked([events[i] for i in own], shape, LANES)


def stacked(events: Sequence[Event], shape: tuple[int, int, int], lanes: int) -> Event:
    """Stacks events to a batch on the device; lanes without an event repeat the first one.

    Args:
      events: of one shape.
      shape: padded numbers of pulses, active DOMs and windows.
      lanes: number of events in the batch.

    Returns:
      The batch, with leading axis `lanes`.
    """
    padded = [_fitted(event, shape) for event in events]
    rows = padded + [padded[0]] * (lanes - len(padded))
    with jax.enable_x64(True):
        return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *rows)


def _fitted(event: Event, shape: tuple[int, int, int]) -> Event:
    """The event with exactly these padded lengths."""
    event = jax.tree.map(np.asarray, event)
    cut = event.replace(
        pulses=jax.tree.map(lambda a: a[: shape[0]], event.pulses),
        active=event.active[: shape[1]],
        windows=jax.tree.map(lambda a: a[: shape[2]], event.windows),
    )
    return repad(cut, *shape)
