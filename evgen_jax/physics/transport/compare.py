"""How well a light table describes photons: charge and delays in cells, at any absorption."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammainc

from evgen_jax.physics.transport.light_table import LightTable, table_light
from evgen_jax.physics.transport.surface_fit import cell_points
from evgen_jax.physics.transport.tally import Tally, mean_and_error

MOST_LIGHT = 1e200
"""Light of a table in place of infinite one, so that its shares are numbers."""


class Difference(NamedTuple):
    """Difference of a table from photons in cells of r and cos theta; NaN in cells that no photon came to.

    Attributes:
      charge: logarithm of the table's light over that of the photons [distances, cosines].
      charge_error: statistical error of the photons' part of `charge`; 0 for a single group.
      delay: largest difference of the cumulative distributions of the delay, among the delays of the cells.
    """

    charge: np.ndarray
    charge_error: np.ndarray
    delay: np.ndarray


def table_in_cells(table: LightTable, tally: Tally) -> np.ndarray:
    """Computes the light of a table without absorption in the cells of photons, as means over the cells.

    Args:
      table: of the source and medium.
      tally: whose cells are meant.

    Returns:
      4 pi r^2 at the geometric middle of the cell times the fluence in each cell of the delay [distances, cosines, delays].
    """
    cells, points = tally.cells, cell_points(tally.cells)
    with jax.enable_x64(True):
        light = table_light(table, jnp.exp(jnp.asarray(points.log_distance)), jnp.asarray(points.cosine), 0.0)
        ends = jnp.asarray(cells.delay_edges[1:])
        reached = gammainc(light.shape[..., None], light.rate[..., None] * ends[None, None, None])
        reached = jnp.sum(jnp.exp(light.log_weight)[..., None] * reached, axis=-2)
        shares = jnp.diff(reached, axis=-1, prepend=0.0)
        with np.errstate(over="ignore"):  # surfaces of too few photons may run away: infinite light says so
            weight = points.weight * np.exp(np.asarray(light.log_fluence))
        return np.asarray(jnp.sum(shares * weight[..., None], axis=1)).reshape(cells.shape)


def difference(table_light: np.ndarray, tally: Tally, absorption: float) -> Difference:
    """Compares light of a table with photons.

    Args:
      table_light: of `table_in_cells`.
      tally: of photons.
      absorption: effective scattering length over absorption length.

    Returns:
      Differences in cells.
    """
    late = np.exp(-absorption * tally.delay_centres)
    mean, error = mean_and_error(tally.fluence(absorption)[:, 0]) if len(tally.sums) > 1 else (
        tally.fluence(absorption)[0, 0], np.zeros(tally.cells.shape[:2])
    )  # fmt: skip
    expected, seen = np.minimum(table_light, MOST_LIGHT) * late, tally.sums[:, 0].sum(axis=0) * late
    shares = expected / expected.sum(axis=-1, keepdims=True) - seen / np.maximum(
        seen.sum(axis=-1, keepdims=True), 1e-300
    )
    known = np.where(mean > 0, mean, np.nan)
    delay = np.where(mean > 0, np.abs(np.cumsum(shares, axis=-1)).max(axis=-1), np.nan)
    return Difference(np.log(expected.sum(axis=-1) / known), error / known, delay)
