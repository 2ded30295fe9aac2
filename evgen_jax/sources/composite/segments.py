"""Tracks as sums of short segments: the analytic counterparts of learned tracks."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from evgen_jax.hypothesis.parameters import Parameter, standard_parameters
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import Detector
from evgen_jax.physics import constants
from evgen_jax.physics.geometry import flight_direction, sphere_point
from evgen_jax.physics.muon import energy_after
from evgen_jax.sources.analytic.point_source import AnalyticSegmentSource
from evgen_jax.sources.learned import track


@dataclass(frozen=True)
class _SphereSegments:
    """Equal pieces of the longest way through the sphere; the muon loses energy on its way."""

    sphere_radius: float
    num_segments: int
    extra: tuple[str, ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of a track that enters a sphere, then properties of the ice."""
        return standard_parameters(track.PARAMETERS + self.extra)

    def __call__(self, hypothesis: Array, detector: Detector) -> dict[str, tuple[Array, None]]:
        dtype, number = hypothesis.dtype, self.num_segments
        length = 2 * self.sphere_radius / number
        distance = (jnp.arange(number, dtype=dtype) + 0.5) * length
        energy = energy_after(jnp.maximum(hypothesis[3], 0), distance, jnp.asarray(detector.medium.density, dtype))
        entry = self.sphere_radius * sphere_point(hypothesis[0], hypothesis[1])
        position = entry[None] + distance[:, None] * flight_direction(hypothesis[4], hypothesis[5])[None]

        def same(value: Array) -> Array:
            return jnp.broadcast_to(value, (number, *jnp.shape(value)))

        columns = [
            position, same(hypothesis[4:6]), energy[:, None],
            (hypothesis[2] + distance / constants.SPEED_OF_LIGHT)[:, None], jnp.full((number, 1), length, dtype),
            same(hypothesis[len(track.PARAMETERS) :]),
        ]  # fmt: skip
        return {"segment": (jnp.concatenate(columns, axis=1), None)}

    def base_trafos(self, trafo: Trafo) -> dict[str, Trafo]:
        """Analytic sources need none."""
        return {}


def analytic_sphere_track(
    sphere_radius: float, segment_length: float, segment: AnalyticSegmentSource, chunk: int | None = None
) -> MultiSource:
    """Makes the analytic counterpart of an infinite track through a sphere, a sum of short segments.

    It takes the parameters of `EnteringSphereInfTrack`. The muon starts with entry_energy at the entry point and loses
    the mean energy on its way; beyond its range it gives no light.

    Args:
      sphere_radius: m, of the sphere around the origin.
      segment_length: m, longest segment.
      segment: light of one segment.
      chunk: segments evaluated together; None: what suits the detector and the machine.

    Returns:
      The multi-source.
    """
    number = max(-int(-2 * sphere_radius // segment_length), 1)
    return MultiSource((("segment", segment),), _SphereSegments(sphere_radius, number, segment.ice_parameters), chunk)
