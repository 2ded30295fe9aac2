"""Log-likelihood and its gradient by the hypothesis, for one event and for 32.

    python benchmarks/likelihood.py [tiny|default|big|true ...]

The word true is the cascade of the light tables with noise, which has no floor: it multiplies no matrices.
"""

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
    print_head,
    print_row,
    run_each,
    synthetic_event,
)
from simulated_events import load

import evgen_jax as eg

BATCH = 32


def one(name: str) -> None:
    model = load("true") if name == "true" else build_network(name)
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
        floor = floor_seconds(2 * count * network_flops(name)) if name in NETWORKS else None
        beside = (f"{1e3 * floor:.3g}", f"{later / floor:.1f}") if floor else ("", "")
        print_row(name, count, f"{1e3 * later:.4g}", f"{first:.1f}", f"{peak_memory():.2f}", *beside)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
    else:
        print(machine(), flush=True)
        print_head(
            "model", "events", "value and gradient (ms)", "first call (s)", "peak memory (GB)", "floor (ms)", "ratio"
        )
        run_each(__file__, sys.argv[1:] or [*NETWORKS, "true"])
