"""Sky maps as FITS files: flat, as healpy and analyses read them, or with pixels of several sizes."""

from pathlib import Path

import numpy as np

from evgen_jax.errors import ReconstructionError
from evgen_jax.files import replaced
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap
from evgen_jax.version import __version__

NOTICE = "detector coordinates: theta = zenith, phi = azimuth of where the particle comes from"
"""Comment in the header of a file."""


def write_sky_map(path: str | Path, sky_map: SkyMap, *, multi_order: bool = False, **header: str | float | int) -> Path:
    """Writes a map; an existing file is replaced when the new one is complete.

    Args:
      path: *.fits.
      sky_map: the map.
      multi_order: columns UNIQ (4 nside^2 + nested index) and PROBDENSITY (per sr), as alerts use them; else columns
        PROBABILITY (per pixel), DELTA (2 (best - log-likelihood)) of one size of pixels, nested.
      **header: further FITS keywords of at most eight letters, such as RUNID and EVENTID.

    Returns:
      The path.

    Raises:
      ReconstructionError: astropy is not installed.
    """
    try:
        from astropy.io import fits
    except ImportError:
        raise ReconstructionError("FITS files need astropy. Install it with: pip install 'evgen_jax[sky]'.") from None
    path, order = Path(path), int(sky_map.order.max())
    delta = np.minimum(sky_map.delta(), 1e30)
    if multi_order:
        sort = np.argsort(sky_map.order, kind="stable")
        unique = (4 * 4**sky_map.order + sky_map.pixel)[sort]
        columns = [
            fits.Column("UNIQ", "K", array=unique),
            fits.Column("PROBDENSITY", "D", unit="sr-1", array=(sky_map.probability() / sky_map.area)[sort]),
            fits.Column("DELTA", "D", array=delta[sort]),
        ]
        keywords = {"ORDERING": "NUNIQ", "MOCORDER": order}
    else:
        # Probability is shared by the parts of a pixel, other values are repeated.
        parts = 4.0 ** (order - sky_map.order)
        columns = [
            fits.Column("PROBABILITY", "D", unit="pix-1", array=sky_map.flat(sky_map.probability() / parts)),
            fits.Column("DELTA", "E", array=sky_map.flat(delta).astype(np.float32)),
        ]
        keywords = {
            "ORDERING": "NESTED",
            "NSIDE": 2**order,
            "FIRSTPIX": 0,
            "LASTPIX": 12 * 4**order - 1,
            "INDXSCHM": "IMPLICIT",
            "OBJECT": "FULLSKY",
        }
    table = fits.BinTableHDU.from_columns(columns, name="SKYMAP")
    table.header["PIXTYPE"] = "HEALPIX"
    best = int(np.nanargmax(sky_map.log_likelihood))
    keywords |= {"CREATOR": f"evgen_jax {__version__}", "LOGLMAX": float(sky_map.log_likelihood[best])}
    for key, value in {**keywords, **header}.items():
        table.header[key] = value
    table.header["COMMENT"] = NOTICE
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as partial:
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(partial, overwrite=True)
    return path
