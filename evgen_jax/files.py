"""Files that are never half-written and never lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evgen_jax.errors import ConfigError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A name to write a file under; it takes its place only if the writing ends well.

    Raises:
      OSError: it does not, for want of room perhaps; it names the file, which Python's own does not.
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


def check_writable(directory: Path, where: str) -> None:
    """Raises ConfigError unless a directory is there, or can be made, and takes files; nothing is written.

    Args:
      directory: of the files.
      where: names what the user gave, such as an option and its value.
    """
    nearest = directory.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ConfigError(f"{where}: {nearest} is no directory. Give another name.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{where}: nothing can be written into {nearest} (permission denied). Give another name.")


def write_whole(path: Path, text: str) -> None:
    """Writes a text file; under its name there is the old content or the new one, at any moment."""
    with replaced(path) as partial:
        partial.write_text(text)


def set_aside(path: Path) -> Path | None:
    """Moves a file or directory to a name of its own, '<name>.old-1' and so on; None if there was nothing."""
    if not path.exists():
        return None
    target = free_name(path)
    path.rename(target)
    return target


def free_name(path: Path) -> Path:
    """The first of '<name>.old-1', '<name>.old-2' and so on that does not exist."""
    number = 1
    while (target := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return target
