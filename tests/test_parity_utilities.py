"""Value ranges, angles, basis functions, acceptance, shower maximum and schedule against the reference's numbers."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import learned

from evgen_jax.building.model import build_source
from evgen_jax.config.records import ClassSettings, ModelSettings
from evgen_jax.decoders import FAMILIES, Decoder, ValueRange
from evgen_jax.decoders.negative_binomial import log_probability
from evgen_jax.errors import ConfigError
from evgen_jax.measurement.detector import load_detector
from evgen_jax.numerics import safe_log
from evgen_jax.physics.acceptance import BASELINE, acceptance_table, angular_acceptance, tabulated_acceptance
from evgen_jax.physics.geometry import (
    flight_direction,
    opening_angle,
    origin_angles,
    shift_to_shower_maximum,
    shower_maximum,
)
from evgen_jax.sources.linen_source import empty_event
from evgen_jax.training.schedules import build_schedule

COMPACT = Path(__file__).parent / "reference" / "utilities.npz"
COMPLETE = Path(__file__).parent.parent.parent / "shared" / "reference" / "utils.npz"
RANGES = {
    "BaseValueRange/0": ("base", 0.5, 0.0, 0.0),
    "BaseValueRange/1": ("base", 1.0, 0.0, 0.0),
    "BaseValueRange/2": ("base", 2.0, -3.0, 0.0),
    "EluValueRange/0": ("elu", 1.0, -5.0, 1e-4),
    "EluValueRange/1": ("elu", 1.0, 2.0, 1e-4),
    "EluValueRange/2": ("elu", 0.3, 2.5, 0.5),
    "EluValueRange/3": ("elu", 1.0, 10.0, 1.0),
    "EluValueRange/4": ("elu", 1.0, 1.0, 1e-6),
    "ExpValueRange/0": ("exp", 1.0, 0.0, 0.0),
    "ExpValueRange/1": ("exp", 0.5, 1.0, 0.1),
}


@pytest.fixture(
    params=[
        COMPACT,
        pytest.param(
            COMPLETE, marks=pytest.mark.skipif(not COMPLETE.is_file(), reason="needs the complete reference numbers")
        ),
    ],
    ids=["compact", "complete"],
)
def z(request):
    return np.load(request.param)


@pytest.mark.parametrize("name", RANGES)
def test_value_ranges(z, name, x64):
    function, x = ValueRange(*RANGES[name]), jnp.asarray(z["value_range/x"])
    key = f"value_range/{name}/float64"
    np.testing.assert_allclose(function(x), z[key], rtol=1e-12)
    # At the edge of a clip one-sided derivatives differ by convention.
    slope, expected = np.asarray(jax.vmap(jax.grad(function))(x)), z[key + "_grad"]
    a = RANGES[name][1] * np.asarray(x) + RANGES[name][2]
    inner = (a != -20) & (a != 15) if RANGES[name][0] == "exp" else np.ones(len(a), bool)
    # Ours is exp(a) from the output of elu: at a < -30 both are 1e-13 and less.
    np.testing.assert_allclose(slope[inner], expected[inner], rtol=1e-9, atol=1e-15)


def test_angles(z, x64):
    one, two = (jnp.asarray(z[f"angles/vec{i}"]) for i in (1, 2))
    expected = z["angles/get_angle_float64"]
    # Parallel vectors: a micrometre under the root keeps the gradient finite, where the reference's is NaN.
    apart = (expected > 1e-3) & (expected < np.pi - 1e-3)
    own = np.asarray(opening_angle(one, two))
    np.testing.assert_allclose(own[apart], expected[apart], rtol=1e-9)
    np.testing.assert_allclose(own, expected, atol=1e-5)
    gradient = np.asarray(jax.vmap(jax.grad(opening_angle))(one, two))
    assert np.all(np.isfinite(gradient))
    np.testing.assert_allclose(gradient[apart], z["angles/get_angle_float64_grad_vec1"][apart], rtol=1e-6, atol=1e-9)
    first, second = (flight_direction(z[f"angles/zen{i}"], z[f"angles/az{i}"]) for i in (1, 2))
    np.testing.assert_allclose(opening_angle(first, second), z["angles/get_angle_deviation_float64"], atol=1e-5)
    np.testing.assert_allclose(first, z["angles/angle2vec_flip"], atol=1e-12)
    np.testing.assert_allclose(flight_direction(*origin_angles(first)), first, atol=1e-7)


def test_basis_functions(z, x64):
    """The densities with the parameters under which the numbers were taken."""
    x, q = jnp.asarray(z["basis/x"]), jnp.asarray(z["basis/q"])
    gauss = Decoder(FAMILIES["AsymmetricGaussianDecoder"])
    gamma, poisson = (Decoder(FAMILIES[n]) for n in ("GammaFunctionDecoder", "PoissonDecoder"))
    skewed, shape = jnp.array([[0.3, 0.7, 2.5]]), jnp.array([[2.5, 1.3]])
    np.testing.assert_allclose(gauss.pdf(x, skewed), z["basis/asymmetric_gauss"], rtol=1e-10, atol=1e-300)
    np.testing.assert_allclose(gauss.log_pdf(x, skewed), z["basis/tf_log_asymmetric_gauss_float64"], rtol=1e-10)
    np.testing.assert_allclose(gauss.cdf(x, skewed), z["basis/asymmetric_gauss_cdf"], atol=1e-12)
    np.testing.assert_allclose(gauss.ppf(q, skewed)[1:-1], z["basis/asymmetric_gauss_ppf"][1:-1], rtol=1e-8, atol=1e-8)
    assert float(gauss.mean(skewed)[0]) == pytest.approx(float(z["basis/asymmetric_gauss_expectation"]), rel=1e-12)
    np.testing.assert_allclose(gauss.pdf(x, jnp.array([[0.3, 1.2, 1.0]])), z["basis/gauss"], rtol=1e-10, atol=1e-300)
    np.testing.assert_allclose(gamma.pdf(x, shape), z["basis/gamma_pdf"], rtol=1e-10, atol=1e-300)
    np.testing.assert_allclose(gamma.cdf(x, shape), z["basis/gamma_cdf"], atol=1e-10)
    np.testing.assert_allclose(gamma.ppf(q, shape)[1:-1], z["basis/gamma_ppf"][1:-1], rtol=1e-8)
    inside = np.asarray(x) >= 0
    mean = jnp.array([[2.2]])
    np.testing.assert_allclose(poisson.pdf(x, mean)[inside], z["basis/poisson_pdf"][inside], rtol=1e-10, atol=1e-300)
    for suffix, normalised in (("", True), ("_nonorm", False)):
        own = log_probability(x, jnp.array(2.2), jnp.array(0.3 * 2.2**2), normalised)
        np.testing.assert_allclose(own[inside], z[f"basis/log_negative_binomial{suffix}"][inside], rtol=1e-9, atol=1e-9)


def test_acceptance_reproduces_the_table(z, x64):
    """At the nodes of the reference's table to rounding; between them the table interpolates linearly."""
    cos_eta, p0, p1 = (np.linspace(low, high, n) for low, high, n in ((-1, 1, 30), (-0.5, 0.5, 20), (-0.15, 0.05, 20)))
    own = jax.vmap(jax.vmap(angular_acceptance, (None, 0, None)), (None, None, 0))(
        jnp.asarray(cos_eta), jnp.asarray(p0), jnp.asarray(p1)
    )
    np.testing.assert_allclose(np.transpose(own, (2, 1, 0)), z["dom_acceptance/y_ref"], atol=1e-6)
    points = jnp.asarray(z["dom_acceptance/x"])
    inside = np.isfinite(z["dom_acceptance/float64"])
    between = np.asarray(jax.vmap(angular_acceptance)(*points.T))[inside] - z["dom_acceptance/float64"][inside]
    assert np.abs(between).max() < 0.0106 and np.sqrt(np.mean(between**2)) < 2e-3


