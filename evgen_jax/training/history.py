"""What a run directory remembers: which configuration was in force from which step on."""

import json
import time
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from evgen_jax.building.model_files import HISTORY
from evgen_jax.building.parts import read_history
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.config.validate import validate
from evgen_jax.errors import ConfigError
from evgen_jax.files import write_whole
from evgen_jax.version import __version__

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "h5py")
"""Packages whose versions the history records."""
TRAINING_SECTIONS = (
    "training_settings",
    "data_iterator_settings",
    "data_handler_settings",
    "loss_module_settings",
    "model_settings",
)
"""Sections of a configuration that a training depends on."""
HARMLESS = (
    "num_training_iterations",
    "validation_frequency",
    "evaluation_frequency",
    "save_frequency",
    "num_jobs",
    "log_every",
    "metric_writers",
    "events_per_step",
    "num_devices",
)
"""Keys that say how long, how often and where is trained, not what is learned from what."""


def record_start(directory: Path, config: ExperimentConfig, step: int) -> None:
    """Adds a run to the history: from which step on which configuration was in force.

    Args:
      directory: of the run.
      config: the experiment.
      step: number of finished steps.
    """
    path = directory / HISTORY
    history = read_history(directory)
    number = len(history) + 1
    name = f"config_{number:04d}.yaml"
    (directory / name).write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    history.append(
        {
            "run": number,
            "first_step": step,
            "config": name,
            "date": time.strftime("%Y-%m-%d %H:%M:%S"),
            # Our own is not asked of the environment: a checkout on PYTHONPATH is not installed there.
            "versions": {"evgen_jax": __version__, **{package: version(package) for package in PACKAGES}},
        }
    )
    write_whole(path, json.dumps(history, indent=1) + "\n")


def changed_settings(
    directory: Path, config: ExperimentConfig, sections: Collection[str] = TRAINING_SECTIONS
) -> list[str]:
    """Compares a configuration with that of the run before.

    Args:
      directory: of the run.
      config: the experiment.
      sections: that are compared.

    Returns:
      'key: was -> is' for every difference; none without an earlier run of this version.
    """
    plain = last_configuration(directory)
    if plain is None:
        return []
    was, now = (
        {k: v for section in sections for k, v in flat(values[section], section).items()}
        for values in (plain, config.model_dump(mode="json"))
    )
    keys = [k for k in {**was, **now} if was.get(k) != now.get(k) and k.rsplit(".", 1)[-1] not in HARMLESS]
    return [f"{k}: {was.get(k)} -> {now.get(k)}" for k in keys]


def last_configuration(directory: Path) -> dict[str, Any] | None:
    """Reads the configuration that was in force last, defaults of keys that are younger than the file filled in.

    Args:
      directory: of the run.

    Returns:
      Plain values by sections; None without a run, or for one of a version whose keys are others.
    """
    history = read_history(directory)
    if not history:
        return None
    try:
        plain = yaml.safe_load((directory / history[-1]["config"]).read_text())
        return validate(ExperimentConfig, plain, "").model_dump(mode="json")
    except (OSError, yaml.YAMLError, ConfigError):
        return None


def flat(values: Any, prefix: str) -> dict[str, Any]:
    """Lists the leaves of nested sections.

    Args:
      values: a section.
      prefix: its key path.

    Returns:
      Leaves by their key path; lists of plain values are leaves.
    """
    if isinstance(values, dict) and values:
        return {k: v for name, inner in values.items() for k, v in flat(inner, f"{prefix}.{name}").items()}
    if isinstance(values, list) and any(isinstance(v, dict) for v in values):
        return {k: v for i, inner in enumerate(values) for k, v in flat(inner, f"{prefix}[{i}]").items()}
    return {prefix: values}
