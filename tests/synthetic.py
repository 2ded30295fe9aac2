"""Log-likelihoods whose maxima, profiles and posteriors are known, for tests of scans, maps and samplers."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.light.light_yield import LightYield
from evgen_jax.model.likelihood import Loss, LossTerm
from evgen_jax.model.model import Model
from evgen_jax.physics.geometry import sphere_point

MEAN = np.array([10.0, -20.0, 30.0, 1.0, 4.0, 999.0, 9900.0])
WIDTH = np.array([2.0, 3.0, 4.0, np.nan, np.nan, 0.1, 5.0])
KAPPA = 60.0
PULL = 8.0
"""m: how far x moves with the cosine of the angle to the direction of maximum."""


def around_a_direction(variables, h, event):
    """A Gaussian in x (which the direction pulls along), y, z, ln(1 + E) and time; von Mises-Fisher in the direction."""
    mean = jnp.asarray(MEAN)
    cosine = sphere_point(h[3], h[4]) @ sphere_point(mean[3], mean[4])
    pulled = (h[0] - mean[0] - PULL * (cosine - 1)) / WIDTH[0]
    rest = jnp.stack(
        [
            (h[1] - mean[1]) / WIDTH[1],
            (h[2] - mean[2]) / WIDTH[2],
            (jnp.log1p(h[5]) - np.log1p(MEAN[5])) / WIDTH[5],
            (h[6] - mean[6]) / WIDTH[6],
        ]
    )
    return KAPPA * (cosine - 1) - 0.5 * (pulled**2 + jnp.sum(rest**2))


@dataclass(frozen=True)
class Lamp:
    """Light from the origin, brightness times `Absorption`, brighter on one side; all of it at 100 ns. Compiles at once."""

    parameter_names: tuple[str, ...] = ("brightness", "Absorption", "zenith", "azimuth")

    def init_variables(self, key, detector):
        return {}

    def light_yield(self, variables, hypothesis, event, detector, cumulative=False):
        unit = detector.position / jnp.linalg.norm(detector.position, axis=1, keepdims=True)
        charge = hypothesis[0] * hypothesis[1] * (1 + 0.9 * unit @ sphere_point(hypothesis[2], hypothesis[3]))
        dom = event.active[event.pulses.slot]
        passed = jnp.where(event.pulses.time > 100, charge[dom], 0) if cumulative else None
        return LightYield(charge, charge, 0 * charge, 0 * event.pulses.time, passed)

    def sample_times(self, variables, key, hypothesis, event, detector, dom):
        return jnp.full(dom.shape, 100.0)


def lamp_model(detector, priors=()) -> Model:
    """A lamp whose charges alone count."""
    trafo = Trafo(Lamp().parameter_names, (0.0, 0.0, 1.6, 3.1), (2.0, 0.5, 0.7, 1.8), (False,) * 4, 0.0)
    loss = Loss((LossTerm("dom_charge_pdf"),), priors)
    return Model(Lamp(), {}, trafo, jax.tree.map(jnp.asarray, detector), loss)
