"""The analytic sources of the toy simulator: zoo members without weights whose likelihood is exactly known.

A physics-motivated toy, not IceCube simulation: homogeneous in x and y; no tilt, no birefringence, no hole-ice columns.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from evgen_jax.decoders import FAMILIES, Component, Decoder, Mixture, ValueRange
from evgen_jax.decoders.smeared_gamma import PIECES
from evgen_jax.hypothesis.parameters import CASCADE, Parameter, standard_parameters
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.numerics import safe_norm
from evgen_jax.physics import constants
from evgen_jax.physics.acceptance import angular_acceptance
from evgen_jax.physics.diffusion import DOM_AREA, MEAN_ACCEPTANCE, PHOTONS_PER_GEV, diffusion_density
from evgen_jax.physics.geometry import flight_direction, shift_to_shower_maximum
from evgen_jax.physics.ice import ice_along_path
from evgen_jax.physics.muon import bare_photons_per_metre, mean_photons_per_metre
from evgen_jax.sources.learned.time_mixture import mixture_light_yield, mixture_sample
from evgen_jax.sources.linen_source import LinenSource

SEGMENT_PARAMETERS = (*CASCADE, "length")
"""Names of the parameters of a piece of a track, in m, rad, GeV and ns."""
ICE_PARAMETERS = ("Absorption", "Scattering", "DOMEfficiency", "HoleIceForward_Unified_p0", "HoleIceForward_Unified_p1")
"""Properties of ice and modules that the analytic sources can take as further parameters."""


@dataclass(frozen=True)
class Pandel:
    """Holds the constants of a Pandel distribution of arrival times.

    Attributes:
      stretch: length in units of the effective scattering length.
      time: tau, ns.
    """

    stretch: float
    time: float


CASCADE_TIMES = Pandel(1.64, 390.0)
"""Arrival times of the light of cascades, calibrated on public simulation."""
TRACK_TIMES = Pandel(1.17, 450.0)
"""Arrival times of the light of tracks, calibrated on public simulation."""
RESPONSE_WIDTH = 8.0
"""Width of each of three uniforms whose sum is the response of module and photomultiplier, a jitter of 4 ns; ns."""
LATE_FRACTION, LATE_DELAY = 0.035, 60.0
"""Share of late pulses, and their delay in ns."""
CONE_WIDTH = 0.05
"""Width of the Cherenkov cone in the cosine of the angle.

The fit to the emission of showers has a cusp there, 36 times the mean and 1e-4 wide. Scattering, every 2.5 m or so,
smears it.
"""
EMISSION_NORM = 57.2 / 0.7326278516
"""Factor that makes the mean of the emission over the sphere 1 (integrated numerically)."""
HOLE_ICE = (0.32813, 0.63899, 0.20049, -1.2250, -0.14470, 4.1695, 0.76898, -5.8690, -2.0939, 2.3834, 1.0435)
"""Coefficients of the angular sensitivity h2-50cm, a polynomial in cos(eta), from the constant up."""

TIMES = Mixture((Component("Gamma", Decoder(FAMILIES["SmearedGammaFunctionDecoder"]), 2),), ValueRange())
"""Decoder of the arrival times, in units of 1000 ns."""
CHARGES = Decoder(FAMILIES["PoissonDecoder"])
"""Decoder of the charges, PE."""


def emission_factor(cosine: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes the relative intensity of a shower at an angle to its axis (fit to Cherenkov cones).

    Args:
      cosine: shape (...), of the angle between the axis and the direction of the light.

    Returns:
      Relative intensity (...), whose mean over the sphere is 1.
    """
    distance = jnp.sqrt((cosine - 0.75786) ** 2 + CONE_WIDTH**2)
    return EMISSION_NORM * jnp.exp(-5.941 * distance**0.2785)


