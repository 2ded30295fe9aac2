"""What a run directory remembers: earlier runs set aside, and which configuration was in force from which step on."""

import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from evgen_jax.config.records import ExperimentConfig

FILE = "training_steps.json"
PACKAGES = ("evgen_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "h5py")


def set_aside(directory: Path) -> None:
    """Moves an earlier run to a name of its own; nothing is deleted."""
    if not directory.exists():
        return
    number = 1
    while (target := directory.with_name(f"{directory.name}.old-{number}")).exists():
        number += 1
    directory.rename(target)
    print(f"restore_model is False: the earlier run is kept in {target}")


def record_start(directory: Path, config: ExperimentConfig, step: int) -> None:
    """Adds this run to the history: from which step on which configuration was in force."""
    path = directory / FILE
    history = read_history(directory)
    number = len(history) + 1
    name = f"config_{number:04d}.yaml"
    (directory / name).write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    history.append({
        "run": number, "first_step": step, "config": name, "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "versions": {package: version(package) for package in PACKAGES},
    })  # fmt: skip
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(history, indent=1) + "\n")
    partial.replace(path)


def read_history(directory: Path) -> list[dict[str, Any]]:
    path = directory / FILE
    return json.loads(path.read_text()) if path.is_file() else []
