"""What converted events are: the tables that were kept, their ranges, and what they were converted from."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evgen_jax.data.converted import TABLES, Section, open_section
from evgen_jax.data.event_ids import ID_COLUMNS
from evgen_jax.data.file_detector import DETECTOR_NAME, FINGERPRINT
from evgen_jax.report.inventory import FileInventory
from evgen_jax.report.table_inventory import TableInventory, range_of

KINDS = {
    "pulses": "pulses",
    "active": "modules with pulses or windows",
    "windows": "time windows of modules",
    "excluded": "modules",
}
"""Table of a shard -> what it is in words."""


def converted_inventory(path: Path) -> FileInventory:
    """Finds out what the converted events of one file are.

    Args:
      path: of a section.

    Returns:
      The inventory.

    Raises:
      DataError: the shard is damaged.
    """
    section = open_section(path)
    note, header = section.note, section.shard.header
    kept = {**({"labels": header["labels"]} if header["labels"] else {}), **header["seeds"]}
    tables = [_of_events("ids", dict(zip(ID_COLUMNS, section.events("ids").T, strict=True)))]
    tables.append(_of_events("readout", dict(zip(("start", "stop"), section.events("readout").T, strict=True))))
    for name, own in kept.items():
        tables.append(_of_events(name, dict(zip(own["columns"], section.events(own["array"]).T, strict=True))))
    tables += [_of_entries(section, name) for name in TABLES]
    events, seeds = note["stop"] - note["start"], ", ".join(header["seeds"])
    odd = f"; {len(note['faults'])} events cannot be used" if note["faults"] else ""
    named = ", ".join(
        f"{key} {value}" for key, value in header["settings"]["data_settings"].items() if value is not None
    )
    own = section.attribute(FINGERPRINT)
    return FileInventory(
        path,
        f"converted events ({header['format']}, version {header['version']})",
        tuple(tables),
        None if note["error"] else events,
        "",
        note["error"] or ("" if header["labels"] else "converted without labels"),
        note["error"] or (f"complete; seeds: {seeds}" if seeds else "complete without seeds (seed: pulses)"),
        (),
        (f"converted by {header['written_by']} from {note['source']['path']}{odd}", f"with {named}"),
        {},
        "" if own is None else f"'{section.attribute(DETECTOR_NAME)}' ({str(own)[:8]})",
    )


def _of_events(name: str, columns: Mapping[str, np.ndarray]) -> TableInventory:
    rows = len(next(iter(columns.values()))) if columns else 0
    return TableInventory(name, rows, "one row per event", tuple(range_of(*column) for column in columns.items()))


def _of_entries(section: Section, table: str) -> TableInventory:
    first, last = section.note["entries"][table]
    columns = {column: section.shard.arrays[f"{table}.{column}"][first:last] for column in TABLES[table]}
    return TableInventory(table, last - first, KINDS[table], tuple(range_of(*column) for column in columns.items()))
