"""Metrics of a run as scalars of TensorBoard. The only file that imports tensorboardX."""

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import scalar


class TensorBoard:
    """Writes event files into `tensorboard/`; a `MetricWriter`.

    They are written here and not in tensorboardX's thread: where that dies of a full disk, a run would wait for it for
    ever.

    Args:
      directory: of the run.
    """

    def __init__(self, directory: Path):
        (directory / "tensorboard").mkdir(parents=True, exist_ok=True)
        self._board = EventsWriter(str(directory / "tensorboard" / "events"))

    def write(self, kind: str, step: int, metrics: Mapping[str, float]) -> None:
        """Adds one event with a scalar `kind/name` for every metric.

        Args:
          kind: 'training', 'validation' or 'evaluation'.
          step: number of finished steps, over all runs.
          metrics: by their names.
        """
        values = [scalar(f"{kind}/{name}", value).value[0] for name, value in metrics.items()]
        self._board.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def flush(self) -> None:
        """Hands all events to the system."""
        self._board.flush()

    def close(self) -> None:
        """Closes the file."""
        self._board.close()
