"""Log-likelihoods of directions at HEALPix pixels of several sizes: probabilities, contours and flat maps."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evgen_jax.checks import check_share, check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.physics.sphere import angles, unit_vectors
from evgen_jax.reconstruction.uncertainty.celestial import Celestial
from evgen_jax.reconstruction.uncertainty.pixels import pixel_vectors, pixels_of
from evgen_jax.short_repr import short_repr


@dataclass(frozen=True)
class SkyMap:
    """Holds log-likelihoods of directions: pixels of several sizes that cover the sky once.

    Attributes:
      order: [P], HEALPix order (nside = 2^order).
      pixel: [P], nested index.
      log_likelihood: [P], all other parameters fitted; NaN where a fit failed. Exact to 0.01 within 20 of the best, to
        a few percent of the distance beyond.
      hypothesis: [P, H], the fits, physical units.
      evaluations: of value and gradient, all pixels together.
      celestial: makes pixels those of the celestial sky, HEALPix' theta = 90 degrees - declination and phi = right
        ascension; None: pixels are those of the detector, theta = zenith and phi = azimuth.
      divided: pixels that were fitted and then divided, as a map that covers a part of the sky; None: none.
    """

    order: np.ndarray
    pixel: np.ndarray
    log_likelihood: np.ndarray
    hypothesis: np.ndarray
    evaluations: int
    celestial: Celestial | None = None
    divided: "SkyMap | None" = None

    __repr__ = short_repr

    @property
    def area(self) -> np.ndarray:
        """Returns the areas of the pixels [P], steradian."""
        return 4 * np.pi / (12.0 * 4.0**self.order)

    @property
    def direction(self) -> np.ndarray:
        """Returns unit vectors [P, 3] to the centres of the pixels, in the coordinates of the map."""
        vectors = np.empty((len(self.order), 3))
        for order in np.unique(self.order):
            vectors[self.order == order] = pixel_vectors(int(order), self.pixel[self.order == order])
        return vectors

    def delta(self) -> np.ndarray:
        """Computes what Wilks' theorem compares with a chi-square.

        Returns:
          2 (best - log-likelihood) [P]; infinite where a fit failed.
        """
        delta = 2 * (np.nanmax(self.log_likelihood) - self.log_likelihood)
        return np.where(np.isfinite(delta), delta, np.inf)

    def probability(self) -> np.ndarray:
        """Computes the posterior of pixels for an isotropic prior, with the profile likelihood as the likelihood.

        Returns:
          Probabilities [P] that sum to 1.
        """
        weight = np.exp(-self.delta() / 2) * self.area
        return weight / weight.sum()

    def level(self, method: str = "wilks") -> np.ndarray:
        """Computes the confidence level at which the contour of the map reaches each pixel.

        Args:
          method: 'wilks', a chi-square with 2 degrees of freedom, or 'posterior', the probability of all directions
            that are at least as probable.

        Returns:
          Levels [P] within [0, 1].

        Raises:
          ReconstructionError: an unknown method.
        """
        if method == "wilks":
            return stats.chi2.cdf(self.delta(), 2)
        if method != "posterior":
            raise ReconstructionError(f"method: expected 'wilks' or 'posterior', got {method!r}.")
        order = np.argsort(self.delta(), kind="stable")
        level = np.empty(len(order))
        # The middle of the pixel's own share: on average right for a direction somewhere inside it.
        share = self.probability()[order]
        level[order] = np.cumsum(share) - share / 2
        return level

    def contour_area(self, probability: float, method: str = "wilks") -> float:
        """Computes the area within a contour.

        Args:
          probability: confidence level of the contour.
          method: 'wilks' or 'posterior', see `level`.

        Returns:
          Area, square degrees.

        Raises:
          ReconstructionError: an unknown method, or something else than a probability.
        """
        check_share(probability, "probability", ReconstructionError)
        inside = self.level(method) <= probability
        return float(self.area[inside].sum() * np.degrees(1) ** 2)

    def at(self, zenith: float, azimuth: float) -> int:
        """Finds the pixel that holds a direction of the detector.

        Args:
          zenith: rad.
          azimuth: rad.

        Returns:
          Place of the pixel, 0 to P - 1.

        Raises:
          ReconstructionError: no pixel holds it.
        """
        vector = unit_vectors(zenith, azimuth)
        theta, phi = angles(vector if self.celestial is None else self.celestial.to_sky(vector))
        order = int(self.order.max())
        found = int(self.places(order, pixels_of(order, theta, phi)))
        if found < 0:
            raise ReconstructionError(f"no pixel of the map holds zenith {zenith:g}, azimuth {azimuth:g}.")
        return found

    def places(self, order: int, pixels: np.ndarray) -> np.ndarray:
        """Finds the pixels of the map that hold small ones.

        Args:
          order: of the small pixels, at least that of the finest pixel of the map.
          pixels: nested indices (...).

        Returns:
          Places (...), 0 to P - 1; -1 where the map has no pixel.
        """
        first = self.pixel << 2 * (order - self.order)
        sort = np.argsort(first)
        found = sort[np.maximum(np.searchsorted(first[sort], pixels, side="right") - 1, 0)]
        held = pixels >> 2 * (order - self.order[found]) == self.pixel[found]
        return np.where(held, found, -1)

    def flat(self, values: np.ndarray, order: int | None = None) -> np.ndarray:
        """Spreads values of the pixels to a map of pixels of one size, nested.

        Args:
          values: [P].
          order: of the map; finer pixels give the mean of their values. None: that of the finest pixel.

        Returns:
          Values [12 * 4^order].
        """
        order = int(self.order.max()) if order is None else order
        check_whole(order, 0, "order", ReconstructionError)
        if np.shape(values) != self.order.shape:
            raise ReconstructionError(
                f"values: expected one per pixel, {len(self.order)} of them, got shape {np.shape(values)}."
            )
        total, area = np.zeros(12 * 4**order), np.zeros(12 * 4**order)
        for own in np.unique(self.order):
            chosen = self.order == own
            if own <= order:
                fine = self.pixel[chosen][:, None] * 4 ** (order - own) + np.arange(4 ** (order - own))
                total[fine], area[fine] = values[chosen][:, None], 1.0
            else:
                coarse = self.pixel[chosen] // 4 ** (own - order)
                np.add.at(total, coarse, values[chosen])
                np.add.at(area, coarse, 1.0)
        return total / area
