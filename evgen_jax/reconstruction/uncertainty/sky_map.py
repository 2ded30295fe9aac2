"""Adaptive sky maps: the direction held at HEALPix pixels, all other parameters fitted, finer where it matters.

Directions are detector coordinates: zenith is HEALPix' theta, azimuth its phi, both of where the particle comes from.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evgen_jax.checks import check_share, check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.parameters import direction_pairs
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.physics.sphere import angle_between, angles, unit_vectors
from evgen_jax.reconstruction.fit.objective import LogLikelihood
from evgen_jax.reconstruction.fit.refit import Refit, Refits, make_refit
from evgen_jax.reconstruction.fit.settings import DEFAULT, FitSettings
from evgen_jax.reconstruction.uncertainty.pixels import FINEST, check_healpix, pixel_of, pixel_vectors, pixels_around

INTERESTING = 20.0
"""Largest 2 (best - log-likelihood) of pixels that are divided, far beyond the 99.9 % contour (13.8)."""
WAVES = 6
"""Number of steps in which the first pixels are fitted, from the best fit outwards."""


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
    """

    order: np.ndarray
    pixel: np.ndarray
    log_likelihood: np.ndarray
    hypothesis: np.ndarray
    evaluations: int

    @property
    def area(self) -> np.ndarray:
        """Returns the areas of the pixels [P], steradian."""
        return 4 * np.pi / (12.0 * 4.0**self.order)

    @property
    def direction(self) -> np.ndarray:
        """Returns unit vectors [P, 3] to the centres of the pixels."""
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
        """Finds the pixel that holds a direction.

        Args:
          zenith: rad.
          azimuth: rad.

        Returns:
          Place of the pixel, 0 to P - 1.

        Raises:
          ReconstructionError: no pixel holds it.
        """
        for order in np.unique(self.order)[::-1]:
            own = pixel_of(int(order), zenith, azimuth)
            found = np.flatnonzero((self.order == order) & (self.pixel == own))
            if len(found):
                return int(found[0])
        raise ReconstructionError(f"no pixel of the map holds zenith {zenith:g}, azimuth {azimuth:g}.")

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


