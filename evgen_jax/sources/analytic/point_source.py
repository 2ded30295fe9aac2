"""Sources whose light is computed: showers and pieces of tracks, from tables of photon transport.

They are members of the zoo without weights, and the likelihood of events that they simulate is exactly known. Plane
layers enter through lengths averaged along the straight way; no tilt, no birefringence.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Real

from evgen_jax.decoders import FAMILIES, Decoder
from evgen_jax.hypothesis.parameters import CASCADE, Parameter, standard_parameters
from evgen_jax.light.light_yield import LightYield, at_active
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.point_light import paths, point_light, source_table
from evgen_jax.physics.acceptance import BASELINE
from evgen_jax.physics.angular_curves import Curve, Unified
from evgen_jax.physics.geometry import flight_direction, shift_to_shower_maximum
from evgen_jax.physics.muon import bare_photons_per_metre, loss_photons_per_metre
from evgen_jax.sources.analytic.arrival_times import log_shares, time_latents, times_decoder
from evgen_jax.sources.learned.time_mixture import mixture_light_yield, mixture_sample
from evgen_jax.sources.linen_source import LinenSource

SEGMENT_PARAMETERS = (*CASCADE, "length")
"""Names of the parameters of a piece of a track, in m, rad, GeV and ns."""
HOLE_ICE = ("HoleIceForward_Unified_p0", "HoleIceForward_Unified_p1")
"""Parameters of the unified model of hole ice."""
ICE_PARAMETERS = ("Absorption", "Scattering", "DOMEfficiency", *HOLE_ICE)
"""Properties of ice and modules that can be further parameters of sources whose light is computed."""
CHARGES = Decoder(FAMILIES["PoissonDecoder"])
"""Decoder of the charges, PE."""
FEWEST_PHOTONS = 1e-6
"""Number of photons that stands for none where shares of sources are computed: derivatives stay finite."""

Latents = tuple[Float[Array, "D 1"], Float[Array, "D L"], Float[Array, "D K"], Float[Array, ""]]
"""Charge latents, time latents, offsets in ns and the time of the light in ns."""


def hole_ice_of(ice: Mapping[str, Real[ArrayLike, ""]]) -> Curve | None:
    """Makes the angular curve of modules in the hole ice of a hypothesis.

    Args:
      ice: `ICE_PARAMETERS` that differ from the default, by name.

    Returns:
      The unified model; None where the hypothesis has none of its parameters.
    """
    if not any(name in ice for name in HOLE_ICE):
        return None
    p0, p1 = (ice.get(name, default) for name, default in zip(HOLE_ICE, BASELINE, strict=True))
    return Unified("hypothesis", True, jnp.asarray(p0), jnp.asarray(p1))


def point_latents(
    photons: dict[str, Float[Array, ""]],
    position: Float[Array, "3"],
    direction: Float[Array, "3"],
    ice: dict[str, Float[Array, ""]],
    detector: Detector,
) -> tuple[Float[Array, "D 1"], Float[Array, "D L"], Float[Array, "D K"]]:
    """Computes what the DOMs see of one or several sources of light at a point, along one axis.

    Args:
      photons: name of a light table, "shower" or "muon" -> number of photons, weighted by the acceptance of a sensor.
      position: [3], m, of the light.
      direction: [3], unit vector of flight.
      ice: `ICE_PARAMETERS` that differ from the default, by name.
      detector: of D DOMs.

    Returns:
      Charge latents [D, 1], time latents [D, L] and offsets [D, K] in ns, for the decoders CHARGES and `times_decoder`.
    """
    dtype, hole_ice = position.dtype, hole_ice_of(ice)
    path = paths(position, detector, ice.get("Scattering", 1.0), ice.get("Absorption", 1.0))
    tables = [source_table(source, detector.medium.light) for source in photons]
    lights = [point_light(table, direction, path, detector, hole_ice) for table in tables]
    number = list(photons.values())
    shares = [jnp.zeros_like(lights[0].log_charge)]
    if len(lights) > 1:
        shares = log_shares([a.log_charge + jnp.log(n + FEWEST_PHOTONS) for a, n in zip(lights, number, strict=True)])
    charge = sum(n * jnp.exp(light.log_charge) for light, n in zip(lights, number, strict=True))
    charge = charge * jnp.asarray(detector.relative_efficiency, dtype) * jnp.asarray(detector.usable, dtype)
    if "DOMEfficiency" in ice:
        charge = charge * ice["DOMEfficiency"]
    arrival = path.distance / jnp.asarray(detector.medium.group_velocity, dtype)
    return charge[:, None], *time_latents(lights, shares, arrival)


class _PointSource(LinenSource):
    """Adapter of `point_latents`; a subclass says where the light is.

    Attributes:
      ice_parameters: further hypothesis parameters, of `ICE_PARAMETERS`.
    """

    ice_parameters: tuple[str, ...] = ()
    dtype: jnp.dtype = jnp.float32

    @property
    def tables(self) -> int:
        """Returns the number of light tables that the light is computed of."""
        return 1

    def latents(self, hypothesis: Float[Array, " H"], detector: Detector) -> Latents:
        """Charge latents [D, 1], time latents [D, L], offsets [D, K] in ns and the time of the light, ns."""
        raise NotImplementedError

    def _ice(self, parameters: Float[Array, " H"]) -> dict[str, Float[Array, ""]]:
        count = len(self.ice_parameters)
        return dict(zip(self.ice_parameters, parameters[len(parameters) - count :], strict=True)) if count else {}

    def __call__(
        self, hypothesis: Float[Array, " H"], event: Event, detector: Detector, cumulative: bool = False
    ) -> LightYield:
        charge, latent_time, offset, time = self.latents(hypothesis, detector)
        times, seen = times_decoder(self.tables), (at_active(event, latent_time), at_active(event, offset))
        return mixture_light_yield(times, CHARGES, charge, *seen, time, event, cumulative)

    def draw_times(
        self, key: PRNGKeyArray, hypothesis: Float[Array, " H"], event: Event, detector: Detector, dom: Int[Array, " P"]
    ) -> Float[Array, " P"]:
        _, latent_time, offset, time = self.latents(hypothesis, detector)
        return mixture_sample(times_decoder(self.tables), key, latent_time[dom], offset[dom], time)


class AnalyticCascadeSource(_PointSource):
    """Point-like shower at its maximum: the parameters of a cascade, then `ice_parameters`."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of a cascade, then properties of the ice."""
        return standard_parameters(CASCADE + self.ice_parameters)

    def latents(self, hypothesis: Float[Array, " H"], detector: Detector) -> Latents:
        """Computes the latent variables of a shower's light at its maximum.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          detector: of D DOMs.

        Returns:
          Charge latents [D, 1], time latents [D, L], offsets [D, K] in ns and the time of the light, ns.
        """
        parameters = jnp.asarray(hypothesis, self.dtype)
        energy = jnp.maximum(parameters[5], 0)
        direction = flight_direction(parameters[3], parameters[4])
        medium = detector.medium.astype(self.dtype)
        vertex, shift = shift_to_shower_maximum(
            parameters[:3], jnp.zeros((), self.dtype), direction, energy, medium.density
        )
        photons = {"shower": medium.photons_per_gev * energy}
        return *point_latents(photons, vertex, direction, self._ice(parameters), detector), hypothesis[6] + shift


