"""How well and how fast toy cascades are fitted: minima found, speed, coverage, sky maps.

    python benchmarks/reconstruction.py MODEL [minimum] [coverage] [speed] [sky] [--events N] [--starts S] [--max-energy GEV]

Events are those of the analytic cascade with noise within 300 m of the middle of IceCube-86, 1 TeV to --max-energy. MODEL is
an exported model trained on such events (`python experiments/likelihood_gaps.py DIR cascade_mixture`), or the word true for
the likelihood that they are drawn from, whose uncertainties should cover.
"""

import argparse
import time

import jax
import numpy as np
from common import machine

import evgen_jax as eg
from evgen_jax.analytic_model import analytic_model
from evgen_jax.hypotheses import draw_hypotheses
from evgen_jax.packing import build_event
from evgen_jax.reconstruction.evaluator import grouped_by_shape
from evgen_jax.reconstruction.fit import Fitter, make_fitter
from evgen_jax.reconstruction.seeds import smear
from evgen_jax.reconstruction.sky_map import make_sky_map
from evgen_jax.reconstruction.sphere import unit_vectors
from evgen_jax.reconstruction.starts import fit_without_seeds
from evgen_jax.simulation import EventSampler

READOUT = (0.0, 20000.0)
SPREADS = {"x": 30.0, "y": 30.0, "z": 30.0, "zenith": np.radians(30), "energy": 0.5, "time": 100.0}


def simulate(detector: eg.Detector, count: int, max_energy: float, seed: int = 1) -> tuple[list[eg.Event], np.ndarray]:
    """Events with at least eight pulses, and their hypotheses."""
    model = analytic_model(detector)
    rng = np.random.default_rng(seed)
    side = (-300.0, 300.0)
    ranges = np.array([side, side, side, (0, np.pi), (0, 2 * np.pi), (1e3, max_energy), (9500, 10500)])
    truth = draw_hypotheses(rng, model.parameter_names, ranges, count)
    pulses = EventSampler(model, READOUT)(truth, jax.random.key(seed), False, rng)
    order = np.argsort(pulses["event"], kind="stable")
    ends = np.searchsorted(pulses["event"][order], np.arange(count + 1))
    events = [
        build_event(*(pulses[k][order[a:b]] for k in ("charge", "time", "dom")), num_doms=model.detector.num_doms,
                    readout=READOUT, usable=np.asarray(model.detector.usable))
        for a, b in zip(ends[:-1], ends[1:], strict=True)
    ]  # fmt: skip
    bright = [i for i, e in enumerate(events) if e.pulses.mask.sum() >= 8]
    return [events[i] for i in bright], truth[bright]


def smeared(model: eg.Model, truth: np.ndarray, copies: int, seed: int = 2) -> np.ndarray:
    """[E, copies, H] by 30 m, 30 degrees (rms angle: sqrt 2 times that), 0.5 in ln E, 100 ns."""
    spreads = {n: SPREADS[n.split("_")[-1]] for n in model.parameter_names if n.split("_")[-1] in SPREADS}
    return smear(truth[:, None], model.parameter_names, copies, np.random.default_rng(seed), spreads)[:, 1:]


def minimum(model: eg.Model, fit: Fitter, count: int, starts: int, max_energy: float) -> None:
    events, truth = simulate(model.detector, count, max_energy)
    many = np.concatenate([truth[:, None], smeared(model, truth, starts)], axis=1)
    each = [[f.log_likelihood for f in fit(events, many[:, k])] for k in range(many.shape[1])]
    known = np.nanmax(np.array(each), axis=0)
    single = np.array(each[1])
    seedless = np.array([f.log_likelihood for f in fit_without_seeds(fit, events)])
    best_of_four = np.nanmax(np.array(each[1:5]), axis=0)
    print(f"{len(events)} events, best known of {starts} smeared seeds and the truth; share within 0.1 of it:")
    print("| one smeared seed | best of four | from the truth | without seed |\n|---|---|---|---|")
    shares = [np.mean(v > known - 0.1) for v in (single, best_of_four, np.array(each[0]), seedless)]
    print("| " + " | ".join(f"{100 * s:.1f} %" for s in shares) + " |", flush=True)


