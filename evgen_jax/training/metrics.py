"""Metrics of a run: one JSON line per entry and TensorBoard scalars."""

import json
import shutil
import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from evgen_jax.files import write_whole

FILE = "metrics.jsonl"


class MetricWriter:
    """Appends to `metrics.jsonl`; entries after the step from which a run continues are dropped first.

    Wall times are TensorBoard's; the JSON lines hold numbers that a repeated run reproduces exactly.
    """

    def __init__(self, directory: Path, first_step: int):
        path = directory / FILE
        kept = [line for line in read_metrics(directory) if line["step"] <= first_step]
        write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = open(path, "a")  # noqa: SIM115 (open as long as the run)
        (directory / "tensorboard").mkdir(parents=True, exist_ok=True)
        # Written here and not in tensorboardX's thread: where that dies of a full disk, a run would wait for it for ever.
        self._board = EventsWriter(str(directory / "tensorboard" / "events"))

    def write(self, kind: str, step: int, **values: float) -> None:
        self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
        for name, value in values.items():
            self._board.write_event(Event(wall_time=time.time(), step=step, summary=scalar(f"{kind}/{name}", value)))

    def flush(self) -> None:
        self._file.flush()
        self._board.flush()

    def close(self) -> None:
        self._file.close()
        self._board.close()


def keep_metrics(directory: Path, target: Path) -> None:
    """Copies the metrics of a run beside checkpoints that are set aside."""
    if (directory / FILE).is_file():
        shutil.copy2(directory / FILE, target / FILE)


def read_metrics(directory: str | Path) -> list[dict]:
    """All complete lines of a run; a line cut off by a crash is left out."""
    path = Path(directory) / FILE
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
