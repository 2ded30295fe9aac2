"""Records of the analytic sources, whose light is computed instead of learned."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np

from evgen_jax.building.sources import DTYPES, SourceRecord, precision_of
from evgen_jax.config.kinds import Misfit, Names, Positive, Precision, Read, Switch
from evgen_jax.config.record import described, needed
from evgen_jax.decoders import FAMILIES, Decoder
from evgen_jax.errors import suggestion
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.light.superposition import MultiSource
from evgen_jax.sources.analytic.point_source import ICE_PARAMETERS, AnalyticCascadeSource, AnalyticSegmentSource
from evgen_jax.sources.composite.segments import SphereSegments, analytic_sphere_track
from evgen_jax.sources.learned.noise import NoiseSource

PRECISION = "Precision of the computation."


def _ice(value: Any) -> tuple[str, ...]:
    names = Names().check(value)
    for name in names:
        if name not in ICE_PARAMETERS:
            raise Misfit(
                f"the analytic sources do not know '{name}'; known: {', '.join(ICE_PARAMETERS)}."
                + suggestion(name, ICE_PARAMETERS)
            )
    return names


ICE = Annotated[
    tuple[str, ...],
    Read("a list of names", _ice, (("type", "array"), ("items", {"enum": list(ICE_PARAMETERS)}))),
]
ICE_TEXT = "Properties of ice and modules that are further hypothesis parameters."


class AnalyticCascadeModel(SourceRecord):
    """Analytic point-like shower; the parameters of DefaultCascadeModel."""

    float_precision: Precision = described("float32", PRECISION)
    ice_parameters: ICE = described((), ICE_TEXT)

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """A shower whose light is computed."""
        return AnalyticCascadeSource(self.ice_parameters, DTYPES[self.float_precision])

    def analytic(self, where: str = "") -> SourceRecord:
        """The record itself."""
        return self

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record of an analytic shower; None if the source is another one."""
        if not isinstance(source, AnalyticCascadeSource):
            return None
        return cls(ice_parameters=source.ice_parameters, float_precision=precision_of(source))


class AnalyticSphereTrackModel(SourceRecord):
    """Analytic infinite track through a sphere, in segments; the parameters of EnteringSphereInfTrack."""

    float_precision: Precision = described("float32", PRECISION)
    ice_parameters: ICE = described((), ICE_TEXT)
    sphere_radius: Positive = needed("Radius of the sphere.", "m")
    segment_length: Positive = described(15.0, "Longest segment whose light comes from its middle.", "m")
    with_mean_losses: Switch = described(
        True, "Whether the mean light of stochastic losses is added to the bare muon's."
    )

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """A track of segments whose light is computed."""
        segment = AnalyticSegmentSource(self.ice_parameters, DTYPES[self.float_precision], self.with_mean_losses)
        return analytic_sphere_track(self.sphere_radius, self.segment_length, segment)

    def analytic(self, where: str = "") -> SourceRecord:
        """The record itself."""
        return self

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record of an analytic track; None if the source is another one."""
        segment = dict(source.bases).get("segment") if isinstance(source, MultiSource) else None
        if not isinstance(source, MultiSource) or not isinstance(segment, AnalyticSegmentSource):
            return None
        if not isinstance(source.expand, SphereSegments):
            return None
        radius, number = source.expand.sphere_radius, source.expand.num_segments
        # The next larger number where the division gives one segment more.
        length = 2 * radius / number
        length = length if -int(-2 * radius // length) == number else float(np.nextafter(length, np.inf))
        return cls(
            ice_parameters=segment.ice_parameters,
            sphere_radius=radius,
            segment_length=length,
            with_mean_losses=segment.with_mean_losses,
            float_precision=precision_of(segment),
        )


class AnalyticNoiseModel(SourceRecord):
    """Noise with the rates of the modules, not learned. No parameters."""

    float_precision: Precision = described("float32", PRECISION)

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """Noise with the rates of the modules."""
        return NoiseSource(Decoder(FAMILIES["PoissonDecoder"]), None, False, DTYPES[self.float_precision])

    def analytic(self, where: str = "") -> SourceRecord:
        """The record itself."""
        return self

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record of noise that is not learned; None if the source is another one."""
        if not isinstance(source, NoiseSource) or source.learned:
            return None
        return cls(float_precision=precision_of(source))
