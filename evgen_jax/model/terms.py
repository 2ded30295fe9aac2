"""Likelihood terms on (LightYield, Event), by the names that configurations use.

Every term is a *negative* log-likelihood (a loss) of one event, split into parts: per pulse, per DOM and per event.
Symbols: q expected charge, X over-dispersion and n measured charge of DOM d; c charge, p time density (1/ns) and C
cumulative time distribution of pulse j.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from evgen_jax.decoders.negative_binomial import log_factorial_term, log_probability, log_zero
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.measurement.event import Event
from evgen_jax.numerics import precise_sum, safe_log
from evgen_jax.physics import constants


class LossParts(struct.PyTreeNode):
    """Holds one term of one event before summation.

    Attributes:
      pulse: [P], part of every pulse.
      dom: [D], part of every DOM.
      event: scalar, part of the event as a whole.
    """

    pulse: Array
    dom: Array
    event: Array

    def total(self) -> Float[Array, ""]:
        """Returns the sum of all parts, in float64 where JAX has it enabled."""
        return precise_sum(self.pulse) + precise_sum(self.dom) + self.event.astype(precise_sum(self.dom).dtype)

    def per_dom(self, event: Event) -> Float[Array, " D"]:
        """Returns the sums [D] of the parts of every DOM and of its pulses; `event` is the event of the parts."""
        slots = jax.ops.segment_sum(self.pulse, event.pulses.slot, num_segments=event.active.shape[0])
        return self.dom.at[event.active].add(slots.astype(self.dom.dtype), mode="drop")


def floored(light: LightYield) -> LightYield:
    """Returns the light with the floor of the expected charge (1e-7 PE per DOM), added once to the sum of sources."""
    return light.replace(
        charge=light.charge + constants.CHARGE_FLOOR, charge_full=light.charge_full + constants.CHARGE_FLOOR
    )


def pulse_pdf(light: LightYield, event: Event) -> Float[Array, " P"]:
    """Returns the time density [P] at each pulse, 1/ns."""
    return light.density / at_active(event, light.charge)[event.pulses.slot]


def pulse_cdf(light: LightYield, event: Event) -> Float[Array, " P"]:
    """Returns the cumulative time distribution [P] at each pulse, within [0, 1], from the cumulative light."""
    assert light.cumulative is not None, "the source was not asked for the cumulative light"
    return jnp.clip(light.cumulative / at_active(event, light.charge)[event.pulses.slot], 0, 1)


def log_charge_probability(light: LightYield, event: Event, add_normalization_term: bool = True) -> Float[Array, " D"]:
    """Returns the log probability [D] of the measured charges: negative binomials with mean q and over-dispersion X.

    The full formula is evaluated at active DOMs only; at all others nothing was measured. lgamma(n + 1), n the measured
    charge, is left out if `add_normalization_term` is False.
    """
    everywhere = log_zero(light.charge, light.excess)
    at_hit = log_probability(
        at_active(event, event.charge).astype(light.charge.dtype),
        at_active(event, light.charge),
        at_active(event, light.excess),
        add_normalization_term,
    )
    return everywhere.at[event.active].set(at_hit, mode="drop")


def nothing(light: LightYield) -> LossParts:
    """Returns parts of zero, some of which a term replaces."""
    return LossParts(jnp.zeros_like(light.density), jnp.zeros_like(light.charge), jnp.zeros((), light.charge.dtype))


def _pulse_time(light: LightYield, event: Event) -> Float[Array, " P"]:
    """Returns -c_j log p_j of every pulse [P]."""
    log_pdf = safe_log(light.density) - jnp.log(at_active(event, light.charge)[event.pulses.slot])
    return jnp.where(event.pulses.mask, -event.pulses.charge * log_pdf, 0)


def unbinned_extended_pulse_llh(light: LightYield, event: Event, *, add_normalization_term: bool = True) -> LossParts:
    """Returns the extended likelihood sum_d [q_d - n_d log q_d + log n_d!] - sum_j c_j log p_j by pulse [P], DOM [D].

    q: expected charge, n: measured charge of DOM d; c: charge, p: time density of pulse j. log n_d! is left out if
    `add_normalization_term` is False.
    """
    charge = event.charge.astype(light.charge.dtype)
    if add_normalization_term:
        term = light.charge - log_factorial_term(charge, light.charge)
    else:
        term = light.charge - charge * jnp.log(light.charge)
    return nothing(light).replace(pulse=_pulse_time(light, event), dom=jnp.where(event.usable, term, 0))


def unbinned_pulse_time_llh(light: LightYield, event: Event) -> LossParts:
    """Returns the term of arrival times by pulse [P]: -sum_j c_j log p_j with charge c, time density p of pulse j."""
    return nothing(light).replace(pulse=_pulse_time(light, event))


def unbinned_pulse_time_mpe_llh(light: LightYield, event: Event, *, mpe_quantile: float | None = None) -> LossParts:
    """Returns the term of first pulses by pulse [P], -[log n_d + c_j log p_j + (n_d - c_j) log(1 - C_j)].

    n: charge of DOM d; c: charge, p: time density, C: cumulative time distribution of pulse j. With `mpe_quantile` all
    pulses up to this charge quantile count, with the charge behind them instead of n_d - c_j. Pulses at unusable DOMs
    take no part.
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
    return nothing(light).replace(pulse=jnp.where(usable & chosen, term, 0))


