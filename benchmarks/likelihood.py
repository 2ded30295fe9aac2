"""Log-likelihood and its gradient by the hypothesis, for one event and for 32.

python benchmarks/likelihood.py [tiny|default|big ...]
"""

import subprocess
import sys

import jax
from common import (
    NETWORKS,
    batch_of,
    build_network,
    floor_seconds,
    machine,
    measure,
    network_flops,
    peak_memory,
    synthetic_event,
)

import evgen_jax as eg

BATCH = 32


def one(name: str) -> None:
    model = build_network(name)
    value_and_grad = jax.value_and_grad(eg.make_log_likelihood(model), argnums=1)
    single = jax.jit(value_and_grad)
    # One after the other: on a CPU a whole batch does not fit the cache.
    together = 1 if jax.default_backend() == "cpu" else BATCH
    many = jax.jit(lambda v, h, e: jax.lax.map(lambda he: value_and_grad(v, *he), (h, e), batch_size=together))
    for count, pulses in ((1, 415), (BATCH, 762)):
        events, hypotheses = batch_of([synthetic_event(i, pulses) for i in range(count)])
        if count == 1:
            event, hypothesis = jax.tree.map(lambda x: x[0], (events, hypotheses))
            first, later = measure(lambda e=event, h=hypothesis: single(model.variables, h, e), repeats=50)
        else:
            first, later = measure(lambda e=events, h=hypotheses: many(model.variables, h, e), repeats=5)
        # Forward, and once more for the gradient by the inputs.
        floor = floor_seconds(2 * count * network_flops(name))
        print(
            f"| {name} | {count} | {1e3 * later:.3g} | {first:.1f} | {peak_memory():.2f} | {1e3 * floor:.2g} | "
            f"{later / floor:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
    else:
        print(machine())
        print("| network | events | value and gradient (ms) | first call (s) | peak memory (GB) | floor (ms) | ratio |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for network in sys.argv[1:] or NETWORKS:
            subprocess.run([sys.executable, __file__, "--one", network], check=True)
