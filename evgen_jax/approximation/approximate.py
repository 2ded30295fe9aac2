"""Approximation of hypotheses of many cascades, with a stated error of the log-likelihood."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real

from evgen_jax.approximation.grouped import group_sources, largest_base
from evgen_jax.approximation.near_and_far import NearAndFar, choose_doms, part_of_variables
from evgen_jax.checks import check_whole, is_number
from evgen_jax.errors import ReconstructionError, shown
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.tree import with_chunk
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.packing import bucket
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.likelihood import Loss
from evgen_jax.model.model import Model

LOGGER = logging.getLogger("evgen_jax")
LADDER = (16, 64, 256)
"""Numbers of merged cascades per base that are tried."""
LARGEST_FACTOR = 3.0
"""Bound of correction factors, which are cut to 1 / 3 to 3: larger ones would not hold away from their hypothesis."""
SAFETY = 0.5
"""Share of the accuracy that the sum of all |errors| at DOMs that are not exact may use up."""
NEAR_CHUNK = 64
"""Cascades that are evaluated together at few DOMs: the arrays are as large as those of few cascades at all DOMs."""
Far = tuple[Source, Variables]
"""A source with merged cascades, and its variables."""
NUM_TRIALS = 2
"""Number of hypotheses from which DOMs are chosen; one more checks the result."""


@dataclass(frozen=True)
class Approximation:
    """Holds a cheaper likelihood of one event near one hypothesis.

    Attributes:
      model: use it like any model, with `model.variables`. Nothing is compiled again for another approximation of the
        model with as many groups and equal padded numbers of near DOMs and their pulses.
      hypothesis: [H], where it was made, and where it is exact but for cut factors.
      num_groups: merged cascades per base; 0: the exact model, nothing is approximated.
      num_near: DOMs at which every cascade is evaluated.
      error: difference to the exact log-likelihood at the hypothesis that checked it.
      reach: standard deviation of the drawn hypotheses, in units of `step_sizes`.
    """

    model: Model
    hypothesis: np.ndarray
    num_groups: int
    num_near: int
    error: float
    reach: float

    def holds(self, hypothesis: Real[np.ndarray, " H"]) -> bool:
        """Checks whether a hypothesis lies within the distance over which the error was measured; else make a new one.

        Args:
          hypothesis: [H], physical units.

        Returns:
          True within twice the reach in every parameter, and always for the exact model.
        """
        if self.num_groups == 0:
            return True
        step = np.abs(np.asarray(hypothesis, np.float64) - self.hypothesis) / step_sizes(self.model, self.hypothesis)
        return bool(np.all(step <= 2 * self.reach))


def step_sizes(model: Model, hypothesis: Real[np.ndarray, " H"]) -> Float[np.ndarray, " H"]:
    """Computes typical distances of a seed from the best fit.

    The size of an energy is its relative spread times the larger of the energy and the mean energy of the hypothesis.

    Args:
      model: gives parameters and their normalisation.
      hypothesis: [H], physical units.

    Returns:
      Sizes [H] > 0, physical units.
    """
    energies = _energies(model)
    mean = float(np.mean(np.abs(hypothesis[energies]))) if energies.any() else 1.0
    sizes = []
    for parameter, std, value in zip(model.parameters, model.trafo.std, hypothesis, strict=True):
        if parameter.draw == "log":
            sizes.append(parameter.spread * max(abs(float(value)), mean, 1e-3))
        elif parameter.spread:
            sizes.append(parameter.spread)
        elif parameter.low is not None and parameter.high is not None and parameter.low < parameter.high:
            sizes.append(0.05 * (parameter.high - parameter.low))
        else:
            sizes.append(0.1 * std)
    return np.array(sizes)


def _energies(model: Model) -> Bool[np.ndarray, " H"]:
    """Returns flags [H]: which parameters are energies."""
    return np.array([parameter.draw == "log" for parameter in model.parameters], bool)


def approximate(
    model: Model,
    event: Event,
    hypothesis: np.ndarray,
    accuracy: float,
    *,
    reach: float = 0.02,
    previous: Approximation | None = None,
    seed: int = 0,
) -> Approximation:
    """Merges neighbouring cascades as far as the log-likelihood of an event allows.

    All cascades are evaluated exactly at the DOMs that need it; elsewhere groups of cascades are evaluated as one, and
    corrected, DOM by DOM and pulse by pulse, by the ratio to the exact light at `hypothesis`. Near DOMs are chosen such
    that the sum of the |errors| of the remaining ones stays below half of `accuracy` at two hypotheses drawn around
    `hypothesis`; at a third one the whole is checked. Groups, DOMs and factors stay fixed until the next call, so that
    the likelihood is smooth in between; at a new call near the old one it changes by less than `accuracy`.

    Args:
      model: of many cascades; other sources are left exact.
      event: one event.
      hypothesis: [H], physical units.
      accuracy: largest change of the event's log-likelihood.
      reach: distance of the drawn hypotheses in units of `step_sizes` (standard deviation).
      previous: an approximation of the same model and event: its groups and DOMs are kept where they are still good,
        which also costs less.
      seed: of the drawn hypotheses.

    Returns:
      An approximation; where none is cheaper than the exact model, that one (with a warning).

    Raises:
      ReconstructionError: accuracy or reach not above 0, or a seed that is no whole number >= 0.
      HypothesisError: a hypothesis of another model.
      DataError: an event of another detector.
      ConfigError: an ensemble instead of a model.
    """
    check_no_ensemble(model)
    check_event(event, model.detector)
    check_hypothesis(hypothesis, model.parameter_names)
    hypothesis = np.asarray(hypothesis, np.float64)
    if not (is_number(accuracy) and is_number(reach) and accuracy > 0 and 0 < reach < np.inf):
        raise ReconstructionError(
            f"accuracy and reach are numbers that must be above 0, got {shown(accuracy)} and {shown(reach)}."
        )
    check_whole(seed, 0, "seed", ReconstructionError)
    steps = np.random.default_rng(seed).normal(size=(NUM_TRIALS + 1, len(hypothesis))).clip(-2, 2)
    drawn = hypothesis + reach * steps * step_sizes(model, hypothesis)
    drawn = np.where(_energies(model), np.maximum(drawn, 0), drawn)
    with jax.enable_x64(True):
        task = _Task(model, jax.tree.map(jnp.asarray, event), hypothesis, drawn)
        if previous is not None and previous.num_groups:
            kept = task.again(previous, reach)
            if kept.error <= accuracy:
                return kept
        for number, doms, far in task.candidates(SAFETY * accuracy):
            found = task.build(number, doms, far, reach)
            if found.error <= accuracy:
                return found
    LOGGER.warning(
        "no cheaper sum of %d cascades keeps the log-likelihood to %g; the exact one is used", task.largest, accuracy
    )
    return Approximation(model, hypothesis, 0, 0, 0.0, reach)


class _Task:
    """Holds one event, one hypothesis, and the exact results with which approximations are compared."""

    def __init__(self, model: Model, event: Event, hypothesis: np.ndarray, drawn: np.ndarray):
        self.model, self.event, self.hypothesis = model, event, hypothesis
        self.trials, self.check = drawn[:-1], drawn[-1]
        self.largest = largest_base(model.source, model.variables, jnp.asarray(hypothesis), model.detector)
        self.light = self._light(model.source, model.variables)
        self._exact: dict[bytes, np.ndarray] = {}

    def _light(self, source: Source, variables: Variables) -> LightYield:
        return _functions(source, self.model.loss)[0](
            variables, jnp.asarray(self.hypothesis), self.event, self.model.detector
        )

    def _losses(
        self, source: Source, variables: Variables, hypothesis: Float[np.ndarray, " H"]
    ) -> Float[np.ndarray, " {self.model.detector.num_doms+1}"]:
        """Loss of every DOM, then of the whole event [D + 1]."""
        loss = _functions(source, self.model.loss)[1]
        return np.asarray(loss(variables, jnp.asarray(hypothesis), self.event, self.model.detector))

    def exact(self, hypothesis: Float[np.ndarray, " H"]) -> Float[np.ndarray, " {self.model.detector.num_doms+1}"]:
        """Returns the exact loss of every DOM, then of the whole event [D + 1]."""
        key = hypothesis.tobytes()
        if key not in self._exact:
            self._exact[key] = self._losses(self.model.source, self.model.variables, hypothesis)
        return self._exact[key]

    def candidates(self, accuracy: float) -> Sequence[tuple[int, np.ndarray, Far]]:
        """Lists numbers of groups, the DOMs that must then be exact, and the grouped source; the cheapest first."""
        num_doms = self.model.detector.num_doms
        found: list[tuple[float, int, np.ndarray, Far]] = []
        for number in (n for n in LADDER if 2 * n <= self.largest):
            if found and number >= min(entry[0] for entry in found):
                break  # already the groups alone cost more
            far = group_sources(
                self.model.source, self.model.variables, jnp.asarray(self.hypothesis), self.model.detector, number
            )
            whole = self._joined(far, np.zeros(0, int))
            errors = np.max([np.abs(self._losses(*whole, p) - self.exact(p))[:-1] for p in self.trials], axis=0)
            order = np.argsort(-errors)
            rest = np.cumsum(errors[order][::-1])[::-1]
            doms = order[: int(np.sum(rest > accuracy))]
            found.append((number + self.largest * _near_size(len(doms)) / num_doms, number, doms, far))
        cheap = sorted((f for f in found if f[0] < self.largest / 2), key=lambda f: f[0])
        return [entry[1:] for entry in cheap]

    def _joined(self, far: Far, doms: np.ndarray) -> tuple[Source, Any]:
        """Returns a source that is exact at some DOMs and corrected elsewhere, and its variables."""
        merged = self._light(*far)
        factor = jax.tree.map(partial(_ratio, self.light.charge.dtype), self.light, merged)
        chosen = choose_doms(self.event, doms, _near_size(len(doms)))
        near = part_of_variables(self.model.source, self.model.variables, self.model.detector, chosen["doms"])
        variables = {"near": near, "far": far[1], "factor": factor, "chosen": chosen}
        return NearAndFar(with_chunk(self.model.source, NEAR_CHUNK), far[0]), variables

    def build(self, number: int, doms: np.ndarray, far: Far, reach: float) -> Approximation:
        """Makes an approximation and measures its error at the hypothesis that checks it."""
        source, variables = self._joined(far, doms)
        error = abs(float((self._losses(source, variables, self.check) - self.exact(self.check))[-1]))
        model = replace(self.model, source=source, variables=variables)
        return Approximation(model, self.hypothesis, number, len(variables["chosen"]["doms"]), error, reach)

    def again(self, previous: Approximation, reach: float) -> Approximation:
        """Keeps groups and DOMs of an earlier approximation, with factors of the new hypothesis."""
        source, variables = previous.model.source, previous.model.variables
        doms = np.asarray(variables["chosen"]["doms"])
        doms = doms[doms < self.model.detector.num_doms]
        assert isinstance(source, NearAndFar)
        return self.build(previous.num_groups, doms, (source.far, variables["far"]), reach)


def _near_size(count: int) -> int:
    """Returns the padded number of near DOMs."""
    return bucket(count, smallest=32)


def _ratio(dtype: Any, exact: Float[Array, "*shape"], merged: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns the exact over the merged light, cut to 1 / LARGEST_FACTOR to LARGEST_FACTOR; 1 where there is none."""
    positive = merged > 0
    ratio = jnp.where(positive, exact / jnp.where(positive, merged, 1), 1)
    return jnp.clip(ratio, 1 / LARGEST_FACTOR, LARGEST_FACTOR).astype(dtype)


_Result = TypeVar("_Result")
_Function = Callable[[Variables, jax.Array, Event, Detector], _Result]


@lru_cache(maxsize=32)
def _functions(source: Source, loss: Loss) -> tuple[_Function[LightYield], _Function[jax.Array]]:
    """Light and losses of a source, compiled once for all hypotheses and events of a bucket."""

    def light(variables: Variables, hypothesis: jax.Array, event: Event, detector: Detector) -> LightYield:
        return source.light_yield(variables, hypothesis, event, detector, loss.needs_cumulative)

    def losses(variables: Variables, hypothesis: jax.Array, event: Event, detector: Detector) -> jax.Array:
        parts = loss.parts(light(variables, hypothesis, event, detector), event)
        per_dom = parts.per_dom(event).astype(parts.total().dtype)
        return jnp.concatenate([per_dom, parts.total()[None]])

    return jax.jit(light), jax.jit(losses)
