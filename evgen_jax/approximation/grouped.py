"""Many cascades as fewer: neighbours share one evaluation of their base.

The merged cascade stands at the energy-weighted mean place, time and direction of its members. It is evaluated with a
member's energy and scaled to their sum, so that nothing but the size of the group is approximated: the first moments are
right, and the error grows with the square of the group's size over its distance from a DOM.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.hypothesis.parameters import Parameter, names_of, parameters_of
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import Source, Variables
from evgen_jax.light.superposition import Expanded, MultiSource
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.physics import constants
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.sources.learned.cascade import PARAMETERS

X, ZENITH, AZIMUTH, ENERGY, TIME = (PARAMETERS.index(n) for n in ("x", "zenith", "azimuth", "energy", "time"))
DIRECTION_LENGTH, ENERGY_LENGTH = 30.0, 5.0
"""Difference in direction by 1 rad, and in ln(energy) by 1, count like this many metres when groups are formed."""
NO_ENERGY = 1e-6
"""Weight in GeV of a cascade without energy, so that the mean of a dark group is defined."""


def is_cascade(source: Source) -> bool:
    """Whether the first parameters of a source are those of a cascade."""
    return tuple(parameter.role for parameter in parameters_of(source)[: len(PARAMETERS)]) == PARAMETERS


def group_cascades(parameters: np.ndarray, number: int) -> np.ndarray:
    """Group of every cascade [N], 0 to number - 1: compact groups, the smaller the more energy they hold.

    The group with the largest energy-weighted inertia is cut in two across its longest axis, again and again.

    Args:
      parameters: [N, 7 or more], physical units, those of a cascade first.
      number: of groups, at most N.
    """
    direction = np.asarray(flight_direction(jnp.asarray(parameters[:, ZENITH]), jnp.asarray(parameters[:, AZIMUTH])))
    energy = np.maximum(parameters[:, ENERGY], 0) + NO_ENERGY
    features = np.concatenate(
        [parameters[:, X : X + 3], DIRECTION_LENGTH * direction, ENERGY_LENGTH * np.log(energy)[:, None],
         constants.SPEED_OF_LIGHT * parameters[:, TIME : TIME + 1]], axis=1,
    )  # fmt: skip
    features = features - features.mean(axis=0)
    group = np.zeros(len(parameters), np.int32)
    inertia = np.zeros(number)
    axes = np.zeros((number, features.shape[1]))

    def measure(index: int) -> None:
        own = group == index
        if own.sum() < 2:
            inertia[index] = -1.0
            return
        mean = np.average(features[own], axis=0, weights=energy[own])
        centred = (features[own] - mean) * np.sqrt(energy[own])[:, None]
        values, vectors = np.linalg.eigh(centred.T @ centred)
        inertia[index], axes[index] = values[-1], vectors[:, -1]

    measure(0)
    for new in range(1, number):
        worst = int(np.argmax(inertia[:new]))
        own = np.flatnonzero(group == worst)
        place = features[own] @ axes[worst]
        beyond = place > np.average(place, weights=energy[own])
        if not 0 < beyond.sum() < len(own):  # equal places: any half will do
            beyond = np.arange(len(own)) >= len(own) // 2
        group[own[beyond]] = new
        measure(worst)
        measure(new)
    return group


def merge(parameters: Array, mask: Array | None, group: Array, number: int) -> tuple[Array, tuple[Array, Array]]:
    """Merged cascades [number, H] and the factors [number] of their light and of its excess."""
    energy = jnp.maximum(parameters[:, ENERGY], 0)
    if mask is not None:
        energy = energy * mask

    def sums(values: Array) -> Array:
        return jax.ops.segment_sum(values, group, num_segments=number)

    weight = energy + NO_ENERGY
    total = sums(weight)
    own = weight / total[group]
    # Differences to a member keep the digits of large times.
    first = jax.ops.segment_min(jnp.arange(len(group), dtype=group.dtype), group, num_segments=number)
    anchor = parameters[jnp.minimum(first, len(group) - 1)]
    mean = anchor + sums(own[:, None] * (parameters - anchor[group]))
    direction = sums(own[:, None] * flight_direction(parameters[:, ZENITH], parameters[:, AZIMUTH]))
    direction = direction / jnp.sqrt(jnp.sum(direction**2, axis=1, keepdims=True) + 1e-12)
    zenith = jnp.arccos(jnp.clip(-direction[:, 2], -1 + 1e-7, 1 - 1e-7))
    azimuth = jnp.arctan2(-direction[:, 1], -direction[:, 0])
    typical = sums(own * weight)
    merged = mean.at[:, ZENITH].set(zenith).at[:, AZIMUTH].set(azimuth).at[:, ENERGY].set(typical)
    return merged, (sums(energy) / typical, sums(energy**2) / typical**2)


@dataclass(frozen=True)
class Grouped:
    """A multi-source with some of its bases evaluated once per group of cascades.

    Variables: {'bases': those of the multi-source, 'groups': {base name: group [N] of every cascade}}.

    Attributes:
      source: the multi-source.
      numbers: (base name, number of groups) pairs.
    """

    source: MultiSource
    numbers: tuple[tuple[str, int], ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the source."""
        return parameters_of(self.source)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the hypothesis parameters."""
        return names_of(self.parameters)

    def init_variables(self, key: Array, detector: Detector) -> Variables:
        raise TypeError("groups belong to a hypothesis; make them with `evgen_jax.approximate`.")

    def light_yield(
        self, variables: Variables, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        numbers = dict(self.numbers)
        expanded: Expanded = {}
        for name, (parameters, mask) in self.source.expand(hypothesis, detector).items():
            if name in numbers:
                expanded[name] = merge(parameters, mask, variables["groups"][name], numbers[name])
            else:
                expanded[name] = parameters, None if mask is None else (mask, mask)
        return self.source.sum_of_bases(variables["bases"], expanded, event, detector, cumulative)

    def sample_times(
        self, variables: Variables, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array
    ) -> Array:
        """From the multi-source itself: nothing is approximated."""
        return self.source.sample_times(variables["bases"], key, hypothesis, event, detector, dom)


def group_sources(
    source: Source, variables: Variables, hypothesis: Array, detector: Detector, number: int
) -> tuple[Source, Variables]:
    """The same source tree with the cascades of every large base in `number` groups.

    Args:
      source, variables: a tree of sources and its weights.
      hypothesis, detector: [H], where the groups are formed, before which detector.
      number: of groups; bases with fewer than twice as many cascades stay as they are.
    """
    if not isinstance(source, MultiSource):
        return source, variables
    expanded = source.expand(hypothesis, detector)
    bases, own, groups, numbers = [], {}, {}, []
    for name, base in source.bases:
        parameters = expanded[name][0]
        inner, weights = base, variables[name]
        if is_cascade(base) and len(parameters) >= 2 * number:
            groups[name] = jnp.asarray(group_cascades(np.asarray(parameters, np.float64), number))
            numbers.append((name, number))
        elif len(parameters) == 1:
            inner, weights = group_sources(base, variables[name], parameters[0], detector, number)
        bases.append((name, inner))
        own[name] = weights
    rebuilt = MultiSource(tuple(bases), source.expand, source.chunk)
    return (Grouped(rebuilt, tuple(numbers)), {"bases": own, "groups": groups}) if numbers else (rebuilt, own)


def largest_base(source: Source, hypothesis: Array, detector: Detector) -> int:
    """Number of cascades of the largest base in a tree of sources."""
    if not isinstance(source, MultiSource):
        return 1
    expanded: Mapping = source.expand(hypothesis, detector)
    sizes = [1]
    for name, base in source.bases:
        parameters = expanded[name][0]
        if is_cascade(base):
            sizes.append(len(parameters))
        elif len(parameters) == 1:
            sizes.append(largest_base(base, parameters[0], detector))
    return max(sizes)
