"""Cells of a light table, and the track length of photons in them: ln r, cos theta and ln delay.

r is the distance from the source, theta the angle between the source's axis and the way out, the delay is the path minus
r; all lengths are in effective scattering lengths.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax.physics.transport.steps import Points

COMPONENTS = 3
"""Sums per cell: track length, and track length times the photon's direction along the way out and towards larger theta."""


@dataclass(frozen=True)
class Cells:
    """Says where the cells of a light table lie.

    Attributes:
      distances: number of cells in ln r.
      distance: first and last edge of r, in effective scattering lengths.
      cosines: number of cells in cos theta, of equal width.
      delays: number of cells of the delay: one below `delay[0]`, the others of equal width in ln delay.
      delay: end of the first cell and of the last one, in effective scattering lengths.
    """

    distances: int = 72
    distance: tuple[float, float] = (0.03, 12.0)
    cosines: int = 40
    delays: int = 64
    delay: tuple[float, float] = (1e-4, 20.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Returns the numbers of cells in r, cos theta and delay."""
        return self.distances, self.cosines, self.delays

    @property
    def longest_path(self) -> float:
        """Returns the path at which photons have left every cell for ever; cut earlier, light far away is missing."""
        return self.distance[1] + self.delay[1]

    @property
    def distance_edges(self) -> np.ndarray:
        """Returns the edges of r [distances + 1], float64."""
        return np.geomspace(*self.distance, self.distances + 1)

    @property
    def cosine_edges(self) -> np.ndarray:
        """Returns the edges of cos theta [cosines + 1], float64."""
        return np.linspace(-1, 1, self.cosines + 1)

    @property
    def delay_edges(self) -> np.ndarray:
        """Returns the edges of the delay [delays + 1], float64; the first is 0."""
        return np.concatenate([[0.0], np.geomspace(*self.delay, self.delays)])

    @property
    def volumes(self) -> np.ndarray:
        """Returns the volumes of the cells [distances, cosines], float64, in cubic effective scattering lengths."""
        shells = np.diff(self.distance_edges**3) / 3
        return 2 * np.pi * shells[:, None] * np.diff(self.cosine_edges)[None]

    def zeros(self) -> Array:
        """Returns sums of no photons [cells + 1, 3], float32; the last row is for points outside of all cells."""
        return jnp.zeros((int(np.prod(self.shape)) + 1, COMPONENTS), jnp.float32)

    def add(self, sums: Array, points: Points) -> Array:
        """Adds the track lengths of points to the sums of their cells.

        Args:
          sums: [cells + 1, 3], float32.
          points: of N photons.

        Returns:
          Sums [cells + 1, 3], float32.
        """
        (x, y, z), (u, v, w) = points.position, points.direction
        square = jnp.maximum(x * x + y * y + z * z, 1e-30)
        inverse = 1 / jnp.sqrt(square)
        cosine = jnp.clip(z * inverse, -1, 1)
        delay = points.path - square * inverse
        first, last = np.log(self.distance)
        i = jnp.floor((0.5 * jnp.log(square) - float(first)) * float(self.distances / (last - first)))
        j = jnp.clip(jnp.floor((cosine + 1) * (self.cosines / 2)), 0, self.cosines - 1)
        early, late = np.log(self.delay)
        # Rounding makes the delay of unscattered light a little negative.
        k = jnp.floor((jnp.log(jnp.maximum(delay, 1e-9)) - float(early)) * float((self.delays - 1) / (late - early)))
        k = jnp.maximum(k + 1, 0)
        inside = (i >= 0) & (i < self.distances) & (k < self.delays)
        # Whole numbers below 2^24 are exact in float32.
        cell = jnp.where(inside, (i * self.cosines + j) * self.delays + k, float(np.prod(self.shape)))
        out = (x * u + y * v + z * w) * inverse
        # Sines below the width of a cell happen on the axis alone, where the component vanishes.
        across = (cosine * out - w) / jnp.sqrt(jnp.maximum((1 - cosine) * (1 + cosine), 1e-7))
        values = jnp.stack([points.weight, points.weight * out, points.weight * across], axis=-1)
        return sums.at[cell.astype(jnp.int32)].add(values, mode="promise_in_bounds")
