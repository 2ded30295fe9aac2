"""Fits of gamma distributions to the delays of photons: smooth in distance and angle, all cells at once."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import sparse

from evgen_jax.numerics import log_gamma
from evgen_jax.physics.transport.cells import Cells
from evgen_jax.physics.transport.light_table import GAMMAS
from evgen_jax.physics.transport.surface_fit import joined, solve

PARAMETERS = 3 * GAMMAS - 1
"""Numbers per place: logits of all weights but the last, log shapes, log rates."""
LARGEST_DAMPING = 1e4
"""Damping of a step, in units of the second derivatives, beyond which a fit has converged."""
_BEYOND = 3.0
"""Logarithm of how far beyond the last delay the distributions are integrated."""


class DelayData(NamedTuple):
    """Distribution of the delay in cells.

    Attributes:
      share: of the photons in each cell of the delay [C, delays], float64; sums to 1 per cell.
      late: logarithm of the factor that absorption at the table's reference applies to a cell of the delay [delays].
      photons: number of photons that a cell counts as [C].
    """

    share: Array | np.ndarray
    late: Array | np.ndarray
    photons: Array | np.ndarray


@lru_cache(maxsize=8)
def _quadrature(cells: Cells) -> tuple[np.ndarray, float]:
    """Logarithms of two Gauss-Legendre points in every cell but the first, and beyond the last; half a cell's width."""
    first, last = np.log(cells.delay)
    width = (last - first) / (cells.delays - 1)
    edges = first + width * np.arange(cells.delays + int(np.ceil(_BEYOND / width)))
    node = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3)
    return edges[:-1, None] + width * node, width / 2


def delay_shares(
    cells: Cells, absorption: float, parameters: Float[Array, "*shape 8"]
) -> Float[Array, "*shape delays"]:
    """Computes how much light without absorption comes in each cell of the delay, in units of all light with absorption.

    Args:
      cells: of the table.
      absorption: at which the weights of the gamma distributions hold, times the effective scattering length.
      parameters: [..., 8].

    Returns:
      Light in the cells [..., delays].
    """
    points, half = _quadrature(cells)
    logits = jnp.concatenate([parameters[..., : GAMMAS - 1], jnp.zeros_like(parameters[..., :1])], axis=-1)
    log_shape, log_rate = parameters[..., GAMMAS - 1 : 2 * GAMMAS - 1], parameters[..., 2 * GAMMAS - 1 :]
    shape, rate = jnp.exp(log_shape), jnp.exp(log_rate) + absorption
    log_norm = jax.nn.log_softmax(logits) + shape * jnp.log(rate) - log_gamma(shape)
    place = parameters.shape[:-1]
    points = points.reshape(*[1] * len(place), *points.shape)

    def density(number: int) -> Array:
        norm, a, b = (v[..., number, None, None] for v in (log_norm, shape, rate))
        return jnp.exp(norm + a * points - b * np.exp(points))

    total = density(0)
    for number in range(1, GAMMAS):
        total = total + density(number)
    total = total * half
    # Of the first cell, where shapes below 1 are singular, the light is what the others leave.
    first = jnp.maximum(1 - jnp.sum(total, axis=(-2, -1)), 1e-12)
    seen = slice(cells.delays - 1)
    free = jnp.sum(total[..., seen, :] * np.exp(absorption * np.exp(points[..., seen, :])), axis=-1)
    return jnp.concatenate([first[..., None], free.reshape(*place, -1)], axis=-1)


def _cell_shares(cells: Cells, absorption: float, late: Array | np.ndarray, weight: Array, parameters: Array) -> Array:
    """Shares of the light with absorption among the delays of the table [C, delays], from parameters [C, points, 8]."""
    light = jnp.sum(delay_shares(cells, absorption, parameters) * weight[..., None], axis=-2) * jnp.exp(late)[None]
    return light / jnp.sum(light, axis=-1, keepdims=True)


