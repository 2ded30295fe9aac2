"""Approximate inverse Hessians: the first ones, their updates, the steps that they give."""

import jax.numpy as jnp
from jaxtyping import Array, Float

FLATTEST = 1e-6
"""Least curvature, as a share of the largest one."""
SMALLEST = 1e-12
"""Least curvature where all of them vanish."""
LEAST_CURVATURE = 1e-10
"""Cosine between a step and the change of the gradient below which no update is made."""


def newton_step(
    inverse: Float[Array, "n n"], gradient: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """Computes the quasi-Newton step.

    Args:
      inverse: [n, n], approximate inverse Hessian.
      gradient: [n].

    Returns:
      Step [n], and the slope of the function along it, scalar.
    """
    step = -inverse @ gradient
    return step, gradient @ step


def plain_inverse(gradient: Float[Array, " n"], length: float) -> Float[Array, "n n"]:
    """Makes a multiple of the identity that bounds the first step.

    Args:
      gradient: [n].
      length: largest length of the step; a gradient that is shorter gives a step of the gradient's length.

    Returns:
      Inverse Hessian [n, n].
    """
    norm = jnp.maximum(jnp.linalg.norm(gradient), 1e-12)
    return jnp.eye(len(gradient), dtype=gradient.dtype) * jnp.minimum(length / norm, 1.0)


def inverse_by_differences(
    gradient: Float[Array, " n"], columns: Float[Array, "n n"], difference: float
) -> Float[Array, "n n"]:
    """Computes an inverse Hessian from gradients at forward differences.

    Args:
      gradient: [n], at a point.
      columns: [n, n], row i at the point that is moved by `difference` along unknown i.
      difference: step size, in the units of the unknowns.

    Returns:
      Positive definite matrix [n, n]: negative curvatures count with their absolute value. Where a curvature is not
      finite, a multiple of the identity with which the first step has length 0.1 or less.
    """
    hessian = (columns - gradient[None]) / difference
    hessian = (hessian + hessian.T) / 2
    usable = jnp.all(jnp.isfinite(hessian))
    values, vectors = jnp.linalg.eigh(jnp.where(usable, hessian, jnp.eye(len(gradient), dtype=gradient.dtype)))
    magnitude = jnp.abs(values)
    values = jnp.maximum(magnitude, FLATTEST * jnp.max(magnitude) + SMALLEST)
    return jnp.where(usable, (vectors / values[None]) @ vectors.T, plain_inverse(gradient, 0.1))


def updated(inverse: Float[Array, "n n"], step: Float[Array, " n"], change: Float[Array, " n"]) -> Float[Array, "n n"]:
    """Updates an inverse Hessian (BFGS).

    Args:
      inverse: [n, n].
      step: [n], of the unknowns.
      change: [n], of the gradient over the step.

    Returns:
      [n, n]; the given matrix where the curvature along the step is not positive.
    """
    product = step @ change
    usable = product > LEAST_CURVATURE * jnp.linalg.norm(step) * jnp.linalg.norm(change)
    rho = jnp.where(usable, 1 / jnp.where(usable, product, 1.0), 0.0)
    # (1 - rho s y^T) H (1 - rho y s^T) + rho s s^T, one factor after the other: n^2 operations.
    half = inverse - rho * jnp.outer(step, change @ inverse)
    whole = half - rho * jnp.outer(half @ change, step) + rho * jnp.outer(step, step)
    return jnp.where(usable, whole, inverse)
