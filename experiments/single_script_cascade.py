"""A cascade model in one script, without YAML: simulate, normalise, train, fit.

python experiments/single_script_cascade.py [STEPS [EVENTS]]
"""

import sys

import jax
import numpy as np
import optax

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.decoders import FAMILIES, Component, Decoder, Mixture, ValueRange
from evgen_jax.hypothesis.trafo import fit_trafo
from evgen_jax.simulation.draw import draw_hypotheses
from evgen_jax.simulation.simulate import EventSampler
from evgen_jax.sources.composite.independent import independent_multi_source
from evgen_jax.sources.learned.cascade import PARAMETERS, CascadeGeometry
from evgen_jax.sources.learned.learned import LearnedOptions, LearnedSource
from evgen_jax.sources.learned.network import NetworkShape
from evgen_jax.sources.learned.noise import NoiseSource
from evgen_jax.training.step import init_state, make_train_step

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
num_events = int(sys.argv[2]) if len(sys.argv) > 2 else 512
held_out, batch_size, readout = min(8, num_events // 8), 8, (0.0, 20000.0)
rng = np.random.default_rng(1)
detector = eg.load_detector()  # IceCube-86; any CSV table with string, om, x, y, z is another detector

# Events of the analytic cascade with noise. x, y, z (m), zenith, azimuth, energy (GeV), time (ns).
truth = analytic_model(detector)
ranges = np.array([[-300, 300], [-300, 300], [-300, 300], [0, np.pi], [0, 2 * np.pi], [1e3, 1e4], [9500, 10500]])
hypotheses = draw_hypotheses(rng, truth.parameters, ranges, num_events)
events = EventSampler(truth, readout).events(hypotheses, jax.random.key(1))
trafo = fit_trafo([hypotheses], truth.parameter_names, log=[p.log for p in truth.parameters])

# A network that gives, for every DOM, an expected charge and a mixture of five arrival-time distributions.
positive = ValueRange("elu", offset=1.0, min_value=1e-4)
gauss = Decoder(FAMILIES["AsymmetricGaussianDecoder"], (("sigma", ValueRange("elu", 1, -2, 0.002)), ("r", positive)))
gamma = Decoder(FAMILIES["GammaFunctionDecoder"], (("alpha", positive), ("beta", ValueRange("elu", offset=10.0))))
times = Mixture((Component("gauss", gauss, 3), Component("gamma", gamma, 2)))
charges = Decoder(FAMILIES["NegativeBinomialDecoder"], (("alpha", ValueRange("elu", offset=-5, min_value=1e-4)),))
widths = (30, 50, 50, len(charges.parameter_names) + len(times.parameter_names))
shape = NetworkShape(widths, (False,) * 4, ("elu", "elu", "elu", ""), residual=(True, True, True, False))
options = LearnedOptions(add_dom_coordinates=True, add_log_distance=True, scale_charge_by_diffusion=True)
geometry = CascadeGeometry(opening_angle_as_cosine=True)
cascade = LearnedSource(geometry, options, trafo.select(range(7), PARAMETERS), times, charges, shape)
noise = NoiseSource(Decoder(FAMILIES["PoissonDecoder"]))
source = independent_multi_source({"cascade": "cascade", "noise": "noise"}, {"cascade": cascade, "noise": noise})
detector = jax.tree.map(jax.numpy.asarray, detector)
model = eg.Model(source, source.init_variables(jax.random.key(2), detector), trafo, detector)

rate = optax.join_schedules([optax.linear_schedule(1e-3, 1e-2, 50), optax.cosine_decay_schedule(1e-2, steps)], [50])
optimizer = optax.chain(optax.clip_by_global_norm(1e3), optax.adam(rate))
step, state = jax.jit(make_train_step(model, optimizer)), init_state(model.variables, optimizer)
for number in range(steps):
    chosen = rng.choice(num_events - held_out, batch_size, replace=False)
    batch = eg.stack_events([events[i] for i in chosen], factor=4)
    state, metrics = step(state, batch, hypotheses[chosen].astype(np.float32))
    if number % 50 == 0 or number == steps - 1:
        print(f"step {number}: loss per event {metrics['loss']:.1f}", flush=True)

model = model.with_variables(state.variables)
seeds = hypotheses[-held_out:] + rng.normal(size=(held_out, 7)) * [15, 15, 15, 0.1, 0.1, 300, 30]
for fit, true in zip(eg.reconstruct(model, events[-held_out:], seeds), hypotheses[-held_out:], strict=True):
    distance = np.linalg.norm(fit.hypothesis[:3] - true[:3])
    print(
        f"vertex off by {distance:.1f} m, energy {fit.hypothesis[5]:.0f} GeV (true {true[5]:.0f}), {fit.diagnostics.message}"
    )
