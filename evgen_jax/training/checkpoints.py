"""Checkpoints: everything a resumed run needs. The only file that imports Orbax."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from evgen_jax.building.stored_checkpoints import StoredCheckpoints
from evgen_jax.errors import CheckpointError
from evgen_jax.files import free_name
from evgen_jax.training.step import TrainState


class OtherOptimizer(CheckpointError):
    """Is raised for a checkpoint whose optimiser keeps another state than the present optimiser."""


class Checkpoints(StoredCheckpoints):
    """Keeps numbered checkpoints of one run: the latest n and the one with the lowest validation loss."""

    def save(self, state: TrainState, meta: dict[str, Any], loss: float) -> None:
        """Starts writing a checkpoint; one that exists already stays as it is.

        Args:
          state: to write; its number of finished steps is the number of the checkpoint.
          meta: plain values that are written beside it.
          loss: of the validation, by which the best checkpoint is known.

        Raises:
          CheckpointError: it cannot be written; earlier ones are untouched.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)),
                metrics={"loss": float(loss)},
            )
        except (OSError, ValueError) as error:
            raise self._not_written(error) from None

    def restore(self, like: TrainState, step: int | None = None) -> tuple[TrainState, dict[str, Any]]:
        """Reads a checkpoint into a state of equal architecture and optimiser.

        Args:
          like: state whose shapes the checkpoint must have.
          step: number of the checkpoint; None: the latest.

        Returns:
          The state, and the plain values that were written beside it.

        Raises:
          CheckpointError: none there, damaged, or of another architecture; both sides are listed.
          OtherOptimizer: it fits but for the optimiser's state.
        """
        step = self.existing_step(step)
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        stored = self._compared(step, abstract.variables)
        if _shapes(stored["optimizer_state"]) != _shapes(abstract.optimizer_state):
            raise OtherOptimizer(f"{self.directory / str(step)}: was trained with another optimiser.")
        try:
            restored = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract), meta=ocp.args.JsonRestore())
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(step, error) from None
        return restored["state"], restored["meta"]

    def set_aside_after(self, step: int) -> Path | None:
        """Moves later checkpoints into a new directory, 'checkpoints.old-1' and so on.

        Args:
          step: number of the last checkpoint that stays.

        Returns:
          The directory; None if there are no later checkpoints.
        """
        later = [s for s in self.steps() if s > step]
        if not later:
            return None
        target = free_name(self.directory)
        target.mkdir()
        for number in later:
            (self.directory / str(number)).rename(target / str(number))
        self._manager.reload()
        return target

    def wait(self) -> None:
        """Blocks until everything is on disk.

        Raises:
          CheckpointError: a checkpoint could not be written; earlier ones are untouched.
        """
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            raise self._not_written(error) from None

    def _not_written(self, error: Exception) -> CheckpointError:
        # What is written in the background fails at the next call; its message ends with pages of settings.
        reason = str(error).splitlines()[0].split(" [")[0].rsplit(": ", 1)[-1]
        return CheckpointError(
            f"{self.directory}: a checkpoint could not be written ({reason}). Earlier ones are untouched: make room and "
            "run the same command again to continue from the latest."
        )

    def close(self) -> None:
        """Waits, then frees what the manager holds.

        Raises:
          CheckpointError: a checkpoint could not be written; earlier ones are untouched.
        """
        try:
            self.wait()
        finally:
            try:
                self._manager.close()
            except (OSError, ValueError) as error:
                raise self._not_written(error) from None


def _shapes(tree: Any) -> Mapping[str, tuple[int, ...]]:
    """Shape of every array by its path, written alike for tuples, named tuples and what is read back of them."""

    def name(key: Any) -> str:
        return str(next(getattr(key, a) for a in ("idx", "name", "key") if hasattr(key, a)))

    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(map(name, path)): tuple(leaf.shape) for path, leaf in leaves}
