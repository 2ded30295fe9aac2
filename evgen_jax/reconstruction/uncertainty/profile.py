"""Profile scans: the best log-likelihood as a function of one or two parameters, all others fitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evgen_jax.checks import check_mapping, check_share
from evgen_jax.errors import ReconstructionError, shown
from evgen_jax.hypothesis.names import place_of
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.reconstruction.fit.objective import LogLikelihood
from evgen_jax.reconstruction.fit.refit import Refit, make_refit
from evgen_jax.reconstruction.fit.settings import DEFAULT, FitSettings
from evgen_jax.short_repr import short_repr


@dataclass(frozen=True)
class Profile:
    """Holds a scan on a grid.

    Attributes:
      names: of the one or two scanned parameters.
      values: their grid, one array per parameter, physical units.
      log_likelihood: shape (...), one axis per scanned parameter; NaN where a fit failed.
      hypothesis: shape (..., H), the fits, physical units.
    """

    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    log_likelihood: np.ndarray
    hypothesis: np.ndarray

    __repr__ = short_repr

    def delta(self) -> np.ndarray:
        """Computes what Wilks' theorem compares with a chi-square.

        Returns:
          2 (best log-likelihood - log-likelihood), one axis per scanned parameter.
        """
        return 2 * (np.nanmax(self.log_likelihood) - self.log_likelihood)

    def interval(self, probability: float = 0.6827) -> tuple[float, float]:
        """Interpolates the confidence interval of a scan in one parameter.

        Args:
          probability: that the interval holds.

        Returns:
          Lower and upper end, unit of the parameter; infinite where the scan ends first.

        Raises:
          ReconstructionError: a scan in two parameters, something else than a probability, or no fit of the scan succeeded.
        """
        check_share(probability, "probability", ReconstructionError)
        if len(self.names) != 1:
            raise ReconstructionError(f"an interval needs a scan in one parameter, this one has {len(self.names)}.")
        good = np.isfinite(self.log_likelihood)
        if not good.any():
            raise ReconstructionError(f"the scan of {self.names[0]} has no interval: none of its fits succeeded.")
        # Between the neighbours of a failed fit it is interpolated.
        level, delta, grid = stats.chi2.ppf(probability, 1), self.delta()[good], self.values[0][good]
        best = int(np.argmin(delta))
        ends = []
        for side, outer in ((slice(best, None, -1), -np.inf), (slice(best, None), np.inf)):
            own, x = delta[side], grid[side]
            above = np.flatnonzero(own > level)
            if len(above) == 0:
                ends.append(outer)
                continue
            k = above[0]
            share = (np.sqrt(level) - np.sqrt(own[k - 1])) / (np.sqrt(own[k]) - np.sqrt(own[k - 1]))
            ends.append(float(x[k - 1] + share * (x[k] - x[k - 1])))
        return ends[0], ends[1]


def _grid_of(name: str, given: Sequence[float]) -> np.ndarray:
    try:
        values = np.asarray(given)
        if values.dtype.kind in "iuf" and values.ndim == 1 and len(values) and np.isfinite(values).all():
            return values.astype(np.float64)
    except ValueError:  # lists of different lengths
        pass
    raise ReconstructionError(f"grid.{name}: expected a list of finite values, at least one, got {shown(given)}.")


def scan_profile(
    model: AnyModel,
    event: Event,
    best: np.ndarray,
    grid: Mapping[str, Sequence[float]],
    settings: FitSettings = DEFAULT,
    *,
    log_likelihood: LogLikelihood | None = None,
    refit: Refit | None = None,
) -> Profile:
    """Scans one or two parameters; at every point of the grid all others are fitted.

    Points are fitted ring by ring from the one nearest to the best fit outwards, each from its nearest fitted
    neighbour.

    Args:
      model: what was fitted.
      event: what was measured.
      best: [H], the best fit, physical units.
      grid: {parameter: values}, one or two parameters.
      settings: free parameters and bounds of the fits.
      log_likelihood: function (variables, hypothesis, event); None: that of the model.
      refit: of an earlier call for these parameters, which saves the compilation.

    Returns:
      The scan.

    Raises:
      ConfigError: no model.
      ReconstructionError: an unknown name, a grid without values, or a number of parameters that is neither one nor
        two.
      HypothesisError: a best fit of another model.
      DataError: an event of another detector.
    """
    check_model(model)
    check_event(event, model.detector)
    check_hypothesis(best, model.parameter_names, "a best fit")
    check_mapping(grid, "grid", "{parameter: values}", ReconstructionError)
    names = tuple(grid)
    if len(names) not in (1, 2):
        raise ReconstructionError(f"a scan takes one or two parameters, got {len(names)} ({', '.join(names)}).")
    values = tuple(_grid_of(name, grid[name]) for name in names)
    places = [place_of(name, model.parameters, "grid", ReconstructionError) for name in names]
    names = tuple(model.parameter_names[place] for place in places)
    refit = refit or make_refit(model, names, settings, log_likelihood=log_likelihood)
    best = np.asarray(best, np.float64)
    shape = tuple(len(v) for v in values)
    centre = [int(np.argmin(np.abs(v - best[i]))) for v, i in zip(values, places, strict=True)]
    points = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).reshape(-1, len(shape))
    ring = np.max(np.abs(points - centre), axis=1)
    fits = np.tile(best, (*shape, 1))
    log_likelihood_at = np.full(shape, np.nan)
    for distance in range(int(ring.max()) + 1):
        own = points[ring == distance]
        # The neighbour one step nearer to the centre is fitted already.
        inner = own - np.sign(own - centre)
        starts = fits[tuple(inner.T)].copy()
        for k, (place, grid_values) in enumerate(zip(places, values, strict=True)):
            starts[:, place] = grid_values[own[:, k]]
        done = refit(event, starts)
        fits[tuple(own.T)], log_likelihood_at[tuple(own.T)] = done.hypothesis, done.log_likelihood
    return Profile(names, values, log_likelihood_at, fits)
