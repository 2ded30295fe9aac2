"""Figure of a sky map: the whole sky, and the surroundings of its best pixel with contours."""

from typing import Any

import numpy as np
from scipy import stats
from scipy.interpolate import CloughTocher2DInterpolator

from evgen_jax.errors import ReconstructionError
from evgen_jax.physics.sphere import angle_between, angles, unit_vectors
from evgen_jax.reconstruction.uncertainty.pixels import pixels_of
from evgen_jax.reconstruction.uncertainty.sky_map import SkyMap
from evgen_jax.report.plots.canvas import DEEPEST, LEVELS, MARKS, Drawing, draw_contours, empty, finished, styled
from evgen_jax.report.plots.given import check_kind

WIDTH = 800
"""Width of the raster of the whole sky, pixels."""
PART_WIDTH = 300
"""Width of the raster of the surroundings, pixels."""
FARTHEST = 2.5
"""Distance of a truth that widens the surroundings, in radii of the 99 % contour."""
FINEST_FLAT = 8
"""Largest HEALPix order at which the whole sky is drawn."""


@styled
def sky_map(
    found: SkyMap,
    truth: tuple[float, float] | None = None,
    seed: tuple[float, float] | None = None,
    *,
    title: str = "",
    notice: str = "",
) -> Drawing:
    """Draws the whole sky and the part around the best pixel, with contours of 50 and 90 % (Wilks).

    Args:
      found: sky map of `eg.reconstruction.make_sky_map`, drawn in its own coordinates.
      truth: zenith and azimuth to mark, rad; None: not known.
      seed: zenith and azimuth to mark, rad; None: not drawn.
      title: of the whole figure.
      notice: below the figure.

    Returns:
      The figure.

    Raises:
      ConfigError: no sky map.
      ReconstructionError: the package astropy is not installed.

    Example:
      eg.plots.sky_map(make_sky_map(model)(event, fit.hypothesis), truth=(1.1, 2.0))
    """
    check_kind(found, SkyMap, "eg.reconstruction.make_sky_map(model)(event, hypothesis)")
    try:
        from evgen_jax.report.plots.sky_frame import NAMES, part_of_sky, sky_axes, whole_sky
    except ImportError:
        raise ReconstructionError("sky maps need astropy. Install it with: pip install 'evgen_jax[sky]'.") from None
    zenith, azimuth = (float(a) for a in angles(found.direction[int(np.argmin(found.delta()))]))
    celestial = found.celestial is not None
    seed, truth = _on_map(found, seed), _on_map(found, truth)
    marks = {"fit": (zenith, azimuth), "seed": seed, "truth": truth}
    reach = _reach(found, zenith, azimuth, truth)
    figure = empty(figsize=(11, 4.2))
    cells = figure.add_gridspec(1, 2, width_ratios=[1.25, 1])
    everywhere, around = whole_sky(WIDTH, celestial), part_of_sky(zenith, azimuth, reach, PART_WIDTH, celestial)
    whole = sky_axes(figure, cells[0], everywhere, whole=True)
    near = sky_axes(figure, cells[1], around, whole=False)
    image = _smooth(found, around, reach)
    shades = {"origin": "lower", "cmap": "cividis_r", "vmin": 0, "vmax": DEEPEST, "aspect": "equal"}
    whole.imshow(_nearest(found, *everywhere.directions()), **shades)
    shown = near.imshow(image, **shades)
    contours = draw_contours(near, image)
    for line in (line for lines in contours.allsegs for line in lines):
        whole.plot(*_carried(line, around, everywhere), color="black", lw=0.8)
    for axes, raster in ((whole, everywhere), (near, around)):
        axes.grid(color="0.7", alpha=0.5, lw=0.6)
        for name, direction in marks.items():
            if direction is not None:
                axes.plot(*raster.pixels(*np.array(direction)), ls="none", label=name, **MARKS[name])
        for coordinate, name in zip(axes.coords, NAMES[celestial], strict=True):
            coordinate.set_axislabel(f"{name} (deg)" if axes is near else "")
            inside = axes is whole and name == NAMES[celestial][0]
            coordinate.set_ticklabel(
                size=7, color="white" if inside else "black", exclude_overlapping=True, simplify=False
            )
    whole.set_title("whole sky")
    areas = (f"{100 * level:.0f} %: {_square_degrees(found.contour_area(level))}" for level in LEVELS)
    near.set_title(f"{', '.join(areas)} square degrees (Wilks)")
    figure.colorbar(shown, ax=near, label="2 (best - log-likelihood)", extend="max")
    figure.legend(*near.get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return finished(figure, title, notice)


def _on_map(sky_map: SkyMap, direction: tuple[float, float] | None) -> tuple[float, float] | None:
    """A direction of the detector in the coordinates of the map, HEALPix' theta and phi."""
    if direction is None or sky_map.celestial is None:
        return direction
    theta, phi = angles(sky_map.celestial.to_sky(unit_vectors(*direction)))
    return float(theta), float(phi)


def _square_degrees(area: float) -> str:
    """An area with three digits and no power of ten."""
    return f"{area:.0f}" if area >= 100 else f"{area:.3g}"


def _carried(line: np.ndarray, here: Any, there: Any) -> np.ndarray:
    """A line [N, 2] of one raster in the pixels of that of the whole sky, [2, N]; torn where it leaves it at a side."""
    azimuth, latitude = here.wcs.wcs_pix2world(*line.T, 0)
    carried = there.pixels(np.radians(90 - latitude), np.radians(azimuth))
    carried[1:][np.abs(np.diff(carried[:, 0])) > there.width / 3] = np.nan
    return carried.T


def _reach(sky_map: SkyMap, zenith: float, azimuth: float, truth: tuple[float, float] | None) -> float:
    """From the best direction to the sides of the drawn surroundings, rad: they hold the 99 % contour, and a truth nearby."""
    away = angle_between(sky_map.direction, unit_vectors(zenith, azimuth))
    inside = sky_map.delta() < stats.chi2.ppf(0.99, 2)
    reach = max(float(np.max(away[inside])), 3 * float(np.sqrt(sky_map.area.min())))
    if truth is not None:
        distance = float(angle_between(unit_vectors(*truth), unit_vectors(zenith, azimuth)))
        reach = max(reach, distance) if distance < FARTHEST * reach else reach
    return min(1.2 * reach, np.pi / 2)


def _nearest(sky_map: SkyMap, zenith: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """2 (best - log-likelihood) of the pixels that hold directions [...]; NaN where these are."""
    order = min(int(sky_map.order.max()), FINEST_FLAT)
    flat = sky_map.flat(np.minimum(sky_map.delta(), 2 * DEEPEST), order)
    values, seen = np.full(zenith.shape, np.nan), np.isfinite(zenith)
    values[seen] = flat[pixels_of(order, zenith[seen], azimuth[seen] % (2 * np.pi))]
    return values


def _smooth(sky_map: SkyMap, raster: Any, reach: float) -> np.ndarray:
    """2 (best - log-likelihood) between the centres of pixels, a cubic in each triangle of them."""
    zenith, azimuth = angles(sky_map.direction)
    place = raster.pixels(zenith, azimuth)
    margin = 12 * np.sqrt(sky_map.area) / reach * raster.width
    near = np.all(np.abs(place - raster.width / 2) < raster.width + margin[:, None], axis=1)
    delta = np.minimum(sky_map.delta()[near], 2 * DEEPEST)
    x, y = np.meshgrid(np.arange(raster.width), np.arange(raster.height))
    smooth = CloughTocher2DInterpolator(place[near], delta)(x, y)
    return np.where(np.isfinite(smooth), smooth, _nearest(sky_map, *raster.directions()))
