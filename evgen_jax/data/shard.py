"""A shard: a directory of plain .npy arrays with a JSON header, which a process maps into memory and checks once.

`header.json` says what the arrays are: format and version, shape, type and checksum of each, and what their writer adds.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.errors import DataError
from evgen_jax.files import replaced_directory

FORMAT, VERSION = "evgen_jax events", 1
"""What headers begin with; a reader refuses versions that it does not know."""
HEADER = "header.json"
"""Name of the header in the directory of a shard."""
SUFFIX = ".events"
"""Ending of the name of a shard."""
OPEN_SHARDS = 16
"""Number of shards that stay open; each holds some twenty file descriptors."""
AGAIN = "Convert its files again."
"""What to do about a damaged shard."""


@dataclass(frozen=True)
class Shard:
    """Is an open shard.

    Attributes:
      path: of its directory.
      header: content of its header.
      arrays: name -> array, mapped into memory, read-only.
    """

    path: Path
    header: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def write_shard(path: Path, arrays: Mapping[str, Sequence[np.ndarray]], header: Mapping[str, Any]) -> None:
    """Writes a shard, which appears under its name only when complete.

    Args:
      path: of the new directory, whose name ends with `SUFFIX`.
      arrays: name -> parts, which are joined along their first axis. One array is in memory at a time, beside its parts.
      header: what else stands in the header.

    Raises:
      OSError: it cannot be written, for want of room perhaps; names a path.
    """
    with replaced_directory(path) as partial:
        described = {name: _write(partial / f"{name}.npy", np.concatenate(parts)) for name, parts in arrays.items()}
        content = {"format": FORMAT, "version": VERSION, **header, "arrays": described}
        text = json.dumps({**content, "crc32": _header_checksum(content)}, indent=1) + "\n"
        (partial / HEADER).write_text(text)


def _write(path: Path, array: np.ndarray) -> dict[str, Any]:
    """Writes an array; returns its description for the header."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        # numpy.save would report a full disk without saying that it is one.
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data if array.size else b"")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "crc32": _checksum(array)}


def _checksum(array: np.ndarray) -> int:
    # CRC-32 finds accidental damage, at 3 GB/s where SHA-256 has 1 GB/s.
    return zlib.crc32(array.data if array.size else b"")


def _header_checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps({key: content[key] for key in content if key != "crc32"}, sort_keys=True).encode())


def is_shard(path: Path) -> bool:
    """Tells whether a path is that of a shard.

    Args:
      path: of a file or directory.

    Returns:
      True for a directory with the ending of shards and a header.
    """
    return path.suffix == SUFFIX and (path / HEADER).is_file()


def read_header(path: Path) -> Mapping[str, Any]:
    """Reads the header of a shard; once per process, until the file changes.

    Args:
      path: of the shard.

    Returns:
      Its content.

    Raises:
      DataError: it cannot be read, is damaged or of an unknown version.
    """
    return _header(path, _stamp(path))


def open_shard(path: Path) -> Shard:
    """Opens a shard; where this process opens it for the first time, all of its content is checked.

    Args:
      path: of the shard.

    Returns:
      The open shard. Shards that were used last stay open.

    Raises:
      DataError: an array is missing, truncated or damaged, or the header is (see `read_header`).
    """
    return _open(path, _stamp(path))


def check_shard(path: Path) -> None:
    """Compares all of a shard with its checksums, also if this process has done so before.

    Args:
      path: of the shard.

    Raises:
      DataError: an array is missing, truncated or damaged, or the header is.
    """
    stamp = _stamp(path)
    _checked.discard((path, stamp))
    _open.cache_clear()
    _open(path, stamp)


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when the header is written anew."""
    try:
        found = (path / HEADER).stat()
    except OSError as error:
        raise DataError(f"{path}: has no readable {HEADER} ({error.strerror}). {AGAIN}") from None
    return found.st_mtime_ns, found.st_ino


@lru_cache(maxsize=256)
def _header(path: Path, stamp: tuple[int, int]) -> Mapping[str, Any]:
    file = path / HEADER
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read; it is damaged ({error}). {AGAIN}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{file}: is no header of '{FORMAT}'.")
    if content.get("version") != VERSION:
        raise DataError(
            f"{file}: has the version {content.get('version')} of '{FORMAT}'; this program reads version {VERSION}. "
            "Use the program that wrote it, or convert the files again."
        )
    if content.get("crc32") != _header_checksum(content):
        raise DataError(f"{file}: is damaged: its checksum is another one. {AGAIN}")
    return content


_checked: set[tuple[Path, tuple[int, int]]] = set()
"""Shards whose content this process has compared with its checksums."""


@lru_cache(maxsize=OPEN_SHARDS)
def _open(path: Path, stamp: tuple[int, int]) -> Shard:
    header = _header(path, stamp)
    arrays = {name: _map(path / f"{name}.npy", described) for name, described in header["arrays"].items()}
    if (path, stamp) not in _checked:
        for name, array in arrays.items():
            if _checksum(array) != header["arrays"][name]["crc32"]:
                raise DataError(f"{path}: is damaged: the checksum of {name}.npy is another one. {AGAIN}")
        _checked.add((path, stamp))
    return Shard(path, header, arrays)


def _map(path: Path, described: Mapping[str, Any]) -> np.ndarray:
    try:
        # A plain array, since slices of numpy.memmap take longer.
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise DataError(f"{path}: is missing. {AGAIN}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is truncated or damaged ({error}). {AGAIN}") from None
    if (array.dtype.str, list(array.shape)) != (described["dtype"], described["shape"]):
        raise DataError(
            f"{path}: holds {array.dtype.str} of shape {list(array.shape)}; its header says {described['dtype']} of "
            f"shape {described['shape']}. {AGAIN}"
        )
    return array
