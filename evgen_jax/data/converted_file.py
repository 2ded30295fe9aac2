"""Reading of converted events: what was stored, as the file would be read now."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.converted import open_section
from evgen_jax.data.event_ids import id_text
from evgen_jax.data.file_detector import check_detector, provenance
from evgen_jax.data.file_events import EventFile, refuse_faults, what_they_are
from evgen_jax.data.labels import label_faults, label_names, time_columns
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.measurement.detector import Detector


def read_section(
    path: Path,
    settings: DataHandlerSettings,
    detector: Detector,
    labels: bool,
    need_labels: bool,
    parameters: Sequence[Parameter] | None,
    seeds: Mapping[str, tuple[tuple[str, ...], dict[str, float]]],
    strict: bool,
) -> EventFile:
    """Reads the events of one file that were converted; nothing is copied.

    Args:
      path: of the section, as `sections_of` lists it.
      settings: which tables and columns the events come from.
      detector: to which the events belong.
      labels: whether labels are read.
      need_labels: whether an event without usable labels cannot be used.
      parameters: of the model, which say what labels and seeds are; None: their names say it.
      seeds: table -> columns, and values of columns that the table may lack.
      strict: whether an event that cannot be used is an error.

    Returns:
      The events.

    Raises:
      DataError: the shard is damaged, or was converted with other settings, without these labels or seeds, or for another
        detector or medium.
    """
    section, usable = open_section(path), np.asarray(detector.usable, bool)
    section.check(settings, usable, labels)
    check_detector(section, detector)
    ids, wrong = section.events("ids"), section.faults()
    values, times = None, None
    if labels:
        names = label_names(settings)
        own = what_they_are(names, parameters)
        values = _moved(detector, own, *section.labels(names))
        times = time_columns(settings, own)
        odd = label_faults(path, names, own, values, lambda i: id_text(ids[i]))
        wrong = wrong | odd if need_labels else wrong
    read_seeds = {
        name: _moved(detector, what_they_are(columns, parameters), *section.seeds(name, columns, defaults))
        for name, (columns, defaults) in seeds.items()
    }
    if strict:
        refuse_faults(path, ids, wrong)
    note = section.note
    # Whether the light fits the positions of the modules was looked at when the file was converted.
    return EventFile(
        path,
        ids,
        values,
        read_seeds,
        section.packed(usable),
        wrong,
        times,
        note["ignored"],
        note["unmatched"],
        True,
        provenance(section),
    )


def _moved(detector: Detector, parameters: Sequence[Parameter], values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Moves hypotheses [E, H], which were moved by `shift` [H] before, to the detector's origin."""
    more = relative_to_origin(detector, parameters, np.zeros(len(parameters))) - shift
    return values + more if more.any() else values
