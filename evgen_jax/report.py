"""Reports of single events of a file: reads, fits, draws."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.errors import DataError, ReconstructionError
from evgen_jax.event_report import ReportSettings, report_event
from evgen_jax.model import Model
from evgen_jax.reconstruction.file_fit import fit_as_configured, make_configured_fitter, make_seed_reader
from evgen_jax.reconstruction.prior_density import make_prior
from evgen_jax.reconstruction.usable_pulses import DARK, is_dark


def report_file(
    model: Model,
    file: str | Path,
    directory: Path,
    handler: DataHandlerSettings,
    settings: ReconstructionSettings,
    numbers: Sequence[int],
    wanted: ReportSettings,
) -> Iterator[Path]:
    """Fits some events of a file and writes a folder `run_RRRRRR_event_EEEEEE` for each; yields the pages.

    Args:
      model: exported.
      file: with events and, unless `settings.seed` is 'pulses', seeds.
      directory: of the folders.
      handler, settings: sections of a configuration.
      numbers: places of the events in the file.
      wanted: see `ReportSettings`.

    Raises:
      DataError: the file cannot be read, or has fewer events.
      ReconstructionError: as `report_event`, or a posterior without priors.
    """
    for name in wanted.scans:
        model.index(name)  # an unknown name is told before anything is computed
    if wanted.posterior and not wanted.priors:
        zenith = next((n for n in model.parameter_names if n.endswith("zenith")), model.parameter_names[0])
        raise ReconstructionError(
            "--posterior: a posterior needs priors, none is implied. State them under reconstruction_settings.priors of "
            f"--config, such as {{{zenith}: {{distribution: isotropic}}}}."
        )
    make_prior(model.parameter_names, wanted.priors or {})
    fit, read = make_configured_fitter(model, settings), make_seed_reader(model, handler, settings)
    found, seeds = read(Path(file))
    for number in numbers:
        if number >= len(found):
            raise DataError(f"{file}: --event {number}: the file has {len(found)} events, counted from 0.")
        event = found.event(number)
        if is_dark(event):
            raise DataError(f"{file}: --event {number} has {DARK}; there is nothing to show.")
        (result,) = fit_as_configured(fit, [event], seeds[[number]], settings)
        run, own, *rest = (int(i) for i in found.ids[number])
        name = f"run_{run:06d}_event_{own:06d}" + "".join(f"_{i}" for i in rest if i)
        yield report_event(directory / name, f"Run {run}, event {own}", fit, event, result, wanted)
