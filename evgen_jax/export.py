"""From a training run to a model directory."""

from pathlib import Path

from evgen_jax.config.records import ExperimentConfig
from evgen_jax.model_directory import save_model
from evgen_jax.training.history import read_history
from evgen_jax.training.restore import manager_directory, trained_model


def export_model(config: ExperimentConfig, directory: str | Path, step: int | None = None) -> Path:
    """Writes the trained model of an experiment.

    Raises:
      ModelDirectoryError: the directory exists.
      CheckpointError: nothing was trained yet, there is no such checkpoint, or its weights are not finite.
    """
    return save_model(trained_model(config, step), directory, read_history(manager_directory(config)))
