"""HEALPix pixels of the sky, nested: zenith is HEALPix' theta, azimuth its phi. The only file that imports astropy-healpix."""

import numpy as np
from numpy.typing import ArrayLike

from evgen_jax.errors import ReconstructionError

FINEST = 29
"""Largest order of a pixel that 64 bits hold."""


def pixel_vectors(order: int, pixels: np.ndarray) -> np.ndarray:
    """Computes the centres of nested pixels.

    Args:
      order: HEALPix order (nside = 2^order).
      pixels: [P], nested indices.

    Returns:
      Unit vectors [P, 3].
    """
    from astropy_healpix import healpy as pixelisation

    return np.stack(pixelisation.pix2vec(2**order, np.asarray(pixels), nest=True), axis=-1)


def pixels_of(order: int, zenith: ArrayLike, azimuth: ArrayLike) -> np.ndarray:
    """Finds the nested pixels of directions.

    Args:
      order: HEALPix order (nside = 2^order).
      zenith: rad, shape (...).
      azimuth: rad, shape (...).

    Returns:
      Nested indices (...).
    """
    from astropy_healpix import healpy as pixelisation

    return np.asarray(pixelisation.ang2pix(2**order, zenith, azimuth, nest=True))


def pixel_of(order: int, zenith: float, azimuth: float) -> int:
    """Finds the nested pixel of one direction.

    Args:
      order: HEALPix order (nside = 2^order).
      zenith: rad.
      azimuth: rad.

    Returns:
      Nested index.
    """
    return int(pixels_of(order, zenith, azimuth))


def pixels_around(order: int, zenith: float, azimuth: float) -> np.ndarray:
    """Finds the pixel of a direction and its neighbours.

    Args:
      order: HEALPix order (nside = 2^order).
      zenith: rad.
      azimuth: rad.

    Returns:
      Nested indices: seven or eight neighbours, then the pixel itself; -1 for a neighbour that is not there.
    """
    from astropy_healpix import neighbours

    own = pixel_of(order, zenith, azimuth)
    # Eight pixels of the sky have only seven neighbours: the library says so by -1, with a notice of NumPy.
    with np.errstate(invalid="ignore"):
        return np.append(neighbours(own, 2**order, order="nested"), own)


def ring_places(order: int) -> np.ndarray:
    """Finds where the pixels of a map in ring order stand in one in nested order.

    Args:
      order: HEALPix order (nside = 2^order).

    Returns:
      Nested indices [12 * 4^order] of the pixels in ring order.
    """
    from astropy_healpix import healpy as pixelisation

    return np.asarray(pixelisation.ring2nest(2**order, np.arange(12 * 4**order)))


def ring_of(order: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Computes the indices of nested pixels in ring order.

    Args:
      order: [P], HEALPix orders.
      pixels: [P], nested indices.

    Returns:
      Indices [P] in ring order.
    """
    from astropy_healpix import healpy as pixelisation

    return np.asarray(pixelisation.nest2ring(2**order, pixels))


def neighbours_and_weights(order: int, zenith: np.ndarray, azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the four pixels around directions, for bilinear interpolation.

    Args:
      order: HEALPix order (nside = 2^order).
      zenith: rad, shape (...).
      azimuth: rad, shape (...).

    Returns:
      Nested indices and weights that sum to 1, each [4, ...].
    """
    from astropy_healpix import healpy as pixelisation

    pixels, weights = pixelisation.get_interp_weights(2**order, zenith, azimuth, nest=True)
    return np.asarray(pixels), np.asarray(weights)


def check_healpix() -> None:
    """Checks that the package for HEALPix is there.

    Raises:
      ReconstructionError: it is not installed.
    """
    try:
        import astropy_healpix  # noqa: F401
    except ImportError:
        raise ReconstructionError(
            "sky maps need astropy-healpix. Install it with: pip install 'evgen_jax[sky]'."
        ) from None
