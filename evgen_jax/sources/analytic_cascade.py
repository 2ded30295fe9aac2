"""The analytic cascade of the toy simulator: a zoo member without weights whose likelihood is exactly known.

A physics-motivated toy, not IceCube simulation: homogeneous in x and y; no tilt, no birefringence, no hole-ice columns.
"""

from functools import lru_cache
from importlib import resources

import jax.numpy as jnp
import numpy as np
from jax import Array

from evgen_jax import constants
from evgen_jax.decoders import FAMILIES, Component, Decoder, Mixture, ValueRange
from evgen_jax.detector import Detector
from evgen_jax.diffusion import DOM_AREA, MEAN_ACCEPTANCE, PHOTONS_PER_GEV, diffusion_density
from evgen_jax.event import Event
from evgen_jax.geometry import flight_direction, shift_to_shower_maximum
from evgen_jax.light_yield import LightYield, at_active
from evgen_jax.numerics import safe_norm
from evgen_jax.sources.cascade import PARAMETERS
from evgen_jax.sources.linen_source import LinenSource
from evgen_jax.sources.time_mixture import mixture_light_yield, mixture_sample

SCATTERING_STRETCH = 1.64
"""Pandel's length in units of the effective scattering length, calibrated on public simulation of cascades."""
PANDEL_TIME = 390.0
"""Pandel's tau for cascades, ns."""
RESPONSE_WIDTH = 14.0
"""Response of module and photomultiplier: a delay uniform between 0 and this, ns (spread 4 ns)."""
LATE_FRACTION, LATE_DELAY = 0.035, 60.0
"""Share of late pulses and their delay, ns."""
EMISSION_NORM = 57.2 / 1.0008944
"""Makes the mean of the emission factor over the sphere 1 (integrated numerically)."""
HOLE_ICE = (
    0.32813, 0.63899, 0.20049, -1.2250, -0.14470, 4.1695, 0.76898, -5.8690, -2.0939, 2.3834, 1.0435,
)  # fmt: skip
"""Angular sensitivity h2-50cm, polynomial in cos(eta) from the constant up."""
PATH_POINTS = 21

TIMES = Mixture((Component("Gamma", Decoder(FAMILIES["SmearedGammaFunctionDecoder"]), 2),), ValueRange())
CHARGES = Decoder(FAMILIES["PoissonDecoder"])


@lru_cache(maxsize=1)
def _ice() -> tuple[float, float, np.ndarray]:
    """First depth, step and inverse lengths [n, 2] (scattering, absorption) on an even grid of depths."""
    text = (resources.files("evgen_jax") / "tables" / "ice_spice_mie.csv").read_text().splitlines()[1:]
    table = np.array([[float(v) for v in line.split(",")] for line in text])
    depth = np.linspace(table[0, 0], table[-1, 0], 2 * len(table))
    columns = [np.interp(depth, table[:, 0], 1 / table[:, i]) for i in (1, 2)]
    return float(depth[0]), float(depth[1] - depth[0]), np.stack(columns, axis=1)


def ice_along_path(source_z: Array, dom_z: Array) -> tuple[Array, Array]:
    """Mean effective scattering and absorption length, m, on straight lines from a source to DOMs [D]."""
    first, step, table = _ice()
    fractions = (jnp.arange(PATH_POINTS, dtype=dom_z.dtype) + 0.5) / PATH_POINTS
    depth = constants.DETECTOR_SURFACE - (source_z + (dom_z - source_z)[:, None] * fractions)
    position = jnp.clip((depth - first) / step, 0, len(table) - 1.001)
    below = jnp.floor(position).astype(jnp.int32)
    part = (position - below)[..., None]
    values = jnp.asarray(table, dom_z.dtype)
    inverse = jnp.mean(values[below] * (1 - part) + values[below + 1] * part, axis=1)
    return 1 / inverse[:, 0], 1 / inverse[:, 1]


def emission_factor(cosine: Array) -> Array:
    """Relative intensity of a shower at an angle to its axis, mean 1 over the sphere (fit to Cherenkov cones)."""
    distance = jnp.sqrt((cosine - 0.75786) ** 2 + 1e-8)
    return EMISSION_NORM * jnp.exp(-5.941 * distance**0.2785)


class AnalyticCascadeSource(LinenSource):
    """Point-like shower with diffusive light propagation and gamma-distributed (Pandel) arrival times.

    Expected charge: photons times module area times `diffusion_density`, times direction factors that fade with
    exp(-r / lambda_e) to the isotropic limit. Charges are Poisson distributed.
    """

    dtype: jnp.dtype = jnp.float32

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return PARAMETERS

    def latents(self, hypothesis: Array, detector: Detector) -> tuple[Array, Array, Array, Array]:
        """Charge latents [D, 1], time latents [D, 8], offsets [D, 2] in ns and the time of the shower maximum."""
        parameters = jnp.asarray(hypothesis, self.dtype)
        energy = jnp.maximum(parameters[5], 0)
        direction = flight_direction(parameters[3], parameters[4])
        vertex, shift = shift_to_shower_maximum(parameters[:3], jnp.zeros((), self.dtype), direction, energy)
        position = jnp.asarray(detector.position, self.dtype)
        displacement = position - vertex
        # A smooth guard: closer than about half a metre the formulas for points of light do not hold.
        distance = jnp.sqrt(safe_norm(displacement) ** 2 + 0.25)
        unit = displacement / distance[:, None]
        scattering, absorption = ice_along_path(vertex[2], position[:, 2])

        isotropic = PHOTONS_PER_GEV * energy * DOM_AREA * diffusion_density(distance, scattering, absorption)
        direct = jnp.exp(-distance / scattering)
        cosine = unit @ direction
        sensitivity = jnp.maximum(jnp.polyval(jnp.asarray(HOLE_ICE[::-1], self.dtype), unit[:, 2]), 0.0)
        charge = (
            isotropic
            * (direct * emission_factor(cosine) + 1 - direct)
            * (direct * sensitivity + (1 - direct) * MEAN_ACCEPTANCE)
            * jnp.asarray(detector.relative_efficiency, self.dtype)
            * jnp.asarray(detector.usable, self.dtype)
        )

        alpha = distance / (SCATTERING_STRETCH * scattering)
        beta = (1 / PANDEL_TIME + constants.SPEED_OF_LIGHT_IN_ICE / absorption) * constants.TIME_UNIT
        ones = jnp.ones_like(alpha)
        pandel = [alpha, beta, ones * (RESPONSE_WIDTH / constants.TIME_UNIT)]
        latent_time = jnp.stack([*pandel, ones * (1 - LATE_FRACTION), *pandel, ones * LATE_FRACTION], axis=-1)
        arrival = distance / constants.SPEED_OF_LIGHT_IN_ICE
        offset = jnp.stack([arrival, arrival + LATE_DELAY], axis=-1)
        return charge[:, None], latent_time, offset, hypothesis[6] + shift

    def __call__(self, hypothesis: Array, event: Event, detector: Detector, cumulative: bool = False) -> LightYield:
        charge, latent_time, offset, time = self.latents(hypothesis, detector)
        return mixture_light_yield(
            TIMES, CHARGES, charge, at_active(event, latent_time), at_active(event, offset), time, event, cumulative
        )

    def draw_times(self, key: Array, hypothesis: Array, event: Event, detector: Detector, dom: Array) -> Array:
        _, latent_time, offset, time = self.latents(hypothesis, detector)
        return mixture_sample(TIMES, key, latent_time[dom], offset[dom], time)