class AnalyticSegmentSource(_PointSource):
    """A piece of a muon track, a few metres long, as light from its middle.

    Parameters: x, y, z [m] and time [ns] of the middle, zenith, azimuth, energy [GeV] of the muon there (0: no muon),
    length [m], then `ice_parameters`.

    Attributes:
      with_mean_losses: add the mean light of stochastic losses, that of showers, to the bare muon's Cherenkov cone.
    """

    with_mean_losses: bool = False

    @property
    def tables(self) -> int:
        """Returns the number of light tables that the light is computed of."""
        return 2 if self.with_mean_losses else 1

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Returns the parameters of a piece of a track, then properties of the ice."""
        return standard_parameters(SEGMENT_PARAMETERS + self.ice_parameters)

    def latents(self, hypothesis: Float[Array, " H"], detector: Detector) -> Latents:
        """Computes the latent variables of the light of a piece of a track at its middle.

        Args:
          hypothesis: [H], physical units (m, ns, GeV, rad).
          detector: of D DOMs.

        Returns:
          Charge latents [D, 1], time latents [D, L], offsets [D, K] in ns and the time of the light, ns.
        """
        parameters = jnp.asarray(hypothesis, self.dtype)
        energy, medium = parameters[5], detector.medium.astype(self.dtype)
        # The light fades with the last GeV, so that the end of the range is no jump.
        length = jnp.maximum(parameters[7], 0) * jnp.clip(energy, 0, 1)
        photons = {"muon": bare_photons_per_metre(energy, medium) * length}
        if self.with_mean_losses:
            photons["shower"] = loss_photons_per_metre(energy, medium) * length
        direction = flight_direction(parameters[3], parameters[4])
        return *point_latents(photons, parameters[:3], direction, self._ice(parameters), detector), hypothesis[6]
