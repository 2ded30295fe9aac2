"""A cascade whose light is a short formula: its fits compile in a fraction of the time of others."""

import jax
import jax.numpy as jnp

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.config.records import ModelSettings
from evgen_jax.physics.geometry import flight_direction

WIDTH = 25.0
"""ns, of the logistic distribution of arrival times."""


class ToyCascade(eg.LinenSource):
    """Light that falls with distance, stronger forwards, and arrives at the speed of light in ice."""

    parameter_names = ("x", "y", "z", "zenith", "azimuth", "energy", "time")

    def charge_and_time(self, hypothesis, detector):
        way = detector.position - hypothesis[None, :3]
        distance = jnp.sqrt(jnp.sum(way**2, axis=-1) + 1.0)
        cosine = way @ flight_direction(hypothesis[3], hypothesis[4]) / distance
        charge = 30.0 * hypothesis[5] * (1 + 0.8 * cosine) * jnp.exp(-distance / 40.0) / (distance**2 + 100.0)
        return charge, hypothesis[6] + distance / 0.22

    @eg.compact
    def __call__(self, hypothesis, event, detector, cumulative=False):
        charge, middle = self.charge_and_time(hypothesis, detector)
        dom = event.active[event.pulses.slot]
        passed = jax.nn.sigmoid((event.pulses.time - middle[dom]) / WIDTH)
        density = charge[dom] * passed * (1 - passed) / WIDTH
        return eg.LightYield(charge, charge, 0 * charge, density, charge[dom] * passed if cumulative else None)

    @eg.compact
    def draw_times(self, key, hypothesis, event, detector, dom):
        _, middle = self.charge_and_time(hypothesis, detector)
        return middle[dom] + WIDTH * jax.random.logistic(key, dom.shape)


eg.register_source("ToyCascade", ToyCascade)
TWO = ModelSettings(
    model_class="IndependentMultiSource",
    config={"sources": {"event": "event", "noise": "noise"}},
    multi_source_bases={
        "event": ModelSettings(
            model_class="StartingVariableMultiCascadeModel",
            config={"num_cascades": 2},
            multi_source_bases={"cascade": ModelSettings(model_class="ToyCascade")},
        ),
        "noise": ModelSettings(model_class="AnalyticNoiseModel"),
    },
)
ONE = ModelSettings(
    model_class="IndependentMultiSource",
    config={"sources": {"cascade": "cascade", "noise": "noise"}},
    multi_source_bases={
        "cascade": ModelSettings(model_class="ToyCascade"),
        "noise": ModelSettings(model_class="AnalyticNoiseModel"),
    },
)


def toy_model(detector, settings=TWO):
    return analytic_model(detector, settings)
