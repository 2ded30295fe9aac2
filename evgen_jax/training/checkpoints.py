"""Checkpoints: everything a resumed run needs. The only file that imports Orbax."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict

from evgen_jax.errors import CheckpointError
from evgen_jax.model_directory import architecture_difference
from evgen_jax.training.step import TrainState


class Checkpoints:
    """Numbered checkpoints of one run: the latest n and the one with the lowest validation loss.

    Writing is atomic and happens in the background; `wait` before reading or leaving.
    """

    def __init__(self, directory: str | Path, keep: int = 3):
        policy = ocp.checkpoint_managers
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policy.AnyPreservationPolicy(
                [
                    policy.LatestN(keep),
                    policy.BestN(
                        n=1, get_metric_fn=lambda m: m["loss"], reverse=True, keep_checkpoints_without_metrics=False
                    ),
                ]
            ),
            best_fn=lambda m: m["loss"],
            best_mode="min",
            create=True,
            enable_async_checkpointing=True,
        )
        self.directory = Path(directory).absolute()
        try:
            handlers = {"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()}
            self._manager = ocp.CheckpointManager(self.directory, options=options, item_handlers=handlers)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.directory}: cannot be used for checkpoints ({error}).") from None

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def save(self, state: TrainState, meta: dict[str, Any], loss: float) -> None:
        """Starts writing a checkpoint.

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
        """Reads a checkpoint (default: the latest) into a state of the same architecture.

        Raises:
          CheckpointError: none there, damaged, or of another architecture; both sides are listed.
        """
        step = self.latest_step() if step is None else step
        if step is None:
            raise CheckpointError(f"{self.directory}: holds no checkpoint.")
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        self._compare(step, abstract)
        try:
            restored = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract), meta=ocp.args.JsonRestore())
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.directory}/{step}: is damaged ({str(error).splitlines()[0]}).") from None
        return restored["state"], restored["meta"]

    def _compare(self, step: int, abstract: Any) -> None:
        try:
            stored = self._manager.item_metadata(step)["state"]
            stored = getattr(stored, "tree", stored)
            own = {k: tuple(v.shape) for k, v in _flat(abstract.variables).items()}
            other = {k: tuple(v.shape) for k, v in _flat(stored["variables"]).items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{self.directory}/{step}: is damaged ({str(error).splitlines()[0]}).") from None
        difference = architecture_difference(own, other)
        if difference:
            raise CheckpointError(
                f"{self.directory}/{step}: does not fit the model of this configuration. Change it back, or set "
                f"model_manager_settings.restore_model: False to start afresh.\n{difference}"
            )

    def meta(self, step: int) -> dict[str, Any]:
        """What was stored with a checkpoint beside its state.

        Raises:
          CheckpointError: damaged.
        """
        try:
            meta: dict[str, Any] = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))[
                "meta"
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self.directory}/{step}: is damaged ({str(error).splitlines()[0]}).") from None
        return meta

    def wait(self) -> None:
        """Blocks until everything is on disk."""
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
          CheckpointError: as `save`.
        """
        try:
            self.wait()
        finally:
            try:
                self._manager.close()
            except (OSError, ValueError) as error:
                raise self._not_written(error) from None


def _flat(tree: Any) -> dict[str, Any]:
    return {"/".join(k): v for k, v in flatten_dict(tree).items()}
