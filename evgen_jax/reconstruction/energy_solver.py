"""The convex problem of an unfolding: energies >= 0 of segments whose light per GeV is known."""

import numpy as np
from scipy import linalg, optimize

SMALLEST_ENERGY = 1.0
"""Least energy at which light per GeV is computed, GeV."""
MAX_NEWTON = 50
"""Largest number of Newton steps."""
RIDGE = 1e-4
"""Least share by which the diagonal of the curvature is raised."""
CONVERGED = 1e-3
"""Newton decrement, in log-likelihood, below which the minimisation has converged."""


def solve(
    start: np.ndarray,
    charge: np.ndarray,
    norm: np.ndarray,
    density: np.ndarray,
    dark: np.ndarray,
    smooth: float,
    em_steps: int,
) -> tuple[np.ndarray, optimize.OptimizeResult]:
    """Expectation maximisation, which is robust, then Newton's method with the bounds, which converges.

    A Newton step minimises the local parabola within the bounds, a non-negative least-squares problem, among the
    energies that are not held at 0 by their gradient.

    Args:
      start: [N], energies to begin with, GeV.
      charge: [P], of the pulses, PE.
      norm: [N], expected charge per GeV at all usable modules, PE / GeV.
      density: [N, P], expected charge per GeV and ns at the pulses, PE / (GeV ns).
      dark: [P], expected charge per ns of all else, above 0, PE / ns.
      smooth: weight of the squared differences of neighbouring energies, in units of their mean; 0 for none.
      em_steps: number of steps of expectation maximisation.

    Returns:
      Energies [N], GeV, and SciPy's record of the minimisation: fun, success, message.
    """
    energies, seen = start.copy(), norm > 0
    narrow = density.astype(np.float32)  # the matrix products are most of the time; EM needs no more digits
    for _ in range(em_steps):
        ratio = narrow @ (charge / (dark + energies.astype(np.float32) @ narrow)).astype(np.float32)
        energies = np.where(seen, energies * ratio / np.where(seen, norm, 1), 0.0)
    scale = max(float(energies.mean()), SMALLEST_ENERGY)
    rough = _second_differences(len(start)) * smooth if smooth else None

    def loss(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        light = dark + (x * scale) @ density
        value = float(norm @ x) * scale - float(charge @ np.log(light))
        gradient = scale * (norm - density @ (charge / light))
        if rough is not None:
            value, gradient = value + float(x @ rough @ x), gradient + 2 * rough @ x
        return value, gradient, light

    x = energies / scale
    value, gradient, light = loss(x)
    for iteration in range(MAX_NEWTON):  # noqa: B007
        free = (x > 0) | (gradient < 0)
        if not free.any():
            break
        # The curvature sum_j c_j s_ij s_kj / light_j^2 of the free energies, in single precision; neighbours are nearly
        # the same, so that rounding is kept from making it negative.
        rows = narrow[free] * (np.sqrt(charge) * scale / light).astype(np.float32)
        curvature = (rows @ rows.T).astype(np.float64)
        if rough is not None:
            curvature += 2 * rough[np.ix_(free, free)]
        factor, curvature = _cholesky(curvature)
        target = linalg.solve_triangular(factor, curvature @ x[free] - gradient[free], trans="T")
        step = np.zeros_like(x)
        step[free] = optimize.nnls(factor, target, maxiter=30 * len(start))[0] - x[free]
        slope, length = float(gradient @ step), 1.0
        if -slope < CONVERGED:
            break
        while length > 1e-6:
            tried = loss(x + length * step)
            if tried[0] <= value + 1e-4 * length * slope:
                break
            length /= 2
        else:
            break
        x, (value, gradient, light) = x + length * step, tried
    converged = not free.any() or -slope < CONVERGED
    message = "converged" if converged else f"not converged in {iteration + 1} Newton steps"
    return x * scale, optimize.OptimizeResult(fun=value, success=converged, message=message)


def _cholesky(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper factor of a Gram matrix in single precision with the smallest ridge that makes it positive, and that sum.

    Rows of segments with nearly the same light leave eigenvalues of the size of rounding errors, which may be negative.
    """
    ridge, places = RIDGE, np.diag_indices_from(matrix)
    while True:
        raised = matrix.copy()
        raised[places] = raised[places] * (1 + ridge) + np.finfo(np.float64).tiny
        try:
            return linalg.cholesky(raised), raised
        except linalg.LinAlgError:
            if not ridge < 1:  # also of NaN
                raise
            ridge *= 10


def _second_differences(size: int) -> np.ndarray:
    """The matrix M of sum_i (x_{i+1} - x_i)^2 = x M x."""
    difference = np.diff(np.eye(size), axis=0)
    return difference.T @ difference
