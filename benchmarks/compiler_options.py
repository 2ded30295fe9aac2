"""What the options cost or save that programs of the host are compiled with (`evgen_jax.host_jit`), on CPUs.

    python benchmarks/compiler_options.py [true|demo|MODEL ...] [--events 8] [--turns 8]

Log-likelihood and gradient of cascades of 1 to 10 TeV in IceCube-86, in a batch, as JAX compiles it and with these options, one
after the other in turns. With JAX older than 0.11, or on an accelerator, there are no options, and both are the same.
"""

import argparse
import time

import jax
import numpy as np
from common import machine, print_head, print_row
from simulated_events import cascades, draw, load

import evgen_jax as eg
from evgen_jax.host_jit import compiler_options
from evgen_jax.measurement.merging import merge_pulses
from evgen_jax.reconstruction.fit.batching import grouped_by_shape, stacked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["true", "demo"])
    parser.add_argument("--events", type=int, default=8, help="cascades of a batch")
    parser.add_argument("--turns", type=int, default=8, help="batches that each program computes")
    arguments = parser.parse_args()
    with jax.enable_x64(True):  # as fits compute: times and sums in float64, networks and hypotheses in float32
        compare(arguments.models, arguments.events, arguments.turns)


def compare(names: list[str], count: int, turns: int) -> None:
    print(machine())
    print(f"Options: {compiler_options() or 'none'}\n")
    print_head(
        "model", "padded to pulses", "CPU ms per event", "with the options", "ratio", "gradients differ by (relative)"
    )
    truth_model = load("true")
    truth = cascades(np.random.default_rng(4), 2 * count, (1e3, 1e4), truth_model.detector)
    events, truth = draw(truth_model, truth, 4)
    events, truth = [merge_pulses(e, 1.0) for e in events[:count]], truth[:count].astype(np.float32)
    shape = max(grouped_by_shape(events))
    batch = stacked(events, shape, count)
    for name in names:
        model = truth_model if name == "true" else eg.load_model(name)
        each = jax.vmap(jax.value_and_grad(eg.make_log_likelihood(model), argnums=1), (None, 0, 0))
        programs = [
            jax.jit(each, compiler_options=own).lower(model.variables, truth, batch).compile()
            for own in ({}, compiler_options())
        ]
        gradients = [np.asarray(program(model.variables, truth, batch)[1]) for program in programs]
        spent: list[list[float]] = [[] for _ in programs]
        for _ in range(turns):
            for program, seconds in zip(programs, spent, strict=True):
                begin = time.process_time()
                jax.block_until_ready(program(model.variables, truth, batch))
                seconds.append(time.process_time() - begin)
        plain, chosen = (1e3 * np.median(seconds) / count for seconds in spent)
        away = np.linalg.norm(gradients[1] - gradients[0], axis=1) / np.linalg.norm(gradients[0], axis=1)
        print_row(name, shape[0], f"{plain:.1f}", f"{chosen:.1f}", f"{chosen / plain:.2f}", f"{away.max():.1g}")


if __name__ == "__main__":
    main()
