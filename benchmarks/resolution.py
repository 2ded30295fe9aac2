"""Errors of fits with the true likelihood beside their Cramer-Rao bound, by energy: a table and a figure.

    python benchmarks/resolution.py [--array icecube86|small|water|small_water|FILE.csv] [--events N] [--fits N] [--energies GEV ...]
        [--figure FILE]

Contained cascades, the same vertices and directions at every energy. Bounds are the inverse of the Fisher information at each
truth (`evgen_jax.simulation.fisher_information`). The bound of a direction is stated as the median over the events of the median
angle of an estimator that reaches it, with the central 68 % of the events. Fits are of pulses merged within 1 ns, with the default
options, from the truth and from seeds smeared by 30 m, 30 degrees and 0.5 in ln E (in water from other directions, too).
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import jax
import matplotlib.pyplot as plt
import numpy as np
from common import machine, print_head, print_row
from simulated_events import READOUT, cascades, draw, load, smeared

import evgen_jax as eg
from evgen_jax.config.records import ReconstructionSettings
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.run.file_fit import fit_as_configured
from evgen_jax.report.recovery import bound_errors, cascade_errors
from evgen_jax.simulation import fisher_information

PULSE_WIDTH = 1.0
"""ns, see `merge_pulses`: events of 100 TeV have some hundred thousand pulses."""
EQUAL = 0.1
"""Log-likelihoods that differ by less belong to one minimum."""
TRANSPORT = {1e3: 18.6, 3e3: 10.6, 1e4: 5.7, 3e4: 3.4, 1e5: 1.8}
"""Bound of the direction in degrees by energy (GeV), IceCube-86, of a photon Monte Carlo and code that share nothing with these."""
QUANTITIES = {"vertex": "vertex (m)", "direction": "direction (deg)", "log_energy": "abs ln(E/E_true)"}


class Study(NamedTuple):
    """Errors at one energy by quantity: of fits [E] from smeared seeds and from the truth, at the bound [E, draws]."""

    energy: float
    smeared: dict[str, np.ndarray]
    true: dict[str, np.ndarray]
    bound: dict[str, np.ndarray]


def bounds(model: eg.Model, truth: np.ndarray, number: int) -> dict[str, np.ndarray]:
    """Errors [E, draws] at the bound by quantity."""
    information = fisher_information(model, truth, READOUT, jax.random.key(number))
    errors = bound_errors(information, truth, model.parameters)
    return {name: getattr(errors, name).reshape(len(truth), -1) for name in QUANTITIES}


def fit_events(model: eg.Model, truth: np.ndarray, number: int) -> tuple[list[dict[str, np.ndarray]], float]:
    """Errors [E] by quantity of fits from smeared seeds and from the truth; share of seeds that end in the deeper minimum."""
    events, truth = draw(model, truth, 21 + number, least=0)
    events = [merge_pulses(event, PULSE_WIDTH) for event in events]
    fit, near = make_fitter(model, covariance=False), smeared(model, truth, 1)[:, 0]
    fits = [
        fit_as_configured(fit, events, near[:, None], ReconstructionSettings(seed="SmearedSeed")),
        fit(events, truth),
    ]
    errors = [cascade_errors(np.stack([f.hypothesis for f in own]), truth, model.parameters) for own in fits]
    value = np.array([[f.log_likelihood for f in own] for own in fits])
    deepest = float(np.mean(value[0] > value.max(axis=0) - EQUAL))
    return [{name: getattr(own, name) for name in QUANTITIES} for own in errors], deepest


def draw_figure(path: Path, studies: list[Study]) -> None:
    """Medians of fits and bounds by energy, single events behind them."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
    energies = [own.energy / 1e3 for own in studies]
    for axis, (name, label) in zip(axes, QUANTITIES.items(), strict=True):
        for energy, own in zip(energies, studies, strict=True):
            axis.loglog(np.full(len(own.true[name]), energy), own.smeared[name], ".", color="0.8", markersize=3)
        axis.loglog(
            energies, [np.median(s.smeared[name]) for s in studies], "o-", color="#d55e00", label="smeared seeds"
        )
        axis.loglog(energies, [np.median(s.true[name]) for s in studies], "^:", color="#0072b2", label="from the truth")
        axis.loglog(energies, [np.median(s.bound[name]) for s in studies], "s--", color="black", label="bound")
        axis.set(xlabel="energy (TeV)", ylabel=label)
        axis.set_xticks(energies, labels=[f"{energy:g}" for energy in energies])
        axis.set_xticks([], minor=True)
        axis.grid(alpha=0.3)
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--array", default="icecube86")
    parser.add_argument("--events", type=int, default=200, help="of every energy, whose bounds are computed")
    parser.add_argument(
        "--fits", type=int, default=40, help="of every energy: the first of these events, which are fitted"
    )
    parser.add_argument("--energies", type=float, nargs="+", default=list(TRANSPORT), help="GeV")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    model, studies = load("true", given.array), []
    truth = cascades(np.random.default_rng(21), given.events, (1e3, 1e4), model.detector)
    at = [np.insert(np.delete(truth, 5, axis=1), 5, energy, axis=1) for energy in given.energies]
    known = TRANSPORT if given.array == "icecube86" else {}
    print(machine())
    print_head(
        "energy (TeV)",
        "events",
        "bound of the direction (deg)",
        "16 to 84 % of the events",
        "independent code",
        "ratio",
    )
    found = []
    for number, (energy, own) in enumerate(zip(given.energies, at, strict=True)):
        found.append(bounds(model, own, number))
        low, middle, high = np.quantile(np.median(found[-1]["direction"], axis=1), [0.16, 0.5, 0.84])
        beside = (known[energy], f"{middle / known[energy]:.2f}") if energy in known else ("", "")
        print_row(f"{energy / 1e3:g}", len(own), f"{middle:.3g}", f"{low:.3g} to {high:.3g}", *beside)
    fitted = min(given.fits, given.events)
    print(
        f"\nMedian errors of fits of {fitted} events at each energy; *ratio* is to the median of the bound of these events.\n"
    )
    print_head(
        "energy (TeV)", "quantity", "smeared seeds", "ratio", "from the truth", "ratio", "bound", "seeds that end in the deeper minimum"
    )  # fmt: skip
    for number, (energy, own, bound) in enumerate(zip(given.energies, at, found, strict=True)):
        (near, true), deepest = fit_events(model, own[: given.fits], number)
        bound = {name: errors[: given.fits] for name, errors in bound.items()}
        studies.append(Study(energy, near, true, bound))
        for name, label in QUANTITIES.items():
            some, best, least = (float(np.median(errors[name])) for errors in (near, true, bound))
            cells = f"{some:.3g}", f"{some / least:.2f}", f"{best:.3g}", f"{best / least:.2f}", f"{least:.3g}"
            print_row(f"{energy / 1e3:g}", label, *cells, f"{100 * deepest:.0f} %")
    if given.figure:
        draw_figure(given.figure, studies)


if __name__ == "__main__":
    main()
