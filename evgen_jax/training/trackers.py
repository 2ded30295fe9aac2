"""Metrics of a run for services that compare runs: Weights & Biases and MLflow, which are imported here alone.

Where they send the metrics is the affair of their own settings (WANDB_MODE=offline, MLFLOW_TRACKING_URI, ...).
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_METRICS = 1000
"""Largest number of metrics that MLflow takes at once."""


class WeightsAndBiases:
    """Logs to one run of Weights & Biases, which a continued training goes on with; a `MetricWriter`.

    Args:
      directory: of the run; the package keeps its files here, and `wandb_run_id.txt` the number of the run.
      name: of the run.
      settings: of the run, as plain values.
    """

    def __init__(self, directory: Path, name: str, settings: dict[str, Any]):
        import wandb

        number = _Number(directory / "wandb_run_id.txt")
        self._run = wandb.init(
            dir=str(directory), name=name, id=number.read(), resume="allow", config=settings, allow_val_change=True
        )
        number.keep(self._run.id)
        # Entries come late, and again where a training continues: they are ordered by their step, not by their arrival.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def write(self, kind: str, step: int, metrics: Mapping[str, float]) -> None:
        """Logs one entry; its metrics are named `kind/name`.

        Args:
          kind: 'training', 'validation' or 'evaluation'.
          step: number of finished steps, over all runs.
          metrics: by their names.
        """
        self._run.log({"step": step, **{f"{kind}/{name}": value for name, value in metrics.items()}})

    def flush(self) -> None:
        """Does nothing: a process of the package sends entries when it will."""

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


class MLflow:
    """Logs to one run of MLflow, which a continued training goes on with; a `MetricWriter`.

    Args:
      directory: of the run; `mlflow_run_id.txt` keeps the number of the run here.
      name: of the run.
      settings: of the run, as plain values; they are stored as `config.json`.
    """

    def __init__(self, directory: Path, name: str, settings: dict[str, Any]):
        import mlflow

        number = _Number(directory / "mlflow_run_id.txt")
        earlier = number.read()
        self._module = mlflow
        self._run_id = mlflow.start_run(run_id=earlier, run_name=None if earlier else name).info.run_id
        number.keep(self._run_id)
        mlflow.log_dict(settings, "config.json")
        self._client, self._waiting = mlflow.MlflowClient(), list[Any]()

    def write(self, kind: str, step: int, metrics: Mapping[str, float]) -> None:
        """Takes one entry for the next `flush`; its metrics are named `kind/name`.

        Args:
          kind: 'training', 'validation' or 'evaluation'.
          step: number of finished steps, over all runs.
          metrics: by their names.
        """
        now = int(time.time() * 1000)
        metric = self._module.entities.Metric
        self._waiting += [metric(f"{kind}/{name}", value, now, step) for name, value in metrics.items()]

    def flush(self) -> None:
        """Sends what was taken."""
        while self._waiting:
            self._client.log_batch(self._run_id, metrics=self._waiting[:MOST_METRICS])
            del self._waiting[:MOST_METRICS]

    def close(self) -> None:
        """Sends the rest and ends the run."""
        self.flush()
        self._module.end_run()


class _Number:
    """The number that a service gave to a run, in a file of the run's directory."""

    def __init__(self, path: Path):
        self._path = path

    def read(self) -> str | None:
        return self._path.read_text().strip() or None if self._path.is_file() else None

    def keep(self, number: str) -> None:
        self._path.write_text(f"{number}\n")
