"""Covariances of many fits at once: Hessians by differences of gradients, and sums of score products."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from evgen_jax.host_jit import host_jit
from evgen_jax.measurement.event import Event
from evgen_jax.model.log_likelihood import loss_parts
from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.covariance import (
    Covariance,
    Terms,
    covariance_of,
    make_score_products,
    make_to_normalised,
)
from evgen_jax.reconstruction.fit.differences import central_hessian
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.fit.lanes import each_lane

DIFFERENCE = 0.05
"""Step size of a Hessian by differences, as a share of a parameter's width by the score products."""
SMALLEST_DIFFERENCE = 1e-6
"""Least step size of a Hessian by differences, normalised units."""
LARGEST_DIFFERENCE = 2e-3
"""Largest step size of a Hessian by differences, normalised units."""


@host_jit(static_argnums=(0, 1))
def _products(terms: Terms, coordinates: Coordinates, *lanes: Any) -> Array:
    return each_lane(make_score_products(terms, coordinates), *lanes)


@partial(jax.jit, static_argnums=0)
def _derivative(
    coordinates: Coordinates, unknown: Float[Array, " n"], anchor: Float[Array, " H"]
) -> Float[Array, "F n"]:
    return make_to_normalised(coordinates)(unknown, anchor)


class Uncertainty:
    """Covariances of a batch at its best fits.

    Args:
      coordinates: of the fit.
      evaluator: -log L in the precision of the model.
      precise: -log L in float64 wherever there is light; None for a log-likelihood that is not the model's own.
    """

    def __init__(self, coordinates: Coordinates, evaluator: Evaluator, precise: Evaluator | None):
        self._evaluator, self._precise, self._coordinates = evaluator, precise, coordinates

    def __call__(self, batch: Event, hypotheses: np.ndarray, wanted: np.ndarray) -> list[Covariance | None]:
        """Computes the covariances of some best fits.

        Args:
          batch: of E events.
          hypotheses: [E, H], best fits, physical units.
          wanted: [E], whether a covariance is computed.

        Returns:
          One per event; None where none is wanted.
        """
        evaluator = self._evaluator
        which = np.flatnonzero(wanted)
        found: list[Covariance | None] = [None] * len(wanted)
        if len(which) == 0:
            return found
        hypotheses = hypotheses[which]
        # Anchored at the fit, where the plane of directions touches the sphere.
        unknown = evaluator.start(hypotheses)
        products = np.full((*unknown.shape, unknown.shape[1]), np.nan)
        if self._precise is not None:  # else the log-likelihood has no terms of its own
            products = evaluator.run(_products, loss_parts, batch, which, unknown, hypotheses)
        hessian = self._hessian(batch, which, unknown, hypotheses, np.einsum("lii->li", products))
        with jax.enable_x64(True):
            for i, place in enumerate(which):
                derivative = np.asarray(
                    _derivative(self._coordinates, jnp.asarray(unknown[i]), jnp.asarray(hypotheses[i]))
                )
                found[place] = covariance_of(hessian[i], products[i], derivative, self._coordinates)
        return found

    def _hessian(
        self, batch: Event, which: np.ndarray, unknown: np.ndarray, anchors: np.ndarray, information: np.ndarray
    ) -> np.ndarray:
        if self._precise is None:
            return self._evaluator.hessian(batch, which, unknown, anchors)
        # The search has compiled this program already: an exact Hessian is another one, 20 s of compilation. And derivatives
        # of a gamma distribution function by its shape have no derivatives of their own.
        evaluate = self._precise.problems(batch, which, anchors)
        widths = 1 / np.sqrt(np.maximum(np.nan_to_num(information), np.finfo(float).tiny))
        steps = np.clip(DIFFERENCE * widths, SMALLEST_DIFFERENCE, LARGEST_DIFFERENCE)
        return central_hessian(evaluate, np.arange(len(which)), unknown, steps)
