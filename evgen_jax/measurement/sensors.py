"""What the sensors of a detector make of light from a direction: the cosine to their axes, their relative acceptance."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from evgen_jax.measurement.detector import Detector
from evgen_jax.physics.angular_curves import Curve, moments


def incoming_cosine(detector: Detector, direction: Float[Array, "D 3"]) -> Float[Array, " D"]:
    """Computes the cosine of the angle between the axis of a sensor and where its light comes from.

    Args:
      detector: gives the axes of D sensors.
      direction: [D, 3], unit vectors along which light flies.

    Returns:
      Cosines [D], +1 for light that comes along the axis into the sensor.
    """
    axis = jnp.asarray(detector.axis, direction.dtype)
    return -jnp.sum(direction * axis, axis=-1)


def sensor_response(
    detector: Detector, cosine: Float[ArrayLike, " D"], hole_ice: Callable[[Array], Array] | None = None
) -> Float[Array, " D"]:
    """Computes the relative acceptance of sensors.

    Args:
      detector: gives the kinds of D sensors.
      cosine: [D], see `incoming_cosine`.
      hole_ice: curve in place of those that are of modules in hole ice, for sources that know the hole ice; None: the
        curves of the detector.

    Returns:
      Relative acceptance [D], >= 0.
    """
    curves = [curve if hole_ice is None or not curve.hole_ice else hole_ice for curve in detector.kinds]
    values = jnp.asarray(cosine)
    return _of_each(detector, [curve(values) for curve in curves])


def sensor_moments(detector: Detector, hole_ice: Curve | None = None) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
    """Computes the straight lines S0 + S1 cosine that are nearest to the acceptances of sensors over the sphere.

    Args:
      detector: gives the kinds of D sensors.
      hole_ice: curve in place of those that are of modules in hole ice; None: the curves of the detector.

    Returns:
      S0 [D], the means over the sphere, and S1 [D].

    Example:
      `first, second = sensor_moments(detector)`; diffuse light whose mean cosine to the axes is `mean` is accepted as
      `first + second * mean`.
    """
    found = [moments(curve if hole_ice is None or not curve.hole_ice else hole_ice) for curve in detector.kinds]
    return _of_each(detector, [own[0] for own in found]), _of_each(detector, [own[1] for own in found])


def _of_each(detector: Detector, values: list[Array]) -> Float[Array, " D"]:
    """Of values [D] or scalars, one of each kind, those of every sensor's own kind."""
    kind = jnp.asarray(detector.kind)
    chosen = jnp.broadcast_to(values[0], kind.shape)
    for place, value in enumerate(values[1:], 1):
        chosen = jnp.where(kind == place, value, chosen)
    return chosen
