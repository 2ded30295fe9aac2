"""Do uncertainties cover? Pulls, contours on the sky and ranks of posterior samples, over events drawn from the model itself.

    python benchmarks/calibration.py true|MODEL [pulls] [contours] [maps] [ranks] [--array small|icecube86|FILE.csv] [--events N]
        [--energies LOW HIGH] [--merge NS] [--samples N] [--workers N]

The word true is the analytic cascade with noise on an array; MODEL an exported model of the same hypothesis on its own.
With --merge pulses of bright events that follow each other closely count as one, which costs less time. Ranks are shared by
--workers processes of one core each.
"""

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import jax
import numpy as np
from common import machine, print_head, print_row
from scipy import stats
from simulated_events import NAMES, cascades, draw, load

import evgen_jax as eg
from evgen_jax.hypothesis.joint_prior import make_prior, prior_limits
from evgen_jax.hypothesis.parameters import DIRECTION
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.uncertainty.posterior import make_posterior_sampler
from evgen_jax.reconstruction.uncertainty.sky_map import make_sky_map
from evgen_jax.report.pulls import offsets

BINS = 10
RANKS = 99
"""Posterior samples that a truth is ranked among."""
CHAINS, SAMPLES = 2, 300
"""Chains of a posterior, and samples of each: some 100 effective samples suffice for a rank."""
LEAST_WARMUP = 75
"""Steps before the samples, which are half as many: fewer do not adapt a chain."""


def pulls(model: eg.Model, events: list[eg.Event], truth: np.ndarray) -> None:
    results = make_fitter(model, covariance=True)(events, truth)
    fine = np.array([not r.failed and r.covariance is not None and not r.covariance.repaired for r in results])
    kept = [r for r, f in zip(results, fine, strict=True) if f]
    fitted = np.stack([r.hypothesis for r in kept])
    away = offsets(fitted, truth[fine], model.parameters)
    gained = 2 * np.mean([r.log_likelihood - r.log_likelihood_seed for r in kept])
    ended = 100 * np.mean([r.diagnostics.converged for r in results])
    print(
        "Standard deviations of pulls (half widths of the central 68 %); 7 is expected of 2 (fit - truth) in log-likelihood.\n"
    )
    print_head("errors", *NAMES, "events", "no positive Hessian", "2 (fit - truth)", "converged")
    for name in ("physical", "physical_sandwich"):
        width = np.sqrt(np.stack([np.diag(getattr(r.covariance, name)) for r in kept]))
        width[:, 4] *= np.sin(fitted[:, 3])
        values = away / width
        low, high = np.nanquantile(values, [0.1587, 0.8413], axis=0)
        cells = [f"{np.nanstd(v):.2f} ({w:.2f})" for v, w in zip(values.T, (high - low) / 2, strict=True)]
        about = len(kept), len(events) - len(kept), f"{gained:.2f}", f"{ended:.0f} %"
        print_row("Hessian" if name == "physical" else "sandwich", *cells, *about)
    print()


def contours(model: eg.Model, events: list[eg.Event], truth: np.ndarray) -> None:
    """Wilks' level of the true direction, everything else fitted: what a map would give there, without its pixels."""
    free = make_fitter(model, covariance=False)(events, truth)
    directions_held = eg.FitSettings(free={p.name: False for p in model.parameters if p.role in DIRECTION})
    held = make_fitter(model, directions_held, covariance=False)(events, truth)
    delta = np.array([2 * (f.log_likelihood - h.log_likelihood) for f, h in zip(free, held, strict=True)])
    held_contours({"Wilks' theorem, without a map": stats.chi2.cdf(np.maximum(delta, 0), 2)})


def maps(model: eg.Model, events: list[eg.Event], truth: np.ndarray) -> None:
    make, levels, seconds = make_sky_map(model), [], []
    for event, true, fit in zip(events, truth, make_fitter(model, covariance=False)(events, truth), strict=True):
        begin = time.perf_counter()
        found = make(event, fit.hypothesis)
        seconds.append(time.perf_counter() - begin)
        pixel = found.at(true[3], true[4])
        levels.append([found.level("wilks")[pixel], found.level("posterior")[pixel]])
    names = ("maps, Wilks' theorem", "maps, posterior")
    held_contours(dict(zip(names, np.array(levels).T, strict=True)))
    print(f"A map takes {np.median(seconds):.1f} s in the median.\n", flush=True)


def held_contours(levels: dict[str, np.ndarray]) -> None:
    """Prints how many of the true directions contours hold, whose confidence levels [E] are given by the name of the method."""
    print_head("contours of the direction", "events", "50 % holds", "90 % holds")
    for name, level in levels.items():
        print_row(name, len(level), *(f"{100 * np.mean(level <= c):.1f} %" for c in (0.5, 0.9)))
    print()


