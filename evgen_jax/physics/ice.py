"""Depth-dependent ice of the toy simulator: mean scattering and absorption on straight paths."""

from functools import lru_cache
from importlib import resources

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from evgen_jax.physics import constants

PATH_POINTS = 21
"""Points of a straight path at which scattering and absorption are averaged."""


@lru_cache(maxsize=1)
def _table() -> tuple[float, float, np.ndarray]:
    """First depth, step and inverse lengths [n, 2] (scattering, absorption) on an even grid of depths."""
    text = (resources.files("evgen_jax") / "tables" / "ice_spice_mie.csv").read_text().splitlines()[1:]
    table = np.array([[float(v) for v in line.split(",")] for line in text])
    depth = np.linspace(table[0, 0], table[-1, 0], 2 * len(table))
    columns = [np.interp(depth, table[:, 0], 1 / table[:, i]) for i in (1, 2)]
    return float(depth[0]), float(depth[1] - depth[0]), np.stack(columns, axis=1)


def ice_along_path(
    source_z: Float[Array, ""], dom_z: Float[Array, " D"]
) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
    """Computes mean scattering and absorption lengths on straight lines from a source to DOMs.

    Inverse lengths are averaged; the ice depends on depth alone (table SPICE-Mie).

    Args:
      source_z: z of the source, scalar, m.
      dom_z: z of the DOMs [D], m.

    Returns:
      Effective scattering lengths [D] and absorption lengths [D], m.
    """
    first, step, table = _table()
    fractions = (jnp.arange(PATH_POINTS, dtype=dom_z.dtype) + 0.5) / PATH_POINTS
    depth = constants.DETECTOR_SURFACE - (source_z + (dom_z - source_z)[:, None] * fractions[None])
    position = jnp.clip((depth - first) / step, 0, len(table) - 1.001)
    below = jnp.floor(position).astype(jnp.int32)
    part = (position - below)[..., None]
    values = jnp.asarray(table, dom_z.dtype)
    inverse = jnp.mean(values[below] * (1 - part) + values[below + 1] * part, axis=1)
    return 1 / inverse[:, 0], 1 / inverse[:, 1]
