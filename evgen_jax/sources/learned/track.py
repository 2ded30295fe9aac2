"""The infinite track through a sphere, as a geometry of learned sources."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from evgen_jax.hypothesis.parameters import Parameter, standard_parameters
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.point_light import lengths_of_light
from evgen_jax.numerics import safe_norm
from evgen_jax.physics import constants
from evgen_jax.physics.diffusion import DOM_AREA, MEAN_ACCEPTANCE, track_diffusion_density
from evgen_jax.physics.geometry import flight_direction, opening_angle, sphere_point
from evgen_jax.physics.muon import mean_photons_per_metre
from evgen_jax.sources.learned.options import LearnedOptions
from evgen_jax.sources.learned.view import View

PARAMETERS = ("entry_zenith", "entry_azimuth", "entry_t", "entry_energy", "zenith", "azimuth")
"""Names of the parameters of a track that enters a sphere, in rad, ns and GeV."""
ENERGY = PARAMETERS.index("entry_energy")
"""Place of the energy among the parameters."""


@dataclass(frozen=True)
class SphereTrackGeometry:
    """Describes an infinite track that enters a sphere around the origin from which the detector's places are counted.

    Parameters: entry_zenith, entry_azimuth [rad] of the entry point as seen from the centre, entry_t [ns], entry_energy
    [GeV] there, zenith, azimuth [rad] of the direction the particle comes from. Light leaves the track under the
    Cherenkov angle: the inputs measure DOMs from the emission point and from the closest point of the track.

    Attributes:
      sphere_radius: radius of the sphere, m.
    """

    sphere_radius: float

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the six parameters of a track that enters a sphere."""
        return standard_parameters(PARAMETERS)

    @property
    def time_parameter(self) -> str:
        """Returns the name of the parameter from which arrival times are counted."""
        return "entry_t"

    @property
    def has_light(self) -> bool:
        """Returns whether the geometry knows the light of tables of photon transport."""
        return False

    def __call__(
        self, parameters: Float[Array, " H"], trafo: Trafo, detector: Detector, options: LearnedOptions
    ) -> View:
        """Computes what the DOMs see of a track.

        Args:
          parameters: [H], physical units (m, ns, GeV, rad): those of a track, then further inputs of the network.
          trafo: normalisation of the H parameters.
          detector: gives the positions of D DOMs, and the medium.
          options: say which light in a homogeneous medium is needed.

        Returns:
          The view at D DOMs.
        """
        medium, positions = detector.medium.astype(parameters.dtype), jnp.asarray(detector.position, parameters.dtype)
        radius = self.sphere_radius
        energy = jnp.maximum(parameters[ENERGY], 0)
        direction = flight_direction(parameters[4], parameters[5])
        entry_unit = sphere_point(parameters[0], parameters[1])
        entry = radius * entry_unit

        along = (positions - entry[None]) @ direction
        closest = entry[None] + along[:, None] * direction[None]
        sideways = positions - closest
        approach = safe_norm(sideways) + constants.DISTANCE_OFFSET
        # Light leaves under the Cherenkov angle, whose tangent is sqrt(n^2 - 1).
        emission_along = along - approach / jnp.sqrt(medium.phase_index**2 - 1)
        displacement = positions - (entry[None] + emission_along[:, None] * direction[None])
        distance = safe_norm(displacement) + constants.DISTANCE_OFFSET
        unit = displacement / distance[:, None]

        scaled = trafo.transform(parameters.at[ENERGY].set(energy))
        shared = jnp.concatenate([entry_unit, scaled[ENERGY : ENERGY + 1], direction, scaled[len(PARAMETERS) :]])
        per_radius, per_half_turn = float(1 / (radius + 1e-6)), float(1 / (np.pi + 1e-6))
        up = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0], parameters.dtype), unit.shape)
        lengths = jnp.stack([distance * per_radius, emission_along * per_radius], axis=1)
        # The second angle is 90 degrees up to rounding: kept, because trained weights expect an input here.
        angles = (
            jnp.stack([opening_angle(up, unit), opening_angle(jnp.broadcast_to(direction, unit.shape), sideways)], 1)
            * per_half_turn
        )
        columns = (
            unit,
            lengths,
            angles,
            closest * float(1 / (500 + 1e-6)),
            (approach * per_radius)[:, None],
            sideways / approach[:, None],
        )
        homogeneous = None
        if options.scale_charge_by_diffusion:
            per_metre = mean_photons_per_metre(constants.CHARGE_ENERGY_SCALE, medium) * DOM_AREA * MEAN_ACCEPTANCE
            guarded = jnp.sqrt(approach**2 + 1.0)
            emitted_z = positions[:, 2] - displacement[:, 2]
            scattering, absorption = lengths_of_light(
                detector, medium, emitted_z, positions[:, 2], options.light_along_way
            )
            homogeneous = per_metre * track_diffusion_density(guarded, scattering, absorption, medium.phase_index)
        arrival = distance / medium.group_velocity + emission_along / constants.SPEED_OF_LIGHT
        no_shift = jnp.zeros((), parameters.dtype)
        return View(
            shared,
            columns,
            (),
            displacement,
            unit,
            distance,
            arrival,
            no_shift,
            energy,
            homogeneous,
            source=positions - displacement,
            axis=direction,
            approach=approach,
            along=emission_along,
        )
