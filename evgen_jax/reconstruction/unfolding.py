"""Energy unfolding: the losses along a track of known geometry, by a convex problem instead of a fit of networks.

At fixed geometry the light is linear in the energies, up to the slow change of a shower's shape with its energy. With
the light per GeV of segment i, a_i at the DOMs and s_i(t_j) at the pulses, and the light of all else b, the extended
likelihood sum_j c_j log(b_j + sum_i E_i s_ij) - sum_d (b_d + sum_i E_i a_id) is concave in E >= 0 and needs no network.
After a solution the light per GeV is computed once more at its energies (as Millipede does, arXiv:1311.4767).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from evgen_jax.approximation.grouped import is_cascade
from evgen_jax.checks import check_not_negative, check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.origin import counted_from_readout, shifted_times
from evgen_jax.hypothesis.roles import ENERGIES
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.tree import Copies, copies_at
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.measurement.usable_pulses import usable_pulses
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.model import Model
from evgen_jax.model.terms import floored
from evgen_jax.reconstruction.energy_solver import SMALLEST_ENERGY, solve
from evgen_jax.short_repr import short_repr
from evgen_jax.sources.learned.cascade import PARAMETERS as CASCADE

REFRESHED = 0.05
"""Change of ln(energy) above which light per GeV is computed anew."""
EM_STEPS = 20
"""Steps of expectation maximisation before Newton's method."""
BLOCK = 64
"""Largest number of cascades per call of the compiled function, so that any number needs one compilation."""


@dataclass(frozen=True)
class Unfolding:
    """Holds the energies of one event.

    Attributes:
      hypothesis: [H], the given one with the unfolded energies in place, physical units.
      parameter_names: of the energies, N of them.
      energies: [N], GeV.
      log_likelihood: of charges and times at the solution, without terms that no energy changes.
      converged: whether the last minimisation converged.
      message: how the last minimisation ended.
      runtime: s, with compilation.
    """

    hypothesis: np.ndarray
    parameter_names: tuple[str, ...]
    energies: np.ndarray
    log_likelihood: float
    converged: bool
    message: str
    runtime: float

    __repr__ = short_repr


def unfold_energies(
    model: Model,
    hypothesis: np.ndarray,
    event: Event,
    *,
    smoothness: float = 0.0,
    refreshes: int = 1,
    pulse_width: float = 2.0,
    chunk: int = 8,
) -> Unfolding:
    """Unfolds the energies of all cascades of a hypothesis, its other parameters fixed.

    Args:
      model: with several cascades, such as a track with losses; noise and the light of the track itself are the
        background.
      hypothesis: [H], physical units; its energies are the start.
      event: what was measured.
      smoothness: strength of the prior -smoothness sum_i (E_{i+1} - E_i)^2 / (mean E)^2; 0: none.
      refreshes: how often the light per GeV is computed anew at the solution.
      pulse_width: ns within which pulses of a DOM count as one, see `merge_pulses`; 0: every pulse by itself.
      chunk: cascades evaluated together.

    Returns:
      The unfolded energies.

    Raises:
      ReconstructionError: a setting out of range, no energies to unfold, a hypothesis that is not finite, or an event
        without usable pulses.
      HypothesisError: a hypothesis of another model.
      DataError: an event of another detector.
      ConfigError: for an ensemble.
    """
    begin = time.perf_counter()
    check_no_ensemble(model)
    check_event(event, model.detector)
    check_hypothesis(hypothesis, model.parameter_names)
    check_not_negative(smoothness, "smoothness", ReconstructionError)
    check_not_negative(pulse_width, "pulse_width", ReconstructionError)
    check_whole(refreshes, 0, "refreshes", ReconstructionError)
    check_whole(chunk, 1, "chunk", ReconstructionError)
    hypothesis = np.array(hypothesis, np.float64)
    if not np.all(np.isfinite(hypothesis)):
        raise ReconstructionError(
            f"expected {len(model.parameter_names)} finite parameters ({', '.join(model.parameter_names[:8])} ...), got "
            f"{int(np.sum(~np.isfinite(hypothesis)))} that are not finite."
        )
    # The light is computed in float32.
    hypothesis, event, anchor = counted_from_readout(model.parameters, hypothesis, event)
    places = energy_places(model, hypothesis)
    event = merge_pulses(event, pulse_width)
    good = usable_pulses(event)
    if not good.any():
        raise ReconstructionError("the event has no usable pulse to unfold energies from.")
    charge, usable = np.asarray(event.pulses.charge, np.float64)[good], np.asarray(event.usable)

    known = np.maximum(hypothesis[places], SMALLEST_ENERGY)
    hypothesis[places] = known
    norm, density = np.zeros(len(places)), np.zeros((len(places), int(good.sum())))
    energies, changed = known.copy(), np.arange(len(places))
    for turn in range(refreshes + 1):
        per_gev, background = light_per_gev(model, hypothesis, event, places, chunk, changed)
        norm[changed] = np.asarray(per_gev.charge, np.float64)[:, usable].sum(axis=1)
        density[changed] = np.asarray(per_gev.density)[:, good]
        dark = np.asarray(background.density, np.float64)[good] + np.finfo(np.float64).tiny ** 0.5
        energies, result = solve(energies, charge, norm, density, dark, smoothness, EM_STEPS if turn == 0 else 5)
        # Segments without light keep what is known of them; only the others' showers change their shape.
        lit = energies > max(SMALLEST_ENERGY, 1e-4 * energies.sum())
        (changed,) = np.nonzero(lit & (np.abs(np.log(np.maximum(energies, SMALLEST_ENERGY) / known)) > REFRESHED))
        if len(changed) == 0:
            break
        known[changed] = energies[changed]
        hypothesis[places] = known
    hypothesis = shifted_times(model.parameters, hypothesis, anchor)
    hypothesis[places] = energies
    log_likelihood = -float(result.fun) - float(np.asarray(background.charge, np.float64)[usable].sum())
    names = tuple(model.parameter_names[i] for i in places)
    return Unfolding(
        hypothesis=hypothesis,
        parameter_names=names,
        energies=energies,
        log_likelihood=log_likelihood,
        converged=bool(result.success),
        message=str(result.message),
        runtime=time.perf_counter() - begin,
    )