def test_acceptance_of_the_table(z, x64):
    """Values and gradients of the reference's interpolation; finite, with gradient zero, where it has none."""
    np.testing.assert_allclose(acceptance_table(), z["dom_acceptance/y_ref"], atol=1e-8)
    points = jnp.asarray(z["dom_acceptance/x"])
    value, gradient = jax.vmap(jax.value_and_grad(lambda p: tabulated_acceptance(*p)))(points)
    inside = np.isfinite(z["dom_acceptance/float64"])
    assert 100 < inside.sum() < len(points)
    np.testing.assert_allclose(value[inside], z["dom_acceptance/float64"][inside], rtol=1e-7, atol=1e-8)
    smooth = inside & np.all(np.isfinite(z["dom_acceptance/float64_grad"]), axis=1)
    np.testing.assert_allclose(gradient[smooth], z["dom_acceptance/float64_grad"][smooth], rtol=1e-5, atol=3e-7)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))
    np.testing.assert_allclose(
        tabulated_acceptance(jnp.array([-2.0, 2.0]), 9.0, -9.0), acceptance_table()[[0, -1], -1, 0], rtol=1e-12
    )


def test_a_source_may_have_the_acceptance_of_the_table(loaded_detector):
    """The expected charges of two sources with the same weights differ by the ratio of the acceptances."""
    detector = jax.tree.map(jnp.asarray, loaded_detector)
    hypothesis, event = jnp.array([10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 10000.0]), empty_event(detector.num_doms)
    charges = []
    for kind in ("formula", "table"):
        section = learned(
            "DefaultCascadeModel",
            scale_charge_by_angular_acceptance=True,
            shift_cascade_vertex=False,
            angular_acceptance=kind,
        )
        source, _ = build_source(ModelSettings.model_validate(section))
        weights = source.init_variables(jax.random.key(0), detector)
        charges.append(np.asarray(jax.jit(source.light_yield)(weights, hypothesis, event, detector).charge_full))
    towards = np.asarray(detector.position) - np.asarray(hypothesis[:3])
    cos_eta = jnp.asarray(towards[:, 2] / (np.linalg.norm(towards, axis=1) + 0.1))  # as sources measure distances
    table, formula = (np.asarray(f(cos_eta, *BASELINE)) + 0.01 for f in (tabulated_acceptance, angular_acceptance))
    assert np.max(np.abs(table / formula - 1)) > 0.01
    np.testing.assert_allclose(charges[1] / charges[0], table / formula, rtol=2e-4)
    with pytest.raises(
        ConfigError, match="model_settings.config.angular_acceptance: expected 'formula' or 'table', got 'tabel'"
    ):
        build_source(ModelSettings.model_validate(learned("DefaultCascadeModel", angular_acceptance="tabel")))


