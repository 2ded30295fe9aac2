"""The light of all sources with learned arrival times, from the latent variables of their network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from evgen_jax.decoders import Decoder, Mixture
from evgen_jax.light.light_yield import (
    LightYield,
    at_active,
    excluded_before_pulse,
    excluded_fraction,
    spread_to_doms,
)
from evgen_jax.measurement.event import Event
from evgen_jax.physics import constants

BLOCK = 512
"""Pulses that are computed together on a CPU: few enough for its cache."""


def charge_latent(
    decoder: Decoder | Mixture, raw: Float[Array, "D L"], scale: Float[Array, " D"], scaled: tuple[str, ...] | None
) -> Float[Array, "D L"]:
    """Computes the latent variables of the charge decoder; expected charges are exp(clip(raw, -20, 15)) times a scale.

    Args:
      decoder: distribution of the charge, with L parameters.
      raw: [D, L], outputs of the network.
      scale: [D], factor of the expected charges.
      scaled: names of the parameters that get the factor; None: all expected charges.

    Returns:
      Latent variables [D, L].
    """
    scaled = decoder.loc_parameters if scaled is None else scaled
    columns = []
    for i, name in enumerate(decoder.parameter_names):
        value = raw[..., i]
        if name in decoder.loc_parameters:
            value = jnp.exp(jnp.clip(value, -20, 15))
            value = value * scale if name in scaled else value
        columns.append(value)
    return jnp.stack(columns, axis=-1)


def of_each(function: Callable[..., Array]) -> Callable[..., Array]:
    """Makes the derivatives of a function of rows, each of which gives one value, out of its gradient by every row.

    A gradient is computed along with the values and kept, some thirty numbers a pulse. Reverse mode by itself keeps all that lies
    between, some hundreds, and forward mode computes it anew for every parameter of a hypothesis.

    Args:
      function: (trees of rows [N, ...]) -> values [N], the value of a row being a function of that row alone.

    Returns:
      The function, with the same values and derivatives of any order.
    """

    @jax.custom_jvp
    def own(*rows: Any) -> Array:
        return function(*rows)

    @own.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
        value, pull = jax.vjp(function, *primals)
        slopes = jax.tree.leaves(pull(jnp.ones_like(value)))
        changes = [
            jnp.sum((slope * tangent).reshape(len(value), -1), axis=1)
            for slope, tangent in zip(slopes, jax.tree.leaves(tangents), strict=True)
        ]
        return value, sum(changes[1:], changes[0])

    return own


def where_there_are_pulses(
    function: Callable[..., Array], mask: Bool[Array, " P"], *columns: Array
) -> Float[Array, " P"]:
    """Computes a function of pulses; on a CPU block after block, and blocks of nothing but padding cost nothing.

    Args:
      function: (columns [N]) -> values [N], of each pulse by itself.
      mask: [P], False for padding.
      *columns: [P] each.

    Returns:
      Values [P]; on a CPU 0 in blocks of padding.
    """
    count = mask.shape[0]
    if jax.default_backend() != "cpu" or count % BLOCK:
        return function(*columns)

    def block(own: tuple[Array, ...]) -> Array:
        seen, *rest = own
        nothing = jax.eval_shape(function, *rest)
        return jax.lax.cond(jnp.any(seen), lambda: function(*rest), lambda: jnp.zeros(nothing.shape, nothing.dtype))

    return jax.lax.map(block, tuple(a.reshape(-1, BLOCK) for a in (mask, *columns))).reshape(count)


def mixture_light_yield(
    time_decoder: Decoder | Mixture,
    charge_decoder: Decoder | Mixture,
    latent_charge: Float[Array, "D L_charge"],
    latent_time: Float[Array, "M L_time"],
    offset: Float[Array, "M K"],
    vertex_time: Float[Array, ""],
    event: Event,
    cumulative: bool,
) -> LightYield:
    """Computes the light of one source from the latent variables of its decoders.

    Args:
      time_decoder: distribution of the arrival times, with K components.
      charge_decoder: distribution of the charge.
      latent_charge: [D, L_charge], expected charges already scaled.
      latent_time: [M, L_time] at active DOMs.
      offset: [M, K], geometric time of each component relative to the vertex time, ns.
      vertex_time: scalar, ns.
      event: one event with M active DOMs and P pulses.
      cumulative: whether to compute the cumulative light at pulses.

    Returns:
      Light at D DOMs and P pulses.
    """
    dtype = latent_charge.dtype
    pulses, windows = event.pulses, event.windows

    def relative(time: Array, slot: Array) -> Array:
        """(time - vertex time) in its own precision, then (.. - offset) / 1000 in the network's: [.., K]."""
        delay = (time - vertex_time).astype(dtype)
        return (delay[:, None] - offset[slot]) * float(1 / constants.TIME_UNIT)

    charge_full, excess = charge_decoder.mean_and_excess(latent_charge)
    charge, window_fraction = charge_full, None
    if windows.start.shape[0]:
        latent_window = latent_time[windows.slot]
        after = time_decoder.cdf_components(relative(windows.stop, windows.slot), latent_window)
        before = time_decoder.cdf_components(relative(windows.start, windows.slot), latent_window)
        window_fraction = jnp.clip(jnp.sum(after - before, axis=-1), 0, 1)
        kept = 1 - spread_to_doms(event, excluded_fraction(event, window_fraction))
        is_loc = [name in charge_decoder.loc_parameters for name in charge_decoder.parameter_names]
        charge, excess = charge_decoder.mean_and_excess(
            jnp.where(jnp.array(is_loc), latent_charge * kept[:, None], latent_charge)
        )

    at_pulse = at_active(event, charge_full)[pulses.slot]
    constants_of_dom = time_decoder.prepare(latent_time)

    @of_each
    def log_density_of(time: Array, prepared: Any) -> Array:
        return jax.nn.logsumexp(time_decoder.log_components(time, prepared), axis=-1)

    def log_density_at(time: Array, slot: Array) -> Array:
        return log_density_of(relative(time, slot), jax.tree.map(lambda a: a[slot], constants_of_dom))

    log_density = where_there_are_pulses(log_density_at, pulses.mask, pulses.time, pulses.slot)
    density = at_pulse * jnp.exp(log_density) * float(1 / constants.TIME_UNIT)
    passed = None
    if cumulative:
        time = relative(pulses.time, pulses.slot)
        fraction = jnp.sum(time_decoder.cdf_components(time, latent_time[pulses.slot]), axis=-1)
        if window_fraction is not None:
            fraction = fraction - excluded_before_pulse(event, window_fraction)
        passed = at_pulse * jnp.clip(fraction, 0, 1)
    return LightYield(charge, charge_full, excess, jnp.where(pulses.mask, density, 0), passed)


def mixture_sample(
    time_decoder: Decoder | Mixture,
    key: PRNGKeyArray,
    latent: Float[Array, "P L"],
    offset: Float[Array, "P K"],
    vertex_time: Float[Array, ""],
) -> Float[Array, " P"]:
    """Draws arrival times from latent variables.

    Args:
      time_decoder: distribution of the arrival times, with K components.
      key: of the random numbers.
      latent: [P, L].
      offset: [P, K], geometric time of each component relative to the vertex time, ns.
      vertex_time: scalar, ns.

    Returns:
      Times [P], ns.
    """
    sample = time_decoder.sample(key, latent, offset * float(1 / constants.TIME_UNIT))
    return sample * constants.TIME_UNIT + vertex_time
