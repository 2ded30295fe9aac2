"""Tracks through a sphere with cascades on them, at free or at equal distances."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.parameters import Parameter, further_cascades, loss_parameters, standard_parameters
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import Detector
from evgen_jax.physics.geometry import sphere_point
from evgen_jax.sources.composite.along_track import (
    cascade_trafo,
    cascades_along,
    extra_parameters,
    joined,
    with_extra,
)
from evgen_jax.sources.learned.track import PARAMETERS

MOST_SEGMENTS = 100_000
"""Largest number of cascades at equal distances."""


@dataclass(frozen=True)
class _TrackWithCascades:
    """The track's own six parameters, further ones, then the cascades'; spacing None: their distances are free."""

    num_cascades: int
    sphere_radius: float
    spacing: float | None
    track_extra: tuple[str, ...]
    cascade_extra: tuple[str, ...]

    @property
    def extra(self) -> tuple[str, ...]:
        return joined({"track": self.track_extra, "cascade": self.cascade_extra})

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of the track, further ones of the bases, then the losses, or energies and distances of the cascades."""
        number = self.num_cascades
        own = further_cascades(0, number) if self.spacing is None else loss_parameters(number)
        return standard_parameters(PARAMETERS + self.extra) + own

    def __call__(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> dict[str, tuple[Float[Array, "N H_base"], None]]:
        own = len(PARAMETERS) + len(self.extra)
        further = dict(zip(self.extra, hypothesis[len(PARAMETERS) : own], strict=True))

        def pick(names: tuple[str, ...]) -> Array:
            return jnp.stack([further[n] for n in names]) if names else jnp.zeros(0, hypothesis.dtype)

        if self.spacing is not None:
            energy = hypothesis[own:]
            distance = (jnp.arange(self.num_cascades, dtype=hypothesis.dtype) + 0.5) * self.spacing
        else:
            energy, distance = hypothesis[own:].reshape(-1, 2).T
        entry = self.sphere_radius * sphere_point(hypothesis[0], hypothesis[1])
        cascades = cascades_along(
            entry, hypothesis[2], hypothesis[4], hypothesis[5], distance, energy, pick(self.cascade_extra), detector
        )
        track = jnp.concatenate([hypothesis[: len(PARAMETERS)], pick(self.track_extra)])
        return {"track": (track[None], None), "cascade": (cascades, None)}

    def base_trafos(self, trafo: Trafo) -> dict[str, Trafo]:
        own = len(PARAMETERS) + len(self.extra)
        track = trafo.select(range(len(PARAMETERS)), PARAMETERS)
        # The first energy stands for all: they are filled from one distribution of losses.
        cascade = cascade_trafo(trafo, 4, 5, own, 2, self.sphere_radius)
        return {
            "track": with_extra(track, trafo, self.track_extra),
            "cascade": with_extra(cascade, trafo, self.cascade_extra),
        }


def track_with_cascades(
    num_cascades: int, sphere_radius: float, bases: Mapping[str, Source], chunk: int | None = None
) -> MultiSource:
    """Makes an infinite track with cascades, each with an energy and a distance from the entry point.

    Parameters: those of the base `track`, then cascade_00000_energy [GeV], cascade_00000_distance [m] and so on.

    Args:
      num_cascades: number of cascades.
      sphere_radius: m, of the sphere around the detector's `origin`.
      bases: {"track": source, "cascade": source}.
      chunk: cascades evaluated together; None: what suits the detector and the machine.

    Returns:
      The multi-source.

    Raises:
      ConfigError: other bases than `track` and `cascade`, or one whose first parameters are not those of its kind.
    """
    extra = extra_parameters("InfSphereTrackVariableMultiCascadeModel", bases, ("track", "cascade"))
    expand = _TrackWithCascades(num_cascades, sphere_radius, None, extra["track"], extra["cascade"])
    return MultiSource(tuple(bases.items()), expand, chunk)


def number_of_segments(sphere_radius: float, spacing: float) -> int:
    """Counts the cascades at equal distances that fit the longest way through the sphere.

    Args:
      sphere_radius: m, of the sphere.
      spacing: m, between cascades.

    Returns:
      The number, at least 1.

    Raises:
      ConfigError: a spacing that is larger than the sphere, or so small that nothing holds its cascades.
    """
    if spacing > 2 * sphere_radius:
        raise ConfigError(
            f"cascade_spacing: {spacing:g} m is larger than the sphere of {2 * sphere_radius:g} m; no cascade fits."
        )
    if 2 * sphere_radius / spacing > MOST_SEGMENTS:
        raise ConfigError(
            f"cascade_spacing: {spacing:g} m makes {2 * sphere_radius / spacing:g} cascades; {MOST_SEGMENTS} are possible. Is it in m?"
        )
    return max(int(2 * sphere_radius / spacing), 1)


def track_with_equidistant_cascades(
    spacing: float, sphere_radius: float, bases: Mapping[str, Source], chunk: int | None = None
) -> MultiSource:
    """Makes an infinite track with a cascade every `spacing` m; cascade i is (i + 1/2) spacing behind the entry point.

    Parameters: those of the base `track`, then energy_loss_0000 [GeV] and so on.

    Args:
      spacing: m, between cascades.
      sphere_radius: m, of the sphere around the detector's `origin`.
      bases: {"track": source, "cascade": source}.
      chunk: cascades evaluated together; None: what suits the detector and the machine.

    Returns:
      The multi-source.

    Raises:
      ConfigError: other bases than `track` and `cascade`, one whose first parameters are not those of its kind, or a
        spacing larger than the sphere or too small for it.
    """
    extra = extra_parameters("InfSphereTrackEquidistantCascadeModel", bases, ("track", "cascade"))
    number = number_of_segments(sphere_radius, spacing)
    expand = _TrackWithCascades(number, sphere_radius, spacing, extra["track"], extra["cascade"])
    return MultiSource(tuple(bases.items()), expand, chunk)
