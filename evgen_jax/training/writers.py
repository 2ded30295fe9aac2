"""Where the metrics of a training go: a small protocol, its writers, and their names in a configuration."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from evgen_jax.config.records import ExperimentConfig
from evgen_jax.errors import ConfigError
from evgen_jax.extras import EXTRAS, need
from evgen_jax.training.metrics import JsonLines
from evgen_jax.training.tensorboard import TensorBoard
from evgen_jax.training.trackers import MLflow, WeightsAndBiases

LOGGER = logging.getLogger("evgen_jax")
KEY = "training_settings.metric_writers"
"""Key path of the writers, for messages."""


class MetricWriter(Protocol):
    """Takes the metrics of a run, step by step."""

    def write(self, kind: str, step: int, metrics: Mapping[str, float]) -> None:
        """Takes one entry.

        Args:
          kind: 'training', 'validation' or 'evaluation'.
          step: number of finished steps, over all runs.
          metrics: by their names.
        """

    def flush(self) -> None:
        """Hands on what was taken; called whenever metrics were read from the device, and before a checkpoint."""

    def close(self) -> None:
        """Ends the record of this run."""


class AllWriters:
    """Joins several writers to one.

    Args:
      writers: each gets every entry.
    """

    def __init__(self, writers: Sequence[MetricWriter]):
        self._writers = tuple(writers)

    def write(self, kind: str, step: int, metrics: Mapping[str, float]) -> None:
        """Hands one entry to every writer.

        Args:
          kind: 'training', 'validation' or 'evaluation'.
          step: number of finished steps, over all runs.
          metrics: by their names.
        """
        for writer in self._writers:
            writer.write(kind, step, metrics)

    def flush(self) -> None:
        """Flushes every writer."""
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        """Closes every writer."""
        for writer in self._writers:
            writer.close()


class Tolerated:
    """Keeps a training alive where a writer fails, such as a service on the network that is gone.

    Args:
      writer: to be tolerated.
      name: of the writer, for the warning.
    """

    def __init__(self, writer: MetricWriter, name: str):
        self._writer, self._name, self._failed = writer, name, False

    def _try(self, action: Callable[..., None], *arguments: Any) -> None:
        if self._failed:
            return
        try:
            action(*arguments)
        except Exception as error:  # each of these packages has errors of its own
            self._failed = True
            LOGGER.warning("%s: %s takes no more metrics (%s). The training goes on.", KEY, self._name, _line(error))

    def write(self, kind: str, step: int, metrics: Mapping[str, float]) -> None:
        """Hands one entry on, unless the writer has failed.

        Args:
          kind: 'training', 'validation' or 'evaluation'.
          step: number of finished steps, over all runs.
          metrics: by their names.
        """
        self._try(self._writer.write, kind, step, metrics)

    def flush(self) -> None:
        """Flushes the writer, unless it has failed."""
        self._try(self._writer.flush)

    def close(self) -> None:
        """Closes the writer, unless it has failed."""
        self._try(self._writer.close)


def check_writers(names: Sequence[str]) -> None:
    """Checks that the packages of writers are installed.

    Args:
      names: of writers, as in `training_settings.metric_writers`.

    Raises:
      ConfigError: the package of a writer is not installed.
    """
    for name in names:
        if name in EXTRAS:
            need(name, f"{KEY}: {name}")


def open_writers(names: Sequence[str], directory: Path, config: ExperimentConfig, first_step: int) -> MetricWriter:
    """Opens the writers of a run.

    Args:
      names: of writers, as in `training_settings.metric_writers`.
      directory: of the run.
      config: of the run; its name and settings are told to services.
      first_step: from which the run continues.

    Returns:
      One writer that hands entries to all of them.

    Raises:
      ConfigError: a service does not take the run, such as one that asks for a login.
    """
    settings = config.model_dump(mode="json")
    makers: dict[str, Callable[[], MetricWriter]] = {
        "json_lines": lambda: JsonLines(directory, first_step),
        "tensorboard": lambda: TensorBoard(directory),
        "wandb": lambda: Tolerated(WeightsAndBiases(directory, config.unique_name, settings), "wandb"),
        "mlflow": lambda: Tolerated(MLflow(directory, config.unique_name, settings), "mlflow"),
    }
    opened: list[MetricWriter] = []
    for name in dict.fromkeys(names):
        try:
            opened.append(makers[name]())
        except Exception as error:
            for writer in opened:
                writer.close()
            if name not in EXTRAS:
                raise
            raise ConfigError(
                f"{KEY}: {name}: cannot begin a run ({_line(error)}). Log in or choose a store with the settings of {name}, "
                "or leave it out."
            ) from None
    return AllWriters(opened)


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0].rstrip('.')}" if text else type(error).__name__
