"""Every multi-source, trained on events of its analytic counterpart, gets better at events that it has not seen."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from zoo import CASCADE, ZOO, section

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_counterpart, analytic_model
from evgen_jax.building.model import build_source
from evgen_jax.config.records import ModelSettings
from evgen_jax.hypothesis.parameters import parameters_of
from evgen_jax.hypothesis.trafo import typical_trafo
from evgen_jax.simulation.draw import draw_hypotheses, parameter_ranges
from evgen_jax.simulation.events import EventSampler
from evgen_jax.training.step import init_state, make_train_step

SECTIONS = {
    name: ZOO[name][0]
    for name in (
        "two cascades of one base",
        "starting cascades",
        "track with cascades",
        "track with equidistant cascades",
        "track with cascades as one source",
        "sum of sums",
    )
} | {"finite track": section("FiniteTrackMultiCascadeModel", {"cascade": CASCADE}, num_segments=5)}
STEPS, TRAIN, HELD_OUT = 40, 12, 6


EVERY_NIGHT = set(SECTIONS) - {"track with equidistant cascades"}
"""The others share their parts with this one, which has a track and cascades; test_zoo.py has the gradients of all."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.nightly) if n in EVERY_NIGHT else n for n in SECTIONS]
)
def test_it_learns(name, loaded_detector):
    settings = ModelSettings.model_validate(SECTIONS[name])
    parameters = parameters_of(build_source(settings)[0])
    truth = analytic_model(loaded_detector, analytic_counterpart(settings, lambda path: ModelSettings()))
    given = {
        "energy": (300.0, 1e3),
        "cascade_energy": (300.0, 1e3),
        "entry_energy": (1e3, 3e3),
        "x": (-100.0, 100.0),
        "y": (-100.0, 100.0),
        "z": (-100.0, 100.0),
        "energy_loss": (10.0, 500.0),
    }
    known = {parameter.role for parameter in parameters}
    rng = np.random.default_rng(2)
    ranges = parameter_ranges(parameters, {k: v for k, v in given.items() if k in known})
    hypotheses = draw_hypotheses(rng, parameters, ranges, TRAIN + HELD_OUT, 60.0)
    events = EventSampler(truth, (0.0, 20000.0), batch=6).events(hypotheses, jax.random.key(0))

    trafo = typical_trafo(parameters)
    source, _ = build_source(settings, trafo)
    detector = jax.tree.map(jnp.asarray, loaded_detector)
    model = eg.Model(source, source.init_variables(jax.random.key(1), detector), trafo, detector)
    batch = jax.tree.map(jnp.asarray, eg.stack_events(events, factor=16))
    labels = jnp.asarray(hypotheses, jnp.float32)
    training, held_out = (
        jax.tree.map(lambda a, s=s: a[s], (batch, labels)) for s in (slice(TRAIN), slice(TRAIN, None))
    )
    log_likelihood = eg.make_log_likelihood(model)

    @jax.jit
    def loss(variables):
        return -jnp.mean(jax.lax.map(lambda pair: log_likelihood(variables, pair[1], pair[0]), held_out))

    step, state = make_train_step(model, optax.adam(5e-3)), init_state(model.variables, optax.adam(5e-3))
    step = jax.jit(step)
    before = float(loss(state.variables))
    for _ in range(STEPS):
        state, metrics = step(state, *training)
    after = float(loss(state.variables))
    assert np.isfinite(after) and after < before - 0.02 * abs(before)
