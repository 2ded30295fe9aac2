"""Trains the demo's network on the small array: a model without kinks, on which studies of many fits take minutes.

    python benchmarks/small_network.py DIR [--steps 4000] [--angle]

Writes DIR/model_4000 (after as many steps), for `calibration.py` and `reconstruction.py`. Run again, it continues. With --angle
the network sees the angle between shower and DOM, as in Event-Generator, instead of its cosine.
"""

import argparse
from importlib import resources
from pathlib import Path

import yaml
from toy_events import small_array

from evgen_jax.config.validate import load_config
from evgen_jax.demo import train_on_simulation

RANGES = {"x": [-120.0, 120.0], "y": [-120.0, 120.0], "z": [-349.0, -51.0], "energy": [100.0, 3e4]}


def configuration(directory: Path, steps: int, angle: bool) -> Path:
    text = (resources.files("evgen_jax") / "tables" / "demo.yaml").read_text()
    config = yaml.safe_load(text.replace("{directory}", str(directory)))
    small_array().to_csv(directory / "detector.csv")
    config["detector_settings"] = {"geometry": str(directory / "detector.csv")}
    config["simulation_settings"]["ranges"] = RANGES
    config["model_settings"]["multi_source_bases"]["cascade"]["config"]["opening_angle_as_cosine"] = not angle
    settings = config["training_settings"]
    settings["num_training_iterations"] = steps
    schedule = settings["optimizer_settings"]["learning_rate"]["settings"]
    schedule["scheduler_settings"][2]["settings"]["decay_steps"] = steps - schedule["boundaries"][1]
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--angle", action="store_true")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    config = load_config(configuration(arguments.directory, arguments.steps, arguments.angle))
    train_on_simulation(config, arguments.directory / "events", arguments.directory / f"model_{arguments.steps}")


if __name__ == "__main__":
    main()
