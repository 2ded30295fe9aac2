"""Events of one file, whichever way they were read: pulses, exclusions, labels, seeds, and what is wrong with some of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

from evgen_jax.data.event_ids import id_text
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.hypothesis.origin import anchor_of
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.measurement.event import Event, pad_events
from evgen_jax.measurement.packing import PackedEvents


@dataclass(frozen=True)
class EventFile:
    """Holds the events of one file.

    Attributes:
      path: of the file.
      ids: [E, 4], Run, Event, SubEvent, SubEventStream.
      labels: [E, H] or None; coordinates relative to the detector's origin, NaN in events that have none.
      seeds: name -> [E, n].
      packed: pulses and exclusions.
      faults: number of an event -> what is wrong with it; it cannot be used, events without a fault can.
      times: places of labels that are times; None where the name of a label does not tell.
      ignored: number of pulses at labels that the detector ignores, which were left out.
      unmatched: number of pulses of no event of the file.
      fingerprinted: whether the file says that it belongs to this detector.
      provenance: what the file says of where its light comes from; '': nothing.
    """

    path: Path
    ids: np.ndarray
    labels: np.ndarray | None
    seeds: dict[str, np.ndarray]
    packed: PackedEvents
    faults: dict[int, str] = field(default_factory=dict)
    times: tuple[int, ...] | None = ()
    ignored: int = 0
    unmatched: int = 0
    fingerprinted: bool = True
    provenance: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def good(self) -> list[int]:
        """Returns the numbers of the events that can be used."""
        return [i for i in range(len(self)) if i not in self.faults]

    @cached_property
    def anchors(self) -> np.ndarray:
        """Returns the begins of the readout [E], ns, from which times count if float32 would not hold them; else 0."""
        return anchor_of(self.packed.readout[:, 0])

    def relative_labels(self) -> np.ndarray | None:
        """Returns the labels [E, H] with times counted from `anchors`; None without labels.

        Raises:
          DataError: large times, and labels of which the names do not tell whether they are times.
        """
        return self._relative_labels

    @cached_property
    def _relative_labels(self) -> np.ndarray | None:
        if self.labels is None or not np.any(self.anchors):
            return self.labels
        if self.times is None:
            raise DataError(
                f"{self.path}: readouts begin at up to {np.abs(self.anchors).max():g} ns, which float32 does not hold; times are "
                "counted from there, but the names of the labels do not tell which of them are times. Give those names that "
                "end with _time, or subtract the begin of the readout from all times of an event."
            )
        labels = self.labels.copy()
        labels[:, self.times] -= self.anchors[:, None]
        return labels

    def event(self, i: int) -> Event:
        """Makes event number `i`, padded to the shortest padded lengths that hold it.

        Raises:
          DataError: an event that cannot be used; says why.
        """
        if i in self.faults:
            raise DataError(f"{self.path}: {self.name(i)} {self.faults[i]}.")
        return jax.tree.map(lambda x: x[0], pad_events([(self.packed, i)]))

    def name(self, i: int) -> str:
        """Returns how messages call event number `i`: by its run and event ids."""
        return f"run {self.ids[i, 0]}, event {self.ids[i, 1]}"

    def notes(self) -> str:
        """Returns one line about events and pulses that were left out; it is empty where none were."""
        parts = []
        if self.faults:
            first = min(self.faults)
            parts.append(
                f"{len(self.faults)} of {len(self)} events cannot be used ({self.name(first)} {self.faults[first]})"
            )
        if self.ignored:
            parts.append(f"{self.ignored} pulses at modules that the detector ignores are left out")
        if self.unmatched:
            parts.append(f"{self.unmatched} pulses belong to none of the events")
        if self.packed.dropped:
            parts.append(f"{self.packed.dropped} pulses inside excluded time windows are left out")
        return f"{self.path}: {'; '.join(parts)}." if parts else ""


def what_they_are(columns: Sequence[str], parameters: Sequence[Parameter] | None) -> tuple[Parameter, ...]:
    """Finds what the columns of labels or seeds are.

    Args:
      columns: their names.
      parameters: of the model; None where no model is known.

    Returns:
      The parameters of the model if there are as many as columns, else what the columns' names say.
    """
    if parameters is None or len(parameters) != len(columns):
        return read_parameters(columns)
    return tuple(parameters)


def refuse_faults(path: Path, ids: np.ndarray, wrong: Mapping[int, str]) -> None:
    """Refuses a file with an event that cannot be used.

    Args:
      path: of the file.
      ids: of its events [E, 4].
      wrong: number of an event -> what is wrong with it.

    Raises:
      DataError: there is such an event; names the first.
    """
    if wrong:
        first = min(wrong)
        raise DataError(f"{path}: {id_text(ids[first])} {wrong[first]}.")
