"""Trains one model per hypothesis on simulated events and tells how far its likelihood stays behind the true one.

    python experiments/likelihood_gaps.py DIR [NAME ...] [--steps 3000] [--events 2400]

Names: cascade, track, starting with the inputs and layers of the demo; cascade_mixture, cascade_spline (either time decoder),
cascade_default (a wider one) and track_event_generator with those of Event-Generator. Run again, it continues. Events have light from tables of photon transport, whose likelihood is exactly known; they are
no IceCube simulation.
"""

import argparse
import copy
from importlib import resources
from pathlib import Path
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import yaml

from evgen_jax import likelihood_gap, load_config
from evgen_jax.cli.demonstration import train_on_simulation
from evgen_jax.config.reader import read_yaml
from evgen_jax.decoders import rational_quadratic_spline
from evgen_jax.hypothesis.parameters import names_of, parameters_of
from evgen_jax.simulation import analytic_counterpart, analytic_model
from evgen_jax.training import (
    ModelSettings,
    build_model,
    build_optimizer,
    build_source,
    init_state,
    make_train_step,
    manager_directory,
    open_stream,
    read_metrics,
)

DEMO = read_yaml(Path(str(resources.files("evgen_jax") / "tables" / "demo.yaml")))
NEW_CASCADE = DEMO["model_settings"]["multi_source_bases"]["cascade"]
EVENT_GENERATOR = read_yaml(Path(__file__).parent / "event_generator_cascade.yaml")
CASCADE = EVENT_GENERATOR["model_settings"]["multi_source_bases"]["cascade"]
RANGES = DEMO["simulation_settings"]["ranges"]
CHARGE_PARAMETERS, RADIUS, MOST_PER_FILE = 2, 600.0, 100


def elu(offset: float, smallest: float) -> dict:
    return {"value_range_class": "EluValueRange", "config": {"offset": offset, "min_value": smallest}}


def with_mixture(gauss: int, gamma: int) -> dict:
    """The demo's cascade with another number of components: 4 latent variables per Gaussian, 3 per gamma."""
    base = copy.deepcopy(CASCADE)
    base["decoder_settings"]["config"]["decoder_mapping"] = {
        "AsymmetricGaussian": ["AsymmetricGaussian", gauss, 1.0],
        "Gamma": ["Gamma", gamma, 10.0],
    }
    starts = [0, 50, 150, 400, 1000, 20, 100][:gauss] + [0] * gamma
    widths = [*CASCADE["config"]["num_filters_list"][:-1], CHARGE_PARAMETERS + 4 * gauss + 3 * gamma]
    base["config"] |= {"mixture_component_t_seeds": starts, "num_filters_list": widths}
    return base


def default_network() -> dict:
    """The mixture of twelve behind the network of the reference's default configuration, its first layer per DOM."""
    base = with_mixture(7, 5)
    widths = [50, 100, 100, 100, 100, base["config"]["num_filters_list"][-1]]
    methods = ["locally_connected", *["convolution"] * (len(widths) - 1)]
    base["config"] |= {"num_filters_list": widths, "method_list": methods}
    return base


def with_spline(num_bins: int) -> dict:
    base = copy.deepcopy(CASCADE)
    ranges = {
        "mu": {"value_range_class": "BaseValueRange", "config": {"scale": 0.5}},
        "sigma": elu(-3.0, 0.002),
        "r": elu(3.0, 0.01),
    }
    base["decoder_settings"] = {
        "decoder_class": "RationalQuadraticSplineDecoder",
        "config": {"num_bins": num_bins, "value_range_mapping": ranges},
    }
    latent = len(rational_quadratic_spline(num_bins).parameter_names)
    base["config"] |= {
        "mixture_component_t_seeds": [0],
        "num_filters_list": [*CASCADE["config"]["num_filters_list"][:-1], CHARGE_PARAMETERS + latent],
    }
    return base


def with_splines(count: int, num_bins: int) -> dict:
    base = with_spline(num_bins)
    spline = base["decoder_settings"]
    base["decoder_settings"] = {
        "decoder_class": "MixtureModel",
        "config": {
            "decoder_mapping": {"Spline": ["Spline", count, 1.0]},
            "value_range_mapping": {"weight": elu(1.0, 1e-5)},
        },
        "base_decoders": {"Spline": spline},
    }
    latent = count * (len(rational_quadratic_spline(num_bins).parameter_names) + 1)
    base["config"] |= {
        "mixture_component_t_seeds": [0, 150, 50, 400][:count],
        "num_filters_list": [*CASCADE["config"]["num_filters_list"][:-1], CHARGE_PARAMETERS + latent],
    }
    return base


def track() -> dict:
    base = copy.deepcopy(CASCADE) | {"model_class": "EnteringSphereInfTrack"}
    for key in ("opening_angle_as_cosine", "scale_charge_by_light"):
        del base["config"][key]
    # A track's light grows slowly with its energy; the network learns how.
    base["config"] |= {
        "sphere_radius": RADIUS,
        "scale_charge": False,
        "add_dom_angular_acceptance": True,
        "scale_charge_by_angular_acceptance": True,
    }
    return base


