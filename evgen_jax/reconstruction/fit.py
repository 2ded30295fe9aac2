"""Maximum-likelihood fits in normalised parameters with SciPy on JAX's value and gradient."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import optimize

from evgen_jax.errors import ReconstructionError, suggestion
from evgen_jax.event import Event
from evgen_jax.model import Model, make_log_likelihood

METHODS = ("BFGS", "L-BFGS-B")


@dataclass(frozen=True)
class FitResult:
    """One fitted event.

    Attributes:
      hypothesis: [H], physical units; parameters that were not free are those of the seed.
      log_likelihood, log_likelihood_seed: at the fit and at the seed.
      converged: whether the minimiser says so.
      message: why it stopped.
      gradient_norm: largest component of the gradient in normalised parameters at the fit.
      evaluations: of value and gradient.
      runtime: s, without compilation of the first event of a bucket.
    """

    hypothesis: np.ndarray
    log_likelihood: float
    log_likelihood_seed: float
    converged: bool
    message: str
    gradient_norm: float
    evaluations: int
    runtime: float


def free_flags(model: Model, free: Mapping[str, bool] | None = None, default: bool = True) -> np.ndarray:
    """Which parameters are fitted [H]; `free` overrides the default by name.

    Raises:
      ReconstructionError: an unknown name (with the nearest match), or nothing left to fit.
    """
    names = model.parameter_names
    for name in free or {}:
        if name not in names:
            raise ReconstructionError(
                f"minimize_parameter_dict: '{name}' is no parameter of the model; it has {', '.join(names)}."
                + suggestion(name, names)
            )
    flags = np.array([(free or {}).get(name, default) for name in names])
    if not flags.any():
        raise ReconstructionError("no parameter is free; nothing to fit.")
    return flags


def make_fitter(
    model: Model,
    free: Mapping[str, bool] | None = None,
    default_free: bool = True,
    optimizer_settings: Mapping[str, Any] | None = None,
    in_trafo_space: bool = True,
) -> Callable[[Event, np.ndarray], FitResult]:
    """A function (event, seed [H]) -> FitResult; compiled once per padding bucket.

    Args:
      model: what to fit.
      free, default_free: see `free_flags`.
      optimizer_settings: keyword arguments of scipy.optimize.minimize; method BFGS or L-BFGS-B.
      in_trafo_space: fit the normalised parameters (else the physical ones).

    Raises:
      ReconstructionError: an unknown method or parameter name.
    """
    settings = {"method": "BFGS", **(optimizer_settings or {})}
    if settings["method"] not in METHODS:
        raise ReconstructionError(f"scipy_optimizer_settings.method: expected {' or '.join(METHODS)}, "
                                  f"got {settings['method']!r}.")  # fmt: skip
    flags = free_flags(model, free, default_free)
    indices = np.flatnonzero(flags)
    log_likelihood = make_log_likelihood(model)
    trafo = model.trafo

    def objective(variables: Any, unknown: Array, seed: Array, event: Event) -> Array:
        base = trafo.transform(seed) if in_trafo_space else seed
        full = base.at[indices].set(unknown)
        physical = trafo.inverse(full) if in_trafo_space else full
        # Fixed parameters stay exactly as given, whatever the round trip through the transformation does.
        return -log_likelihood(variables, jnp.where(jnp.asarray(flags), physical, seed), event)

    value_and_grad = jax.jit(jax.value_and_grad(objective, argnums=1))
    to_physical = jax.jit(trafo.inverse)
    to_unknown = jax.jit(trafo.transform)

    def fit(event: Event, seed: np.ndarray) -> FitResult:
        # The sum over DOMs and pulses needs float64: in float32 minimisers stop at its rounding errors.
        with jax.enable_x64(True):
            seed64 = jnp.asarray(seed, jnp.float64)
            start = np.asarray(to_unknown(seed64))[indices] if in_trafo_space else np.asarray(seed64)[indices]
            last = {}

            def function(x: np.ndarray) -> tuple[float, np.ndarray]:
                value, gradient = value_and_grad(model.variables, jnp.asarray(x), seed64, event)
                value, gradient = float(value), np.asarray(gradient, np.float64)
                if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
                    return np.inf, np.zeros_like(gradient)
                last[x.tobytes()] = gradient
                return value, gradient

            seed_value, _ = function(start)  # compiles, if the bucket is new
            if not np.isfinite(seed_value):
                raise ReconstructionError(f"the log-likelihood at the seed {np.asarray(seed)} is not finite.")
            begin = time.perf_counter()
            result = optimize.minimize(function, start, jac=True, **settings)
            runtime = time.perf_counter() - begin
            best = result.x if result.fun <= seed_value else start
            full = np.asarray(to_unknown(seed64) if in_trafo_space else seed64).copy()
            full[indices] = best
            fitted = np.asarray(to_physical(jnp.asarray(full))) if in_trafo_space else full
            hypothesis = np.where(flags, fitted, np.asarray(seed, np.float64))
            value, gradient = function(best)
        return FitResult(
            hypothesis, -value, -seed_value, bool(result.success), str(result.message),
            float(np.max(np.abs(gradient))), int(result.nfev), runtime,
        )  # fmt: skip

    return fit


def reconstruct(
    model: Model,
    events: Sequence[Event],
    seeds: np.ndarray,
    *,
    free: Mapping[str, bool] | None = None,
    optimizer_settings: Mapping[str, Any] | None = None,
    progress: Callable = lambda items: items,
) -> list[FitResult]:
    """Fits events one after the other.

    Args:
      model: what to fit.
      events: from one detector.
      seeds: [E, H], physical units.
      free: {parameter: whether to fit it}, default all.
      optimizer_settings: of scipy.optimize.minimize.
      progress: wraps the list of events.

    Raises:
      ReconstructionError: shapes do not fit, or a likelihood that is not finite at the seed.
    """
    seeds = np.asarray(seeds)
    if seeds.shape != (len(events), len(model.parameter_names)):
        raise ReconstructionError(
            f"expected seeds of shape ({len(events)}, {len(model.parameter_names)}) for {len(events)} events and the "
            f"parameters {', '.join(model.parameter_names)}, got {seeds.shape}."
        )
    fit = make_fitter(model, free, True, optimizer_settings)
    return [fit(event, seed) for event, seed in progress(list(zip(events, seeds, strict=True)))]
