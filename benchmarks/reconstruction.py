"""How well and how fast simulated cascades are fitted: minima found, time per fit, time per pixel of a sky map.

    python benchmarks/reconstruction.py true|MODEL [minimum] [speed] [sky] [--array icecube86|small|small_water|FILE.csv] [--events N]
        [--starts S] [--energies LOW HIGH]

Events are those of the analytic cascade with noise. MODEL is an exported model trained on such events
(`python experiments/likelihood_gaps.py DIR cascade_mixture`), the word true the likelihood that they are drawn from.
"""

import argparse
import time

import numpy as np
from common import machine, print_head, print_row
from simulated_events import cascades, draw, load, smeared

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.reconstruction.fit.batching import grouped_by_shape
from evgen_jax.reconstruction.fit.fit import make_fitter
from evgen_jax.reconstruction.starts.directions import fit_without_seeds, refit_directions
from evgen_jax.reconstruction.uncertainty.sky_map import make_sky_map

PULSE_WIDTH, PULSE_GROWTH = 1.0, 0.1
"""Pulses of a DOM closer than this (ns), and a share of the time since its first, are merged where minima are compared."""
EQUAL = 0.1
"""Log-likelihoods that differ by less belong to one minimum."""
WAYS = ("one smeared seed", "and other directions", "from the truth", "without seed")
NEAR = 15
"""Log-likelihood below the best fit down to which pixels of a sky map are compared."""
BLOCK = 24
"""Events after which the shares so far are printed."""


def simulate(
    model: eg.Model, count: int, energies: tuple[float, float], seed: int
) -> tuple[list[eg.Event], np.ndarray]:
    truth = cascades(np.random.default_rng(seed), count, energies, model.detector)
    return draw(analytic_model(model.detector), truth, seed)


