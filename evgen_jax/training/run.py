"""The training program: data in, checkpoints and a loss curve out; run again, it continues where it stopped."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml
from tqdm import tqdm

from evgen_jax.config.records import ExperimentConfig
from evgen_jax.data.batches import Batch, BatchStream, Position
from evgen_jax.errors import CheckpointError, ConfigError, EvgenError
from evgen_jax.experiment import build_model, check_data, open_stream
from evgen_jax.model import Model
from evgen_jax.multi_sources.multi_source import MultiSource
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.metrics import MetricWriter
from evgen_jax.training.optimizer import build_optimizer
from evgen_jax.training.parallel import AXIS, choose_devices, data_parallel
from evgen_jax.training.step import TrainState, init_state, make_batch_loss, make_train_step

CHECKPOINTS, HISTORY = "checkpoints", "training_steps.json"


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
    )  # fmt: skip
    step = data_parallel(step, num_devices) if num_devices > 1 else jax.jit(step)
    batch_loss = make_batch_loss(model, settings.events_per_step)
    validate = jax.jit(lambda variables, events, labels: batch_loss(variables, events, labels)[0] / labels.shape[0])

    detector = jax.tree.map(np.asarray, model.detector)
    names = ["training"] + ["validation"] * (config.data_iterator_settings.validation is not None)
    for name in names:
        check_data(config, name, detector)
    if not config.model_manager_settings.restore_model:
        _set_aside(directory)
    directory.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(directory / CHECKPOINTS, config.model_manager_settings.keep_checkpoints)
    state, positions = init_state(model.variables, optimizer), {}
    if checkpoints.latest_step() is not None:
        state, meta = checkpoints.restore(state)
        positions = {k: Position(**v) for k, v in meta["positions"].items()}
    first = int(state.step)
    _record_start(directory, config, first)
    if first >= settings.num_training_iterations:
        checkpoints.close()
        return state

    streams = {name: Prefetch(open_stream(config, name, detector, positions.get(name))) for name in names}
    writer = MetricWriter(directory, first)
    loop = _Loop(step, validate, schedule, streams, writer, checkpoints)
    try:
        return loop.run(state, settings.num_training_iterations, settings.validation_frequency,
                        settings.save_frequency, progress)  # fmt: skip
    finally:
        for stream in streams.values():
            stream.close()
        writer.close()
        checkpoints.close()


class _Loop:
    """The loop itself and what it needs at every step."""

    def __init__(self, step, validate, schedule, streams, writer, checkpoints):
        self.step, self.validate, self.schedule = step, validate, schedule
        self.streams, self.writer, self.checkpoints = streams, writer, checkpoints
        self.loss = float("inf")

    def run(self, state: TrainState, total: int, validate_every: int, save_every: int, progress: bool) -> TrainState:
        first = int(state.step)
        bar = tqdm(total=total, initial=first, disable=not progress, unit="step", dynamic_ncols=True, desc="train")
        start, waited = time.perf_counter(), 0.0
        try:
            for number in range(first + 1, total + 1):
                before = time.perf_counter()
                batch = next(self.streams["training"])
                waited += time.perf_counter() - before
                state, metrics = self.step(state, batch.events, batch.labels)
                # Waiting for every step keeps simulated devices from piling up unfinished work.
                loss = float(metrics["loss"])
                if not np.isfinite(loss):
                    raise EvgenError(
                        f"step {number}: the loss is {loss}. Lower the learning rate, or set clip_gradients_value; "
                        f"the last checkpoint in {self.checkpoints.directory} is untouched."
                    )
                rate = float(self.schedule(number - 1))
                self.writer.write("training", number, learning_rate=rate, **{k: float(v) for k, v in metrics.items()})
                if number % validate_every == 0 and "validation" in self.streams:
                    held_out = next(self.streams["validation"])
                    loss = float(self.validate(state.variables, held_out.events, held_out.labels))
                    self.loss = loss / max(float(held_out.events.charge.sum()) / len(held_out.labels), 1.0)
                    self.writer.write("validation", number, loss=loss, loss_per_pe=self.loss)
                if number % save_every == 0 or number == total:
                    self.save(state)
                bar.update()
                share = waited / max(time.perf_counter() - start, 1e-9)
                bar.set_postfix(
                    loss=f"{metrics['loss']:.2f}", rate=f"{rate:.1e}", data_wait=f"{share:.0%}", refresh=False
                )
        except KeyboardInterrupt:
            self.save(state)
            bar.close()
            raise
        bar.close()
        return state

    def save(self, state: TrainState) -> None:
        self.writer.flush()
        positions = {name: asdict(stream.position) for name, stream in self.streams.items()}
        self.checkpoints.save(state, {"positions": positions}, min(self.loss, 1e300))


class Prefetch:
    """Reads a stream in a thread of its own; `position` is that of the last batch handed out."""

    def __init__(self, stream: BatchStream, depth: int = 4):
        self._stream, self.position = stream, stream.position
        self._queue: queue.Queue[Any] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        try:
            for batch in self._stream:
                self._put((batch, self._stream.position))
                if self._stop.is_set():
                    return
            self._put(StopIteration())
        except BaseException as error:  # handed to the trainer, which raises it
            self._put(error)

    def _put(self, item: Any) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        batch, self.position = item
        return batch

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)
        self._stream.close()


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


def _set_aside(directory: Path) -> None:
    """Moves an earlier run to a name of its own; nothing is deleted."""
    if not directory.exists():
        return
    number = 1
    while (target := directory.with_name(f"{directory.name}.old-{number}")).exists():
        number += 1
    directory.rename(target)
    print(f"restore_model is False: the earlier run is kept in {target}")


def _record_start(directory: Path, config: ExperimentConfig, step: int) -> None:
    """Adds this run to the history: from which step on which configuration was in force."""
    path = directory / HISTORY
    history = read_history(directory)
    number = len(history) + 1
    name = f"config_{number:04d}.yaml"
    (directory / name).write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    history.append({"run": number, "first_step": step, "config": name, "date": time.strftime("%Y-%m-%d %H:%M:%S")})
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(history, indent=1) + "\n")
    partial.replace(path)


def read_history(directory: Path) -> list[dict[str, Any]]:
    path = directory / HISTORY
    return json.loads(path.read_text()) if path.is_file() else []


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
        state, _ = checkpoints.restore(init_state(model.variables, optimizer), step)
    finally:
        checkpoints.close()
    return model.with_variables(state.variables)
