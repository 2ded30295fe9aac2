"""Reading of one file into events: pulses, exclusions, labels and seeds, joined by event id."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

from evgen_jax.config.records import DataHandlerSettings, PulseSettings
from evgen_jax.data.event_filter import pass_filter
from evgen_jax.data.event_ids import EventIds
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.found_tables import chosen_tables
from evgen_jax.data.labels import label_columns, label_names, time_columns
from evgen_jax.data.modules_of_events import doms_of, read_doms, read_windows, say_once
from evgen_jax.data.protocol import Tables
from evgen_jax.data.sensor_places import check_places
from evgen_jax.data.tables import existing
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.hypothesis.origin import anchor_of, relative_to_origin
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.measurement.detector import Detector, geometry_fingerprint
from evgen_jax.measurement.event import Event, pad_events
from evgen_jax.measurement.measured import Measured, faults, without_events
from evgen_jax.measurement.packing import PackedEvents, pack_events
from evgen_jax.measurement.ragged import Rows
from evgen_jax.physics.medium import fingerprint as medium_fingerprint

LOGGER = logging.getLogger("evgen_jax")
FINGERPRINT = "detector_fingerprint"
"""Attribute of a file: checksum of labels and positions of its detector."""
DETECTOR_NAME = "detector_name"
"""Attribute of a file: name of its detector."""
MEDIUM_FINGERPRINT = "medium_fingerprint"
"""Attribute of a file: checksum of its medium."""
MEDIUM_NAME = "medium"
"""Attribute of a file: name of its medium."""
EARLIER_LIGHT = "physics-motivated toy"
"""How the attribute 'provenance' of simulated files of earlier versions begins."""


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


def _what_they_are(columns: Sequence[str], parameters: Sequence[Parameter] | None) -> tuple[Parameter, ...]:
    """Returns the parameters of the model if there are as many as columns, else what the columns' names say."""
    if parameters is None or len(parameters) != len(columns):
        return read_parameters(columns)
    return tuple(parameters)


def read_event_file(
    path: str | Path,
    settings: DataHandlerSettings | None,
    detector: Detector,
    *,
    labels: bool = True,
    need_labels: bool = True,
    parameters: Sequence[Parameter] | None = None,
    seed_names: Sequence[str] = (),
    seed_columns: Sequence[str] = (),
    seed_defaults: dict[str, float] | None = None,
    strict: bool = False,
) -> EventFile:
    """Reads the events of one file, of any format that `open_tables` knows.

    Args:
      path: file with tables as IceCube writes them, or of another telescope.
      settings: which tables and columns; None: those that the file tells, see `chosen_tables`.
      detector: gives DOM labels their index.
      labels: whether to read the label table.
      need_labels: whether an event without usable labels cannot be used; else its labels may be anything.
      parameters: of the model, which say what labels and seeds are. Where they are None or of another number than the
        columns, the names of the columns say it.
      seed_names: tables with reconstruction seeds.
      seed_columns: columns of these tables, in hypothesis order.
      seed_defaults: values of seed columns that a table does not have.
      strict: whether an event that cannot be used is an error; else it is among the `faults` and the file is read.

    Returns:
      The events.

    Raises:
      ConfigError: tables are not named and cannot be told, or a package that reads the format is not installed.
      DataError: a table or column is missing, events have equal ids, the file belongs to another detector or medium, a DOM is
        unknown, or labels are outside their range in most events; names file and place.
    """
    path = Path(path)
    settings = settings or DataHandlerSettings(data_settings=PulseSettings())
    data = settings.data_settings
    with open_tables(path, settings.format_settings) as file:
        fingerprinted = _check_detector(file, detector)
        names = chosen_tables(file, settings)
        ids = EventIds(file, names.events)
        ids = ids.select(pass_filter(file, settings.filter_settings, ids))
        wrong: dict[int, str] = {}
        label_values, times = None, None
        if labels:
            own = _what_they_are(label_names(settings), parameters)
            label_values, odd = label_columns(file, settings, names.labels, ids, own)
            wrong = odd if need_labels else {}
            label_values, times = relative_to_origin(detector, own, label_values), time_columns(settings, own)
        rows = existing(file.read(names.pulses, ("string", "om", "charge", "time")))
        event, dom, ignored = doms_of(file, names.pulses, rows, ids, detector)
        unmatched = int(np.sum(event < 0)) if len(settings.filter_settings.constraints) == 0 else 0
        if unmatched == len(rows) > 0 and len(ids) > 0:
            raise DataError(
                f"{path}: no pulse of table '{names.pulses}' belongs to an event of table '{names.events}': their ids differ "
                f"(a pulse: {_id_of(rows[0])}; an event: {ids.name(0)})."
            )
        good = (event >= 0) & (dom >= 0)
        if not good.all():
            event, dom, rows = event[good], dom[good], rows[good]
        fingerprinted = check_places(file, names.pulses, rows, dom, detector) or fingerprinted
        excluded = read_doms(file, data.dom_exclusions_key, ids, detector)
        windows = read_windows(file, data.time_exclusions_key, ids, detector)
        readout = None
        if data.readout_window_key is not None:
            readout = ids.align(data.readout_window_key, ("start", "stop"))
        own = _what_they_are(seed_columns, parameters)
        seeds = {
            name: relative_to_origin(detector, own, ids.align(name, tuple(seed_columns), seed_defaults))
            for name in seed_names
        }
        for note in file.notes:
            say_once(f"{path.parent}: {file.format}: {note}.")

    charge, time = rows["charge"].astype(np.float64), rows["time"].astype(np.float64)
    measured = Measured(len(ids), Rows(event, dom, {"charge": charge, "time": time}), excluded, windows, readout)
    wrong = faults(measured) | wrong
    if wrong and strict:
        first = min(wrong)
        raise DataError(f"{path}: {ids.name(first)} {wrong[first]}.")
    packed = pack_events(
        without_events(measured, sorted(wrong)),
        np.asarray(detector.usable, bool),
        window_buffer=data.time_window_buffer,
        discard_excluded=data.discard_pulses_from_excluded_doms,
    )
    return EventFile(path, ids.values, label_values, seeds, packed, wrong, times, ignored, unmatched, fingerprinted)


def _check_detector(file: Tables, detector: Detector) -> bool:
    """Returns whether the file says that it belongs to this detector; raises DataError if it names another one, or medium."""
    if str(file.attribute("provenance")).startswith(EARLIER_LIGHT):
        say_once(
            f"{file.path.parent}: its events were simulated by an earlier version, whose light forgot the direction of a shower "
            "within a scattering length. Simulate them anew with evgen-jax simulate."
        )
    own = file.attribute(FINGERPRINT)
    if own is None:
        return False
    if str(own) != geometry_fingerprint(detector):
        raise DataError(
            f"{file.path}: holds events of the detector '{file.attribute(DETECTOR_NAME)}', whose modules or positions are not those "
            f"of '{detector.name}' with {detector.num_doms} modules. Use the model or the detector_settings.geometry that the "
            "file was made for."
        )
    medium = file.attribute(MEDIUM_FINGERPRINT)
    if medium is not None and str(medium) != medium_fingerprint(detector.medium):
        name = str(file.attribute(MEDIUM_NAME))
        raise DataError(
            f"{file.path}: holds events in the medium '{name}', which is not '{detector.medium.name}'"
            f"{' of other numbers' if name == detector.medium.name else ''}. Use the model or the detector_settings.medium that "
            "the file was made for."
        )
    return True


def _id_of(row: np.ndarray) -> str:
    return f"run {row['Run']}, event {row['Event']}"
