"""Seeds of frames as hypotheses: particles, named numbers, and seeds of two cascades made of single ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.names import other_spelling, place_of, read_parameters
from evgen_jax.hypothesis.parameters import CASCADE, ENTERING_TRACK, Parameter, places_by_role
from evgen_jax.icetray.records import FitStatus, FrameEvent, Particle, SeedObject
from evgen_jax.icetray.sphere_track import CENTRE, entering_track
from evgen_jax.reconstruction.starts.two_cascades import TwoCascades, find_two_cascades, split_cascade, with_second

PROPERTIES = ("Absorption", "Scattering", "DOMEfficiency")
"""Roles of factors of ice and modules, which seeds without a value leave at 1."""
OF_PARTICLE: dict[str | None, str] = {role: role for role in (*CASCADE, "length")}
"""Role of a parameter -> the field of a particle that has its value."""


@dataclass(frozen=True)
class SeedRules:
    """States how the seeds of a frame become hypotheses.

    Attributes:
      keys: of the frame, in their order.
      missing: {parameter: value} where a seed has none.
      missing_value: of all other parameters of which a seed has no value; None: such a seed cannot be used.
      shares: of the energy in the second cascade, for seeds of one cascade in a hypothesis of two.
      distances: m, of the second cascade, for seeds of one cascade in a hypothesis of two.
      distances_per_energy: m/GeV, further distances, in proportion to the seed's energy (a tau: 0.05).
      sphere_radius: m, of the sphere that a track enters; None for hypotheses without one.
      sphere_centre: m, of that sphere: where the places of the model's detector are counted from.
    """

    keys: tuple[str, ...]
    missing: Mapping[str, float] = field(default_factory=dict)
    missing_value: float | None = None
    shares: tuple[float, ...] = (0.5,)
    distances: tuple[float, ...] = ()
    distances_per_energy: tuple[float, ...] = ()
    sphere_radius: float | None = None
    sphere_centre: tuple[float, float, float] = CENTRE


def check_rules(rules: SeedRules, parameters: Sequence[Parameter]) -> None:
    """Checks rules against a hypothesis before the first event.

    Args:
      rules: how seeds become hypotheses.
      parameters: of the model.

    Raises:
      ReconstructionError: no key, a missing value of an unknown parameter, or distances for a hypothesis that is not of
        two cascades.
    """
    if not rules.keys:
        raise ReconstructionError("seed_keys: expected at least one key of the frame, or 'pulses' for no seeds at all.")
    for name in rules.missing:
        place_of(name, parameters, "missing_seed_value_dict", ReconstructionError)
    two = find_two_cascades(parameters)
    if (rules.distances or rules.distances_per_energy) and two is None:
        raise ReconstructionError(
            "seed_distances: are for hypotheses of two cascades; the parameters of this model are "
            f"{', '.join(parameter.name for parameter in parameters[:12])}."
        )
    if two is not None:
        split_cascade(two, np.ones(len(parameters)), rules.shares, (*rules.distances, *rules.distances_per_energy))


def seeds_per_key(rules: SeedRules, parameters: Sequence[Parameter]) -> int:
    """Counts the seeds that one key makes at most.

    Args:
      rules: how seeds become hypotheses.
      parameters: of the model.

    Returns:
      Number of seeds.
    """
    if find_two_cascades(parameters) is None:
        return 1
    return max(len(rules.shares) * (len(rules.distances) + len(rules.distances_per_energy)), 1)


def seeds_of_event(
    event: FrameEvent, rules: SeedRules, parameters: Sequence[Parameter]
) -> tuple[np.ndarray, list[str]]:
    """Makes the seeds of an event.

    Args:
      event: with what its frame holds under the keys.
      rules: how seeds become hypotheses.
      parameters: of the model, H of them.

    Returns:
      Seeds [S, H], physical units, NaN where there is none; and for every key that cannot be used why.
    """
    per_key, notes = seeds_per_key(rules, parameters), list[str]()
    seeds = np.full((len(rules.keys) * per_key, len(parameters)), np.nan)
    for k, key in enumerate(rules.keys):
        if key not in event.seeds:
            notes.append(f"the frame has no seed '{key}'")
            continue
        found, note = hypotheses_of(event.seeds[key], rules, parameters)
        if note:
            notes.append(f"seed '{key}' {note}")
        seeds[k * per_key : k * per_key + len(found)] = found
    return seeds, notes


def hypotheses_of(seed: SeedObject, rules: SeedRules, parameters: Sequence[Parameter]) -> tuple[np.ndarray, str]:
    """Makes hypotheses of what a seed key holds.

    Args:
      seed: a particle, several, or named numbers.
      rules: how seeds become hypotheses.
      parameters: of the model, H of them.

    Returns:
      Hypotheses [N, H], physical units, none if the seed cannot be used; and why not, empty if it can.
    """
    nothing = np.zeros((0, len(parameters)))
    two = find_two_cascades(parameters)
    if isinstance(seed, Mapping):
        values = _named(seed, parameters)
        status = seed.get("fit_status", FitStatus.OK)
        if status > FitStatus.OK and status != FitStatus.FAILED_TO_CONVERGE:
            return nothing, "is a fit that failed"
        single = two is not None and np.isnan(values[two.energy])
        found = _split(values, rules, parameters, two) if single else values[None]
    else:
        particles = seed if isinstance(seed, tuple) else (seed,)
        if not particles:
            return nothing, "holds no particle"
        if any(particle.failed for particle in particles):
            return nothing, "is a fit that failed"
        values = _of_particle(particles[0], rules, parameters)
        if two is not None and len(particles) > 1:
            found = _of_two_particles(values, particles[0], particles[1], two)[None]
        else:
            found = _split(values, rules, parameters, two, particles[0].length)
    found = _with_missing(found, rules, parameters)
    lacking = [p.name for p, known in zip(parameters, np.isfinite(found).all(axis=0), strict=True) if not known]
    if lacking:
        return nothing, (
            f"has no finite value of {', '.join(lacking[:5])}; missing_seed_value_dict gives values of parameters that "
            "seeds do not have"
        )
    return found, ""


def _named(seed: Mapping[str, float], parameters: Sequence[Parameter]) -> np.ndarray:
    """Values [H] of named numbers.

    A name may lack those of its sources, and a time be spelled either way. What no name gives comes from the one number
    whose name tells the role, such as cascade_x of a fit of one cascade.
    """
    values = np.full(len(parameters), np.nan)
    for i, parameter in enumerate(parameters):
        for name in parameter.all_names:
            written = next((n for n in (name, other_spelling(name)) if n is not None and n in seed), None)
            if written is not None and (name == parameter.name or sum(p.answers_to(name) for p in parameters) == 1):
                values[i] = seed[written]
                break
    told: dict[str | None, list[str]] = {}
    for column in read_parameters(list(seed)):
        told.setdefault(column.role, []).append(column.name)
    taken: set[str | None] = set()
    for i, parameter in enumerate(parameters):
        role = parameter.role
        if role in OF_PARTICLE and role not in taken and np.isnan(values[i]) and len(told.get(role, ())) == 1:
            values[i] = seed[told[role][0]]
        taken.add(role)
    return values


def _of_particle(particle: Particle, rules: SeedRules, parameters: Sequence[Parameter]) -> np.ndarray:
    """Values [H] of a particle: of the first cascade, track or entering track of the hypothesis."""
    values = np.full(len(parameters), np.nan)
    tracks = places_by_role(parameters, ENTERING_TRACK)
    if tracks and rules.sphere_radius is not None:
        entry = entering_track(particle, rules.sphere_radius, centre=rules.sphere_centre)
        for role, place in tracks[0].items():
            values[place] = entry[role]
        return values
    taken: set[str | None] = set()
    for i, parameter in enumerate(parameters):
        own = parameter.role
        if own in OF_PARTICLE and own not in taken:
            taken.add(own)
            values[i] = getattr(particle, OF_PARTICLE[own])
    return values


def _of_two_particles(values: np.ndarray, first: Particle, second: Particle, two: TwoCascades) -> np.ndarray:
    """The two cascades of a fit that writes them as two particles, such as Taupede's."""
    step = np.array([second.x - first.x, second.y - first.y, second.z - first.z])
    theta, phi = first.zenith, first.azimuth
    flight = -np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    return with_second(two, values, float(step @ flight), second.energy)


