"""Inputs of networks that tell of the medium: along the straight way from the source to a sensor, and around its ends.

Coefficients of effective scattering and of absorption come as ln(coefficient x mean length of the medium), which is near 0. In a
homogeneous medium they are constants.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.measurement.detector import Detector
from evgen_jax.physics.medium import Medium, mean_values, relative_z
from evgen_jax.sources.learned.view import View

AROUND = 40.0
"""Height above and below source and sensor over which coefficients are averaged, m."""
POWER = 4
"""Power of the means that stand for the largest and the smallest coefficient: smooth, unlike these."""
DEPTH = 10.0
"""Unit of optical depths among the inputs."""


def _ends(view: View, detector: Detector, position: Array) -> tuple[Array, Array]:
    """Heights z of source and sensor in the coordinates of the medium, [D] each."""
    source = relative_z(jnp.broadcast_to(view.source[..., 2], position[:, 2].shape), detector.origin)
    return source, relative_z(position[:, 2], detector.origin)


def _scaled(medium: Medium) -> Array:
    """Coefficients in units of the inverse mean lengths, [Z, 2]."""
    lengths = medium.mean_scattering_length, medium.mean_absorption_length
    return jnp.stack([medium.scattering * lengths[0], medium.absorption * lengths[1]], axis=-1)


def _logarithms(medium: Medium, start: Array, end: Array) -> Array:
    return jnp.log(mean_values(medium, _scaled(medium), start, end))


def _along_way(view: View, detector: Detector, position: Array) -> Array:
    medium = detector.medium.astype(position.dtype)
    scaled = _scaled(medium)
    powers = jnp.stack([scaled[:, 0] ** POWER, scaled[:, 0] ** -POWER], axis=-1)
    means = jnp.log(mean_values(medium, jnp.concatenate([scaled, powers], axis=-1), *_ends(view, detector, position)))
    # (mean of b^p)^(1/p) and its inverse power.
    return jnp.concatenate([means[:, :2], means[:, 2:3] / POWER, means[:, 3:] / -POWER], axis=-1)


def _quarters(view: View, detector: Detector, position: Array) -> Array:
    medium = detector.medium.astype(position.dtype)
    source, sensor = _ends(view, detector, position)
    step = (sensor - source) / 4
    first, last = (_logarithms(medium, *ends) for ends in ((source, source + step), (sensor - step, sensor)))
    return jnp.concatenate([first, last], axis=-1)


def _around(medium: Medium, z: Array) -> Array:
    return jnp.concatenate([_logarithms(medium, *ends) for ends in ((z, z), (z, z + AROUND), (z - AROUND, z))], axis=-1)


def _at_source(view: View, detector: Detector, position: Array) -> Array:
    medium = detector.medium.astype(position.dtype)
    values = _around(medium, relative_z(view.source[..., 2], detector.origin))
    return jnp.broadcast_to(values, (len(position), values.shape[-1]))


def _at_sensor(view: View, detector: Detector, position: Array) -> Array:
    return _around(detector.medium.astype(position.dtype), relative_z(position[:, 2], detector.origin))


def _depths(view: View, detector: Detector, position: Array) -> Array:
    medium = detector.medium.astype(position.dtype)
    coefficients = jnp.stack([medium.scattering, medium.absorption], axis=-1)
    means = mean_values(medium, coefficients, *_ends(view, detector, position))
    return view.distance[:, None] * means / DEPTH


INPUTS: Mapping[str, tuple[str, Callable[[View, Detector, Float[Array, "D 3"]], Float[Array, "D c"]]]] = {
    "medium_along_way": (
        "logarithms of mean scattering and absorption coefficient along the way, of its largest and its smallest "
        "scattering coefficient (means of the powers 4 and -4)",
        _along_way,
    ),
    "medium_at_ends_of_way": (
        "logarithms of mean scattering and absorption coefficient along the first and the last quarter of the way",
        _quarters,
    ),
    "medium_at_source": (
        "logarithms of scattering and absorption coefficient at the source, and of their means over 40 m above and below",
        _at_source,
    ),
    "medium_at_sensor": (
        "logarithms of scattering and absorption coefficient at the sensor, and of their means over 40 m above and below",
        _at_sensor,
    ),
    "optical_depths": ("r times mean scattering and absorption coefficient along the way, / 10", _depths),
}
"""Formula and function (view, detector, positions [D, 3]) -> [D, c] of each input."""
