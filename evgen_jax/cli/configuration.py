"""What commands with a configuration have in common: CONFIG, --set, and messages that name the file."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from evgen_jax.errors import ConfigError, EvgenError

configuration = click.argument("config", nargs=-1, required=True, type=click.Path())
"""CONFIG...: a later file overrides an earlier one key by key."""
settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Override one key of the configuration (several times); the value is YAML.",
)
other_configuration = click.option(
    "--config",
    "-r",
    "--reco-config-file",
    "--reco_config_file",
    "config",
    multiple=True,
    type=click.Path(),
    help="Settings of data and fit (a section that is not there is that of the model's training); later files override.",
)


def place(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say where a model by name is.

    Args:
      command: function of a command.

    Returns:
      The function with options --detector and --medium.
    """
    detector = click.option(
        "--detector", type=click.Path(), help="Detector table of MODEL icecube86-table (default: IceCube-86)."
    )
    medium = click.option("--medium", help="Medium of MODEL icecube86-table: a name or a file (default: south_pole).")
    return detector(medium(command))


@contextmanager
def naming(config: tuple[str, ...]) -> Iterator[None]:
    """Adds to messages about settings which file they stand in, also where the program looks at them later.

    Args:
      config: the files.

    Yields:
      Nothing; errors that are raised inside name the files.
    """
    try:
        yield
    except EvgenError as error:
        text = str(error)
        about_settings = isinstance(error, ConfigError) or text.startswith("input_data")
        if not about_settings or text.startswith((*config, "--set ")):
            raise
        raise type(error)(f"{', '.join(config)}: {text}") from None


def say(text: str) -> None:
    """Prints a result, unless errors alone are wanted.

    Args:
      text: to print.
    """
    from evgen_jax.progress import is_quiet

    if not is_quiet():
        click.echo(text)


def bar(unit: str, description: str) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Makes a function that goes through items and shows a progress bar.

    Args:
      unit: what is counted.
      description: what is done.

    Returns:
      Function items -> iterator over them.
    """
    from evgen_jax.progress import counted

    return lambda items: counted(items, description, unit)
