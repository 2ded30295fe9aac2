"""From photons in cells to a light table: surfaces of the delay's gamma distributions, the fluence and the mean direction."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from evgen_jax.errors import ConfigError
from evgen_jax.physics.transport.cells import Cells
from evgen_jax.physics.transport.delay_fit import DelayData, delay_shares, fit_delays
from evgen_jax.physics.transport.light_table import GAMMAS, LightTable
from evgen_jax.physics.transport.surface import Grid
from evgen_jax.physics.transport.surface_fit import cell_points, curvature, design, fit_logarithm, fit_means, joined
from evgen_jax.physics.transport.tally import Tally, mean_and_error

MOST_PHOTONS = 1e5
"""Largest number of photons that the delays of a cell count as."""
LEAST_OPTICAL_DEPTH = 3.0
"""Least absorption of light with the last delay of the cells, ln of the factor."""
UNKNOWN = 1e3
"""Relative error of the light in a cell that no photon reached."""
STIFF = (1e4, 1e2)
"""Penalties of the gamma distributions' parameters before the final one, in its units: surfaces become smooth first."""
LEAST_ERROR = 1e-3
"""Smallest relative error that a fit assumes: finer than that a surface need not follow the photons."""


@dataclass(frozen=True)
class Smoothing:
    """Says how strongly the curvature of surfaces is penalised.

    Attributes:
      light: penalty of the log fluence and of the direction, per squared second difference of coefficients.
      delay: penalty of the parameters of the gamma distributions.
    """

    light: float = 0.3
    delay: float = 3.0


def _first_guess(cells: Cells, absorption: float, data: DelayData) -> np.ndarray:
    """Fits the delays at each distance, averaged over angles, from far to near, each from the one before.

    Far away one peak is seen, which has one solution; nearby light that was scattered little and much is told apart.

    Returns:
      Parameters [distances, 8].
    """
    share = data.share.reshape(cells.distances, cells.cosines, -1).mean(axis=1)
    row, one = sparse.csr_array(np.ones((1, 1))), np.ones((1, 1))
    reached = np.cumsum(share[-1] * np.exp(data.late))
    means = np.exp(np.interp(np.array([0.2, 0.5, 0.8]) * reached[-1], reached, np.log(cells.delay_edges[1:])))
    current = np.concatenate([np.zeros(GAMMAS - 1), np.log(np.full(GAMMAS, 3.0)), np.log(3.0 / means)])[None]
    found = [current] * cells.distances

    def fit(i: int, current: np.ndarray) -> np.ndarray:
        seen = DelayData(share[i][None], data.late, np.full(1, MOST_PHOTONS))
        return fit_delays(cells, absorption, row, one, seen, 1e-4 * row, current, steps=200)

    for i in range(cells.distances)[::-1]:
        found[i] = current = fit(i, current)
    # The first fits may end in another minimum; coming back from the middle they begin in that of their neighbours.
    for i in range(cells.distances // 2, cells.distances):
        found[i] = fit(i, found[i - 1])
    return np.concatenate(found)


def make_table(tally: Tally, grid: Grid, absorption: float, smoothing: Smoothing = Smoothing()) -> LightTable:
    """Fits a light table to the track lengths of photons: the means over cells, not values at their centres.

    Args:
      tally: of the photons.
      grid: knots of the surfaces; its distances are those of the cells.
      absorption: effective scattering length over absorption length at which the surfaces describe the light: usual
        values of the medium, since light that is absorbed anyway need not be described.
      smoothing: penalties of curvature.

    Returns:
      The table.

    Raises:
      ConfigError: absorption leaves light beyond the delays that are looked at.
    """
    cells = tally.cells
    least = LEAST_OPTICAL_DEPTH / cells.delay[1]
    if absorption < least:
        raise ConfigError(
            f"absorption: {absorption} was given; with delays up to {cells.delay[1]} at least {least} is needed, so that "
            "the light that comes later is little. Follow photons to longer delays."
        )
    points = cell_points(cells)
    rows, penalty = design(grid, points.log_distance, points.cosine), curvature(grid)
    values, errors = (part.reshape(3, -1) for part in mean_and_error(tally.fluence(absorption)))
    lit = values[0] > 0
    fluence = np.log(np.where(lit, values[0], 1))
    error = np.where(lit, np.maximum(errors[0] / np.where(lit, values[0], 1), LEAST_ERROR), UNKNOWN)
    stiff = smoothing.light * penalty

    def shares(coefficients: np.ndarray) -> np.ndarray:
        light = points.weight * np.exp((rows @ coefficients).reshape(points.weight.shape))
        return light / light.sum(axis=1, keepdims=True)

    weight = shares(fit_logarithm(rows, points.weight, fluence, error, stiff))
    sums = np.sum(tally.sums[:, 0], axis=0).reshape(len(fluence), -1)
    share = np.where(lit[:, None], sums, 1)
    share = share / share.sum(axis=1, keepdims=True)
    data = DelayData(share, -absorption * tally.delay_centres, np.minimum(1 / error**2, MOST_PHOTONS))
    with jax.enable_x64(True):
        first = np.repeat(_first_guess(cells, absorption, data), cells.cosines, axis=0)
        delay = np.stack([fit_means(joined(rows, weight, 4), v, np.ones(len(v)), stiff) for v in first.T], axis=-1)
        for stiffness in (*STIFF, 1.0):
            delay = fit_delays(cells, absorption, rows, weight, data, stiffness * smoothing.delay * penalty, delay)
        light = np.asarray(delay_shares(cells, absorption, jnp.asarray((rows @ delay).reshape(*weight.shape, -1))))
    # Light beyond the last delay belongs to the gamma distributions, and to the fluence.
    within = np.sum(light * np.exp(data.late) * weight[..., None], axis=(1, 2))
    surface = fit_logarithm(rows, points.weight, fluence - np.log(within), error, stiff)
    weight = shares(surface)
    outward = fit_means(
        joined(rows, weight, 4), values[1], np.where(lit, np.maximum(errors[1], LEAST_ERROR), UNKNOWN), stiff
    )
    sine = np.sqrt(1 - points.cosine**2)
    axial = fit_means(
        joined(rows, weight * sine, 4), values[2], np.where(lit, np.maximum(errors[2], LEAST_ERROR), UNKNOWN), stiff
    )
    coefficients = np.concatenate([np.stack([surface, outward, axial], axis=-1), delay], axis=-1)
    return LightTable(
        jnp.asarray(coefficients.reshape(*grid.shape, -1), jnp.float32), grid, absorption, _decay(grid, surface)
    )


def _decay(grid: Grid, surface: np.ndarray) -> float:
    """Computes the mean attenuation of r times the fluence at the last distance, from the log fluence times r^2."""
    last, step = np.log(grid.distance[1]), 0.3
    cosine = np.linspace(-0.9, 0.9, 19)
    ends = [design(grid, np.full(19, x), cosine) @ surface - x for x in (last - step, last)]
    return float(-np.mean(ends[1] - ends[0]) / (np.exp(last) - np.exp(last - step)))
