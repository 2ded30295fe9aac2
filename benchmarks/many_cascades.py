"""Log-likelihood and gradient of one event by all parameters of N cascades along a track.

    python benchmarks/many_cascades.py [NETWORK ...] [--chunk C] [--numbers 1 10 100 1000]

Compile time apart from run time; memory that the compiled program needs beside its arguments, from the compiler.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from common import HYPOTHESIS, build_network, floor_seconds, machine, network_flops, peak_memory, synthetic_event

from evgen_jax.light_yield import LightYield
from evgen_jax.likelihood import DEFAULT_LOSS
from evgen_jax.multi_sources.finite_track import finite_track
from evgen_jax.multi_sources.multi_source import CHUNK

PULSES = 2000


def measure_number(network: str, number: int, chunk: int) -> tuple[float, float, float]:
    """Seconds to compile and to run, and GB of temporary memory."""
    model = build_network(network)
    cascade = dict(model.source.bases)["cascade"] if hasattr(model.source, "bases") else model.source
    variables = {"cascade": model.variables["cascade"] if hasattr(model.source, "bases") else model.variables}
    track = finite_track(number, {"cascade": cascade}, chunk)
    start = [*(HYPOTHESIS[:3] - [300, 0, 0]), 1.4, 3.0, HYPOTHESIS[6], 900.0]
    h = jnp.asarray([*start, *np.full(number, 1e5 / number)], jnp.float32)
    event = jax.tree.map(jnp.asarray, synthetic_event(0, PULSES))

    def loss(variables, h, event):
        light: LightYield = track.light_yield(variables, h, event, model.detector)
        return DEFAULT_LOSS(light, event)

    begin = time.perf_counter()
    compiled = jax.jit(jax.value_and_grad(loss, argnums=1)).lower(variables, h, event).compile()
    compile_seconds = time.perf_counter() - begin
    seconds = []
    for _ in range(4 if number < 1000 else 2):
        begin = time.perf_counter()
        value, gradient = jax.block_until_ready(compiled(variables, h, event))
        seconds.append(time.perf_counter() - begin)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    return compile_seconds, min(seconds), compiled.memory_analysis().temp_size_in_bytes / 1e9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=["tiny", "default"])
    parser.add_argument("--chunk", type=int, default=CHUNK)
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 10, 100, 1000])
    arguments = parser.parse_args()
    print(machine())
    print("| network | cascades | time (s) | per cascade (ms) | floor (s) | compile (s) | temporary memory (GB) |")
    print("|---|---|---|---|---|---|---|")
    for network in arguments.networks:
        for number in arguments.numbers:
            compile_seconds, seconds, memory = measure_number(network, number, arguments.chunk)
            # Forward, forward again in the backward pass, and the pass itself: four times the network's operations.
            floor = floor_seconds(4 * number * network_flops(network))
            print(f"| {network} | {number} | {seconds:.3g} | {1e3 * seconds / number:.3g} | {floor:.3g} | "
                  f"{compile_seconds:.1f} | {memory:.3f} |", flush=True)  # fmt: skip
    print(f"peak memory of the process: {peak_memory():.2f} GB")


if __name__ == "__main__":
    main()
