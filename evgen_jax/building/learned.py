"""Records of the learned sources of a network: cascade and track."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Annotated, Any, ClassVar, Self

from evgen_jax.building.analytic_sources import AnalyticCascadeModel, AnalyticSphereTrackModel
from evgen_jax.building.decoders import decoder_record
from evgen_jax.building.network import NetworkRecord, network_fields
from evgen_jax.building.sources import (
    DTYPES,
    DecoderField,
    SourceRecord,
    Surroundings,
    charge_decoder,
    identity_trafo,
    precision_of,
    time_decoder,
)
from evgen_jax.config.kinds import (
    ListOf,
    ListOfNames,
    Misfit,
    Number,
    OneOf,
    Positive,
    Precision,
    Read,
    Real,
    Switch,
    Whole,
)
from evgen_jax.config.record import described, needed, short
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import ConfigError, shown
from evgen_jax.hypothesis.parameters import names_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source
from evgen_jax.physics.acceptance import ACCEPTANCES, BASELINE
from evgen_jax.sources.learned.cascade import CascadeGeometry
from evgen_jax.sources.learned.check import check_learned
from evgen_jax.sources.learned.inputs import REFERENCE, contents
from evgen_jax.sources.learned.learned import Geometry, LearnedSource
from evgen_jax.sources.learned.options import LearnedOptions
from evgen_jax.sources.learned.track import SphereTrackGeometry

OPTIONS = tuple(f.name for f in fields(LearnedOptions) if f.name != "additional_parameter_names")
MOST_NUMBERED = 10_000
"""Parameters that one entry of snowstorm_parameter_names stands for, at most."""


def _labels(value: Any) -> tuple[str, ...]:
    return _names(value, plain=True)


def _numbered_names(value: Any) -> tuple[str, ...]:
    return _names(value, plain=False)


def _names(value: Any, plain: bool) -> tuple[str, ...]:
    """Names of parameters; [ice_{:02d}, 3] stands for three, unless the names are `plain` texts."""
    if not isinstance(value, list | tuple):
        raise Misfit(f"expected a list of names, got {shown(value)}.")
    names: list[str] = []
    for entry in value:
        names += [entry] if plain and isinstance(entry, str) else _numbered(entry)
    return tuple(names)


def _numbered(entry: Any) -> list[str]:
    pattern, count = entry if isinstance(entry, list | tuple) and len(entry) == 2 else (entry, 1)
    if not isinstance(pattern, str) or not isinstance(count, int) or isinstance(count, bool):
        raise Misfit(f"expected a name or [name, number], got {shown(entry)}.")
    if not 0 <= count <= MOST_NUMBERED:
        raise Misfit(f"'{pattern}': expected a number from 0 to {MOST_NUMBERED}, got {shown(count)}.")
    try:
        return [pattern.format(i) for i in range(count)]
    except (ValueError, IndexError, KeyError) as error:
        raise Misfit(f"'{pattern}' is no name with a place for a number, as 'ice_{{:02d}}' ({error}).") from None


LIST = (("type", "array"),)


class LearnedRecord(NetworkRecord, SourceRecord):
    """A network over modules: its outputs are the parameters of the distributions of charge and arrival time."""

    takes_trafo: ClassVar[bool] = True

    float_precision: Precision = described("float32", "Precision of weights and computation.")
    additional_label_names: Annotated[tuple[str, ...], Read("a list of names", _labels, LIST)] = described(
        (), "Further labels that are hypothesis parameters and inputs."
    )
    snowstorm_parameter_names: Annotated[
        tuple[str, ...], Read("a list of names or [name with {}, number]", _numbered_names, LIST)
    ] = described((), "Properties of ice and modules that are hypothesis parameters and inputs, after further labels.")
    inputs: ListOfNames = described((REFERENCE,), contents())
    anisotropy_azimuth: Number | None = described(
        None, "Azimuth of the axis of an anisotropy of the medium, for the input anisotropy.", "rad"
    )
    num_embedding_vars: Annotated[int, Whole(least=0)] = described(0, "Trainable inputs per module that start at 0.")
    add_anisotropy_angle: Switch = described(
        True, "Input: direction from the light to the module in the horizontal plane."
    )
    add_dom_angular_acceptance: Switch = described(False, "Input: angular acceptance of the module for direct light.")
    add_axis_cosine: Switch = described(False, "Input: cosine between the axis of the sensor and the incoming light.")
    add_dom_coordinates: Switch = described(False, "Input: position of the module.")
    add_log_distance: Switch = described(False, "Input: ln(distance / 100 m), which resolves modules close by.")
    num_local_vars: Annotated[int, Whole(least=0)] = described(0, "Trainable inputs per module.")
    scale_charge: Switch = described(True, "Expected charge proportional to the energy over 1 TeV.")
    scale_charge_by_relative_dom_efficiency: Switch = described(
        True, "Factor of the charge: efficiency of the module, and its area relative to IceCube's module."
    )
    scale_charge_by_global_dom_efficiency: Switch = described(
        False, "Factor of the charge: the parameter DOMEfficiency."
    )
    scale_charge_by_angular_acceptance: Switch = described(False, "Factor of the charge: angular acceptance.")
    scale_charge_by_relative_angular_acceptance: Switch = described(
        False, "Factor of the charge: angular acceptance over that of the baseline hole ice."
    )
    scale_charge_by_diffusion: Switch = described(
        False,
        "Factor of the charge: light of 1 TeV in the medium's mean lengths; far fewer steps of training are needed.",
    )
    scale_charge_by_light: Switch = described(
        False, "Factor of the charge: light of 1 TeV from photon transport in the medium's mean lengths; cascades only."
    )
    light_along_way: Switch = described(
        False,
        "Whether that light, or that of diffusion, has lengths averaged along the way to each module instead of the medium's "
        "mean lengths.",
    )
    start_times_from_light: Switch = described(
        False, "Whether three gamma distributions of the arrival times start from those of that light; cascades only."
    )
    use_constant_baseline_hole_ice: Switch = described(
        True, "Baseline hole ice in the acceptance; False: HoleIceForward_Unified_p0 and _p1 of the hypothesis."
    )
    baseline_hole_ice_p0: Number = described(BASELINE[0], "First parameter of the baseline hole ice.")
    baseline_hole_ice_p1: Number = described(BASELINE[1], "Second parameter of the baseline hole ice.")
    angular_acceptance: Annotated[str, OneOf(options=tuple(ACCEPTANCES))] = described(
        "formula", "Angular acceptance; 'table' for weights that Event-Generator trained with its table."
    )
    density_per_microsecond: Switch = described(
        False,
        "Whether time densities are per microsecond beside those of noise per ns, as Event-Generator adds them: its "
        "log-likelihoods come out, for comparison alone.",
    )
    mixture_component_t_seeds: Annotated[tuple[float, ...], ListOf(entry=Real())] | None = described(
        None, "Offset of each component of the arrival times; empty: 0.", "ns"
    )
    charge_scale_tensors: ListOfNames | None = described(
        None, "Parameters of the charge that the factors act on; empty: all expected charges."
    )
    decoder_settings: DecoderField = needed("Distribution of arrival times.")
    decoder_charge_settings: DecoderField = needed("Distribution of charges.")

    @classmethod
    def from_section(cls, section: ModelSettings, around: Surroundings, where: str) -> Self:
        """Makes the record, with decoders that stand further out where the section has none."""
        if section.multi_source_bases:
            raise ConfigError(f"{where}.multi_source_bases: {cls.__name__} is no multi-source.")
        return cls.read(
            cls.inner_sections(section, around, where),
            where,
            decoder_settings=time_decoder(section, around, where),
            decoder_charge_settings=charge_decoder(section, around, where),
            data_trafo_settings=section.data_trafo_settings,
        )

    @classmethod
    def inner_sections(cls, section: ModelSettings, around: Surroundings, where: str) -> dict[str, Any]:
        """The section's `config` with records in place of the sections that it holds; arguments as of `from_section`."""
        return section.config

    def geometry(self) -> Geometry:
        """What kind of source it is."""
        raise NotImplementedError

    @property
    def additional_parameters(self) -> tuple[str, ...]:
        """Hypothesis parameters after those of the geometry: further labels, then properties of ice and modules."""
        return self.additional_label_names + self.snowstorm_parameter_names

    def build(self, trafo: Trafo | None = None, where: str = "") -> Source:
        """The network with its geometry and decoders."""
        options = LearnedOptions(
            **{key: getattr(self, key) for key in OPTIONS}, additional_parameter_names=self.additional_parameters
        )
        geometry = self.geometry()
        source = LearnedSource(
            geometry,
            options,
            identity_trafo(names_of(geometry.parameters) + self.additional_parameters) if trafo is None else trafo,
            self.decoder_settings.build(),
            self.decoder_charge_settings.build(),
            self.network(),
            self.time_network(),
            DTYPES[self.float_precision],
        )
        try:
            check_learned(source)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}" if where else str(error)) from None
        return source

    def check(self) -> None:
        """Whether layers, decoders and options fit together."""
        super().check()
        for key in ("decoder_settings", "decoder_charge_settings"):
            self.precision_of_decoder(key, self.float_precision)
        self.build()

    @classmethod
    def settings_of(cls, source: LearnedSource) -> dict[str, Any]:
        """The fields that make the parts of a source which all learned sources have."""
        defaults = LearnedOptions()
        options = {key: getattr(source.options, key) for key in OPTIONS}
        return {
            **{key: value for key, value in options.items() if value != getattr(defaults, key)},
            **network_fields(source.network, source.time_network),
            "float_precision": precision_of(source),
            "additional_label_names": source.options.additional_parameter_names,
            "decoder_settings": decoder_record(source.time_decoder),
            "decoder_charge_settings": decoder_record(source.charge_decoder),
        }


