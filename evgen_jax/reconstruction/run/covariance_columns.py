"""Covariances in a table: a column per element for few parameters, one column of packed upper triangles for many."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np

from evgen_jax.errors import ReconstructionError, suggestion
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.reconstruction.fit.covariance import Covariance

Column = tuple[str, str] | tuple[str, str, tuple[int, ...]]
"""Name and numpy type of a column, and the shape of its elements where they are arrays."""
FEW = 15
"""Largest number of free parameters with a column per element, `cov_<a>_<b>` and `cov_sandwich_<a>_<b>`."""
NAMED = ("cov", "cov_sandwich")
"""Begins of the names of columns that hold one element, by the Hessian and by the sandwich."""
PACKED = ("covariance", "covariance_sandwich")
"""Columns of packed upper triangles, by the Hessian and by the sandwich."""
ORDER = "upper triangle, row by row, as numpy.triu_indices has it; logged parameters in ln(1 + p)"
"""Order of a packed upper triangle, as files state it."""


def covariance_labels(names: Sequence[str], log: Sequence[bool], free: Sequence[int]) -> tuple[str, ...]:
    """Names the rows and columns of a covariance: the free parameters, with `log_` before those in ln(1 + p).

    Args:
      names: of the parameters, H of them.
      log: H flags, True for parameters that are fitted as ln(1 + p).
      free: places of the free parameters.

    Returns:
      Labels, one per free parameter.
    """
    return tuple(f"log_{names[i]}" if log[i] else names[i] for i in free)


def covariance_columns(labels: Sequence[str]) -> list[Column]:
    """Lists the columns of both covariances, Hessian and sandwich.

    Args:
      labels: rows and columns of the covariances, see `covariance_labels`.

    Returns:
      (name, numpy type[, shape]) of each; none without labels.
    """
    if not labels:
        return []
    if len(labels) > FEW:
        return [(name, "<f8", (len(labels) * (len(labels) + 1) // 2,)) for name in PACKED]
    return [(name, "<f8") for start in NAMED for name in _element_names(start, labels)]


def label_units(labels: Sequence[str], parameters: Sequence[Parameter]) -> tuple[str, ...]:
    """Finds the units of the rows and columns of covariances; an element has the product of two.

    Args:
      labels: rows and columns of the covariances, see `covariance_labels`.
      parameters: of the hypothesis.

    Returns:
      Units, one per label; '' for parameters without one and for those in ln(1 + p).
    """
    own = {parameter.name: parameter.unit for parameter in parameters}
    return tuple(own.get(label, "") for label in labels)


def covariance_units(labels: Sequence[str], parameters: Sequence[Parameter]) -> dict[str, str]:
    """Finds the units of the columns that hold one element of a covariance; a packed column has none of its own.

    Args:
      labels: rows and columns of the covariances, see `covariance_labels`.
      parameters: of the hypothesis.

    Returns:
      {column: unit}; '' for parameters in ln(1 + p).
    """
    if len(labels) > FEW:
        return {}
    units = [" ".join(filter(None, pair)) for pair in combinations_with_replacement(label_units(labels, parameters), 2)]
    return {name: unit for start in NAMED for name, unit in zip(_element_names(start, labels), units, strict=True)}


def put_covariance(row: np.void, covariance: Covariance, labels: Sequence[str]) -> None:
    """Writes both covariances of the free parameters into a row.

    Args:
      row: of a table with the columns of `covariance_columns`.
      covariance: in units of the parameters.
      labels: rows and columns of the covariances, see `covariance_labels`.
    """
    upper = np.triu_indices(len(labels))
    values = (covariance.physical[upper], covariance.physical_sandwich[upper])
    if len(labels) > FEW:
        for name, packed in zip(PACKED, values, strict=True):
            row[name] = packed
        return
    for start, packed in zip(NAMED, values, strict=True):
        for name, value in zip(_element_names(start, labels), packed, strict=True):
            row[name] = value


def covariance_element(table: np.ndarray, labels: Sequence[str], first: str, second: str) -> np.ndarray:
    """Reads one element of the Hessian's covariance.

    Args:
      table: of E fits.
      labels: rows and columns of the covariances, see `covariance_labels`.
      first: label of a row.
      second: label of a column; a covariance is symmetric, so that the two may be given in any order.

    Returns:
      Elements [E].

    Raises:
      ReconstructionError: an unknown label, or a table without the covariances of the labels.
    """
    for label in (first, second):
        if label not in labels:
            raise ReconstructionError(
                f"'{label}' is no row of the covariances; their rows are {', '.join(labels) or 'none'}."
                + suggestion(label, labels)
            )
    i, j = sorted((labels.index(first), labels.index(second)))
    column = f"{NAMED[0]}_{labels[i]}_{labels[j]}" if len(labels) <= FEW else PACKED[0]
    if column not in (table.dtype.names or ()):
        raise ReconstructionError(
            f"the table has no column '{column}': it was fitted without covariances, or the labels are of another table. "
            "Those of a table are its attribute covariance_parameters."
        )
    if len(labels) <= FEW:
        return table[column]
    return table[column][:, i * len(labels) - i * (i - 1) // 2 + j - i]


def unpack_covariance(packed: np.ndarray) -> np.ndarray:
    """Unpacks symmetric matrices from their upper triangles, as a table of fits holds them.

    Args:
      packed: [..., n (n + 1) / 2], row by row.

    Returns:
      Matrices [..., n, n].

    Raises:
      ReconstructionError: a last axis of another length.
    """
    packed = np.asarray(packed)
    length = packed.shape[-1] if packed.ndim else 0
    size = int(np.sqrt(2 * length + 0.25) - 0.5)
    if not packed.ndim or size * (size + 1) // 2 != length:
        raise ReconstructionError(
            f"expected packed upper triangles [..., n (n + 1) / 2] of n parameters, got shape {packed.shape}."
        )
    matrix = np.empty((*packed.shape[:-1], size, size), packed.dtype)
    i, j = np.triu_indices(size)
    matrix[..., i, j] = packed
    matrix[..., j, i] = packed
    return matrix


def _element_names(start: str, labels: Sequence[str]) -> list[str]:
    return [f"{start}_{a}_{b}" for a, b in combinations_with_replacement(labels, 2)]
