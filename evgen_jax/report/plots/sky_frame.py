"""Axes on the sky, of the detector or celestial, with a graticule in degrees. The only file that imports astropy's WCSAxes."""

from typing import Any, NamedTuple

import numpy as np
from astropy import units
from astropy.visualization.wcsaxes import WCSAxes
from astropy.visualization.wcsaxes.frame import EllipticalFrame, RectangularFrame
from astropy.visualization.wcsaxes.transforms import CurvedTransform
from astropy.wcs import WCS
from jaxtyping import Float

NAMES = (("azimuth", "zenith"), ("right ascension", "declination"))
"""Names of the coordinates of the detector and of the celestial sky."""


class Raster(NamedTuple):
    """Is a projection of the sky onto `width` by `height` pixels.

    Attributes:
      wcs: the projection; its latitude is 90 degrees - zenith.
      width: number of pixels from left to right.
      height: number of pixels from bottom to top.
      celestial: whether the azimuth is right ascension, which grows to the left, and the latitude declination.
    """

    wcs: WCS
    width: int
    height: int
    celestial: bool = False

    def pixels(self, zenith: Float[np.ndarray, "*shape"], azimuth: Float[np.ndarray, "*shape"]) -> np.ndarray:
        """Projects directions.

        Args:
          zenith: rad, shape (...).
          azimuth: rad, shape (...).

        Returns:
          Coordinates (..., 2) of pixels.
        """
        return np.stack(self.wcs.wcs_world2pix(np.degrees(azimuth), 90 - np.degrees(zenith), 0), axis=-1)

    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Computes the direction of every pixel.

        Returns:
          Zenith and azimuth [height, width], rad; NaN outside of the sky.
        """
        x, y = np.meshgrid(np.arange(self.width), np.arange(self.height))
        azimuth, latitude = self.wcs.wcs_pix2world(x, y, 0)
        return np.radians(90 - latitude), np.radians(azimuth)


class _ToSky(CurvedTransform):  # type: ignore[misc]
    """Pixels to azimuth and zenith, or right ascension and declination, degrees."""

    has_inverse = True

    def __init__(self, raster: Raster):
        super().__init__()
        self.raster = raster

    def transform(self, values: np.ndarray) -> np.ndarray:
        azimuth, latitude = self.raster.wcs.wcs_pix2world(*np.transpose(values), 0)
        return np.stack([azimuth, latitude if self.raster.celestial else 90 - latitude], axis=-1)

    transform_non_affine = transform

    def inverted(self) -> "_ToPixels":
        return _ToPixels(self.raster)


class _ToPixels(CurvedTransform):  # type: ignore[misc]
    """Azimuth and zenith, or right ascension and declination, degrees, to pixels."""

    has_inverse = True

    def __init__(self, raster: Raster):
        super().__init__()
        self.raster = raster

    def transform(self, values: np.ndarray) -> np.ndarray:
        azimuth, height = np.transpose(values)
        latitude = height if self.raster.celestial else 90 - height
        return np.stack(self.raster.wcs.wcs_world2pix(azimuth, latitude, 0), axis=-1)

    transform_non_affine = transform

    def inverted(self) -> _ToSky:
        return _ToSky(self.raster)


def whole_sky(width: int, celestial: bool = False) -> Raster:
    """Projects the whole sky by Mollweide: zenith 0 above, azimuth from 0 (left) to 360 degrees.

    Args:
      width: number of pixels from left to right, even.
      celestial: whether right ascension and declination are drawn, from 360 (left) to 0 degrees.

    Returns:
      The projection.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---MOL", "DEC--MOL"]
    wcs.wcs.crval = [180.0, 0.0]
    # The equator is 4 sqrt(2) long where the sphere has the radius 1.
    wcs.wcs.cdelt = [(-1 if celestial else 1) * np.degrees(4 * np.sqrt(2)) / width, np.degrees(4 * np.sqrt(2)) / width]
    wcs.wcs.crpix = [(width + 1) / 2, (width // 2 + 1) / 2]
    return Raster(wcs, width, width // 2, celestial)


def part_of_sky(zenith: float, azimuth: float, reach: float, width: int, celestial: bool = False) -> Raster:
    """Projects the surroundings of a direction: distances and angles from the middle are true.

    Args:
      zenith: of the middle, rad.
      azimuth: of the middle, rad.
      reach: from the middle to each side, rad.
      width: number of pixels from left to right and from bottom to top.
      celestial: whether the azimuth is right ascension, which grows to the left.

    Returns:
      The projection.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---ARC", "DEC--ARC"]
    wcs.wcs.crval = [np.degrees(azimuth), 90 - np.degrees(zenith)]
    wcs.wcs.lonpole = 180.0
    step = 2 * np.degrees(reach) / width
    wcs.wcs.cdelt = [-step if celestial else step, step]
    wcs.wcs.crpix = [(width + 1) / 2] * 2
    return Raster(wcs, width, width, celestial)


def sky_axes(figure: Any, place: Any, raster: Raster, whole: bool) -> Any:
    """Adds axes with a graticule to a figure.

    Args:
      figure: of matplotlib.
      place: cell of a grid of the figure.
      raster: of the sky.
      whole: whether it is that of the whole sky, which has an elliptical frame.

    Returns:
      The axes, whose data are pixels of the raster.
    """
    degree = units.deg
    sides = ["h", "c"] if whole else ["b", "l"]
    axes = WCSAxes(
        figure,
        place,
        transform=_ToSky(raster),
        frame_class=EllipticalFrame if whole else RectangularFrame,
        coord_meta={
            "name": list(NAMES[raster.celestial]),
            "type": ["longitude", "scalar"],
            "wrap": [360 * degree, None],
            "unit": [degree, degree],
            "format_unit": [None, None],
            "default_axislabel_position": sides,
            "default_ticklabel_position": sides,
            "default_ticks_position": sides,
        },
    )
    figure.add_axes(axes)
    axes.coords[1].set_major_formatter("%.4g°")
    if whole:
        axes.coords[0].set_major_formatter("d")
        axes.coords[0].set_ticks(np.arange(60, 360, 60) * degree)
        axes.coords[1].set_ticks((np.arange(30, 180, 30) - (90 if raster.celestial else 0)) * degree)
    axes.set(xlim=(-0.5, raster.width - 0.5), ylim=(-0.5, raster.height - 0.5), aspect="equal")
    return axes
