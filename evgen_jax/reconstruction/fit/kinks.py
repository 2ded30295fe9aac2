"""Ways on from a kink of a function, where its gradient leads across and not along."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import nnls

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(numbers of the problems [m], unknowns [m, n]) -> values [m], gradients [m, n]."""


def steps_along_kinks(
    evaluate: Evaluate, problems: np.ndarray, x: np.ndarray, gradient: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Steps [m, n] that descend on all sides of a kink near x [m, n], and the slopes [m] along them; n evaluations.

    Against the shortest vector in the convex hull of the gradients around x (Burke, Lewis & Overton, SIAM J. Optim. 15, 751
    (2005)), with the length `reach`.
    """
    count, size = x.shape
    downhill = np.where(gradient > 0, -reach, reach)
    shifted = (x[:, None, :] + downhill[:, :, None] * np.eye(size)).reshape(-1, size)
    _, around = evaluate(np.repeat(problems, size), shifted)
    around = np.concatenate([gradient[:, None], around.reshape(count, size, size)], axis=1)
    around = np.where(np.all(np.isfinite(around), axis=2, keepdims=True), around, gradient[:, None])
    shortest = np.stack([_shortest_in_hull(own) for own in around])
    length = np.maximum(np.linalg.norm(shortest, axis=1), 1e-300)
    return -shortest * (reach / length)[:, None], -reach * length


def _shortest_in_hull(vectors: np.ndarray) -> np.ndarray:
    """The shortest convex combination [n] of vectors [k, n]."""
    scale = max(float(np.max(np.abs(vectors))), 1e-300)
    # Weights are not negative, and a heavy last equation makes their sum 1.
    rows = np.vstack([vectors.T / scale, np.full(len(vectors), 1e3)])
    weights, _ = nnls(rows, np.append(np.zeros(vectors.shape[1]), 1e3))
    return weights @ vectors / max(weights.sum(), 1e-300)
