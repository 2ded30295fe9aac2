"""Events photon by photon: weighted photons of showers in plane layers, from which photoelectrons are drawn."""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from evgen_jax.config.records import SimulationSettings
from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.trafo import typical_trafo
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.packing import bucket
from evgen_jax.measurement.sensors import incoming_cosine, sensor_response
from evgen_jax.model.model import Model
from evgen_jax.physics.angular_curves import Curve
from evgen_jax.physics.transport import emission
from evgen_jax.physics.transport.in_layers import PointSource
from evgen_jax.physics.transport.layers import Anisotropy, Tilt, anisotropy_of, layers_of, tilt_of
from evgen_jax.physics.transport.photon_by_photon import Seen, propagate
from evgen_jax.physics.transport.spheres import spheres_around
from evgen_jax.simulation.events import EventSampler, photoelectron_charges, refuse_too_bright
from evgen_jax.simulation.expected_pulses import expected_pulses
from evgen_jax.simulation.photomultiplier import measured_times
from evgen_jax.simulation.showers import Shower, check_showers, showers_at
from evgen_jax.sources.analytic.point_source import hole_ice_of

LOGGER = logging.getLogger("evgen_jax")
TOGETHER = 1 << 22
"""Most photons whose collisions are held together, some 300 MB."""


class Light(NamedTuple):
    """Light of a shower at sensors, as weighted photons.

    Attributes:
      sensor: [N], places in the detector's tables.
      delay: ns after the shower's maximum [N].
      charge: expected, PE per GeV [N], float64.
    """

    sensor: np.ndarray
    delay: np.ndarray
    charge: np.ndarray


class _Sensors:
    """Sensors that can see light, by the place of their module: a module of several photomultipliers is many at one place."""

    def __init__(self, detector: Detector):
        seeing = np.flatnonzero(np.asarray(detector.usable) & (np.asarray(detector.relative_efficiency) > 0))
        if not len(seeing):
            raise ConfigError(
                f"detector '{detector.name}': none of its {detector.num_doms} modules is usable; expected one at least."
            )
        self.place, module = np.unique(np.asarray(detector.position)[seeing], axis=0, return_inverse=True)
        order = np.argsort(module, kind="stable")
        self.sensor, self.count = seeing[order], np.bincount(module, minlength=len(self.place))
        self.first = np.cumsum(self.count) - self.count

    def of(self, module: Int[np.ndarray, " N"]) -> tuple[np.ndarray, np.ndarray]:
        """Sensors at modules, and the number of the entry that each belongs to."""
        count = self.count[module]
        entry = np.repeat(np.arange(len(module)), count)
        within = np.arange(len(entry)) - np.repeat(np.cumsum(count) - count, count)
        return self.sensor[self.first[module][entry] + within], entry


@jax.jit
def _accepted(
    detector: Detector, sensor: Int[Array, " N"], direction: Float[Array, "N 3"], hole_ice: Curve | None
) -> Float[Array, " N"]:
    """Photoelectrons per photon through a unit cross section, m^2, of sensors that light of a direction meets."""
    own = detector.modules(sensor)
    response = sensor_response(own, incoming_cosine(own, direction), hole_ice)
    return response * own.area * own.relative_efficiency


