"""Going on from a checkpoint of an equal model, transformation, detector and optimiser; a message says what differs."""

import logging
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from evgen_jax.building.experiment import build_model
from evgen_jax.building.model_files import CHECKPOINTS
from evgen_jax.config.records import ExperimentConfig, TrainingSettings
from evgen_jax.errors import CheckpointError
from evgen_jax.hypothesis.trafo import TRAFO_FILE
from evgen_jax.measurement.detector import fingerprint
from evgen_jax.model.model import Model
from evgen_jax.training.checkpoints import Checkpoints, OtherOptimizer
from evgen_jax.training.history import changed_settings
from evgen_jax.training.optimizer import DecayState, build_optimizer
from evgen_jax.training.step import TrainState, init_state

BEFORE = tuple(product((None, 1.0), (False, True), (None, 2.0)))
"""(norm to which gradients are clipped, removal of NaN, usual norms to which they are clipped) that may come before an optimiser."""
LOGGER = logging.getLogger("evgen_jax")
EXPORTED_SECTIONS = ("model_settings", "loss_module_settings", "data_handler_settings")
"""Sections of a configuration that an exported model keeps."""


def manager_directory(config: ExperimentConfig) -> Path:
    """Finds the directory of a training.

    Args:
      config: the experiment.

    Returns:
      The directory, which need not exist.
    """
    return Path(config.model_manager_settings.config.manager_dir)


def identity(model: Model) -> dict[str, Any]:
    """Lists what the weights were trained with besides the architecture.

    Numbers of a model with other values would be wrong without a sign of it.

    Args:
      model: of the training.

    Returns:
      Plain values: the transformation, and a fingerprint of the detector.
    """
    return {"trafo": model.trafo.as_plain(), "detector": fingerprint(model.detector)}


def optimizer_identity(settings: TrainingSettings) -> dict[str, Any]:
    """Lists what the optimiser's state belongs to; the learning rate may change from run to run.

    Args:
      settings: section training_settings of a configuration.

    Returns:
      Plain values by their keys.
    """
    options = settings.optimizer_settings.model_dump(exclude={"learning_rate"}, exclude_none=True)
    if settings.clip_gradients_by_history is not None:
        options["clip_gradients_by_history"] = settings.clip_gradients_by_history
    return {
        "optimizer_name": settings.optimizer_name.lower(),
        **options,
        "clip_gradients_value": settings.clip_gradients_value,
        "remove_nan_gradients": settings.remove_nan_gradients,
    }


def resume(
    checkpoints: Checkpoints,
    model: Model,
    optimizer: optax.GradientTransformation,
    config: ExperimentConfig,
    step: int | None = None,
    fresh_optimizer: bool = False,
) -> tuple[TrainState, dict[str, Any]]:
    """Reads state and notes of a checkpoint.

    Args:
      checkpoints: of the run.
      model: of the present configuration.
      optimizer: of the present configuration.
      config: the present configuration.
      step: number of the checkpoint; None: the latest.
      fresh_optimizer: take the weights alone; the learning rate goes on at the step of the checkpoint.

    Returns:
      The state, and the plain values that were written beside it.

    Raises:
      CheckpointError: it is missing or damaged, does not belong to the model, the transformation, the detector or the
        optimiser, or holds weights that are not finite.
    """
    number = checkpoints.existing_step(step)
    if fresh_optimizer:
        variables, meta = checkpoints.restore_weights(model.variables, number)
        fresh = at_step(optimizer.init(variables), number)
        state = TrainState(variables, fresh, jnp.asarray(number, jnp.int32))
    else:
        state, meta = _with_optimizer(checkpoints, model, optimizer, config.training_settings, number)
    _same(checkpoints, meta, model, config)
    checkpoints.refuse_not_finite(state.variables, number, "train")
    return state, meta


