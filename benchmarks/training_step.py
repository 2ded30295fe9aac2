"""Training step (forward, backward, Adam) of the three networks, batch 32.

    python benchmarks/training_step.py [tiny|default|big ...]

Each network runs in a process of its own, so that the peak memory is its own.
"""

import sys

import jax
import optax
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

from evgen_jax.training.step import init_state, make_train_step

BATCH, PULSES = 32, 762


def one(name: str) -> None:
    model = build_network(name)
    events, hypotheses = batch_of([synthetic_event(i, PULSES) for i in range(BATCH)])
    optimizer = optax.adam(1e-3)
    step = jax.jit(make_train_step(model, optimizer), donate_argnums=0)
    state = init_state(model.variables, optimizer)

    def run():
        nonlocal state
        state, metrics = step(state, events, hypotheses)
        return metrics

    before = peak_memory()
    first, later = measure(run, repeats=5)
    # Forward, and twice as much backward.
    floor = floor_seconds(3 * BATCH * network_flops(name))
    memory = f"{peak_memory():.2f} ({before:.2f} before)"
    print_row(name, f"{later:.3g}", f"{first:.1f}", memory, f"{floor:.2g}", f"{later / floor:.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
    else:
        print(machine(), flush=True)
        print_head("network", "step (s)", "first call (s)", "peak memory (GB)", "floor (s)", "step / floor")
        run_each(__file__, sys.argv[1:] or list(NETWORKS))
