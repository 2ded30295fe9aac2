"""The learned cascade: a point-like shower whose light a network predicts at every DOM."""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from evgen_jax import constants
from evgen_jax.acceptance import BASELINE, angular_acceptance
from evgen_jax.decoders import Decoder, Mixture
from evgen_jax.detector import Detector
from evgen_jax.diffusion import DOM_AREA, PHOTONS_PER_GEV, diffusion_density
from evgen_jax.errors import ConfigError
from evgen_jax.event import Event
from evgen_jax.geometry import flight_direction, opening_angle, shift_to_shower_maximum
from evgen_jax.layers import DomNetwork
from evgen_jax.light_yield import LightYield, at_active
from evgen_jax.numerics import safe_norm
from evgen_jax.sources.linen_source import LinenSource
from evgen_jax.sources.time_mixture import charge_latent, mixture_light_yield, mixture_sample
from evgen_jax.trafo import Trafo

PARAMETERS = ("x", "y", "z", "zenith", "azimuth", "energy", "time")
MEAN_SCATTERING, MEAN_ABSORPTION = 30.0, 110.0
"""Typical lengths of South Pole ice, m, for `scale_charge_by_diffusion`; the network learns the deviations."""
MEAN_ACCEPTANCE = 0.34


@dataclass(frozen=True)
class CascadeOptions:
    """Switches of the cascade; the names are the configuration keys.

    Attributes:
      shift_cascade_vertex: measure distances and times from the shower maximum.
      add_anisotropy_angle, add_opening_angle, add_dom_angular_acceptance, add_dom_coordinates: more inputs.
      num_local_vars: trainable inputs per DOM.
      scale_charge: expected charge proportional to energy / 1 TeV.
      scale_charge_by_*: further factors of the expected charge. By diffusion: the light of a shower of 1 TeV in
        homogeneous ice, so that the network learns only what differs from it, which takes far fewer steps.
      add_log_distance: ln(distance / 100 m) as a further input, which resolves DOMs close by.
      baseline_hole_ice_p0, _p1: hole ice, unless use_constant_baseline_hole_ice is False: then the parameters
        HoleIceForward_Unified_p0 and _p1 of the hypothesis.
      mixture_component_t_seeds: offset of each time component, ns.
      charge_scale_tensors: charge parameters that get the scale factors; default all expected charges.
      additional_parameter_names: hypothesis parameters after the seven, as further inputs.
    """

    shift_cascade_vertex: bool = True
    add_anisotropy_angle: bool = True
    add_opening_angle: bool = True
    add_dom_angular_acceptance: bool = False
    add_dom_coordinates: bool = False
    add_log_distance: bool = False
    num_local_vars: int = 0
    scale_charge: bool = True
    scale_charge_by_relative_dom_efficiency: bool = True
    scale_charge_by_global_dom_efficiency: bool = False
    scale_charge_by_angular_acceptance: bool = False
    scale_charge_by_relative_angular_acceptance: bool = False
    scale_charge_by_diffusion: bool = False
    use_constant_baseline_hole_ice: bool = True
    baseline_hole_ice_p0: float = BASELINE[0]
    baseline_hole_ice_p1: float = BASELINE[1]
    mixture_component_t_seeds: tuple[float, ...] | None = None
    charge_scale_tensors: tuple[str, ...] | None = None
    additional_parameter_names: tuple[str, ...] = ()