def unbinned_pulse_and_dom_charge_pdf(light: LightYield, event: Event) -> LossParts:
    """Returns the terms of arrival times by pulse [P] and of DOM charges by DOM [D].

    It is the sum of `unbinned_pulse_time_llh` and `dom_charge_pdf`.
    """
    return dom_charge_pdf(light, event).replace(pulse=_pulse_time(light, event))


def unbinned_charge_quantile_pdf(
    light: LightYield,
    event: Event,
    *,
    min_charge_quantile: float | None = None,
    max_charge_quantile: float | None = None,
) -> LossParts:
    """Returns -sum_j log p_j by pulse [P], p: time density, for a range of charge quantiles (default 0 to 1)."""
    pulses = event.pulses
    low = 0.0 if min_charge_quantile is None else min_charge_quantile
    high = 1.0 if max_charge_quantile is None else max_charge_quantile
    chosen = pulses.mask & (pulses.quantile >= low) & (pulses.quantile <= high)
    log_pdf = safe_log(light.density) - jnp.log(at_active(event, light.charge)[pulses.slot])
    return nothing(light).replace(pulse=jnp.where(chosen, -log_pdf, 0))


def dom_charge_pdf(light: LightYield, event: Event) -> LossParts:
    """Returns the term of DOM charges by DOM [D], -sum_d log NB(n_d; q_d, X_d), a normalised negative binomial.

    n: measured charge, q: expected charge, X: over-dispersion (variance - mean) of DOM d.
    """
    log_pdf = log_charge_probability(light, event)
    return nothing(light).replace(dom=jnp.where(event.usable, -log_pdf, 0))


def negative_binomial_charge_pdf(light: LightYield, event: Event, *, add_normalization_term: bool = True) -> LossParts:
    """Returns the term of DOM charges by DOM [D], -sum_d log NB(n_d; q_d, X_d), a negative binomial with X >= 5e-5 q^2.

    n: measured charge, q: expected charge, X: over-dispersion of DOM d. lgamma(n_d + 1) is left out if
    `add_normalization_term` is False.
    """
    broad = light.replace(excess=jnp.maximum(light.excess, 5e-5 * light.charge**2))
    log_pdf = log_charge_probability(broad, event, add_normalization_term)
    return nothing(light).replace(dom=jnp.where(event.usable, -log_pdf, 0))


def negative_binomial_event_charge_pdf(
    light: LightYield, event: Event, *, add_normalization_term: bool = True
) -> LossParts:
    """Returns the term of the total charge, a scalar: -log NB(N; Q, X), a negative binomial with X >= 5e-5 Q^2.

    N: measured charge, Q: expected charge, X: over-dispersion of all usable DOMs. lgamma(N + 1) is left out if
    `add_normalization_term` is False.
    """
    keep = event.usable
    mean = jnp.sum(jnp.where(keep, light.charge, 0))
    excess = jnp.maximum(jnp.sum(jnp.where(keep, light.excess, 0)), 5e-5 * mean**2)
    charge = jnp.sum(jnp.where(keep, event.charge, 0)).astype(mean.dtype)
    # A charge floor for events in which no DOM takes part.
    value = -log_probability(charge, jnp.maximum(mean, constants.CHARGE_FLOOR), excess, add_normalization_term)
    return nothing(light).replace(event=value)


def normalized_dom_charge_pdf(light: LightYield, event: Event) -> LossParts:
    """Returns how the charge is shared among the DOMs, by DOM [D]: -sum_d n_d log(q_d / (sum q + 1e-7 PE)).

    n: measured charge, q: expected charge of DOM d.
    """
    keep = event.usable
    # Event-Generator divides by the sum + 1e-7, too; without it the gradient is NaN where no DOM takes part.
    total = jnp.sum(jnp.where(keep, light.charge, 0)) + constants.CHARGE_FLOOR
    term = -event.charge * (jnp.log(light.charge) - jnp.log(total))
    return nothing(light).replace(dom=jnp.where(keep, term, 0))


Term = Callable[..., LossParts]
"""Function (light, event, **options) -> parts of one term; the options are arguments by keyword."""
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
"""Name of a term in configurations -> function; `register_loss` adds those of users."""
NEEDS_CUMULATIVE = {"unbinned_pulse_time_mpe_llh"}
"""Names of the terms that ask for the cumulative light, which costs incomplete gamma functions."""
