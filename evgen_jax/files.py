"""Writing of files so that they are never half-written and never lost."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evgen_jax.errors import ConfigError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Gives a temporary name to write a file under, which is renamed to `path` only if the writing succeeds.

    Args:
      path: of the file that is made or replaced.

    Yields:
      The temporary path, `<path>.partial`, in the directory of `path`.

    Raises:
      OSError: the writing fails, such as on a full disk; names `path`, which Python's own message does not.

    Example:
      with replaced(path) as partial:
          partial.write_text(text)
    """
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replaced_directory(path: Path) -> Iterator[Path]:
    """Gives a temporary directory to write into, which is renamed to `path` only if the writing succeeds.

    Args:
      path: of the directory that is made; must not exist.

    Yields:
      The temporary directory, `<path>.partial`, empty; what an earlier process left under this name is removed.

    Raises:
      OSError: the writing fails, such as on a full disk; names a path, which Python's own message does not always do.
    """
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(path)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_writable(directory: Path, where: str) -> None:
    """Checks that a directory exists or can be made, and that files can be written into it; writes nothing.

    Args:
      directory: where files are to be written.
      where: names what the user gave, such as an option and its value; begins the message.

    Raises:
      ConfigError: the path is no directory, or its permissions do not allow writing.
    """
    nearest = directory.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ConfigError(f"{where}: {nearest} is no directory. Give another name.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{where}: nothing can be written into {nearest} (permission denied). Give another name.")


def write_whole(path: Path, text: str) -> None:
    """Writes a text file atomically: at any moment the file holds its old content or the new one.

    Args:
      path: of the file.
      text: its new content.

    Raises:
      OSError: the file cannot be written; names it.
    """
    with replaced(path) as partial:
        partial.write_text(text)


def set_aside(path: Path) -> Path | None:
    """Renames an existing file or directory to `<name>.old-1`, or to the first such name with a free number.

    Args:
      path: of the file or directory.

    Returns:
      The new path; None if nothing was there.
    """
    if not path.exists():
        return None
    target = free_name(path)
    path.rename(target)
    return target


def free_name(path: Path) -> Path:
    """Finds the first of `<name>.old-1`, `<name>.old-2` and so on that does not exist.

    Args:
      path: of the file or directory that is to be renamed.

    Returns:
      The free path, in the directory of `path`.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return target
