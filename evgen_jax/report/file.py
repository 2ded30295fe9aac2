"""Reports of single events of a file: reads, fits, draws."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.data.event_dates import event_dates
from evgen_jax.data.file_events import EventFile
from evgen_jax.data.labels import labels_are
from evgen_jax.data.sections import is_section, place_of_event
from evgen_jax.errors import DataError, ReconstructionError
from evgen_jax.extras import need
from evgen_jax.files import check_writable
from evgen_jax.hypothesis.joint_prior import make_prior
from evgen_jax.measurement.site import Site
from evgen_jax.measurement.usable_pulses import DARK, is_dark
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.progress import stage
from evgen_jax.reconstruction.run.file_fit import fit_as_configured, make_configured_fitter
from evgen_jax.reconstruction.run.seeds import make_seed_reader
from evgen_jax.reconstruction.uncertainty.celestial import celestial_of
from evgen_jax.report.findings import Alert, ReportSettings
from evgen_jax.report.page import report_event


@dataclass(frozen=True)
class Moment:
    """States when events were seen, and what else celestial sky maps need.

    Attributes:
      mjd: UTC as a modified Julian date, days; None: that of each event's header.
      site: of the detector; None: its own.
      sender: who publishes the maps; '': this program.
    """

    mjd: float | None = None
    site: Site | None = None
    sender: str = ""


def report_file(
    model: AnyModel,
    file: str | Path,
    directory: Path,
    handler: DataHandlerSettings,
    settings: ReconstructionSettings,
    numbers: Sequence[int],
    wanted: ReportSettings,
    when: Moment | None = None,
) -> Iterator[Path]:
    """Fits some events of a file and writes a folder `run_RRRRRR_event_EEEEEE` for each.

    Args:
      model: exported.
      file: with events and, unless `settings.seed` is 'pulses', seeds.
      directory: of the folders.
      handler: section data_handler_settings of a configuration.
      settings: section reconstruction_settings of a configuration.
      numbers: places of the events in the file, from 0.
      wanted: what to compute and draw besides the fit.
      when: makes sky maps celestial; None: they are those of the detector's sky.

    Yields:
      The page of each event, when it is written.

    Raises:
      DataError: the file cannot be read, has fewer events, or an event has no light.
      ReconstructionError: a fit failed, or a posterior without priors.
      ConfigError: an unknown parameter to scan, a package that is not installed, or a directory that cannot be written.
    """
    # What is missing or unknown is told before anything is computed.
    check_writable(directory, f"-o {directory}")
    for name in wanted.scans:
        model.index(name)
    if wanted.sky_map:
        need("astropy_healpix", "--sky-map")
        need("astropy", "--sky-map")
    if wanted.posterior:
        need("blackjax", "--posterior")
        need("corner", "--posterior")
    if wanted.posterior and not wanted.priors:
        zenith = next((own.name for own in model.parameters if own.role == "zenith"), model.parameter_names[0])
        raise ReconstructionError(
            "--posterior: a posterior needs priors, none is implied. State them under reconstruction_settings.priors of "
            f"--config, such as {{{zenith}: {{distribution: isotropic}}}}."
        )
    make_prior(model.parameters, wanted.priors or {})
    if when is not None and when.mjd is not None:
        celestial_of(model.detector, when.mjd, when.site)
    fit, read = make_configured_fitter(model, settings), make_seed_reader(model, handler, settings, truth=True)
    files: dict[Path, tuple[EventFile, np.ndarray, list[float] | None]] = {}
    for given in numbers:
        path, number = place_of_event(Path(file), given)
        if path not in files:
            found, seeds = read(path)
            files[path] = found, seeds, None if when is None else _dates(when, path, found, handler)
        found, seeds, dates = files[path]
        if number >= len(found):
            raise DataError(f"{file}: --event {given}: the file has {len(found)} events, counted from 0.")
        truth = _known_truth(found, model, handler)
        event = found.event(number)
        if is_dark(event):
            raise DataError(f"{file}: --event {given} has {DARK}; there is nothing to show.")
        with stage("fit"):
            (result,) = fit_as_configured(fit, [event], seeds[[number]], settings)
        run, own, *rest = (int(i) for i in found.ids[number])
        name = f"run_{run:06d}_event_{own:06d}" + "".join(f"_{i}" for i in rest if i)
        alert = None
        if when is not None and dates is not None:
            alert = Alert(celestial_of(model.detector, dates[number], when.site), run, own, when.sender)
        true = None if truth is None or not np.all(np.isfinite(truth[number])) else truth[number]
        yield report_event(directory / name, f"Run {run}, event {own}", fit, event, result, wanted, true, alert)


def _dates(when: Moment, path: Path, found: EventFile, handler: DataHandlerSettings) -> list[float]:
    """Modified Julian dates of the events of a file."""
    if when.mjd is not None:
        return [when.mjd] * len(found)
    if is_section(path):
        raise DataError(f"{path}: converted events keep no dates. Give the date of the event: --mjd 58018.87.")
    return [float(date) for date in event_dates(path, found.ids, handler.format_settings)]


def _known_truth(found: EventFile, model: AnyModel, handler: DataHandlerSettings) -> np.ndarray | None:
    """The labels [E, H] of the events, physical units; None where there are none, or they are not those of the hypothesis."""
    if not labels_are(handler, model.parameters) or found.labels is None:
        return None
    if np.shape(found.labels)[1] != len(model.parameters):
        return None
    return np.asarray(found.labels, np.float64)
