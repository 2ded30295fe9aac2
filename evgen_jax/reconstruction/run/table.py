"""The rows of the table of fitted events: one per event, fixed columns."""

from collections.abc import Sequence

import numpy as np

from evgen_jax.errors import ReconstructionError
from evgen_jax.reconstruction.fit.result import FitResult
from evgen_jax.reconstruction.run.covariance_columns import (
    Column,
    covariance_columns,
    covariance_labels,
    put_covariance,
)
from evgen_jax.reconstruction.run.table_file import ENDINGS_OF_PARAMETERS, IDS, write_table

__all__ = ["columns", "fill", "write_table"]

STATUS_LENGTH = 160
"""Largest length of a status, bytes."""
NUMBERS = (
    "log_likelihood",
    "log_likelihood_seed",
    "angular_unc",
    "angular_unc_sandwich",
    "gradient_norm",
    "runtime",
    "goodness_of_fit",
    "goodness_of_fit_two_sided",
)
"""Columns of numbers that belong to a fit and not to a parameter."""
COUNTS = ("converged", "covariance_repaired", "evaluations", "best_seed")
"""Columns of whole numbers that belong to a fit."""


def columns(names: Sequence[str], labels: Sequence[str] = (), truth: bool = False) -> list[Column]:
    """Lists all columns of a table of fits.

    Args:
      names: of the parameters.
      labels: rows and columns of the covariances, see `covariance_columns`; none are written without.
      truth: whether there are columns of the true parameters and of the log-likelihood there.

    Returns:
      (name, numpy type[, shape]) in the order of the columns.

    Raises:
      ReconstructionError: a parameter whose name is that of another column.
    """
    endings = ENDINGS_OF_PARAMETERS if truth else ENDINGS_OF_PARAMETERS[:-1]
    own = [f"{name}{ending}" for name in names for ending in endings]
    numbers = (*NUMBERS, *(("log_likelihood_true",) if truth else ()))
    found = [
        *((name, "<i8") for name in IDS),
        *((name, "<f8") for name in own),
        *((name, "<f8") for name in numbers),
        *((name, "<i8") for name in COUNTS),
        ("status", f"S{STATUS_LENGTH}"),
        *covariance_columns(labels),
    ]
    if len({column[0] for column in found}) < len(found):
        twice = sorted({c[0] for c in found if sum(other[0] == c[0] for other in found) > 1})
        raise ReconstructionError(
            f"the table of fits would have two columns {', '.join(twice[:5])}: beside a parameter 'x' there are x_seed, x_unc and "
            "x_unc_sandwich, and columns such as status. Rename the parameter in its source."
        )
    return found


def fill(
    names: Sequence[str],
    log: Sequence[bool],
    ids: np.ndarray,
    seeds: np.ndarray,
    results: Sequence[FitResult | str],
    free: Sequence[int] = (),
    truth: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Makes the rows of events.

    Args:
      names: of the parameters, H of them.
      log: H flags, True for parameters that are fitted as ln(1 + p).
      ids: [E, 4], run, event, sub-event and its stream.
      seeds: [E, S, H], physical units.
      results: E of them, a fit or why there is none.
      free: places of the free parameters, whose covariances get columns; none by default.
      truth: true parameters [E, H] and the log-likelihood there [E], NaN where they are not known.

    Returns:
      Rows [E] with the columns of `columns`.

    Raises:
      ReconstructionError: a parameter whose name is that of another column.
    """
    labels = covariance_labels(names, log, free)
    table = np.zeros(len(ids), dtype=columns(names, labels, truth is not None))
    for name in table.dtype.names or ():
        if table.dtype[name].base.kind == "f":
            table[name] = np.nan
    if truth is not None:
        table["log_likelihood_true"] = truth[1]
        for k, name in enumerate(names):
            table[f"{name}_true"] = truth[0][:, k]
    for i, result in enumerate(results):
        row = table[i]
        for name, value in zip(IDS, ids[i], strict=True):
            row[name] = value
        best = 0 if isinstance(result, str) or np.isnan(seeds[i]).all() else result.diagnostics.best_seed
        for k, name in enumerate(names):
            row[f"{name}_seed"] = seeds[i, best, k]
        if isinstance(result, str):
            row["status"] = result.encode()[:STATUS_LENGTH]
            continue
        for k, name in enumerate(names):
            row[name] = result.hypothesis[k]
        notes = result.diagnostics
        row["log_likelihood"], row["log_likelihood_seed"] = result.log_likelihood, result.log_likelihood_seed
        row["converged"], row["gradient_norm"], row["runtime"] = notes.converged, notes.gradient_norm, notes.runtime
        row["evaluations"], row["best_seed"] = notes.evaluations, notes.best_seed
        message = f"failed: {notes.message}" if result.failed else notes.message
        row["status"] = message.encode()[:STATUS_LENGTH]
        if result.covariance is not None:
            _uncertainties(row, names, log, result)
            if labels:
                put_covariance(row, result.covariance, labels)
    return table


def _uncertainties(row: np.void, names: Sequence[str], log: Sequence[bool], result: FitResult) -> None:
    covariance = result.covariance
    assert covariance is not None
    for place, hessian, sandwich in zip(
        covariance.free, np.diag(covariance.physical), np.diag(covariance.physical_sandwich), strict=True
    ):
        # From ln(1 + p) to p.
        factor = 1 + result.hypothesis[place] if log[place] else 1.0
        row[f"{names[place]}_unc"] = factor * np.sqrt(hessian)
        row[f"{names[place]}_unc_sandwich"] = factor * np.sqrt(sandwich)
    row["angular_unc"], row["angular_unc_sandwich"] = covariance.angular, covariance.angular_sandwich
    row["covariance_repaired"] = covariance.repaired
