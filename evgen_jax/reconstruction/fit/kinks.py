"""Ways on from a kink of a function, where its gradient leads across and not along."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

ROUNDING = 1e-13
"""Rounding error of products of vectors whose largest component is 1."""
STEPS_PER_VECTOR = 4
"""Largest number of changes of the support per vector; a vector mostly enters once, and leaves at most once."""


def step_along_kink(
    gradient: Float[Array, " n"], around: Float[Array, "n n"], reach: Float[Array, ""]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """A step that descends on all sides of a kink, and the slope along it.

    Against the shortest vector in the convex hull of the gradients around a point (Burke, Lewis & Overton, SIAM J.
    Optim. 15, 751 (2005)).

    Args:
      gradient: [n], at the point.
      around: [n, n], gradients at points around it; those that are not finite do not count.
      reach: length of the step, scalar.

    Returns:
      [n] and a scalar.
    """
    usable = jnp.all(jnp.isfinite(around), axis=1, keepdims=True)
    shortest = shortest_in_hull(jnp.concatenate([gradient[None], jnp.where(usable, around, gradient)]))
    length = jnp.maximum(jnp.linalg.norm(shortest), 1e-300)
    return -shortest * (reach / length), -reach * length


def shortest_in_hull(vectors: Float[Array, "k n"]) -> Float[Array, " n"]:
    """Finds the shortest convex combination of vectors (Wolfe, Math. Program. 11, 128 (1976)).

    Args:
      vectors: [k, n].

    Returns:
      The combination [n].
    """
    count = len(vectors)
    scale = jnp.maximum(jnp.max(jnp.abs(vectors)), 1e-300)
    rows = vectors / scale
    products = rows @ rows.T
    first = jnp.arange(count) == jnp.argmin(jnp.diag(products))

    def change(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        weights, support, _, number = carry
        # The shortest affine combination of the vectors in the support; others have rows of the identity.
        both = support[:, None] & support[None]
        matrix = jnp.where(both, products + 1, 0.0) + jnp.diag(jnp.where(support, ROUNDING, 1.0))
        affine = jax.scipy.linalg.solve(matrix, support.astype(rows.dtype), assume_a="pos")
        affine = affine / jnp.sum(affine)
        outside = support & (affine <= 0)
        # It lies outside of the hull: towards it up to the boundary, where a vector leaves the support.
        share = jnp.where(outside, weights / jnp.where(outside, weights - affine, 1.0), 1.0)
        leaving = outside & (share <= jnp.min(share))
        moved = jnp.where(leaving, 0.0, weights + jnp.min(share) * (affine - weights))
        # It lies inside: the vector that is least along it enters, unless none is less than itself.
        along = products @ affine
        entering = jnp.argmin(along)
        done = (along[entering] >= affine @ along - ROUNDING) | support[entering]
        inside = ~jnp.any(outside)
        weights = jnp.where(inside, affine, moved)
        support = jnp.where(inside, support | (~done & (jnp.arange(count) == entering)), support & ~leaving)
        return weights, support, inside & done, number + 1

    def goes_on(carry: tuple[Array, Array, Array, Array]) -> Array:
        return ~carry[2] & (carry[3] < STEPS_PER_VECTOR * count)

    begin = (first.astype(rows.dtype), first, jnp.zeros((), bool), jnp.zeros((), jnp.int32))
    weights, *_ = jax.lax.while_loop(goes_on, change, begin)
    return scale * (weights @ rows)
