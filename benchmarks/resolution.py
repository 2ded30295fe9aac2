"""Errors of fits with the true likelihood against the Cramer-Rao bound, by energy: a table and a figure.

    python benchmarks/resolution.py [--array icecube86|small|FILE.csv] [--events N] [--energies LOW HIGH] [--figure FILE]

Fisher information at each truth: the mean over events drawn there of the summed squared gradients of the loss terms (times
of pulses given their number, charges of DOMs), whose cross terms vanish on average. Fits are of pulses merged within 1 ns,
from the truth and then from other directions. No Gaussian error in direction is wider than the sphere: where the bound is wide,
the likelihood is not a parabola there and the bound does not hold, so directions are compared where it is narrow.
"""

import argparse
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np
from common import machine
from toy_events import cascades, draw, load, plane_offsets

import evgen_jax as eg
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.model.log_likelihood import loss_parts
from evgen_jax.reconstruction.fit.batching import batches
from evgen_jax.reconstruction.fit.covariance import make_score_products
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.fit.lanes import each_lane
from evgen_jax.reconstruction.starts.directions import refit_directions

DRAWS, ENOUGH = (2, 12), 20_000
"""Events per truth for its Fisher information: as many as have `ENOUGH` pulses together, within these limits."""
BINS = 4
PULSE_WIDTH = 1.0
"""ns, see `merge_pulses`: events of 100 TeV have some hundred thousand pulses."""
NARROW = 20.0
"""Degrees, root mean square: bounds of the direction up to here are compared."""
QUANTITIES = ("vertex (m)", "direction (deg)", "abs ln(E/E_true)")


@partial(jax.jit, static_argnums=(0, 1))
def _score_products(terms, coordinates, *lanes):
    return each_lane(make_score_products(terms, coordinates), *lanes)


def bounds(model: eg.Model, truth: np.ndarray, pulses: np.ndarray, evaluator) -> np.ndarray:
    """Smallest covariances [E, n, n] of x, y, z, ln(1 + E), time, and the two angles of the tangent plane.

    `pulses` [E]: how many an event of each truth has.
    """
    coordinates = evaluator.coordinates
    draws = np.clip(ENOUGH // pulses, *DRAWS)
    owner = np.repeat(np.arange(len(truth)), draws)
    events, _ = draw(model, truth[owner], 77, least=0)
    total = np.zeros((len(truth), coordinates.size, coordinates.size))
    for own, batch in batches(events):
        anchors = truth[owner[own]]
        lanes = (np.arange(len(own)), evaluator.start(anchors), anchors)
        np.add.at(total, owner[own], evaluator.run(_score_products, loss_parts, batch, *lanes))
    information = total / draws[:, None, None]
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
    fit = make_fitter(model, covariance=False)
    events, truth = draw(model, truth, 21)
    pulses = np.array([e.pulses.mask.sum() for e in events])
    merged = [merge_pulses(e, PULSE_WIDTH) for e in events]
    fitted = np.stack([r.hypothesis for r in refit_directions(fit, merged, fit(merged, truth))])
    print(f"{len(events)} of {arguments.events} events with 8 pulses at least", flush=True)
    error = sizes(plane_offsets(fitted, truth))
    # Errors that an estimator at the bound would have, 200 for each truth.
    covariance = bounds(model, truth, pulses, fit.evaluator)
    narrow = np.degrees(np.sqrt(np.trace(covariance[:, 5:, 5:], axis1=1, axis2=2))) < NARROW
    compared = (np.ones_like(narrow), narrow, np.ones_like(narrow))
    width = np.linalg.cholesky(covariance)
    normal = np.random.default_rng(0).normal(size=(200, *width.shape[:2]))
    best = np.einsum("eij,kej->kei", width, normal)[..., [0, 1, 2, 5, 6, 3, 4]]
    best = sizes(best)
    edges = np.geomspace(*arguments.energies, BINS + 1)
    rows = []
    print(
        "| energy (GeV) | events | with a narrow bound | "
        + " | ".join(f"{q}: median | bound | ratio" for q in QUANTITIES)
        + " |"
    )
    print("|" + "---|" * 12)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        own = (truth[:, 5] >= low) & (truth[:, 5] < high)
        here, there = np.empty(3), np.empty(3)
        for k, shown in enumerate(compared):
            here[k], there[k] = np.median(error[own & shown, k]), np.median(best[:, own & shown, k])
        rows.append((here, there))
        cells = [f"{a:.3g} | {b:.3g} | {a / b:.2f}" for a, b in zip(here, there, strict=True)]
        print(
            f"| {low:.3g} to {high:.3g} | {own.sum()} | {(own & narrow).sum()} | " + " | ".join(cells) + " |",
            flush=True,
        )
    if arguments.figure:
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.5))
        middle = np.sqrt(edges[:-1] * edges[1:])
        for k, axis in enumerate(axes):
            axis.loglog(truth[compared[k], 5], error[compared[k], k], ".", color="0.75", markersize=3, label="fits")
            axis.loglog(middle, [r[0][k] for r in rows], "o-", label="median")
            axis.loglog(middle, [r[1][k] for r in rows], "s--", label="Cramér-Rao bound")
            axis.set(xlabel="energy (GeV)", ylabel=QUANTITIES[k])
            axis.grid(alpha=0.3)
        axes[0].legend()
        figure.tight_layout()
        figure.savefig(arguments.figure, dpi=120)


if __name__ == "__main__":
    main()
