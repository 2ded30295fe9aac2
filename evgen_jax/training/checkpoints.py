"""Checkpoints: everything a resumed run needs. The only file that imports Orbax."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict

from evgen_jax.building.directory import architecture_difference
from evgen_jax.errors import CheckpointError
from evgen_jax.files import free_name
from evgen_jax.light.source import Variables
from evgen_jax.training.step import TrainState


class OtherOptimizer(CheckpointError):
    """A checkpoint whose optimiser keeps another state than the present one."""


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

    def steps(self) -> list[int]:
        """Steps of the checkpoints that exist, in order."""
        return sorted(self._manager.all_steps())

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
        """Reads a checkpoint (default: the latest) into a state of the same architecture and optimiser.

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

    def restore_weights(self, like: Variables, step: int | None = None) -> tuple[Variables, dict[str, Any]]:
        """Reads the weights of a checkpoint (default: the latest) alone, whatever the optimiser was.

        Raises:
          CheckpointError: none there, damaged, or of another architecture; both sides are listed.
        """
        step = self.existing_step(step)
        abstract = {"variables": jax.tree.map(ocp.utils.to_shape_dtype_struct, like)}
        self._compared(step, abstract["variables"])
        try:
            with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
                arguments = ocp.args.PyTreeRestore(
                    item=abstract,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(abstract),
                    partial_restore=True,
                )
                restored = reader.restore(self.directory / str(step) / "state", args=arguments)
            return restored["variables"], self.meta(step)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(step, error) from None

    def meta(self, step: int) -> dict[str, Any]:
        """What was stored beside the state.

        Raises:
          CheckpointError: damaged.
        """
        try:
            return self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(step, error) from None

    def existing_step(self, step: int | None) -> int:
        """The step itself if there is a checkpoint of it; None: the latest.

        Raises:
          CheckpointError: there is none; those that exist are listed.
        """
        steps = self.steps()
        if not steps:
            raise CheckpointError(f"{self.directory}: holds no checkpoint.")
        if step is not None and step not in steps:
            raise CheckpointError(
                f"{self.directory}: --step {step}: there is no such checkpoint; there are: {', '.join(map(str, steps))}."
            )
        return steps[-1] if step is None else step

    def set_aside_after(self, step: int) -> Path | None:
        """Moves later checkpoints into a directory of their own, 'checkpoints.old-1' and so on; None if there are none."""
        later = [s for s in self.steps() if s > step]
        if not later:
            return None
        target = free_name(self.directory)
        target.mkdir()
        for number in later:
            (self.directory / str(number)).rename(target / str(number))
        self._manager.reload()
        return target

    def _compared(self, step: int, variables: Any) -> Any:
        """What the checkpoint says about its arrays, if the weights have the shapes of the model."""
        try:
            stored = self._manager.item_metadata(step)["state"]
            stored = getattr(stored, "tree", stored)
            own = {k: tuple(v.shape) for k, v in _flat(variables).items()}
            other = {k: tuple(v.shape) for k, v in _flat(stored["variables"]).items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(step, error) from None
        difference = architecture_difference(own, other)
        if difference:
            raise CheckpointError(
                f"{self.directory}/{step}: does not fit the model of this configuration. Change it back, or set "
                f"model_manager_settings.restore_model: False to start afresh.\n{difference}"
            )
        return stored

    def _damaged(self, step: int, error: Exception) -> CheckpointError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        others = ", ".join(str(s) for s in self.steps() if s != step)
        advice = f" Others can be taken with --step N: {others}." if others else ""
        return CheckpointError(f"{self.directory}/{step}: is damaged ({reason}).{advice}")

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


def _shapes(tree: Any) -> Mapping[str, tuple[int, ...]]:
    """Shape of every array by its path, written alike for tuples, named tuples and what is read back of them."""

    def name(key: Any) -> str:
        return str(next(getattr(key, a) for a in ("idx", "name", "key") if hasattr(key, a)))

    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(map(name, path)): tuple(leaf.shape) for path, leaf in leaves}


def _flat(tree: Any) -> dict[str, Any]:
    return {"/".join(k): v for k, v in flatten_dict(tree).items()}
