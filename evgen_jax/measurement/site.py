"""Where on Earth a detector is and how its axes lie: what its directions need to become right ascension and declination."""

import re
from typing import NamedTuple

from evgen_jax.errors import DetectorError, suggestion


class Site(NamedTuple):
    """States the place of a detector and the compass direction of its x axis; its z axis points up.

    Azimuths of a detector are counted from its x axis towards its y axis, which is counter-clockwise from above; compass
    directions are counted from north over east, which is clockwise: compass = `x_axis` - azimuth.

    Attributes:
      latitude: geodetic, degrees, north is positive.
      longitude: degrees, east is positive.
      x_axis: compass direction of the x axis, degrees: 90 where x is the easting and y the northing.
    """

    latitude: float
    longitude: float
    x_axis: float

    def __str__(self) -> str:
        return ", ".join(f"{name} {value!r}" for name, value in self._asdict().items())


ICECUBE = Site(-89.9944, -62.6081, 152.6081)
"""IceCube: its y axis is grid north, along the meridian of Greenwich, and its x axis that of 90 degrees east; x is
therefore 90 degrees - longitude away from the north of its own meridian."""
SITES = {"icecube": ICECUBE}
"""Sites by name."""
LIMITS = {"latitude": (-90.0, 90.0), "longitude": (-180.0, 360.0), "x_axis": (-360.0, 360.0)}
"""Lowest and highest value of each part of a site, degrees."""
FORM = "latitude -89.9944, longitude -62.6081, x_axis 152.6081"
"""How a site is written (this one is IceCube's)."""


def read_site(text: str, where: str) -> Site:
    """Reads a site from one line of text.

    Args:
      text: 'latitude LAT, longitude LON, x_axis COMPASS' in degrees, or the name of a site.
      where: names what holds the text, such as a file; begins the message.

    Returns:
      The site.

    Raises:
      DetectorError: another text, or a number outside its range.

    Example:
      read_site("latitude 36.27, longitude 16.1, x_axis 90", "--site")
    """
    if text.strip().lower() in SITES:
        return SITES[text.strip().lower()]
    found = dict(re.findall(r"(\w+)[ :=]+(-?[\d.]+(?:e[-+]?\d+)?)", text))
    if set(found) != set(LIMITS):
        raise DetectorError(
            f"{where}: '{text}': expected the form '{FORM}' (degrees), or one of {', '.join(SITES)}."
            + suggestion(text, SITES)
        )
    try:
        site = Site(**{name: float(value) for name, value in found.items()})
    except ValueError:
        raise DetectorError(f"{where}: '{text}': expected three numbers, in degrees, as in '{FORM}'.") from None
    for name, (low, high) in LIMITS.items():
        if not low <= getattr(site, name) <= high:
            raise DetectorError(
                f"{where}: {name} is {getattr(site, name):g}; expected degrees from {low:g} to {high:g}."
            )
    return site
