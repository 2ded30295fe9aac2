"""A cascade model in one script, without YAML: simulate, normalise, train, fit, save and load.

python experiments/single_script_cascade.py [STEPS [EVENTS [DIR]]]
"""

import sys
import tempfile

import jax
import numpy as np
import optax

import evgen_jax as eg
from evgen_jax import data, decoders, simulation, sources, training

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
num_events = int(sys.argv[2]) if len(sys.argv) > 2 else 512
held_out, batch_size, readout = min(8, num_events // 8), 8, (0.0, 20000.0)
rng = np.random.default_rng(1)
detector = eg.load_detector()  # IceCube-86; any CSV table with string, om, x, y, z is another detector

# Events of the analytic cascade with noise. x, y, z (m), zenith, azimuth, energy (GeV), time (ns).
truth = simulation.analytic_model(detector)
ranges = np.array([[-300, 300], [-300, 300], [-300, 300], [0, np.pi], [0, 2 * np.pi], [1e3, 1e4], [9500, 10500]])
hypotheses = simulation.draw_hypotheses(rng, truth.parameters, ranges, num_events)
events = simulation.EventSampler(truth, readout).events(hypotheses, jax.random.key(1))
trafo = data.fit_trafo([hypotheses], truth.parameter_names, log=[p.log for p in truth.parameters])

# A network that gives, for every DOM, an expected charge and a mixture of five arrival-time distributions. The records have
# the names and keys of configurations.
positive, elu = decoders.EluValueRange(offset=1.0, min_value=1e-4), decoders.EluValueRange
gauss = decoders.AsymmetricGaussianDecoder(
    value_range_mapping={"sigma": elu(offset=-2.0, min_value=0.002), "r": positive}
)
gamma = decoders.GammaFunctionDecoder(value_range_mapping={"alpha": positive, "beta": elu(offset=10.0)})
copies = {"gauss": ("gauss", 3, 1.0), "gamma": ("gamma", 2, 1.0)}
times = decoders.MixtureModel(decoder_mapping=copies, base_decoders={"gauss": gauss, "gamma": gamma})
charges = decoders.NegativeBinomialDecoder(value_range_mapping={"alpha": elu(offset=-5.0, min_value=1e-4)})
cascade = sources.DefaultCascadeModel(
    num_filters_list=(30, 50, 50, 20),
    method_list="convolution",
    add_dom_coordinates=True,
    add_log_distance=True,
    scale_charge_by_diffusion=True,
    opening_angle_as_cosine=True,
    decoder_settings=times,
    decoder_charge_settings=charges,
)
noise = sources.DefaultNoiseModel(decoder_charge_settings=decoders.PoissonDecoder())
bases = {"cascade": cascade, "noise": noise}
source = sources.IndependentMultiSource(sources={k: k for k in bases}, multi_source_bases=bases).build(trafo)
detector = jax.tree.map(jax.numpy.asarray, detector)
model = eg.Model(source, source.init_variables(jax.random.key(2), detector), trafo, detector)

rate = optax.join_schedules([optax.linear_schedule(1e-3, 1e-2, 50), optax.cosine_decay_schedule(1e-2, steps)], [50])
optimizer = optax.chain(optax.clip_by_global_norm(1e3), optax.adam(rate))
step, state = jax.jit(training.make_train_step(model, optimizer)), training.init_state(model.variables, optimizer)
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

directory = sys.argv[3] if len(sys.argv) > 3 else f"{tempfile.mkdtemp()}/cascade"
loaded = eg.load_model(eg.save_model(model, directory))
before, after = (eg.log_likelihood(m, hypotheses[-1], events[-1]) for m in (model, loaded))
print(f"saved in {directory}; log-likelihood of the last event before {before} and after {after}")
