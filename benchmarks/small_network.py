"""Trains the demo's network on the small array: a model without kinks, on which studies of many fits take minutes.

    python benchmarks/small_network.py DIR [--steps 4000] [--events 2400] [--angle] [--network tiny|default|gaussian]

Writes DIR/model_4000 (after as many steps), for `calibration.py`, `reconstruction.py` and `minima_from_seeds.py`. Run again, it
continues. With --angle the network sees the angle between shower and DOM, as in Event-Generator, instead of its cosine. With
--network its layers and its time decoder are those of a configuration of Event-Generator, and it sees the angle.
"""

import argparse
from pathlib import Path

import yaml
from simulated_events import small_array

from evgen_jax.cli.demonstration import train_on_simulation
from evgen_jax.config.validate import load_config

# Widths, asymmetric Gaussians, gamma distributions, first times (ns): a first layer per DOM, value ranges as there.
NETWORKS = {
    "tiny": ([25, 50, 50, 50, 28], 5, 2, [0, -100, 100, 4000, 800, -20, 0]),
    "default": ([50, 100, 100, 100, 100, 45], 7, 5, [0, -100, 100, 8000, 4000, 800, 300, -50, -20, -10, -5, 0]),
    "gaussian": ([50, 100, 100, 100, 100, 42], 10, 0, [0, -100, 100, 8000, 4000, 800, 300, -50, -20, 400]),
}
RANGES = {"x": [-120.0, 120.0], "y": [-120.0, 120.0], "z": [-349.0, -51.0], "energy": [100.0, 3e4]}

CONFIGURATION = Path(__file__).parents[1] / "experiments" / "event_generator_cascade.yaml"
FILES = 8
"""Files of events, as the iterators of the demo name them."""


def _elu(offset: float, smallest: float, scale: float = 1.0) -> dict:
    return {"value_range_class": "EluValueRange", "config": {"scale": scale, "offset": offset, "min_value": smallest}}


def use_network(cascade: dict, name: str) -> None:
    """Gives the demo's cascade the layers and the time decoder of a configuration of Event-Generator."""
    widths, gauss, gamma, times = NETWORKS[name]
    cascade["config"] |= {
        "num_filters_list": widths,
        "mixture_component_t_seeds": times,
        "opening_angle_as_cosine": False,
        "method_list": ["locally_connected", *["convolution"] * (len(widths) - 1)],
    }
    decoder = cascade["decoder_settings"]
    kinds = {"AsymmetricGaussian": ["AsymmetricGaussian", gauss, 1.0], "Gamma": ["Gamma", gamma, 10.0]}
    decoder["config"]["decoder_mapping"] = {kind: entry for kind, entry in kinds.items() if entry[1]}
    ranges = {
        "AsymmetricGaussian": {
            "mu": {"value_range_class": "BaseValueRange", "config": {"scale": 0.5}},
            "sigma": _elu(2, 1e-4),
            "r": _elu(1, 1e-4),
        },
        "Gamma": {"alpha": _elu(2.5, 0.5, 0.3), "beta": _elu(10, 1)},
    }
    for kind in list(decoder["base_decoders"]):
        if kind not in decoder["config"]["decoder_mapping"]:
            del decoder["base_decoders"][kind]
        else:
            decoder["base_decoders"][kind]["config"]["value_range_mapping"] = ranges[kind]


def configuration(directory: Path, steps: int, angle: bool, network: str | None, events: int) -> Path:
    text = CONFIGURATION.read_text()
    config = yaml.safe_load(text.replace("{directory}", str(directory)))
    small_array().to_csv(directory / "detector.csv")
    config["detector_settings"] = {"geometry": str(directory / "detector.csv")}
    config["simulation_settings"] |= {"ranges": RANGES, "num_events": events, "events_per_file": -(-events // FILES)}
    config["model_settings"]["multi_source_bases"]["cascade"]["config"]["opening_angle_as_cosine"] = not angle
    if network:
        use_network(config["model_settings"]["multi_source_bases"]["cascade"], network)
    settings = config["training_settings"]
    settings["num_training_iterations"] = steps
    schedule = settings["optimizer_settings"]["learning_rate"]["settings"]
    schedule["scheduler_settings"][2]["settings"]["decay_steps"] = max(steps - schedule["boundaries"][1], 1)
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--events", type=int, default=2400)
    parser.add_argument("--angle", action="store_true")
    parser.add_argument("--network", choices=sorted(NETWORKS))
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    config = load_config(
        configuration(arguments.directory, arguments.steps, arguments.angle, arguments.network, arguments.events)
    )
    train_on_simulation(config, arguments.directory / "events", arguments.directory / f"model_{arguments.steps}")


if __name__ == "__main__":
    main()
