"""A model and the pure functions made from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from evgen_jax.decoders.negative_binomial import sample_counts
from evgen_jax.errors import ConfigError, shown, suggestion
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.source import Source, Variables
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event, Pulses, Windows
from evgen_jax.model.doors import (
    check_event,
    check_hypothesis,
    check_readout,
    check_times,
    check_variables,
    check_whole,
)
from evgen_jax.model.likelihood import DEFAULT_LOSS, Loss, LossParts, floored, pulse_cdf, pulse_pdf


@dataclass(frozen=True)
class Model:
    """Everything that belongs to a trained model. The functions below take the weights as an argument.

    Attributes:
      source: static tree of sources.
      variables: its weights.
      trafo: normalisation of the hypothesis, used to fit in.
      detector: where the DOMs are.
      loss: the likelihood terms.
      settings: the configuration sections it was built from (plain values), for saving.
    """

    source: Source
    variables: Variables
    trafo: Trafo
    detector: Detector
    loss: Loss = DEFAULT_LOSS
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return self.source.parameter_names

    def index(self, name: str) -> int:
        """Position of a hypothesis parameter.

        Raises:
          ConfigError: for an unknown name, with the nearest match.
        """
        if name not in self.parameter_names:
            raise ConfigError(
                f"'{name}' is no parameter of the model; it has {', '.join(self.parameter_names)}."
                + suggestion(name, self.parameter_names)
            )
        return self.parameter_names.index(name)

    def with_variables(self, variables: Variables) -> "Model":
        return replace(self, variables=variables)


@dataclass(frozen=True)
class Ensemble(Model):
    """Several models of one hypothesis and detector that are fitted together: the mean of their log-likelihoods.

    The mean, not the sum: identical members give the uncertainties of one of them. `variables` is the tuple of the
    members' weights, normalisation and names are those of the first.

    Attributes:
      members: at least one.
    """

    members: tuple[Model, ...] = ()


def make_ensemble(models: Sequence[Model]) -> Ensemble:
    """Joins models, which are fitted like one.

    Raises:
      ConfigError: no model, or different parameters or detectors.
    """
    if not isinstance(models, Sequence):
        raise ConfigError(f"an ensemble: expected a list of models, got {shown(models)}.")
    if not models:
        raise ConfigError("an ensemble needs at least one model, got none.")
    first = models[0]
    for model in models:
        check_model(model)
    for number, model in enumerate(models):
        if model.parameter_names != first.parameter_names:
            raise ConfigError(
                f"ensemble: model {number} has the parameters {', '.join(model.parameter_names)}, the first one "
                f"{', '.join(first.parameter_names)}."
            )
        if not np.array_equal(model.detector.position, first.detector.position):
            raise ConfigError(
                f"ensemble: model {number} is of another detector ({model.detector.name}) than the first."
            )
    return Ensemble(first.source, tuple(m.variables for m in models), first.trafo, first.detector, first.loss,
                    first.settings, tuple(models))  # fmt: skip


def make_loss_parts(model: Model, loss: Loss | None = None) -> Callable[[Variables, Array, Event], LossParts]:
    """Loss terms of one event by pulse, DOM and event, priors left out; of an ensemble their mean over the members.

    Args:
      model, loss: as in `make_log_likelihood`.

    Raises:
      ConfigError, HypothesisError, DataError: as `make_log_likelihood`.
    """
    check_model(model)
    _check_loss(loss)
    if isinstance(model, Ensemble):
        members = [make_loss_parts(member, loss) for member in model.members]

        def mean_parts(variables: Variables, hypothesis: Array, event: Event) -> LossParts:
            check_variables(variables, model.variables)
            parts = [f(v, hypothesis, event) for f, v in zip(members, variables, strict=True)]
            return jax.tree.map(lambda *terms: sum(terms) / len(terms), *parts)

        return mean_parts
    source, detector, terms = model.source, model.detector, loss or model.loss

    def loss_parts(variables: Variables, hypothesis: Array, event: Event) -> LossParts:
        check_variables(variables, model.variables)
        check_hypothesis(hypothesis, source.parameter_names)
        check_event(event, detector)
        hypothesis = jnp.asarray(hypothesis)
        return terms.parts(source.light_yield(variables, hypothesis, event, detector, terms.needs_cumulative), event)

    return loss_parts


def make_log_likelihood(
    model: Model, loss: Loss | None = None, *, priors: bool = True
) -> Callable[[Variables, Array, Event], Array]:
    """The log-likelihood of one event as a pure function (variables, hypothesis [H], event) -> scalar.

    It holds the priors of the loss, if there are any, as the training and the fits do. For a posterior with priors of
    one's own leave them out, or they count twice.

    It composes with jit, vmap, grad, hessian and pmap. The sum over DOMs and pulses is done in float64 where JAX has
    it enabled (`jax.enable_x64`), the network in the model's own precision.

    Args:
      model: its weights are not used, they are an argument of the result.
      loss: other likelihood terms than the model's own.
      priors: whether the log of the loss's priors is added.

    Raises:
      ConfigError: something else than a model or a loss, or when the result is called with weights of another model.
      HypothesisError: when the result is called (or traced) with another number of parameters.
      DataError: when it is called with something else than one event of the model's detector.
    """
    check_model(model)
    _check_loss(loss)
    parts, names, terms = make_loss_parts(model, loss), model.parameter_names, loss or model.loss

    def log_likelihood(variables: Variables, hypothesis: Array, event: Event) -> Array:
        check_event(event, model.detector)
        # Events are made with numpy, whose arrays cannot be indexed by traced ones when a function is closed over them.
        event = jax.tree.map(jnp.asarray, event)
        value = -parts(variables, hypothesis, event).total()
        return value - terms.prior(names, jnp.asarray(hypothesis)) if priors else value

    return log_likelihood


class DomExpectation(struct.PyTreeNode):
    """What the model expects: charge and its variance [D], time density per ns and cumulative [D, T]."""

    charge: Array
    variance: Array
    pdf: Array
    cdf: Array


def make_dom_expectation(
    model: Model, readout: tuple[float, float] = (0.0, 20000.0)
) -> Callable[[Variables, Array, Array], DomExpectation]:
    """Expected charge and arrival times at every DOM: pure function (variables, hypothesis [H], times [T] in ns).

    Args:
      model: as in `make_log_likelihood`.
      readout: readout window in ns, which noise needs.

    Raises:
      ConfigError: for an ensemble, a readout that is no window, or when the result is called with weights of another model.
      HypothesisError, DataError: when the result is called (or traced) with other shapes.
    """
    check_no_ensemble(model)
    check_readout(readout)

    def of_hypothesis(variables: Variables, hypothesis: Array, times: Array) -> DomExpectation:
        check_variables(variables, model.variables)
        check_hypothesis(hypothesis, model.parameter_names)
        check_times(times)
        hypothesis, times = jnp.asarray(hypothesis), jnp.asarray(times)
        return dom_expectation(model.source, variables, hypothesis, times, model.detector, jnp.asarray(readout))

    return of_hypothesis


def dom_expectation(
    source: Source, variables: Variables, hypothesis: Array, times: Array, detector: Detector, readout: Array
) -> DomExpectation:
    """What `make_dom_expectation` computes, as a function of everything: compiled once, it serves all events."""
    num_doms = detector.num_doms

    def at_time(time: Array) -> tuple[Array, Array]:
        event = _probe(num_doms, jnp.broadcast_to(time, (num_doms,)), readout)
        light = floored(source.light_yield(variables, hypothesis, event, detector, True))
        return pulse_pdf(light, event), pulse_cdf(light, event)

    # One time after the other would repeat the network; all at once would need [D T, L] latent variables.
    pdf, cdf = jax.lax.map(at_time, times, batch_size=16)
    light = floored(source.light_yield(variables, hypothesis, _probe(num_doms, jnp.zeros(num_doms), readout), detector))
    return DomExpectation(light.charge, light.charge + light.excess, pdf.T, cdf.T)


def check_model(model: Any) -> None:
    """Raises ConfigError unless it is a model."""
    if not isinstance(model, Model):
        raise ConfigError(f"expected a Model, got {shown(model)}. Load one with `load_model(directory)`.")


def _check_loss(loss: Any) -> None:
    if loss is not None and not isinstance(loss, Loss):
        raise ConfigError(f"loss: expected a Loss, or None for the model's own, got {shown(loss)}.")


def check_no_ensemble(model: Model) -> None:
    """Raises ConfigError for an ensemble, whose members have light of their own each, or for no model at all."""
    check_model(model)
    if isinstance(model, Ensemble):
        raise ConfigError("an ensemble has no light of its own; take one of its members (`ensemble.members`).")


def _probe(num_doms: int, times: Array, readout: tuple[float, float] | Array) -> Event:
    """An event with one pulse at every DOM."""
    everywhere = jnp.arange(num_doms, dtype=jnp.int32)
    ones = jnp.ones(num_doms)
    flags = jnp.ones(num_doms, bool)
    pulses = Pulses(charge=ones, time=times, slot=everywhere, mask=flags, first=flags, quantile=ones)
    none = jnp.zeros(0)
    windows = Windows(start=none, stop=none, slot=none.astype(jnp.int32), mask=none.astype(bool))
    return Event(jnp.zeros(num_doms), flags, pulses, everywhere, jnp.asarray(readout), windows)


class SampledPulses(struct.PyTreeNode):
    """Photoelectrons [P] of a simulated event; entries with mask False are padding. `count` may exceed P."""

    time: Array
    dom: Array
    mask: Array
    count: Array


def make_sampler(
    model: Model, readout: tuple[float, float] = (0.0, 20000.0), max_photoelectrons: int = 1 << 14
) -> Callable[[Variables, Array, Array], SampledPulses]:
    """Simulates one event: pure function (variables, key, hypothesis [H]) -> SampledPulses.

    Per DOM a number of photoelectrons from the negative binomial, for each an arrival time from the time density.

    Args:
      model: as in `make_log_likelihood`.
      readout: readout window in ns, which noise needs.
      max_photoelectrons: length P; if `count` of the result is larger, the event was cut: draw it again with more.

    Raises:
      ConfigError: for an ensemble, a readout that is no window, no place for photoelectrons, or when the result is called
        with weights of another model.
      HypothesisError: when the result is called (or traced) with another number of parameters.
    """
    check_no_ensemble(model)
    check_readout(readout)
    check_whole(max_photoelectrons, 1, "max_photoelectrons", ConfigError)
    source, detector, num_doms = model.source, model.detector, model.detector.num_doms

    def sampler(variables: Variables, key: Array, hypothesis: Array) -> SampledPulses:
        check_variables(variables, model.variables)
        check_hypothesis(hypothesis, model.parameter_names)
        hypothesis = jnp.asarray(hypothesis)
        key_count, key_time = jax.random.split(key)
        event = _probe(num_doms, jnp.zeros(num_doms), readout)
        light = source.light_yield(variables, hypothesis, event, detector)
        counts = sample_counts(key_count, jnp.maximum(light.charge_full, 1e-30), light.excess)
        counts = jnp.where(light.charge_full > 0, counts, 0).astype(jnp.int32)
        ends = jnp.cumsum(counts)
        order = jnp.arange(max_photoelectrons)
        dom = jnp.minimum(jnp.searchsorted(ends, order, side="right"), num_doms - 1)
        times = source.sample_times(variables, key_time, hypothesis, event, detector, dom)
        return SampledPulses(times, dom, order < ends[-1], ends[-1])

    return sampler