def minimum(model: eg.Model, count: int, starts: int, energies: tuple[float, float]) -> None:
    fit = make_fitter(model, covariance=False)
    events, truth = simulate(model, count, energies, seed=1)
    pulses = [int(e.pulses.mask.sum()) for e in events]
    # A PeV means some hundred thousand pulses; merged ones have as many minima for a fraction of the time.
    events = [merge_pulses(e, PULSE_WIDTH, PULSE_GROWTH) for e in events]
    merged = [int(e.pulses.mask.sum()) for e in events]
    print_head("pulses of an event", "median", "most")
    print_row("as drawn", f"{np.median(pulses):.0f}", max(pulses))
    within = f"merged within {PULSE_WIDTH:g} ns and {100 * PULSE_GROWTH:g} % of the delay"
    print_row(within, f"{np.median(merged):.0f}", max(merged))
    print(
        f"\nShare within {EQUAL:g} of the best known log-likelihood: the best of {starts} smeared seeds, the truth and all others.\n"
    )
    print_head("events", *WAYS, "seconds per event of each")
    many = smeared(model, truth, starts)
    missed, seconds = np.zeros((0, 4)), np.zeros(4)
    for first in range(0, len(events), BLOCK):
        own = slice(first, first + BLOCK)
        one, spent_one = timed(fit, events[own], many[own, 0])
        other, spent_other = timed(refit_directions, fit, events[own], one)
        true, spent_true = timed(fit, events[own], truth[own])
        seedless, spent_seedless = timed(fit_without_seeds, fit, events[own])
        found = np.array([[f.log_likelihood for f in fits] for fits in (one, other, true, seedless)]).T
        known = np.nanmax(found, axis=1)
        rest = fit(events[own], many[own, 1:], known)
        known = np.fmax(known, [f.log_likelihood for f in rest])
        missed = np.vstack([missed, known[:, None] - np.nan_to_num(found, nan=-np.inf)])
        seconds += [spent_one, spent_other, spent_true, spent_seedless]
        shares = [f"{100 * share:.1f} %" for share in np.mean(missed < EQUAL, axis=0)]
        print_row(len(missed), *shares, ", ".join(f"{s / len(missed):.2f}" for s in seconds))
    print()
    print_head("fits", "worst events: below the best known by")
    for name, own_missed in zip(WAYS, missed.T, strict=True):
        worst = np.sort(own_missed)[::-1][: max(len(missed) // 10, 5)]
        print_row(name, ", ".join(f"{w:.3g}" for w in worst))
    print()


def timed(function, *arguments):
    """What a function returns, and the seconds that it took."""
    begin = time.perf_counter()
    out = function(*arguments)
    return out, time.perf_counter() - begin


def speed(model: eg.Model, energies: tuple[float, float]) -> None:
    fit = make_fitter(model, covariance=True)
    events, truth = simulate(model, 128, energies, seed=9)
    shape, places = max(grouped_by_shape(events).items(), key=lambda item: len(item[1]))
    own = places[:64]
    seeds = smeared(model, truth, 1)[:, 0]
    begin = time.perf_counter()
    fit([events[i] for i in own], seeds[own])
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    results = fit([events[i] for i in own], seeds[own])
    warm = time.perf_counter() - begin
    evaluations = np.array([r.diagnostics.evaluations for r in results])
    converged = np.array([r.diagnostics.converged for r in results])
    print_head(
        "events", "padded to pulses", "seconds per event, with covariance", "first call longer by (s)", "evaluations, median",
        "at most", "converged",
    )  # fmt: skip
    share = f"{100 * np.mean(converged):.0f} %"
    cells = f"{warm / len(own):.2f}", f"{first - warm:.0f}", f"{np.median(evaluations):.0f}", evaluations.max(), share
    print_row(len(own), shape[0], *cells)
    print()


def sky(model: eg.Model, energies: tuple[float, float]) -> None:
    events, truth = simulate(model, 4, energies, seed=12)
    (best,) = make_fitter(model, covariance=False)(events[:1], truth[:1])
    make = make_sky_map(model)
    begin = time.perf_counter()
    make(events[0], best.hypothesis)
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    found = make(events[0], best.hypothesis)
    seconds = time.perf_counter() - begin
    fitted = 192 + 4 * (len(found.order) - 192) // 3
    area = [f"{found.contour_area(0.9, *kind):.0f}" for kind in ((), ("posterior",))]
    print_head(
        "pulses", "pixels", "fits", "largest nside", "seconds", "first map longer by (s)", "90 % contour (square degrees), Wilks",
        "posterior",
    )  # fmt: skip
    cells = len(found.order), fitted, 2 ** found.order.max(), f"{seconds:.1f}", f"{first - seconds:.0f}"
    print_row(int(events[0].pulses.mask.sum()), *cells, *area)
    print()
    # Some pixels one by one with SciPy, each from the best fit: those that contours are made of, for far ones have many minima.
    near = np.flatnonzero(found.log_likelihood > best.log_likelihood - NEAR)
    held = {p.name: False for p in model.parameters if p.role in ("zenith", "azimuth")}
    scipy_fit = make_fitter(
        model,
        eg.FitSettings(free=held, method="BFGS", optimizer_settings={"options": {"gtol": 1e-2}}),
        covariance=False,
    )
    chosen = np.random.default_rng(0).choice(near, 12, replace=False)
    starts = np.tile(best.hypothesis, (13, 1))
    starts[:12, 3:5] = found.hypothesis[chosen, 3:5]
    scipy_fit(events[:1], starts[12:])
    begin = time.perf_counter()
    single = [scipy_fit(events[:1], s[None])[0] for s in starts[:12]]
    each = (time.perf_counter() - begin) / 12
    worse = np.max(np.array([f.log_likelihood for f in single]) - found.log_likelihood[chosen])
    evaluations = np.mean([f.diagnostics.evaluations for f in single])
    print_head("fits of pixels", "evaluations of each", "ms of each")
    print_row("of the map", f"{found.evaluations / fitted:.1f}", f"{1e3 * seconds / fitted:.1f}")
    print_row("SciPy, one by one", f"{evaluations:.0f}", f"{1e3 * each:.1f}")
    print(
        f"\nThe map is at most {worse:.3f} below SciPy's log-likelihoods of 12 pixels within {NEAR} of the best fit.\n",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("studies", nargs="*", default=["minimum", "speed", "sky"])
    parser.add_argument("--array", default="icecube86")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--energies", type=float, nargs=2, default=(1e3, 1e4))
    arguments = parser.parse_args()
    model = load(arguments.model, arguments.array)
    print(machine())
    for study in arguments.studies:
        if study == "minimum":
            minimum(model, arguments.events, arguments.starts, arguments.energies)
        else:
            {"speed": speed, "sky": sky}[study](model, arguments.energies)


if __name__ == "__main__":
    main()
