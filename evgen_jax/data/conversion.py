"""What is converted, and how: events of files as the sections of a shard."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.converted import TABLES, arrays_of, settings_of_events, unusable
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.file_detector import DETECTOR_NAME, FINGERPRINT, MEDIUM_FINGERPRINT, MEDIUM_NAME, PROVENANCE
from evgen_jax.data.file_events import EventFile
from evgen_jax.data.labels import label_names
from evgen_jax.data.shard import write_shard
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.measurement.detector import Detector, geometry_fingerprint
from evgen_jax.measurement.measured import Measured
from evgen_jax.measurement.packing import pack_events
from evgen_jax.measurement.ragged import Rows
from evgen_jax.physics.medium import fingerprint as medium_fingerprint
from evgen_jax.version import __version__


@dataclass(frozen=True)
class Conversion:
    """Says what is converted, and how.

    Attributes:
      files: names of files, or patterns.
      handler: which tables and columns hold pulses and labels, and which events are used.
      detector: to which the events belong.
      labels: whether labels are kept.
      parameters: of a model, which say what labels and seeds are; None: their names say it.
      seeds: tables with seeds that are kept.
      seed_columns: columns of these tables.
      seed_defaults: values of seed columns that a table does not have.

    Example:
      eg.data.convert(eg.data.Conversion("events/*.hdf5", config.data_handler_settings, detector), "converted")
    """

    files: str | Sequence[str]
    handler: DataHandlerSettings
    detector: Detector
    labels: bool = True
    parameters: Sequence[Parameter] | None = None
    seeds: Sequence[str] = ()
    seed_columns: Sequence[str] = ()
    seed_defaults: Mapping[str, float] = field(default_factory=dict)

    def identity(self, paths: Sequence[Path]) -> dict[str, Any]:
        """Returns what the converted events follow from, as plain values.

        Args:
          paths: of the files.

        Returns:
          Content that is equal for conversions of equal results.
        """
        medium = self.detector.medium
        kept = {"columns": list(self.seed_columns), "defaults": dict(self.seed_defaults)}
        return {
            "files": [stamp(path) for path in paths],
            "settings": settings_of_events(self.handler),
            "labels": list(label_names(self.handler)) if self.labels else None,
            "seeds": {name: kept for name in self.seeds},
            "detector": {"name": self.detector.name, "fingerprint": geometry_fingerprint(self.detector)},
            "medium": {"name": medium.name, "fingerprint": medium_fingerprint(medium)},
            "unusable modules": unusable(self.detector.usable),
        }

    def read(self, path: Path) -> "EventFile | DataError":
        """Reads the events of one file.

        Args:
          path: of the file.

        Returns:
          Its events, those with odd labels among the good ones; or why it cannot be read.
        """
        try:
            return read_event_file(
                path,
                self.handler,
                self.detector,
                labels=self.labels,
                need_labels=False,
                parameters=self.parameters,
                seed_names=self.seeds,
                seed_columns=self.seed_columns,
                seed_defaults=dict(self.seed_defaults),
            )
        except DataError as error:
            return error

    def converted(self, number: int, path: Path, file: EventFile | DataError) -> "ConvertedFile":
        """Converts the events of a file.

        Args:
          number: of the file among all that are converted.
          path: of the file.
          file: its events, or why it cannot be read.

        Returns:
          What a shard has of it.
        """
        arrays = {} if isinstance(file, DataError) else self._arrays(file)
        count = 0 if isinstance(file, DataError) else len(file)
        return ConvertedFile({"number": number, "source": stamp(path), **self._noted(file)}, count, arrays)

    def write(self, path: Path, files: Sequence["ConvertedFile"]) -> None:
        """Writes the events of some files as a shard.

        Args:
          path: of the shard.
          files: what `converted` made of them.

        Raises:
          OSError: it cannot be written, for want of room perhaps; names a path.
        """
        parts = {name: [array] for name, array in self._arrays(self._nothing()).items()}
        sections, start, entries = [], 0, dict.fromkeys(TABLES, 0)
        for file in files:
            for name, array in file.arrays.items():
                parts[name].append(array)
            sizes = {table: int(file.arrays[f"{table}.sizes"].sum()) if file.arrays else 0 for table in TABLES}
            following = {table: entries[table] + sizes[table] for table in TABLES}
            where = {table: [entries[table], following[table]] for table in TABLES}
            sections.append({**file.note, "start": start, "stop": start + file.count, "entries": where})
            start, entries = start + file.count, following
        write_shard(path, parts, {**self._header(), "sections": sections})

    def _arrays(self, file: EventFile) -> dict[str, np.ndarray]:
        """The events of a file as the arrays of a shard."""
        arrays = {"ids": file.ids.astype("<i8"), **arrays_of(file.packed)}
        if file.labels is not None:
            arrays["labels"] = np.asarray(file.labels, "<f8")
        for place, name in enumerate(self.seeds):
            arrays[f"seeds.{place}"] = np.asarray(file.seeds[name], "<f8")
        return arrays

    def _nothing(self) -> EventFile:
        """No events: what gives arrays their types where no file of a shard can be read."""
        none, zeros = np.zeros(0, np.int64), np.zeros(0)
        measured = Measured(0, Rows(none, none, {"charge": zeros, "time": zeros}), readout=np.zeros((0, 2)))
        packed = pack_events(measured, np.asarray(self.detector.usable, bool))
        labels = np.zeros((0, len(label_names(self.handler)))) if self.labels else None
        seeds = {name: np.zeros((0, len(self.seed_columns))) for name in self.seeds}
        return EventFile(Path(), np.zeros((0, 4), np.int64), labels, seeds, packed)

    def _noted(self, file: EventFile | DataError) -> dict[str, Any]:
        """What the header says of a file, beside where its events lie."""
        if isinstance(file, DataError):
            return {"error": str(file), "faults": {}, "ignored": 0, "unmatched": 0, "dropped": 0, "attributes": {}}
        detector, medium = self.detector, self.detector.medium
        attributes = {FINGERPRINT: geometry_fingerprint(detector), DETECTOR_NAME: detector.name}
        if file.fingerprinted:  # else nobody knows which medium its light has seen
            attributes |= {MEDIUM_FINGERPRINT: medium_fingerprint(medium), MEDIUM_NAME: medium.name}
        if file.provenance:
            attributes[PROVENANCE] = file.provenance
        return {
            "error": None,
            "faults": {str(number): text for number, text in file.faults.items()},
            "ignored": file.ignored,
            "unmatched": file.unmatched,
            "dropped": file.packed.dropped,
            "attributes": attributes,
        }

    def _header(self) -> dict[str, Any]:
        columns, defaults = list(self.seed_columns), dict(self.seed_defaults)
        own = {"columns": columns, "shift": self._shift(columns), "defaults": defaults}
        names = list(label_names(self.handler)) if self.labels else None
        return {
            "written_by": f"evgen_jax {__version__}",
            "settings": settings_of_events(self.handler),
            "usable": unusable(self.detector.usable),
            "labels": names and {"array": "labels", "columns": names, "shift": self._shift(names)},
            "seeds": {name: {"array": f"seeds.{place}", **own} for place, name in enumerate(self.seeds)},
        }

    def _shift(self, names: Sequence[str]) -> list[float]:
        """What was added to labels or seeds, which are counted from the detector's origin."""
        fits = self.parameters is not None and len(self.parameters) == len(names)
        parameters = self.parameters if fits and self.parameters is not None else read_parameters(names)
        return [float(v) for v in relative_to_origin(self.detector, parameters, np.zeros(len(names)))]


@dataclass(frozen=True)
class ConvertedFile:
    """Holds the events of one file as a shard has them.

    Attributes:
      note: what the header says of the file, without the place of its events.
      count: number E of events.
      arrays: name -> array, [E, ...] or of all entries of the events; none where the file cannot be read.
    """

    note: Mapping[str, Any]
    count: int
    arrays: Mapping[str, np.ndarray]

    @property
    def nbytes(self) -> int:
        """Returns the size of the arrays, bytes."""
        return sum(array.nbytes for array in self.arrays.values())


def stamp(path: Path) -> dict[str, Any]:
    """Returns what changes when a file, or one of the files of a folder, is written anew.

    Args:
      path: of the file or folder.

    Returns:
      Path, size in bytes and time of the last change.
    """
    files = sorted(own for own in path.rglob("*") if own.is_file()) if path.is_dir() else [path]
    found = [own.stat() for own in files if own.exists()]
    return {
        "path": os.path.abspath(path),
        "bytes": sum(own.st_size for own in found),
        "changed": max((own.st_mtime_ns for own in found), default=0),
    }
