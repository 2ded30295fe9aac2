"""Adaptive sky maps: the direction held at HEALPix pixels, all other parameters fitted, finer where it matters.

Pixels are those of the detector's sky (zenith is HEALPix' theta, azimuth its phi, both of where the particle comes from)
or of the celestial one (90 degrees - declination, right ascension).
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from evgen_jax.checks import check_whole
from evgen_jax.errors import ReconstructionError
from evgen_jax.hypothesis.parameters import direction_pairs
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.physics.sphere import angle_between, angles, unit_vectors
from evgen_jax.reconstruction.fit.objective import LogLikelihood
from evgen_jax.reconstruction.fit.refit import Refit, Refits, make_refit
from evgen_jax.reconstruction.fit.settings import DEFAULT, FitSettings
from evgen_jax.reconstruction.uncertainty.celestial import Celestial
from evgen_jax.reconstruction.uncertainty.pixel_map import SkyMap
from evgen_jax.reconstruction.uncertainty.pixels import FINEST, check_healpix, pixel_vectors, pixels_around

__all__ = ["SkyMap", "make_sky_map"]

INTERESTING = 20.0
"""Largest 2 (best - log-likelihood) of pixels that are divided, far beyond the 99.9 % contour (13.8)."""
WAVES = 6
"""Number of steps in which the first pixels are fitted, from the best fit outwards."""


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
) -> Callable[..., SkyMap]:
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
      Function (event, best fit [H], celestial coordinates) -> SkyMap; without the last, of the detector's sky.

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

    def sky_map(event: Event, best: np.ndarray, celestial: Celestial | None = None) -> SkyMap:
        check_event(event, model.detector)
        check_hypothesis(best, model.parameter_names, "a best fit")
        best = np.asarray(best, np.float64)
        middle = unit_vectors(best[zenith], best[azimuth])
        middle = middle if celestial is None else celestial.to_sky(middle)
        theta, phi = (float(angle) for angle in angles(middle))

        def at_directions(starts: np.ndarray, vectors: np.ndarray, top: float) -> Refits:
            starts = starts.copy()
            vectors = vectors if celestial is None else celestial.to_detector(vectors)
            starts[:, zenith], starts[:, azimuth] = angles(vectors)
            return own_refit(event, starts, top)

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
            found = at_directions(fits[wave], vectors[wave], top)
            fits[wave], value[wave] = found.hypothesis, found.log_likelihood
            evaluations += int(found.evaluations.sum())
            done = np.concatenate([done, wave[np.isfinite(value[wave])]])
        leaves, divisions = [(np.full(len(pixels), first_order), pixels, value, fits)], list[tuple[np.ndarray, ...]]()
        best_known, top = top, float(np.nanmax(value, initial=-np.inf))
        if not np.isfinite(top):
            raise ReconstructionError("the log-likelihood is not finite anywhere on the sky; check event and best fit.")
        for order in range(first_order, last_order):
            _, pixels, value, fits = leaves.pop()
            delta = np.where(np.isfinite(value), 2 * (top - value), np.inf)
            near = pixels_around(order, theta, phi)
            wanted = (delta < INTERESTING) | np.isin(pixels, near)
            limit = np.sort(delta[wanted])[max_divided - 1] if wanted.sum() > max_divided else np.inf
            divided = wanted & (delta <= limit)
            leaves.append((np.full((~divided).sum(), order), pixels[~divided], value[~divided], fits[~divided]))
            children = (pixels[divided][:, None] * 4 + np.arange(4)).ravel()
            divisions.append((np.full(divided.sum(), order), pixels[divided], value[divided], fits[divided]))
            found = at_directions(
                np.repeat(fits[divided], 4, axis=0), pixel_vectors(order + 1, children), max(top, best_known)
            )
            evaluations += int(found.evaluations.sum())
            leaves.append((np.full(len(children), order + 1), children, found.log_likelihood, found.hypothesis))
            top = max(top, float(np.nanmax(found.log_likelihood, initial=-np.inf)))
            if np.sum(2 * (top - found.log_likelihood) < stats.chi2.ppf(0.9, 2)) >= resolved:
                break
        return _joined(leaves, evaluations, celestial, _joined(divisions, 0, celestial) if divisions else None)

    return sky_map


def _joined(
    parts: Sequence[tuple[np.ndarray, ...]],
    evaluations: int,
    celestial: Celestial | None,
    divided: SkyMap | None = None,
) -> SkyMap:
    """A map of several sets of pixels: orders, indices, log-likelihoods and fits of each."""
    order, pixel, value, fits = (np.concatenate(own) for own in zip(*parts, strict=True))
    return SkyMap(order, pixel, value, fits, evaluations, celestial, divided)
