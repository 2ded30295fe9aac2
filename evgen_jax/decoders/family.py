"""What a family of distributions consists of: pure functions of x and its parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

IMPOSSIBLE = -1e30
"""Finite stand-in for a log density of minus infinity, so that sums over components keep finite gradients."""


def no_excess(parameters: Any) -> Any:
    """Refuses to compute the over-dispersion of a distribution of times.

    Args:
      parameters: of the distribution; not used.

    Raises:
      TypeError: always.
    """
    raise TypeError("only charge distributions have an over-dispersion")


@dataclass(frozen=True)
class Family:
    """Describes one family of distributions by pure functions.

    Every function takes the parameters as a tuple of arrays in the order of `parameter_names`, broadcastable against x.
    x is a charge in PE or a time; time decoders of sources work in units of 1000 ns.

    Attributes:
      name: as configurations and error messages say it.
      parameter_names: in the order of the latent variables.
      loc_parameters: names of the parameters that carry the expected charge or the position in time.
      is_charge: whether x is a charge, else a time.
      prepare: parameters -> constants that `log_kernel` needs, computed once for many x.
      log_kernel: (x, constants) -> log density (...), `IMPOSSIBLE` where it vanishes.
      cdf: (x, parameters) -> cumulative distribution (...).
      ppf: (probability, parameters) -> quantile (...).
      mean: parameters -> mean (...).
      variance: parameters -> variance (...).
      sample: (key, parameters, shape) -> values of this shape.
      excess: parameters -> over-dispersion variance - mean (...), PE^2; for charges alone.
    """

    name: str
    parameter_names: tuple[str, ...]
    loc_parameters: tuple[str, ...]
    is_charge: bool
    prepare: Callable[..., Any]
    log_kernel: Callable[..., Any]
    cdf: Callable[..., Any]
    ppf: Callable[..., Any]
    mean: Callable[..., Any]
    variance: Callable[..., Any]
    sample: Callable[..., Any]
    excess: Callable[..., Any] = no_excess
