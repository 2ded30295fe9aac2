"""Angular curves of sensors: relative acceptance against the cosine between their axis and the incoming light."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Real

from evgen_jax.physics.acceptance import angular_acceptance

ICECUBE = "icecube"
"""Name of the kind of sensor that is taken where none is given."""
SAMPLES = 401
"""Number of even points in the cosine by which a sampled curve is held."""
NODES = 200
"""Number of Gauss-Legendre nodes over the cosine for the moments of a curve."""


class Curve(struct.PyTreeNode):
    """Is the relative acceptance S(cosine) >= 0 of a kind of sensor; a pytree of its numbers.

    Attributes:
      name: of the kind.
      hole_ice: whether the curve is that of modules in hole ice, in whose place sources that know the hole ice
        (parameters or options of their own) put theirs.
    """

    name: str = struct.field(pytree_node=False)
    hole_ice: bool = struct.field(pytree_node=False)

    def __call__(self, cosine: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Computes the relative acceptance.

        Args:
          cosine: shape (...), +1 for light that comes along the axis into the sensor.

        Returns:
          Relative acceptance >= 0, shape (...).
        """
        raise NotImplementedError

    def words(self) -> str:
        """Returns the form, as a detector table has it after `# kind NAME:`, that makes an equal curve."""
        raise NotImplementedError


