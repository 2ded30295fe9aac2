"""Does an accelerator compute what a CPU computes? Log-likelihoods and gradients of simulated events, both against float64.

    python benchmarks/accelerator.py [tiny|default|big|true|MODEL ...] [--events N]

The three networks have fresh weights; the word true is the analytic cascade with noise, MODEL an exported model. Accelerators
multiply float32 matrices with ten bits of mantissa unless they are told otherwise; it would show here as errors of 1e-3.
"""

import argparse
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from common import NETWORKS, build_network, machine, print_head, print_row
from simulated_events import cascades, load

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.light.tree import with_precision
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.padding import stack_events
from evgen_jax.simulation.events import EventSampler


def values_and_gradients(model: eg.Model, events: Event, truth: np.ndarray, device: Any, dtype: type):
    """Log-likelihoods [E] and gradients by the hypothesis [E, H], everything in `dtype` on one device."""
    with jax.enable_x64(dtype is np.float64), jax.default_device(device):
        wide = replace(model, source=with_precision(model.source, dtype))
        function = jax.value_and_grad(eg.make_log_likelihood(wide), argnums=1)
        many = jax.jit(lambda v, h, e: jax.lax.map(lambda pair: function(v, *pair), (h, e)))
        arguments = jax.tree.map(partial(_on, device, dtype), (model.variables, truth, events))
        value, gradient = jax.tree.map(np.asarray, many(*arguments))
    return value.astype(np.float64), gradient.astype(np.float64)


def _on(device: Any, dtype: type, array: Any) -> jax.Array:
    array = np.asarray(array)
    return jax.device_put(array.astype(dtype) if array.dtype.kind == "f" else array, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["true", *NETWORKS])
    parser.add_argument("--events", type=int, default=16)
    arguments = parser.parse_args()
    print(machine())
    print(
        "Largest differences from float64 on the CPU: of the log-likelihood, and of gradients in units of their norm\n"
    )
    print_head(
        "model", "events", "log-likelihood, mean", "CPU, float32", "this device, float32", "this device, float64",
        "gradient, CPU", "float32", "float64",
    )  # fmt: skip
    cpu, here = jax.devices("cpu")[0], jax.devices()[0]
    for name in arguments.models:
        model = build_network(name) if name in NETWORKS else load(name)
        truth = cascades(np.random.default_rng(1), arguments.events, (1e3, 1e4), model.detector)
        drawn = EventSampler(analytic_model(model.detector), (0.0, 20000.0)).events(truth, jax.random.key(1))
        events = stack_events(drawn)
        scale = np.asarray(model.trafo.scale()) * np.where(model.trafo.log, 1 + truth, 1)
        exact, slope = values_and_gradients(model, events, truth, cpu, np.float64)
        norm = np.linalg.norm(slope * scale, axis=1)
        errors, slopes = [], []
        for device, dtype in ((cpu, np.float32), (here, np.float32), (here, np.float64)):
            value, gradient = values_and_gradients(model, events, truth, device, dtype)
            errors.append(np.max(np.abs(value - exact)))
            slopes.append(np.max(np.linalg.norm((gradient - slope) * scale, axis=1) / norm))
        cells = [f"{e:.2g}" for e in errors + slopes]
        print_row(name, len(exact), f"{exact.mean():.1f}", *cells)


if __name__ == "__main__":
    main()
