"""Where the parameters of one cascade or of one entering track stand in a hypothesis, and hypotheses made of vertices and directions."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from evgen_jax.checks import check_positive
from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.parameters import CASCADE, ENTERING_TRACK, Parameter, direction_pairs, places_by_role
from evgen_jax.light.tree import settings_of
from evgen_jax.model.ensemble import AnyModel, members_of
from evgen_jax.physics import constants
from evgen_jax.physics.sphere import angles


class Shape:
    """Maps vertex, time, direction and energy to a hypothesis.

    Attributes:
      model: whose hypothesis it is.
      names: of the parameters.
      is_track: whether it is that of an entering track, else of a cascade.
      place: of every role in the hypothesis.

    Raises:
      ReconstructionError: a hypothesis that is neither one cascade nor one entering track, or a radius that is none or
        is given for a cascade.
    """

    def __init__(self, model: AnyModel, sphere_radius: float | None = None):
        self.model, self.names, self._given = model, model.parameter_names, sphere_radius
        place = _place_of_particle(model.parameters)
        if place is None:
            raise ReconstructionError(
                "starts without a seed are found for hypotheses of one cascade or one entering track; the parameters are "
                f"{', '.join(self.names[:12])}. Give seeds instead."
            )
        self.place, self.is_track = place, "entry_zenith" in place
        if sphere_radius is not None:
            check_positive(sphere_radius, "sphere_radius", ReconstructionError)
            if not self.is_track:
                raise ReconstructionError(
                    f"sphere_radius: got {sphere_radius:g} m, but the hypothesis is one cascade, which enters no sphere. Leave "
                    "it out."
                )

    @cached_property
    def radius(self) -> float:
        """Returns the radius of the sphere that a track enters, m.

        Raises:
          ReconstructionError: none is given, and no source says it or sources say different ones.
        """
        return _sphere_radius(self.model) if self._given is None else float(self._given)

    def hypotheses(
        self, base: np.ndarray, vertex: np.ndarray, time: np.ndarray, direction: np.ndarray, energy: np.ndarray
    ) -> np.ndarray:
        """Makes C hypotheses.

        Args:
          base: [H], values of all other parameters, physical units.
          vertex: [C, 3], m.
          time: [C], when the particle is at the vertex, ns.
          direction: [C, 3], unit vectors to where the particle comes from.
          energy: [C], GeV.

        Returns:
          Hypotheses [C, H], physical units.
        """
        rows = np.tile(base, (len(vertex), 1))
        zenith, azimuth = angles(direction)
        values = {"zenith": zenith, "azimuth": azimuth}
        if self.is_track:
            # Back along the flight to where the sphere is entered.
            along = np.sum(vertex * direction, axis=1)
            inside = np.maximum(self.radius**2 - np.sum(vertex**2, axis=1) + along**2, 0.0)
            back = np.maximum(np.sqrt(inside) - along, 0.0)
            entry = vertex + back[:, None] * direction
            values["entry_zenith"], values["entry_azimuth"] = angles(entry)
            values["entry_time"], values["entry_energy"] = time - back / constants.SPEED_OF_LIGHT, energy
        else:
            values |= {"x": vertex[:, 0], "y": vertex[:, 1], "z": vertex[:, 2], "time": time, "energy": energy}
        for role, value in values.items():
            rows[:, self.place[role]] = value
        return rows


def has_one_direction(model: AnyModel) -> bool:
    """Tells whether a hypothesis is one cascade or one entering track, for which starts can be found.

    Args:
      model: whose hypothesis it is.
    """
    return _place_of_particle(model.parameters) is not None


def _place_of_particle(parameters: Sequence[Parameter]) -> dict[str, int] | None:
    """Role -> place of the one cascade or entering track; None where there is neither, or more."""
    pairs = direction_pairs(parameters)
    cascades, tracks = (places_by_role(parameters, roles) for roles in (CASCADE, ENTERING_TRACK))
    if len(tracks) == 1 and len(pairs) == 2:
        return tracks[0]
    return cascades[0] if len(cascades) == 1 and len(pairs) == 1 else None


def _sphere_radius(model: AnyModel) -> float:
    """The radius of the sphere that the model's track enters, m.

    Raises:
      ReconstructionError: no source says it, or sources say different ones: entry points would lie anywhere.
    """
    radii = sorted(set(settings_of(members_of(model)[0].source, "sphere_radius")))
    if len(radii) != 1:
        found = (
            "no source of the model has one"
            if not radii
            else f"its sources have {', '.join(f'{r:g}' for r in radii)} m"
        )
        raise ReconstructionError(
            f"starts without a seed need the radius of the sphere that the track enters (`sphere_radius`), but {found}. Give "
            "it to `make_starts`, or seeds; it is an argument of `fit_without_seeds` and a key of reconstruction_settings, too."
        )
    return float(radii[0])
