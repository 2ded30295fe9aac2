"""The light of cascades of a tree of particles, drawn from a model: records in, records out, without IceTray."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import jax
import numpy as np

from evgen_jax.building.directory import part_of
from evgen_jax.data.modules_of_events import say_once
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.hypothesis.names import place_of
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.hypothesis.parameters import CASCADE, parameters_of, places_by_role
from evgen_jax.icetray.records import Particle
from evgen_jax.light.superposition import MultiSource
from evgen_jax.model.expectation import dom_expectation
from evgen_jax.model.model import Model
from evgen_jax.simulation.events import EventSampler

SHOWERS = ("Pi0", "Gamma", "PairProd", "Brems", "DeltaE", "EPlus", "EMinus", "NuclInt")
"""Kinds of particles that are simulated as one cascade."""
ELECTRONS = ("EPlus", "EMinus")
"""Kinds whose daughters may be simulated in their place."""
NEUTRINOS = ("NuE", "NuEBar", "NuMu", "NuMuBar", "NuTau", "NuTauBar")
"""Kinds that give no light; their daughters do."""
FOLLOWED = (*NEUTRINOS, "Hadrons", "TauMinus", "TauPlus")
"""Kinds whose daughters are simulated in their place."""
BEFORE, BEHIND = 5000.0, 15000.0
"""Begin of the readout before the first cascade and its end behind the last one, ns, where it is not given."""


@dataclass(frozen=True)
class TreeNode:
    """Is a particle with its daughters.

    Attributes:
      particle: itself; `kind` is the name of its type.
      daughters: of the particle.
    """

    particle: Particle
    daughters: tuple["TreeNode", ...] = field(default=())


def cascades_of(
    nodes: Sequence[TreeNode],
    *,
    min_energy: float = 100.0,
    max_distance: float = 2250.0,
    electron_daughters: bool = False,
) -> list[Particle]:
    """Finds the cascades in a tree of particles.

    Args:
      nodes: primary particles.
      min_energy: GeV; particles below it are left out with their daughters.
      max_distance: m; particles that stay further from the origin are left out with their daughters.
      electron_daughters: whether the daughters of electrons are simulated in their place.

    Returns:
      Particles that are simulated as cascades.

    Raises:
      DataError: a particle that the model of a cascade does not describe, such as a muon.
    """
    return list(_walk(nodes, min_energy, max_distance, electron_daughters))


def _walk(nodes: Sequence[TreeNode], least: float, far: float, electron_daughters: bool) -> Iterator[Particle]:
    for node in nodes:
        own = node.particle
        distance = float(np.linalg.norm([own.x, own.y, own.z]))
        reach = own.length if np.isfinite(own.length) else 0.0
        # A neutrino comes from far away; what it makes is near.
        neutrino = own.kind in NEUTRINOS
        if own.energy < least or (distance - reach > far and not neutrino):
            continue
        if own.kind in SHOWERS and not (electron_daughters and own.kind in ELECTRONS and node.daughters):
            yield own
        elif node.daughters and own.kind in (*FOLLOWED, *ELECTRONS):
            if own.kind.startswith("Tau"):
                say_once("EventGeneratorSimulation: the light of taus themselves is left out; their daughters shine.")
            yield from _walk(node.daughters, least, far, electron_daughters)
        elif not neutrino:
            end = "" if node.daughters else " without daughters"
            raise DataError(
                f"the tree has a {own.kind} of {own.energy:.4g} GeV{end} at {distance:.4g} m, which cascades do not describe. "
                "Simulate trees of electrons, hadrons that were split into showers, and neutrinos."
            )


def parts_of(model: Model, name: str) -> tuple[Model, Model | None]:
    """Splits a model into that of a cascade and that of noise, so that noise is drawn once.

    Args:
      model: of a cascade, alone or with noise.
      name: of the model, for messages.

    Returns:
      The model of a cascade; that of noise, None without one.

    Raises:
      ConfigError: a model of something else than one cascade.
    """
    cascades = places_by_role(model.parameters, CASCADE)
    further = {"cascade_energy", "energy_loss", "length", "entry_time"} & {p.role for p in model.parameters}
    if len(cascades) != 1 or further:
        raise ConfigError(
            f"{name}: simulates trees of particles cascade by cascade; expected a model of one cascade, with or without noise, "
            f"got the parameters {', '.join(p.name for p in model.parameters[:12])}."
        )
    bases = dict(model.source.bases) if isinstance(model.source, MultiSource) else {}
    if not bases:
        return model, None
    quiet = [key for key, base in bases.items() if not parameters_of(base)]
    shining = [key for key in bases if key not in quiet]
    if len(shining) != 1 or len(quiet) > 1:
        raise ConfigError(f"{name}: expected one source of a cascade and one of noise at most, got {', '.join(bases)}.")
    return part_of(model, (shining[0],), name), part_of(model, (quiet[0],), name) if quiet else None


def hypotheses_of_cascades(
    model: Model, cascades: Sequence[Particle], defaults: Mapping[str, float], where: str
) -> np.ndarray:
    """Makes hypotheses of cascades.

    Args:
      model: of a cascade.
      cascades: N of them.
      defaults: values of further parameters; those that the model does not have are left out.
      where: names the defaults in messages.

    Returns:
      Hypotheses [N, H], physical units, relative to the detector's origin.

    Raises:
      ConfigError: a parameter without a value.
    """
    parameters = model.parameters
    places = places_by_role(parameters, CASCADE)[0]
    values = np.full((len(cascades), len(parameters)), np.nan)
    for role, place in places.items():
        values[:, place] = [getattr(own, role) for own in cascades]
    for name, value in defaults.items():
        try:
            values[:, place_of(name, parameters, where, ConfigError)] = value
        except ConfigError:
            continue  # those of other models, such as the six usual ones of SnowStorm
    unknown = np.isnan(values).any(axis=0)
    lacking = [p.name for i, p in enumerate(parameters) if i not in places.values() and unknown[i]]
    if lacking:
        raise ConfigError(f"{where}: has no value of {', '.join(lacking)}, which the model needs.")
    return relative_to_origin(model.detector, parameters, values)


@dataclass(frozen=True)
class TreeSampler:
    """Draws the pulses of cascades.

    Attributes:
      cascade: model of a cascade.
      noise: model of noise; None: there is none.
      seed: of all that is drawn.
      charge_response: whether charges follow the response of a module, instead of 1 PE per photoelectron.
    """

    cascade: Model
    noise: Model | None
    seed: int = 42
    charge_response: bool = True

    def __call__(
        self, hypotheses: np.ndarray, number: int, readout: tuple[float, float] | None = None
    ) -> dict[str, np.ndarray]:
        """Draws one event.

        Args:
          hypotheses: [N, H] of its cascades, physical units.
          number: of the event, which decides what is drawn.
          readout: start and stop, ns; None: around the cascades.

        Returns:
          Columns [P] dom, time (ns) and charge (PE), sorted by dom and time; and `readout` [2].
        """
        times = hypotheses[:, places_by_role(self.cascade.parameters, CASCADE)[0]["time"]]
        window = readout
        if window is None:
            window = (0.0, BEFORE + BEHIND) if not len(times) else (min(times) - BEFORE, max(times) + BEHIND)
        window = (float(window[0]), float(window[1]))
        rng = np.random.default_rng((self.seed, number))
        keys = jax.random.split(jax.random.fold_in(jax.random.key(self.seed), number))
        drawn = []
        if len(hypotheses):
            sampler = EventSampler(self.cascade, window)
            drawn.append(sampler(hypotheses, keys[0], self.charge_response, rng))
        if self.noise is not None:
            nothing = np.zeros((1, len(self.noise.parameters)))
            drawn.append(EventSampler(self.noise, window)(nothing, keys[1], self.charge_response, rng))
        columns = {
            name: np.concatenate([np.zeros(0), *(own[name] for own in drawn)]) for name in ("dom", "time", "charge")
        }
        order = np.lexsort((columns["time"], columns["dom"]))
        return {name: values[order] for name, values in columns.items()} | {"readout": np.array(window)}


def expected_charges(model: Model, hypotheses: np.ndarray) -> np.ndarray:
    """Computes the expected charge of every module, of all cascades together.

    Args:
      model: of a cascade.
      hypotheses: [N, H], physical units.

    Returns:
      Charges [D], PE.
    """
    total = np.zeros(model.detector.num_doms)
    for hypothesis in hypotheses:
        total += np.asarray(dom_expectation(model, hypothesis, np.zeros(1), (0.0, 1.0)).charge)
    return total
