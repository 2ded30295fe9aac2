"""Hessians by differences of gradients."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

Gradients = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(numbers of the problems [m], unknowns [m, n]) -> values [m], gradients [m, n]."""
DIFFERENCE = 1e-3
"""Step size of forward differences, normalised units; with gradients in float32 Hessians are exact to some percent."""


def differenced_hessian(
    evaluate: Gradients,
    problems: Int[np.ndarray, " m"],
    x: Float[np.ndarray, "m n"],
    gradient: Float[np.ndarray, "m n"],
    step: float = DIFFERENCE,
) -> Float[np.ndarray, "m n n"]:
    """Hessians by forward differences: n evaluations per problem.

    Args:
      evaluate: values and gradients.
      problems: [m], numbers of the problems.
      x: [m, n].
      gradient: [m, n], at x.
      step: of the differences, in the units of the unknowns.

    Returns:
      [m, n, n], symmetric.
    """
    count, size = x.shape
    shifted = (x[:, None, :] + step * np.eye(size)).reshape(-1, size)
    _, further = evaluate(np.repeat(problems, size), shifted)
    hessian = (further.reshape(count, size, size) - gradient[:, None, :]) / step
    return (hessian + np.swapaxes(hessian, 1, 2)) / 2


def central_hessian(
    evaluate: Gradients, problems: Int[np.ndarray, " m"], x: Float[np.ndarray, "m n"], steps: Float[np.ndarray, "m n"]
) -> Float[np.ndarray, "m n n"]:
    """Hessians by central differences: 2 n evaluations per problem, errors of second order.

    Args:
      evaluate: values and gradients.
      problems: [m], numbers of the problems.
      x: [m, n].
      steps: [m, n], of the differences, in the units of the unknowns.

    Returns:
      [m, n, n], symmetric.
    """
    count, size = x.shape
    moves = steps[:, :, None] * np.eye(size)
    shifted = np.stack([x[:, None, :] + moves, x[:, None, :] - moves], axis=1).reshape(-1, size)
    _, gradients = evaluate(np.repeat(problems, 2 * size), shifted)
    above, below = np.moveaxis(gradients.reshape(count, 2, size, size), 1, 0)
    hessian = (above - below) / (2 * steps[:, :, None])
    return (hessian + np.swapaxes(hessian, 1, 2)) / 2
