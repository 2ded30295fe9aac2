"""What the benchmarks share: the three networks, synthetic events, a clock and the floor to compare with."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from evgen_jax.building.losses import build_loss
from evgen_jax.building.model import build_source, init_variables
from evgen_jax.config.records import LossSettings, ModelSettings
from evgen_jax.hypothesis.parameters import parameters_of
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.detector import Detector, load_detector
from evgen_jax.measurement.event import Event, build_event
from evgen_jax.measurement.padding import stack_events
from evgen_jax.model.model import Model

# Widths, number of per-DOM layers, offsets (ns) of the asymmetric Gaussian and of the gamma components, noise, losses:
# the networks of three Event-Generator configurations.
TIME_AND_CHARGE = ("unbinned_pulse_time_llh", "dom_charge_pdf")
NETWORKS = {
    "tiny": ((25, 50, 50, 50, 28), 1, (0, -100, 100, 4000, 800), (-20, 0), False, TIME_AND_CHARGE),
    "default": (
        (50, 100, 100, 100, 100, 45),
        1,
        (0, -100, 100, 8000, 4000, 800, 300),
        (-50, -20, -10, -5, 0),
        True,
        TIME_AND_CHARGE,
    ),
    "big": (
        (50, 50, *[200] * 7, 42),
        2,
        (0, -100, 100, 8000, 4000, 800, 300, -50, -20, 400),
        (),
        True,
        (
            "unbinned_pulse_time_llh",
            "normalized_dom_charge_pdf",
            "negative_binomial_charge_pdf",
            "negative_binomial_event_charge_pdf",
        ),
    ),
}
INPUTS = 14
HYPOTHESIS = np.array([20.0, -30.0, 50.0, 1.1, 2.0, 10000.0, 10000.0], np.float32)
TRAFO_MEAN, TRAFO_STD = (0, 0, 0, 1.57, 3.14, 9, 1e4), (250, 250, 250, 0.69, 1.8, 1.5, 600)


def _elu(offset: float, scale: float = 1.0, smallest: float = 1e-4) -> dict[str, Any]:
    return {"value_range_class": "EluValueRange", "config": {"scale": scale, "offset": offset, "min_value": smallest}}


def build_network(name: str, detector: Detector | None = None) -> Model:
    """One of the three networks with fresh weights, for IceCube-86 or another detector."""
    widths, num_per_dom, gauss, gamma, noise, losses = NETWORKS[name]
    mapping = {"Gauss": ["Gauss", len(gauss), 1.0]} | ({"Gamma": ["Gamma", len(gamma), 10.0]} if gamma else {})
    mean = {"value_range_class": "BaseValueRange", "config": {"scale": 0.5}}
    negative_binomial = {
        "decoder_class": "NegativeBinomialDecoder",
        "config": {"value_range_mapping": {"alpha": _elu(-5.0)}},
    }
    decoders = {
        "Gauss": {
            "decoder_class": "AsymmetricGaussianDecoder",
            "config": {"value_range_mapping": {"mu": mean, "sigma": _elu(2.0), "r": _elu(1.0)}},
        },
        "Gamma": {
            "decoder_class": "GammaFunctionDecoder",
            "config": {"value_range_mapping": {"alpha": _elu(2.5, 0.3, 0.5), "beta": _elu(10.0, 1.0, 1.0)}},
        },
    }
    # The mixture sorts its components by name: Gamma before Gauss.
    cascade = {
        "model_class": "DefaultCascadeModel",
        "config": {
            "num_filters_list": list(widths),
            "mixture_component_t_seeds": [*gamma, *gauss],
            "method_list": ["locally_connected"] * num_per_dom + ["convolution"] * (len(widths) - num_per_dom),
            "scale_charge_by_angular_acceptance": noise,
        },
        "decoder_charge_settings": negative_binomial,
        "decoder_settings": {
            "decoder_class": "MixtureModel",
            "config": {"decoder_mapping": mapping, "value_range_mapping": {"weight": _elu(1.0, smallest=1e-5)}},
            "base_decoders": {name: decoders[name] for name in mapping},
        },
    }
    settings = cascade
    if noise:
        settings = {
            "model_class": "IndependentMultiSource",
            "config": {"sources": {"cascade": "cascade", "noise": "noise"}},
            "multi_source_bases": {
                "cascade": cascade,
                "noise": {"model_class": "DefaultNoiseModel", "decoder_charge_settings": negative_binomial},
            },
        }
    source, _ = build_source(ModelSettings(**settings))
    trafo = Trafo(
        source.parameter_names, TRAFO_MEAN, TRAFO_STD, tuple(parameter.log for parameter in parameters_of(source))
    )
    source, loaded = build_source(ModelSettings(**settings), trafo)
    detector = jax.tree.map(jnp.asarray, detector or load_detector())
    loss = build_loss(tuple(LossSettings(config={"loss_function_name": n}) for n in losses))
    return Model(source, init_variables(source, loaded, jax.random.key(0), detector), trafo, detector, loss)


def network_flops(name: str) -> float:
    """Multiplications and additions of the network for one event at all DOMs of IceCube-86, forward."""
    widths = (INPUTS, *NETWORKS[name][0])
    return 2.0 * 5160 * sum(a * b for a, b in zip(widths, widths[1:], strict=False))


def synthetic_event(seed: int, num_pulses: int, num_doms: int = 5160) -> Event:
    """An event with pulses at up to 200 DOMs, times spread over 3 us."""
    rng = np.random.default_rng(seed)
    doms = rng.choice(num_doms, min(200, num_doms), replace=False)
    dom = rng.choice(doms, num_pulses)
    return build_event(
        rng.uniform(0.3, 2, num_pulses),
        10000 + rng.gamma(2, 500, num_pulses),
        dom,
        num_doms=num_doms,
        readout=(0.0, 20000.0),
    )


def batch_of(events: list[Event]) -> tuple[Event, jax.Array]:
    """Events in float32 on the device, with hypotheses that are spread around HYPOTHESIS."""
    stacked = stack_events(events)
    stacked = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32 if x.dtype.kind == "f" else x.dtype), stacked)
    spread = np.random.default_rng(0).normal(size=(len(events), 7)) * [50, 50, 50, 0.3, 0.5, 3000, 50]
    return stacked, jnp.asarray(HYPOTHESIS + spread, jnp.float32)


def measure(function: Callable[[], Any], repeats: int = 10, warm: int = 2) -> tuple[float, float]:
    """Seconds of the first call (with compilation) and the median of later ones."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    first = time.perf_counter() - start
    for _ in range(warm):
        jax.block_until_ready(function())
    later = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        later.append(time.perf_counter() - start)
    return first, statistics.median(later)


