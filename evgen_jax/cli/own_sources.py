"""Runs the file in which a user registers classes: only where the user names it, never because a model does."""

import runpy
from collections.abc import Sequence
from pathlib import Path

from evgen_jax.errors import ConfigError, EvgenError


def run_file(path: str) -> None:
    """Executes a Python file.

    Args:
      path: of the file.

    Raises:
      ConfigError: no such file, or one that fails; the error and its line are named.
    """
    if not Path(path).is_file():
        raise ConfigError(f"--sources: {path}: no such file.")
    try:
        runpy.run_path(path)
    except EvgenError:
        raise
    except Exception as error:
        trace, line = error.__traceback__, None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == path:
                line = trace.tb_lineno
            trace = trace.tb_next
        place = f"{path}: line {line or getattr(error, 'lineno', '?')}"
        raise ConfigError(f"--sources: {place}: {type(error).__name__}: {error}") from None


def run_files(paths: Sequence[str]) -> None:
    """Executes Python files, one after the other.

    Args:
      paths: of the files.

    Raises:
      ConfigError: no such file, or one that fails; the error and its line are named.
    """
    for path in paths:
        run_file(path)
