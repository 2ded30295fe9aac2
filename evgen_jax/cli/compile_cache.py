"""Compiled programs stay on disk between commands: a second process compiles nothing that the first one has."""

import logging
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from evgen_jax.errors import ConfigError

LOGGER = logging.getLogger("evgen_jax")
DIRECTORY = "jax_compilation_cache_dir"
"""JAX setting that names the folder of compiled programs."""
SETTINGS: dict[str, float | int] = {
    # Short compilations count, too: a fit has dozens of small programs.
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    # Some thousands of programs. With a limit JAX locks the directory (by filelock), so that processes do not read what others
    # are still writing.
    "jax_compilation_cache_max_size": 1 << 30,
}
"""Further settings of JAX for its cache: shortest compilation that is kept, s, and largest size, bytes."""


def default_directory() -> Path:
    """Chooses a folder under the user's cache folder, one per JAX version and host.

    Programs that were compiled for one CPU may not run on another.

    Returns:
      The folder, which need not exist.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "evgen_jax" / f"jax-{version('jax')}-{platform.node() or 'host'}"


def use_compile_cache(directory: str | None, wanted: bool = True) -> None:
    """Sets where JAX keeps compiled programs, for this process and those that it starts.

    Args:
      directory: of the programs; default JAX_COMPILATION_CACHE_DIR of the environment, then `default_directory`. A
        default that cannot be written is left out, which a log tells.
      wanted: False: nothing is kept.

    Raises:
      ConfigError: a directory was given that cannot be written.
    """
    if not wanted:
        _set(DIRECTORY, "")
        return
    if directory is None and os.environ.get(DIRECTORY.upper()):
        return  # the user's own, with the user's own settings
    path = default_directory() if directory is None else Path(directory).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        writable = os.access(path, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        if directory is not None:
            raise ConfigError(f"--cache-dir {directory}: cannot be written. Give another directory, or --no-cache.")
        LOGGER.info("compiled programs are not kept: %s cannot be written", path)
        return
    # XLA warns twice per program that it reads about features of the machine that are none.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _set(DIRECTORY, str(path))
    for name, value in SETTINGS.items():
        _set(name, value)


def _set(name: str, value: str | float | int) -> None:
    """Sets one of JAX's settings whether it is loaded already or not; importing it here would take a second."""
    os.environ[name.upper()] = str(value)
    if "jax" in sys.modules:
        import jax

        jax.config.update(name, None if value == "" else value)
