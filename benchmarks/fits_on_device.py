"""How long a batch of fits takes, how many programs it starts, and how much of the time the device works.

    python benchmarks/fits_on_device.py [true|MODEL] [--array small|icecube86|FILE.csv] [--events 64] [--covariance]
        [--repeats 5] [--trace DIR]

Fits of simulated cascades of one padded shape from smeared seeds, 64 of them without covariance unless told otherwise. Programs are
counted where the host starts them. With --trace the profile of one more batch is written, for TensorBoard or Perfetto, which
tells what of that time the device works.
"""

import argparse
import time
from contextlib import nullcontext
from unittest import mock

import jax
import numpy as np
from common import machine, print_head, print_row
from reconstruction import simulate
from simulated_events import load, smeared

from evgen_jax.reconstruction.fit import programs
from evgen_jax.reconstruction.fit.batching import grouped_by_shape
from evgen_jax.reconstruction.fit.fit import make_fitter

DRAWN = 3
"""Events drawn per event that is fitted, so that enough of them share a padded shape."""


class Counted:
    """A jitted program that counts its calls."""

    def __init__(self, program):
        self.program, self.calls = program, 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.program(*arguments)


def main() -> None:
    """Fits the batch several times and prints the fastest and the median time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="true")
    parser.add_argument("--array", default="icecube86")
    parser.add_argument("--events", type=int, default=64)
    parser.add_argument("--energies", type=float, nargs=2, default=(1e3, 1e4))
    parser.add_argument("--covariance", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trace", help="directory for the profile of one more batch")
    arguments = parser.parse_args()
    model = load(arguments.model, arguments.array)
    events, truth = simulate(model, DRAWN * arguments.events, arguments.energies, seed=9)
    shape, places = max(grouped_by_shape(events).items(), key=lambda item: len(item[1]))
    own = places[: arguments.events]
    batch, seeds = [events[i] for i in own], smeared(model, truth, 1)[own, 0]
    fit = make_fitter(model, covariance=arguments.covariance)
    begin = time.perf_counter()
    fit(batch, seeds)
    first, seconds = time.perf_counter() - begin, []
    with mock.patch.object(programs, "searches", Counted(programs.searches)) as searches:
        fit(batch, seeds)  # the counter is a program of its own to the evaluator
        searches.calls = 0
        for _ in range(arguments.repeats):
            begin = time.perf_counter()
            results = fit(batch, seeds)
            seconds.append(time.perf_counter() - begin)
        started = searches.calls / arguments.repeats
    with jax.profiler.trace(arguments.trace) if arguments.trace else nullcontext():
        if arguments.trace:
            fit(batch, seeds)
    evaluations = np.array([result.diagnostics.evaluations for result in results])
    converged = np.mean([result.diagnostics.converged for result in results])
    print(machine())
    print_head(
        "fits", "padded to pulses", "covariance", "ms per fit, best", f"median of {len(seconds)} batches", "first batch longer by (s)",
        "programs per batch", "evaluations", "median of a fit", "at most", "converged",
    )  # fmt: skip
    each = (f"{1e3 * value / len(own):.1f}" for value in (min(seconds), np.median(seconds)))
    costs = *each, f"{first - min(seconds):.0f}", f"{started:.0f}"
    spent = evaluations.sum(), f"{np.median(evaluations):.0f}", evaluations.max()
    print_row(
        len(own), shape[0], "with" if arguments.covariance else "without", *costs, *spent, f"{100 * converged:.0f} %"
    )


if __name__ == "__main__":
    main()
