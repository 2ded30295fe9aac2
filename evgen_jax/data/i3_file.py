"""Frames of I3 files, read through IceTray where it is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evgen_jax.errors import DataError

ENDINGS = (".i3", ".i3.gz", ".i3.bz2", ".i3.zst", ".i3.xz")
"""Ends of the names of I3 files."""


def is_i3_file(path: str | Path) -> bool:
    """Tells whether a file is an I3 file, by its name.

    Args:
      path: of the file.

    Returns:
      True for the usual endings.
    """
    return str(path).lower().endswith(ENDINGS)


def icetray_part(name: str, purpose: str) -> Any:
    """Imports a part of IceTray.

    Args:
      name: such as 'dataio'.
      purpose: what needs it; begins the message.

    Returns:
      The module.

    Raises:
      DataError: IceTray is not there.
    """
    try:
        if find_spec("icecube") is not None:
            return import_module(f"icecube.{name}")
    except ImportError:
        pass
    raise DataError(
        f"{purpose} needs IceTray (the Python package icecube with {name}), which cannot be imported here. Start this in the "
        "env-shell.sh of an IceTray installation, or write HDF5 tables with its tableio."
    )


def frames_of(path: str | Path) -> Iterator[Any]:
    """Reads the frames of an I3 file one after the other; P frames hold what their Q frame holds.

    Args:
      path: of the file.

    Yields:
      Frames.

    Raises:
      DataError: IceTray or the file is not there, or the file is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: {'is a directory' if path.is_dir() else 'no such file'}; expected an I3 file.")
    dataio = icetray_part("dataio", f"{path}: an I3 file")
    icetray_part("dataclasses", f"{path}: an I3 file")  # without it frames do not know what they hold
    try:
        with _without_log():
            file = dataio.I3File(str(path))
    except Exception as error:
        raise DataError(f"{path}: cannot be opened as an I3 file ({line_of(error)}).") from None
    number = 0
    try:
        while file.more():
            try:
                with _without_log():
                    frame = file.pop_frame()
            except Exception as error:
                raise DataError(
                    f"{path}: is damaged behind {number} frames ({line_of(error)}). Files that a job was still writing end like this."
                    if number
                    else f"{path}: is no I3 file ({line_of(error)})."
                ) from None
            number += 1
            yield frame
    finally:
        file.close()


def line_of(error: Exception) -> str:
    """Shortens what the C++ classes of IceTray say: to one line, without the function that says it.

    Args:
      error: that IceTray raised.

    Returns:
      The first line of its message, or its class.
    """
    return str(error).splitlines()[0].partition(" (in ")[0] if str(error) else type(error).__name__


@contextmanager
def _without_log() -> Iterator[None]:
    """Keeps IceTray from logging an error that is raised as well."""
    icetray = import_module("icecube.icetray")
    kept = icetray.I3Logger.global_logger
    icetray.I3Logger.global_logger = icetray.I3NullLogger()
    try:
        yield
    finally:
        icetray.I3Logger.global_logger = kept