def floor_seconds(flops: float) -> float:
    """Time of plain matrix products with this many operations on this machine."""
    size = 1024 if jax.default_backend() == "cpu" else 8192  # smaller ones do not fill an accelerator
    a = jnp.ones((size, size), jnp.float32)
    multiply = jax.jit(partial(jnp.matmul, precision="highest"))  # as sources do
    _, seconds = measure(lambda: multiply(a, a), repeats=20)
    return flops / (2 * size**3) * seconds


def run_each(program: str, names: Sequence[str]) -> None:
    """Runs `program --one NAME` in a process for each name, so that its peak memory is its own; ends where one fails."""
    for name in names:
        code = subprocess.run([sys.executable, program, "--one", name]).returncode
        if code:
            sys.exit(code)


def peak_memory() -> float:
    """Largest resident size of this process so far, GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def print_head(*names: str) -> None:
    """Begins a Markdown table."""
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names), flush=True)


def print_row(*cells: object) -> None:
    """Adds a row to a Markdown table, at once, so that an interrupted study leaves what it has."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def machine() -> str:
    """What a study ran on; an empty line follows, since tables need one."""
    device = jax.devices()[0]
    return f"{device.platform} {device.device_kind}, {len(os.sched_getaffinity(0))} cores, JAX {jax.__version__}\n"
