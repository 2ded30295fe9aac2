"""What a run directory remembers: which configuration was in force from which step on."""

import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from evgen_jax.config.records import ExperimentConfig
from evgen_jax.files import write_whole
from evgen_jax.version import __version__

FILE = "training_steps.json"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "h5py")


def record_start(directory: Path, config: ExperimentConfig, step: int) -> None:
    """Adds this run to the history: from which step on which configuration was in force."""
    path = directory / FILE
    history = read_history(directory)
    number = len(history) + 1
    name = f"config_{number:04d}.yaml"
    (directory / name).write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    history.append({
        "run": number, "first_step": step, "config": name, "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        # Our own is not asked of the environment: a checkout on PYTHONPATH is not installed there.
        "versions": {"evgen_jax": __version__, **{package: version(package) for package in PACKAGES}},
    })  # fmt: skip
    write_whole(path, json.dumps(history, indent=1) + "\n")


def read_history(directory: Path) -> list[dict[str, Any]]:
    path = directory / FILE
    return json.loads(path.read_text()) if path.is_file() else []
