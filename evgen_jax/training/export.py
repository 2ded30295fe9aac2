"""Writes the models of training runs as directories."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evgen_jax.building.directory import save_ensemble, save_model
from evgen_jax.building.parts import read_history
from evgen_jax.config.reader import read_yaml
from evgen_jax.config.records import ExperimentConfig, LossSettings
from evgen_jax.config.validate import validate_sections
from evgen_jax.errors import ConfigError, ModelDirectoryError
from evgen_jax.model.ensemble import Ensemble
from evgen_jax.training.restore import manager_directory, trained_model


def export_model(config: ExperimentConfig, directory: str | Path, step: int | None = None) -> Path:
    """Writes the trained model of an experiment.

    Args:
      config: the experiment.
      directory: to write, which must not exist.
      step: number of the checkpoint; None: the latest.

    Returns:
      The directory.

    Raises:
      ModelDirectoryError: the directory exists.
      CheckpointError: nothing was trained yet, there is no such checkpoint, or its weights are not finite.
    """
    return save_model(trained_model(config, step), directory, read_history(manager_directory(config)))


def export_ensemble(configs: Sequence[ExperimentConfig], directory: str | Path, step: int | None = None) -> Path:
    """Writes the trained models of several experiments as one directory with models_0000, models_0001 and so on.

    Args:
      configs: the experiments.
      directory: to write, which must not exist.
      step: number of the checkpoint of every experiment; None: the latest.

    Returns:
      The directory.

    Raises:
      ModelDirectoryError: the directory exists or cannot be written.
      CheckpointError: a model was not trained yet, there is no such checkpoint, or its weights are not finite.
      ConfigError: models of different parameters or detectors, or two of one training.
    """
    directory = Path(directory)
    if directory.exists():
        raise ModelDirectoryError(f"{directory}: exists already. Give another name or remove it first.")
    runs = [manager_directory(config) for config in configs]
    if len(set(runs)) < len(runs):
        twice = next(run for run in runs if runs.count(run) > 1)
        raise ConfigError(f"{twice}: is the training of two members of the ensemble; an equal member adds nothing.")
    models = [trained_model(config, step) for config in configs]
    Ensemble(models)  # which checks that they belong together
    return save_ensemble(models, directory, [read_history(run) for run in runs])


def with_fit_of(config: ExperimentConfig, path: str | Path) -> ExperimentConfig:
    """Takes reconstruction_settings and loss_module_settings from another file, as far as it has them.

    Args:
      config: the experiment.
      path: of the file, YAML.

    Returns:
      The changed configuration.

    Raises:
      ConfigError: the file has neither section, or a section that is not valid.
    """
    values = read_yaml(path)
    taken = ("reconstruction_settings", "loss_module_settings")
    given: dict[str, Any] = {name: values[name] for name in taken if name in values}
    sections = validate_sections(given, str(path))
    found: dict[str, Any] = {name: getattr(sections, name) for name in given}
    if isinstance(losses := found.get("loss_module_settings"), LossSettings):
        found["loss_module_settings"] = (losses,)
    if not found:
        raise ConfigError(
            f"{path}: has neither reconstruction_settings nor loss_module_settings; nothing to export with."
        )
    return config.model_copy(update=found)
