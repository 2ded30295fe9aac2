"""The likelihood in the hands of other libraries: SciPy, jax.scipy.optimize, optimistix, blackjax, numpyro.

python experiments/other_minimisers_and_samplers.py [SAMPLES]

Needs pip install optimistix blackjax numpyro. An analytic cascade in a small detector, fitted in normalised parameters.
"""

import sys

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import optimistix
import scipy.optimize
from jax.scipy.optimize import minimize
from numpyro.infer import MCMC, NUTS

import evgen_jax as eg

samples = int(sys.argv[1]) if len(sys.argv) > 1 else 300
warmup = min(100, samples)
x, y, z = (a.ravel() for a in np.meshgrid([-60.0, 60.0], [-60.0, 60.0], np.arange(-100.0, 101.0, 25.0)))
detector = eg.Detector(
    position=np.stack([x, y, z], axis=1).astype(np.float32),
    relative_efficiency=np.ones(36, np.float32),
    noise_rate=np.zeros(36, np.float32),
    string=np.repeat(np.arange(4), 9),
    om=np.tile(np.arange(9), 4),
    usable=np.ones(36, bool),
    name="small",
)
model = eg.simulation.analytic_model(detector, eg.training.ModelSettings(model_class="AnalyticCascadeModel"))
truth = np.array([10.0, -5.0, 20.0, 1.2, 2.0, 1000.0, 10000.0], np.float32)
drawn = jax.jit(eg.make_sampler(model))(model.variables, jax.random.key(2), truth)
seen = np.asarray(drawn.mask)
event = eg.data.build_event(
    np.ones(seen.sum()),
    np.asarray(drawn.time, float)[seen],
    np.asarray(drawn.dom)[seen],
    num_doms=36,
    readout=(0.0, 20000.0),
)

# All that the libraries need: one pure function of seven normalised parameters.
log_likelihood = eg.make_log_likelihood(model)


def loss(t):
    return -log_likelihood(model.variables, model.trafo.inverse(t), event)


start = model.trafo.transform(jnp.asarray(truth)) + 0.01
with jax.enable_x64(True):  # the sum over pulses in float64; minimisers stop early without it
    start = jnp.asarray(start, jnp.float64)
    value_and_gradient = jax.jit(jax.value_and_grad(loss))
    found = {}

    def for_scipy(t):
        value, gradient = value_and_gradient(jnp.asarray(t))
        return float(value), np.asarray(gradient, np.float64)

    fitted = scipy.optimize.minimize(for_scipy, np.asarray(start), jac=True, method="BFGS", options={"gtol": 1e-2})
    found["SciPy"] = fitted.x
    found["jax.scipy.optimize"] = jax.jit(lambda t: minimize(loss, t, method="BFGS", options={"maxiter": 60}).x)(start)
    solver = optimistix.BFGS(rtol=1e-6, atol=1e-4)
    solution = optimistix.minimise(lambda t, _: loss(t), solver, start, max_steps=300, throw=False)
    found["optimistix"] = solution.value
    for name, t in found.items():
        value, _ = value_and_gradient(jnp.asarray(t))
        print(f"{name}: log-likelihood {-value:.3f}, x {model.trafo.inverse(jnp.asarray(t))[0]:.1f} m")

    best, width = jnp.asarray(fitted.x), jnp.linalg.cholesky(jnp.asarray(fitted.hess_inv))

    def log_density(u):
        """Flat in the normalised parameters, in units of the widths that BFGS found around the fit."""
        return -loss(best + width @ u)

    def sample_blackjax(key):
        adaptation = blackjax.window_adaptation(blackjax.nuts, log_density)
        (state, parameters), _ = adaptation.run(key, jnp.zeros(7), warmup)
        step = blackjax.nuts(log_density, **parameters).step
        return jax.lax.scan(lambda s, k: (step(k, s)[0], s.position), state, jax.random.split(key, samples))[1]

    def sample_numpyro(key):
        kernel = NUTS(potential_fn=lambda u: -log_density(u))
        mcmc = MCMC(kernel, num_warmup=warmup, num_samples=samples, progress_bar=False)
        mcmc.run(key, init_params=jnp.zeros(7))
        return mcmc.get_samples()

    numpyro.enable_x64()
    for name, sample in (("blackjax", jax.jit(sample_blackjax)), ("numpyro", sample_numpyro)):
        drawn = np.asarray(jax.vmap(lambda u: model.trafo.inverse(best + width @ u))(sample(jax.random.key(2))))
        print(f"{name}: x {drawn[:, 0].mean():.1f} +- {drawn[:, 0].std():.1f} m")