class DefaultCascadeModel(LearnedRecord):
    """Learned point-like shower.

    Parameters: x, y, z [m], zenith, azimuth [rad], energy [GeV], time [ns], then further ones.
    """

    shift_cascade_vertex: Switch = described(True, "Distances and times are measured from the shower maximum.")
    shift_cascade_time: Switch = described(
        True, "Whether the time moves to the maximum with the vertex; False for weights that Event-Generator trained."
    )
    add_opening_angle: Switch = described(True, "Input: angle between the shower's direction and that to the module.")
    opening_angle_as_cosine: Switch = described(
        False, "Input: the cosine of that angle, whose light has no cusp where the shower points at a module."
    )

    def geometry(self) -> Geometry:
        """A shower as the modules see it."""
        return CascadeGeometry(
            self.shift_cascade_vertex, self.add_opening_angle, self.opening_angle_as_cosine, self.shift_cascade_time
        )

    def check(self) -> None:
        """Whether there is a shift that the time could leave out, and all that learned sources check."""
        if not (self.shift_cascade_time or self.shift_cascade_vertex):
            raise Misfit("has no effect where shift_cascade_vertex is False. Leave it out.", "shift_cascade_time")
        super().check()

    def analytic(self, where: str = "model_settings") -> SourceRecord:
        """The analytic shower with the same parameters."""
        return AnalyticCascadeModel.read({"ice_parameters": self.additional_parameters}, where)

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record of a learned shower; None if the source is another one."""
        if not isinstance(source, LearnedSource) or not isinstance(source.geometry, CascadeGeometry):
            return None
        return cls(**asdict(source.geometry), **cls.settings_of(source))


class EnteringSphereInfTrack(LearnedRecord):
    """Learned infinite track through a sphere around the origin from which the detector's places are counted.

    Parameters: entry_zenith, entry_azimuth [rad], entry_t [ns], entry_energy [GeV], zenith, azimuth [rad], then further
    ones.
    """

    sphere_radius: Positive = needed("Radius of the sphere.", "m")
    charge_distribution_type: Any = described(
        None,
        "Name of the charge's distribution in Event-Generator's files: that of decoder_charge_settings, or nothing.",
    )

    def geometry(self) -> Geometry:
        """A track as the modules see it."""
        return SphereTrackGeometry(self.sphere_radius)

    def analytic(self, where: str = "model_settings") -> SourceRecord:
        """The analytic track with the same parameters."""
        own = {"ice_parameters": self.additional_parameters, "sphere_radius": self.sphere_radius}
        return AnalyticSphereTrackModel.read(own, where)

    def check(self) -> None:
        """Whether the named distribution is that of the charge decoder, and all that learned sources check."""
        own, used = self.charge_distribution_type, type(self.decoder_charge_settings).__name__
        if own and not used.lower().startswith((str(own).replace("_", "").lower(), "mixture")):
            raise Misfit(
                f"got '{own}', but decoder_charge_settings has {short(used)}, which counts. Write the same, or leave it "
                "out.",
                "charge_distribution_type",
            )
        super().check()

    @classmethod
    def of(cls, source: Source, record_of: Callable[[Source], SourceRecord]) -> SourceRecord | None:
        """The record of a learned track; None if the source is another one."""
        if not isinstance(source, LearnedSource) or not isinstance(source.geometry, SphereTrackGeometry):
            return None
        return cls(sphere_radius=source.geometry.sphere_radius, **cls.settings_of(source))
