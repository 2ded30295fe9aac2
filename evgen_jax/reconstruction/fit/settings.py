"""What a fit may be told: which parameters are free, within which bounds, and how the minimum is searched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evgen_jax.checks import check_mapping, check_positive, check_whole
from evgen_jax.config.scipy_settings import checked_scipy_settings
from evgen_jax.errors import ReconstructionError, suggestion

METHODS = ("batched", "BFGS", "L-BFGS-B")
"""Names of the methods."""
GRADIENT_TOLERANCE = 1e-2
"""Default of the largest component of the gradient at which a fit has converged."""
MAX_ITERATIONS = 200
"""Default of the largest number of iterations."""


@dataclass(frozen=True)
class FitSettings:
    """Settings of fits, scans, sky maps and samplers.

    Attributes:
      free: {parameter: whether it is fitted}; parameters that are not free keep the values of the seed.
      default_free: whether parameters that `free` does not name are fitted.
      bounds: {parameter: (low, high)}, physical units; fits stay inside.
      method: 'batched' (all events together, a single seed searched twice), or SciPy's 'BFGS' or 'L-BFGS-B' one event
        after the other.
      gradient_tolerance: largest component of the gradient, normalised units, at which a batched fit is done; it is done as
        well where a Newton step gains less than 1e-6 in log-likelihood (at the default, and as the square of the tolerance).
      max_iterations: of a batched fit, at least 1.
      optimizer_settings: further keyword arguments of scipy.optimize.minimize; for 'batched' gradient_tolerance and
        max_iterations, which override the two fields above.
      in_trafo_space: whether normalised parameters are fitted, or those in physical units.

    Raises:
      ReconstructionError: an unknown method or setting, or a tolerance or number that cannot be. Names of parameters
        and bounds are checked where the settings meet a model.
    """

    free: Mapping[str, bool] | None = None
    default_free: bool = True
    bounds: Mapping[str, tuple[float, float]] | None = None
    method: str = "batched"
    gradient_tolerance: float = GRADIENT_TOLERANCE
    max_iterations: int = MAX_ITERATIONS
    optimizer_settings: Mapping[str, Any] | None = None
    in_trafo_space: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ReconstructionError(
                f"method: expected one of {', '.join(METHODS)}, got {self.method!r}."
                + suggestion(str(self.method), METHODS)
            )
        for what, given, form in (
            ("free (minimize_parameter_dict of a configuration)", self.free, "{parameter: whether it is fitted}"),
            ("bounds", self.bounds, "{parameter: (low, high)}"),
            ("optimizer_settings", self.optimizer_settings, "a mapping {name: value}"),
        ):
            if given is not None:
                check_mapping(given, what, form, ReconstructionError)
        settings = self.of_batched() if self.method == "batched" else vars(self)
        check_positive(settings["gradient_tolerance"], "gradient_tolerance", ReconstructionError)
        check_whole(settings["max_iterations"], 1, "max_iterations", ReconstructionError)
        if self.method != "batched":
            self.of_scipy()

    def of_batched(self) -> dict[str, Any]:
        """Collects what a batched fit takes.

        Returns:
          Gradient tolerance and number of iterations by name.
        """
        known = {"gradient_tolerance": self.gradient_tolerance, "max_iterations": self.max_iterations}
        for name in self.optimizer_settings or {}:
            if name not in known:
                raise ReconstructionError(
                    f"optimizer_settings.{name}: 'batched' does not know it; it takes {' and '.join(known)}."
                    + suggestion(name, known)
                )
        return known | dict(self.optimizer_settings or {})

    def of_scipy(self) -> dict[str, Any]:
        """Collects what SciPy takes.

        Returns:
          Keyword arguments of scipy.optimize.minimize.
        """
        try:
            return checked_scipy_settings({**(self.optimizer_settings or {}), "method": self.method})
        except ValueError as error:
            raise ReconstructionError(f"optimizer_settings{error}") from None


DEFAULT = FitSettings()
"""All parameters free, no bounds, batched."""
