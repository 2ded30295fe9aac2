"""Metrics of a run as JSON lines, one per entry: numbers that a repeated run reproduces exactly."""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evgen_jax.files import write_whole

FILE = "metrics.jsonl"
"""Name of the file in the directory of a run."""
TIMES = "times.jsonl"
"""Name of the file that says when which step was finished; a repeated run does not reproduce it."""


class JsonLines:
    """Appends metrics to `metrics.jsonl` and the times of steps to `times.jsonl`; a `MetricWriter`.

    Args:
      directory: of the run.
      first_step: from which the run continues; entries after it are dropped.
    """

    def __init__(self, directory: Path, first_step: int):
        path = directory / FILE
        kept = [line for line in read_metrics(directory) if line["step"] <= first_step]
        write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = open(path, "a")  # noqa: SIM115 (open as long as the run)
        self._times = open(directory / TIMES, "a")  # noqa: SIM115 (open as long as the run)
        self._step = self._timed = first_step
        self._write_time()

    def write(self, kind: str, step: int, metrics: Mapping[str, float]) -> None:
        """Adds one line.

        Args:
          kind: 'training', 'validation' or 'evaluation'.
          step: number of finished steps, over all runs.
          metrics: by their names.
        """
        self._file.write(json.dumps({"step": step, "kind": kind, **metrics}) + "\n")
        self._step = max(self._step, step)

    def flush(self) -> None:
        """Hands all lines to the system."""
        self._file.flush()
        if self._step > self._timed:
            self._write_time()

    def _write_time(self) -> None:
        self._timed = self._step
        self._times.write(json.dumps({"step": self._step, "time": round(time.time(), 3)}) + "\n")
        self._times.flush()

    def close(self) -> None:
        """Closes the files."""
        self._file.close()
        self._times.close()


def keep_metrics(directory: Path, target: Path) -> None:
    """Copies the metrics of a run beside checkpoints that are set aside.

    Args:
      directory: of the run.
      target: directory of the checkpoints that are set aside.
    """
    if (directory / FILE).is_file():
        shutil.copy2(directory / FILE, target / FILE)


def read_metrics(directory: str | Path) -> list[dict[str, Any]]:
    """Reads the metrics of a run; a line that a crash cut off is left out.

    Args:
      directory: of the run.

    Returns:
      One dictionary per entry: step, kind and the metrics by their names.
    """
    return _read(Path(directory) / FILE)


def read_times(directory: str | Path) -> list[dict[str, Any]]:
    """Reads when the steps of a run were finished; a line that a crash cut off is left out.

    Args:
      directory: of the run.

    Returns:
      One dictionary per entry: step, and time in s since 1970. The step does not grow where a run began or continued.
    """
    return _read(Path(directory) / TIMES)


def _read(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
