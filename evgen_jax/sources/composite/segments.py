"""Tracks as sums of short segments: the analytic counterparts of learned tracks."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

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
class SphereSegments:
    """Divides the longest way through a sphere into equal pieces; the muon loses energy on its way.

    Attributes:
      sphere_radius: m.
      num_segments: number N of pieces.
      extra: names of further parameters, which all pieces get.
    """

    sphere_radius: float
    num_segments: int
    extra: tuple[str, ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of a track that enters a sphere, then properties of the ice."""
        return standard_parameters(track.PARAMETERS + self.extra)

    def __call__(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> dict[str, tuple[Float[Array, "N H_base"], None]]:
        """Computes the parameters of the pieces.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          detector: of no effect.

        Returns:
          The base "segment" with its parameters [N, H_segment].
        """
        dtype, number = hypothesis.dtype, self.num_segments
        length = 2 * self.sphere_radius / number
        distance = (jnp.arange(number, dtype=dtype) + 0.5) * length
        energy = energy_after(jnp.maximum(hypothesis[3], 0), distance, jnp.asarray(detector.medium.density, dtype))
        entry = self.sphere_radius * sphere_point(hypothesis[0], hypothesis[1])
        position = entry[None] + distance[:, None] * flight_direction(hypothesis[4], hypothesis[5])[None]

        def same(value: Array) -> Array:
            return jnp.broadcast_to(value, (number, *jnp.shape(value)))

        columns = [
            position,
            same(hypothesis[4:6]),
            energy[:, None],
            (hypothesis[2] + distance / constants.SPEED_OF_LIGHT)[:, None],
            jnp.full((number, 1), length, dtype),
            same(hypothesis[len(track.PARAMETERS) :]),
        ]
        return {"segment": (jnp.concatenate(columns, axis=1), None)}

    def base_trafos(self, trafo: Trafo) -> dict[str, Trafo]:
        """Makes normalisations for bases.

        Args:
          trafo: normalisation of the track.

        Returns:
          An empty dictionary: sources whose light is computed need none.
        """
        return {}


def analytic_sphere_track(
    sphere_radius: float, segment_length: float, segment: AnalyticSegmentSource, chunk: int | None = None
) -> MultiSource:
    """Makes the analytic counterpart of an infinite track through a sphere, a sum of short segments.

    It takes the parameters of `EnteringSphereInfTrack`. The muon starts with entry_energy at the entry point and loses
    the mean energy on its way; beyond its range it gives no light.

    Args:
      sphere_radius: m, of the sphere around the detector's `origin`.
      segment_length: m, longest segment.
      segment: light of one segment.
      chunk: segments evaluated together; None: what suits the detector and the machine.

    Returns:
      The multi-source.
    """
    number = max(-int(-2 * sphere_radius // segment_length), 1)
    return MultiSource((("segment", segment),), SphereSegments(sphere_radius, number, segment.ice_parameters), chunk)
