"""What an alert says of a celestial map: best direction, its errors and the areas of contours, by IceCube's keywords."""

from typing import Any

import numpy as np

from evgen_jax.errors import ReconstructionError
from evgen_jax.physics.sphere import angles
from evgen_jax.reconstruction.uncertainty.pixel_map import SkyMap
from evgen_jax.reconstruction.uncertainty.pixels import neighbours_and_weights, pixel_vectors
from evgen_jax.version import __version__

SHARES = (0.5, 0.9)
"""Contours of an alert: their share of the posterior."""
FINER = 2
"""Orders by which the points at which a contour is looked for are finer than the pixels."""
Card = tuple[float | str, str]
"""Value and comment of a keyword."""


def alert_header(sky_map: SkyMap) -> dict[str, Card]:
    """Computes the keywords of the header of an alert.

    The names are those of IceCube's public alerts: RA and DEC are the best pixel, RA_ERR_PLUS_90 how far the contour with
    90 % of the posterior reaches from there to larger right ascension (an angle of right ascension, not on the sphere).

    Args:
      sky_map: celestial.

    Returns:
      {keyword: (value, comment)}; SENDER is this program, which a sender of alerts replaces.

    Raises:
      ReconstructionError: a map of the detector's sky.
    """
    if sky_map.celestial is None:
        raise ReconstructionError("the map has detector coordinates; make it with the time of the event for an alert.")
    ra, declination = best_direction(sky_map)
    cards: dict[str, Card] = {
        "SENDER": (f"evgen_jax {__version__}", ""),
        "DATE-OBS": (sky_map.celestial.date, "UTC date of the observation"),
        "MJD-OBS": (float(sky_map.celestial.mjd), "modified Julian date of the observation"),
        "RA": (ra, "degrees, J2000"),
        "DEC": (declination, "degrees, J2000"),
    }
    for share in SHARES:
        low, high = contour_extent(sky_map, share)
        for k, name in enumerate(("RA", "DEC")):
            for sign, value in (("PLUS", high[k]), ("MINUS", -low[k])):
                cards[f"{name}_ERR_{sign}_{100 * share:.0f}"] = (
                    float(value),
                    f"degrees, {100 * share:.0f}% containment",
                )
    for share in SHARES:
        area = sky_map.contour_area(share, "posterior")
        cards[f"CONTOUR_AREA_{100 * share:.0f}"] = (area, "square degrees")
    cards["COMMENTS"] = ("50% and 90% are the regions of highest posterior density", "")
    return cards


def best_direction(sky_map: SkyMap) -> tuple[float, float]:
    """Finds the best direction of a celestial map.

    Args:
      sky_map: celestial.

    Returns:
      Right ascension and declination of the centre of the pixel with the largest log-likelihood, degrees.
    """
    theta, ra = angles(sky_map.direction[int(np.argmin(sky_map.delta()))])
    return float(np.degrees(ra)), 90 - float(np.degrees(theta))


def contour_extent(sky_map: SkyMap, probability: float, method: str = "posterior") -> tuple[np.ndarray, np.ndarray]:
    """Computes how far a contour reaches from the best direction of a celestial map.

    Args:
      sky_map: celestial.
      probability: confidence level of the contour.
      method: 'posterior' or 'wilks', see `SkyMap.level`.

    Returns:
      Lowest and highest difference [2] of right ascension and of declination, degrees; at least half a pixel.
    """
    level, delta = sky_map.level(method), sky_map.delta()
    sort = np.argsort(delta, kind="stable")
    highest = float(np.interp(probability, level[sort], delta[sort]))
    # Centres of pixels within the contour end half a pixel before it: it is looked for between them. The root of a
    # parabola is straight, so that it can be interpolated.
    finest = int(sky_map.order.max())
    root, points = np.sqrt(np.minimum(delta, 10 * highest + 10)), [np.zeros((0, 3))]
    for order in np.unique(sky_map.order):
        own = sky_map.pixel[(sky_map.order == order) & (delta <= 4 * highest + 4)]
        points.append(pixel_vectors(int(order) + FINER, (own[:, None] * 4**FINER + np.arange(4**FINER)).ravel()))
    theta, phi = angles(np.concatenate(points))
    around, weights = neighbours_and_weights(finest, theta, phi)
    inside = np.sum(weights * root[sky_map.places(finest, around)], axis=0) <= np.sqrt(highest)
    ra, declination = best_direction(sky_map)
    away: Any = np.stack([(np.degrees(phi) - ra + 180) % 360 - 180, 90 - np.degrees(theta) - declination])[:, inside]
    least = np.degrees(np.sqrt(sky_map.area.min())) / 2
    floor = np.array([least / max(np.cos(np.radians(declination)), 1e-3), least])
    low, high = np.min(away, axis=1, initial=0.0), np.max(away, axis=1, initial=0.0)
    return np.minimum(low, -floor), np.maximum(high, floor)
