"""The numbers of Event-Generator itself, with what it does in another way: for comparison with what it wrote, not for fits."""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from evgen_jax.decoders import Mixture
from evgen_jax.decoders.negative_binomial import log_probability
from evgen_jax.errors import ConfigError
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.light.tree import Copies, copies_at
from evgen_jax.measurement.event import Event
from evgen_jax.model.ensemble import check_no_ensemble
from evgen_jax.model.model import Model
from evgen_jax.physics.constants import CHARGE_FLOOR, TIME_UNIT
from evgen_jax.sources.learned.learned import LearnedSource
from evgen_jax.sources.learned.noise import SHORTEST_READOUT, NoiseSource

LEAST = 1e-37
"""Smallest probability whose logarithm it takes, in float32."""
LEAST_ALPHA, LEAST_OF_SUM = 5e-5, 1e-6
"""Smallest over-dispersion of its charge terms, and of a sum of sources."""


class _Charges(NamedTuple):
    """Components of the charge of one source: weights, means [D, K], PE, and variances [D, K], PE^2."""

    weight: Array
    mean: Array
    variance: Array


def event_generator_losses(model: Model, hypothesis: Float[Array, " H"], event: Event) -> dict[str, Float[Array, ""]]:
    """Computes the terms of the loss of one event as Event-Generator computes them for imported weights.

    That is: time densities per microsecond beside those of noise per ns; components of charge whose means and variances are
    multiplied by their weights; excluded windows with a charge-weighted mean; no logarithm below that of 1e-37; a floor of
    1e-7 PE for every source. Pure; composes with jit, vmap and grad. Cascades beyond the edge of the detector are those of
    this package.

    Args:
      model: imported, with or without densities per microsecond.
      hypothesis: [H], physical units (m, ns, GeV, rad).
      event: one event.

    Returns:
      Terms by name, scalars; they differ from those of `model.loss` by what `import` tells.

    Raises:
      ConfigError: an ensemble, or a source of another program.

    Example:
      `event_generator_losses(eg.load_model("OUT"), hypothesis, event)["dom_charge_pdf"]`
    """
    check_no_ensemble(model)
    copies = list(copies_at(model.source, model.variables, jnp.asarray(hypothesis), model.detector))
    lights = [_light(copy, own, model, event) for copy in copies for own in copy.parameters]
    each = [copy for copy in copies for _ in copy.parameters]
    charges = [_charges(copy, light, model, event) for copy, light in zip(each, lights, strict=True)]
    floors = [CHARGE_FLOOR * _components(copy) for copy in each]
    mean = reduce(jnp.add, (light.charge + floor for light, floor in zip(lights, floors, strict=True)))
    variance = reduce(jnp.add, (jnp.sum(own.variance, axis=-1) for own in charges))
    density, passed = _times(lights, mean, event)
    if len(charges) > 1:
        log_charge = _log_mixture(event.charge, reduce(_joined, charges))
    else:
        own = charges[0]
        log_charge = log_probability(event.charge, own.mean[:, 0], own.variance[:, 0] - own.mean[:, 0])
    return _losses(event, mean, variance, jnp.exp(log_charge), density, passed)


def _components(copy: Copies) -> int:
    """Number of components of the charge of a source, each of which has the floor."""
    decoder = getattr(copy.source, "charge_decoder", None)
    return decoder.num_components if isinstance(decoder, Mixture) else 1


def _light(copy: Copies, parameters: Array, model: Model, event: Event) -> LightYield:
    """The light of one source, its density in its own unit of time."""
    noise = isinstance(copy.source, NoiseSource) and copy.source.learned
    if not noise and not isinstance(copy.source, LearnedSource):
        raise ConfigError(
            f"{'.'.join(copy.path) or 'the model'}: is no source of Event-Generator, which has no number for it."
        )
    light = copy.source.light_yield(copy.variables, parameters, event, model.detector, True)
    if not isinstance(copy.source, LearnedSource) or copy.source.options.density_per_microsecond:
        return light
    return light.replace(density=light.density * TIME_UNIT)


def _charges(copy: Copies, light: LightYield, model: Model, event: Event) -> _Charges:
    """The components of the charge of one source; means and variances of several are multiplied by their weights."""
    decoder = getattr(copy.source, "charge_decoder", None)
    if not isinstance(decoder, Mixture):
        mean = light.charge + CHARGE_FLOOR
        alpha = light.excess / jnp.maximum(light.charge, LEAST) ** 2
        return _Charges(jnp.ones_like(mean)[:, None], mean[:, None], (mean + alpha * mean**2)[:, None])
    if not isinstance(copy.source, NoiseSource):
        raise ConfigError(f"{'.'.join(copy.path)}: has a mixture of charges, whose components no light shows.")
    raw, names = copy.variables["params"]["local_vars"], decoder.parameter_names
    scaled = decoder.loc_parameters if copy.source.scaled is None else copy.source.scaled
    livetime = jnp.maximum(event.readout[1] - event.readout[0], SHORTEST_READOUT).astype(raw.dtype)
    kept = light.charge / jnp.where(light.charge_full > 0, light.charge_full, 1)
    base = model.detector.noise_rate * livetime * kept
    latent = jnp.broadcast_to(raw, (len(base), len(raw)))
    for i, name in enumerate(names):
        if name in decoder.loc_parameters:
            value = jnp.exp(jnp.clip(raw[i], -20, 15)) * (base if name in scaled else 1) + CHARGE_FLOOR
            latent = latent.at[:, i].set(value)
    weight = decoder.weights(latent)
    moments = [
        c.decoder.mean_and_excess(
            jnp.stack([latent[:, names.index(f"{c.name}_{p}_{i:03d}")] for p in c.decoder.parameter_names], axis=-1)
        )
        for c in decoder.components
        for i in range(c.count)
    ]
    mean, excess = (jnp.stack(values, axis=-1) for values in zip(*moments, strict=True))
    share = weight * mean
    return _Charges(share / jnp.sum(share, axis=-1, keepdims=True), share, weight * (mean + excess))