def make_sky_map(
    model: AnyModel,
    settings: FitSettings = DEFAULT,
    *,
    direction: str | None = None,
    log_likelihood: LogLikelihood | None = None,
    first_order: int = 2,
    last_order: int = 9,
    resolved: int = 30,
    max_divided: int = 100,
    refit: Refit | None = None,
) -> Callable[[Event, np.ndarray], SkyMap]:
    """Makes a function that maps the sky of an event; compiled once per padded shape of event.

    The whole sky at `first_order`, from the best fit outwards, each pixel from its nearest fitted neighbour; then
    pixels near the best one are divided by four, each part from its parent's fit, until the 90 % contour holds
    `resolved` pixels.

    Args:
      model: what was fitted.
      settings: free parameters and bounds of the fits.
      direction: name of the zenith whose direction is mapped; None: the last one of the hypothesis.
      log_likelihood: function (variables, hypothesis, event); None: that of the model.
      first_order: of the coarsest pixels, nside = 2^order.
      last_order: of the finest pixels, nside = 2^order.
      resolved: pixels within the 90 % contour (Wilks) at which the map is fine enough.
      max_divided: most pixels that are divided at one order, the best ones.
      refit: fits with the direction held; None: made from the model.

    Returns:
      Function (event, best fit [H]) -> SkyMap.

    Raises:
      ConfigError: no model.
      ReconstructionError: orders or numbers out of range, no direction in the hypothesis, or astropy-healpix is not
        installed.
      HypothesisError: when the result is called with a best fit of another model.
      DataError: when the result is called with an event of another detector.
    """
    check_healpix()
    check_model(model)
    for what, number in (("first_order", first_order), ("last_order", last_order)):
        check_whole(number, 0, what, ReconstructionError)
        if number > FINEST:
            raise ReconstructionError(f"{what}: expected at most {FINEST}, got {number}.")
    if last_order < first_order:
        raise ReconstructionError(f"last_order: expected at least first_order ({first_order}), got {last_order}.")
    for what, number in (("resolved", resolved), ("max_divided", max_divided)):
        check_whole(number, 1, what, ReconstructionError)
    pairs = {model.parameter_names[z]: (z, a) for z, a in direction_pairs(model.parameters)}
    if not pairs:
        raise ReconstructionError(f"the hypothesis has no direction to map: {', '.join(model.parameter_names)}.")
    if direction is not None and direction not in pairs:
        raise ReconstructionError(f"direction: expected one of {', '.join(pairs)}, got {direction!r}.")
    zenith, azimuth = pairs[direction] if direction else list(pairs.values())[-1]
    held = (model.parameter_names[zenith], model.parameter_names[azimuth])
    own_refit = refit or make_refit(model, held, settings, log_likelihood=log_likelihood)

    def at_directions(event: Event, starts: np.ndarray, vectors: np.ndarray, top: float) -> Refits:
        starts = starts.copy()
        starts[:, zenith], starts[:, azimuth] = angles(vectors)
        return own_refit(event, starts, top)

    def sky_map(event: Event, best: np.ndarray) -> SkyMap:
        check_event(event, model.detector)
        check_hypothesis(best, model.parameter_names, "a best fit")
        best = np.asarray(best, np.float64)
        middle = unit_vectors(best[zenith], best[azimuth])
        pixels = np.arange(12 * 4**first_order)
        vectors = pixel_vectors(first_order, pixels)
        outwards = np.argsort(angle_between(vectors, middle), kind="stable")
        value, fits, evaluations = np.full(len(pixels), np.nan), np.tile(best, (len(pixels), 1)), 0
        done = np.zeros(0, int)
        top = float(own_refit(event, best[None]).log_likelihood[0])
        if not np.isfinite(top):
            raise ReconstructionError("the log-likelihood is not finite at the best fit; check event and best fit.")
        for wave in np.array_split(outwards, WAVES):
            if len(done):
                nearest = done[np.argmax(vectors[wave] @ vectors[done].T, axis=1)]
                fits[wave] = fits[nearest]
            found = at_directions(event, fits[wave], vectors[wave], top)
            fits[wave], value[wave] = found.hypothesis, found.log_likelihood
            evaluations += int(found.evaluations.sum())
            done = np.concatenate([done, wave[np.isfinite(value[wave])]])
        leaves = [(np.full(len(pixels), first_order), pixels, value, fits)]
        best_known, top = top, float(np.nanmax(value, initial=-np.inf))
        if not np.isfinite(top):
            raise ReconstructionError("the log-likelihood is not finite anywhere on the sky; check event and best fit.")
        for order in range(first_order, last_order):
            _, pixels, value, fits = leaves.pop()
            delta = np.where(np.isfinite(value), 2 * (top - value), np.inf)
            near = pixels_around(order, best[zenith], best[azimuth])
            wanted = (delta < INTERESTING) | np.isin(pixels, near)
            limit = np.sort(delta[wanted])[max_divided - 1] if wanted.sum() > max_divided else np.inf
            divided = wanted & (delta <= limit)
            leaves.append((np.full((~divided).sum(), order), pixels[~divided], value[~divided], fits[~divided]))
            children = (pixels[divided][:, None] * 4 + np.arange(4)).ravel()
            found = at_directions(
                event, np.repeat(fits[divided], 4, axis=0), pixel_vectors(order + 1, children), max(top, best_known)
            )
            evaluations += int(found.evaluations.sum())
            leaves.append((np.full(len(children), order + 1), children, found.log_likelihood, found.hypothesis))
            top = max(top, float(np.nanmax(found.log_likelihood, initial=-np.inf)))
            if np.sum(2 * (top - found.log_likelihood) < stats.chi2.ppf(0.9, 2)) >= resolved:
                break
        parts = [np.concatenate(p) for p in zip(*leaves, strict=True)]
        return SkyMap(parts[0], parts[1], parts[2], parts[3], evaluations)

    return sky_map
