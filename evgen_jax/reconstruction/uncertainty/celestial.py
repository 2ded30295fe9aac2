"""Directions of a detector as right ascension and declination at a moment."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from evgen_jax.errors import ReconstructionError, shown
from evgen_jax.extras import need
from evgen_jax.measurement.detector import Detector, geometry_fingerprint
from evgen_jax.measurement.site import FORM, ICECUBE, Site
from evgen_jax.physics.sphere import angles, unit_vectors

LOGGER = logging.getLogger("evgen_jax")
EARLIEST, LATEST = 41317.0, 88069.0
"""Modified Julian dates of 1972, with which UTC begins, and of 2100."""
ICECUBE_GEOMETRY = "6c32237ce262af5049053885971cec12d34fbfc9900f7a4f5556e4255090c746"
"""Checksum (`geometry_fingerprint`) of the embedded IceCube-86."""


@dataclass(frozen=True)
class Celestial:
    """Turns directions at a site and a moment into the International Celestial Reference System (J2000) and back.

    Directions are those that an observer on Earth measures: aberration, precession, nutation and the rotation of the
    Earth are in; refraction is not, for neutrinos have none.

    Attributes:
      site: place and axes of the detector.
      mjd: UTC as a modified Julian date, days.

    Raises:
      ReconstructionError: no date from 1972 to 2100, or astropy is not installed.
    """

    site: Site
    mjd: float

    def __post_init__(self) -> None:
        if not isinstance(self.mjd, int | float | np.floating) or not EARLIEST <= self.mjd <= LATEST:
            raise ReconstructionError(
                f"mjd: expected a modified Julian date (UTC) from {EARLIEST:g} to {LATEST:g}, such as 58018.87, got "
                f"{shown(self.mjd)}."
            )
        need("astropy", "a celestial direction")

    def to_sky(self, vectors: np.ndarray) -> np.ndarray:
        """Turns directions of the detector into celestial ones.

        Args:
          vectors: unit vectors (..., 3) in the detector's axes, to where particles come from.

        Returns:
          Unit vectors (..., 3): x to right ascension 0, z to declination 90 degrees.
        """
        zenith, azimuth = angles(vectors)
        compass = np.radians(self.site.x_axis) - azimuth
        ra, declination = _at_horizon(self, compass, np.pi / 2 - zenith, to_sky=True)
        return unit_vectors(np.pi / 2 - declination, ra)

    def to_detector(self, vectors: np.ndarray) -> np.ndarray:
        """Turns celestial directions into those of the detector.

        Args:
          vectors: unit vectors (..., 3): x to right ascension 0, z to declination 90 degrees.

        Returns:
          Unit vectors (..., 3) in the detector's axes, to where particles come from.
        """
        theta, ra = angles(vectors)
        compass, altitude = _at_horizon(self, ra, np.pi / 2 - theta, to_sky=False)
        return unit_vectors(np.pi / 2 - altitude, np.radians(self.site.x_axis) - compass)

    def equatorial(self, zenith: float, azimuth: float) -> tuple[float, float]:
        """Computes right ascension and declination of a direction of the detector.

        Args:
          zenith: rad.
          azimuth: rad.

        Returns:
          Right ascension within [0, 360) and declination, degrees.
        """
        theta, ra = angles(self.to_sky(unit_vectors(zenith, azimuth)))
        return float(np.degrees(ra)), 90.0 - float(np.degrees(theta))

    @property
    def date(self) -> str:
        """Returns the moment as ISO 8601 in UTC."""
        return str(_moment(self.mjd).isot)


def celestial_of(detector: Detector, mjd: float, site: Site | None = None) -> Celestial:
    """Makes the celestial coordinates of a detector at a moment.

    Args:
      detector: any detector, of concrete numbers.
      mjd: UTC as a modified Julian date, days.
      site: place and axes; None: those of the detector, or IceCube's if its modules are those of IceCube-86.

    Returns:
      The coordinates.

    Raises:
      ReconstructionError: nothing says where the detector is, no date from 1972 to 2100, or astropy is not installed.
    """
    own = site or detector.site
    if own is None and geometry_fingerprint(detector) == ICECUBE_GEOMETRY:
        own = ICECUBE
    if own is None:
        raise ReconstructionError(
            f"the detector '{detector.name}' does not say where on Earth it is, which celestial coordinates need. Give "
            f"detector_settings.site, a line such as '# site: {FORM}' in its table, or --site."
        )
    return Celestial(own, mjd)


def _at_horizon(
    frame: Celestial, longitude: np.ndarray, latitude: np.ndarray, to_sky: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude (rad) from the horizon to the sky or back."""
    with _offline():
        from astropy import units
        from astropy.coordinates import ICRS, AltAz, EarthLocation, UnitSphericalRepresentation

        place = EarthLocation.from_geodetic(frame.site.longitude * units.deg, frame.site.latitude * units.deg)
        horizon = AltAz(obstime=_moment(frame.mjd), location=place)
        given, wanted = (horizon, ICRS()) if to_sky else (ICRS(), horizon)
        direction = UnitSphericalRepresentation(longitude * units.rad, latitude * units.rad)
        found = given.realize_frame(direction).transform_to(wanted).represent_as(UnitSphericalRepresentation)
        return np.asarray(found.lon.rad), np.asarray(found.lat.rad)


def _moment(mjd: float) -> Any:
    from astropy.time import Time

    return Time(mjd, format="mjd", scale="utc")


@contextmanager
def _offline() -> Iterator[None]:
    """Keeps astropy from the network: the tables of the Earth's rotation are those that come with it."""
    from astropy.utils import iers

    with (
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("auto_max_age", None),
        warnings.catch_warnings(record=True) as found,
    ):
        warnings.simplefilter("always")
        yield
    if found:
        _tell(str(found[0].message).split(". ")[0])


@lru_cache(maxsize=8)
def _tell(text: str) -> None:
    LOGGER.warning(
        "celestial coordinates: %s. Without its tables of the Earth's rotation they are right to 0.01 degrees.", text
    )
