"""The training loop: steps, metrics, validation, evaluation, checkpoints; interrupted at any moment without harm."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from evgen_jax.data.batches import Batch
from evgen_jax.data.prefetch import Prefetch
from evgen_jax.errors import EvgenError
from evgen_jax.progress import pace
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.metrics import MetricWriter
from evgen_jax.training.step import TrainState


@dataclass
class Loop:
    """What every step needs.

    Attributes:
      step: (state, events, labels) -> (state, metrics).
      loss_terms: (variables, events, labels) -> {name: loss per event}, the total under 'loss'.
      schedule: step -> learning rate.
      streams: 'training' and, if there is one, 'validation'.
      writer, checkpoints: where metrics and states go.
      validate_every, evaluate_every, save_every: in steps; evaluate_every None evaluates nothing.
      identity: what is stored with every checkpoint, to compare when a run continues.
    """

    step: Callable
    loss_terms: Callable
    schedule: Callable
    streams: Mapping[str, Prefetch]
    writer: MetricWriter
    checkpoints: Checkpoints
    validate_every: int
    evaluate_every: int | None
    save_every: int
    identity: Mapping[str, Any]

    def run(self, state: TrainState, total: int, progress: bool) -> TrainState:
        """Trains until `total` steps are done, counted over all runs.

        Raises:
          EvgenError: a loss that is not finite, or what the data or the disk make impossible.
        """
        first, held_out_loss = int(state.step), float("inf")
        # State and data positions of one moment: an interrupt may come between any two lines.
        finished = (state, self._positions(), held_out_loss)
        bar = tqdm(total=total, initial=first, disable=not progress, unit="step", desc="train", **pace())
        start, waited = time.perf_counter(), 0.0
        try:
            for number in range(first + 1, total + 1):
                before = time.perf_counter()
                batch = next(self.streams["training"])
                waited += time.perf_counter() - before
                state, metrics = self.step(state, batch.events, batch.labels)
                # Waiting for every step keeps simulated devices from piling up unfinished work.
                values = {k: float(v) for k, v in metrics.items()}
                self._check(number, values["loss"])
                rate = float(self.schedule(number - 1))
                self.writer.write("training", number, learning_rate=rate, **values)
                validate, evaluate = number % self.validate_every == 0, False
                if self.evaluate_every is not None:
                    evaluate = number % self.evaluate_every == 0
                if "validation" in self.streams and (validate or evaluate):
                    terms, per_pe = self._held_out(state, next(self.streams["validation"]))
                    if validate:
                        held_out_loss = per_pe
                        self.writer.write("validation", number, loss=terms["loss"], loss_per_pe=per_pe)
                    if evaluate:
                        self.writer.write("evaluation", number, **terms)
                finished = (state, self._positions(), held_out_loss)
                if number % self.save_every == 0 or number == total:
                    self._save(*finished)
                bar.update()
                share = waited / max(time.perf_counter() - start, 1e-9)
                bar.set_postfix(loss=f"{values['loss']:.2f}", rate=f"{rate:.1e}", data_wait=f"{share:.0%}",
                                refresh=False)  # fmt: skip
        except KeyboardInterrupt:
            self._save(*finished)
            raise
        finally:
            bar.close()
        return state

    def _check(self, number: int, loss: float) -> None:
        if not np.isfinite(loss):
            raise EvgenError(
                f"step {number}: the loss is {loss}. Lower the learning rate, or set clip_gradients_value; the last "
                f"checkpoint in {self.checkpoints.directory} is untouched."
            )

    def _held_out(self, state: TrainState, batch: Batch) -> tuple[dict[str, float], float]:
        terms = {k: float(v) for k, v in self.loss_terms(state.variables, batch.events, batch.labels).items()}
        return terms, terms["loss"] / max(float(batch.events.charge.sum()) / len(batch.labels), 1.0)

    def _positions(self) -> dict[str, Any]:
        return {name: asdict(stream.position) for name, stream in self.streams.items()}

    def _save(self, state: TrainState, positions: dict[str, Any], held_out_loss: float) -> None:
        if int(state.step) == 0:
            return
        self.writer.flush()
        self.checkpoints.save(state, {"positions": positions, **self.identity}, min(held_out_loss, 1e300))
