"""Tracks that start and stop, with energy losses in equal segments."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.hypothesis.parameters import Parameter, loss_parameters, standard_parameters
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.measurement.detector import Detector
from evgen_jax.sources.composite.along_track import cascade_trafo, cascades_along, extra_parameters, with_extra

PARAMETERS = ("x", "y", "z", "zenith", "azimuth", "time", "length")
"""Names of the parameters of a finite track, in m, rad and ns."""


@dataclass(frozen=True)
class _FiniteTrack:
    num_segments: int
    extra: tuple[str, ...]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of the track, further ones of the base, then the losses."""
        return standard_parameters(PARAMETERS + self.extra) + loss_parameters(self.num_segments)

    def __call__(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> dict[str, tuple[Float[Array, "N H_base"], None]]:
        own = len(PARAMETERS) + len(self.extra)
        share = (jnp.arange(self.num_segments, dtype=hypothesis.dtype) + 0.5) / self.num_segments
        cascades = cascades_along(
            start=hypothesis[:3],
            time=hypothesis[5],
            zenith=hypothesis[3],
            azimuth=hypothesis[4],
            distance=share * hypothesis[6],
            energy=hypothesis[own:],
            extra=hypothesis[len(PARAMETERS) : own],
            detector=detector,
        )
        return {"cascade": (cascades, None)}

    def base_trafos(self, trafo: Trafo) -> dict[str, Trafo]:
        own = len(PARAMETERS) + len(self.extra)
        radius = max(trafo.mean[6], trafo.std[6], *trafo.std[:3]) if not trafo.log[6] else max(trafo.std[:3])
        return {"cascade": with_extra(cascade_trafo(trafo, 3, 4, own, 5, radius), trafo, self.extra)}


def finite_track(num_segments: int, bases: Mapping[str, Source], chunk: int | None = None) -> MultiSource:
    """Makes a track of finite length whose light is that of one cascade in the middle of every segment.

    Parameters: x, y, z [m], zenith, azimuth [rad], time [ns] at the start, length [m], further ones of the base, then
    energy_loss_0000 [GeV] and so on. A track that starts inside or outside the detector, stops, or does both; the loss
    of a segment holds all light of the muon there.

    Args:
      num_segments: number of equal segments.
      bases: {"cascade": source}.
      chunk: cascades evaluated together; None: what suits the detector and the machine.

    Returns:
      The multi-source.

    Raises:
      ConfigError: other bases than `cascade`, or one whose first parameters are not those of a cascade.
    """
    extra = extra_parameters("FiniteTrackMultiCascadeModel", bases, ("cascade",))
    return MultiSource(tuple(bases.items()), _FiniteTrack(num_segments, extra["cascade"]), chunk)
