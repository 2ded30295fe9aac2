"""Records of simulations."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from evgen_jax.config.record import Count, Key, Number, Positive, Record, described, needed


def _of_table(settings: "SimulationSettings") -> bool:
    return settings.light == "table"


OF_PHOTONS = Key(idle=_of_table)
"""Of photons, without effect on light of a table."""


def _points_fit(tilt: "TiltSettings") -> str:
    distances, shifts = tilt.distances, tilt.shifts
    if len(distances) != len(shifts) or len(distances) < 2:
        return f"{len(distances)} distances and {len(shifts)} shifts; expected as many of either, two at least"
    falling = [(a, b) for a, b in zip(distances[:-1], distances[1:], strict=True) if b <= a]
    return f"distances: {falling[0][1]:g} after {falling[0][0]:g}; expected ascending places" if falling else ""


class TiltSettings(Record):
    """Layers that lie higher or lower by place: a shift of their z along one horizontal direction."""

    azimuth: Number = needed("Direction in the x-y plane along which the shift changes.", "rad")
    distances: Annotated[tuple[Number, ...], Key(wrong=_points_fit)] = needed(
        "Places along the direction, ascending, from the origin of the detector's table.", "m"
    )
    shifts: tuple[Number, ...] = needed(
        "By how much layers lie higher at these places; linear between, constant beyond.", "m"
    )


class AnisotropySettings(Record):
    """Lengths of scattering and absorption that depend on the azimuth of flight.

    They are multiplied by 1 + strength sin^2(zenith) cos 2(azimuth - axis).
    """

    strength: Annotated[float, Field(strict=True, gt=-0.9, lt=0.9)] = needed(
        "Relative change of the lengths of horizontal flight along the axis."
    )
    azimuth: Number = needed("Azimuth of the axis.", "rad")


def _model_beside(settings: "SimulationSettings") -> str:
    photons = settings.light == "photons" and settings.model is not None
    return "light: photons simulates without a model. Remove one of them" if photons else ""


def _undrawn_table(settings: "SimulationSettings") -> str:
    expected = not settings.draw and _of_table(settings)
    return (
        "False writes expected events of photons, but light is table. Add light: photons, or remove it"
        if expected
        else ""
    )


Radii = Annotated[float, Field(strict=True, gt=0, le=0.5, allow_inf_nan=False)]


class SimulationSettings(Record):
    """What `evgen-jax simulate` draws; ranges are [low, high] in physical units, energy log-uniform."""

    num_events: Count = described(1000, "Events.")
    events_per_file: Count = described(500, "Events of a file.")
    random_seed: StrictInt = described(1, "Seed of all that is drawn.")
    ranges: dict[StrictStr, tuple[Number, Number]] = described(
        {}, "[low, high] by parameter, in its unit (m, rad, GeV, ns)."
    )
    readout_window: tuple[Number, Number] = described((0.0, 20000.0), "Readout window of every event.", "ns")
    model: Annotated[StrictStr | None, Key(wrong=_model_beside)] = described(
        None,
        "Exported model that simulates; empty: the analytic counterpart of the model, or a source of one's own itself.",
    )
    single_photoelectron_charge: Annotated[StrictBool, Key(idle=lambda settings: not settings.draw)] = described(
        True, "Whether charges of photoelectrons are drawn; False: 1 PE each."
    )
    shower_particle: Literal["electron", "pi+", "pi-", "K0L", "K+", "K-", "proton", "neutron"] = described(
        "electron",
        "Particle that makes the showers. Ranges of energies are those of the particle, labels those of an electron of equal "
        "light, which is drawn; the table ShowerParticle holds the particle's. Others than electrons need the extra hadronic.",
    )
    light: Literal["table", "photons"] = described(
        "table", "Light of showers: that of the sources, or photons that are followed through the layers of the medium."
    )
    photons: Annotated[Count, OF_PHOTONS] = described(
        100_000, "Weighted photons that are followed per event, whatever its energy; all its showers share them."
    )
    sphere_radius: Annotated[Positive, OF_PHOTONS] = described(
        6.0,
        "Radius of the spheres in which modules see photons; at most half the distance to the next module. 6 suits few photons, 3 "
        "many millions.",
        "m",
    )
    sphere_radius_by_distance: Annotated[Radii, OF_PHOTONS] = described(
        0.2,
        "Largest radius of these spheres over the distance of their module from the shower. Smaller ones tell the times of near "
        "modules better and see fewer photons: 0.1 suits expected events, over which a training averages.",
    )
    draw: Annotated[StrictBool, Key(wrong=_undrawn_table)] = described(
        True,
        "Whether photoelectrons are drawn; False: expected events, whose pulses are the weighted photons with fractional "
        "charges and no noise.",
    )
    smallest_charge: Annotated[Positive, Key(idle=lambda settings: settings.draw)] = described(
        0.1,
        "Least charge of a pulse of expected events: smaller ones are thinned out, with their sums unchanged. Fewer pulses train "
        "faster, with more noise.",
        "PE",
    )
    merge_pulses: Annotated[Positive | None, Key(idle=lambda settings: not settings.draw)] = described(
        None,
        "Time within which photoelectrons of a module become one pulse, as readouts make them; it grows by 3 % of the time since "
        "light began there, at first or after noise. Fits of bright events take less time and know as much. Empty: every "
        "photoelectron is a pulse.",
        "ns",
    )
    events_per_cascade: Annotated[Count, OF_PHOTONS] = described(
        1,
        "Successive events of one shower's photons: place of the shower maximum, direction and properties of the ice are equal, "
        "energies and times are drawn for each.",
    )
    tilt: Annotated[TiltSettings | None, OF_PHOTONS] = described(None, "Tilt of the layers; empty: they are level.")
    anisotropy: Annotated[AnisotropySettings | None, OF_PHOTONS] = described(
        None, "Anisotropy of the lengths; empty: there is none."
    )