def new_track() -> dict:
    """The track with named inputs, its charges those of diffusion in the medium along the way."""
    base = copy.deepcopy(NEW_CASCADE) | {"model_class": "EnteringSphereInfTrack"}
    del base["config"]["scale_charge_by_light"]
    base["config"] |= {
        "sphere_radius": RADIUS,
        "scale_charge": False,
        "inputs": ["invariant", "track", "medium"],
        "scale_charge_by_diffusion": True,
        "light_along_way": True,
    }
    return base


HYPOTHESES = {
    # name: (source, ranges of simulated events)
    "cascade": (lambda: NEW_CASCADE, RANGES),
    "cascade_mixture": (lambda: with_mixture(7, 5), RANGES),
    "cascade_default": (default_network, RANGES),
    "cascade_spline": (lambda: with_splines(4, 8), RANGES),
    "track": (new_track, {"entry_energy": [1e3, 1e5]}),
    "track_event_generator": (track, {"entry_energy": [1e3, 1e5]}),
    "starting": (
        lambda: {
            "model_class": "StartingVariableMultiCascadeModel",
            "config": {"num_cascades": 3},
            "multi_source_bases": {"cascade": NEW_CASCADE},
        },
        RANGES | {"cascade_energy": [1e3, 3e4], "cascade_distance": [20.0, 150.0]},
    ),
}


def configuration(name: str, directory: Path, steps: int, num_events: int) -> Path:
    """Writes the configuration of one hypothesis."""
    source, ranges = HYPOTHESES[name]
    per_file = min(MOST_PER_FILE, -(-num_events // 2))  # one file is held out
    config = copy.deepcopy(EVENT_GENERATOR if name.endswith(("_mixture", "_default", "_spline", "generator")) else DEMO)
    config["unique_name"] = events = name.split("_")[0]
    config["model_settings"]["config"] = {"sources": {"event": "event", "noise": "noise"}}
    noise = config["model_settings"]["multi_source_bases"]["noise"]
    config["model_settings"]["multi_source_bases"] = {"event": source(), "noise": noise}
    event = ModelSettings.model_validate(config["model_settings"]["multi_source_bases"]["event"])
    parameters = parameters_of(build_source(event)[0])
    config["data_handler_settings"] |= {
        "label_module": "GeneralLabelModule",
        "label_settings": {
            "label_key": "Labels",
            "parameter_names": list(names_of(parameters)),
            "trafo_log": [parameter.log for parameter in parameters],
        },
    }
    config["data_handler_settings"]["data_settings"]["event_id_key"] = "Labels"
    config["simulation_settings"] |= {"num_events": num_events, "events_per_file": per_file, "ranges": ranges}
    files = [f"{directory}/{events}_events/{events}_{i:06d}.hdf5" for i in range(-(-num_events // per_file))]
    for key, iterator in config["data_iterator_settings"].items():
        # The last file is held out; the true likelihood of a track takes seconds per event.
        iterator["input_data"] = files[:-1] if key in ("training", "trafo") else files[-1:]
    config["data_iterator_settings"]["training"]["num_add_files"] = len(files) - 2
    config["data_trafo_settings"]["model_dir"] = f"{directory}/{name}/trafo"
    config["model_manager_settings"]["config"]["manager_dir"] = f"{directory}/{name}/training"
    settings = config["training_settings"]
    settings["num_training_iterations"] = steps
    settings["validation_frequency"] = min(settings["validation_frequency"], steps)
    schedule = settings["optimizer_settings"]["learning_rate"]["settings"]
    schedule["boundaries"] = [100, max(steps // 4, 101)]
    schedule["scheduler_settings"][2]["settings"]["decay_steps"] = max(steps - steps // 4, 1)
    path = directory / name / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def step_seconds(config) -> float:
    """Median time of a training step on one batch, after compilation."""
    model = build_model(config)
    optimizer, _ = build_optimizer(config.training_settings)
    step, state = jax.jit(make_train_step(model, optimizer)), init_state(model.variables, optimizer)
    stream = open_stream(config, "training", jax.tree.map(np.asarray, model.detector))
    batch, times = next(iter(stream)), []
    events, labels = jax.tree.map(jnp.asarray, (batch.events, batch.labels))
    for _ in range(15):
        begin = perf_counter()
        state, _ = jax.block_until_ready(step(state, events, labels))
        times.append(perf_counter() - begin)
    return float(np.median(times[3:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*", default=list(HYPOTHESES), help=", ".join(HYPOTHESES))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--events", type=int, default=2400)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.names:
        if name not in HYPOTHESES:
            parser.error(f"'{name}' is no hypothesis of this script; it has {', '.join(HYPOTHESES)}.")
        config = load_config(configuration(name, arguments.directory, arguments.steps, arguments.events))
        events = arguments.directory / f"{config.unique_name}_events"
        model = train_on_simulation(config, events, arguments.directory / name / f"exported_{arguments.steps}")
        truth = analytic_model(model.detector, analytic_counterpart(config.model_settings, lambda _: ModelSettings()))
        gap, pulses = likelihood_gap(config, model, truth)
        held_out = [line["loss"] for line in read_metrics(manager_directory(config)) if line["kind"] == "validation"]
        rows.append(
            f"| {name} | {len(model.parameter_names)} | {arguments.steps} | {held_out[0]:.0f} | "
            f"{np.mean(held_out[-5:]):.0f} | {gap:.1f} | {pulses:.0f} | {step_seconds(config):.3f} |"
        )
    print(
        "| hypothesis | parameters | steps | held-out loss, first | last five | gap per event | pulses per event | "
        "step (s) |\n|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
