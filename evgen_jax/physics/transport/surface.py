"""Smooth surfaces over distance and angle: bicubic B-splines with a limit close to the source and one far away.

Values and their first and second derivatives are continuous everywhere, since fits differentiate twice.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

TRANSITION = 0.2
"""Width in ln r, beyond the first and last distance, over which a surface becomes constant."""
SOFTENING = 1 / 30
"""Length added in quadrature to distances, in units of the first distance, so that derivatives are finite at r = 0."""


@dataclass(frozen=True)
class Grid:
    """Says where the knots of a surface lie: evenly in ln r, and in cos theta closer around one angle.

    Attributes:
      distance: first and last distance with data, in effective scattering lengths.
      distances: number of intervals between knots in ln r.
      cosines: number of intervals between knots in cos theta.
      centre: cosine around which knots are closer, that of the Cherenkov angle.
      width: of the region where knots are closer, in cos theta.
      closer: number of knots per cosine at `centre`, minus one, in units of that far from it.
    """

    distance: tuple[float, float]
    distances: int
    cosines: int
    centre: float
    width: float = 0.15
    closer: float = 2.0

    @property
    def shape(self) -> tuple[int, int]:
        """Returns the numbers of coefficients along ln r and cos theta."""
        return self.distances + 3, self.cosines + 3


def _beyond(excess: Array) -> Array:
    """Rises from 0 at an excess of 0 to excess - TRANSITION / 2 where it is large, three times differentiable."""
    u = jnp.clip(excess / TRANSITION, 0, 1)
    return jnp.maximum(excess - TRANSITION, 0) + TRANSITION * u**4 * (2.5 + u * (u - 3))


def _warped(grid: Grid, cosine: Array | float) -> Array:
    return cosine + grid.closer * grid.width * jnp.arctan((cosine - grid.centre) / grid.width)


def _basis(position: Array, intervals: int) -> tuple[Array, Array]:
    """Number of the first of four coefficients, and the four cubic B-splines [..., 4] at a position in knots."""
    knot = jnp.clip(jnp.floor(position), 0, intervals - 1)
    t = position - knot
    s = 1 - t
    values = (s**3, 3 * t**2 * (t - 2) + 4, 3 * s**2 * (s - 2) + 4, t**3)
    return knot.astype(jnp.int32), jnp.stack(values, axis=-1) / 6


def split_distance(
    grid: Grid, distance: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Splits ln r into the place where surfaces are read and how far the receiver is beyond.

    Args:
      grid: of the surfaces.
      distance: r >= 0, in effective scattering lengths, shape (...).

    Returns:
      ln r of the place where surfaces are read, and how much ln r is smaller and larger than that, both >= 0 and exactly
      0 between the first and last distance; shape (...) each.
    """
    first, last = np.log(grid.distance)
    x = 0.5 * jnp.log(distance**2 + (SOFTENING * grid.distance[0]) ** 2)
    closer, further = _beyond(jnp.maximum(float(first) - x, 0)), _beyond(jnp.maximum(x - float(last), 0))
    return x + closer - further, closer, further


def basis(
    grid: Grid, log_distance: Float[Array, "*shape"], cosine: Float[Array, "*shape"]
) -> tuple[Int32[Array, "*shape"], Int32[Array, "*shape"], Float[Array, "*shape 4"], Float[Array, "*shape 4"]]:
    """Computes the B-splines that are not zero at a place.

    Args:
      grid: of the surface.
      log_distance: ln r as `split_distance` returns it, shape (...).
      cosine: of theta, in [-1, 1], shape (...).

    Returns:
      Numbers of the first coefficient along ln r and cos theta, int32 (...), and the B-splines (..., 4) along each.
    """
    first, last = np.log(grid.distance) + TRANSITION / 2 * np.array([-1, 1])
    position = (log_distance - float(first)) * float(grid.distances / (last - first))
    i, along_distance = _basis(position, grid.distances)
    start, end = _warped(grid, -1.0), _warped(grid, 1.0)
    position = (_warped(grid, cosine) - start) * (grid.cosines / (end - start))
    j, along_cosine = _basis(position, grid.cosines)
    return i, j, along_distance, along_cosine


def surface_values(
    grid: Grid,
    coefficients: Float[Array, "distances cosines Q"],
    log_distance: Float[Array, "*shape"],
    cosine: Float[Array, "*shape"],
) -> Float[Array, "*shape Q"]:
    """Computes several surfaces at a place.

    Args:
      grid: of the surfaces.
      coefficients: [distances + 3, cosines + 3, Q].
      log_distance: ln r as `split_distance` returns it, shape (...).
      cosine: of theta, in [-1, 1], shape (...).

    Returns:
      Values (..., Q).
    """
    i, j, along_distance, along_cosine = basis(grid, log_distance, cosine)
    coefficients = jnp.asarray(coefficients, along_distance.dtype)

    def one(i: Array, j: Array, u: Array, v: Array) -> Array:
        near = jax.lax.dynamic_slice(coefficients, (i, j, jnp.zeros_like(i)), (4, 4, coefficients.shape[-1]))
        return jnp.einsum("a,b,abq->q", u, v, near)

    for _ in range(jnp.ndim(i)):
        one = jax.vmap(one)
    return one(i, j, along_distance, along_cosine)
