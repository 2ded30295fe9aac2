"""Log-likelihood and gradient of one event by all parameters of N cascades along a track.

    python benchmarks/many_cascades.py [NETWORK ...] [--chunk C] [--numbers 1 10 100 1000] [--accuracy 0.5] [--figure FILE]

With --accuracy also the approximate sum (evgen_jax.approximate) of an event drawn from the model. Compile time apart from run time; memory that the compiled program needs beside its arguments, from the compiler.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from common import (
    HYPOTHESIS,
    NETWORKS,
    build_network,
    floor_seconds,
    machine,
    network_flops,
    peak_memory,
    print_head,
    print_row,
)

from evgen_jax import Event, Model, approximate, make_log_likelihood, make_sampler
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.event import build_event
from evgen_jax.sources.composite.finite_track import finite_track
from evgen_jax.sources.composite.independent import independent_multi_source

ENERGY = 2e3
"""GeV, of all losses together: some thousand pulses with fresh weights."""


def build_track(network: str, number: int, chunk: int | None) -> tuple[Model, np.ndarray]:
    """A track of 900 m with noise; its losses have a wide spread of energies."""
    model = build_network(network)
    bases, weights = dict(model.source.bases), model.variables
    track = finite_track(number, {"cascade": bases["cascade"]}, chunk)
    source = independent_multi_source({"track": "track", "noise": "noise"}, {"track": track, "noise": bases["noise"]})
    names = source.parameter_names
    trafo = Trafo(names, (0.0,) * len(names), (1.0,) * len(names), (False,) * len(names))
    variables = {"track": {"cascade": weights["cascade"]}, "noise": weights["noise"]}
    energies = np.exp(1.5 * np.random.default_rng(0).normal(size=number))
    start = [*(HYPOTHESIS[:3] - [300, 0, 0]), 1.4, 3.0, HYPOTHESIS[6], 900.0]
    hypothesis = np.array([*start, *(ENERGY * energies / energies.sum())])
    return Model(source, variables, trafo, model.detector), hypothesis


def drawn_event(model: Model, hypothesis: np.ndarray) -> Event:
    """An event drawn from the model itself."""
    sampler = jax.jit(make_sampler(model, (0.0, 20000.0), 1 << 13))
    drawn = sampler(model.variables, jax.random.key(0), jnp.asarray(hypothesis, jnp.float32))
    time, dom = np.asarray(drawn.time, np.float64), np.asarray(drawn.dom)
    keep = np.asarray(drawn.mask) & (time > 0) & (time < 20000)
    event = build_event(np.ones(keep.sum()), time[keep], dom[keep], num_doms=5160, readout=(0.0, 20000.0))
    return jax.tree.map(jnp.asarray, event)


def measure_model(model: Model, hypothesis: np.ndarray, event: Event, repeats: int) -> tuple[float, float, float]:
    """Seconds to compile and to run value and gradient, and GB of temporary memory."""
    h, log_likelihood = jnp.asarray(hypothesis, jnp.float32), make_log_likelihood(model)
    begin = time.perf_counter()
    compiled = jax.jit(jax.value_and_grad(log_likelihood, argnums=1)).lower(model.variables, h, event).compile()
    compile_seconds = time.perf_counter() - begin
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        value, gradient = jax.block_until_ready(compiled(model.variables, h, event))
        seconds.append(time.perf_counter() - begin)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    return compile_seconds, min(seconds), compiled.memory_analysis().temp_size_in_bytes / 1e9


def figure(path: str, rows: list[tuple[str, int, str, float]]) -> None:
    """Time against the number of cascades."""
    plot, axes = plt.subplots(figsize=(6, 4))
    for network, kind in dict.fromkeys((row[0], row[2]) for row in rows):
        points = [(n, t) for name, n, k, t in rows if (name, k) == (network, kind)]
        axes.loglog(
            *zip(*points, strict=True), marker="o", linestyle="--" if kind else "-", label=f"{network} {kind}".strip()
        )
    axes.set(xlabel="cascades", ylabel="log-likelihood and gradient (s)")
    axes.grid(alpha=0.3)
    axes.legend()
    plot.tight_layout()
    plot.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=["default"])
    parser.add_argument("--chunk", type=int, help="cascades evaluated together")
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--accuracy", type=float, help="largest change of the log-likelihood of the approximate sum")
    parser.add_argument("--figure", help="file to draw time against number into")
    arguments = parser.parse_args()
    for network in arguments.networks:
        if network not in NETWORKS or not NETWORKS[network][3]:
            parser.error(
                f"'{network}' is no network with noise; these are {', '.join(n for n in NETWORKS if NETWORKS[n][3])}."
            )
    rows: list[tuple[str, int, str, float]] = []
    made: list[str] = []
    print(machine())
    print_head(
        "network", "cascades", "time (s)", "per cascade (ms)", "floor (s)", "compile (s)", "temporary memory (GB)"
    )
    for network in arguments.networks:
        for number in arguments.numbers:
            model, hypothesis = build_track(network, number, arguments.chunk)
            event = drawn_event(model, hypothesis)
            compile_seconds, seconds, memory = measure_model(model, hypothesis, event, 4 if number < 1000 else 2)
            rows.append((network, number, "", seconds))
            # Forward, forward again in the backward pass, and the pass itself: four times the network's operations.
            floor = floor_seconds(4 * number * network_flops(network))
            each, costs = f"{1e3 * seconds / number:.3g}", (f"{compile_seconds:.1f}", f"{memory:.3f}")
            print_row(network, number, f"{seconds:.3g}", each, f"{floor:.3g}", *costs)
            if arguments.accuracy and number >= 100:
                begin = time.perf_counter()
                near = approximate(model, event, hypothesis, arguments.accuracy)
                first = time.perf_counter() - begin
                begin = time.perf_counter()
                approximate(model, event, hypothesis, arguments.accuracy, previous=near)
                again = time.perf_counter() - begin
                compile_seconds, seconds, memory = measure_model(near.model, hypothesis, event, 4)
                rows.append((network, number, f"to {arguments.accuracy:g}", seconds))
                each, costs = f"{1e3 * seconds / number:.3g}", (f"{compile_seconds:.1f}", f"{memory:.3f}")
                print_row(f"{network}, to {arguments.accuracy:g}", number, f"{seconds:.3g}", each, "", *costs)
                made.append(
                    f"- {number} cascades to {arguments.accuracy:g}: {near.num_groups} groups, {near.num_near} exact DOMs, "
                    f"error {near.error:.3f} ({np.sum(np.asarray(event.pulses.mask))} pulses); made in {first:.0f} s, again "
                    f"nearby in {again:.0f} s"
                )
    if arguments.figure:
        figure(arguments.figure, rows)
    print("", *made, "", f"peak memory of the process: {peak_memory():.2f} GB", sep="\n")


if __name__ == "__main__":
    main()
