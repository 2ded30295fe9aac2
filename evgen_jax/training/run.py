"""The training program: data in, checkpoints and a loss curve out; run again, it continues where it stopped."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from evgen_jax.building.experiment import build_model, open_stream
from evgen_jax.building.model_files import CHECKPOINTS
from evgen_jax.config.records import ExperimentConfig
from evgen_jax.data.batches import Position, find_files
from evgen_jax.data.conversion import Conversion
from evgen_jax.data.convert import make_cache
from evgen_jax.data.labels import label_names
from evgen_jax.data.prefetch import Prefetch, place
from evgen_jax.data.sections import is_section
from evgen_jax.errors import CheckpointError, ConfigError
from evgen_jax.interruption import Interruption
from evgen_jax.light.source import Variables
from evgen_jax.light.tree import walk
from evgen_jax.measurement.detector import Detector
from evgen_jax.model.model import Model
from evgen_jax.progress import counted
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.data_check import check_data
from evgen_jax.training.divergence import Divergence
from evgen_jax.training.history import changed_settings, record_start
from evgen_jax.training.lock import locked, set_run_aside
from evgen_jax.training.loop import Loop
from evgen_jax.training.metrics import keep_metrics
from evgen_jax.training.optimizer import build_optimizer
from evgen_jax.training.parallel import AXIS, choose_devices, data_parallel
from evgen_jax.training.restore import identity, manager_directory, optimizer_identity, resume
from evgen_jax.training.step import TrainState, init_state, make_guarded_step, make_loss_terms, make_train_step
from evgen_jax.training.unread import AHEAD
from evgen_jax.training.validation import read_validation_set
from evgen_jax.training.writers import check_writers, open_writers

LOGGER = logging.getLogger("evgen_jax")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of errors of a full disk or quota."""


def train(
    config: ExperimentConfig,
    progress: bool = False,
    step: int | None = None,
    fresh_optimizer: bool = False,
    cache: str | Path | None = None,
) -> TrainState:
    """Trains until `num_training_iterations` steps are done in total, over all runs.

    Args:
      config: the experiment.
      progress: whether to show a bar.
      step: go on from this checkpoint instead of the latest; later ones are set aside.
      fresh_optimizer: go on with the weights alone, the optimiser starts anew.
      cache: directory into which the files of the training are converted unless that was done, and from which they are
        read; None: the files are read as they are.

    Returns:
      The state after the last step.

    Raises:
      EvgenError: whatever the configuration, the data or the checkpoint makes impossible, or a number that is not
        finite. Finished steps are saved.
      Interrupted: by SIGTERM or Ctrl-C, in the main thread. Finished steps are saved.
    """
    directory = manager_directory(config)
    try:
        with Interruption() as interruption, locked(directory):
            return _train(config, directory, progress, step, fresh_optimizer, cache, interruption)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise CheckpointError(
            f"{directory}: cannot be written ({os.strerror(error.errno)}). The last complete checkpoint is kept: make room and "
            "run the same command again to continue."
        ) from None


