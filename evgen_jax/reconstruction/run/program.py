"""The reconstruction program: files in, one table of fits out; a run that was stopped continues."""

import json
import logging
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.building.directory import model_identity
from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.data.batches import files_as_given
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.found_tables import chosen_tables
from evgen_jax.data.sections import count_events, is_section
from evgen_jax.data.tables import existing
from evgen_jax.errors import DataError, EvgenError, ReconstructionError
from evgen_jax.files import check_writable, write_whole
from evgen_jax.hypothesis.joint_prior import make_prior
from evgen_jax.interruption import told_when_interrupted
from evgen_jax.measurement.usable_pulses import DARK
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.progress import Bar, done
from evgen_jax.reconstruction.run.covariance_columns import FEW, covariance_labels, covariance_units
from evgen_jax.reconstruction.run.file_fit import covariance_places, make_file_fit
from evgen_jax.reconstruction.run.reference_columns import reference_units, with_reference_names
from evgen_jax.reconstruction.run.table_file import IDS, check_output, read_table, write_table

LOGGER = logging.getLogger("evgen_jax")
COUNTED = 200
"""Largest number of files whose events are counted beforehand, for the progress bar."""
NOT_COMPUTED = {
    "run_mcmc": "is not used: samples of single events are made by `evgen-jax show --posterior`",
    "make_1d_llh_scans": "is not used: scans of single events are made by `evgen-jax show --scan`",
    "modified_label_module": "is not used: labels are read as data_handler_settings say",
    "modified_data_module": "is not used: pulses are read as data_handler_settings say",
}
"""Key of reconstruction_settings without effect -> why."""
Job = tuple[Path, Path]
"""A file with events and the name under which its rows are kept until all files are done."""
Spread = Callable[[Sequence[Job]], Generator[str, None, None]]
"""Does jobs elsewhere, see `workers`; yields why a file could not be read, or nothing."""


@dataclass(frozen=True)
class Summary:
    """Counts what came of a run.

    Attributes:
      fitted: events with a fit.
      not_converged: those among them whose fit did not converge; their status says why.
      dark: events without a usable pulse; nothing can be fitted to them.
      failed: events that failed for another reason.
      lost: one line per file that could not be read.
    """

    fitted: int
    not_converged: int
    dark: int
    failed: int
    lost: tuple[str, ...]

    def __str__(self) -> str:
        unfinished = f" ({self.not_converged} not converged)" if self.not_converged else ""
        notes = [f"{self.fitted} events fitted{unfinished}", f"{self.failed} failed"]
        notes += [f"{self.dark} without a usable pulse"] if self.dark else []
        notes += [f"{len(self.lost)} files could not be read"] if self.lost else []
        return ", ".join(notes)


def reconstruct_files(
    model: AnyModel,
    files: Sequence[str],
    output: str | Path,
    handler: DataHandlerSettings,
    settings: ReconstructionSettings,
    progress: bool = False,
    spread: Spread | None = None,
    notes: Mapping[str, str] | None = None,
) -> Summary:
    """Fits all events of the files and writes the table.

    Seeds are those of `make_file_fit`; of several the best fit counts. Every finished file is kept beside the output
    until all are done, so that a run that was stopped continues with the next file when it is started again; every
    event is written once. An event that cannot be fitted is marked and says why; a file that cannot be read is left out
    and told.

    Args:
      model: exported.
      files: names or patterns; rows stand in this order, those of the matches of one pattern sorted by name.
      output: .hdf5, .parquet (which needs pyarrow) or .csv, see `write_table`.
      handler: section data_handler_settings of a configuration.
      settings: section reconstruction_settings of a configuration.
      progress: show a bar that counts events.
      spread: runs the jobs elsewhere, see `workers`; None: one after the other in this process.
      notes: further attributes of the table, such as those of a shard.

    Returns:
      Numbers of events by what became of them.

    Raises:
      ReconstructionError: the output exists or its ending is not known, an unfinished run of another model or with
        other settings lies there, or settings that do not fit the model.
      DataError: no file matches, or none can be read.
      Interrupted: by SIGTERM or Ctrl-C; its text says where the finished files are kept.
    """
    output = Path(output)
    check_output(output)
    check_writable(output.parent, f"-o {output}")
    if told := [f"{key} {why}" for key, why in NOT_COMPUTED.items() if getattr(settings, key)]:
        LOGGER.warning("reconstruction_settings: %s.", "; ".join(told))
    # Settings that do not fit are told before anything is written.
    make_prior(model.parameters, settings.priors)
    paths, here = files_as_given(list(files)), make_file_jobs(model, handler, settings)
    identity, (log, free) = here.identity, covariance_places(model, settings)
    labels = covariance_labels(model.parameter_names, log, free)
    if output.suffix.lower() == ".csv" and len(labels) > FEW:
        LOGGER.warning(
            "%s: leaves out the covariances of %d parameters; .hdf5 and .parquet hold them.", output, len(labels)
        )
    parts = output.with_name(output.name + ".parts")
    _open_parts(
        parts, {"model": identity, "settings": settings.model_dump(mode="json"), "files": list(map(str, paths))}
    )
    jobs = [(path, parts / f"{number:06d}.hdf5") for number, path in enumerate(paths)]
    jobs = [job for job in jobs if not job[1].exists()]
    with told_when_interrupted(f"Finished files are kept in {parts}: run the same command again to continue."):
        lost = _do(jobs, spread, here, handler, progress, len(paths) == 1)
    finished = sorted(parts.glob("*.hdf5"))
    if not finished:
        shutil.rmtree(parts)
        raise DataError(
            lost[0] if len(paths) == 1 else f"none of the {len(lost)} files can be read; the first: {lost[0]}"
        )
    tables = [read_table(part) for part in finished]
    table = np.concatenate(tables)
    if len(table) == 0:
        shutil.rmtree(parts)
        raise DataError("the files hold no event.")
    dark = int(np.sum(table["status"] == DARK.encode()))
    fine = np.isfinite(table["log_likelihood"])
    fitted, units = int(np.sum(fine)), covariance_units(labels, model.parameters)
    not_converged = int(np.sum(fine & (table["converged"] == 0)))
    failed = len(table) - dark - fitted
    if settings.column_names == "reference":
        table = with_reference_names(table, model.parameters, log, labels)
        units |= reference_units(model.parameters, log)
    write_table(output, table, model, identity, labels, units, notes)
    shutil.rmtree(parts)
    _tell_equal_ids(tables)
    return Summary(fitted, not_converged, dark, failed, tuple(lost))


