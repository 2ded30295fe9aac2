"""The cascade: a point-like shower, as a geometry of learned sources."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.hypothesis.parameters import CASCADE, Parameter, standard_parameters
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.point_light import lengths_of_light, medium_path, paths, point_light, source_table
from evgen_jax.numerics import safe_norm
from evgen_jax.physics import constants
from evgen_jax.physics.diffusion import DOM_AREA, MEAN_ACCEPTANCE, diffusion_density
from evgen_jax.physics.geometry import flight_direction, opening_angle, shift_to_shower_maximum
from evgen_jax.sources.learned.options import LearnedOptions
from evgen_jax.sources.learned.view import View

PARAMETERS = CASCADE
"""Names of the parameters of a cascade, in m, rad, GeV and ns."""
ENERGY = PARAMETERS.index("energy")
"""Place of the energy among the parameters."""


@dataclass(frozen=True)
class CascadeGeometry:
    """Describes a point-like shower: x, y, z [m], zenith, azimuth [rad], energy [GeV], time [ns].

    Attributes:
      shift_cascade_vertex: measure distances and times from the shower maximum.
      add_opening_angle: angle between the shower's direction and that to the DOM as an input.
      opening_angle_as_cosine: its cosine instead. The angle itself, Event-Generator's input, has a cusp where the
        shower points at a DOM or away from it: minima of fits gather there, with Hessians that say nothing about their
        uncertainty.
      shift_cascade_time: whether the time moves with the vertex; Event-Generator moves the vertex alone, and weights trained
        there have learned the way to the shower maximum as a part of the arrival times.
    """

    shift_cascade_vertex: bool = True
    add_opening_angle: bool = True
    opening_angle_as_cosine: bool = False
    shift_cascade_time: bool = True

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the seven parameters of a cascade, whose names are their roles."""
        return standard_parameters(PARAMETERS)

    @property
    def time_parameter(self) -> str:
        """Returns the name of the parameter from which arrival times are counted."""
        return "time"

    @property
    def has_light(self) -> bool:
        """Returns whether the geometry knows the light of tables of photon transport."""
        return True

    def __call__(
        self, parameters: Float[Array, " H"], trafo: Trafo, detector: Detector, options: LearnedOptions
    ) -> View:
        """Computes what the DOMs see of a cascade.

        Args:
          parameters: [H], physical units (m, ns, GeV, rad): those of a cascade, then further inputs of the network.
          trafo: normalisation of the H parameters.
          detector: gives the positions of D DOMs, and the medium.
          options: say which light in a homogeneous medium is needed.

        Returns:
          The view at D DOMs.
        """
        medium, positions = detector.medium.astype(parameters.dtype), jnp.asarray(detector.position, parameters.dtype)
        energy = jnp.maximum(parameters[ENERGY], 0)
        direction = flight_direction(parameters[3], parameters[4])
        vertex, shift = parameters[:3], jnp.zeros((), parameters.dtype)
        if self.shift_cascade_vertex:
            vertex, later = shift_to_shower_maximum(vertex, shift, direction, energy, medium.density)
            shift = later if self.shift_cascade_time else shift
        displacement = positions - vertex[None]
        distance = safe_norm(displacement) + constants.DISTANCE_OFFSET
        unit = displacement / distance[:, None]

        scaled = trafo.transform(parameters.at[ENERGY].set(energy))
        shared = jnp.concatenate([scaled[:3], direction, scaled[ENERGY : ENERGY + 1], scaled[len(PARAMETERS) :]])
        distance_scale = float((sum(s**2 for s in trafo.std[:3])) ** 0.5 + trafo.norm_constant)
        late: tuple[Array, ...] = ()
        if self.add_opening_angle:
            if self.opening_angle_as_cosine:
                angle = unit @ direction
            else:
                psi = opening_angle(jnp.broadcast_to(direction, unit.shape), unit)
                angle = (psi - trafo.mean[3]) / float(trafo.scale()[3])
            late = (angle[:, None],)
        homogeneous = None
        if options.scale_charge_by_diffusion:
            photons = medium.photons_per_gev * constants.CHARGE_ENERGY_SCALE * float(DOM_AREA * MEAN_ACCEPTANCE)
            # The smooth guard keeps the factor finite for a vertex inside a module.
            guarded = jnp.sqrt(distance**2 + 1.0)
            lengths = lengths_of_light(detector, medium, vertex[2], positions[:, 2], options.light_along_way)
            homogeneous = photons * diffusion_density(guarded, *lengths)
        light = None
        if options.needs_light:
            path = paths(vertex, detector)
            if not options.light_along_way:
                path = medium_path(path, medium)
            light = point_light(source_table("shower", detector.medium.light), direction, path, detector)
        return View(
            shared=shared,
            columns=(unit, (distance / distance_scale)[:, None]),
            late_columns=late,
            displacement=displacement,
            unit=unit,
            distance=distance,
            arrival=distance / medium.group_velocity,
            time_shift=shift,
            energy=energy,
            homogeneous_charge=homogeneous,
            light=light,
            source=vertex,
            axis=direction,
        )
