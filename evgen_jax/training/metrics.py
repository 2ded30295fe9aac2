"""Metrics of a run as JSON lines, one per entry: numbers that a repeated run reproduces exactly."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evgen_jax.files import write_whole

FILE = "metrics.jsonl"
"""Name of the file in the directory of a run."""


class JsonLines:
    """Appends metrics to `metrics.jsonl`; a `MetricWriter`.

    Args:
      directory: of the run.
      first_step: from which the run continues; entries after it are dropped.
    """

    def __init__(self, directory: Path, first_step: int):
        path = directory / FILE
        kept = [line for line in read_metrics(directory) if line["step"] <= first_step]
        write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = open(path, "a")  # noqa: SIM115 (open as long as the run)

    def write(self, kind: str, step: int, metrics: Mapping[str, float]) -> None:
        """Adds one line.

        Args:
          kind: 'training', 'validation' or 'evaluation'.
          step: number of finished steps, over all runs.
          metrics: by their names.
        """
        self._file.write(json.dumps({"step": step, "kind": kind, **metrics}) + "\n")

    def flush(self) -> None:
        """Hands all lines to the system."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


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
    path = Path(directory) / FILE
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
