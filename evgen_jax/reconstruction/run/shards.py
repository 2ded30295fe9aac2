"""Shards of a run over many files: which files each job of a batch system fits, and into which table."""

import glob
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evgen_jax.data.batches import files_as_given
from evgen_jax.errors import ConfigError, ReconstructionError
from evgen_jax.reconstruction.run.results import read_result_notes

FILES = "shard_files"
"""Note in the table of a shard: checksum of the names of its files."""


class Shard(NamedTuple):
    """Names one of several parts of the files of a run.

    Attributes:
      number: of the part, from 1.
      total: number of all parts.
    """

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def read_shard(text: str) -> Shard:
    """Reads which shard is meant.

    Args:
      text: 'i/n', i from 1 to n.

    Returns:
      The shard.

    Raises:
      ConfigError: something else.
    """
    found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f"--shard: expected i/n with i from 1 to n, such as 3/10, got '{text}'.")
    return Shard(int(found[1]), int(found[2]))


def shard_files(patterns: Sequence[str], shard: Shard) -> list[str]:
    """Finds the files of a shard: of n files in order, each shard has n / count successive ones.

    Args:
      patterns: names or patterns of all files.
      shard: which part of them.

    Returns:
      Names of its files; tables of all shards one after the other have the order of a single run.

    Raises:
      ConfigError: more shards than files.
      DataError: a pattern without a match.
    """
    paths = files_as_given(list(patterns))
    if shard.total > len(paths):
        raise ConfigError(f"--shard {shard}: there are {len(paths)} files only; expected at most {len(paths)} shards.")
    first, last = (len(paths) * number // shard.total for number in (shard.number - 1, shard.number))
    return [glob.escape(str(path)) for path in paths[first:last]]


def shard_output(output: Path, shard: Shard) -> Path:
    """Names the table of a shard.

    Args:
      output: of the whole run, such as fits.hdf5.
      shard: which part.

    Returns:
      Such as fits_03_of_10.hdf5: sorted by name, shards are in order.
    """
    return output.with_name(f"{output.stem}_{shard.number:0{len(str(shard.total))}d}_of_{shard.total}{output.suffix}")


def shard_notes(files: Sequence[str]) -> dict[str, str]:
    """Makes what the table of a shard says of its files.

    Args:
      files: names of the shard.

    Returns:
      A note for `write_table`: the same files give the same.
    """
    names = "\n".join(str(Path(name).absolute()) for name in files)
    return {FILES: hashlib.sha256(names.encode()).hexdigest()[:16]}


def is_done(table: Path, files: Sequence[str], identity: str | None = None) -> bool:
    """Tells whether a shard is done: its table is there and of these files.

    Args:
      table: of the shard.
      files: names of the shard.
      identity: of the model; None: not compared.

    Returns:
      False if there is no table.

    Raises:
      ReconstructionError: a table of other files, of another model or of no shard.
    """
    if not table.exists():
        return False
    notes = read_result_notes(glob.escape(str(table)))
    if notes.get(FILES) != shard_notes(files)[FILES]:
        raise ReconstructionError(
            f"{table}: exists already, but holds other files than this shard: files came, went or were renamed, or FILES is another "
            "list. Remove the tables of all shards or give another name with -o."
        )
    if identity is not None and notes.get("model_identity") != identity:
        raise ReconstructionError(
            f"{table}: exists already, fitted with another model. Remove it or give another name with -o."
        )
    return True
