"""Priors of the ice and detector parameters of SnowStorm simulation (IceCube, arXiv:1909.01530)."""

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources

from evgen_jax.hypothesis.prior import NormalPrior, Prior, SoftUniformPrior

FOURIER_PREFIX = "IceWavePlusModes_"
"""Begin of the names of the modes of the ice, which have normal priors around 0."""
DEFAULT_UNIFORM: dict[str, tuple[float, ...]] = {
    "Absorption": (0.9, 1.1),
    "AnisotropyScale": (0.0, 2.0),
    "DOMEfficiency": (0.9, 1.1),
    "Scattering": (0.9, 1.1),
    "HoleIceForward_Unified_00": (-2.0, 1.0),
    "HoleIceForward_Unified_01": (-0.2, 0.2),
}
"""Usual range (low, high) of parameters with a uniform prior."""


def snowstorm_priors(
    sigmas: Sequence[float] | None, uniform_parameters: Mapping[str, Sequence[float]] | None
) -> tuple[Prior, ...]:
    """Makes the priors of the ice and detector parameters of SnowStorm simulation.

    Args:
      sigmas: of the parameters IceWavePlusModes_00 and so on; None: the tabulated ones of those that the hypothesis
        has (IceCube, arXiv:1909.01530).
      uniform_parameters: name -> (low, high[, eps]); None: the usual ranges of those that the hypothesis has.

    Returns:
      One prior per parameter.

    Raises:
      ConfigError: a range that is none, or a width that is not positive.
    """
    ranges = DEFAULT_UNIFORM if uniform_parameters is None else uniform_parameters
    widths = _tabulated_sigmas() if sigmas is None else sigmas
    return (
        *(
            SoftUniformPrior(name, *edges[:3], required=uniform_parameters is not None)
            for name, edges in ranges.items()
        ),
        *(
            NormalPrior(f"{FOURIER_PREFIX}{i:02d}", 0.0, sigma, required=sigmas is not None)
            for i, sigma in enumerate(widths)
        ),
    )


@lru_cache(maxsize=1)
def _tabulated_sigmas() -> tuple[float, ...]:
    text = (resources.files("evgen_jax") / "tables" / "icewave_fourier_mode_sigmas.csv").read_text()
    return tuple(float(row["sigma"]) for row in csv.DictReader(text.splitlines()))
