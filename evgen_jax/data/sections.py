"""Paths of converted events: a directory holds shards, a shard has one section for every file that was converted.

A section has a path like a file's, `DIR/00000.events/000003/events_3.hdf5`: shard, number of the file among all that
were converted, name of the file. So lists of files, their order and names in messages are those of the files.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evgen_jax.data.shard import SUFFIX, is_shard, read_header
from evgen_jax.errors import DataError

RECORD = "conversion.json"
"""Name of the file of a converted directory that says what is converted, and whether all of it is."""


def is_converted(path: Path) -> bool:
    """Tells whether a path is that of converted events.

    Args:
      path: of a file or directory.

    Returns:
      True for a directory of shards and for a shard.
    """
    return is_shard(path) or (path / RECORD).is_file()


def is_section(path: Path) -> bool:
    """Tells whether a path is that of a section of a shard.

    Args:
      path: of a file or section.

    Returns:
      True for a path inside a shard.
    """
    return path.parent.parent.suffix == SUFFIX and is_shard(path.parent.parent)


def sections_of(path: Path) -> list[Path]:
    """Lists the sections of converted events, one for each file that was converted, in the order of these files.

    Args:
      path: of a directory of shards, or of a shard.

    Returns:
      Their paths.

    Raises:
      DataError: the conversion is not complete, or a shard is missing or damaged.
    """
    if is_shard(path):
        notes = read_header(path)["sections"]
        return [path / f"{note['number']:06d}" / Path(note["source"]["path"]).name for note in notes]
    record = read_record(path)
    if not record["complete"]:
        raise DataError(
            f"{path}: its conversion was not finished. Run the command that makes it again; it goes on where it stopped."
        )
    missing = next((name for name in record["shards"] if not is_shard(path / name)), None)
    if missing is not None:
        raise DataError(f"{path}: the shard {missing} is missing. Convert the files again.")
    return [section for name in record["shards"] for section in sections_of(path / name)]


def read_record(directory: Path) -> dict[str, Any]:
    """Reads what a converted directory says of itself.

    Args:
      directory: with shards.

    Returns:
      Content of its record: identity of the conversion, whether it is complete, names of shards.

    Raises:
      DataError: it cannot be read.
    """
    file = directory / RECORD
    try:
        record = json.loads(file.read_text())
        return {key: record[key] for key in ("identity", "complete", "shards")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file}: cannot be read; it is damaged ({error}). Remove {directory} and convert the files again."
        ) from None


def section_note(path: Path) -> Mapping[str, Any]:
    """Reads the entry of a section in the header of its shard.

    Args:
      path: of a section.

    Returns:
      The entry.

    Raises:
      DataError: the shard has no such section, or its header is damaged.
    """
    notes = read_header(path.parent.parent)["sections"]
    place = int(path.parent.name) - notes[0]["number"] if path.parent.name.isdecimal() else -1
    if not 0 <= place < len(notes):
        raise DataError(f"{path}: the shard has no such section.")
    return dict(notes[place])


def converted_tables(path: Path) -> dict[str, Any]:
    """Reads from which tables the events of a section were converted.

    Args:
      path: of a section.

    Returns:
      Section data_settings of the configuration of the conversion.

    Raises:
      DataError: the header of the shard is damaged.
    """
    return dict(read_header(path.parent.parent)["settings"]["data_settings"])


def count_events(path: Path) -> int:
    """Reads how many events a section has.

    Args:
      path: of a section.

    Returns:
      Number of events, those that cannot be used among them.

    Raises:
      DataError: the header of the shard is damaged.
    """
    note = section_note(path)
    return int(note["stop"] - note["start"])


def place_of_event(path: Path, number: int) -> tuple[Path, int]:
    """Finds the section of an event of converted events, which are counted through all sections.

    Args:
      path: of a file, a section, a shard or a directory of shards.
      number: of the event.

    Returns:
      Path of the section and number of the event in it; what was given where the path is that of a file or a section.

    Raises:
      DataError: there are fewer events, or a header is damaged.
    """
    if not is_converted(path):
        return path, number
    left = number
    for section in sections_of(path):
        if left < (count := count_events(section)):
            return section, left
        left -= count
    raise DataError(f"{path}: has {number - left} events, counted from 0; there is no event {number}.")


def file_of(path: Path) -> Path:
    """Returns the file from which events come.

    Args:
      path: of a file, or of a section.

    Returns:
      The path itself, or that of the file that was converted.

    Raises:
      DataError: the header of a shard is damaged.
    """
    return Path(section_note(path)["source"]["path"]) if is_section(path) else path
