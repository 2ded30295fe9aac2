"""Values, derivatives and Hessians of a likelihood for many events at once, compiled once per shape of event."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket
from evgen_jax.measurement.padding import repad
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.progress import stage
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.minimiser import Evaluate

LOGGER = logging.getLogger("evgen_jax")
LogLikelihood = Callable[[Any, Array, Event], Array]
"""(variables, hypothesis [H], event) -> scalar."""
ModelLogLikelihood = Callable[[AnyModel, Array, Event], Array]
"""(model, hypothesis [H], event) -> scalar; hashable."""
BUCKET_FACTOR, MANY_PULSES = 4, 4096
"""Padded lengths grow by this factor: few programs to compile, at most four times the pulses. Beyond this number they
double: there evaluations cost more than another program."""
LANES = 64
"""Problems per call; a program is compiled for this many and runs as many as there are."""
FEWEST, MOST_THREADS = 4, 8
"""Problems per thread at least, and threads at most."""


def lanes_together() -> int:
    """Problems that are evaluated side by side: one after the other fits a processor's cache best."""
    return 1 if jax.default_backend() == "cpu" else 32


def threads_together(count: int) -> int:
    """Threads that share `count` problems: the operations of one problem are too small to keep all cores busy."""
    if jax.default_backend() != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(cores, count // FEWEST, MOST_THREADS), 1)


@dataclass(frozen=True)
class OfVariables:
    """A user's log-likelihood of (variables, hypothesis [H], event) as a function of (model, hypothesis [H], event).

    Attributes:
      function: pure and hashable; programs are compiled once for every function.
    """

    function: LogLikelihood

    def __call__(self, model: AnyModel, hypothesis: Array, event: Event) -> Array:
        """Value of the user's function for the weights of the model, a scalar."""
        return self.function(model.variables, hypothesis, event)


def chosen(function: LogLikelihood | None, default: ModelLogLikelihood = log_likelihood) -> ModelLogLikelihood:
    """The log-likelihood of a fit.

    Args:
      function: a user's own, of (variables, hypothesis [H], event); None for the default.
      default: of (model, hypothesis [H], event).
    """
    return default if function is None else OfVariables(function)


def _loss(function: ModelLogLikelihood, coordinates: Coordinates) -> Callable:
    def loss(model: AnyModel, unknown: Array, anchor: Array, event: Event) -> Array:
        return -function(model, coordinates.hypothesis(unknown, anchor), event)

    return loss


# Programs of the module: two fits of equal models share them, whoever asks.
@partial(jax.jit, static_argnums=(0, 1))
def _values(function: ModelLogLikelihood, coordinates: Coordinates, *lanes: Any) -> Array:
    return each_lane(_loss(function, coordinates), *lanes)


@partial(jax.jit, static_argnums=(0, 1))
def _gradients(function: ModelLogLikelihood, coordinates: Coordinates, *lanes: Any) -> tuple[Array, Array]:
    return each_lane(jax.value_and_grad(_loss(function, coordinates), argnums=1), *lanes)


@partial(jax.jit, static_argnums=(0, 1))
def _hessians(function: ModelLogLikelihood, coordinates: Coordinates, *lanes: Any) -> Array:
    return each_lane(jax.jacfwd(jax.grad(_loss(function, coordinates), argnums=1), argnums=1), *lanes)


@partial(jax.jit, static_argnums=0)
def _starts(coordinates: Coordinates, anchors: Array) -> Array:
    return jax.vmap(coordinates.start)(anchors)


@partial(jax.jit, static_argnums=0)
def _hypotheses(coordinates: Coordinates, unknown: Array, anchors: Array) -> Array:
    return jax.vmap(coordinates.hypothesis)(unknown, anchors)


_RUN: set[Any] = set()
"""Programs that have run, each with what it was compiled for."""


class Evaluator:
    """-log L and its derivatives by the unknowns of a fit.

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

    def start(self, anchors: np.ndarray) -> np.ndarray:
        """Unknowns [L, n] of hypotheses [L, H]."""
        with jax.enable_x64(True):
            return np.array(_starts(self.coordinates, jnp.asarray(anchors, jnp.float64)))

    def hypothesis(self, unknown: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Hypotheses [L, H] of unknowns [L, n] around anchors [L, H]."""
        with jax.enable_x64(True):
            return np.array(_hypotheses(self.coordinates, jnp.asarray(unknown), jnp.asarray(anchors, jnp.float64)))

    def value(self, events: Event, which: np.ndarray, unknown: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Values [L] of events[which]: a third of the time of `gradient`, and a program of its own."""
        return self.run(_values, self.function, events, which, unknown, anchors)

    def gradient(self, events: Event, which: np.ndarray, unknown: np.ndarray, anchors: np.ndarray):
        """Values [L] and gradients [L, n] of events[which]."""
        return self.run(_gradients, self.function, events, which, unknown, anchors)

    def problems(self, events: Event, which: np.ndarray, anchors: np.ndarray) -> Evaluate:
        """Values and gradients of L problems, fits of events[which] around anchors [L, H], as `minimise` takes them."""

        def evaluate(lanes: np.ndarray, unknown: np.ndarray):
            return self.gradient(events, which[lanes], unknown, anchors[lanes])

        return evaluate

    def hessian(self, events: Event, which: np.ndarray, unknown: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Exact Hessians [L, n, n]."""
        return self.run(_hessians, self.function, events, which, unknown, anchors)

    def run(
        self,
        program: Callable,
        function: Callable,
        events: Event,
        which: np.ndarray,
        unknown: np.ndarray,
        anchors: np.ndarray,
    ) -> Any:
        """Results of a program for any number of lanes.

        Args:
          program: jitted, of (function, coordinates, model, unknown, anchors, events, which, count), the first two static,
            as `each_lane` takes the others.
          function: first argument of the program, pure and hashable.
          events: a batch.
          which: [L], places of the lanes' events in the batch.
          unknown: [L, n].
          anchors: [L, H].

        Returns:
          Arrays with a leading axis L, float64.
        """
        threads = threads_together(len(which))
        size = min(-(-len(which) // threads), LANES)

        def part(first: int, most: int = size) -> Any:
            count = min(most, len(which) - first)
            fill = np.resize(np.arange(first, first + count), LANES)
            # The sum over DOMs and pulses needs float64: in float32 minimisers stop at its rounding errors.
            with jax.enable_x64(True):
                out = program(
                    function, self.coordinates, self.model, jnp.asarray(unknown[fill], jnp.float64),
                    jnp.asarray(anchors[fill], jnp.float64), events, jnp.asarray(which[fill], jnp.int32),
                    jnp.asarray(count, jnp.int32),
                )  # fmt: skip
                return jax.tree.map(lambda a: np.asarray(a, np.float64)[:count], out)

        # The first call compiles, which threads would do once each.
        shapes = tuple(np.shape(a) for a in jax.tree.leaves((self.model, events)))
        key = (program, function, self.coordinates, jax.tree.structure(self.model), shapes)
        if key not in _RUN:
            begin = time.perf_counter()
            with stage("compiling"):
                part(0, 1)
            spent = time.perf_counter() - begin
            self.compile_seconds += spent
            LOGGER.info("compiled a program for %d pulses per event in %.1f s", events.pulses.charge.shape[-1], spent)
            _RUN.add(key)
        with ThreadPoolExecutor(threads) as pool:
            parts = pool.map(part, range(0, len(which), size))
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def each_lane(function, model, unknown, anchors, events, which, count):
    """A function of (model, unknown [n], anchor [H], event) for the first `count` lanes; the others cost nothing.

    Args:
      function: returns an array or a tuple of arrays.
      model: the same for all lanes.
      unknown, anchors, which: [L, n], [L, H] and [L], the last the place of the event among `events`.
      count: lanes that are evaluated; results of the others are zero.
    """
    size = lanes_together()

    def one(lane):
        event = jax.tree.map(lambda a: a[which[lane]], events)
        return function(model, unknown[lane], anchors[lane], event)

    def body(block, out):
        lanes = block * size + jnp.arange(size, dtype=jnp.int32)
        values = jax.tree.map(lambda a: a[None], one(lanes[0])) if size == 1 else jax.vmap(one)(lanes)
        return jax.tree.map(lambda o, v: o.at[lanes].set(v.astype(o.dtype)), out, values)

    shapes = jax.eval_shape(one, jnp.zeros((), jnp.int32))
    out = jax.tree.map(lambda s: jnp.zeros((len(which), *s.shape), jnp.float64), shapes)
    return jax.lax.fori_loop(0, (count + size - 1) // size, body, out)


def shape_of(event: Event) -> tuple[int, int, int]:
    """Padded lengths (pulses, active DOMs, windows) of an event within its bucket.

    Active DOMs are padded to a quarter of the pulses at least, so that events of one bucket of pulses mostly share a shape.
    """
    count = max(int(np.sum(np.asarray(event.pulses.mask))), 1)
    pulses = bucket(count, factor=BUCKET_FACTOR) if count <= MANY_PULSES else bucket(count, smallest=MANY_PULSES)
    num_doms = event.charge.shape[0]
    count = max(int(np.sum(np.asarray(event.active) < num_doms)), min(pulses // 4, num_doms), 1)
    active = bucket(count, factor=BUCKET_FACTOR)
    windows = int(np.sum(np.asarray(event.windows.mask)))
    return pulses, active, bucket(windows, factor=BUCKET_FACTOR) if windows else 0


def grouped_by_shape(events: Sequence[Event]) -> dict[tuple[int, int, int], list[int]]:
    """Places of the events that share padded lengths."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for i, event in enumerate(events):
        groups.setdefault(shape_of(event), []).append(i)
    return groups


def batches(events: Sequence[Event], most: int = LANES) -> Iterator[tuple[list[int], Event]]:
    """Places of up to `most` events that share a padded shape, and these events as a batch; every event once."""
    for shape, places in grouped_by_shape(events).items():
        for first in range(0, len(places), most):
            own = places[first : first + most]
            yield own, stacked([events[i] for i in own], shape, LANES)


def stacked(events: Sequence[Event], shape: tuple[int, int, int], lanes: int) -> Event:
    """Events of one shape as a batch of `lanes` on the device; places that are left repeat the first one."""
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
