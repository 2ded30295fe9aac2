"""The training loop: steps, metrics, validation, evaluation, checkpoints; what ends it loses no finished step."""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tqdm import tqdm

from evgen_jax.data.batch import Batch
from evgen_jax.data.prefetch import Prefetch
from evgen_jax.errors import CheckpointError, DataError, EvgenError
from evgen_jax.interruption import Interrupted, Interruption
from evgen_jax.progress import pace
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.divergence import Diverged, Divergence
from evgen_jax.training.step import GuardedStep, LossTerms, TrainState, copied, guarded
from evgen_jax.training.unread import AHEAD, Dispatched, Unread
from evgen_jax.training.validation import ValidationSet
from evgen_jax.training.writers import MetricWriter

LOGGER = logging.getLogger("evgen_jax")
UNKNOWN = 1e300
"""Validation loss of a checkpoint that was not validated: it is never the best one."""


@dataclass(frozen=True)
class Finished:
    """Holds what belongs to one moment of a training.

    Attributes:
      number: of the last finished step.
      position: where the data stand after it.
      loss: of the validation, per photoelectron.
      batch: of that step; None where no step was taken since the state was read.
    """

    number: int
    position: dict[str, Any]
    loss: float = UNKNOWN
    batch: Batch | None = None


@dataclass
class Loop:
    """Runs the steps of a training.

    Attributes:
      step: (guarded, events, labels) -> (guarded, metrics); it may take the memory of what it is given.
      loss_terms: (variables, events, labels) -> {name: loss of every event}, the total under 'loss'.
      stream: batches to train on.
      validation: events to validate on, or None.
      writer: where metrics go.
      checkpoints: where states go.
      validate_every: in steps.
      evaluate_every: in steps; None evaluates nothing.
      save_every: in steps.
      identity: what is stored with every checkpoint, to compare when a run continues.
      divergence: finds out why a number is not finite.
      interruption: signals, looked at between steps.
      log_every: in steps; how often numbers are read from the device and written.
      ahead: steps that the device has in its queue; at most `log_every` - 1.
    """

    step: GuardedStep
    loss_terms: LossTerms
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
    log_every: int = 50
    ahead: int = AHEAD

    def run(self, state: TrainState, total: int, progress: bool) -> TrainState:
        """Trains until `total` steps are done, counted over all runs, or the data end.

        Whatever ends it, the last finished step is saved, unless its weights give no finite loss.

        Args:
          state: to begin with; it is left as it is.
          total: number of the last step.
          progress: whether to show a bar.

        Returns:
          The state after the last step.

        Raises:
          EvgenError: a number that is not finite, or what the data or the disk make impossible.
          Interrupted: by SIGTERM or Ctrl-C.
        """
        first = int(state.step)
        self._carry, self._first = guarded(state), first
        self._unread = Unread(min(self.ahead, self.log_every - 1))
        self._last = Finished(first, asdict(self.stream.position))
        self._bar = tqdm(total=total, initial=first, disable=not progress, unit="step", desc="train", **pace())
        self.interruption.defer()
        try:
            try:
                self._take_steps(first, total)
            except BaseException:
                self._read_what_is_done()
                raise
        except StopIteration:
            self._bar.close()
            last = self._last
            if last.batch is not None and last.loss == UNKNOWN:
                self._last = replace(last, loss=self._held_out(last.number, True))
            self._save()
            LOGGER.warning("the training data ended after step %d (pick_random_files_forever: False).", last.number)
        except (CheckpointError, Diverged):
            raise
        except Interrupted as stop:
            self._bar.close()
            raise Interrupted(stop.number, f"{stop}. {self._save_what_is_done()}") from None
        except EvgenError as error:
            self._bar.close()
            signal, done = self._signal_behind(error), self._save_what_is_done()
            if signal is not None:
                raise Interrupted(signal.number, f"{signal}. {done}") from None
            raise type(error)(f"{error} {done}") from None
        except BaseException as error:
            self._bar.close()
            try:
                LOGGER.warning("%s: %s", type(error).__name__, self._save_what_is_done())
            except Exception as second:  # what ended the training is the news
                LOGGER.warning("the last finished step could not be saved (%s).", second)
            raise
        finally:
            self._bar.close()
        return self._carry.state

    def _take_steps(self, first: int, total: int) -> None:
        start, waited = time.perf_counter(), 0.0
        for number in range(first + 1, total + 1):
            self.interruption.check()
            before = time.perf_counter()
            batch = next(self.stream)
            waited += time.perf_counter() - before
            self._carry, metrics = self.step(self._carry, *(batch.placed or (batch.events, batch.labels)))
            self._unread.add(Dispatched(number, metrics, batch, asdict(self.stream.position)))
            self._bar.update()
            save = number % self.save_every == 0 or number == total
            due = save or (self.validation is not None and self._is_held_out_due(number))
            if due or number % self.log_every == 0:
                shown = self._read(in_flight=not due)
                share = waited / max(time.perf_counter() - start, 1e-9)
                self._bar.set_postfix(**shown, data_wait=f"{share:.0%}", refresh=False)
            if due:
                self._last = replace(self._last, loss=self._held_out(number, save))
            if save:
                self._save()

    def _is_held_out_due(self, number: int) -> bool:
        return any(every and number % every == 0 for every in (self.validate_every, self.evaluate_every))

    def _read(self, in_flight: bool) -> dict[str, str]:
        """Reads numbers from the device and writes them.

        Args:
          in_flight: whether the newest steps are left to the device.

        Returns:
          The last ones as the bar shows them; empty if there were none to read.

        Raises:
          EvgenError: as `Divergence.check`; the last finished step is then the one before.
        """
        shown: dict[str, str] = {}
        for step, values in self._unread.read(in_flight):
            resumed = step.number == self._first + 1 and self._first > 0
            try:
                self.divergence.check(step.number, values, step.batch, resumed)
            except EvgenError:
                self._unread.clear()  # they changed nothing
                raise
            del values["finite"]
            rate = values.pop("learning_rate")
            self.writer.write("training", step.number, {"learning_rate": rate, **values})
            self._last = Finished(step.number, step.position, batch=step.batch)
            shown = {"loss": f"{values['loss']:.2f}", "rate": f"{rate:.1e}"}
        self.writer.flush()
        return shown

    def _read_what_is_done(self) -> None:
        """Reads all steps that are left where something else ends the training.

        Raises:
          EvgenError: one of them was not finite, which is the news then.
          OSError: they cannot be written.
        """
        try:
            self._read(in_flight=False)
        except (EvgenError, OSError):
            raise
        except Exception as error:  # the device has failed, which is told by what ended the training
            LOGGER.debug("the last steps cannot be read: %s", error)

    def _held_out(self, number: int, save: bool) -> float:
        """Validates and evaluates where it is due; the loss per photoelectron, if it was taken."""
        variables = self._carry.state.variables
        validate = number % self.validate_every == 0
        evaluate = self.evaluate_every is not None and number % self.evaluate_every == 0
        if self.validation is None or not (validate or evaluate or save):
            return UNKNOWN
        terms, per_pe = self.validation.loss(self.loss_terms, variables, self.interruption.check)
        if validate:
            self.writer.write("validation", number, {"loss": terms["loss"], "loss_per_pe": per_pe})
        if evaluate:
            self.writer.write("evaluation", number, terms)
        if not abs(per_pe) < UNKNOWN:
            bad = self.validation.not_finite(self.loss_terms, variables)
            LOGGER.warning(
                "step %d: the validation loss is %s: it is not finite for %d events (%s).",
                number,
                per_pe,
                len(bad),
                "; ".join(bad[:3]),
            )
            return UNKNOWN
        return per_pe

    def _save_what_is_done(self) -> str:
        """Saves the last finished step and says so; the disk has it when this returns."""
        done = self._last.number
        again = "Run the same command again to continue."
        if done == 0:
            return f"No step was finished. {again}"
        if not self._is_there():
            return f"What was trained after step {done} is lost: it could not be read, or not written. {self.divergence.next_run()}"
        try:
            self._save()
        except Diverged as error:
            return str(error)
        except CheckpointError:
            raise
        except Exception:
            # The device cannot take a step any more; the weights are finite, and the best that there is.
            self._store()
        self.checkpoints.wait()
        return f"Step {done} is saved in {self.checkpoints.directory}. {again}"

    def _is_there(self) -> bool:
        """Whether the state is that of the last finished step: a device that failed may have taken it with it."""
        try:
            return int(self._carry.state.step) == self._last.number
        except Exception:  # JAX has errors of its own for every device
            return False

    def _save(self) -> None:
        last, state = self._last, self._carry.state
        if last.batch is None:
            return  # as it was read
        # Weights are proven by a loss: a step that ruined them is known only here.
        self.divergence.check_saved(last.number, state, last.batch)
        self._store()

    def _store(self) -> None:
        self.writer.flush()
        meta = {"positions": {"training": self._last.position}, **self.identity}
        # The next step takes the memory of the state, and the checkpoint is written in the background.
        self.checkpoints.save(copied(self._carry.state), meta, self._last.loss)

    def _signal_behind(self, error: EvgenError) -> Interrupted | None:
        """The signal that ended the readers, if it was one: a batch system ends all processes, maybe these first."""
        if isinstance(error, DataError):
            time.sleep(0.5)
            try:
                self.interruption.check()
            except Interrupted as stop:
                return stop
        return None