def _sources(model: Model, hypothesis: Float[Array, " H"], detector: Detector) -> Iterator[Copies]:
    for own in copies_at(model.source, model.variables, hypothesis, detector):
        if own.masked:
            raise ReconstructionError(f"energies of the masked sources '{own.path[-1]}' cannot be unfolded.")
        yield own


def _energies(model: Model, hypothesis: Float[Array, " H"]) -> Float[Array, " N"]:
    """Energies of all cascades of the hypothesis, one after the other, those outside the detector as well."""
    endless = model.detector.replace(extent=jnp.array([[-jnp.inf] * 3, [jnp.inf] * 3]))
    found = [
        own.parameters[:, CASCADE.index("energy")]
        for own in _sources(model, hypothesis, endless)
        if is_cascade(own.source)
    ]
    return jnp.concatenate(found) if found else jnp.zeros(0)


def energy_places(model: Model, hypothesis: Real[np.ndarray, " H"]) -> Int[np.ndarray, " N"]:
    """Finds the parameters that are the energies of a hypothesis' cascades.

    Args:
      model: of the hypothesis.
      hypothesis: [H], physical units, with energies above 0.

    Returns:
      Places [N] in the hypothesis, in the order of the cascades.

    Raises:
      ReconstructionError: the hypothesis has no cascade.
    """
    # A probe with positive energies: every cascade's energy then depends on one parameter most.
    probe = jnp.asarray(hypothesis, jnp.float32)
    slopes = np.abs(jax.jacrev(lambda h: _energies(model, h))(probe))
    if slopes.shape[0] == 0:
        raise ReconstructionError(
            f"the hypothesis has no cascade whose energy could be unfolded; its parameters are "
            f"{', '.join(model.parameter_names[:12])}."
        )
    # One of which nothing is known may be an energy.
    allowed = np.array([parameter.role in (*ENERGIES, None) for parameter in model.parameters])
    return np.argmax(np.where(allowed[None, :], slopes, -1), axis=1)


def light_per_gev(
    model: Model, hypothesis: np.ndarray, event: Event, places: np.ndarray, chunk: int, chosen: np.ndarray | None = None
) -> tuple[LightYield, LightYield]:
    """Computes the light of cascades for 1 GeV, and the light of everything else.

    Args:
      model: of the hypothesis.
      hypothesis: [H], physical units, with energies above 0.
      event: what was measured, P pulses at D modules.
      places: [N], of the energies, see `energy_places`.
      chunk: cascades evaluated together.
      chosen: [C], which of the N cascades; None: all.

    Returns:
      Light per GeV with arrays [C, D] and [C, P], and the light of all other sources with arrays [D] and [P].

    Raises:
      ReconstructionError: a cascade that a mask may remove.
    """
    chosen = np.arange(len(places)) if chosen is None else chosen
    h = jnp.asarray(hypothesis, jnp.float32)
    rows: list[LightYield] = []
    rest: LightYield | None = None
    first = 0
    for own in _sources(model, h, model.detector):
        if is_cascade(own.source):
            count = len(own.parameters)
            rows += _blocks(own, chosen[(chosen >= first) & (chosen < first + count)] - first, event, model, chunk)
            first += count
        else:
            light = _light_of_copies(own.source, chunk)(own.variables, own.parameters, event, model.detector)
            total = jax.tree.map(lambda x: jnp.sum(x, axis=0), light)
            rest = total if rest is None else rest + total
    joined = jax.tree.map(lambda *parts: np.concatenate(parts), *rows)
    energy = np.asarray(hypothesis[places[chosen]], np.float32)
    per_gev = jax.tree.map(lambda x: x / energy[:, None], joined)
    if rest is None:
        rest = jax.tree.map(lambda x: jnp.zeros(x.shape[1:], x.dtype), joined)
    return per_gev, floored(rest)


def _blocks(copies: Copies, chosen: np.ndarray, event: Event, model: Model, chunk: int) -> list[LightYield]:
    """Light of the chosen copies, block by block; the last block is filled up with repetitions."""
    function, blocks = _light_of_copies(copies.source, chunk), []
    size = min(BLOCK, len(copies.parameters))
    for start in range(0, len(chosen), size):
        own = chosen[start : start + size]
        light = function(copies.variables, copies.parameters[np.resize(own, size)], event, model.detector)
        filled = jax.tree.map(np.asarray, light)
        blocks.append(filled if len(own) == size else jax.tree.map(partial(_first, len(own)), filled))
    return blocks


def _first(count: int, values: np.ndarray) -> np.ndarray:
    return values[:count]


@lru_cache(maxsize=8)
def _light_of_copies(source: Source, chunk: int) -> Callable[..., LightYield]:
    """Light of parameters [N, H_source], compiled once for all events of a bucket."""

    def light(variables: Variables, parameters: jax.Array, event: Event, detector: Detector) -> LightYield:
        return jax.lax.map(
            lambda theta: source.light_yield(variables, theta, event, detector), parameters, batch_size=chunk
        )

    return jax.jit(light)
