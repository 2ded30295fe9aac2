"""The training loop: steps, metrics, validation, evaluation, checkpoints; what ends it loses no finished step."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tqdm import tqdm

from evgen_jax.data.batches import Batch
from evgen_jax.data.prefetch import Prefetch
from evgen_jax.errors import CheckpointError, DataError, EvgenError
from evgen_jax.interruption import Interrupted, Interruption
from evgen_jax.progress import pace
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.divergence import Diverged, Divergence
from evgen_jax.training.metrics import MetricWriter
from evgen_jax.training.step import TrainState
from evgen_jax.training.validation import ValidationSet

LOGGER = logging.getLogger("evgen_jax")
UNKNOWN = 1e300
"""Validation loss of a checkpoint that was not validated: it is never the best one."""


@dataclass(frozen=True)
class Finished:
    """What belongs to one moment: state, place in the data, validation loss (per photoelectron) and the last batch."""

    state: TrainState
    position: dict[str, Any]
    loss: float = UNKNOWN
    batch: Batch | None = None


@dataclass
class Loop:
    """What every step needs.

    Attributes:
      step: (state, events, labels) -> (state, metrics).
      loss_terms: (variables, events, labels) -> {name: loss of every event}, the total under 'loss'.
      schedule: step -> learning rate.
      stream: batches to train on.
      validation: events to validate on, or None.
      writer, checkpoints: where metrics and states go.
      validate_every, evaluate_every, save_every: in steps; evaluate_every None evaluates nothing.
      identity: what is stored with every checkpoint, to compare when a run continues.
      divergence: finds out why a number is not finite.
      interruption: signals, looked at between steps.
    """

    step: Callable
    loss_terms: Callable
    schedule: Callable
    stream: Prefetch
    validation: ValidationSet | None
    writer: MetricWriter
    checkpoints: Checkpoints
    validate_every: int
    evaluate_every: int | None
    save_every: int
    identity: Mapping[str, Any]
    divergence: Divergence
    interruption: Interruption

    def run(self, state: TrainState, total: int, progress: bool) -> TrainState:
        """Trains until `total` steps are done, counted over all runs, or the data end.

        Whatever ends it, the last finished step is saved, unless its weights give no finite loss.

        Raises:
          EvgenError: a number that is not finite, or what the data or the disk make impossible.
          Interrupted: by SIGTERM or Ctrl-C.
        """
        first = int(state.step)
        last = Finished(state, asdict(self.stream.position))
        bar = tqdm(total=total, initial=first, disable=not progress, unit="step", desc="train", **pace())
        start, waited = time.perf_counter(), 0.0
        self.interruption.defer()
        try:
            for number in range(first + 1, total + 1):
                self.interruption.check()
                before = time.perf_counter()
                batch = next(self.stream)
                waited += time.perf_counter() - before
                state, metrics = self.step(last.state, batch.events, batch.labels)
                # Waiting for every step keeps simulated devices from piling up unfinished work.
                values = {k: float(v) for k, v in metrics.items()}
                self.divergence.check(number, values, batch, resumed=number == first + 1 and first > 0)
                values.pop("finite")
                rate = float(self.schedule(number - 1))
                self.writer.write("training", number, learning_rate=rate, **values)
                save = number % self.save_every == 0 or number == total
                held_out_loss = self._held_out(number, state, save)
                last = Finished(state, asdict(self.stream.position), held_out_loss, batch)
                if save:
                    self._save(last)
                bar.update()
                share = waited / max(time.perf_counter() - start, 1e-9)
                bar.set_postfix(loss=f"{values['loss']:.2f}", rate=f"{rate:.1e}", data_wait=f"{share:.0%}",
                                refresh=False)  # fmt: skip
        except StopIteration:
            bar.close()
            if last.batch is not None and last.loss == UNKNOWN:
                last = replace(last, loss=self._held_out(int(last.state.step), last.state, True))
            self._save(last)
            LOGGER.warning("the training data ended after step %d (pick_random_files_forever: False).", last.state.step)
        except (CheckpointError, Diverged):
            raise
        except Interrupted as stop:
            bar.close()
            raise Interrupted(stop.number, f"{stop}. {self._save_what_is_done(last)}") from None
        except EvgenError as error:
            bar.close()
            self._let_signals_come(error)
            raise type(error)(f"{error} {self._save_what_is_done(last)}") from None
        except BaseException as error:
            bar.close()
            try:
                LOGGER.warning("%s: %s", type(error).__name__, self._save_what_is_done(last))
            except Exception as second:  # what ended the training is the news
                LOGGER.warning("the last finished step could not be saved (%s).", second)
            raise
        finally:
            bar.close()
        return last.state

    def _held_out(self, number: int, state: TrainState, save: bool) -> float:
        """Validates and evaluates where it is due; the loss per photoelectron, if it was taken."""
        validate = number % self.validate_every == 0
        evaluate = self.evaluate_every is not None and number % self.evaluate_every == 0
        if self.validation is None or not (validate or evaluate or save):
            return UNKNOWN
        terms, per_pe = self.validation.loss(self.loss_terms, state.variables, self.interruption.check)
        if validate:
            self.writer.write("validation", number, loss=terms["loss"], loss_per_pe=per_pe)
        if evaluate:
            self.writer.write("evaluation", number, **terms)
        if not abs(per_pe) < UNKNOWN:
            bad = self.validation.not_finite(self.loss_terms, state.variables)
            LOGGER.warning("step %d: the validation loss is %s: it is not finite for %d events (%s).", number, per_pe,
                           len(bad), "; ".join(bad[:3]))  # fmt: skip
            return UNKNOWN
        return per_pe

    def _save_what_is_done(self, last: Finished) -> str:
        """Saves the last finished step and says so; the disk has it when this returns."""
        done = int(last.state.step)
        again = "Run the same command again to continue."
        if done == 0:
            return f"No step was finished. {again}"
        try:
            self._save(last)
        except Diverged as error:
            return str(error)
        except CheckpointError:
            raise
        except Exception:
            # The device cannot take a step any more; the weights are finite, and the best that there is.
            self._store(last)
        self.checkpoints.wait()
        return f"Step {done} is saved in {self.checkpoints.directory}. {again}"

    def _save(self, last: Finished) -> None:
        if last.batch is None:
            return  # as it was read
        # Weights are proven by a loss: a step that ruined them is known only here.
        _, metrics = self.step(last.state, last.batch.events, last.batch.labels)
        self.divergence.check_saved(int(last.state.step), {k: float(v) for k, v in metrics.items()})
        self._store(last)

    def _store(self, last: Finished) -> None:
        self.writer.flush()
        self.checkpoints.save(last.state, {"positions": {"training": last.position}, **self.identity}, last.loss)

    def _let_signals_come(self, error: EvgenError) -> None:
        """A batch system that ends all processes may end the readers before its signal arrives here."""
        if isinstance(error, DataError):
            time.sleep(0.5)
            self.interruption.check()
