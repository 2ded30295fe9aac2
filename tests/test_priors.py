"""Priors are one noun: of a loss, of a posterior, of a penalised fit."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from synthetic import lamp_model

from evgen_jax.errors import ConfigError, ReconstructionError
from evgen_jax.hypothesis.joint_prior import JointPrior, make_prior, prior_limits, product_of
from evgen_jax.hypothesis.parameters import Parameter, standard_parameters
from evgen_jax.hypothesis.prior import IsotropicPrior, NormalPrior, PowerLawPrior, SoftUniformPrior, UniformPrior
from evgen_jax.model.likelihood import Loss
from evgen_jax.model.log_likelihood import log_likelihood
from evgen_jax.reconstruction.fit.coordinates import make_coordinates
from evgen_jax.reconstruction.fit.settings import FitSettings
from evgen_jax.reconstruction.uncertainty.posterior import posterior_density
from evgen_jax.reconstruction.uncertainty.sampling_space import SamplingSpace
from evgen_jax.sources.linen_source import empty_event

SHOWER = standard_parameters(("x", "zenith", "azimuth", "energy", "Absorption"))
TWICE = tuple(own.under(name) for name in ("track", "cascade") for own in standard_parameters(("x", "Absorption")))


def test_kinds_are_the_distributions_of_scipy(x64):
    for prior, value, expected in (
        (NormalPrior("x", -20.0, 3.0), -14.0, stats.norm.logpdf(-14.0, -20.0, 3.0)),
        (UniformPrior("x", -600, 200), 100.0, -np.log(800.0)),
        (PowerLawPrior("energy", 1e2, 1e5, 1.0), 1e3, stats.loguniform.logpdf(1e3, 1e2, 1e5)),
        (PowerLawPrior("energy", 1e2, 1e5, 2.5), 1e3, np.log(1.5 * 1e3**-2.5 / (1e2**-1.5 - 1e5**-1.5))),
        (PowerLawPrior("energy", 1e2, 1e5, 0.0), 1e3, stats.uniform.logpdf(1e3, 1e2, 1e5 - 1e2)),
        (IsotropicPrior("zenith"), 0.3, np.log(np.sin(0.3) / (4 * np.pi))),
        (UniformPrior("x", -600, 200), 200.1, -np.inf),
        (PowerLawPrior("energy", 1e2, 1e5, 2.5), -1.0, -np.inf),
        (SoftUniformPrior("Absorption", 0.9, 1.1), 1.0, 0.0),
        (SoftUniformPrior("Absorption", 0.9, 1.1, eps=0.05), 1.08, np.exp(10) - np.exp(10 * (1 - 0.02 / 0.2))),
    ):
        assert float(prior.log_density(jnp.array(value))) == pytest.approx(expected, rel=1e-12)


def test_priors_of_a_loss_serve_a_posterior_and_stated_ones_a_loss(loaded_detector, x64, caplog):
    """One product, three uses: what a fit maximises, what a sampler draws from, what a loss adds."""
    wall, normal = SoftUniformPrior("Absorption", 0.9, 1.1), NormalPrior("brightness", 1.0, 0.5)
    lamp = lamp_model(loaded_detector, ((2.0, wall), (0.5, normal)))
    stated = make_prior(lamp.parameters, {"brightness": {"distribution": "normal", "mean": 2.0, "sigma": 0.7}})
    of_loss = lamp.loss.joint_prior(lamp.parameters)
    h, event = jnp.array([1.3, 1.12, 0.3, 1.0]), empty_event(108)
    by_hand = 0.5 * stats.norm.logpdf(1.3, 1.0, 0.5) - 2 * (np.exp(10 * (0.02 / 0.2 + 1)) - np.exp(10))
    assert float(of_loss(h)) == pytest.approx(by_hand) and lamp.loss.penalty(lamp.parameters, h) == -of_loss(h)
    both = stated * of_loss
    assert float(both(h)) == pytest.approx(by_hand + stats.norm.logpdf(1.3, 2.0, 0.7))
    bare = float(log_likelihood(lamp, h, event, priors=False))
    assert float(log_likelihood(lamp, h, event)) == pytest.approx(bare + by_hand)
    penalised = lamp.replace(loss=replace(lamp.loss, priors=both.priors))
    assert float(log_likelihood(penalised, h, event)) == pytest.approx(bare + float(both(h)))
    space = SamplingSpace(make_coordinates(lamp, FitSettings(free={"zenith": False, "azimuth": False})))
    place, anchor = jnp.array([0.65, 2.24]), jnp.array([0.0, 0.0, 0.3, 1.0])  # brightness / 2, absorption / 0.5
    found = posterior_density(lamp, both, space)(lamp, place, anchor, event)
    assert not caplog.records  # nothing of the loss is left out
    assert float(found) == pytest.approx(bare + float(both(h)), rel=1e-6)  # the volume 2 * 0.5 is 1
    assert both.names == ("brightness", "Absorption") and hash(both) == hash(stated * of_loss)
    np.testing.assert_allclose(jax.grad(of_loss)(h)[0], -0.5 * 0.3 / 0.25)


def test_a_name_stands_for_the_parameters_of_every_source():
    """In a loss; a configuration of a posterior has whole names."""
    priors = (
        (0.3, NormalPrior("Absorption", 1.0, 0.1)),
        (1.0, NormalPrior("cascade_x", 0.0, 5.0)),
        (1.0, NormalPrior("y", 0, 1)),
    )
    joint = product_of(priors, TWICE)
    assert joint.names == ("track_Absorption", "cascade_x", "cascade_Absorption") and joint.priors == priors[:2]
    own = [stats.norm.logpdf(v, 1.0, 0.1) for v in (1.1, 0.8)]
    expected = 0.3 * sum(own) + stats.norm.logpdf(7.0, 0.0, 5.0)
    assert float(joint(jnp.array([3.0, 1.1, 7.0, 0.8]))) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(
        ReconstructionError, match="'Absorption' may be track_Absorption or cascade_Absorption; give the whole name"
    ):
        make_prior(TWICE, {"Absorption": {"distribution": "normal", "mean": 1.0, "sigma": 0.1}})


def test_a_whole_name_is_one_parameter_even_if_it_is_the_end_of_another():
    inner, outer = Parameter("a_x", "x", group=("a",)), Parameter("b_a_x", "x", group=("b", "a"))
    stated = make_prior((inner, outer), {"a_x": {"distribution": "normal", "mean": 0.0, "sigma": 1.0}})
    assert stated.names == ("a_x",)
    assert product_of(stated.priors, (inner, outer)).names == ("a_x", "b_a_x")


def test_limits_are_where_all_priors_end():
    joint = product_of(
        (
            (1.0, UniformPrior("x", -500, 200)),
            (2.0, UniformPrior("x", -100, 900)),
            (0.0, UniformPrior("x", 0, 1)),
            (1.0, UniformPrior("zenith", 0, 1)),
            (1.0, PowerLawPrior("energy", 1e2, 1e6, 2)),
            (1.0, SoftUniformPrior("Absorption", 0.9, 1.1)),
        ),
        SHOWER,
    )
    assert joint.limits() == {"x": (-100.0, 200.0), "energy": (1e2, 1e6)}
    inside = jnp.array([50.0, 0.5, 0.0, 1e3, 1.0])
    assert np.isfinite(joint(inside)) and joint(inside.at[0].set(201.0)) == -np.inf
    assert prior_limits(SHOWER, {}) == {} and JointPrior(SHOWER)(inside) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NormalPrior("x", np.nan, 1.0), "^priors.x.mean: expected a finite number, got nan"),
        (lambda: NormalPrior("x", 0.0, -1), "^priors.x.sigma: expected a width > 0, got -1"),
        (lambda: UniformPrior("x", 2, 1), r"^priors.x: expected low < high, got \[2, 1\]"),
        (lambda: SoftUniformPrior("x", 1, 1), r"^priors.x: expected low < high, got \[1, 1\]"),
        (lambda: PowerLawPrior("energy", -1, 1, 1), r"^priors.energy: expected low < high and low > 0, got \[-1, 1\]"),
        (lambda: PowerLawPrior("energy", 1e2, 1e6, 400), r"^priors.energy.index: E\^-400 has no integral in float64"),
        (
            lambda: Loss((), ((1.0, IsotropicPrior("x")),)).joint_prior(SHOWER),
            "^priors.x: 'isotropic' is given for the zenith",
        ),
        (
            lambda: JointPrior(SHOWER) * JointPrior(TWICE),
            "are multiplied if they have the parameters of one hypothesis",
        ),
    ],
)
def test_priors_that_cannot_be_are_told(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