def _do(
    jobs: Sequence[Job],
    spread: Spread | None,
    here: "FileJobs",
    handler: DataHandlerSettings,
    progress: bool,
    alone: bool,
) -> list[str]:
    """Does the jobs, here or elsewhere; returns one line per file that could not be read."""
    lost = []
    # Closed at once when this is interrupted: Python itself waits for other processes before it ends.
    with (
        closing(spread(jobs)) if spread else nullcontext(map(here, jobs)) as results,
        Bar("fit", total=_count_events(jobs, handler)) if progress else nullcontext(),
    ):
        for (path, part), message in zip(jobs, results, strict=True):
            if message:
                lost.append(message)
                if not alone:  # of one file the error says it
                    LOGGER.warning("left out: %s", message)
            else:
                LOGGER.info("%s: fitted", path)
                if spread:
                    done(len(read_table(part)))
    return lost


@dataclass(frozen=True)
class FileJobs:
    """Does jobs; what is compiled for one serves the next.

    Attributes:
      model: that is fitted.
      identity: of the model, written into tables.
      file_fit: file -> rows of the table.
    """

    model: AnyModel
    identity: str
    file_fit: Callable[[Path], np.ndarray]

    def __call__(self, job: Job) -> str:
        """Fits one file and writes its rows.

        Args:
          job: file with events, and where its rows go.

        Returns:
          Why the file could not be read; '' if it was.
        """
        path, part = job
        try:
            rows = self.file_fit(path)
        except DataError as error:
            return str(error)
        write_table(part, rows, self.model, self.identity)
        return ""


def make_file_jobs(model: AnyModel, handler: DataHandlerSettings, settings: ReconstructionSettings) -> FileJobs:
    """Makes what fits files one by one.

    Args:
      model: exported.
      handler: section data_handler_settings of a configuration.
      settings: section reconstruction_settings of a configuration.

    Returns:
      A function of jobs.

    Raises:
      ReconstructionError: settings that do not fit the model.
    """
    return FileJobs(model, model_identity(model), make_file_fit(model, handler, settings))


def _tell_equal_ids(tables: Sequence[np.ndarray]) -> None:
    """Warns of events that their ids do not tell apart, because several files [one table each] have the same ones."""
    own = [np.unique(np.stack([table[name] for name in IDS], axis=1), axis=0) for table in tables]
    _, counts = np.unique(np.concatenate(own), axis=0, return_counts=True)
    if equal := int(np.sum(counts > 1)):
        LOGGER.warning(
            "%d event ids (%s) occur in more than one file: the table tells their events apart by the order of rows alone, "
            "which is that of the files. Fit the files into tables of their own to join them by id.",
            equal,
            ", ".join(IDS),
        )


def _count_events(jobs: Sequence[Job], handler: DataHandlerSettings) -> int | None:
    """How many events the files hold, to show how far a run is; unknown for many files, which would be read twice."""
    if len(jobs) > COUNTED:
        return None
    total = 0
    for path, _ in jobs:
        try:
            if is_section(path):
                total += count_events(path)
                continue
            with open_tables(path, handler.format_settings) as file:
                total += len(existing(file.read(chosen_tables(file, handler).events)))
        except EvgenError:
            continue  # told when it is read
    return total


def _open_parts(parts: Path, run: Mapping[str, Any]) -> None:
    """Makes the directory of finished files, or checks that it belongs to the same run."""
    record = parts / "run.json"
    if record.is_file():
        earlier = json.loads(record.read_text())
        for key, value in run.items():
            if earlier.get(key) != value:
                raise ReconstructionError(
                    f"{parts}: holds an unfinished run with another value of '{key}'. Start it as before to continue, or "
                    "remove this directory."
                )
        return
    parts.mkdir(parents=True, exist_ok=True)
    write_whole(record, json.dumps(run, indent=1) + "\n")
