"""Learned sources: from a view of the hypothesis at every DOM through the network to the light."""

from typing import Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Real

from evgen_jax.decoders import Decoder, Mixture
from evgen_jax.hypothesis.parameters import Parameter, parameters_of, standard_parameters
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.sensors import incoming_cosine, sensor_response
from evgen_jax.numerics import safe_norm
from evgen_jax.physics import constants
from evgen_jax.physics.acceptance import ACCEPTANCES
from evgen_jax.physics.diffusion import DOM_AREA
from evgen_jax.sources.learned.inputs import REFERENCE, Seen, named_columns
from evgen_jax.sources.learned.light_start import gammas_of_light, times_of_light
from evgen_jax.sources.learned.network import DomNetwork, NetworkShape
from evgen_jax.sources.learned.options import LearnedOptions
from evgen_jax.sources.learned.time_mixture import charge_latent, mixture_light_yield, mixture_sample
from evgen_jax.sources.learned.view import View
from evgen_jax.sources.linen_source import LinenSource


class Geometry(Protocol):
    """Maps the parameters [H] of one kind of source to a `View`; hashable."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of the geometry alone; those of the options follow."""

    @property
    def time_parameter(self) -> str:
        """Returns the name of the parameter from which arrival times are counted."""

    @property
    def has_light(self) -> bool:
        """Returns whether the geometry knows the light of tables of photon transport."""

    def __call__(
        self, parameters: Float[Array, " H"], trafo: Trafo, detector: Detector, options: LearnedOptions
    ) -> View:
        """Computes what the DOMs see of a hypothesis.

        Args:
          parameters: [H], physical units (m, ns, GeV, rad).
          trafo: normalisation of the H parameters.
          detector: gives the positions of D DOMs, and the medium.
          options: say which light in a homogeneous medium is needed.

        Returns:
          The view at D DOMs.
        """


