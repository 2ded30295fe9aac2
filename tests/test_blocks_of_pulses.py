"""Densities at pulses are computed in blocks, with derivatives of their own: the same numbers as all at once by JAX alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evgen_jax.building.analytic import analytic_model
from evgen_jax.measurement.padding import repad
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.simulation.events import EventSampler
from evgen_jax.sources.learned import time_mixture
from evgen_jax.sources.learned.time_mixture import BLOCK, of_each, where_there_are_pulses

TRUTH = np.array([20.0, -30, 15, 1.1, 2.0, 2e4, 9900])


def test_derivatives_of_rows_are_those_of_the_function():
    def function(x, parameters):
        return jnp.sum(jnp.sin(x) * parameters["a"], axis=1) + parameters["b"] ** 2

    rng = np.random.default_rng(0)
    x, parameters = rng.normal(size=(5, 3)), {"a": rng.normal(size=(5, 3)), "b": rng.normal(size=5)}
    with jax.enable_x64(True):
        own, total = of_each(function), lambda f: lambda x, p: jnp.sum(f(x, p) ** 2)
        np.testing.assert_array_equal(own(x, parameters), function(x, parameters))
        for derivative in (jax.grad, jax.jacfwd, lambda f: jax.jacfwd(jax.grad(f))):
            found, right = (derivative(total(f))(x, parameters) for f in (own, function))
            np.testing.assert_allclose(found, right, rtol=1e-12)
        tangents = (jnp.ones((5, 3)), jax.tree.map(jnp.ones_like, parameters))
        for found, right in zip(*(jax.jvp(f, (x, parameters), tangents) for f in (own, function)), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-12)


def test_blocks_of_padding_are_left_out():
    if jax.default_backend() != "cpu":
        pytest.skip("blocks are those of CPUs")
    x, mask = jnp.arange(3.0 * BLOCK), jnp.arange(3 * BLOCK) < BLOCK + 1
    own = np.asarray(where_there_are_pulses(lambda x: x + 1, mask, x))
    np.testing.assert_array_equal(own[: 2 * BLOCK], np.arange(2 * BLOCK) + 1)
    assert np.all(own[2 * BLOCK :] == 0)
    some = where_there_are_pulses(lambda x: x + 1, mask[:700], x[:700])  # no whole number of blocks
    np.testing.assert_array_equal(some, np.arange(700) + 1)


@pytest.fixture(scope="module")
def bright(loaded_detector):
    model = analytic_model(loaded_detector)
    (event,) = EventSampler(model, (0.0, 20000.0)).events(TRUTH[None], jax.random.key(1))
    pulses = int(np.sum(event.pulses.mask))
    assert pulses > 2 * BLOCK
    return model, repad(event, (pulses // BLOCK + 3) * BLOCK, len(event.active), 0)


def test_log_likelihood_and_derivatives_do_not_depend_on_blocks(bright, monkeypatch):
    """Values, gradients, Hessians, and batches, whose events have different padding."""
    model, event = bright
    near = TRUTH + np.array([[0, 0, 0, 0, 0, 0, 0], [3.0, 2, -2, 0.1, 0.1, 500, 4]])
    events = jax.tree.map(lambda a: jnp.stack([jnp.asarray(a)] * 2), event)
    few = events.pulses.mask.at[1, BLOCK:].set(False)
    events = events.replace(pulses=events.pulses.replace(mask=few))

    def results():
        value = lambda h, event: log_likelihood(model, h, event)  # noqa: E731
        first = jax.jit(jax.value_and_grad(value))(jnp.asarray(near[1]), event)
        second = jax.jit(jax.jacfwd(jax.grad(value)))(jnp.asarray(near[1]), event)
        return *first, second, *jax.jit(jax.vmap(jax.value_and_grad(value)))(jnp.asarray(near), events)

    with jax.enable_x64(True):
        found = results()
        monkeypatch.setattr(time_mixture, "of_each", lambda function: function)
        monkeypatch.setattr(time_mixture, "where_there_are_pulses", lambda function, mask, *columns: function(*columns))
        right = results()
    for own, other in zip(found, right, strict=True):
        assert np.all(np.isfinite(own))
        np.testing.assert_allclose(own, other, rtol=2e-4, atol=2e-4 * np.abs(np.asarray(other)).max())
