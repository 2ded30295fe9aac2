"""Sky maps as FITS files: flat, as healpy and analyses read them, or with pixels of several sizes."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.errors import ReconstructionError
from evgen_jax.files import replaced
from evgen_jax.reconstruction.uncertainty.alert_header import alert_header
from evgen_jax.reconstruction.uncertainty.pixel_map import SkyMap
from evgen_jax.reconstruction.uncertainty.pixels import ring_places
from evgen_jax.version import __version__

NOTICE = "detector coordinates: theta = zenith, phi = azimuth of where the particle comes from"
"""Comment in the header of a file in the detector's coordinates."""
CELESTIAL_NOTICE = "J2000: theta = 90 degrees - declination, phi = right ascension of where the particle comes from"
"""Comment in the header of a celestial file."""
LONGEST_KEYWORD = 8
"""Largest number of letters of a keyword that FITS has had from the beginning."""
Value = str | float | int


def write_sky_map(path: str | Path, sky_map: SkyMap, *, multi_order: bool = False, **header: Value) -> Path:
    """Writes a map; an existing file is replaced when the new one is complete.

    A celestial map has the columns, coordinates and keywords of IceCube's public alerts (see `alert_header`).

    Args:
      path: *.fits, or *.fits.gz.
      sky_map: the map.
      multi_order: columns UNIQ (4 nside^2 + nested index), PROBDENSITY (per sr), as alerts use them, and DELTA (2 (best -
        log-likelihood)); else one size of pixels: columns PROB (per pixel) and DELTA in ring order for a celestial map,
        PROBABILITY and DELTA in nested order for one of the detector's sky.
      **header: further FITS keywords, such as RUNID, EVENTID and SENDER.

    Returns:
      The path.

    Raises:
      ReconstructionError: astropy is not installed.

    Example:
      write_sky_map("map.fits", sky_map, RUNID=138632, EVENTID=31747601, SENDER="IceCube Collaboration")
    """
    try:
        from astropy.io import fits
    except ImportError:
        raise ReconstructionError("FITS files need astropy. Install it with: pip install 'evgen_jax[sky]'.") from None
    path, celestial = Path(path), sky_map.celestial is not None
    columns, keywords = _multi_order(sky_map) if multi_order else _flat(sky_map)
    table = fits.BinTableHDU.from_columns([fits.Column(*own, array=values) for *own, values in columns], name="SKYMAP")
    table.header["PIXTYPE"] = "HEALPIX"
    best = int(np.nanargmax(sky_map.log_likelihood))
    keywords |= {"COORDSYS": "C"} if celestial else {}
    keywords |= {"CREATOR": f"evgen_jax {__version__}", "LOGLMAX": float(sky_map.log_likelihood[best])}
    keywords |= alert_header(sky_map) if celestial else {}
    for key, value in {**keywords, **header}.items():
        table.header[key if len(key) <= LONGEST_KEYWORD else f"HIERARCH {key}"] = value
    table.header["COMMENT"] = CELESTIAL_NOTICE if celestial else NOTICE
    path.parent.mkdir(parents=True, exist_ok=True)
    # The temporary name does not tell astropy whether to compress.
    with replaced(path) as partial, (gzip.open if path.suffix == ".gz" else open)(partial, "wb") as file:
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return path


def _multi_order(sky_map: SkyMap) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Columns (name, format, unit, values) and keywords of pixels of several sizes."""
    sort = np.argsort(sky_map.order, kind="stable")
    columns: list[tuple[Any, ...]] = [
        ("UNIQ", "K", None, (4 * 4**sky_map.order + sky_map.pixel)[sort]),
        ("PROBDENSITY", "D", "sr-1", (sky_map.probability() / sky_map.area)[sort]),
        ("DELTA", "D", None, _finite(sky_map)[sort]),
    ]
    return columns, {"ORDERING": "NUNIQ", "INDXSCHM": "EXPLICIT", "MOCORDER": int(sky_map.order.max())}


def _flat(sky_map: SkyMap) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Columns (name, format, unit, values) and keywords of pixels of one size."""
    order, celestial = int(sky_map.order.max()), sky_map.celestial is not None
    # Probability is shared by the parts of a pixel, other values are repeated.
    probability = sky_map.flat(sky_map.probability() / 4.0 ** (order - sky_map.order))
    delta = sky_map.flat(_finite(sky_map)).astype(np.float32)
    if celestial:
        ring = ring_places(order)
        probability, delta = probability[ring], delta[ring]
    columns: list[tuple[Any, ...]] = [
        ("PROB" if celestial else "PROBABILITY", "D", "pix-1", probability),
        ("DELTA", "E", None, delta),
    ]
    keywords = {
        "ORDERING": "RING" if celestial else "NESTED",
        "NSIDE": 2**order,
        "FIRSTPIX": 0,
        "LASTPIX": 12 * 4**order - 1,
        "INDXSCHM": "IMPLICIT",
        "OBJECT": "FULLSKY",
    }
    return columns, keywords


def _finite(sky_map: SkyMap) -> np.ndarray:
    """2 (best - log-likelihood) [P], a large number where a fit failed."""
    return np.minimum(sky_map.delta(), 1e30)
