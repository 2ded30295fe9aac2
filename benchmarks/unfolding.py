"""Unfolds the energies of N segments of simulated muon tracks: time, total energy, place of the largest loss.

    python benchmarks/unfolding.py [--events E] [--segments N]

Events and light are those of the analytic sources in IceCube-86: tracks of 1 km through the middle of the detector,
stochastic losses of a muon of 30 TeV to 1 PeV, noise.
"""

import argparse

import jax
import numpy as np
from common import machine, peak_memory, print_head, print_row

from evgen_jax.building.analytic import analytic_model
from evgen_jax.config.records import ModelSettings
from evgen_jax.hypothesis.parameters import loss_parameters, standard_parameters
from evgen_jax.measurement.detector import load_detector
from evgen_jax.reconstruction.unfolding import unfold_energies
from evgen_jax.simulation.draw import draw_hypotheses
from evgen_jax.simulation.events import EventSampler

READOUT = (0.0, 20000.0)
LENGTH = 1000.0


def track_model(segments: int):
    track = ModelSettings(
        model_class="FiniteTrackMultiCascadeModel",
        config={"num_segments": segments},
        multi_source_bases={"cascade": ModelSettings(model_class="AnalyticCascadeModel")},
    )
    return analytic_model(
        load_detector(),
        ModelSettings(
            model_class="IndependentMultiSource",
            config={"sources": {"track": "track", "noise": "noise"}},
            multi_source_bases={"track": track, "noise": ModelSettings(model_class="AnalyticNoiseModel")},
        ),
    )


def simulate(rng: np.random.Generator, seed: int):
    """One event: its geometry [7] and losses [M] in M segments of 10 m, simulated from those that are not dark."""
    parameters = (*standard_parameters(["entry_energy"]), *loss_parameters(int(LENGTH / 10)))
    ranges = np.array([[3e4, 1e6], *[[1.0, 1.0]] * (len(parameters) - 1)])
    losses = draw_hypotheses(rng, parameters, ranges, 1, segment_length=10.0)[0, 1:]
    zenith, azimuth = np.arccos(rng.uniform(-0.7, 0.7)), rng.uniform(0, 2 * np.pi)
    flight = -np.array([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)])
    start = np.array([rng.uniform(-100, 100), rng.uniform(-100, 100), rng.uniform(-250, 250)]) - LENGTH / 2 * flight
    geometry = np.array([*start, zenith, azimuth, 9000.0, LENGTH])
    model = track_model(len(losses))
    (event,) = EventSampler(model, READOUT, batch=1).events(np.array([[*geometry, *losses]]), jax.random.key(seed))
    return geometry, losses, event


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=4)
    parser.add_argument("--segments", type=int, default=1000)
    arguments = parser.parse_args()
    print(machine())
    print_head("true energy (GeV)", "unfolded / true", "largest share", "off by (10 m segments)", "pulses", "time (s)")
    rng = np.random.default_rng(3)
    model = track_model(arguments.segments)
    for number in range(arguments.events):
        geometry, losses, event = simulate(rng, number)
        start = np.array([*geometry, *np.full(arguments.segments, losses.sum() / arguments.segments)])
        result = unfold_energies(model, start, event)
        # The unfolded segments that make one simulated segment together.
        coarse = result.energies.reshape(len(losses), -1).sum(axis=1)
        off = int(np.argmax(coarse)) - int(np.argmax(losses))
        true, ratio, share = losses.sum(), result.energies.sum() / losses.sum(), losses.max() / losses.sum()
        found = f"{true:.3g}", f"{ratio:.3f}", f"{share:.2f}"
        print_row(*found, off, int(event.pulses.mask.sum()), f"{result.runtime:.1f}")
    print(f"\npeak memory of the process: {peak_memory():.2f} GB")


if __name__ == "__main__":
    main()