class Polynomial(Curve):
    """Is a polynomial in the cosine, 0 where it is negative.

    Attributes:
      coefficients: [n], from the constant up.
    """

    coefficients: Array

    def __call__(self, cosine: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Computes the relative acceptance.

        Args:
          cosine: shape (...).

        Returns:
          Relative acceptance >= 0, shape (...).
        """
        return jnp.maximum(jnp.polyval(jnp.asarray(self.coefficients[::-1], cosine.dtype), cosine), 0.0)

    def words(self) -> str:
        """Returns the name of a polynomial of IceCube's hole ice, else 'polynomial' and the coefficients."""
        for name, known in POLYNOMIALS.items():
            if self.hole_ice and np.array_equal(
                np.asarray(self.coefficients, np.float32), np.asarray(known, np.float32)
            ):
                return name
        return _words("polynomial", self.coefficients)


class Unified(Curve):
    """Is the unified model of hole ice (`angular_acceptance`).

    Attributes:
      p0: scalar, first parameter.
      p1: scalar, second parameter.
    """

    p0: Array
    p1: Array

    def __call__(self, cosine: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Computes the relative acceptance.

        Args:
          cosine: shape (...).

        Returns:
          Relative acceptance >= 0, shape (...).
        """
        return angular_acceptance(cosine, jnp.asarray(self.p0, cosine.dtype), jnp.asarray(self.p1, cosine.dtype))

    def words(self) -> str:
        """Returns 'unified' and the two parameters."""
        return _words("unified", np.array([self.p0, self.p1]))


class Sampled(Curve):
    """Is a cubic spline with even control points: never negative, second derivatives are continuous.

    Attributes:
      values: [n], control points at even cosines from -1 to 1.
    """

    values: Array

    def __call__(self, cosine: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Computes the relative acceptance.

        Args:
          cosine: shape (...).

        Returns:
          Relative acceptance >= 0, shape (...).
        """
        values = jnp.asarray(self.values, cosine.dtype)
        # One more control point beyond either end, by the parabola through the last three.
        first, last = (3 * a - 3 * b + c for a, b, c in (values[:3], values[:-4:-1]))
        around = jnp.concatenate([first[None], values, last[None]])
        cells = values.shape[0] - 1
        # Not jnp.clip, which halves the gradient where light comes straight along the axis.
        inside = jnp.where(cosine < -1, -1, jnp.where(cosine > 1, 1, cosine))
        place = (inside + 1) * (cells / 2)
        below = jnp.clip(jnp.floor(place), 0, cells - 1).astype(jnp.int32)
        u = place - below
        weights = ((1 - u) ** 3, 4 - 6 * u**2 + 3 * u**3, 1 + 3 * u + 3 * u**2 - 3 * u**3, u**3)
        total = sum((weight * around[below + i] for i, weight in enumerate(weights)), jnp.zeros_like(u)) / 6
        return jnp.maximum(total, 0.0)

    def words(self) -> str:
        """Returns 'msu' for the one curve of hole ice, else 'sampled' and the values."""
        return "msu" if self.hole_ice else _words("sampled", self.values)


def moments(curve: Curve) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Computes the straight line S0 + S1 cosine that is nearest to a curve over the sphere.

    Args:
      curve: any kind of sensor.

    Returns:
      S0, the mean over the sphere, and S1, each a scalar.
    """
    nodes, weights = _nodes()
    cosine = jnp.asarray(nodes, jnp.result_type(float))
    values = curve(cosine) * jnp.asarray(weights, cosine.dtype)
    return jnp.sum(values) / 2, 1.5 * jnp.sum(values * cosine)


@lru_cache(maxsize=1)
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(NODES)


def _words(form: str, numbers: Real[ArrayLike, "..."]) -> str:
    return " ".join([form, *(repr(float(v)) for v in np.ravel(np.asarray(numbers)))])


def polynomial_curve(name: str, coefficients: Sequence[float] | np.ndarray, hole_ice: bool = False) -> Polynomial:
    """Makes a polynomial.

    Args:
      name: of the kind of sensor.
      coefficients: [n], from the constant up.
      hole_ice: whether the curve is that of modules in hole ice.

    Returns:
      The curve.
    """
    numbers: Any = np.asarray(coefficients, np.float64)
    return Polynomial(name, hole_ice, numbers)


def unified_curve(name: str, p0: float, p1: float) -> Unified:
    """Makes a curve of the unified model.

    Args:
      name: of the kind of sensor.
      p0: first parameter of the hole ice.
      p1: second parameter of the hole ice.

    Returns:
      The curve.
    """
    numbers: list[Any] = [np.asarray(value, np.float64) for value in (p0, p1)]
    return Unified(name, True, *numbers)


def sampled_curve(name: str, values: np.ndarray, hole_ice: bool = False) -> Sampled:
    """Makes a spline.

    Args:
      name: of the kind of sensor.
      values: [n], at even cosines from -1 to 1; negative ones count as 0.
      hole_ice: whether the curve is that of modules in hole ice.

    Returns:
      The curve.
    """
    numbers: Any = np.maximum(np.asarray(values, np.float64), 0)
    return Sampled(name, hole_ice, numbers)


GRID = np.linspace(-1, 1, SAMPLES)
"""Cosines [SAMPLES] at which curves are sampled."""


def _msu() -> np.ndarray:
    """The curve 'MSU' of IceCube's angular_acceptance, p = 0.3 and p2 = -1, with an integral of 0.68."""

    def value(x: np.ndarray) -> np.ndarray:
        return 0.34 * (1 + 1.5 * x - x**3 / 2) + 0.3 * x * (x**2 - 1) ** 3 - np.exp(10 * (x - 1.2))

    nodes, weights = _nodes()
    return value(GRID) * (0.68 / float(value(nodes) @ weights))


H2_50CM = (
    0.32813, 0.63899, 0.20049, -1.2250, -0.14470, 4.1695, 0.76898, -5.8690, -2.0939, 2.3834, 1.0435,
)  # fmt: skip
"""Coefficients of the angular sensitivity h2-50cm (IceCube), a polynomial in the cosine, from the constant up."""
POLYNOMIALS = {
    ICECUBE: H2_50CM,
    "h2-50cm": H2_50CM,
    "ftp-v3m": (0.34, 0.16, 0.0, 0.88, 0.0, -1.05, 0.0, 0.35),
    "bfr-v2": (0.34, 0.21, 0.0, 0.73, 0.0, -0.90, 0.0, 0.30),
}
"""Hole-ice curves of IceCube that are polynomials (retro; PPC): name -> coefficients from the constant up."""
UNIFIED = {
    "nominal": (0.567771, 0.168269), "h1-100cm": (-0.123027, 0.131104), "h3-30cm": (-0.595997, 0.017468),
    "dima": (0.232258, -0.042754), "baseline": (0.101569, -0.049344), "msu2": (0.357705, -0.036428),
}  # fmt: skip
"""Older hole-ice curves of IceCube as parameters p0 and p1 of the unified model."""
SIMPLE = ("uniform", "msu")
"""Curves without numbers that are neither polynomials nor of the unified model."""
NAMED = (*POLYNOMIALS, *UNIFIED, *SIMPLE)
"""Kinds of sensor that every detector table may name."""


def named_curve(name: str) -> Curve:
    """Makes a curve that has a name.

    Args:
      name: of `NAMED`.

    Returns:
      The curve.
    """
    if name in POLYNOMIALS:
        return polynomial_curve(name, POLYNOMIALS[name], hole_ice=True)
    if name in UNIFIED:
        return unified_curve(name, *UNIFIED[name])
    if name == "msu":
        return sampled_curve(name, _msu(), hole_ice=True)
    return polynomial_curve(name, (1.0,))


def is_named(curve: Curve) -> bool:
    """Whether the name of a curve is one of its own, or that of `NAMED` which it has the numbers of.

    Args:
      curve: of concrete numbers.

    Returns:
      False for a curve that is called as a known one and has other numbers.
    """
    if curve.name not in NAMED:
        return True
    known = named_curve(curve.name)
    if type(curve) is not type(known) or curve.hole_ice != known.hole_ice:
        return False
    pairs = zip(jax.tree.leaves(curve), jax.tree.leaves(known), strict=True)
    return all(np.array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in pairs)