def _split(
    values: np.ndarray,
    rules: SeedRules,
    parameters: Sequence[Parameter],
    two: TwoCascades | None,
    length: float = np.nan,
) -> np.ndarray:
    """Seeds of a single cascade [N, H]: a length of the seed counts, else the distances of the rules.

    Without either the second cascade is what the missing values say.
    """
    if two is None:
        return values[None]
    energy = values[two.first["energy"]]
    distances = [length] if np.isfinite(length) and length > 0 else list(rules.distances)
    if not (np.isfinite(length) and length > 0):
        distances += [slope * energy for slope in rules.distances_per_energy]
    if not distances or not np.all(np.isfinite([values[place] for place in two.first.values()])):
        return values[None]
    return split_cascade(two, values, rules.shares, distances)


def _with_missing(found: np.ndarray, rules: SeedRules, parameters: Sequence[Parameter]) -> np.ndarray:
    """Fills what seeds do not have: values by parameter, one for all, and 1 for factors of ice and modules."""
    given = {place_of(name, parameters, "", ReconstructionError): value for name, value in rules.missing.items()}
    for i, parameter in enumerate(parameters):
        default = given.get(i, rules.missing_value)
        if default is None and parameter.role in PROPERTIES:
            default = 1.0
        if default is not None:
            found[:, i] = np.where(np.isnan(found[:, i]), default, found[:, i])
    return found
