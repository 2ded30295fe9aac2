"""Conversion of event files into shards, which a training reads without parsing; interrupted, it goes on where it stopped."""

import json
import logging
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evgen_jax.data.batches import find_files
from evgen_jax.data.conversion import Conversion, ConvertedFile
from evgen_jax.data.detector_match import compare_with_detector
from evgen_jax.data.file_events import EventFile
from evgen_jax.data.readers import Readers
from evgen_jax.data.sections import RECORD, is_converted, is_section, read_record
from evgen_jax.data.shard import SUFFIX, check_shard, read_header
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.files import check_writable, write_whole
from evgen_jax.interruption import told_when_interrupted

LOGGER = logging.getLogger("evgen_jax")
SHARD_BYTES = 2**28
"""Size at which a shard is complete, bytes; so much is in memory while files are converted, whatever their number."""
LOCK = "conversion.lock"
"""Name of the file that is locked while a directory is written."""


@dataclass(frozen=True)
class Converted:
    """Says what became of a conversion.

    Attributes:
      files: number of files.
      events: number of events that can be used.
      lost: one line for every file that could not be read.
    """

    files: int
    events: int
    lost: tuple[str, ...]

    def __str__(self) -> str:
        lost = f", {len(self.lost)} of them could not be read" if self.lost else ""
        return f"{self.events} events of {self.files} files{lost}"


def files_to_convert(files: str | Sequence[str]) -> list[Path]:
    """Finds files.

    Args:
      files: names of files, or patterns.

    Returns:
      Paths, sorted, each once.

    Raises:
      ConfigError: events that are converted.
      DataError: a pattern without a match.
    """
    paths = find_files(files)
    if converted := next((path for path in paths if is_section(path)), None):
        raise ConfigError(f"{converted.parent.parent}: holds converted events; give the files they were made from.")
    return paths


def convert(
    conversion: Conversion,
    directory: str | Path,
    *,
    jobs: int = 0,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = lambda paths: paths,
) -> Converted:
    """Converts event files into a directory of shards, which takes their place wherever files are given.

    Shards appear when they are complete: the same call goes on after an interruption.

    Args:
      conversion: what is converted, and how.
      directory: of the shards; made if needed.
      jobs: processes that read the files; 0: the present one.
      shard_bytes: size at which a shard is complete.
      progress: wraps the list of files, for a progress bar.

    Returns:
      Numbers of files and events.

    Raises:
      ConfigError: the directory holds something else, cannot be written, or another program writes it.
      DataError: no file matches, or none can be read.
      OSError: a shard cannot be written, for want of room perhaps; complete ones stay.
    """
    directory = Path(directory)
    with _opened(conversion, directory, "-o") as (paths, identity):
        changes = _changes(read_record(directory)["identity"], identity) if is_converted(directory) else []
        if changes:
            raise ConfigError(
                f"{directory}: holds events that were converted from, or with, other {', '.join(changes)}. Give another name, "
                "or remove this directory."
            )
        return _fill(conversion, directory, paths, identity, jobs, shard_bytes, progress)


def make_cache(
    conversion: Conversion,
    directory: str | Path,
    *,
    jobs: int = 0,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = lambda paths: paths,
) -> Converted:
    """Converts event files into a directory unless that was done; where anything has changed, it is done anew.

    Args:
      conversion: what is converted, and how.
      directory: of the shards; made if needed.
      jobs: processes that read the files; 0: the present one.
      progress: wraps the list of files, for a progress bar.

    Returns:
      Numbers of files and events.

    Raises:
      ConfigError: the directory holds something else, cannot be written, or another program writes it.
      DataError: no file matches, or none can be read.
      OSError: a shard cannot be written, for want of room perhaps; complete ones stay.
    """
    directory = Path(directory)
    with _opened(conversion, directory, "--cache") as (paths, identity):
        reason = _reason_to_start_anew(directory, identity)
        if reason:
            LOGGER.warning("%s: is made anew: %s.", directory, reason)
            (directory / RECORD).unlink()
            for path in directory.glob(f"*{SUFFIX}*"):
                shutil.rmtree(path)
        return _fill(conversion, directory, paths, identity, jobs, SHARD_BYTES, progress)


@contextmanager
def _opened(conversion: Conversion, directory: Path, option: str) -> Iterator[tuple[list[Path], dict[str, Any]]]:
    """Gives the files and what is converted of them, while no other program writes the directory, which is ours."""
    check_writable(directory, f"{option} {directory}")
    paths = files_to_convert(conversion.files)
    identity = json.loads(json.dumps(conversion.identity(paths)))
    _check_free(directory)
    with _locked(directory):
        yield paths, identity


