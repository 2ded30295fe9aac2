"""What a training wrote, for reading: numbered checkpoints and the weights in them.

This file and `training/checkpoints.py`, which writes them, alone import Orbax.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict

from evgen_jax.building.directory import architecture_difference
from evgen_jax.errors import CheckpointError
from evgen_jax.light.source import Variables


class StoredCheckpoints:
    """Numbered checkpoints of one run: the latest n and the one with the lowest validation loss.

    Args:
      directory: of the run's checkpoints; made where there is none.
      keep: how many of the latest stay when further ones are written.

    Raises:
      CheckpointError: the directory cannot be used.
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
        """Step of the latest checkpoint; None if there is none."""
        return self._manager.latest_step()

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

    def refuse_not_finite(self, variables: Variables, step: int, command: str) -> None:
        """Refuses weights of a checkpoint that are not finite.

        Args:
          variables: the weights.
          step: number of the checkpoint.
          command: that takes another one with --step, for the message.

        Raises:
          CheckpointError: a weight is NaN or infinite; other checkpoints are listed.
        """
        if all(np.all(np.isfinite(x)) for x in jax.tree.leaves(variables)):
            return
        others = ", ".join(str(s) for s in self.steps() if s != step)
        advice = (
            f"Take another one with {command} --step N; there are: {others}."
            if others
            else "There is no other one: set model_manager_settings.restore_model: False and train afresh."
        )
        raise CheckpointError(f"{self.directory / str(step)}: holds weights that are not finite. {advice}")

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

    def close(self) -> None:
        """Frees what the manager holds."""
        self._manager.close()


def _flat(tree: Any) -> dict[str, Any]:
    return {"/".join(k): v for k, v in flatten_dict(tree).items()}
