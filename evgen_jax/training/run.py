"""The training program: data in, checkpoints and a loss curve out; run again, it continues where it stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from evgen_jax.config.records import ExperimentConfig
from evgen_jax.data.batches import Position
from evgen_jax.data.prefetch import Prefetch
from evgen_jax.detector import fingerprint
from evgen_jax.errors import CheckpointError, ConfigError
from evgen_jax.experiment import TRAFO_FILE, build_model, check_data, open_stream
from evgen_jax.files import set_aside
from evgen_jax.model import Model
from evgen_jax.multi_sources.multi_source import MultiSource
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.history import record_start
from evgen_jax.training.loop import Loop
from evgen_jax.training.metrics import MetricWriter
from evgen_jax.training.optimizer import build_optimizer
from evgen_jax.training.parallel import AXIS, choose_devices, data_parallel
from evgen_jax.training.step import TrainState, init_state, make_loss_terms, make_train_step

CHECKPOINTS = "checkpoints"


def manager_directory(config: ExperimentConfig) -> Path:
    return Path(config.model_manager_settings.config.manager_dir)


def train(config: ExperimentConfig, progress: bool = True) -> TrainState:
    """Trains until `num_training_iterations` steps are done in total, over all runs.

    Raises:
      EvgenError: whatever the configuration, the data or the checkpoint makes impossible, or a loss that is not
        finite.
    """
    settings = config.training_settings
    directory = manager_directory(config)
    model = build_model(config)
    optimizer, schedule = build_optimizer(settings)
    batch_size = config.data_iterator_settings.training.batch_size
    num_devices = choose_devices(settings.num_devices, batch_size)
    step = make_train_step(
        model, optimizer, axis_name=AXIS if num_devices > 1 else None, events_per_step=settings.events_per_step,
        l1=settings.l1_regularization, l2=settings.l2_regularization, trainable=_trainable(model, settings.frozen_parts),
        normalize_by_total_charge=settings.additional_loss_module_kwargs.normalize_by_total_charge,
        seed=settings.random_seed,
    )  # fmt: skip
    step = data_parallel(step, num_devices) if num_devices > 1 else jax.jit(step)
    evaluate_every = settings.evaluation_frequency if config.evaluation_module_settings.evaluation_module else None

    detector = jax.tree.map(np.asarray, model.detector)
    names = ["training"] + ["validation"] * (config.data_iterator_settings.validation is not None)
    for name in names:
        check_data(config, name, detector)
    if not config.model_manager_settings.restore_model:
        earlier = set_aside(directory)
        if earlier is not None:
            print(f"restore_model is False: the earlier run is kept in {earlier}")
    directory.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(directory / CHECKPOINTS, config.model_manager_settings.keep_checkpoints)
    state, positions = init_state(model.variables, optimizer), {}
    if checkpoints.latest_step() is not None:
        state, meta = _restore(checkpoints, state, model, config)
        positions = {k: Position(**v) for k, v in meta["positions"].items()}
    first = int(state.step)
    record_start(directory, config, first)
    if first >= settings.num_training_iterations:
        checkpoints.close()
        return state

    streams = {name: Prefetch(open_stream(config, name, detector, positions.get(name))) for name in names}
    writer = MetricWriter(directory, first)
    loop = Loop(
        step, jax.jit(make_loss_terms(model)), schedule, streams, writer, checkpoints, settings.validation_frequency,
        evaluate_every, settings.save_frequency, _identity(model),
    )  # fmt: skip
    try:
        return loop.run(state, settings.num_training_iterations, progress)
    finally:
        for stream in streams.values():
            stream.close()
        writer.close()
        checkpoints.close()


def _identity(model: Model) -> dict[str, Any]:
    """What the weights were trained with besides the architecture: other values would give wrong numbers silently."""
    return {"trafo": model.trafo.as_plain(), "detector": fingerprint(model.detector)}


def _restore(
    checkpoints: Checkpoints, like: TrainState, model: Model, config: ExperimentConfig, step: int | None = None
) -> tuple[TrainState, dict[str, Any]]:
    state, meta = checkpoints.restore(like, step)
    names = {
        "trafo": f"the data transformation {Path(config.data_trafo_settings.model_dir) / TRAFO_FILE}",
        "detector": f"the detector '{model.detector.name}'",
    }
    for key, value in _identity(model).items():
        if meta.get(key) != value:
            raise CheckpointError(
                f"{checkpoints.directory}: was trained with other values than {names[key]} holds now. Put the earlier "
                "one back, or set model_manager_settings.restore_model: False to start afresh."
            )
    return state, meta


def _trainable(model: Model, frozen: tuple[str, ...]) -> Callable | None:
    """Flags of the weights that train; parts are named by their path, as 'cascade' or 'track/cascade'."""
    if not frozen:
        return None
    known = _part_paths(model.source)
    for path in frozen:
        if path not in known:
            raise ConfigError(f"training_settings.frozen_parts: '{path}' is no part of the model; "
                              f"parts: {', '.join(known) or 'none'}.")  # fmt: skip

    def flags(tree: Any) -> Any:
        def flag(path, _):
            joined = "/".join(str(getattr(k, "key", k)) for k in path)
            return not any(joined == f or joined.startswith(f + "/") for f in frozen)

        return jax.tree_util.tree_map_with_path(flag, tree)

    return flags


def _part_paths(source: Any, prefix: str = "") -> list[str]:
    if not isinstance(source, MultiSource):
        return []
    paths = []
    for name, base in source.bases:
        paths += [prefix + name, *_part_paths(base, f"{prefix}{name}/")]
    return paths


def trained_model(config: ExperimentConfig, step: int | None = None) -> Model:
    """The model with the weights of a checkpoint (default: the latest).

    Raises:
      CheckpointError: nothing was trained yet, or the checkpoint does not fit.
    """
    directory = manager_directory(config)
    if not (directory / CHECKPOINTS).is_dir():
        raise CheckpointError(f"{directory}: holds no trained model. Train it with: evgen-jax train CONFIG")
    model = build_model(config)
    optimizer, _ = build_optimizer(config.training_settings)
    checkpoints = Checkpoints(directory / CHECKPOINTS, config.model_manager_settings.keep_checkpoints)
    try:
        state, _ = _restore(checkpoints, init_state(model.variables, optimizer), model, config, step)
    finally:
        checkpoints.close()
    return model.with_variables(state.variables)