def _reason_to_start_anew(directory: Path, identity: Mapping[str, Any]) -> str:
    """Why a cache cannot be used; '' where it can, or there is none."""
    if not (directory / RECORD).is_file():
        return ""
    try:
        record = read_record(directory)
        for name in record["shards"]:
            check_shard(directory / name)
    except DataError as error:
        return str(error).rstrip(".")
    changes = _changes(record["identity"], identity)
    return f"other {', '.join(changes)} than it was made from" if changes else ""


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [key for key in now if was.get(key) != now[key]]


def _check_free(directory: Path) -> None:
    """Refuses a directory with files of somebody else."""
    if not directory.is_dir() or (directory / RECORD).is_file():
        return
    other = next((path for path in directory.iterdir() if path.name != LOCK), None)
    if other is not None:
        raise ConfigError(
            f"{directory}: is no directory of converted events, and holds {other.name}. Give another name."
        )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lets one program at a time write a directory, which is made if needed; an empty one does not stay."""
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(f"{directory}: is being written by another program; wait until that is done.") from None
    except NotImplementedError:
        LOGGER.warning("%s: its file system has no locks; see to it that no other program writes it.", directory)
    try:
        with told_when_interrupted(f"Complete shards are kept in {directory}: run the same command again to continue."):
            yield
    finally:
        (directory / LOCK).unlink(missing_ok=True)
        lock.release()
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()


def _fill(
    conversion: Conversion,
    directory: Path,
    paths: Sequence[Path],
    identity: Mapping[str, Any],
    jobs: int,
    shard_bytes: int,
    progress: Callable[[Sequence[Path]], Iterable[Path]],
) -> Converted:
    """Writes the shards that are not there yet, or are damaged, and then that all of them are."""
    record = directory / RECORD

    def note(shards: Sequence[str], complete: bool) -> None:
        write_whole(record, json.dumps({"identity": identity, "complete": complete, "shards": shards}, indent=1) + "\n")

    shards = _complete_shards(directory)
    done = sum(len(read_header(shard)["sections"]) for shard in shards)
    if done < len(paths):
        note([], False)
    files: list[ConvertedFile] = []
    size = 0
    for number, path, file in _read(conversion, paths[done:], jobs, progress):
        files.append(conversion.converted(done + number, path, file))
        size += files[-1].nbytes
        if size >= shard_bytes or done + number == len(paths) - 1:
            shards.append(directory / f"{len(shards):05d}{SUFFIX}")
            conversion.write(shards[-1], files)
            files, size = [], 0
    sections = [section for shard in shards for section in read_header(shard)["sections"]]
    lost = tuple(section["error"] for section in sections if section["error"])
    if len(lost) == len(paths):
        shutil.rmtree(directory)
        raise DataError(
            lost[0] if len(paths) == 1 else f"none of the {len(lost)} files can be read; the first: {lost[0]}"
        )
    note([shard.name for shard in shards], True)
    events = sum(section["stop"] - section["start"] - len(section["faults"]) for section in sections)
    return Converted(len(paths), events, lost)


def _complete_shards(directory: Path) -> list[Path]:
    """Lists the shards that an earlier conversion has finished, up to the first that is damaged; later ones are removed."""
    shards: list[Path] = []
    while (path := directory / f"{len(shards):05d}{SUFFIX}").is_dir():
        try:
            check_shard(path)
        except DataError as error:
            LOGGER.warning("is made anew with all shards behind it: %s", error)
            for own in directory.glob(f"*{SUFFIX}"):
                if own.name >= path.name:
                    shutil.rmtree(own)
            break
        shards.append(path)
    return shards


def _read(
    conversion: Conversion,
    paths: Sequence[Path],
    jobs: int,
    progress: Callable[[Sequence[Path]], Iterable[Path]],
) -> Iterator[tuple[int, Path, EventFile | DataError]]:
    """Reads files, some of them ahead in other processes, and tells what is odd; yields number, path and events."""
    readers, ahead = Readers(jobs), deque[Any]()
    try:
        for number, path in enumerate(progress(paths)):
            for further in paths[number + len(ahead) : number + 1 + 2 * jobs]:
                ahead.append(readers.submit(conversion.read, further))
            file = readers.result(ahead.popleft())
            if isinstance(file, DataError):
                if len(paths) > 1:  # of one file the error says it
                    LOGGER.warning("left out: %s", file)
            else:
                if file.notes():
                    LOGGER.warning("%s", file.notes())
                compare_with_detector(file, conversion.detector)
            yield number, path, file
    finally:
        readers.close()