def point_of_light(
    photons: Float[Array, ""],
    position: Float[Array, "3"],
    direction: Float[Array, "3"],
    pandel: Pandel,
    ice: dict[str, Float[Array, ""]],
    detector: Detector,
) -> tuple[Float[Array, "D 1"], Float[Array, "D 8"], Float[Array, "D 2"]]:
    """Computes what the DOMs see of a point source with the emission of a shower.

    Expected charge: photons times module area times `diffusion_density`, times direction factors that fade with
    exp(-r / lambda_e) to the isotropic limit. Arrival times: gamma distributions (Pandel).

    Args:
      photons: scalar, acceptance-weighted.
      position: [3], m, of the light.
      direction: [3], unit vector of flight.
      pandel: constants of the arrival times.
      ice: `ICE_PARAMETERS` that differ from the default, by name.
      detector: of D DOMs.

    Returns:
      Charge latents [D, 1], time latents [D, 8] and offsets [D, 2] in ns, for the decoders CHARGES and TIMES.
    """
    dtype = position.dtype
    dom_position = jnp.asarray(detector.position, dtype)
    displacement = dom_position - position[None]
    # A smooth guard: closer than about half a metre the formulas for points of light do not hold.
    distance = jnp.sqrt(safe_norm(displacement) ** 2 + 0.25)
    unit = displacement / distance[:, None]
    scattering, absorption = ice_along_path(position[2], dom_position[:, 2])
    if "Scattering" in ice:
        scattering = scattering / ice["Scattering"]
    if "Absorption" in ice:
        absorption = absorption / ice["Absorption"]

    isotropic = photons * DOM_AREA * diffusion_density(distance, scattering, absorption)
    direct = jnp.exp(-distance / scattering)
    charge = (
        isotropic
        * (direct * emission_factor(unit @ direction) + 1 - direct)
        * (direct * _sensitivity(unit[:, 2], ice) + (1 - direct) * MEAN_ACCEPTANCE)
        * jnp.asarray(detector.relative_efficiency, dtype)
        * jnp.asarray(detector.usable, dtype)
    )
    if "DOMEfficiency" in ice:
        charge = charge * ice["DOMEfficiency"]

    alpha = distance / (pandel.stretch * scattering)
    beta = (1 / pandel.time + constants.SPEED_OF_LIGHT_IN_ICE / absorption) * constants.TIME_UNIT
    ones = jnp.ones_like(alpha)
    shape = [alpha, beta, ones * (RESPONSE_WIDTH / constants.TIME_UNIT)]
    latent_time = jnp.stack([*shape, ones * (1 - LATE_FRACTION), *shape, ones * LATE_FRACTION], axis=-1)
    arrival = distance / constants.SPEED_OF_LIGHT_IN_ICE - RESPONSE_WIDTH * PIECES / 2
    return charge[:, None], latent_time, jnp.stack([arrival, arrival + LATE_DELAY], axis=-1)


def _sensitivity(cos_eta: Float[Array, " D"], ice: dict[str, Float[Array, ""]]) -> Float[Array, " D"]:
    """Angular sensitivity of a module: h2-50cm, or the unified model where the hypothesis has its parameters."""
    names = ("HoleIceForward_Unified_p0", "HoleIceForward_Unified_p1")
    if any(n in ice for n in names):
        p0, p1 = (ice.get(n, default) for n, default in zip(names, (0.25, -0.06), strict=True))
        return angular_acceptance(cos_eta, p0, p1)
    return jnp.maximum(jnp.polyval(jnp.asarray(HOLE_ICE[::-1], cos_eta.dtype), cos_eta), 0.0)


