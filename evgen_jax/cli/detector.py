"""`evgen-jax detector`."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import say
from evgen_jax.errors import ConfigError


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Detector table (CSV); must not exist."
)
@click.option("--area", type=float, help="Area of every sensor, m^2, in place of that of the file.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="NAME=CURVE",
    help="Angular curve of a kind of sensor (several times), such as pmt='cosine 1.5' or pmt='table pmt.csv'.",
)
def detector(file: Path, output: Path, area: float | None, kinds: tuple[str, ...]) -> None:
    """Write the modules of FILE as a detector table.

    FILE is a .geo of Prometheus, a .detx of KM3NeT, a Parquet table of modules of graphnet, or a detector table. All of them
    can stand in detector_settings.geometry as they are; a table can be looked at and changed. A GCD file of IceCube (.i3.gz) is
    read through IceTray, where it is installed.
    """
    from evgen_jax.data.gcd import load_gcd
    from evgen_jax.data.i3_file import is_i3_file
    from evgen_jax.files import check_writable, replaced
    from evgen_jax.measurement.detector import load_detector
    from evgen_jax.measurement.detector_files import with_sensors
    from evgen_jax.measurement.detector_table import write_detector_table
    from evgen_jax.report.inventory import detector_lines

    if output.exists():
        raise ConfigError(f"-o {output}: exists already. Give another name, or remove it.")
    check_writable(output.parent, f"-o {output}")
    pairs = [text.partition("=") for text in kinds]
    for text, (name, equals, curve) in zip(kinds, pairs, strict=True):
        if not (name and equals and curve):
            raise ConfigError(f"--kind {text}: expected NAME=CURVE, such as pmt='cosine 1.5'.")
    gcd = is_i3_file(file)
    if gcd and (area is not None or pairs):
        raise ConfigError(f"{file}: --area and --kind are not for GCD files, whose modules are those of IceCube.")
    table = None if gcd else with_sensors(file, area, {name: curve for name, _, curve in pairs})
    with replaced(output) as partial:
        if table is None:
            load_gcd(file).to_csv(partial)
        else:
            write_detector_table(partial, table)
        loaded = load_detector(partial)  # what it says is proven before it is there
    for line in detector_lines(loaded):
        say(line)
    say(f"wrote {output}")
