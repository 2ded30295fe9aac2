"""The shapes in signatures are checked while tests run, and nothing else is."""

import inspect
from collections.abc import Sequence
from dataclasses import fields

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, TypeCheckError
from shapes import check_shapes, checked

from evgen_jax.errors import ConfigError
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.physics.geometry import flight_direction, opening_angle
from evgen_jax.reconstruction.fit.inverse_hessian import newton_step
from evgen_jax.reconstruction.fit.line_search import begun
from evgen_jax.sources.composite.independent import independent_multi_source


@pytest.mark.parametrize(
    ("inverse", "gradient"),
    [(np.eye(3), np.ones(2)), (np.eye(3)[:2], np.ones(3)), (np.eye(3), np.ones((3, 1))), (np.eye(3), np.ones(3, int))],
)
def test_an_inner_function_refuses_other_shapes(inverse, gradient):
    step, slope = newton_step(jnp.eye(3), jnp.ones(3))
    assert step.shape == (3,) and slope == -3
    with pytest.raises(TypeCheckError, match="newton_step"):
        newton_step(jnp.asarray(inverse), jnp.asarray(gradient))


def test_shapes_are_checked_where_a_program_is_traced():
    """Under vmap and grad a function sees one lane: its signature says the shape of that."""
    directions = jax.vmap(flight_direction)(jnp.linspace(0.1, 3, 5), jnp.linspace(0, 6, 5))
    angles = jax.jit(jax.vmap(opening_angle, in_axes=(0, None)))(directions, directions[0])
    np.testing.assert_allclose(angles[0], 0, atol=1e-6)
    with pytest.raises(TypeCheckError, match="opening_angle"):
        jax.jit(opening_angle)(directions, directions[0])


def test_results_are_checked_too():
    def summed(x: Float[Array, "D 3"]) -> Float[Array, " D"]:
        return jnp.sum(x, axis=0)

    strict = checked(summed, typechecker=check_shapes)
    assert strict(jnp.ones((3, 3))).shape == (3,)
    with pytest.raises(TypeCheckError, match="return value"):
        strict(jnp.ones((2, 3)))


def test_nothing_but_shapes_is_checked():
    """A wrong argument of another type meets the message that the function has for it."""

    def chosen(names: Sequence[str], x: Float[Array, " D"] | None, both: tuple[str, Float[Array, ""]]) -> str:
        return f"{names}"

    assert check_shapes(chosen)(3, None, (1, jnp.ones(()))) == "3"
    with pytest.raises(ConfigError, match="got 3"):
        independent_multi_source(3, {})


def test_functions_and_records_keep_their_signatures():
    assert list(inspect.signature(begun).parameters) == ["x", "value", "gradient", "step", "slope"]
    assert flight_direction.__module__ == "evgen_jax.physics.geometry" and hash(flight_direction)
    assert [field.name for field in fields(Trafo)] == ["parameter_names", "mean", "std", "log", "norm_constant"]
    assert hash(Trafo(("x",), (0.0,), (1.0,), (False,))) == hash(Trafo(("x",), (0.0,), (1.0,), (False,)))
