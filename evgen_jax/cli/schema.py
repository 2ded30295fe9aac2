"""`evgen-jax schema`: the keys of configurations, for editors and for readers."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.reference_options import log_level, num_threads


@click.command(cls=Command)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["json", "markdown"]),
    default="json",
    help="JSON schema, or a page of all keys.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="File to write (default: the terminal).")
@log_level
@num_threads
def schema(kind: str, output: str | None) -> None:
    """Print the JSON schema of configurations, for editors, or a reference of all keys.

    Classes of your own (--sources FILE) are part of it.
    """
    import json

    from evgen_jax.errors import ConfigError
    from evgen_jax.report.reference import reference_page
    from evgen_jax.report.schema import configuration_schema

    text = reference_page() if kind == "markdown" else json.dumps(configuration_schema(), indent=1) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"-o {output}: cannot be written ({error.strerror}).") from None