class PhotonSampler:
    """Simulates events of cascades by following photons through the layers of the detector's medium.

    Args:
      model: of computed cascades and noise; its light itself is not used.
      settings: how many photons of how many events, and which spheres see them.

    Raises:
      ConfigError: a model of something else, or a detector without a usable module.
    """

    def __init__(self, model: Model, settings: SimulationSettings):
        noise = check_showers(model)
        self._model, self._settings, readout = model, settings, settings.readout_window
        detector = model.detector
        self._detector = jax.tree.map(lambda value: jnp.asarray(value, jnp.result_type(value)), detector)
        self._sensors = _Sensors(detector)
        medium, origin = jax.tree.map(np.asarray, detector.medium), detector.origin
        tilt: Tilt | None = None
        anisotropy: Anisotropy | None = None
        if settings.tilt:
            points = np.array(settings.tilt.distances), np.array(settings.tilt.shifts)
            tilt = tilt_of(settings.tilt.azimuth, *points, origin)
        if settings.anisotropy:
            anisotropy = anisotropy_of(settings.anisotropy.strength, settings.anisotropy.azimuth)
        self._layers = layers_of(medium, origin, tilt=tilt, anisotropy=anisotropy)
        self._spheres = spheres_around(self._sensors.place, settings.sphere_radius, settings.sphere_radius_by_distance)
        self._emission = emission.Shower(float(medium.phase_index))
        self._velocity, self._photons_per_gev = float(medium.group_velocity), float(medium.photons_per_gev)
        none = typical_trafo(())
        self._noise = [
            EventSampler(Model(source, source.init_variables(jax.random.key(0), detector), none, detector), readout)
            for source in noise
        ]
        if noise and not settings.draw:
            LOGGER.warning(
                "simulation_settings.draw: False: expected events have no noise, whose pulses would have no times."
            )

    def __call__(
        self, hypotheses: Float[np.ndarray, "E H"], key: Key[Array, ""], charge_response: bool, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Draws the pulses of events within the readout window, or makes the expected ones.

        Args:
          hypotheses: [E, H], physical units (m, ns, GeV, rad); successive ones share a shower where the settings say so.
          key: of the random numbers of photons and noise.
          charge_response: whether charges follow the response of a module; otherwise every photoelectron counts 1 PE.
          rng: of photoelectrons, their times and charges.

        Returns:
          Columns [P]: event, dom, time (ns) and charge (PE).

        Raises:
          ConfigError: an event of more light than the memory holds.
        """
        draw, shared = self._settings.draw, self._settings.events_per_cascade
        key_light, key_noise = jax.random.split(key)
        parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))]
        for first in range(0, len(hypotheses), shared):
            own = hypotheses[first : first + shared]
            events = [showers_at(self._model, hypothesis) for hypothesis in own]
            for event, pulses in self._pulses(events, jax.random.fold_in(key_light, first), own, rng):
                parts.append((np.full(len(pulses[0]), first + event), *pulses))
        numbers, dom, time, charge = (np.concatenate(values) for values in zip(*parts, strict=True))
        start, stop = self._settings.readout_window
        inside = (time >= start) & (time <= stop)
        if draw:
            number = int(inside.sum())
            charge[inside] = photoelectron_charges(rng, number) if charge_response else np.ones(number)
        columns = {"event": numbers, "dom": dom, "time": time, "charge": charge}
        seen = {name: column[inside] for name, column in columns.items()}
        for number, sampler in enumerate(self._noise if draw else []):
            dark = sampler(hypotheses[:, :0], jax.random.fold_in(key_noise, number), charge_response, rng)
            seen = {name: np.concatenate([column, dark[name]]) for name, column in seen.items()}
        return seen

    def _pulses(
        self, events: list[list[Shower]], key: Key[Array, ""], hypotheses: np.ndarray, rng: np.random.Generator
    ) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """Sensors, times and charges of pulses of events that share the photons of their showers."""
        kept: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in events]
        total = np.zeros(len(events))
        energies = np.array([[max(shower.energy, 0.0) for shower in showers] for showers in events])
        for number, showers in enumerate(zip(*events, strict=True)):
            if not energies[:, number].any():
                continue
            photons = max(1, round(self._settings.photons * energies[:, number].sum() / energies.sum()))
            for light in self._light(showers[0], photons, jax.random.fold_in(key, number)):
                for event, shower in enumerate(showers):
                    charge = light.charge * energies[event, number]
                    total[event] += charge.sum()
                    refuse_too_bright(total, self._model, hypotheses)
                    if self._settings.draw:
                        electrons = rng.poisson(charge)
                        sensor, delay = (np.repeat(value, electrons) for value in (light.sensor, light.delay))
                        charge = np.ones(len(sensor))
                    else:
                        sensor, delay = light.sensor, light.delay
                    kept[event].append((sensor, measured_times(rng, shower.time + delay), charge))
        for event, pulses in enumerate(kept):
            if pulses:
                sensor, time, charge = (np.concatenate(values) for values in zip(*pulses, strict=True))
                if not self._settings.draw:
                    smallest = self._settings.smallest_charge
                    sensor, time, charge = expected_pulses(rng, sensor, time, charge, smallest)
                yield event, (sensor, time, charge)

    def _light(self, shower: Shower, photons: int, key: Key[Array, ""]) -> Iterator[Light]:
        """The light of a shower, in pieces that the memory holds."""
        scales = [shower.ice.get(name, 1.0) for name in ("Scattering", "Absorption")]
        source = PointSource(shower.position, shower.direction, *scales)
        for number, first in enumerate(range(0, photons, TOGETHER)):
            own = min(TOGETHER, photons - first)
            seen = propagate(
                self._layers,
                self._spheres,
                self._emission,
                source,
                self._velocity,
                own,
                jax.random.fold_in(key, number),
            )
            yield self._at_sensors(seen, shower.ice, own / photons)

    def _at_sensors(self, seen: Seen, ice: dict[str, float], share: float) -> Light:
        sensor, entry = self._sensors.of(seen.module)
        padding = bucket(len(sensor), 1 << 12) - len(sensor)
        places = np.pad(sensor, (0, padding)).astype(np.int32)
        direction = np.pad(seen.direction[entry], ((0, padding), (0, 0)))
        accepted = np.asarray(_accepted(self._detector, places, direction, hole_ice_of(ice)), np.float64)[: len(sensor)]
        per_gev = self._photons_per_gev * share * ice.get("DOMEfficiency", 1.0)
        return Light(sensor, seen.delay[entry], accepted * seen.fluence[entry] * per_gev)
