"""Results of fits, and what they say in words."""

from dataclasses import dataclass

import numpy as np

from evgen_jax.reconstruction.fit.coordinates import Coordinates
from evgen_jax.reconstruction.fit.covariance import Covariance

AT_BOUND = 1e-3
"""Share of the range between two bounds within which a parameter counts as at one of them."""
MOST = 12
"""Largest number of parameters that a printed fit shows."""


@dataclass(frozen=True)
class Diagnostics:
    """Tells how a fit went.

    Attributes:
      converged: whether the minimiser says so and the fit can be: within 2 km of the detector, no energy beyond 1e12 GeV.
      message: why it stopped, or what cannot be.
      gradient_norm: largest component of the gradient in normalised units at the fit.
      evaluations: of value and gradient, all seeds together.
      runtime: s, without compilation; the share of one event where many are fitted together.
      best_seed: which of the event's seeds led to the fit.
    """

    converged: bool
    message: str
    gradient_norm: float
    evaluations: int
    runtime: float
    best_seed: int = 0


@dataclass(frozen=True, repr=False)
class FitResult:
    """Holds one fitted event.

    Attributes:
      hypothesis: [H], physical units; parameters that were not free are those of the seed.
      log_likelihood: at the fit; NaN where there is none.
      log_likelihood_seed: at the seed.
      covariance: None if not asked for or if the fit failed.
      diagnostics: how the fit went.
      parameter_names: of the hypothesis, H of them.
      coordinates: what was free, within which bounds, and which parameters are logged; None: not known.
      pulses: number of pulses of the event; None: not known.
      charge: of the event, PE; None: not known.
    """

    hypothesis: np.ndarray
    log_likelihood: float
    log_likelihood_seed: float
    covariance: Covariance | None
    diagnostics: Diagnostics
    parameter_names: tuple[str, ...]
    coordinates: Coordinates | None = None
    pulses: int | None = None
    charge: float | None = None

    @property
    def failed(self) -> bool:
        """Returns whether there is no fit: its log-likelihood is not finite."""
        return not np.isfinite(self.log_likelihood)

    def as_dict(self) -> dict[str, float]:
        """Names the parameters of the fitted hypothesis.

        Returns:
          {parameter: value}, physical units (m, ns, GeV, rad).
        """
        return dict(zip(self.parameter_names, map(float, self.hypothesis), strict=True))

    def uncertainties(self, sandwich: bool = False) -> dict[str, float]:
        """Names the standard deviations of the fitted parameters.

        Args:
          sandwich: whether they are those of the sandwich covariance, which holds up better where the model is wrong.

        Returns:
          {parameter: standard deviation}, physical units (m, ns, GeV, rad), of energies as well; NaN where a parameter was
          not free or there is no covariance.
        """
        widths = np.full(len(self.parameter_names), np.nan)
        own = self.covariance
        if own is not None:
            widths[own.free] = np.sqrt(np.diag(own.physical_sandwich if sandwich else own.physical))
        if self.coordinates is not None:
            # From ln(1 + p) to p.
            widths *= np.where(self.coordinates.trafo.log, 1 + self.hypothesis, 1.0)
        return dict(zip(self.parameter_names, map(float, widths), strict=True))

    def warnings(self) -> list[str]:
        """Lists what speaks against taking the fit as it stands.

        Returns:
          One sentence each: no fit, not converged, a seed without a gradient, a parameter at a bound, a Hessian that had to be repaired, a
          direction that may be any.
        """
        notes = self.diagnostics
        if self.failed:
            return [f"there is no fit: {notes.message}"]
        found = []
        if not notes.converged:
            found.append(f"the fit did not converge: {notes.message} (gradient norm {notes.gradient_norm:.2g})")
        if notes.gradient_norm == 0 and self.log_likelihood == self.log_likelihood_seed:
            found.append("the log-likelihood does not change at the seed: it is too far from all light to be fitted")
        found += [f"{name} is at its bound of {end:g}{unit}" for name, end, unit in self._at_bounds()]
        if self.covariance is not None and self.covariance.repaired:
            found.append("the Hessian is not positive definite: the uncertainties are not to be relied on")
        elif self.covariance is not None and self.covariance.angular > np.pi / 2:
            found.append("the direction is not determined: the event has too little light for this hypothesis")
        return found

    def summary(self) -> str:
        """Writes the fit as a short text.

        Returns:
          Status, log-likelihoods, pulses; the parameters with values, standard deviations and units; warnings.

        Example:
          print(fit.summary())
        """
        notes, lines = self.diagnostics, []
        seen = "" if self.pulses is None else f"; {self.pulses} pulses, {self.charge or 0:.0f} PE"
        state = "failed" if self.failed else "converged" if notes.converged else "not converged"
        lines.append(f"Fit {state} after {notes.evaluations} evaluations, gradient norm {notes.gradient_norm:.2g}")
        lines.append(
            f"log-likelihood {self.log_likelihood:.2f}, {self.log_likelihood_seed:.2f} at the seed{seen}",
        )
        widths, fitted, bound = self.uncertainties(), self._fitted(), {name for name, *_ in self._at_bounds()}
        longest = max(map(len, self.parameter_names), default=0)
        for i, (name, value) in enumerate(self.as_dict().items()):
            width = np.nan if name in bound else widths[name]  # a parabola around a bound says nothing
            error = "(held)" if not fitted[i] else f"+- {width:.3g}" if np.isfinite(width) else ""
            lines.append(f"  {name:{longest}} {_written(value, width):>12} {error:<12} {self._unit(i)}".rstrip())
        own = self.covariance
        if own is not None and np.isfinite(own.angular):
            width = np.degrees(own.angular)
            lines.append(f"  {'direction':{longest}} known to {width:.3g} degrees (39 % of the probability)")
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings())])

    def __repr__(self) -> str:
        state = "failed" if self.failed else "converged" if self.diagnostics.converged else "not converged"
        named = [f"{name}={value:.6g}" for name, value in list(self.as_dict().items())[:MOST]]
        more = f", ... {len(self.parameter_names)} parameters" if len(self.parameter_names) > MOST else ""
        return f"FitResult({state}, log-likelihood {self.log_likelihood:.2f}, {', '.join(named)}{more})"

    def _fitted(self) -> np.ndarray:
        fitted = np.ones(len(self.parameter_names), bool)
        if self.coordinates is not None:
            fitted[:] = False
            fitted[self.coordinates.free] = True
        return fitted

    def _unit(self, place: int) -> str:
        return "" if self.coordinates is None else self.coordinates.parameters[place].unit

    def _at_bounds(self) -> list[tuple[str, float, str]]:
        """Name, bound and unit of the parameters that ended at a bound."""
        if self.coordinates is None:
            return []
        found, trafo = [], self.coordinates.trafo
        logged, values = np.array(trafo.log), np.array(self.hypothesis, np.float64)
        values[logged] = np.log1p(values[logged])
        values = (values - trafo.mean) / trafo.scale()
        for place, low, high in zip(self.coordinates.scalars, self.coordinates.low, self.coordinates.high, strict=True):
            if not (np.isfinite(low) and np.isfinite(high)):
                continue
            for end in (low, high):
                if abs(values[place] - end) < AT_BOUND * (high - low):
                    physical = end * trafo.scale()[place] + trafo.mean[place]
                    physical = float(np.expm1(physical) if trafo.log[place] else physical)
                    unit = self._unit(place)
                    found.append((self.parameter_names[place], physical, f" {unit}" if unit else ""))
        return found


def _written(value: float, width: float) -> str:
    """A value with as many digits as its standard deviation tells."""
    if not np.isfinite(value) or not np.isfinite(width) or width <= 0:
        return f"{value:.6g}"
    return f"{value:.{int(np.clip(1 - np.floor(np.log10(width)), 0, 8))}f}"
