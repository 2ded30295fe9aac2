"""`evgen-jax show`."""

from pathlib import Path

import click

from evgen_jax.cli.commands import Command
from evgen_jax.cli.configuration import other_configuration, place, say, settings
from evgen_jax.cli.fit_settings import check_model, data_and_fit
from evgen_jax.cli.reference_options import log_level, num_threads, output_dir
from evgen_jax.errors import ConfigError, suggestion


def _date(text: str) -> float:
    """The modified Julian date of --mjd."""
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"--mjd: expected a modified Julian date (UTC) such as 58018.87, or 'header', got '{text}'."
            + suggestion(text, ["header"])
        ) from None


@click.command(cls=Command)
@click.argument("model", type=click.Path())
@click.argument("file", type=click.Path())
@output_dir("One folder per event goes here.", required=True, type=click.Path(path_type=Path))
@other_configuration
@settings
@log_level
@num_threads
@click.option("--seed", help="As in reconstruct.")
@click.option("--ensemble", multiple=True, type=click.Path(), help="As in reconstruct.")
@place
@click.option(
    "--event",
    "numbers",
    multiple=True,
    type=click.IntRange(min=0),
    help="Place of an event in FILE, from 0; may be given several times (default: 0).",
)
@click.option("--scan", "scans", multiple=True, help="Parameter to scan, all others fitted.")
@click.option("--sky-map", is_flag=True, help="Adaptive sky map, as figure and FITS.")
@click.option(
    "--mjd",
    help="When the event was seen (UTC, modified Julian date), or 'header' for the date in its event header: the sky map is "
    "celestial, with the files and keywords of alerts.",
)
@click.option(
    "--site",
    help="Where the detector is, if its table does not say: icecube, or 'latitude LAT, longitude LON, x_axis COMPASS' "
    "(degrees; 90 where x is the easting).",
)
@click.option("--sender", default="", help="SENDER of celestial sky maps (default: this program).")
@click.option("--posterior", is_flag=True, help="Samples of the posterior with the priors of the configuration.")
@click.option("--notice", default="", help="A line on every figure.")
def show(
    model: str,
    file: str,
    output_dir: Path,
    config: tuple[str, ...],
    settings: tuple[str, ...],
    seed: str | None,
    ensemble: tuple[str, ...],
    detector: str | None,
    medium: str | None,
    numbers: tuple[int, ...],
    scans: tuple[str, ...],
    sky_map: bool,
    mjd: str | None,
    site: str | None,
    sender: str,
    posterior: bool,
    notice: str,
) -> None:
    """Fit single events of FILE and draw them: light against pulses, residuals, scans, sky map, posterior."""
    from evgen_jax.measurement.site import read_site
    from evgen_jax.progress import counted
    from evgen_jax.reconstruction.run.workers import load_models
    from evgen_jax.report.file import Moment, report_file
    from evgen_jax.report.findings import ReportSettings

    check_model(model, "FILE")
    if mjd is not None and not sky_map:
        raise ConfigError("--mjd: makes sky maps celestial, but no sky map is asked for. Add --sky-map.")
    for name, given in (("--site", site), ("--sender", sender)):
        if given and mjd is None:
            raise ConfigError(
                f"{name}: belongs to celestial sky maps. Add --mjd with the date of the event, or --mjd header."
            )
    when = None
    if mjd is not None:
        when = Moment(None if mjd == "header" else _date(mjd), read_site(site, "--site") if site else None, sender)
    loaded = load_models((model, *ensemble), detector, medium)
    handler, fit = data_and_fit(model, loaded, config, settings, (file,), seed)
    wanted = ReportSettings(scans, sky_map, posterior, dict(fit.priors), notice)
    numbers = numbers or (0,)
    pages = report_file(loaded, file, output_dir, handler, fit, numbers, wanted, when)
    for page in counted(pages, "show", "event", len(numbers)):
        say(f"wrote {page}")