def test_shower_maximum(z, x64):
    energy = jnp.asarray(z["cascades/ref_energy"])
    np.testing.assert_allclose(shower_maximum(energy), z["cascades/dist"], rtol=1e-12, atol=1e-12)
    position = np.stack([z[f"cascades/{k}"] for k in "xyz"], axis=-1)
    direction = flight_direction(z["cascades/zenith"], z["cascades/azimuth"])
    moved, time = jax.vmap(shift_to_shower_maximum)(position, z["cascades/t"], direction, energy)
    np.testing.assert_allclose(moved, z["cascades/shift"][:3].T, rtol=1e-10)
    np.testing.assert_allclose(time, z["cascades/shift"][3], rtol=1e-12)


def test_logarithm_that_stays_finite(z):
    np.testing.assert_allclose(safe_log(jnp.asarray(z["tf_helpers/safe_log_in"])), z["tf_helpers/safe_log"], rtol=1e-6)


def test_three_phases(z):
    def decay(start, stop, steps, power=1):
        return {
            "full_class_string": "PolynomialDecay",
            "settings": {
                "initial_learning_rate": start,
                "end_learning_rate": stop,
                "decay_steps": steps,
                "power": power,
            },
        }

    pieces = [decay(1e-5, 1e-3, 1000), decay(1e-3, 1e-3, 999000), decay(1e-3, 1e-6, 500000, 2)]
    rate = build_schedule(
        ClassSettings(
            full_class_string="MultiLearningRateScheduler",
            settings={"boundaries": [1000, 1000000], "scheduler_settings": pieces},
        )
    )
    own = [float(rate(int(step))) for step in z["learning_rate/step"]]
    # Float32: the fourth digit of the fraction of 500000 steps that are left.
    np.testing.assert_allclose(own, z["learning_rate/lr"], rtol=2e-4)


def test_detector_tables(x64):
    if not COMPLETE.is_file():
        pytest.skip("needs the complete reference numbers")
    z, detector = np.load(COMPLETE), load_detector()
    np.testing.assert_allclose(detector.position, z["detector/x_coords"].reshape(-1, 3), rtol=1e-6, atol=1e-4)
    np.testing.assert_array_equal(detector.usable, z["detector/bad_doms_mask"].ravel())
    np.testing.assert_allclose(detector.noise_rate, z["detector/dom_noise_rates"].ravel(), rtol=1e-6)
    np.testing.assert_allclose(detector.relative_efficiency, z["detector/rel_dom_eff"].ravel(), rtol=1e-6)