def _joined(one: _Charges, other: _Charges) -> _Charges:
    """Every component of one source beside every one of another: weights multiply, means and variances add."""

    def pairs(a: Array, b: Array, weights: bool) -> Array:
        a, b = a[:, :, None], b[:, None, :]
        return (a * b if weights else a + b).reshape(len(a), -1)

    return _Charges(*(pairs(a, b, i == 0) for i, (a, b) in enumerate(zip(one, other, strict=True))))


def _log_mixture(charge: Float[Array, " D"], own: _Charges) -> Float[Array, " D"]:
    """Log probability of the measured charges: negative binomials with the moments of the components."""
    alpha = jnp.maximum((own.variance - own.mean) / own.mean**2, LEAST_OF_SUM)
    log_pdf = log_probability(charge[:, None], own.mean, alpha * own.mean**2)
    weight = own.weight / jnp.sum(own.weight, axis=-1, keepdims=True)
    return jnp.log(jnp.maximum(jnp.sum(weight * jnp.exp(log_pdf), axis=-1), LEAST))


def _times(lights: Sequence[LightYield], total: Float[Array, " D"], event: Event) -> tuple[Array, Array]:
    """Density and cumulative distribution of every pulse [P], the windows of all sources together."""
    slot = event.pulses.slot
    density = passed = excluded = jnp.zeros((), total.dtype)
    for light in lights:
        share = at_active(event, (light.charge + CHARGE_FLOOR) / total)[slot]
        full = jnp.where(light.charge_full > 0, light.charge_full, 1)
        at_pulse = at_active(event, full)[slot]
        assert light.cumulative is not None
        density = density + share * light.density / at_pulse
        passed = passed + share * light.cumulative / at_pulse
        excluded = excluded + share * at_active(event, 1 - light.charge / full)[slot]
    kept = 1 - jnp.clip(excluded, 0, 1) + CHARGE_FLOOR
    return density / kept, jnp.clip(passed / kept, 0, 1)


def _losses(
    event: Event,
    mean: Float[Array, " D"],
    variance: Float[Array, " D"],
    probability: Float[Array, " D"],
    density: Float[Array, " P"],
    passed: Float[Array, " P"],
) -> dict[str, Float[Array, ""]]:
    """The terms of the loss: per module those of usable ones, per pulse those of all."""

    def log(x: Array) -> Array:
        return jnp.log(jnp.maximum(x, LEAST))

    pulses, keep = event.pulses, event.usable
    c = jnp.where(pulses.mask, pulses.charge, 0)
    n, q, v = (jnp.where(keep, values, 0) for values in (event.charge, mean, variance))
    times = -jnp.sum(c * log(density))
    by_dom = -jnp.sum(jnp.where(keep, log(probability), 0))
    alpha = jnp.maximum((variance - mean) / (mean**2 + CHARGE_FLOOR), LEAST_ALPHA)
    counts = jnp.where(keep, log_probability(event.charge, mean, alpha * mean**2), 0)
    whole = jnp.sum(q)
    alpha_of_event = jnp.maximum((jnp.sum(v) - whole) / whole**2, LEAST_ALPHA)
    at_pulse = at_active(event, n)[pulses.slot]
    first = jnp.where(
        pulses.first & pulses.mask, log(at_pulse) + c * log(density) + (at_pulse - c) * log(1 - passed), 0
    )
    return {
        "unbinned_extended_pulse_llh": jnp.sum(q - n * log(q) + gammaln(n + 1)) + times,
        "unbinned_pulse_time_llh": times,
        "unbinned_pulse_time_mpe_llh": -jnp.sum(first),
        "unbinned_pulse_and_dom_charge_pdf": times + by_dom,
        "dom_charge_pdf": by_dom,
        "negative_binomial_charge_pdf": -jnp.sum(counts),
        "negative_binomial_event_charge_pdf": -log_probability(jnp.sum(n), whole, alpha_of_event * whole**2),
        "normalized_dom_charge_pdf": -jnp.sum(n * log(q / (whole + CHARGE_FLOOR))),
    }
