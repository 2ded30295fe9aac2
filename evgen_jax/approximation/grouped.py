"""Many cascades as fewer: neighbouring cascades share one evaluation of their base.

The merged cascade stands at the energy-weighted mean place, time and direction of its members. It is evaluated with a
member's energy and scaled to their sum, so that nothing but the size of the group is approximated: the first moments
are right, and the error grows with the square of the group's size over its distance from a DOM.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from evgen_jax.hypothesis.parameters import parameters_of
from evgen_jax.light.light_yield import LightYield
from evgen_jax.light.source import DerivedSource, Source, Variables
from evgen_jax.light.superposition import Expanded, MultiSource
from evgen_jax.light.tree import Copies, Path, copies_at
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.physics import constants
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.sources.learned.cascade import PARAMETERS

X, ZENITH, AZIMUTH, ENERGY, TIME = (PARAMETERS.index(n) for n in ("x", "zenith", "azimuth", "energy", "time"))
"""Places of these parameters in a hypothesis of a cascade; y and z follow x."""
DIRECTION_LENGTH = 30.0
"""Distance, m, as which a difference in direction of 1 rad counts when groups are formed."""
ENERGY_LENGTH = 5.0
"""Distance, m, as which a difference in ln(energy) of 1 counts when groups are formed."""
NO_ENERGY = 1e-6
"""Weight in GeV of a cascade without energy, so that the mean of a dark group is defined."""


def is_cascade(source: Source) -> bool:
    """Checks whether a source is a cascade.

    Args:
      source: any source.

    Returns:
      Whether the roles of its first parameters are those of a cascade.
    """
    return tuple(parameter.role for parameter in parameters_of(source)[: len(PARAMETERS)]) == PARAMETERS


def group_cascades(parameters: Float[np.ndarray, "N H"], number: int) -> Int[np.ndarray, " N"]:
    """Divides cascades into compact groups, the smaller the more energy they hold.

    The group with the largest energy-weighted inertia is cut in two across its longest axis, again and again.

    Args:
      parameters: [N, H], physical units, those of a cascade first.
      number: of groups, at most N.

    Returns:
      Group of every cascade [N], 0 to number - 1.
    """
    direction = np.asarray(flight_direction(jnp.asarray(parameters[:, ZENITH]), jnp.asarray(parameters[:, AZIMUTH])))
    energy = np.maximum(parameters[:, ENERGY], 0) + NO_ENERGY
    features = np.concatenate(
        [
            parameters[:, X : X + 3],
            DIRECTION_LENGTH * direction,
            ENERGY_LENGTH * np.log(energy)[:, None],
            constants.SPEED_OF_LIGHT * parameters[:, TIME : TIME + 1],
        ],
        axis=1,
    )
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


def merge(
    parameters: Float[Array, "N H"], mask: Shaped[Array, " N"] | None, group: Int[Array, " N"], number: int
) -> tuple[Float[Array, "{number} H"], tuple[Float[Array, " {number}"], Float[Array, " {number}"]]]:
    """Merges the cascades of every group into one cascade.

    Args:
      parameters: [N, H], physical units, those of a cascade first.
      mask: [N], 0 for cascades that give no light; None: all give light.
      group: [N], group of every cascade, 0 to number - 1.
      number: of groups.

    Returns:
      Merged cascades [number, H], and two arrays of factors [number], of their light and of its over-dispersion.
    """
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
class Grouped(DerivedSource):
    """Is a multi-source with some of its bases evaluated once per group of cascades.

    Variables: {'bases': weights of the multi-source, 'groups': {base name: group [N] of every cascade}}.

    Attributes:
      source: the multi-source.
      numbers: (base name, number of groups) pairs.
    """

    source: MultiSource
    numbers: tuple[tuple[str, int], ...]

    @property
    def original(self) -> Source:
        """Returns the source whose hypothesis this one has."""
        return self.source

    def init_variables(self, key: PRNGKeyArray, detector: Detector) -> Variables:
        """Refuses to make weights: groups belong to a hypothesis.

        Args:
          key: not used.
          detector: not used.

        Raises:
          TypeError: always.
        """
        raise TypeError("groups belong to a hypothesis; make them with `evgen_jax.approximate`.")

    def light_yield(
        self,
        variables: Variables,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        cumulative: bool = False,
    ) -> LightYield:
        """Computes the light at every DOM and pulse, with cascades merged.

        Args:
          variables: weights and groups.
          hypothesis: [H], physical units.
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses.
        """
        numbers = dict(self.numbers)
        expanded: Expanded = {}
        for name, (parameters, mask) in self.source.expand(hypothesis, detector).items():
            if name in numbers:
                expanded[name] = merge(parameters, mask, variables["groups"][name], numbers[name])
            else:
                expanded[name] = parameters, None if mask is None else (mask, mask)
        return self.source.sum_of_bases(variables["bases"], expanded, event, detector, cumulative)

    def sample_times(
        self,
        variables: Variables,
        key: PRNGKeyArray,
        hypothesis: Float[Array, " H"],
        event: Event,
        detector: Detector,
        dom: Int[Array, " P"],
    ) -> Float[Array, " P"]:
        """Draws one arrival time for each of P photoelectrons from the exact multi-source.

        Args:
          variables: weights and groups.
          key: of the random numbers.
          hypothesis: [H], physical units.
          event: gives the readout window, which noise needs.
          detector: of the event.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
        """
        return self.source.sample_times(variables["bases"], key, hypothesis, event, detector, dom)


def group_sources(
    source: Source, variables: Variables, hypothesis: Float[Array, " H"], detector: Detector, number: int
) -> tuple[Source, Variables]:
    """Replaces every large base of cascades in a source tree by one evaluated in groups.

    Args:
      source: a tree of sources.
      variables: its weights.
      hypothesis: [H], physical units, where the groups are formed.
      detector: of the model.
      number: of groups; bases with fewer than twice as many cascades stay as they are.

    Returns:
      The new tree of sources and its variables.
    """
    found = _bases_of_cascades(source, variables, hypothesis, detector)
    groups = {
        path: jnp.asarray(group_cascades(np.asarray(parameters, np.float64), number))
        for path, parameters in found.items()
        if len(parameters) >= 2 * number
    }
    return _grouped(source, variables, groups, number, ())


def largest_base(source: Source, variables: Variables, hypothesis: Float[Array, " H"], detector: Detector) -> int:
    """Counts the cascades of the largest base that can be grouped in a tree of sources.

    Args:
      source: a tree of sources.
      variables: its weights.
      hypothesis: [H], physical units.
      detector: of the model.

    Returns:
      Number of cascades, at least 1.
    """
    found = _bases_of_cascades(source, variables, hypothesis, detector)
    return max((len(parameters) for parameters in found.values()), default=1)


def _bases_of_cascades(
    source: Source, variables: Variables, hypothesis: Array, detector: Detector
) -> dict[Path, Array]:
    """Parameters [N, H] by the path of every base of cascades whose multi-source is there once."""
    found: dict[Path, list[Copies]] = {}
    for own in copies_at(source, variables, hypothesis, detector):
        found.setdefault(own.path, []).append(own)
    return {
        path: own[0].parameters for path, own in found.items() if path and len(own) == 1 and is_cascade(own[0].source)
    }


def _grouped(
    source: Source, variables: Variables, groups: Mapping[Path, Array], number: int, path: Path
) -> tuple[Source, Variables]:
    """The tree with groups of the cascades that lie at the paths of `groups`."""
    if not isinstance(source, MultiSource):
        return source, variables
    parts = {name: _grouped(base, variables[name], groups, number, (*path, name)) for name, base in source.bases}
    rebuilt = replace(source, bases=tuple((name, base) for name, (base, _) in parts.items()))
    weights = {name: own for name, (_, own) in parts.items()}
    own = {name: groups[*path, name] for name in parts if (*path, name) in groups}
    if not own:
        return rebuilt, weights
    return Grouped(rebuilt, tuple((name, number) for name in own)), {"bases": weights, "groups": own}
