"""`evgen-jax check`."""

import sys
from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import say, settings
from evgen_jax.cli.reference_options import log_level, num_threads

CONFIGURATIONS = (".yaml", ".yml")
"""Endings of configurations among the arguments."""


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True)
@settings
@click.option("--columns/--no-columns", default=True, help="Whether the ranges of all columns are listed.")
@log_level
@num_threads
def check(files: tuple[str, ...], settings: tuple[str, ...], columns: bool) -> None:
    """Say what FILES hold, and what is missing for training and for fitting; nothing is written.

    FILES are event files of any format (folders of Parquet, patterns), configurations (.yaml), or both: a configuration alone is
    checked with the data that it names, with event files it is checked with these. Ends with 3 if one of several files cannot
    be read or is of another detector than the others, or cannot be used with the configuration that is given.
    """
    configs = tuple(name for name in files if name.endswith(CONFIGURATIONS))
    data = tuple(name for name in files if name not in configs)
    if configs:
        from evgen_jax.report.rehearsal import rehearse

        lines, lost = rehearse(configs, settings, data)
        for line in lines:
            say(line)
        if lost:
            sys.exit(3)
        return
    from evgen_jax.config.reader import with_settings
    from evgen_jax.config.records import DataHandlerSettings
    from evgen_jax.config.validate import validate
    from evgen_jax.data.batches import files_as_given
    from evgen_jax.data.sections import is_section
    from evgen_jax.errors import DataError
    from evgen_jax.report.converted_inventory import converted_inventory
    from evgen_jax.report.inventory import FileInventory, different_detectors, inventory

    section = "data_handler_settings"
    given = with_settings({section: {"data_settings": {}}}, settings)
    handler = validate(DataHandlerSettings, given[section], ", ".join(f"--set {text}" for text in settings) or section)
    found: list[FileInventory] = []
    paths, lost = files_as_given(list(data)), 0
    for path in paths:
        try:
            found.append(converted_inventory(path) if is_section(path) else inventory(Path(path), handler))
        except DataError as error:
            if len(paths) == 1:
                raise
            say(f"{error}")
            lost += 1
            continue
        for line in found[-1].lines(columns):
            say(line)
    for line in different_detectors(found):
        say(line)
        lost += 1
    if lost:
        sys.exit(3)