def _with_optimizer(
    checkpoints: Checkpoints,
    model: Model,
    optimizer: optax.GradientTransformation,
    settings: TrainingSettings,
    step: int,
) -> tuple[TrainState, dict[str, Any]]:
    """A checkpoint with its optimiser's state, which clipping and the removal of NaN before it do not touch."""
    was, now = checkpoints.meta(step).get("optimizer"), optimizer_identity(settings)
    same_name = was is None or was["optimizer_name"] == now["optimizer_name"]
    # Those of the configuration first, then others with the same optimiser behind them.
    keys = ("clip_gradients_value", "remove_nan_gradients", "clip_gradients_by_history")
    configured = tuple(getattr(settings, key) for key in keys)
    for own in [configured, *BEFORE] * same_name:
        stored, _ = build_optimizer(settings.model_copy(update=dict(zip(keys, own, strict=True))))
        try:
            state, meta = checkpoints.restore(init_state(model.variables, stored), step)
        except OtherOptimizer:
            continue
        if was is not None and was != now:
            LOGGER.warning("the optimiser settings changed: %s. Its state is kept.", _change(was, now))
        if own == configured:
            return state, meta
        # The optimiser is the last of the chain.
        kept = (*optimizer.init(state.variables)[:-1], state.optimizer_state[-1])
        return state.replace(optimizer_state=kept), meta
    raise CheckpointError(
        f"{checkpoints.directory / str(step)}: the optimiser settings changed: {_change(was, now)}. Put the earlier ones back, "
        "or keep the weights and start the optimiser's state anew: evgen-jax train --fresh-optimizer CONFIG"
    )


def at_step(optimizer_state: Any, step: int) -> Any:
    """Moves a fresh state of an optimiser to a later step of its learning rate.

    Args:
      optimizer_state: as the optimiser's `init` makes it.
      step: number of finished steps.

    Returns:
      The state whose learning rate is that of the step.
    """
    counters = {optax.ScaleByScheduleState: "count", DecayState: "step"}

    def is_schedule(node: Any) -> bool:
        return type(node) in counters

    def moved(node: Any) -> Any:
        return node._replace(**{counters[type(node)]: jnp.asarray(step, jnp.int32)}) if is_schedule(node) else node

    return jax.tree.map(moved, optimizer_state, is_leaf=is_schedule)


def _change(was: dict[str, Any] | None, now: dict[str, Any]) -> str:
    if was is None:
        return f"they are {_listed(now)}, and were others"
    keys = [k for k in {**was, **now} if was.get(k) != now.get(k)]
    return f"{_listed({k: was.get(k) for k in keys})} before, {_listed({k: now.get(k) for k in keys})} now"


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{k}: {v}" for k, v in settings.items())


def _same(checkpoints: Checkpoints, meta: dict[str, Any], model: Model, config: ExperimentConfig) -> None:
    names = {
        "trafo": f"the data transformation {Path(config.data_trafo_settings.model_dir) / TRAFO_FILE}",
        "detector": f"the detector '{model.detector.name}' in the medium '{model.detector.medium.name}'",
    }
    of_detector = changed_settings(
        Path(config.model_manager_settings.config.manager_dir), config, ("detector_settings",)
    )
    changes = {"trafo": "", "detector": f" ({', '.join(of_detector)})" if of_detector else ""}
    for key, value in identity(model).items():
        if meta.get(key) != value:
            raise CheckpointError(
                f"{checkpoints.directory}: was trained with other values than {names[key]} holds now{changes[key]}. Put the "
                "earlier one back, or set model_manager_settings.restore_model: False to start afresh."
            )


def trained_model(config: ExperimentConfig, step: int | None = None) -> Model:
    """Makes the model with the weights of a checkpoint; no optimiser is needed.

    Args:
      config: the experiment.
      step: number of the checkpoint; None: the latest.

    Returns:
      The model.

    Raises:
      CheckpointError: nothing was trained yet, the checkpoint does not fit, or its weights are not finite.
    """
    directory = manager_directory(config)
    if not (directory / CHECKPOINTS).is_dir():
        where = ""
        if not directory.is_absolute():
            where = f" Looked in {directory.absolute()}: relative paths start where the command runs, not at the configuration."
        raise CheckpointError(f"{directory}: holds no trained model.{where} Train it with: evgen-jax train CONFIG")
    model = build_model(config)
    checkpoints = Checkpoints(directory / CHECKPOINTS, config.model_manager_settings.keep_checkpoints)
    try:
        variables, meta = checkpoints.restore_weights(model.variables, step)
        _same(checkpoints, meta, model, config)
        checkpoints.refuse_not_finite(variables, checkpoints.existing_step(step), "export")
    finally:
        checkpoints.close()
    changes = changed_settings(directory, config, EXPORTED_SECTIONS)
    if changes:
        LOGGER.warning(
            "the settings are not those of the training: %s. The model is written with the present ones.",
            "; ".join(changes),
        )
    return model.with_variables(variables)
