"""Reading of one file into events: pulses, exclusions, labels and seeds, joined by event id."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.config.validate import validate
from evgen_jax.data.converted import settings_of_section
from evgen_jax.data.converted_file import read_section
from evgen_jax.data.event_filter import pass_filter
from evgen_jax.data.event_ids import EventIds
from evgen_jax.data.file_detector import check_detector, provenance
from evgen_jax.data.file_events import EventFile as EventFile
from evgen_jax.data.file_events import refuse_faults, what_they_are
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.found_tables import chosen_tables, find_labels
from evgen_jax.data.labels import label_columns, label_names, time_columns
from evgen_jax.data.modules_of_events import doms_of, read_doms, read_windows, say_once_a_folder
from evgen_jax.data.protocol import MissingTable
from evgen_jax.data.sections import is_converted, is_section, sections_of
from evgen_jax.data.sensor_places import check_places
from evgen_jax.data.tables import existing
from evgen_jax.errors import DataError
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.measurement.detector import Detector
from evgen_jax.measurement.measured import Measured, faults, without_events
from evgen_jax.measurement.packing import pack_events
from evgen_jax.measurement.ragged import Rows


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
    """Reads the events of one file, of any format that `open_tables` knows, or those of one file that were converted.

    Args:
      path: file with tables as IceCube writes them, or of another telescope, or a section of converted events as
        `find_files` lists them.
      settings: which tables and columns; None: those that the file tells, see `chosen_tables`, or was converted with. Labels
        are then those of `find_labels` where `parameters` are given, else of a table LabelsDeepLearning.
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
    if is_converted(path):
        path = _only_section(path)
    if is_section(path):
        seeds = {name: (tuple(seed_columns), seed_defaults or {}) for name in seed_names}
        return read_section(
            path, settings or settings_of_section(path), detector, labels, need_labels, parameters, seeds, strict
        )
    if settings is None:
        # A table of labels is told by its columns, which are the parameters'; else it has the usual name.
        told = find_labels(path, parameters) if labels and parameters else {}
        settings = validate(DataHandlerSettings, {"data_settings": {}, **told}, str(path))
    data = settings.data_settings
    with open_tables(path, settings.format_settings) as file, _told_with_its_key(settings):
        fingerprinted = check_detector(file, detector)
        names = chosen_tables(file, settings)
        ids = EventIds(file, names.events)
        ids = ids.select(pass_filter(file, settings.filter_settings, ids))
        wrong: dict[int, str] = {}
        label_values, times = None, None
        if labels:
            own = what_they_are(label_names(settings), parameters)
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
        own = what_they_are(seed_columns, parameters)
        read_seeds = {
            name: relative_to_origin(detector, own, ids.align(name, tuple(seed_columns), seed_defaults))
            for name in seed_names
        }
        origin = provenance(file)
        for note in file.notes:
            say_once_a_folder(path, f"{file.format}: {note}.")

    charge, time = rows["charge"].astype(np.float64), rows["time"].astype(np.float64)
    measured = Measured(len(ids), Rows(event, dom, {"charge": charge, "time": time}), excluded, windows, readout)
    wrong = faults(measured) | wrong
    if strict:
        refuse_faults(path, ids.values, wrong)
    packed = pack_events(
        without_events(measured, sorted(wrong)),
        np.asarray(detector.usable, bool),
        window_buffer=data.time_window_buffer,
        discard_excluded=data.discard_pulses_from_excluded_doms,
    )
    return EventFile(
        path, ids.values, label_values, read_seeds, packed, wrong, times, ignored, unmatched, fingerprinted, origin
    )


@contextmanager
def _told_with_its_key(settings: DataHandlerSettings) -> Iterator[None]:
    """Adds the key of the configuration to the message of a table that is missing."""
    try:
        yield
    except MissingTable as missing:
        named = {"data_settings": settings.data_settings, "label_settings": settings.label_settings}
        keys = [f"{section}.{key}" for section, own in named.items() for key, name in own if name == missing.table]
        raise DataError(f"{missing} It is that of {', '.join(keys)}." if keys else str(missing)) from None


def _only_section(path: Path) -> Path:
    sections = sections_of(path)
    if len(sections) != 1:
        raise DataError(
            f"{path}: holds the events of {len(sections)} files. Read them one by one: find_files('{path}') lists them."
        )
    return sections[0]


def _id_of(row: np.ndarray) -> str:
    return f"run {row['Run']}, event {row['Event']}"
