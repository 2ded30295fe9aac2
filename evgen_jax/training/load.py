"""The model of a training run as it stands: the weights of its latest checkpoint, without an export."""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from evgen_jax.building.experiment import build_model
from evgen_jax.config.reader import read_yaml_file
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.config.validate import validate
from evgen_jax.errors import CheckpointError
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.detector import fingerprint
from evgen_jax.model.model import Model
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.divergence import refuse_not_finite
from evgen_jax.training.history import read_history
from evgen_jax.training.restore import CHECKPOINTS

LOGGER = logging.getLogger("evgen_jax")


def load_run(directory: Path) -> Model:
    """The model of the latest checkpoint of a training run, with the configuration that was in force; says which it was.

    Raises:
      CheckpointError: nothing was saved yet, the checkpoint does not fit, or the detector is another one now.
    """
    checkpoints = Checkpoints(directory / CHECKPOINTS)
    try:
        step = checkpoints.latest_step()
    finally:
        checkpoints.close()
    history = read_history(directory)
    if step is None or not history:
        raise CheckpointError(f"{directory}: holds no checkpoint yet. Train it with: evgen-jax train CONFIG")
    return _load(directory.absolute(), history[-1]["config"], step)


@lru_cache(maxsize=8)
def _load(directory: Path, name: str, step: int) -> Model:
    """Loaded once per process: building a model with it asks several times."""
    path = directory / name
    config = validate(ExperimentConfig, read_yaml_file(path), str(path))
    checkpoints = Checkpoints(directory / CHECKPOINTS)
    try:
        meta = checkpoints.meta(step)
        # As it was in the training; the file may hold another one by now.
        stored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in meta["trafo"].items()}
        trafo = Trafo(**stored)
        model = build_model(config, trafo)
        if meta["detector"] != fingerprint(model.detector):
            raise CheckpointError(
                f"{directory}: was trained for another detector than {config.detector_settings.get('geometry')} holds now. "
                "Put the earlier table back."
            )
        variables, _ = checkpoints.restore_weights(model.variables, step)
        refuse_not_finite(variables, checkpoints, step, "train")
    finally:
        checkpoints.close()
    LOGGER.warning("loaded the weights of step %d from the training run %s", step, directory)
    return model.with_variables(variables)