def _train(
    config: ExperimentConfig,
    directory: Path,
    progress: bool,
    from_step: int | None,
    fresh_optimizer: bool,
    cache: str | Path | None,
    interruption: Interruption,
) -> TrainState:
    settings, iterators = config.training_settings, config.data_iterator_settings
    check_writers(settings.metric_writers)
    model = build_model(config)
    optimizer, schedule = build_optimizer(settings)
    num_devices = choose_devices(settings.num_devices, iterators.training.batch_size)
    if num_devices > 1 and not iterators.training.pick_random_files_forever:
        raise ConfigError(
            "data_iterator_settings.training.pick_random_files_forever: False ends with a batch that several devices "
            "cannot share. Set it to True, or training_settings.num_devices to 1."
        )
    plain = make_train_step(
        model,
        optimizer,
        axis_name=AXIS if num_devices > 1 else None,
        events_per_step=settings.events_per_step,
        l1=settings.l1_regularization,
        l2=settings.l2_regularization,
        trainable=_trainable(model, settings.frozen_parts),
        normalize_by_total_charge=settings.additional_loss_module_kwargs.normalize_by_total_charge,
        seed=settings.random_seed,
    )
    step = make_guarded_step(plain, schedule, settings.remove_nan_gradients)
    step = data_parallel(step, num_devices) if num_devices > 1 else jax.jit(step, donate_argnums=0)
    # Simulated devices share threads: steps that wait for each other in several of them may wait for ever.
    ahead = 0 if num_devices > 1 and jax.default_backend() == "cpu" else AHEAD
    evaluate_every = settings.evaluation_frequency if config.evaluation_module_settings.evaluation_module else None

    detector = jax.tree.map(np.asarray, model.detector)
    check_data(config, "training", detector, model.trafo, model.parameters)
    validation = None if iterators.validation is None else read_validation_set(config, detector, model.parameters)
    if not config.model_manager_settings.restore_model:
        earlier = set_run_aside(directory)
        if earlier is not None:
            LOGGER.warning("restore_model is False: the earlier run is kept in %s", earlier)
    checkpoints = Checkpoints(directory / CHECKPOINTS, config.model_manager_settings.keep_checkpoints)
    try:
        state, position = _begin(checkpoints, directory, model, optimizer, config, from_step, fresh_optimizer)
        first, total = int(state.step), settings.num_training_iterations
        if first >= total:
            return state
        stored = config if cache is None else _with_cache(config, cache, detector, model)
        record_start(directory, config, first)
        writer = open_writers(settings.metric_writers, directory, config, first)
        stream = Prefetch(
            open_stream(stored, "training", detector, position, model.parameters),
            while_waiting=interruption.check,
            prepare=place if num_devices == 1 else lambda batch: batch,
        )
        divergence = Divergence(
            step, lambda: init_state(model.variables, optimizer), checkpoints, settings.remove_nan_gradients
        )
        loop = Loop(
            step=step,
            loss_terms=jax.jit(make_loss_terms(model)),
            stream=stream,
            validation=validation,
            writer=writer,
            checkpoints=checkpoints,
            validate_every=settings.validation_frequency,
            evaluate_every=evaluate_every,
            save_every=settings.save_frequency,
            identity={**identity(model), "optimizer": optimizer_identity(settings)},
            divergence=divergence,
            interruption=interruption,
            log_every=settings.log_every,
            ahead=ahead,
        )
        try:
            return loop.run(state, total, progress)
        finally:
            stream.close()
            writer.close()
    finally:
        checkpoints.close()


def _with_cache(config: ExperimentConfig, cache: str | Path, detector: Detector, model: Model) -> ExperimentConfig:
    """The configuration with the converted files of the training in the place of the files."""
    iterators = config.data_iterator_settings
    training, handler = iterators.training, config.data_handler_settings
    if any(is_section(path) for path in find_files(training.input_data)):
        LOGGER.warning("--cache %s: is not needed, for the events of the training are converted already.", cache)
        return config
    conversion = Conversion(
        training.input_data, handler, detector, bool(label_names(handler)), parameters=model.parameters
    )
    done = make_cache(conversion, cache, jobs=training.num_jobs, progress=lambda files: counted(files, "cache", "file"))
    LOGGER.info("%s: %s", cache, done)
    training = training.model_copy(update={"input_data": (str(cache),)})
    return config.model_copy(update={"data_iterator_settings": iterators.model_copy(update={"training": training})})


def _begin(
    checkpoints: Checkpoints,
    directory: Path,
    model: Model,
    optimizer: Any,
    config: ExperimentConfig,
    from_step: int | None,
    fresh_optimizer: bool,
) -> tuple[TrainState, Position | None]:
    """The state to start from and where its data stand; what does not belong to it is told and set aside."""
    if checkpoints.latest_step() is None and from_step is None:
        return init_state(model.variables, optimizer), None
    state, meta = resume(checkpoints, model, optimizer, config, from_step, fresh_optimizer)
    changes = changed_settings(directory, config)
    if changes:
        LOGGER.warning("continues with other settings than before: %s", "; ".join(changes))
    later = checkpoints.set_aside_after(int(state.step))
    if later is not None:
        keep_metrics(directory, later)
        LOGGER.warning("continues from step %d: later checkpoints are kept in %s", int(state.step), later)
    position = meta["positions"].get("training")
    return state, None if position is None else Position(**position)


def _trainable(model: Model, frozen: tuple[str, ...]) -> Callable[[Variables], Any] | None:
    """Flags of the weights that train; parts are named by their path, as 'cascade' or 'track/cascade'."""
    if not frozen:
        return None
    known = ["/".join(path) for path, _ in walk(model.source) if path]
    for path in frozen:
        if path not in known:
            raise ConfigError(
                f"training_settings.frozen_parts: '{path}' is no part of the model; "
                f"parts: {', '.join(known) or 'none'}."
            )

    def flags(tree: Any) -> Any:
        def flag(path: tuple[Any, ...], _: Any) -> bool:
            joined = "/".join(str(getattr(k, "key", k)) for k in path)
            return not any(joined == f or joined.startswith(f + "/") for f in frozen)

        return jax.tree_util.tree_map_with_path(flag, tree)

    return flags