class _PointSource(LinenSource):
    """Adapter of `point_of_light`; a subclass says where the light is.

    Attributes:
      ice_parameters: further hypothesis parameters, of `ICE_PARAMETERS`.
    """

    ice_parameters: tuple[str, ...] = ()
    dtype: jnp.dtype = jnp.float32

    def latents(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> tuple[Float[Array, "D 1"], Float[Array, "D 8"], Float[Array, "D 2"], Float[Array, ""]]:
        """Charge latents [D, 1], time latents [D, 8], offsets [D, 2] in ns and the time of the light, ns."""
        raise NotImplementedError

    def _ice(self, parameters: Float[Array, " H"]) -> dict[str, Float[Array, ""]]:
        count = len(self.ice_parameters)
        return dict(zip(self.ice_parameters, parameters[len(parameters) - count :], strict=True)) if count else {}

    def __call__(
        self, hypothesis: Float[Array, " H"], event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        charge, latent_time, offset, time = self.latents(hypothesis, detector)
        return mixture_light_yield(
            TIMES, CHARGES, charge, at_active(event, latent_time), at_active(event, offset), time, event, cumulative
        )

    def draw_times(
        self, key: PRNGKeyArray, hypothesis: Float[Array, " H"], event: Event, detector: Detector, dom: Int[Array, " P"]
    ) -> Float[Array, " P"]:
        _, latent_time, offset, time = self.latents(hypothesis, detector)
        return mixture_sample(TIMES, key, latent_time[dom], offset[dom], time)


class AnalyticCascadeSource(_PointSource):
    """Point-like shower at its maximum: the parameters of a cascade, then `ice_parameters`."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of a cascade, then properties of the ice."""
        return standard_parameters(CASCADE + self.ice_parameters)

    def latents(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> tuple[Float[Array, "D 1"], Float[Array, "D 8"], Float[Array, "D 2"], Float[Array, ""]]:
        """Computes the latent variables of a shower's light at its maximum.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          detector: of D DOMs.

        Returns:
          Charge latents [D, 1], time latents [D, 8], offsets [D, 2] in ns and the time of the light, ns.
        """
        parameters = jnp.asarray(hypothesis, self.dtype)
        energy = jnp.maximum(parameters[5], 0)
        direction = flight_direction(parameters[3], parameters[4])
        vertex, shift = shift_to_shower_maximum(parameters[:3], jnp.zeros((), self.dtype), direction, energy)
        light = point_of_light(
            PHOTONS_PER_GEV * energy, vertex, direction, CASCADE_TIMES, self._ice(parameters), detector
        )
        return *light, hypothesis[6] + shift


class AnalyticSegmentSource(_PointSource):
    """A piece of a muon track, a few metres long, as light from its middle.

    Parameters: x, y, z [m] and time [ns] of the middle, zenith, azimuth, energy [GeV] of the muon there (0: no muon),
    length [m], then `ice_parameters`.

    Attributes:
      with_mean_losses: add the mean light of stochastic losses to that of the bare muon.
    """

    with_mean_losses: bool = False

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of a piece of a track, then properties of the ice."""
        return standard_parameters(SEGMENT_PARAMETERS + self.ice_parameters)

    def latents(
        self, hypothesis: Float[Array, " H"], detector: Detector
    ) -> tuple[Float[Array, "D 1"], Float[Array, "D 8"], Float[Array, "D 2"], Float[Array, ""]]:
        """Computes the latent variables of the light of a piece of a track at its middle.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          detector: of D DOMs.

        Returns:
          Charge latents [D, 1], time latents [D, 8], offsets [D, 2] in ns and the time of the light, ns.
        """
        parameters = jnp.asarray(hypothesis, self.dtype)
        energy, length = parameters[5], jnp.maximum(parameters[7], 0)
        per_metre = mean_photons_per_metre if self.with_mean_losses else bare_photons_per_metre
        # The light fades with the last GeV, so that the end of the range is no jump.
        photons = per_metre(energy) * length * jnp.clip(energy, 0, 1)
        direction = flight_direction(parameters[3], parameters[4])
        light = point_of_light(photons, parameters[:3], direction, TRACK_TIMES, self._ice(parameters), detector)
        return *light, hypothesis[6]