class CascadeSource(LinenSource):
    """Cascade with parameters x, y, z [m], zenith, azimuth [rad], energy [GeV], time [ns] and further ones.

    The network sees position, direction, log energy and the geometry relative to each DOM. Its outputs are the
    latent variables of the charge decoder, then those of the time decoder; times are measured from the arrival of
    unscattered light, t + r / c_ice, in units of 1000 ns.

    Attributes:
      options: see `CascadeOptions`.
      trafo: normalisation of the inputs, one entry per hypothesis parameter.
      time_decoder, charge_decoder: distributions.
      widths, per_dom, activations, residual, dropout, keep_prob: the network, see `DomNetwork`.
      dtype: float32 or float64.
    """

    options: CascadeOptions
    trafo: Trafo
    time_decoder: Decoder | Mixture
    charge_decoder: Decoder | Mixture
    widths: tuple[int, ...]
    per_dom: tuple[bool, ...]
    activations: tuple[str, ...]
    residual: tuple[bool, ...]
    dropout: tuple[bool, ...] = ()
    keep_prob: float = 1.0
    dtype: jnp.dtype = jnp.float32

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return PARAMETERS + tuple(self.options.additional_parameter_names)

    def check(self) -> None:
        """Raises ConfigError where the parts do not fit together."""
        options = self.options
        num_charge, num_time = len(self.charge_decoder.parameter_names), len(self.time_decoder.parameter_names)
        if self.widths[-1] != num_charge + num_time:
            raise ConfigError(
                f"num_filters_list ends with {self.widths[-1]} outputs, but the decoders need {num_charge} (charge) + "
                f"{num_time} (time) = {num_charge + num_time}. Change the last entry or the decoders."
            )
        if not self.charge_decoder.is_charge or self.time_decoder.is_charge:
            raise ConfigError("decoder_charge_settings must name a charge distribution, decoder_settings one of times.")
        seeds, num_components = options.mixture_component_t_seeds, self.time_decoder.num_components
        if seeds is not None and len(seeds) != num_components:
            raise ConfigError(
                f"mixture_component_t_seeds has {len(seeds)} entries, the time decoder {num_components} components."
            )
        for name in options.charge_scale_tensors or ():
            if name not in self.charge_decoder.loc_parameters:
                raise ConfigError(
                    f"charge_scale_tensors: '{name}' is not one of the expected charges "
                    f"{', '.join(self.charge_decoder.loc_parameters)} of the charge decoder."
                )
        if options.scale_charge_by_angular_acceptance and options.scale_charge_by_relative_angular_acceptance:
            raise ConfigError(
                "scale_charge_by_angular_acceptance and scale_charge_by_relative_angular_acceptance exclude each other."
            )
        needed = ["DOMEfficiency"] * options.scale_charge_by_global_dom_efficiency
        needed += ["HoleIceForward_Unified_p0", "HoleIceForward_Unified_p1"] * (
            not options.use_constant_baseline_hole_ice
        )
        for name in needed:
            if name not in self.parameter_names:
                raise ConfigError(
                    f"the options need the parameter '{name}', which is not in snowstorm_parameter_names."
                )
        if self.trafo.parameter_names != self.parameter_names:
            raise ConfigError(
                f"the data transformation has the parameters {', '.join(self.trafo.parameter_names)}, "
                f"the cascade {', '.join(self.parameter_names)}."
            )

    @nn.compact
    def outputs(self, hypothesis: Array, event: Event, detector: Detector) -> tuple[Array, Array, Array, Array]:
        """Charge latents [D, L_charge], time latents [M, L_time], offsets [M, K] in ns and the (shifted) time."""
        named = dict(zip(self.parameter_names, jnp.asarray(hypothesis), strict=True))
        parameters = jnp.asarray(hypothesis, self.dtype)
        position, zenith, azimuth = parameters[:3], parameters[3], parameters[4]
        energy = jnp.maximum(parameters[5], 0)
        direction = flight_direction(zenith, azimuth)
        vertex, time = position, named["time"]
        if self.options.shift_cascade_vertex:
            vertex, shift = shift_to_shower_maximum(position, jnp.zeros((), self.dtype), direction, energy)
            time = time + shift
        hole_ice = (self.options.baseline_hole_ice_p0, self.options.baseline_hole_ice_p1)
        if not self.options.use_constant_baseline_hole_ice:
            hole_ice = tuple(named[f"HoleIceForward_Unified_{p}"].astype(self.dtype) for p in ("p0", "p1"))

        dom_position = jnp.asarray(detector.position, self.dtype)
        displacement = dom_position - vertex
        distance = safe_norm(displacement) + constants.DISTANCE_OFFSET
        unit = displacement / distance[:, None]
        acceptance = angular_acceptance(unit[:, 2], *hole_ice) if self._needs_acceptance() else None

        features = self._features(parameters, direction, energy, displacement, distance, unit, dom_position, acceptance)
        network = DomNetwork(
            num_doms=detector.num_doms, widths=self.widths, per_dom=self.per_dom, activations=self.activations,
            residual=self.residual, num_dom_outputs=len(self.charge_decoder.parameter_names), dropout=self.dropout,
            keep_prob=self.keep_prob, dtype=self.dtype,
        )  # fmt: skip
        key = self.get_variable("dropout", "key") if self.has_variable("dropout", "key") else None
        raw_charge, latent_time = network(features, event.active, key)
        scale = self._charge_scale(energy, named, detector, acceptance, unit[:, 2], distance)
        latent_charge = charge_latent(self.charge_decoder, raw_charge, scale, self.options.charge_scale_tensors)

        seeds = self.options.mixture_component_t_seeds or (0.0,) * self.time_decoder.num_components
        geometric = at_active(event, distance) / constants.SPEED_OF_LIGHT_IN_ICE
        offset = geometric[:, None] + jnp.asarray(seeds, self.dtype)
        return latent_charge, latent_time, offset, time

    def _needs_acceptance(self) -> bool:
        options = self.options
        return (
            options.add_dom_angular_acceptance
            or options.scale_charge_by_angular_acceptance
            or options.scale_charge_by_relative_angular_acceptance
        )

    def _features(self, parameters, direction, energy, displacement, distance, unit, dom_position, acceptance) -> Array:
        """Network inputs [D, F]; the order is that of trained Event-Generator weights."""
        options, trafo, num_doms = self.options, self.trafo, distance.shape[0]
        scaled = trafo.transform(parameters.at[5].set(energy))
        scale = trafo.scale()
        shared = jnp.concatenate([scaled[:3], direction, scaled[5:6], scaled[7:]])
        distance_scale = float((sum(s**2 for s in trafo.std[:3])) ** 0.5 + trafo.norm_constant)
        columns = [jnp.broadcast_to(shared, (num_doms, shared.shape[0])), unit, (distance / distance_scale)[:, None]]
        if options.add_anisotropy_angle:
            horizontal = displacement[:, :2]
            columns.append(horizontal / (safe_norm(horizontal) + constants.DISTANCE_OFFSET)[:, None])
        if options.add_opening_angle:
            psi = opening_angle(jnp.broadcast_to(direction, unit.shape), unit)
            columns.append(((psi - trafo.mean[3]) / float(scale[3]))[:, None])
        if options.add_dom_angular_acceptance:
            columns.append(acceptance[:, None])
        if options.add_dom_coordinates:
            columns.append(dom_position / constants.DOM_COORDINATE_SCALE)
        if options.add_log_distance:
            columns.append(jnp.log(distance / 100)[:, None])
        if options.num_local_vars > 0:
            shape = (num_doms, options.num_local_vars)
            columns.append(self.param("local_vars", nn.initializers.truncated_normal(1.0), shape, self.dtype))
        return jnp.concatenate(columns, axis=1)

    def _charge_scale(self, energy, named, detector, acceptance, cos_eta, distance) -> Array:
        options = self.options
        scale = jnp.ones(detector.num_doms, self.dtype)
        if options.scale_charge:
            scale = scale * energy * float(1 / constants.CHARGE_ENERGY_SCALE)
        if options.scale_charge_by_relative_dom_efficiency:
            scale = scale * jnp.asarray(detector.relative_efficiency, self.dtype)
        if options.scale_charge_by_global_dom_efficiency:
            scale = scale * named["DOMEfficiency"].astype(self.dtype)
        if options.scale_charge_by_angular_acceptance:
            scale = scale * (acceptance + 0.01)
        if options.scale_charge_by_relative_angular_acceptance:
            baseline = angular_acceptance(cos_eta, options.baseline_hole_ice_p0, options.baseline_hole_ice_p1)
            scale = scale * jnp.clip((acceptance + 1e-3) / (baseline + 1e-3), 0.01, 100)
        if options.scale_charge_by_diffusion:
            photons = float(PHOTONS_PER_GEV * constants.CHARGE_ENERGY_SCALE * DOM_AREA * MEAN_ACCEPTANCE)
            # The smooth guard keeps the factor finite for a vertex inside a module.
            guarded = jnp.sqrt(distance**2 + 1.0)
            scale = scale * photons * diffusion_density(guarded, MEAN_SCATTERING, MEAN_ABSORPTION)
        return scale

    def __call__(self, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False) -> LightYield:
        latent_charge, latent_time, offset, time = self.outputs(hypothesis, event, detector)
        return mixture_light_yield(
            self.time_decoder, self.charge_decoder, latent_charge, latent_time, offset, time, event, cumulative
        )

    def draw_times(self, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array) -> Array:
        everywhere = event.replace(active=jnp.arange(detector.num_doms))
        _, latent_time, offset, time = self.outputs(hypothesis, everywhere, detector)
        return mixture_sample(self.time_decoder, key, latent_time[dom], offset[dom], time)
