"""Samples of the posterior by blackjax: NUTS, or an ensemble of chains that learn from each other (MEADS)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from evgen_jax.checks import check_whole
from evgen_jax.errors import ReconstructionError, shown, suggestion
from evgen_jax.host_jit import host_jit
from evgen_jax.hypothesis.joint_prior import LogPrior
from evgen_jax.interruption import wait_for
from evgen_jax.measurement.event import Event
from evgen_jax.model.doors import check_event, check_hypothesis
from evgen_jax.model.ensemble import AnyModel, check_model
from evgen_jax.model.log_likelihood import log_likelihood as own_log_likelihood
from evgen_jax.physics.sphere import unit_vectors
from evgen_jax.reconstruction.fit.batching import shape_of, stacked
from evgen_jax.reconstruction.fit.coordinates import make_coordinates
from evgen_jax.reconstruction.fit.covariance import inverse_of_hessian
from evgen_jax.reconstruction.fit.differences import differenced_hessian
from evgen_jax.reconstruction.fit.evaluator import Evaluator
from evgen_jax.reconstruction.fit.objective import LogLikelihood, chosen
from evgen_jax.reconstruction.fit.settings import DEFAULT, FitSettings
from evgen_jax.reconstruction.uncertainty.sampling_space import LogPosterior, SamplingSpace
from evgen_jax.short_repr import short_repr

LOGGER = logging.getLogger("evgen_jax")
Density = Callable[[Array], Array]
"""Log density of places [m] of a sampler, in units of the widths at the best fit."""
METHODS = ("nuts", "ensemble")
"""Names of the samplers."""
FOLDS = 4
"""Number of folds of an ensemble; chains of one fold adapt to those of all other folds."""
HALVINGS = 10
"""Largest number of halvings of the way from the best fit to a start that the prior excludes."""


@dataclass(frozen=True)
class Posterior:
    """Samples of C chains, S each; states that were kept because a proposal was rejected count again.

    Attributes:
      hypothesis: [C, S, H], physical units.
      log_density: [C, S], of likelihood and prior by the fit's unknowns, of directions by steradian.
      acceptance: [C], mean acceptance probability.
      divergences: number of trajectories that diverged; more than a few mean that a region was not reached.
      r_hat: split R-hat of the free scalars, then of three components per direction: below 1.01 where the chains agree.
      effective_samples: effective numbers of samples of the free scalars, then of three components per direction.
    """

    hypothesis: np.ndarray
    log_density: np.ndarray
    acceptance: np.ndarray
    divergences: int
    r_hat: np.ndarray
    effective_samples: np.ndarray

    __repr__ = short_repr

    @property
    def samples(self) -> np.ndarray:
        """Returns the samples of all C chains behind each other [C S, H], physical units."""
        return self.hypothesis.reshape(-1, self.hypothesis.shape[-1])


def make_posterior_sampler(
    model: AnyModel,
    log_prior: LogPrior,
    settings: FitSettings = DEFAULT,
    *,
    method: str = "nuts",
    num_chains: int | None = None,
    num_warmup: int = 200,
    num_samples: int = 500,
    log_likelihood: LogLikelihood | None = None,
) -> Callable[[Event, np.ndarray, Array], Posterior]:
    """Makes a function that samples the posterior of an event; compiled once per padded shape of event.

    Chains start around the best fit with the width of the Hessian, which also is the first guess of their mass matrix,
    inside the prior. Samplers are slow at its edges: give `prior_limits(...)` as `bounds`, and there are none.

    The priors are those of `log_prior` and no others: those of the model's loss, which a fit holds, do not count (a
    warning names them). Where they are wanted, multiply: `make_prior(...) * model.loss.joint_prior(model.parameters)`.

    Args:
      model: what to sample; parameters that are not free keep the values of the best fit.
      log_prior: function hypothesis [H] -> log density, such as the `JointPrior` of `make_prior` or of a loss.
      settings: free parameters and bounds.
      method: 'nuts' with window adaptation, or 'ensemble' (generalised HMC, arXiv:2110.11576).
      num_chains: run side by side; default 4, of an ensemble 32.
      num_warmup: steps per chain before the samples.
      num_samples: samples per chain.
      log_likelihood: function (variables, hypothesis, event); None: that of the model without priors.

    Returns:
      Function (event, best fit [H], key) -> Posterior.

    Raises:
      ReconstructionError: an unknown method or name, a number of chains that does not fit, or blackjax is not
        installed.
      HypothesisError: when the result is called with a best fit of another model.
      DataError: when the result is called with an event of another detector.
    """
    try:
        import blackjax
    except ImportError:
        raise ReconstructionError(
            "sampling needs blackjax. Install it with: pip install 'evgen_jax[posterior]'."
        ) from None
    check_model(model)
    if method not in METHODS:
        raise ReconstructionError(
            f"method: expected one of {', '.join(METHODS)}, got {method!r}." + suggestion(str(method), METHODS)
        )
    for what, number, least in (("num_warmup", num_warmup, 0), ("num_samples", num_samples, 1)):
        check_whole(number, least, what, ReconstructionError)
    if num_chains is not None:
        check_whole(num_chains, 1, "num_chains", ReconstructionError)
    if not callable(log_prior):
        raise ReconstructionError(f"log_prior: expected a function as `make_prior` makes it, got {shown(log_prior)}.")
    chains = num_chains or (4 if method == "nuts" else 32)
    if method == "ensemble" and (chains % FOLDS or chains < 2 * FOLDS):
        raise ReconstructionError(f"num_chains: an ensemble takes a multiple of {FOLDS}, 8 at least, got {chains}.")
    coordinates = make_coordinates(model, settings)
    # The fit's own, with the priors of the loss: its Hessian is a first guess of widths.
    evaluator = Evaluator(chosen(log_likelihood), coordinates, model)
    space = SamplingSpace(coordinates)
    log_posterior = posterior_density(model, log_prior, space, log_likelihood)
    numbers = (chains, num_warmup, num_samples)

    def sample(event: Event, best: np.ndarray, key: Array) -> Posterior:
        check_event(event, model.detector)
        check_hypothesis(best, model.parameter_names, "a best fit")
        anchor = np.array(best, np.float64)[None]
        batch, which = stacked([event], shape_of(event), 1), np.zeros(1, int)
        unknown = evaluator.start(anchor)
        evaluate = evaluator.problems(batch, which, anchor)
        value, gradient = evaluate(which, unknown)
        if not np.isfinite(value[0]):
            raise ReconstructionError("the log-likelihood at the best fit is not finite; nothing can be sampled there.")
        inverse, _ = inverse_of_hessian(differenced_hessian(evaluate, which, unknown, gradient)[0])
        with jax.enable_x64(True):
            one = jax.tree.map(lambda a: a[0], batch)
            place, middle = jnp.asarray(space.place(unknown[0])), jnp.asarray(anchor[0])
            width = jnp.linalg.cholesky(jnp.asarray(space.covariance(inverse)))
            out = _samples(log_posterior, method, numbers, model, place, middle, one, width, key)
            wait_for(jax.tree.leaves(out))
            hypothesis, density, acceptance, divergent = jax.tree.map(np.asarray, out)
            if not np.isfinite(density).all():
                raise ReconstructionError(
                    "the prior is 0 at the best fit and around it, where chains would start. Widen the priors, or give "
                    "their limits as bounds, prior_limits(...)."
                )
            scalars = hypothesis[..., np.array(coordinates.scalars, int)]
            vectors = [unit_vectors(hypothesis[..., i], hypothesis[..., k]) for i, k in coordinates.directions]
            compared = jnp.asarray(np.concatenate([scalars, *vectors], axis=-1))
            r_hat, effective = (np.asarray(jax.vmap(f, in_axes=2)(compared)) for f in (blackjax.rhat, blackjax.ess))
        return Posterior(hypothesis, density, acceptance, int(divergent.sum()), r_hat, effective)

    return sample


def posterior_density(
    model: AnyModel, log_prior: LogPrior, space: SamplingSpace, log_likelihood: LogLikelihood | None = None
) -> LogPosterior:
    """Makes the density that is sampled: the likelihood without the priors of the loss, times the given prior.

    Args:
      model: what to sample; a warning names the priors of its loss.
      log_prior: of a hypothesis [H].
      space: of the sampler.
      log_likelihood: function (variables, hypothesis, event); None: that of the model without priors.

    Returns:
      Log density by the places of the sampler.
    """
    left_out = () if log_likelihood else model.loss.joint_prior(model.parameters).without(log_prior).names
    if left_out:
        LOGGER.warning(
            "the loss has priors of %s, which the posterior does not: it has those that it is given.",
            ", ".join(left_out),
        )
    return LogPosterior(chosen(log_likelihood, _without_priors), log_prior, space)


def _without_priors(model: AnyModel, hypothesis: Float[Array, " H"], event: Event) -> Float[Array, ""]:
    return own_log_likelihood(model, hypothesis, event, priors=False)


@host_jit(static_argnums=(0, 1, 2))
def _samples(
    log_posterior: LogPosterior,
    method: str,
    numbers: tuple[int, int, int],
    model: AnyModel,
    place: Float[Array, " m"],
    anchor: Float[Array, " H"],
    event: Event,
    width: Float[Array, "m m"],
    key: PRNGKeyArray,
) -> tuple[Array, Array, Array, Array]:
    """Hypotheses [C, S, H], their log densities [C, S], acceptance [C] and divergences [C, S] of all chains.

    Steps of all samplers are taken in units in which the Hessian at the best fit is the identity.
    """

    def target(z: Array) -> Array:
        value = log_posterior(model, place + width @ z, anchor, event)
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)

    def each(function: Callable[[Array, Array], Array]) -> Array:
        return jax.vmap(jax.vmap(lambda p: function(p, anchor)))(places)

    chains = _nuts if method == "nuts" else _ensemble
    states, info = chains(target, *numbers, place, key)
    places, space = place[None, None] + states.position @ width.T, log_posterior.space
    density = states.logdensity - each(space.log_length_density)
    return each(space.hypothesis), density, jnp.mean(info.acceptance_rate, axis=1), info.is_divergent


def _start(density: Density, key: PRNGKeyArray, place: Float[Array, " m"]) -> Float[Array, " m"]:
    """Around the best fit, at the origin, where the density is finite: outside the prior a chain would never move."""
    drawn = jax.random.normal(key, place.shape, place.dtype)
    candidates = drawn[None] * 0.5 ** jnp.arange(HALVINGS)[:, None]
    inside = jnp.isfinite(jax.lax.map(density, candidates))
    return candidates[jnp.argmax(inside)]


def _nuts(density: Density, chains: int, warmup: int, samples: int, place: Array, key: Array) -> tuple[Any, Any]:
    """States and diagnostics of all chains, [C, S] of each, in the types of blackjax."""
    import blackjax

    # Few unknowns, tightly coupled (vertex, time and direction): the whole matrix costs nothing and shortens the paths.
    adaptation = blackjax.window_adaptation(blackjax.nuts, density, is_mass_matrix_diagonal=False)

    def chain(key: Array) -> tuple[Any, Any]:
        key_start, key_warmup, key_run = jax.random.split(key, 3)
        start = _start(density, key_start, place)
        (state, parameters), _ = adaptation.run(key_warmup, start, warmup)
        step = blackjax.nuts(density, **parameters).step
        return _run(step, state, jax.random.split(key_run, samples))

    return jax.vmap(chain)(jax.random.split(key, chains))


def _ensemble(density: Density, chains: int, warmup: int, samples: int, place: Array, key: Array) -> tuple[Any, Any]:
    """States and diagnostics of all chains, [C, S] of each, in the types of blackjax."""
    import blackjax

    key_start, key_warmup, key_run = jax.random.split(key, 3)
    start = jax.vmap(lambda k: _start(density, k, place))(jax.random.split(key_start, chains))
    adaptation = blackjax.meads_adaptation(density, chains)
    (state, parameters), _ = adaptation.run(key_warmup, start, warmup)
    step = blackjax.ghmc(density, **parameters).step

    def chain(state: Any, key: Array) -> tuple[Any, Any]:
        return _run(step, state, jax.random.split(key, samples))

    return jax.vmap(chain)(state, jax.random.split(key_run, chains))


def _run(step: Callable[[Array, Any], tuple[Any, Any]], state: Any, keys: Array) -> tuple[Any, Any]:
    def one(state: Any, key: Array) -> tuple[Any, tuple[Any, Any]]:
        state, info = step(key, state)
        return state, (state, info)

    return jax.lax.scan(one, state, keys)[1]
