"""Likelihood terms on (LightYield, Event), by the names that configurations use.

Every term is a *negative* log-likelihood (a loss) of one event, split into parts: per pulse, per DOM and per event.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import Array

from evgen_jax.decoders.negative_binomial import log_factorial_term, log_probability, log_zero
from evgen_jax.errors import ConfigError, suggestion
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.hypothesis.priors import Prior, penalty
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.measurement.event import Event
from evgen_jax.numerics import precise_sum, safe_log, sum_dtype
from evgen_jax.physics import constants


class LossParts(struct.PyTreeNode):
    """One term of one event before summation: pulse [P], dom [D] and event (scalar)."""

    pulse: Array
    dom: Array
    event: Array

    def total(self) -> Array:
        """Sum of everything, in the widest enabled precision."""
        return precise_sum(self.pulse) + precise_sum(self.dom) + self.event.astype(precise_sum(self.dom).dtype)

    def per_dom(self, event: Event) -> Array:
        """Terms of DOMs and of their pulses [D]."""
        slots = jax.ops.segment_sum(self.pulse, event.pulses.slot, num_segments=event.active.shape[0])
        return self.dom.at[event.active].add(slots.astype(self.dom.dtype), mode="drop")


def floored(light: LightYield) -> LightYield:
    """The light with the floor of the expected charge, added once after all sources were summed."""
    return light.replace(
        charge=light.charge + constants.CHARGE_FLOOR, charge_full=light.charge_full + constants.CHARGE_FLOOR
    )


def pulse_pdf(light: LightYield, event: Event) -> Array:
    """Time density at each pulse, per ns [P]."""
    return light.density / at_active(event, light.charge)[event.pulses.slot]


def pulse_cdf(light: LightYield, event: Event) -> Array:
    """Cumulative time distribution at each pulse [P], within [0, 1]."""
    assert light.cumulative is not None, "the source was not asked for the cumulative light"
    return jnp.clip(light.cumulative / at_active(event, light.charge)[event.pulses.slot], 0, 1)


def log_charge_probability(light: LightYield, event: Event, add_normalization_term: bool = True) -> Array:
    """Log probability of the measured charge at every DOM [D]: a negative binomial with mean q and excess X.

    The full formula is evaluated at active DOMs only; all others measured nothing.
    """
    everywhere = log_zero(light.charge, light.excess)
    at_hit = log_probability(
        at_active(event, event.charge).astype(light.charge.dtype),
        at_active(event, light.charge),
        at_active(event, light.excess),
        add_normalization_term,
    )
    return everywhere.at[event.active].set(at_hit, mode="drop")


def _nothing(light: LightYield) -> LossParts:
    return LossParts(jnp.zeros_like(light.density), jnp.zeros_like(light.charge), jnp.zeros((), light.charge.dtype))


def _pulse_time(light: LightYield, event: Event) -> Array:
    log_pdf = safe_log(light.density) - jnp.log(at_active(event, light.charge)[event.pulses.slot])
    return jnp.where(event.pulses.mask, -event.pulses.charge * log_pdf, 0)


def unbinned_extended_pulse_llh(light: LightYield, event: Event, *, add_normalization_term: bool = True) -> LossParts:
    """Extended likelihood: sum_d [q - n log q] - sum_j c_j log p_j, with log n! if normalised."""
    charge = event.charge.astype(light.charge.dtype)
    if add_normalization_term:
        term = light.charge - log_factorial_term(charge, light.charge)
    else:
        term = light.charge - charge * jnp.log(light.charge)
    return _nothing(light).replace(pulse=_pulse_time(light, event), dom=jnp.where(event.usable, term, 0))


def unbinned_pulse_time_llh(light: LightYield, event: Event) -> LossParts:
    """Arrival times: -sum_j c_j log p_j."""
    return _nothing(light).replace(pulse=_pulse_time(light, event))


def unbinned_pulse_time_mpe_llh(light: LightYield, event: Event, *, mpe_quantile: float | None = None) -> LossParts:
    """First pulses: -[log n_d + c_j log p_j + (n_d - c_j) log(1 - C_j)], or all pulses up to `mpe_quantile`.

    Pulses at unusable DOMs take no part.
    """
    pulses = event.pulses
    total = at_active(event, event.charge)[pulses.slot]
    usable = at_active(event, event.usable)[pulses.slot] & pulses.mask
    if mpe_quantile is None:
        chosen, later = pulses.first, total - pulses.charge
    else:
        chosen = pulses.first | (pulses.quantile <= mpe_quantile)
        later = total * jnp.clip(1 - pulses.quantile, 0, 1)
    survival = safe_log(1 - pulse_cdf(light, event))
    term = _pulse_time(light, event) - safe_log(total) - later * survival
    return _nothing(light).replace(pulse=jnp.where(usable & chosen, term, 0))


def unbinned_pulse_and_dom_charge_pdf(light: LightYield, event: Event) -> LossParts:
    """Arrival times and DOM charges: the sum of `unbinned_pulse_time_llh` and `dom_charge_pdf`."""
    return dom_charge_pdf(light, event).replace(pulse=_pulse_time(light, event))


def unbinned_charge_quantile_pdf(
    light: LightYield,
    event: Event,
    *,
    min_charge_quantile: float | None = None,
    max_charge_quantile: float | None = None,
) -> LossParts:
    """Unweighted arrival times -sum_j log p_j of pulses within a range of charge quantiles."""
    pulses = event.pulses
    low = 0.0 if min_charge_quantile is None else min_charge_quantile
    high = 1.0 if max_charge_quantile is None else max_charge_quantile
    chosen = pulses.mask & (pulses.quantile >= low) & (pulses.quantile <= high)
    log_pdf = safe_log(light.density) - jnp.log(at_active(event, light.charge)[pulses.slot])
    return _nothing(light).replace(pulse=jnp.where(chosen, -log_pdf, 0))


def dom_charge_pdf(light: LightYield, event: Event) -> LossParts:
    """Charges: -sum_d log NB(n_d; q_d, X_d), always normalised."""
    log_pdf = log_charge_probability(light, event)
    return _nothing(light).replace(dom=jnp.where(event.usable, -log_pdf, 0))


def negative_binomial_charge_pdf(light: LightYield, event: Event, *, add_normalization_term: bool = True) -> LossParts:
    """Charges with at least alpha = 5e-5: -sum_d log NB(n_d; q_d, X_d)."""
    broad = light.replace(excess=jnp.maximum(light.excess, 5e-5 * light.charge**2))
    log_pdf = log_charge_probability(broad, event, add_normalization_term)
    return _nothing(light).replace(dom=jnp.where(event.usable, -log_pdf, 0))


def negative_binomial_event_charge_pdf(
    light: LightYield, event: Event, *, add_normalization_term: bool = True
) -> LossParts:
    """Total charge of the event: -log NB(sum n; sum q, alpha) with alpha at least 5e-5."""
    keep = event.usable
    mean = jnp.sum(jnp.where(keep, light.charge, 0))
    excess = jnp.maximum(jnp.sum(jnp.where(keep, light.excess, 0)), 5e-5 * mean**2)
    charge = jnp.sum(jnp.where(keep, event.charge, 0)).astype(mean.dtype)
    # A charge floor for events in which no DOM takes part.
    value = -log_probability(charge, jnp.maximum(mean, constants.CHARGE_FLOOR), excess, add_normalization_term)
    return _nothing(light).replace(event=value)


def normalized_dom_charge_pdf(light: LightYield, event: Event) -> LossParts:
    """How the charge is shared among the DOMs: -sum_d n_d log(q_d / sum q)."""
    keep = event.usable
    total = jnp.sum(jnp.where(keep, light.charge, 0)) + constants.CHARGE_FLOOR
    term = -event.charge * (jnp.log(light.charge) - jnp.log(total))
    return _nothing(light).replace(dom=jnp.where(keep, term, 0))


Term = Callable[..., LossParts]
"""(light, event, **options) -> parts of one term; the options are arguments by keyword."""
TERMS: dict[str, Term] = {
    f.__name__: f
    for f in (
        unbinned_extended_pulse_llh,
        unbinned_pulse_time_llh,
        unbinned_pulse_time_mpe_llh,
        unbinned_pulse_and_dom_charge_pdf,
        unbinned_charge_quantile_pdf,
        dom_charge_pdf,
        negative_binomial_charge_pdf,
        negative_binomial_event_charge_pdf,
        normalized_dom_charge_pdf,
    )
}
"""Names of terms in configurations. Users add their own with `register_loss`."""
NEEDS_CUMULATIVE = {"unbinned_pulse_time_mpe_llh"}
"""Terms that ask for the cumulative light, which costs incomplete gamma functions."""


@dataclass(frozen=True)
class LossTerm:
    """One weighted term of a loss.

    Attributes:
      name: of a function in `TERMS`.
      options: (name, value) pairs of the arguments that it takes by keyword.
      weight: factor.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    weight: float = 1.0

    def __post_init__(self):
        if self.name not in TERMS:
            raise ConfigError(
                f"loss_function_name '{self.name}' is unknown; known: {', '.join(TERMS)}."
                + suggestion(self.name, TERMS)
            )