@lru_cache(maxsize=8)
def _programs(cells: Cells, absorption: float) -> tuple[Callable[..., Array], Callable[..., tuple[Array, Array]]]:
    """Makes the deviance, and the function of its slopes and second derivatives."""

    def deviance(parameters: Array, weight: Array, data: DelayData) -> Array:
        expected = _cell_shares(cells, absorption, data.late, weight, parameters)
        seen = data.share * jnp.exp(data.late)[None]
        seen = seen / jnp.sum(seen, axis=-1, keepdims=True)
        ratio = jnp.where(seen > 0, seen, 1) / jnp.maximum(expected, 1e-30)
        return jnp.sum(data.photons[:, None] * jnp.where(seen > 0, seen * jnp.log(ratio), 0))

    def expansion(parameters: Array, weight: Array, data: DelayData) -> tuple[Array, Array]:
        def moved(tangent: Array) -> tuple[Array, Array]:
            return jax.jvp(
                lambda p: _cell_shares(cells, absorption, data.late, weight, p),
                (parameters,),
                (jnp.broadcast_to(tangent, parameters.shape),),
            )

        expected, slopes = jax.lax.map(moved, jnp.eye(PARAMETERS, dtype=parameters.dtype))
        scaled = slopes * jnp.sqrt(data.photons[None, :, None] / jnp.maximum(expected, 1e-9))
        return jax.grad(deviance)(parameters, weight, data), jnp.einsum("pcd,qcd->cpq", scaled, scaled)

    return jax.jit(deviance), jax.jit(expansion)


def fit_delays(
    cells: Cells,
    absorption: float,
    rows: sparse.sparray,
    weight: np.ndarray,
    data: DelayData,
    penalty: sparse.sparray,
    coefficients: np.ndarray,
    steps: int = 60,
) -> np.ndarray:
    """Fits the surfaces of the gamma distributions to the delays in all cells by damped Gauss-Newton steps.

    What is fitted is the light with absorption among the delays of the table: of that without, half comes so late that no
    detector sees it.

    Args:
      cells: of the table.
      absorption: at which the weights of the gamma distributions hold, times the effective scattering length.
      rows: B-splines at the points of the cells [C * points, coefficients].
      weight: share of the light of a cell at its points [C, points].
      data: of C cells.
      penalty: matrix of the quadratic penalty [coefficients, coefficients].
      coefficients: to begin with [coefficients, 8].
      steps: at most.

    Returns:
      Coefficients [coefficients, 8].
    """
    deviance, expansion = _programs(cells, absorption)
    # Second derivatives are those of cells whose points have equal parameters: they set the steps, not where steps end.
    spread = sparse.csr_array(sparse.kron(joined(rows, weight, weight.shape[1]), sparse.eye_array(PARAMETERS)))
    ridge = sparse.csr_array(sparse.kron(penalty, sparse.eye_array(PARAMETERS)))
    number = len(weight)

    def at(coefficients: np.ndarray) -> np.ndarray:
        return (rows @ coefficients).reshape(*weight.shape, PARAMETERS)

    def total(coefficients: np.ndarray) -> float:
        flat = coefficients.ravel()
        return float(deviance(at(coefficients), weight, data)) + 0.5 * float(flat @ (ridge @ flat))

    damping, best = 1.0, total(coefficients)
    for _ in range(steps):
        slope, curve = expansion(at(coefficients), weight, data)
        flat = coefficients.ravel()
        gradient = (rows.T @ np.asarray(slope).reshape(-1, PARAMETERS)).ravel() + ridge @ flat
        blocks = sparse.bsr_array((np.asarray(curve), np.arange(number), np.arange(number + 1)))
        matrix = spread.T @ (blocks @ spread) + ridge
        diagonal = matrix.diagonal()
        before = best
        while damping < LARGEST_DAMPING:
            step = solve(matrix + sparse.diags_array(damping * diagonal + 1e-9), -gradient)
            proposed = coefficients + step.reshape(coefficients.shape)
            value = total(proposed)
            if value < best:
                coefficients, best, damping = proposed, value, damping / 5
                break
            damping *= 5
        if before - best < 1e-4 * best:
            break
    return coefficients
