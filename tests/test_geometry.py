"""Directions, acceptance and shower geometry against the numbers of their sources."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evgen_jax.physics.acceptance import angular_acceptance
from evgen_jax.physics.geometry import (
    flight_direction,
    opening_angle,
    origin_angles,
    shift_to_shower_maximum,
    shower_maximum,
)

pytestmark = pytest.mark.usefixtures("x64")


def test_shower_maximum():
    assert float(shower_maximum(jnp.array(1e5))) == pytest.approx(5.24105857, abs=1e-7)
    assert float(shower_maximum(jnp.array(0.19))) == 0
    position, time = shift_to_shower_maximum(jnp.zeros(3), jnp.zeros(()), jnp.array([0.0, 0, 1]), jnp.array(1e5))
    assert float(position[2]) == pytest.approx(5.24105857)
    assert float(time) == pytest.approx(5.24105857 / 0.299792458)


def test_angles_round_trip_and_are_stable():
    zenith, azimuth = jnp.array([0.3, 1.5, 3.0]), jnp.array([0.1, 3.0, 6.0])
    back = origin_angles(flight_direction(zenith, azimuth))
    np.testing.assert_allclose(back[0], zenith, atol=1e-9)
    np.testing.assert_allclose(back[1], azimuth, atol=1e-9)
    a = jnp.array([1.0, 0, 0])
    assert float(opening_angle(a, jnp.array([-1.0, 0, 0]))) == pytest.approx(np.pi, abs=1e-5)
    assert float(opening_angle(a, jnp.array([1.0, 1e-3, 0]))) == pytest.approx(1e-3, rel=1e-3)
    for b in (a, -a):
        assert np.isfinite(jax.grad(opening_angle)(a, b)).all()


def test_acceptance():
    cosine = jnp.array([-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1.0])
    expected = [0, 0.054803, 0.171668, 0.283403, 0.348884, 0.401736, 0.501062, 0.615199, 0.698298]
    np.testing.assert_allclose(angular_acceptance(cosine, 0.25, -0.06), expected, atol=1e-6)
    grid = jnp.linspace(-1, 1, 20001)
    for p0, p1 in ((0.25, -0.06), (-0.5, 0.05), (0.5, -0.15)):
        assert np.trapezoid(angular_acceptance(grid, p0, p1), grid) == pytest.approx(0.68, abs=1e-5)
    assert np.isfinite(jax.grad(lambda p: jnp.sum(angular_acceptance(grid, p[0], p[1])))(jnp.array([2.0, 1.0]))).all()