@dataclass(frozen=True)
class Loss:
    """Weighted sum of terms and priors; every weight acts.

    Attributes:
      terms: compare the light with the event.
      priors: (weight, prior) of hypothesis parameters.
    """

    terms: tuple[LossTerm, ...]
    priors: tuple[tuple[float, Prior], ...] = ()

    @property
    def needs_cumulative(self) -> bool:
        return any(t.name in NEEDS_CUMULATIVE for t in self.terms)

    def parts(self, light: LightYield, event: Event) -> LossParts:
        """Weighted sum of the terms of one event, kept apart by pulse, DOM and event; adds the charge floor."""
        light = floored(light)
        total = _nothing(light)
        for term in self.terms:
            own = TERMS[term.name](light, event, **dict(term.options))
            total = jax.tree.map(lambda a, b, w=term.weight: a + w * b, total, own)
        return total

    def __call__(self, light: LightYield, event: Event) -> Array:
        """Loss of one event without the priors, a scalar."""
        return self.parts(light, event).total()

    def prior(self, parameters: Sequence[Parameter], hypothesis: Array) -> Array:
        """Weighted sum of the priors' penalties of a hypothesis [H], a scalar."""
        total = jnp.zeros((), sum_dtype())
        for weight, prior in self.priors:
            total = total + weight * penalty((prior,), parameters, hypothesis)
        return total

    def sorted(self, light: LightYield, event: Event) -> tuple[Array, Array, Array]:
        """Loss of one event as (scalar, per event, per DOM [D]) whose sum is the whole loss.

        The scalar is zero: no term is shared between events.
        """
        parts = self.parts(light, event)
        return jnp.zeros_like(parts.event), parts.event, parts.per_dom(event)


DEFAULT_LOSS = Loss((LossTerm("unbinned_pulse_time_llh"), LossTerm("dom_charge_pdf")))
