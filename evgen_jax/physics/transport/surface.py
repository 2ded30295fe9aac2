"""Smooth surfaces over distance and angle: bicubic B-splines with a limit close to the source and one far away.

Values and their first and second derivatives are continuous everywhere, since fits differentiate twice.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
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


def _basis(position: Array, intervals: int, order: int = 0) -> tuple[Array, Array]:
    """Number of the first of four coefficients, and a derivative of the four cubic B-splines [..., 4] at places in knots."""
    knot = jnp.clip(jnp.floor(position), 0, intervals - 1)
    t = position - knot
    s, one = 1 - t, jnp.ones_like(t)
    values = {
        0: (s**3 / 6, t**2 * (t - 2) / 2 + 2 / 3, s**2 * (s - 2) / 2 + 2 / 3, t**3 / 6),
        1: (-(s**2) / 2, t * (3 * t - 4) / 2, -s * (3 * s - 4) / 2, t**2 / 2),
        2: (s, 3 * t - 2, 3 * s - 2, t),
        3: (-one, 3 * one, -3 * one, one),
    }.get(order, (0 * one,) * 4)
    return knot.astype(jnp.int32), jnp.stack(values, axis=-1)


def _places(grid: Grid, log_distance: Array, cosine: Array) -> tuple[Array, Array]:
    """Places in knots along ln r and cos theta."""
    first, last = np.log(grid.distance) + TRANSITION / 2 * np.array([-1, 1])
    start, end = _warped(grid, -1.0), _warped(grid, 1.0)
    along_distance = (log_distance - float(first)) * float(grid.distances / (last - first))
    return along_distance, (_warped(grid, cosine) - start) * (grid.cosines / (end - start))


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
    along_distance, along_cosine = _places(grid, log_distance, cosine)
    i, u = _basis(along_distance, grid.distances)
    j, v = _basis(along_cosine, grid.cosines)
    return i, j, u, v


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
    place = _places(grid, log_distance, cosine)
    flat = jax.tree.map(jnp.ravel, jnp.broadcast_arrays(*place))
    values = _splines(jnp.asarray(coefficients, flat[0].dtype), *flat, (0, 0))
    return values.reshape(*jnp.broadcast_shapes(*map(jnp.shape, place)), coefficients.shape[-1])


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def _splines(coefficients: Array, first: Array, second: Array, orders: tuple[int, int]) -> Array:
    """Derivatives [N, Q] of the given orders of surfaces at places [N] in knots, each with derivatives of its own.

    Derivatives are those of the splines: transposing the gathering of coefficients would take five times as long.
    """
    i, along_first = _basis(first, coefficients.shape[0] - 3, orders[0])
    j, along_second = _basis(second, coefficients.shape[1] - 3, orders[1])
    size = (4, 4, coefficients.shape[-1])
    near = jax.vmap(lambda i, j: jax.lax.dynamic_slice(coefficients, (i, j, jnp.zeros_like(i)), size))(i, j)
    return jnp.einsum("nb,nbq->nq", along_second, jnp.einsum("na,nabq->nbq", along_first, near))


def _splines_jvp(orders: tuple[int, int], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Any]:
    coefficients, first, second = primals
    parts = []
    for tangent, own in zip(tangents[1:], ((1, 0), (0, 1)), strict=True):
        if not isinstance(tangent, SymbolicZero):
            slope = _splines(coefficients, first, second, (orders[0] + own[0], orders[1] + own[1]))
            parts.append(slope * tangent[:, None])
    if not isinstance(tangents[0], SymbolicZero):
        parts.append(_splines(tangents[0], first, second, orders))
    value = _splines(coefficients, first, second, orders)
    return value, sum(parts, jnp.zeros_like(value))


_splines.defjvp(_splines_jvp, symbolic_zeros=True)
