"""Uncertainties at the best fit: Hessian and sandwich, in normalised and in physical units, and on the sphere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.event import Event
from evgen_jax.model.terms import LossParts
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.short_repr import short_repr

Terms = Callable[[Any, Array, Event], LossParts]
"""(model, hypothesis [H], event) -> terms of the loss."""
FLATTEST = 1e-10
"""Share of the largest curvature below which a curvature counts as not positive."""


@dataclass(frozen=True)
class Covariance:
    """Holds the uncertainties of one fit; rows and columns are the free parameters in the order of the hypothesis.

    Attributes:
      free: places of the F free parameters.
      hessian: [F, F], inverse Hessian by normalised parameters (logged ones in ln(1 + p)).
      sandwich: [F, F], H^-1 J H^-1 by normalised parameters, with the squared gradients J of single pulses, DOMs and
        events; it holds up better where the model is wrong.
      physical: [F, F], inverse Hessian in units of the parameters, logged ones in ln(1 + p).
      physical_sandwich: [F, F], sandwich in units of the parameters, logged ones in ln(1 + p).
      angular: width on the sphere, rad, circularised: it holds 39 % of the probability; NaN without a free direction.
      angular_sandwich: width on the sphere by the sandwich, rad.
      repaired: whether the Hessian was not positive definite, and its negative or flat curvatures were replaced.
    """

    free: np.ndarray
    hessian: np.ndarray
    sandwich: np.ndarray
    physical: np.ndarray
    physical_sandwich: np.ndarray
    angular: float
    angular_sandwich: float
    repaired: bool

    __repr__ = short_repr


def unknown_covariance(free: Sequence[int]) -> Covariance:
    """Makes what stands for the uncertainties of an event without a fit.

    Args:
      free: places of the F free parameters.

    Returns:
      Uncertainties that are all NaN.
    """
    places, unknown = np.asarray(free, np.int64), np.full((len(free), len(free)), np.nan)
    return Covariance(places, unknown, unknown, unknown, unknown, np.nan, np.nan, False)


def to_physical(
    covariance: Float[np.ndarray, "F F"], trafo: Trafo, free: Int[np.ndarray, " F"] | None = None
) -> Float[np.ndarray, "F F"]:
    """Scales a covariance of normalised parameters by the widths of the normalisation.

    Args:
      covariance: [F, F], of normalised parameters.
      trafo: normalisation of all H parameters.
      free: [F], places of the parameters; None: all.

    Returns:
      Covariance [F, F] in units of the parameters; logged ones stay in ln(1 + p).
    """
    scale = trafo.scale() if free is None else trafo.scale()[free]
    return covariance * np.outer(scale, scale)


def inverse_of_hessian(hessian: Float[np.ndarray, "n n"]) -> tuple[Float[np.ndarray, "n n"], bool]:
    """Inverts a Hessian, which is made positive definite first if it is not.

    Negative curvatures count with their absolute value, flat ones as `FLATTEST` of the largest.

    Args:
      hessian: [n, n].

    Returns:
      Inverse [n, n], and whether curvatures had to be replaced; NaN for a Hessian that is not finite.
    """
    if not np.all(np.isfinite(hessian)):
        return np.full_like(hessian, np.nan), True
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    largest = max(float(np.max(np.abs(values))), 1e-300)
    repaired = bool(np.any(values < FLATTEST * largest))
    values = np.maximum(np.abs(values), FLATTEST * largest)
    return (vectors / values) @ vectors.T, repaired


def root_of(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Computes a root R of a matrix, R R^T = matrix.

    Args:
      matrix: [n, n], positive semidefinite but for rounding.

    Returns:
      Root [n, n]; NaN if the matrix is not finite.
    """
    if not np.all(np.isfinite(matrix)):
        return np.full_like(matrix, np.nan)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def make_score_products(terms: Terms, coordinates: Coordinates) -> Callable[[Any, Array, Array, Event], Array]:
    """Makes the sum J of g g^T over the gradients g of all terms of the loss.

    Terms: every pulse (times), every DOM (charges), every event (total charges), as the loss has them.

    Args:
      terms: (model, hypothesis [H], event) -> terms of the loss.
      coordinates: of the fit, n unknowns.

    Returns:
      Pure function (model, unknown [n], anchor [H], event) -> J [n, n].
    """

    def single(model: Any, unknown: Array, anchor: Array, event: Event) -> tuple[Array, Array, Array]:
        parts = terms(model, coordinates.hypothesis(unknown, anchor), event)
        return parts.pulse, parts.dom, jnp.atleast_1d(parts.event)

    def products(model: Any, unknown: Array, anchor: Array, event: Event) -> Array:
        gradients = jax.jacfwd(single, argnums=1)(model, unknown, anchor, event)
        wide = [g.astype(unknown.dtype) for g in gradients]
        return sum((g.T @ g for g in wide), jnp.zeros((unknown.shape[0],) * 2, unknown.dtype))

    return products


def make_to_normalised(coordinates: Coordinates) -> Callable[[Array, Array], Array]:
    """Makes the derivative of the normalised free parameters by the unknowns of a fit.

    Args:
      coordinates: of the fit, n unknowns.

    Returns:
      Pure function (unknown [n], anchor [H]) -> derivative [F, n].
    """
    free = jnp.asarray(coordinates.free)

    def normalised(unknown: Array, anchor: Array) -> Array:
        return coordinates.trafo.transform(coordinates.hypothesis(unknown, anchor))[free]

    return jax.jacfwd(normalised)


def covariance_of(
    hessian: Float[np.ndarray, "n n"],
    products: Float[np.ndarray, "n n"],
    derivative: Float[np.ndarray, "F n"],
    coordinates: Coordinates,
) -> Covariance:
    """Puts the uncertainties of one fit together.

    Args:
      hessian: [n, n], H by the unknowns of the fit.
      products: [n, n], J by the unknowns of the fit, see `make_score_products`.
      derivative: [F, n], see `make_to_normalised`.
      coordinates: of the fit; their anchor is the fit itself.

    Returns:
      The uncertainties.
    """
    inverse, repaired = inverse_of_hessian(hessian)
    # As products of roots: where some curvature is next to none, rounding would make variances negative.
    roots = root_of(inverse), inverse @ root_of(products)
    free, trafo = coordinates.free, coordinates.trafo
    # Symmetric to the last digit, which a general product is not on every processor: tables keep one half.
    normalised, normalised_sandwich = (_symmetric(own @ own.T) for own in (derivative @ r for r in roots))
    angular = angular_sandwich = float("nan")
    # The direction of the particle itself comes last among those of a hypothesis (a track's entry point comes first).
    if coordinates.directions:
        first = len(coordinates.scalars) + 2 * (len(coordinates.directions) - 1)
        width = trafo.scale()[coordinates.directions[-1][0]]
        angular, angular_sandwich = (float(width * np.sqrt(np.sum(r[first : first + 2] ** 2) / 2)) for r in roots)
    return Covariance(
        free=free,
        hessian=normalised,
        sandwich=normalised_sandwich,
        physical=to_physical(normalised, trafo, free),
        physical_sandwich=to_physical(normalised_sandwich, trafo, free),
        angular=angular,
        angular_sandwich=angular_sandwich,
        repaired=repaired,
    )


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2
