"""Tray modules between particles and tracks that enter a sphere around the detector."""

from typing import Any

import numpy as np
from icecube import icetray

from evgen_jax.checks import check_finite, check_positive
from evgen_jax.errors import ConfigError
from evgen_jax.icetray import reading, writing
from evgen_jax.icetray.records import Particle
from evgen_jax.icetray.sphere_track import CENTRE, SPHERE_RADIUS, UNKNOWN_ENERGY, particle_of_entry, sphere_seed


class _Converter(icetray.I3ConditionalModule):  # type: ignore[misc]
    """Reads one key of every P frame and writes another one; frames without it pass."""

    KEY, ENDING = "", ""

    def __init__(self, context: Any):
        icetray.I3ConditionalModule.__init__(self, context)
        self.AddParameter(self.KEY, "Key that is converted, or several.", None)
        self.AddParameter("sphere_radius", "Radius of the sphere that tracks enter, m.", SPHERE_RADIUS)
        self.AddParameter(
            "sphere_centre", "Centre of the sphere, m: what '# origin' of the detector's table says.", CENTRE
        )
        self.AddOutBox("OutBox")

    def Configure(self) -> None:
        """Checks the parameters.

        Raises:
          ConfigError: no key, a radius that is not positive, or a centre that is no place.
        """
        keys = self.GetParameter(self.KEY)
        self._keys = (keys,) if isinstance(keys, str) else tuple(keys or ())
        if not self._keys:
            raise ConfigError(f"{self.KEY}: expected a key of the frame, or a list of keys, got {keys!r}.")
        self._radius = self.GetParameter("sphere_radius")
        check_positive(self._radius, "sphere_radius", ConfigError)
        self._centre = self.GetParameter("sphere_centre")
        if np.shape(self._centre) != (3,):
            raise ConfigError(f"sphere_centre: expected x, y and z in m, got {self._centre!r}.")
        for axis, value in zip("xyz", self._centre, strict=True):
            check_finite(value, f"sphere_centre: {axis}", ConfigError)

    def Physics(self, frame: Any) -> None:
        """Converts what a frame holds.

        Args:
          frame: of IceTray.
        """
        for key in self._keys:
            if frame.Has(key):
                writing.put(frame, f"{key}{self.ENDING}", self._converted(reading.read_seed(frame, key), key))
        self.PushFrame(frame)

    def _converted(self, held: Any, key: str) -> Any:
        raise NotImplementedError


class SphereInfTrackSeedConverter(_Converter):
    """Converts particles to seeds of tracks that enter a sphere: `<seed_key>_SphereInfTrackSeed`, an I3MapStringDouble.

    Parameters: seed_key (one or several), sphere_radius (750 m), sphere_centre (the origin), energy_if_unknown (1e4 GeV). The numbers are those of
    `evgen_jax.icetray.sphere_track.sphere_seed`: entry_x, _y, _z (m), entry_t (ns), entry_zenith, entry_azimuth, zenith, azimuth (rad),
    entry_energy (GeV).

    Args:
      context: of the tray.
    """

    KEY, ENDING = "seed_key", "_SphereInfTrackSeed"

    def __init__(self, context: Any):
        super().__init__(context)
        self.AddParameter("energy_if_unknown", "Energy where that of the particle is not finite, GeV.", UNKNOWN_ENERGY)

    def _converted(self, held: Any, key: str) -> Any:
        if not isinstance(held, Particle):
            raise ConfigError(f"seed_key: the frame's '{key}' is no I3Particle.")
        return writing.to_numbers(
            sphere_seed(held, self._radius, float(self.GetParameter("energy_if_unknown")), self._centre)
        )


class SphereInfTrackParticleConverter(_Converter):
    """Converts labels or fits of tracks that enter a sphere to particles at the entry point: `<label_key>_I3Particle`.

    Parameters: label_key (one or several), sphere_radius (750 m), sphere_centre (the origin).

    Args:
      context: of the tray.
    """

    KEY, ENDING = "label_key", "_I3Particle"

    def _converted(self, held: Any, key: str) -> Any:
        needed = ("entry_zenith", "entry_azimuth", "entry_energy", "zenith", "azimuth")
        lacking = [name for name in needed if not isinstance(held, dict) or name not in held]
        if lacking or not {"entry_t", "entry_time"} & set(held):
            raise ConfigError(
                f"label_key: the frame's '{key}' lacks {', '.join(lacking) or 'entry_t'}; expected an I3MapStringDouble with "
                f"{', '.join(needed)} and entry_t."
            )
        return writing.to_particle(particle_of_entry(held, self._radius, centre=self._centre))