def coverage(model: eg.Model, fit: Fitter, count: int, max_energy: float) -> None:
    events, truth = simulate(model.detector, count, max_energy, seed=5)
    results = fit(events, truth)
    fitted = np.stack([r.hypothesis for r in results])
    pulls = {}
    fine = np.array([not r.failed and r.covariance is not None and not r.covariance.repaired for r in results])
    covariance = np.stack([r.covariance.physical for r, f in zip(results, fine, strict=True) if f])
    sandwich = np.stack([r.covariance.physical_sandwich for r, f in zip(results, fine, strict=True) if f])
    difference = fitted[fine] - truth[fine]
    difference[:, 5] = np.log1p(fitted[fine, 5]) - np.log1p(truth[fine, 5])
    # Two angles of the tangent plane at the fit.
    z, a = fitted[fine, 3], fitted[fine, 4]
    south = unit_vectors(z + np.pi / 2, a)
    east = unit_vectors(np.full_like(a, np.pi / 2), a + np.pi / 2)
    true = unit_vectors(truth[fine, 3], truth[fine, 4])
    length = np.arccos(np.clip(np.sum(true * unit_vectors(z, a), axis=1), -1, 1))
    plane = np.stack([np.sum(true * south, axis=1), np.sum(true * east, axis=1)], axis=1)
    plane *= (length / np.maximum(np.linalg.norm(plane, axis=1), 1e-12))[:, None]
    for name, matrix in (("Hessian", covariance), ("sandwich", sandwich)):
        width = np.sqrt(np.diagonal(matrix, axis1=1, axis2=2)).copy()
        pulls[name] = difference / width
        pulls[name][:, 3] = -plane[:, 0] / width[:, 3]
        pulls[name][:, 4] = -plane[:, 1] / (width[:, 4] * np.sin(z))
    print(f"{fine.sum()} events ({len(events) - fine.sum()} left out: no positive Hessian); standard deviation of pulls "
          "(half width of the central 68 % in brackets):")  # fmt: skip
    print("| errors | x | y | z | zenith | azimuth | ln E | time |\n|---|---|---|---|---|---|---|---|")
    for name, values in pulls.items():
        low, high = np.nanquantile(values, [0.1587, 0.8413], axis=0)
        cells = [f"{np.nanstd(v):.2f} ({w:.2f})" for v, w in zip(values.T, (high - low) / 2, strict=True)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def speed(model: eg.Model, fit: Fitter, max_energy: float) -> None:
    events, truth = simulate(model.detector, 128, max_energy, seed=9)
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
    norm = np.array([r.diagnostics.gradient_norm for r in results])
    print(f"{len(own)} events padded to {shape[0]} pulses, with covariance: {warm / len(own):.2f} s per event warm, first "
          f"call {first - warm:.0f} s longer; evaluations median {np.median(evaluations):.0f}, at most {evaluations.max()};"
          f" gradient norm below 1e-2 in {100 * np.mean(norm < 1e-2):.0f} %", flush=True)  # fmt: skip


def sky(model: eg.Model, fit: Fitter, max_energy: float) -> None:
    events, truth = simulate(model.detector, 4, max_energy, seed=12)
    (best,) = fit(events[:1], truth[:1])
    make = make_sky_map(model)
    make(events[0], best.hypothesis)
    begin = time.perf_counter()
    found = make(events[0], best.hypothesis)
    seconds = time.perf_counter() - begin
    fitted = 192 + 4 * (len(found.order) - 192) // 3
    print(f"adaptive map: {len(found.order)} pixels, {fitted} fits, nside 4 to {2 ** found.order.max()}, "
          f"{found.evaluations / fitted:.1f} evaluations each, {seconds:.1f} s, {1e3 * seconds / fitted:.1f} ms per fit; 90 % "
          f"contour {found.contour_area(0.9):.0f} (Wilks), {found.contour_area(0.9, 'posterior'):.0f} square degrees")  # fmt: skip
    # The same pixels one by one with SciPy, each from the best fit.
    held = {n: False for n in model.parameter_names if n.endswith(("zenith", "azimuth"))}
    scipy_fit = make_fitter(model, held, method="BFGS", optimizer_settings={"options": {"gtol": 1e-2}})
    chosen = np.random.default_rng(0).choice(len(found.order), 12, replace=False)
    starts = np.tile(best.hypothesis, (13, 1))
    starts[:12, 3:5] = found.hypothesis[chosen, 3:5]
    scipy_fit(events[:1], starts[12:])
    begin = time.perf_counter()
    single = [scipy_fit(events[:1], s[None])[0].log_likelihood for s in starts[:12]]
    each = (time.perf_counter() - begin) / 12
    worse = np.max(np.array(single) - found.log_likelihood[chosen])
    print(f"SciPy pixel by pixel: {1e3 * each:.1f} ms per fit, ratio {each * fitted / seconds:.1f}; the map is at most "
          f"{worse:.3f} below it", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("studies", nargs="*", default=["minimum", "coverage", "speed", "sky"])
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--max-energy", type=float, default=1e4)
    arguments = parser.parse_args()
    model = analytic_model(eg.load_detector()) if arguments.model == "true" else eg.load_model(arguments.model)
    fit = make_fitter(model, covariance=True)
    print(machine())
    for study in arguments.studies:
        if study == "minimum":
            minimum(model, make_fitter(model), arguments.events, arguments.starts, arguments.max_energy)
        elif study == "coverage":
            coverage(model, fit, arguments.events, arguments.max_energy)
        elif study == "speed":
            speed(model, fit, arguments.max_energy)
        else:
            sky(model, fit, arguments.max_energy)


if __name__ == "__main__":
    main()
