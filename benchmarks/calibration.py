"""Do uncertainties cover? Pulls, contours on the sky and ranks of posterior samples, over events drawn from the model itself.

    python benchmarks/calibration.py true|MODEL [pulls] [contours] [maps] [ranks] [--array small|icecube86|FILE.csv] [--events N]
        [--energies LOW HIGH] [--merge NS] [--workers N]

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
from common import machine
from scipy import stats
from toy_events import NAMES, cascades, draw, load, plane_offsets

import evgen_jax as eg
from evgen_jax.hypothesis.joint_prior import make_prior, prior_limits
from evgen_jax.hypothesis.parameters import DIRECTION
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.uncertainty.posterior import make_posterior_sampler
from evgen_jax.reconstruction.uncertainty.sky_map import make_sky_map

BINS = 10
RANKS = 99
"""Posterior samples that a truth is ranked among."""


def pulls(model: eg.Model, events: list[eg.Event], truth: np.ndarray) -> None:
    results = make_fitter(model, covariance=True)(events, truth)
    fine = np.array([not r.failed and r.covariance is not None and not r.covariance.repaired for r in results])
    kept = [r for r, f in zip(results, fine, strict=True) if f]
    fitted = np.stack([r.hypothesis for r in kept])
    offsets = plane_offsets(fitted, truth[fine])
    gained = 2 * np.array([r.log_likelihood - r.log_likelihood_seed for r in kept])
    print(
        f"{fine.sum()} events ({len(events) - fine.sum()} left out: no positive Hessian); 2 (fit - truth) in "
        f"log-likelihood: mean {gained.mean():.2f}, expected 7; gradient norm below 1e-2 in "
        f"{100 * np.mean([r.diagnostics.gradient_norm < 1e-2 for r in results]):.0f} %. Standard deviation of pulls (half "
        "width of the central 68 %):"
    )
    print("| errors | " + " | ".join(NAMES) + " |\n|" + "---|" * 8)
    for name in ("physical", "physical_sandwich"):
        width = np.sqrt(np.stack([np.diag(getattr(r.covariance, name)) for r in kept]))
        width[:, 4] *= np.sin(fitted[:, 3])
        values = offsets / width
        low, high = np.nanquantile(values, [0.1587, 0.8413], axis=0)
        cells = [f"{np.nanstd(v):.2f} ({w:.2f})" for v, w in zip(values.T, (high - low) / 2, strict=True)]
        print(f"| {'Hessian' if name == 'physical' else 'sandwich'} | " + " | ".join(cells) + " |", flush=True)


def contours(model: eg.Model, events: list[eg.Event], truth: np.ndarray) -> None:
    """Wilks' level of the true direction, everything else fitted: what a map would give there, without its pixels."""
    free = make_fitter(model, covariance=False)(events, truth)
    directions_held = eg.FitSettings(free={p.name: False for p in model.parameters if p.role in DIRECTION})
    held = make_fitter(model, directions_held, covariance=False)(events, truth)
    delta = np.array([2 * (f.log_likelihood - h.log_likelihood) for f, h in zip(free, held, strict=True)])
    level = stats.chi2.cdf(np.maximum(delta, 0), 2)
    print(
        f"{len(events)} events, direction by Wilks' theorem: the 50 % contour holds {100 * np.mean(level <= 0.5):.1f} %, the "
        f"90 % contour {100 * np.mean(level <= 0.9):.1f} % of the truths",
        flush=True,
    )


def maps(model: eg.Model, events: list[eg.Event], truth: np.ndarray) -> None:
    make, levels, seconds = make_sky_map(model), [], []
    for event, true, fit in zip(events, truth, make_fitter(model, covariance=False)(events, truth), strict=True):
        begin = time.perf_counter()
        found = make(event, fit.hypothesis)
        seconds.append(time.perf_counter() - begin)
        pixel = found.at(true[3], true[4])
        levels.append([found.level("wilks")[pixel], found.level("posterior")[pixel]])
    for name, level in zip(("Wilks", "posterior"), np.array(levels).T, strict=True):
        print(
            f"{len(events)} maps ({np.median(seconds):.1f} s each), {name}: the 50 % contour holds "
            f"{100 * np.mean(level <= 0.5):.1f} %, the 90 % contour {100 * np.mean(level <= 0.9):.1f} % of the truths",
            flush=True,
        )


def sampled(name: str, array: str, count: int, energies: tuple[float, float], own: slice) -> np.ndarray:
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
        num_samples=500,
    )
    # All truths of the prior count, the dim ones too.
    events, truth = draw(model, truth, 8, least=1)
    events, truth, rows = events[own], truth[own], []
    for number, event, true, fit in zip(
        range(count)[own], events, truth, make_fitter(model, covariance=False)(events, truth), strict=False
    ):
        posterior = sample(event, fit.hypothesis, jax.random.key(number))
        chosen = posterior.samples[np.linspace(0, len(posterior.samples) - 1, RANKS).astype(int)]
        worst = [posterior.r_hat.max(), posterior.effective_samples.min(), posterior.divergences]
        rows.append([*np.sum(chosen < true, axis=0), *worst])
    return np.array(rows)


def ranks(name: str, array: str, count: int, energies: tuple[float, float], workers: int) -> None:
    """Simulation-based calibration (Talts et al., arXiv:1804.06788): truths from the prior rank uniformly among samples."""
    cores, begin = sorted(os.sched_getaffinity(0)), time.perf_counter()
    context = multiprocessing.get_context("spawn")
    free = context.Queue()
    for i in range(workers):
        free.put({cores[i % len(cores)]} if workers > 1 else set(cores))
    with ProcessPoolExecutor(workers, context, stay_on, (free,)) as pool:
        parts = [slice(first, None, workers) for first in range(workers)]
        rows = np.concatenate(list(pool.map(partial(sampled, name, array, count, energies), parts)))
    seconds = (time.perf_counter() - begin) * workers / len(rows)
    tables = [np.bincount(r.astype(int) * BINS // (RANKS + 1), minlength=BINS) for r in rows[:, :7].T]
    r_hat, effective, divergent = rows[:, 7:].T
    print(
        f"{len(rows)} of {count} truths give a pulse; NUTS {seconds:.1f} s per event and process, R-hat below 1.05 in "
        f"{100 * np.mean(r_hat < 1.05):.0f} %, effective samples median {np.median(effective):.0f}, "
        f"{divergent.sum():.0f} divergences; chi-square p of the ranks in {BINS} bins:"
    )
    print("| " + " | ".join(NAMES) + " |\n|" + "---|" * 7)
    print("| " + " | ".join(f"{stats.chisquare(t).pvalue:.2f}" for t in tables) + " |", flush=True)
    for parameter, table in zip(NAMES, tables, strict=True):
        print(f"{parameter}: {' '.join(map(str, table))}", flush=True)


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
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    model = load(arguments.model, arguments.array)
    print(machine())
    truth = cascades(np.random.default_rng(5), arguments.events, arguments.energies, model.detector)
    for study in arguments.studies:
        if study == "ranks":
            ranks(arguments.model, arguments.array, arguments.events, arguments.energies, arguments.workers)
        else:
            events, kept = draw(model, truth, 5)
            events = [merge_pulses(e, arguments.merge) for e in events]
            {"pulls": pulls, "contours": contours, "maps": maps}[study](model, events, kept)


if __name__ == "__main__":
    main()
