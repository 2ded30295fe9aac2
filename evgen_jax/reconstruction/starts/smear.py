"""Seeds of fits: smeared copies of given ones, on the sphere where they are directions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evgen_jax.checks import check_mapping, check_whole, is_number
from evgen_jax.errors import ReconstructionError, shown, suggestion
from evgen_jax.hypothesis.parameters import Parameter, check_records, direction_pairs, names_of
from evgen_jax.physics.sphere import angles, unit_vectors


def smear(
    seeds: np.ndarray,
    parameters: Sequence[Parameter],
    count: int,
    rng: np.random.Generator,
    spreads: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Puts smeared copies behind every seed.

    Args:
      seeds: [E, S, H], physical units.
      parameters: of the hypothesis, H of them.
      count: copies per seed.
      rng: numpy's generator.
      spreads: {parameter: width}: m, ns, rad (a rotation in space, given for the zenith), of the logarithm for
        energies; default: that of the parameter.

    Returns:
      [E, S (1 + count), H]; the given ones first.

    Raises:
      ReconstructionError: a width for an unknown parameter, or one that is no number >= 0, seeds of another shape, a
        number of copies below 0, or no generator.
      ConfigError: names instead of parameters.
    """
    check_records(parameters)
    names = names_of(parameters)
    check_whole(count, 0, "count", ReconstructionError)
    if not isinstance(rng, np.random.Generator):
        raise ReconstructionError(f"rng: expected np.random.default_rng(number), got {shown(rng)}.")
    if spreads is not None:
        check_spreads(spreads, names)
    try:
        seeds = np.asarray(seeds, np.float64)
    except (TypeError, ValueError):
        raise ReconstructionError(f"expected seeds [E, S, {len(names)}] of numbers, got {shown(seeds)}.") from None
    if np.ndim(seeds) != 3 or np.shape(seeds)[2] != len(names):
        raise ReconstructionError(f"expected seeds [E, S, {len(names)}], got shape {np.shape(seeds)}.")
    copies = np.repeat(np.asarray(seeds, np.float64), count, axis=1)
    pairs = direction_pairs(parameters)
    for i, parameter in enumerate(parameters):
        width = (spreads or {}).get(parameter.name, parameter.spread)
        if any(i in pair for pair in pairs) or width == 0:
            continue
        noise = width * rng.normal(size=copies.shape[:2])
        copies[..., i] = copies[..., i] * np.exp(noise) if parameter.draw == "log" else copies[..., i] + noise
    for zenith, azimuth in pairs:
        width = (spreads or {}).get(names[zenith], parameters[zenith].spread)
        origin = unit_vectors(copies[..., zenith], copies[..., azimuth])
        moved = origin + width * rng.normal(size=origin.shape)
        copies[..., zenith], copies[..., azimuth] = angles(moved)
    return np.concatenate([seeds, copies], axis=1)


def check_spreads(spreads: Any, names: Sequence[str]) -> None:
    """Checks widths of seeds.

    Args:
      spreads: {parameter: width}, see `smear`.
      names: of the parameters.

    Raises:
      ReconstructionError: no mapping, a width for an unknown parameter, or one that is no number >= 0.
    """
    check_mapping(spreads, "seed_spreads", "{parameter: width}", ReconstructionError)
    for name, width in spreads.items():
        if name not in names:
            raise ReconstructionError(
                f"seed_spreads: '{name}' is no parameter of the model; it has {', '.join(names)}."
                + suggestion(name, names)
            )
        if not is_number(width) or not 0 <= width < np.inf:
            raise ReconstructionError(f"seed_spreads.{name}: expected a finite width >= 0, got {shown(width)}.")
