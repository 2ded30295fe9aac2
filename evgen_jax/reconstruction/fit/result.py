"""Results of fits."""

from dataclasses import dataclass

import numpy as np

from evgen_jax.reconstruction.fit.covariance import Covariance


@dataclass(frozen=True)
class Diagnostics:
    """Tells how a fit went.

    Attributes:
      converged: whether the minimiser says so.
      message: why it stopped.
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


@dataclass(frozen=True)
class FitResult:
    """Holds one fitted event.

    Attributes:
      hypothesis: [H], physical units; parameters that were not free are those of the seed.
      log_likelihood: at the fit; NaN where there is none.
      log_likelihood_seed: at the seed.
      covariance: None if not asked for or if the fit failed.
      diagnostics: how the fit went.
      parameter_names: of the hypothesis, H of them.
    """

    hypothesis: np.ndarray
    log_likelihood: float
    log_likelihood_seed: float
    covariance: Covariance | None
    diagnostics: Diagnostics
    parameter_names: tuple[str, ...]

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
