"""Numbers that are not finite: whether the weights or the data are to blame, and which events."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from evgen_jax.data.batch import Batch
from evgen_jax.errors import DataError, EvgenError
from evgen_jax.training.checkpoints import Checkpoints
from evgen_jax.training.step import GuardedStep, TrainState, guarded

SHOWN = 3
"""Largest number of events that a message names."""


class Diverged(EvgenError):
    """Is raised for weights that a step has ruined; they are not saved."""


@dataclass(frozen=True)
class Divergence:
    """Checks the numbers of a step, and explains those that are not finite.

    Attributes:
      step: the compiled step, (guarded, events, labels) -> (guarded, metrics), of `make_guarded_step`.
      fresh: makes the state before the first step of all.
      checkpoints: to name those from which one can go on.
      nan_gradients: whether the optimiser takes gradients that are NaN (`remove_nan_gradients`).
    """

    step: GuardedStep
    fresh: Callable[[], TrainState]
    checkpoints: Checkpoints
    nan_gradients: bool = False

    def wrong(self, metrics: Mapping[str, float]) -> str:
        """Finds what is not finite among the numbers of a step.

        Args:
          metrics: of the step.

        Returns:
          What is wrong, in words; '' if all is well.
        """
        if not np.isfinite(metrics["loss"]):
            return f"the loss is {metrics['loss']}"
        if not np.isfinite(metrics["gradient_norm"]) and not (self.nan_gradients and metrics["finite"]):
            return f"the gradient is not finite (norm {metrics['gradient_norm']})"
        return "" if metrics["finite"] else "the step makes weights that are not finite"

    def check(self, number: int, metrics: Mapping[str, float], batch: Batch, resumed: bool) -> None:
        """Refuses the step `number` if one of its numbers is not finite.

        Args:
          number: of the step, from 1.
          metrics: of the step.
          batch: on which it was taken.
          resumed: whether it is the first one after a checkpoint.

        Raises:
          Diverged: the weights are at fault: fresh ones give finite numbers for these events.
          DataError: the events are at fault; they are named.
        """
        wrong = self.wrong(metrics)
        if not wrong:
            return
        if self.wrong(self._metrics(batch, None)):
            raise DataError(f"step {number}: {wrong}, with untrained weights too. {self._blame(batch)}")
        if resumed:
            raise Diverged(
                f"step {number}: {wrong}, where untrained weights give finite numbers: checkpoint {number - 1} holds "
                f"weights of a training that had diverged. {self._earlier(number - 1)}"
            )
        raise Diverged(
            f"step {number}: {wrong}, where untrained weights give finite numbers: the training has diverged. Lower the "
            f"learning rate, or set clip_gradients_value. {self.next_run()}"
        )

    def check_saved(self, number: int, state: TrainState, batch: Batch) -> None:
        """Refuses to save the weights after step `number` if they give no finite loss.

        Args:
          number: of the step, from 1.
          state: after it.
          batch: on which the step was taken.

        Raises:
          Diverged: they give none, for events of which the weights before gave one.
        """
        wrong = self.wrong(self._numbers(state, batch.events, batch.labels))
        if wrong:
            raise Diverged(
                f"step {number}: its weights are not saved, with them {wrong}: the training has diverged. Lower the learning "
                f"rate, or set clip_gradients_value. {self.next_run()}"
            )

    def _metrics(self, batch: Batch, only: int | None) -> dict[str, float]:
        """Numbers of a step from untrained weights, on the batch or on one of its events, repeated: no new program."""
        events, labels = batch.events, batch.labels
        if only is not None:
            events, labels = jax.tree.map(lambda x: np.repeat(x[only : only + 1], len(x), axis=0), (events, labels))
        return self._numbers(self.fresh(), events, labels)

    def _numbers(self, state: TrainState, events: Any, labels: Any) -> dict[str, float]:
        """Numbers of a step from a state, which is left as it is."""
        return {k: float(v) for k, v in self.step(guarded(state), events, labels)[1].items()}

    def _blame(self, batch: Batch) -> str:
        bad = {}
        for i, name in enumerate(batch.names):
            wrong = name not in bad and self.wrong(self._metrics(batch, i))
            if wrong:
                bad[name] = wrong
        if not bad:
            return "No single event of the batch does so alone."
        listed = "; ".join(f"{name} ({wrong})" for name, wrong in list(bad.items())[:SHOWN])
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        whole = ", which is every one of this batch: look at labels, units and model settings as well" * (
            len(bad) == len(set(batch.names))
        )
        return (
            f"At fault: {listed}{more}{whole}. Mend the file, or leave such events out with "
            "data_handler_settings.filter_settings."
        )

    def next_run(self) -> str:
        """Says where the next run of a training continues.

        Returns:
          One sentence.
        """
        steps = self.checkpoints.steps()
        if not steps:
            return "There is no earlier checkpoint: the next run starts afresh."
        earlier = f", earlier ones with --step ({', '.join(map(str, steps[:-1]))})" if len(steps) > 1 else ""
        return f"The next run continues from step {steps[-1]} in {self.checkpoints.directory}{earlier}."

    def _earlier(self, number: int) -> str:
        steps = [step for step in self.checkpoints.steps() if step < number]
        if steps:
            return f"Start from an earlier one with train --step N; there are: {', '.join(map(str, steps))}."
        return "There is no earlier one: set model_manager_settings.restore_model: False to start afresh."