def sampled(
    name: str, array: str, count: int, energies: tuple[float, float], merge: float, samples: int, own: slice
) -> np.ndarray:
    """One row for each of `own` events of `count`: ranks of the 7 parameters, worst R-hat and effective samples, divergences."""
    model, rng = load(name, array), np.random.default_rng(8)
    middle = np.asarray(model.detector.position, np.float64).mean(axis=0)
    truth = cascades(rng, count, energies, model.detector)
    truth[:, :3] = middle + rng.normal(0, 30, (count, 3))
    truth[:, 6] = rng.normal(1e4, 50, count)
    named = {parameter.role: parameter.name for parameter in model.parameters}
    settings = {
        named[n]: {"distribution": "normal", "mean": float(m), "sigma": s}
        for n, m, s in zip(("x", "y", "z", "time"), (*middle, 1e4), (30.0, 30.0, 30.0, 50.0), strict=True)
    }
    settings |= {
        named["zenith"]: {"distribution": "isotropic"},
        named["energy"]: {"distribution": "power_law", "low": energies[0], "high": energies[1], "index": 1.0},
    }
    sample = make_posterior_sampler(
        model,
        make_prior(model.parameters, settings),
        eg.FitSettings(bounds=prior_limits(model.parameters, settings)),
        num_chains=CHAINS,
        num_samples=samples,
        num_warmup=max(samples // 2, LEAST_WARMUP),
    )
    # All truths of the prior count, the dim ones too.
    events, truth = draw(model, truth, 8, least=1)
    events, truth, rows = [merge_pulses(e, merge) for e in events[own]], truth[own], []
    for number, event, true, fit in zip(
        range(count)[own], events, truth, make_fitter(model, covariance=False)(events, truth), strict=False
    ):
        posterior = sample(event, fit.hypothesis, jax.random.key(number))
        chosen = posterior.samples[np.linspace(0, len(posterior.samples) - 1, RANKS).astype(int)]
        worst = [posterior.r_hat.max(), posterior.effective_samples.min(), posterior.divergences]
        rows.append([*np.sum(chosen < true, axis=0), *worst])
    return np.array(rows)


def ranks(
    name: str, array: str, count: int, energies: tuple[float, float], merge: float, samples: int, workers: int
) -> None:
    """Simulation-based calibration (Talts et al., arXiv:1804.06788): truths from the prior rank uniformly among samples."""
    cores, begin = sorted(os.sched_getaffinity(0)), time.perf_counter()
    context = multiprocessing.get_context("spawn")
    free = context.Queue()
    for i in range(workers):
        free.put({cores[i % len(cores)]} if workers > 1 else set(cores))
    with ProcessPoolExecutor(workers, context, stay_on, (free,)) as pool:
        parts = [slice(first, None, workers) for first in range(workers)]
        rows = np.concatenate(list(pool.map(partial(sampled, name, array, count, energies, merge, samples), parts)))
    seconds = (time.perf_counter() - begin) * workers / len(rows)
    tables = [np.bincount(r.astype(int) * BINS // (RANKS + 1), minlength=BINS) for r in rows[:, :7].T]
    r_hat, effective, divergent = rows[:, 7:].T
    print_head(
        "truths", "that give a pulse", "seconds per event and process", "R-hat below 1.05", "effective samples, median", "divergences"
    )  # fmt: skip
    good = f"{100 * np.mean(r_hat < 1.05):.0f} %"
    print_row(count, len(rows), f"{seconds:.1f}", good, f"{np.median(effective):.0f}", f"{divergent.sum():.0f}")
    print()
    print_head("parameter", "chi-square p of its ranks", f"ranks in {BINS} bins")
    for parameter, table in zip(NAMES, tables, strict=True):
        print_row(parameter, f"{stats.chisquare(table).pvalue:.2g}", " ".join(map(str, table)))
    print()


def stay_on(free: multiprocessing.Queue) -> None:
    """A worker's process keeps to its own core: its programs would start threads for all of them."""
    os.sched_setaffinity(0, free.get())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("studies", nargs="*", default=["pulls", "contours", "maps", "ranks"])
    parser.add_argument("--array", default="small")
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--energies", type=float, nargs=2, default=(200.0, 2e3))
    parser.add_argument("--merge", type=float, default=0.0, help="ns")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of each chain, for ranks")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    model = load(arguments.model, arguments.array)
    print(machine())
    truth = cascades(np.random.default_rng(5), arguments.events, arguments.energies, model.detector)
    for study in arguments.studies:
        if study == "ranks":
            given = (
                arguments.array,
                arguments.events,
                arguments.energies,
                arguments.merge,
                arguments.samples,
                arguments.workers,
            )
            ranks(arguments.model, *given)
        else:
            events, kept = draw(model, truth, 5)
            events = [merge_pulses(e, arguments.merge) for e in events]
            {"pulls": pulls, "contours": contours, "maps": maps}[study](model, events, kept)


if __name__ == "__main__":
    main()
