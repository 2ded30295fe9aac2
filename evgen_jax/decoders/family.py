"""What a family of distributions consists of: pure functions of (x, parameters)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

IMPOSSIBLE = -1e30
"""Finite stand-in for a log density of minus infinity, so that sums over components keep finite gradients."""


def no_excess(parameters: Any) -> Any:
    raise TypeError("only charge distributions have an over-dispersion")


@dataclass(frozen=True)
class Family:
    """One family of distributions.

    Every function takes the parameters as a tuple of arrays in the order of `parameter_names`, broadcastable
    against x. `prepare` turns them into the constants that `log_kernel` needs, once for many x; the log density is
    log_kernel(x, prepare(parameters)).

    Attributes:
      name: as configurations and error messages say it.
      parameter_names: in the order of the latent variables.
      loc_parameters: those that carry the expected charge or the position.
      is_charge: whether it describes a charge (else a time).
    """

    name: str
    parameter_names: tuple[str, ...]
    loc_parameters: tuple[str, ...]
    is_charge: bool
    prepare: Callable
    log_kernel: Callable
    cdf: Callable
    ppf: Callable
    mean: Callable
    variance: Callable
    sample: Callable
    excess: Callable = no_excess
