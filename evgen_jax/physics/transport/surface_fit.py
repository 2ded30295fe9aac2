"""Fits of smooth surfaces to means over cells: rows of B-splines at points in the cells, and a penalty of curvature."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from evgen_jax.physics.transport.cells import Cells
from evgen_jax.physics.transport.surface import Grid, basis


class CellPoints(NamedTuple):
    """Gauss-Legendre points in the C cells of r and cos theta, two along each, in the order [distances, cosines].

    Attributes:
      log_distance: ln r of the points [C, 4], float64.
      cosine: cos theta of the points [C, 4], float64.
      weight: of the points [C, 4], float64: sum(weight * 4 pi r^2 fluence) is 4 pi r^2 at the geometric middle of the
        cell times the mean of the fluence over the cell's volume.
    """

    log_distance: np.ndarray
    cosine: np.ndarray
    weight: np.ndarray


def cell_points(cells: Cells) -> CellPoints:
    """Makes the points of the cells of a table.

    Args:
      cells: of the table.

    Returns:
      Four points per cell.
    """
    node = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3)
    edges, cosines = np.log(cells.distance_edges), cells.cosine_edges
    x = edges[:-1, None] + node * np.diff(edges)[:, None]
    c = cosines[:-1, None] + node * np.diff(cosines)[:, None]
    middle = (edges[1:] + edges[:-1])[:, None]  # twice ln of the geometric middle
    # r^2 dr = r^3 dx, and the fluence is exp(-2 x) times the surface.
    shells = np.diff(cells.distance_edges**3)[:, None] / 3
    weight = np.exp(middle + x) * np.diff(edges)[:, None] / 2 / shells
    shape = (cells.distances, cells.cosines, 2, 2)

    def per_cell(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, shape).reshape(-1, 4).copy()

    return CellPoints(
        per_cell(x[:, None, :, None]), per_cell(c[None, :, None, :]), per_cell(weight[:, None, :, None] / 2)
    )


def design(grid: Grid, log_distance: np.ndarray, cosine: np.ndarray) -> sparse.csr_array:
    """Computes the B-splines at points, as a matrix.

    Args:
      grid: of the surface.
      log_distance: ln r, any shape of n entries.
      cosine: cos theta, of the shape of `log_distance`.

    Returns:
      Matrix [n, coefficients]; its product with flattened coefficients [distances + 3, cosines + 3] is the surface.
    """
    with jax.enable_x64(True):
        places = (jnp.asarray(log_distance.ravel()), jnp.asarray(cosine.ravel()))
        i, j, u, v = (np.asarray(part) for part in basis(grid, *places))
    column = (i[:, None, None] + np.arange(4)[:, None]) * grid.shape[1] + j[:, None, None] + np.arange(4)
    row = np.broadcast_to(np.arange(len(i))[:, None, None], column.shape)
    values = u[:, :, None] * v[:, None, :]
    return sparse.csr_array(
        (values.ravel(), (row.ravel(), column.ravel())), shape=(len(i), grid.shape[0] * grid.shape[1])
    )


def curvature(grid: Grid) -> sparse.csr_array:
    """Computes the penalty of a surface: the sum of squares of second differences of coefficients along both axes.

    Args:
      grid: of the surface.

    Returns:
      Symmetric matrix [coefficients, coefficients].
    """
    first, second = (sparse.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(n - 2, n)) for n in grid.shape)
    along = sparse.vstack(
        [sparse.kron(first, sparse.eye_array(grid.shape[1])), sparse.kron(sparse.eye_array(grid.shape[0]), second)]
    )
    return sparse.csr_array(along.T @ along)


def solve(matrix: sparse.sparray, right: np.ndarray) -> np.ndarray:
    """Solves a symmetric positive definite system with a narrow band, on one thread.

    Cholesky's method of LAPACK has the same number of operations, but its threads wait for each other in small systems.

    Args:
      matrix: [n, n].
      right: [n].

    Returns:
      Solution [n].
    """
    factors = splu(
        sparse.csc_array(matrix), permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    return factors.solve(right)


def fit_means(rows: sparse.sparray, values: np.ndarray, error: np.ndarray, penalty: sparse.sparray) -> np.ndarray:
    """Fits coefficients of a surface to values that are linear in them.

    Args:
      rows: [n, coefficients].
      values: [n].
      error: standard errors of the values [n].
      penalty: matrix of the quadratic penalty [coefficients, coefficients].

    Returns:
      Coefficients.
    """
    weighted = sparse.diags_array(1 / error**2) @ rows
    return solve(rows.T @ weighted + penalty, weighted.T @ values)


def fit_logarithm(
    rows: sparse.sparray, weight: np.ndarray, values: np.ndarray, error: np.ndarray, penalty: sparse.sparray
) -> np.ndarray:
    """Fits a surface whose exponential has given means over cells, by Gauss-Newton steps.

    Args:
      rows: B-splines at the points of the cells [C * points, coefficients].
      weight: of the points [C, points].
      values: logarithm of the weighted sum of the exponential over the points of a cell [C].
      error: standard errors of the values [C].
      penalty: matrix of the quadratic penalty [coefficients, coefficients].

    Returns:
      Coefficients.
    """
    count = weight.shape[1]
    share = weight / weight.sum(axis=1, keepdims=True)
    target = values - np.log(weight.sum(axis=1))
    coefficients = np.zeros(rows.shape[1])
    for number in range(30):
        surface = (rows @ coefficients).reshape(weight.shape)
        largest = surface.max(axis=1, keepdims=True)
        parts = share * np.exp(surface - largest)
        total = parts.sum(axis=1, keepdims=True)
        mean = (np.log(total) + largest)[:, 0]
        slopes = joined(rows, parts / total, count)
        step = fit_means(slopes, target - mean + slopes @ coefficients, error, penalty) - coefficients
        coefficients = coefficients + step
        if number and np.max(np.abs(step)) < 1e-8:
            break
    return coefficients


def joined(rows: sparse.sparray, share: np.ndarray, count: int) -> sparse.csr_array:
    """Sums the rows of the points of each cell with the shares [C, points] of the points."""
    number = len(share)
    sums = sparse.csr_array((share.ravel(), np.arange(number * count), np.arange(0, number * count + 1, count)))
    return sparse.csr_array(sums @ rows)