class LearnedSource(LinenSource):
    """A network over DOMs that sees the hypothesis and its geometry relative to each DOM.

    Its outputs are the latent variables of the charge decoder, then those of the time decoder; times are measured from
    the arrival of unscattered light, in units of 1000 ns.

    Attributes:
      geometry: what kind of source.
      options: see `LearnedOptions`.
      trafo: normalisation of the inputs, one entry per hypothesis parameter.
      time_decoder: distribution of the arrival times.
      charge_decoder: distribution of the charge.
      network: see `NetworkShape`; of the charge alone where times have a network of their own.
      time_network: network of the arrival times, which is computed at active DOMs alone; None: the outputs of the other
        one after those of the charge.
      dtype: float32 or float64.
    """

    geometry: Geometry
    options: LearnedOptions
    trafo: Trafo
    time_decoder: Decoder | Mixture
    charge_decoder: Decoder | Mixture
    network: NetworkShape
    time_network: NetworkShape | None = None
    dtype: jnp.dtype = jnp.float32

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of the geometry, then those of the options."""
        return parameters_of(self.geometry) + standard_parameters(self.options.additional_parameter_names)

    @nn.compact
    def outputs(
        self, hypothesis: Float[Array, " H"], event: Event, detector: Detector
    ) -> tuple[Float[Array, "D L_charge"], Float[Array, "M L_time"], Float[Array, "M K"], Float[Array, ""]]:
        """Computes the latent variables of the decoders.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: gives the M active DOMs.
          detector: of D DOMs.

        Returns:
          Charge latents [D, L_charge], time latents [M, L_time], offsets [M, K] in ns and the (shifted) time, ns.
        """
        options = self.options
        named = dict(zip(self.parameter_names, jnp.asarray(hypothesis), strict=True))
        parameters = jnp.asarray(hypothesis, self.dtype)
        position = jnp.asarray(detector.position, self.dtype)
        view = self.geometry(parameters, self.trafo, detector, options)
        hole_ice = (options.baseline_hole_ice_p0, options.baseline_hole_ice_p1)
        if not options.use_constant_baseline_hole_ice:
            hole_ice = tuple(named[f"HoleIceForward_Unified_{p}"].astype(self.dtype) for p in ("p0", "p1"))
        cosine = incoming_cosine(detector, view.unit)
        acceptance = self._acceptance(detector, cosine, *hole_ice) if options.needs_acceptance else None

        key = self.get_variable("dropout", "key") if self.has_variable("dropout", "key") else None
        features = self._features(view, detector, position, cosine, acceptance)
        raw_charge, latent_time = self._networks(features, event.active, detector.num_doms, key)
        if options.start_times_from_light:
            assert view.light is not None
            latent_time = latent_time + times_of_light(self.time_decoder, at_active(event, gammas_of_light(view.light)))
        scale = self._charge_scale(view, named, detector, cosine, acceptance)
        latent_charge = charge_latent(self.charge_decoder, raw_charge, scale, options.charge_scale_tensors)

        seeds = options.mixture_component_t_seeds or (0.0,) * self.time_decoder.num_components
        offset = at_active(event, view.arrival)[:, None] + jnp.asarray(seeds, self.dtype)[None]
        return latent_charge, latent_time, offset, named[self.geometry.time_parameter] + view.time_shift

    def _acceptance(
        self, detector: Detector, cosine: Float[Array, " D"], p0: Real[ArrayLike, ""], p1: Real[ArrayLike, ""]
    ) -> Float[Array, " D"]:
        """Relative acceptance [D] for light at cosines [D] to the axes; p0 and p1 are those of modules in hole ice."""
        formula = ACCEPTANCES[self.options.angular_acceptance]
        return sensor_response(detector, cosine, lambda own: formula(own, p0, p1))

    def _networks(
        self, features: Float[Array, "D F"], active: Int[Array, " M"], num_doms: int, key: PRNGKeyArray | None
    ) -> tuple[Float[Array, "D L_charge"], Float[Array, "M L_time"]]:
        """Outputs for the charge decoder at all DOMs, and for the time decoder at the active ones."""
        of_charge = len(self.charge_decoder.parameter_names)
        network = DomNetwork(num_doms, self.network, of_charge, self.dtype)
        raw_charge, latent_time = network(features, active, key)
        if self.time_network is None:
            return raw_charge, latent_time
        # All its layers are shared by the DOMs: their number does not matter.
        own = DomNetwork(len(active), self.time_network, self.time_network.widths[-1], self.dtype, name="times")
        at_doms = features[jnp.minimum(active, num_doms - 1)]
        return raw_charge, own(at_doms, active[:0], None if key is None else jax.random.fold_in(key, 1))[0]

    def _features(
        self,
        view: View,
        detector: Detector,
        position: Float[Array, "D 3"],
        cosine: Float[Array, " D"],
        acceptance: Float[Array, " D"] | None,
    ) -> Float[Array, "D F"]:
        """Network inputs [D, F]: those of Event-Generator first, in the order of trained weights."""
        options, num_doms = self.options, position.shape[0]
        columns: list[Array] = []
        if REFERENCE in options.inputs:
            columns += self._reference_columns(view, position, cosine, acceptance)
        elif options.additional_parameter_names:
            further = view.shared[-len(options.additional_parameter_names) :]
            columns.append(jnp.broadcast_to(further, (num_doms, len(further))))
        columns += named_columns(options.inputs, Seen(view, detector, position, cosine, options.anisotropy_azimuth))
        if options.num_local_vars > 0:
            shape = (num_doms, options.num_local_vars)
            columns.append(self.param("local_vars", nn.initializers.truncated_normal(1.0), shape, self.dtype))
        if options.num_embedding_vars > 0:
            shape = (num_doms, options.num_embedding_vars)
            columns.append(self.param("embedding", nn.initializers.zeros, shape, self.dtype))
        return jnp.concatenate(columns, axis=1)

    def _reference_columns(
        self,
        view: View,
        position: Float[Array, "D 3"],
        cosine: Float[Array, " D"],
        acceptance: Float[Array, " D"] | None,
    ) -> list[Array]:
        """The inputs of Event-Generator and its like, as the switches choose them."""
        options, num_doms = self.options, position.shape[0]
        columns = [jnp.broadcast_to(view.shared, (num_doms, view.shared.shape[0])), *view.columns]
        if options.add_anisotropy_angle:
            horizontal = view.displacement[:, :2]
            columns.append(horizontal / (safe_norm(horizontal) + constants.DISTANCE_OFFSET)[:, None])
        columns.extend(view.late_columns)
        if options.add_dom_angular_acceptance:
            assert acceptance is not None
            columns.append(acceptance[:, None])
        if options.add_axis_cosine:
            columns.append(cosine[:, None])
        if options.add_dom_coordinates:
            columns.append(position / constants.DOM_COORDINATE_SCALE)
        if options.add_log_distance:
            columns.append(jnp.log(view.distance / 100)[:, None])
        return columns

    def _charge_scale(
        self,
        view: View,
        named: dict[str, Array],
        detector: Detector,
        cosine: Float[Array, " D"],
        acceptance: Float[Array, " D"] | None,
    ) -> Float[Array, " D"]:
        options = self.options
        scale = jnp.ones(detector.num_doms, self.dtype)
        if options.scale_charge:
            scale = scale * view.energy * float(1 / constants.CHARGE_ENERGY_SCALE)
        # Of a sensor of another size than IceCube's module, for which expected charges are of order 1.
        area = jnp.asarray(detector.area, self.dtype) / jnp.asarray(DOM_AREA, jnp.float32).astype(self.dtype)
        if options.scale_charge_by_relative_dom_efficiency:
            scale = scale * (jnp.asarray(detector.relative_efficiency, self.dtype) * area)
        if options.scale_charge_by_global_dom_efficiency:
            scale = scale * named["DOMEfficiency"].astype(self.dtype)
        if options.scale_charge_by_angular_acceptance:
            assert acceptance is not None
            scale = scale * (acceptance + 0.01)
        if options.scale_charge_by_relative_angular_acceptance:
            assert acceptance is not None
            baseline = self._acceptance(detector, cosine, options.baseline_hole_ice_p0, options.baseline_hole_ice_p1)
            scale = scale * jnp.clip((acceptance + 1e-3) / (baseline + 1e-3), 0.01, 100)
        if options.scale_charge_by_diffusion:
            assert view.homogeneous_charge is not None
            scale = scale * view.homogeneous_charge
        if options.scale_charge_by_light:
            assert view.light is not None
            photons = constants.CHARGE_ENERGY_SCALE * jnp.asarray(detector.medium.photons_per_gev, self.dtype)
            # The area is a factor of the light, and one of its own above.
            scale = scale * (photons * jnp.exp(view.light.log_charge) / area)
        return scale

    def __call__(
        self, hypothesis: Float[Array, " H"], event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        """Computes the light at every DOM and pulse of an event inside the linen module.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: one event.
          detector: of the event.
          cumulative: whether to compute the cumulative light at pulses.

        Returns:
          Light at D DOMs and P pulses.
        """
        latent_charge, latent_time, offset, time = self.outputs(hypothesis, event, detector)
        light = mixture_light_yield(
            self.time_decoder, self.charge_decoder, latent_charge, latent_time, offset, time, event, cumulative
        )
        if self.options.density_per_microsecond:
            return light.replace(density=light.density * constants.TIME_UNIT)
        return light

    def draw_times(
        self, key: PRNGKeyArray, hypothesis: Float[Array, " H"], event: Event, detector: Detector, dom: Int[Array, " P"]
    ) -> Float[Array, " P"]:
        """Draws one arrival time for each of P photoelectrons inside the linen module.

        Args:
          key: of the random numbers.
          hypothesis: [H], physical units (m, ns, GeV, rad).
          event: one event.
          detector: of the event.
          dom: [P], places of the photoelectrons' DOMs in the detector's tables.

        Returns:
          Times [P], ns.
        """
        everywhere = event.replace(active=jnp.arange(detector.num_doms))
        _, latent_time, offset, time = self.outputs(hypothesis, everywhere, detector)
        return mixture_sample(self.time_decoder, key, latent_time[dom], offset[dom], time)
