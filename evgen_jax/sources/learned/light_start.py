"""What a network need not learn: it starts from the light of photon transport in a homogeneous medium."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from evgen_jax.decoders import Decoder, Mixture
from evgen_jax.decoders.mixture import Component
from evgen_jax.errors import ConfigError
from evgen_jax.measurement.point_light import PointLight
from evgen_jax.physics import constants
from evgen_jax.physics.transport.light_table import GAMMAS
from evgen_jax.sources.learned.options import LearnedOptions

OTHERS = 0.05
"""Weight from which components start that are none of the three gamma distributions of the light."""


def _gamma_component(decoder: Decoder | Mixture) -> Component | None:
    """The component of a mixture with enough gamma distributions; None if there is none."""
    for component in decoder.components if isinstance(decoder, Mixture) else ():
        names = component.decoder.parameter_names
        if component.count >= GAMMAS and {"alpha", "beta"} <= set(names) and isinstance(component.decoder, Decoder):
            return component
    return None


def check_light(options: LearnedOptions, has_light: bool, time_decoder: Decoder | Mixture) -> None:
    """Checks that a source can start from the light of photon transport.

    Args:
      options: of a learned source, one of which needs that light.
      has_light: whether the geometry of the source knows it.
      time_decoder: distribution of the arrival times.

    Raises:
      ConfigError: a track, a factor that the light holds already, or too few gamma distributions.
    """
    key = "scale_charge_by_light" if options.scale_charge_by_light else "start_times_from_light"
    if not has_light:
        raise ConfigError(
            f"{key}: light from photon transport is known of cascades, not of tracks. Use scale_charge_by_diffusion."
        )
    for other in ("scale_charge_by_diffusion", "scale_charge_by_angular_acceptance"):
        if options.scale_charge_by_light and getattr(options, other):
            raise ConfigError(f"scale_charge_by_light and {other} exclude each other: the light holds both.")
    if options.start_times_from_light and _gamma_component(time_decoder) is None:
        raise ConfigError(
            f"start_times_from_light: decoder_settings needs a mixture with a component of {GAMMAS} gamma distributions "
            f"or more, such as decoder_mapping: {{Gamma: [Gamma, {GAMMAS}, 1.0]}}."
        )


def gammas_of_light(light: PointLight) -> Float[Array, "D 9"]:
    """Lists weights, shapes and rates of the gamma distributions of light.

    Args:
      light: at D sensors.

    Returns:
      Three weights, three shapes and three rates in the unit of time decoders [D, 9].
    """
    rates = light.rate * constants.TIME_UNIT
    return jnp.concatenate([jnp.exp(light.log_weight), light.shape, rates], axis=-1)


def times_of_light(decoder: Decoder | Mixture, gammas: Float[Array, "M 9"]) -> Float[Array, "M L"]:
    """Computes the network outputs that make a time decoder describe light.

    Args:
      decoder: mixture with three gamma distributions or more; the first three take those of the light.
      gammas: of the light at M DOMs, as `gammas_of_light` lists them.

    Returns:
      Network outputs [M, L]; 0 for parameters of other components, whose weights start small.
    """
    assert isinstance(decoder, Mixture)
    values = dict(zip(("weight", "alpha", "beta"), jnp.split(gammas, 3, axis=-1), strict=True))
    own, weights = _gamma_component(decoder), decoder.weight_range
    columns = []
    for component in decoder.components:
        ranges = dict(component.decoder.value_ranges) if isinstance(component.decoder, Decoder) else {}
        for copy in range(component.count):
            of_light = component is own and copy < GAMMAS
            for name in (*component.decoder.parameter_names, "weight"):
                value = values[name][:, copy] if of_light and name in values else None
                if name == "weight":
                    target = jnp.full_like(gammas[:, 0], OTHERS) if value is None else value
                    columns.append(weights.inverse(target / max(component.weight_factor, 1e-6)))
                elif value is None:
                    columns.append(jnp.zeros_like(gammas[:, 0]))
                else:
                    columns.append(ranges[name].inverse(value) if name in ranges else value)
    return jnp.stack(columns, axis=-1)
