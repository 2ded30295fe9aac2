"""Event-Generator's column names: the same name for the same quantity, and our own name for every other one.

Its `<parameter>_unc` of a logged parameter is the width of ln(1 + p). Its columns that are not written: `circular_unc`
(a fit to profile scans with n - 2 degrees of freedom; ours is `angular_unc`), `event_p_value_*` (of events drawn
otherwise; ours is `goodness_of_fit`), and all that it takes from the minimiser's inverse Hessian (`*_fit`), which is no
uncertainty.
"""

from collections.abc import Sequence

import numpy as np

from evgen_jax.hypothesis.parameters import Parameter, direction_pairs, names_of
from evgen_jax.reconstruction.run.covariance_columns import covariance_element

LOSSES = {"log_likelihood": "loss_reco", "log_likelihood_seed": "loss_seed", "log_likelihood_true": "loss_true"}
ENDINGS = {"": "_reco", "_seed": "_seed", "_unc": "_unc", "_unc_sandwich": "_unc_sandwhich", "_true": ""}
"""End of our name of a parameter's column -> that of Event-Generator."""
DIRECTION = "cov_zenith_azimuth"
"""Our column of the covariance of a direction."""


def with_reference_names(
    table: np.ndarray, parameters: Sequence[Parameter], log: Sequence[bool], labels: Sequence[str] = ()
) -> np.ndarray:
    """Renames the columns of a table to those of Event-Generator's; losses are minus the log-likelihoods.

    Args:
      table: rows as `table.fill` makes them.
      parameters: of the hypothesis, H of them.
      log: H flags, True for parameters that are fitted as ln(1 + p).
      labels: of the covariances in the table (`covariance_columns.covariance_labels`), if there are any.

    Returns:
      The rows with renamed columns.
    """
    names = names_of(parameters)
    new = {f"{n}{ending}": f"{n}{other}" for n in names for ending, other in ENDINGS.items()} | LOSSES
    renamed = table.copy()
    for column in LOSSES:
        if column in (table.dtype.names or ()):
            renamed[column] *= -1
    for name, logged in zip(names, log, strict=True):
        if logged:
            for ending in ("_unc", "_unc_sandwich"):
                renamed[f"{name}{ending}"] /= 1 + table[name]
    renamed.dtype.names = tuple(new.get(n, n) for n in table.dtype.names or ())
    pair = _direction(parameters)
    if pair is None or not set(pair) <= set(labels) or DIRECTION in renamed.dtype.names:
        return renamed
    more = np.empty(len(table), [*((n, renamed.dtype[n]) for n in renamed.dtype.names), (DIRECTION, "<f8")])
    for column in renamed.dtype.names:
        more[column] = renamed[column]
    more[DIRECTION] = covariance_element(table, labels, *pair)
    return more


def reference_units(parameters: Sequence[Parameter], log: Sequence[bool]) -> dict[str, str]:
    """Finds the units of the columns that hold a parameter; widths of ln(1 + p) have none.

    Args:
      parameters: of the hypothesis, H of them.
      log: H flags, True for parameters that are fitted as ln(1 + p).

    Returns:
      {column: unit}.
    """
    units = {DIRECTION: "rad rad"}
    for parameter, logged in zip(parameters, log, strict=True):
        for ending in ENDINGS.values():
            width = ending in (ENDINGS["_unc"], ENDINGS["_unc_sandwich"])
            units[f"{parameter.name}{ending}"] = "" if logged and width else parameter.unit
    return units


def _direction(parameters: Sequence[Parameter]) -> tuple[str, str] | None:
    """The zenith and azimuth of the particle, which come last among the directions of a hypothesis."""
    pairs = direction_pairs(parameters)
    return (parameters[pairs[-1][0]].name, parameters[pairs[-1][1]].name) if pairs else None
