"""Errors of fits with the true likelihood against the Cramer-Rao bound, by energy: a table and a figure.

    python benchmarks/resolution.py [--array icecube86|small|FILE.csv] [--events N] [--energies LOW HIGH] [--figure FILE]

Fisher information at each truth: the mean over events drawn there of the summed squared gradients of the loss terms (times
of pulses given their number, charges of DOMs), whose cross terms vanish on average. Fits are of pulses merged within 1 ns.
"""

import argparse

import jax
import matplotlib.pyplot as plt
import numpy as np
from common import machine
from toy_events import cascades, draw, load, plane_offsets

import evgen_jax as eg
from evgen_jax.model import make_loss_parts
from evgen_jax.reconstruction.covariance import make_score_products
from evgen_jax.reconstruction.evaluator import batches, each_lane
from evgen_jax.reconstruction.fit import make_fitter
from evgen_jax.reconstruction.merged_pulses import merge_pulses

DRAWS = 12
"""Events per truth for its Fisher information."""
BINS = 4
PULSE_WIDTH = 1.0
"""ns, see `merge_pulses`: events of 100 TeV have some hundred thousand pulses."""
QUANTITIES = ("vertex (m)", "direction (deg)", "abs ln(E/E_true)")


def bounds(model: eg.Model, truth: np.ndarray, evaluator) -> np.ndarray:
    """Smallest covariances [E, n, n] of x, y, z, ln(1 + E), time, and the two angles of the tangent plane."""
    coordinates = evaluator.coordinates
    products = jax.jit(lambda *a: each_lane(make_score_products(make_loss_parts(model), coordinates), *a))
    repeated = np.repeat(truth, DRAWS, axis=0)
    events, kept = draw(model, repeated, 77, least=0)
    total = np.zeros((len(kept), coordinates.size, coordinates.size))
    for own, batch in batches(events):
        anchors = kept[own]
        total[own] = evaluator.run(products, batch, np.arange(len(own)), evaluator.start(anchors), anchors)
    information = total.reshape(len(truth), DRAWS, coordinates.size, coordinates.size).mean(axis=1)
    scale = model.trafo.scale()
    units = np.array([*scale[list(coordinates.scalars)], *[scale[coordinates.directions[0][0]]] * 2])
    return np.linalg.inv(information) * np.outer(units, units)


def sizes(offsets: np.ndarray) -> np.ndarray:
    """Vertex distance, angle in degrees and |ln E| [..., 3] of offsets [..., 7]: x, y, z, two angles, ln E, time."""
    angle = np.minimum(np.linalg.norm(offsets[..., 3:5], axis=-1), np.pi)
    return np.stack([np.linalg.norm(offsets[..., :3], axis=-1), np.degrees(angle), np.abs(offsets[..., 5])], axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--array", default="icecube86")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--energies", type=float, nargs=2, default=(1e3, 1e5))
    parser.add_argument("--figure")
    arguments = parser.parse_args()
    model = load("true", arguments.array)
    print(machine())
    truth = cascades(np.random.default_rng(21), arguments.events, arguments.energies, model.detector)
    fit = make_fitter(model)
    events, truth = draw(model, truth, 21)
    fitted = np.stack([r.hypothesis for r in fit([merge_pulses(e, PULSE_WIDTH) for e in events], truth)])
    print(f"{len(events)} of {arguments.events} events with 8 pulses at least", flush=True)
    error = sizes(plane_offsets(fitted, truth))
    # Errors that an estimator at the bound would have, 200 for each truth.
    width = np.linalg.cholesky(bounds(model, truth, fit.evaluator))
    normal = np.random.default_rng(0).normal(size=(200, *width.shape[:2]))
    best = np.einsum("eij,kej->kei", width, normal)[..., [0, 1, 2, 5, 6, 3, 4]]
    best = sizes(best)
    edges = np.geomspace(*arguments.energies, BINS + 1)
    rows = []
    print("| energy (GeV) | events | " + " | ".join(f"{q}: median | bound | ratio" for q in QUANTITIES) + " |")
    print("|" + "---|" * 11)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        own = (truth[:, 5] >= low) & (truth[:, 5] < high)
        here, there = np.median(error[own], axis=0), np.median(best[:, own].reshape(-1, 3), axis=0)
        rows.append((here, there))
        cells = [f"{a:.3g} | {b:.3g} | {a / b:.2f}" for a, b in zip(here, there, strict=True)]
        print(f"| {low:.3g} to {high:.3g} | {own.sum()} | " + " | ".join(cells) + " |", flush=True)
    if arguments.figure:
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.5))
        middle = np.sqrt(edges[:-1] * edges[1:])
        for k, axis in enumerate(axes):
            axis.loglog(truth[:, 5], error[:, k], ".", color="0.75", markersize=3, label="fits")
            axis.loglog(middle, [r[0][k] for r in rows], "o-", label="median")
            axis.loglog(middle, [r[1][k] for r in rows], "s--", label="Cramér-Rao bound")
            axis.set(xlabel="energy (GeV)", ylabel=QUANTITIES[k])
            axis.grid(alpha=0.3)
        axes[0].legend()
        figure.tight_layout()
        figure.savefig(arguments.figure, dpi=120)


if __name__ == "__main__":
    main()
