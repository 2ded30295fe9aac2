"""Options under the names that Event-Generator's programs give them; they work beside ours."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from evgen_jax.cli.commands import choose_verbosity
from evgen_jax.cli.logging import DEBUG, NORMAL, VERBOSE
from evgen_jax.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any] | click.Command)
"""Function of a command, before or after click made a command of it."""


def limit_threads(number: int) -> None:
    """Limits the threads of the CPU on which XLA computes, in this process and in those that it starts.

    The threads are started with JAX's first array and their number stays.

    Args:
      number: of threads; 0 leaves it to XLA.

    Raises:
      ConfigError: JAX has started them already.
    """
    if number == 0:
        return
    from jax._src.xla_bridge import backends_are_initialized

    if backends_are_initialized():
        raise ConfigError(f"--num_threads {number}: comes too late, JAX computes in this process already.")
    # XLA asks this variable before it counts the cores; the others are of the libraries below numpy and scipy.
    for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(number)


def _set_level(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """The last of -v, -q and --log_level counts."""
    if value:
        choose_verbosity(context, {"DEBUG": DEBUG, "INFO": VERBOSE, "WARNING": NORMAL}[value.upper()])


def log_level(function: Command) -> Command:
    """Adds --log_level to a command.

    Args:
      function: of the command.

    Returns:
      The function with the option.
    """
    return click.option(
        "--log_level",
        "--log-level",
        type=click.Choice(["DEBUG", "INFO", "WARNING"], case_sensitive=False),
        expose_value=False,
        callback=_set_level,
        help="Which messages are shown (default: WARNING).",
    )(function)


def num_threads(function: Command) -> Command:
    """Adds --num_threads to a command.

    Args:
      function: of the command.

    Returns:
      The function with the option.
    """
    return click.option(
        "--num_threads",
        "--num-threads",
        type=click.IntRange(min=0),
        default=0,
        expose_value=False,
        callback=lambda context, parameter, value: limit_threads(value),
        help="Threads of the CPU to compute on (default: 0, all).",
    )(function)


def output_dir(text: str, **more: Any) -> Callable[[Command], Command]:
    """Makes the option -o, --output-dir, --output_dir.

    Args:
      text: help of the option.
      **more: further settings of `click.option`.

    Returns:
      Decorator that adds the option to a command.
    """
    return click.option("-o", "--output-dir", "--output_dir", help=text, **more)


def reco_config_file(text: str) -> Callable[[Command], Command]:
    """Makes the option -r, --reco-config-file, --reco_config_file.

    Args:
      text: help of the option.

    Returns:
      Decorator that adds the option to a command.
    """
    return click.option("-r", "--reco-config-file", "--reco_config_file", type=click.Path(), help=text)
