"""Training step of N cascades of one base beside that of a single cascade, batch 32, in turn so that other load falls on both.

CPU time is that of all threads of the process, which other load leaves alone; on an accelerator it says nothing.

python benchmarks/training_step_of_cascades.py [NETWORK] [--numbers 2 3 5] [--repeats 7]
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import optax
from common import batch_of, build_network, machine, print_head, print_row, synthetic_event

from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.model.model import Model
from evgen_jax.sources.composite.starting import starting_cascades
from evgen_jax.training.step import init_state, make_train_step

BATCH, PULSES = 32, 762


def prepare(network: str, number: int):
    """The compiled step as a function without arguments, seconds to compile it and GB of temporary memory."""
    model = build_network(network)
    cascade, weights = model.source, model.variables
    if network != "tiny":  # the others have noise beside it
        cascade, weights = dict(cascade.bases)["cascade"], weights["cascade"]
    events, hypotheses = batch_of([synthetic_event(i, PULSES) for i in range(BATCH)])
    source = cascade
    if number > 1:
        source, weights = starting_cascades(number, {"cascade": cascade}), {"cascade": weights}
        further = jnp.array([[3000.0, 20.0 * i] for i in range(1, number)]).reshape(1, -1)
        hypotheses = jnp.concatenate([hypotheses, jnp.repeat(further, BATCH, axis=0)], axis=1)
    names = source.parameter_names
    trafo = Trafo(names, (0.0,) * len(names), (1.0,) * len(names), (False,) * len(names))
    model, optimizer = Model(source, weights, trafo, model.detector, model.loss), optax.adam(1e-3)
    state = init_state(weights, optimizer)
    begin = time.perf_counter()
    step = jax.jit(make_train_step(model, optimizer)).lower(state, events, hypotheses).compile()
    seconds = time.perf_counter() - begin
    memory = step.memory_analysis().temp_size_in_bytes / 1e9
    return lambda: jax.block_until_ready(step(state, events, hypotheses)), seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("network", nargs="?", default="tiny")
    parser.add_argument("--numbers", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    numbers = [1, *arguments.numbers]
    prepared = {number: prepare(arguments.network, number) for number in numbers}
    seconds: dict[int, list[tuple[float, float]]] = {number: [] for number in numbers}
    for _ in range(arguments.repeats + 1):
        for number, (run, *_) in prepared.items():
            begin, used = time.perf_counter(), time.process_time()
            run()
            seconds[number].append((time.perf_counter() - begin, time.process_time() - used))
    print(machine())
    print_head(
        "network", "cascades", "step (s)", "beside one", "CPU time beside one", "compile (s)", "temporary memory (GB)"
    )
    for number, (_, compile_seconds, memory) in prepared.items():
        pairs = list(zip(seconds[number][1:], seconds[1][1:], strict=True))
        step = statistics.median(own[0] for own, _ in pairs)
        wall, cpu = (statistics.median(own[i] / one[i] for own, one in pairs) for i in (0, 1))
        costs = f"{step:.3g}", f"{wall:.2f}", f"{cpu:.2f}", f"{compile_seconds:.1f}", f"{memory:.3f}"
        print_row(arguments.network, number, *costs)


if __name__ == "__main__":
    main()
