"""`evgen-jax detector`."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import say
from evgen_jax.errors import ConfigError


@click.command(cls=Command)
@click.argument("file", type=click.Path())
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Detector table (CSV); must not exist."
)
@click.option(
    "--area", type=click.FloatRange(min=0, min_open=True), help="Area of every sensor, m^2, in place of the file's."
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="NAME=CURVE",
    help="Angular curve of a kind of sensor (several times), such as pmt='cosine 1.5' or pmt='table pmt.csv'.",
)
def detector(file: str, output: Path, area: float | None, kinds: tuple[str, ...]) -> None:
    """Write the modules of FILE as a detector table.

    FILE is a .geo of Prometheus, a .detx of KM3NeT, a Parquet table of modules of graphnet, or a detector table. All of them
    can stand in detector_settings.geometry as they are; a table can be looked at and changed.
    """
    from evgen_jax.files import check_writable, replaced
    from evgen_jax.measurement.detector import load_detector
    from evgen_jax.report.inventory import detector_lines

    if output.exists():
        raise ConfigError(f"-o {output}: exists already. Give another name, or remove it.")
    check_writable(output.parent, f"-o {output}")
    pairs = [text.partition("=") for text in kinds]
    for text, (name, equals, curve) in zip(kinds, pairs, strict=True):
        if not (name and equals and curve):
            raise ConfigError(f"--kind {text}: expected NAME=CURVE, such as pmt='cosine 1.5'.")
    loaded = load_detector(file, kinds={name: curve for name, _, curve in pairs})
    if area is not None:
        import numpy as np

        loaded = loaded.replace(area=np.full(loaded.num_doms, area, np.float32))
    with replaced(output) as partial:
        loaded.to_csv(partial)
    for line in detector_lines(loaded):
        say(line)
    say(f"wrote {output}")
