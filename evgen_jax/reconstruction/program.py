"""The reconstruction program: files in, one table of fits out; a run that was stopped continues."""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.data.batches import find_files
from evgen_jax.data.event_file import EventFile, read_event_file
from evgen_jax.errors import DataError, ReconstructionError
from evgen_jax.event import Event
from evgen_jax.files import write_whole
from evgen_jax.model import Model
from evgen_jax.model_directory import model_identity
from evgen_jax.parameters import column_names
from evgen_jax.reconstruction.fit import make_fitter
from evgen_jax.reconstruction.result import FitResult
from evgen_jax.reconstruction.seeds import smear
from evgen_jax.reconstruction.table import TABLE, fill, with_reference_names, write_table

LOGGER = logging.getLogger("evgen_jax")
NOT_COMPUTED = {
    "calculate_goodness_of_fit": "is not computed by this version",
    "run_mcmc": "is not computed by this version",
    "make_1d_llh_scans": "are not drawn by this version",
    "modified_label_module": "is not used: labels are read as data_handler_settings say",
    "modified_data_module": "is not used: pulses are read as data_handler_settings say",
}
FAR_AWAY = 2000.0
"""A vertex beyond this |coordinate|, m, is no seed."""


@dataclass(frozen=True)
class Summary:
    """What came of a run.

    Attributes:
      fitted: events with a fit.
      dark: events without a usable pulse; nothing can be fitted to them.
      failed: events that failed for another reason.
      lost: one line per file that could not be read.
    """

    fitted: int
    dark: int
    failed: int
    lost: tuple[str, ...]


def seed_columns(model: Model, settings: ReconstructionSettings, handler: DataHandlerSettings) -> tuple[str, ...]:
    """Columns of the seed table in hypothesis order."""
    given = settings.seed_parameter_names or handler.misc_settings.seed_parameter_names
    if given:
        columns: list[str] = []
        for entry in given:
            columns += [entry] if isinstance(entry, str) else [entry[0]] * entry[1]
    else:
        columns = list(column_names(model.parameter_names))
    if len(columns) != len(model.parameter_names):
        raise ReconstructionError(
            f"seed_parameter_names: {len(columns)} columns ({', '.join(columns)}) for the "
            f"{len(model.parameter_names)} parameters {', '.join(model.parameter_names)}."
        )
    return tuple(columns)


def reconstruct_files(
    model: Model,
    files: Sequence[str],
    output: str | Path,
    handler: DataHandlerSettings,
    settings: ReconstructionSettings,
    progress: Callable = lambda items: items,
) -> Summary:
    """Fits all events of the files and writes the table.

    Seeds come from the tables `settings.seed`, of several the best fit counts, or from the labels if it is
    'x_parameters'. Every finished file is kept beside the output until all are done, so that a run that was stopped
    continues with the next file when it is started again; every event is written once. An event that cannot be fitted
    is marked and says why; a file that cannot be read is left out and told.

    Args:
      model: exported.
      files: names or patterns.
      output: .hdf5, or .parquet (which needs pyarrow).
      handler, settings: sections of a configuration.
      progress: wraps the list of files.

    Raises:
      ReconstructionError: the output exists, an unfinished run of another model or with other settings lies there, or
        settings that do not fit the model.
      DataError: no file matches, or none can be read.
    """
    output = Path(output)
    if output.exists():
        raise ReconstructionError(f"{output}: exists already. Give another name with -o or remove it first.")
    if output.suffix == ".parquet":
        _check_parquet(output)
    for switch, consequence in NOT_COMPUTED.items():
        if getattr(settings, switch):
            LOGGER.warning("reconstruction_settings.%s: %s.", switch, consequence)
    paths, identity = find_files(list(files)), model_identity(model)
    fit, read = _fitter(model, settings), _reader(model, handler, settings)
    parts = output.with_name(output.name + ".parts")
    _open_parts(
        parts, {"model": identity, "settings": settings.model_dump(mode="json"), "files": list(map(str, paths))}
    )
    lost = []
    for number, path in enumerate(progress(paths)):
        part = parts / f"{number:06d}.hdf5"
        if part.exists():
            continue
        try:
            file, seeds = read(path)
        except DataError as error:
            LOGGER.warning("left out: %s", error)
            lost.append(str(error))
            continue
        write_table(part, _rows(model, fit, file, seeds), model, identity)
    done = sorted(parts.glob("*.hdf5"))
    if not done:
        shutil.rmtree(parts)
        raise DataError(
            lost[0] if len(lost) == 1 else f"none of the {len(lost)} files can be read; the first: {lost[0]}"
        )
    table = np.concatenate([_read(part) for part in done])
    if len(table) == 0:
        shutil.rmtree(parts)
        raise DataError("the files hold no event.")
    dark = int(np.sum(table["status"] == DARK.encode()))
    fitted = int(np.sum(np.isfinite(table["log_likelihood"])))
    failed = len(table) - dark - fitted
    if settings.column_names == "reference":
        table = with_reference_names(table, model.parameter_names)
    write_table(output, table, model, identity)
    shutil.rmtree(parts)
    return Summary(fitted, dark, failed, tuple(lost))


DARK = "no usable pulse"


def _check_parquet(output: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ReconstructionError(
            f"{output}: writing parquet needs pyarrow. Install it with: pip install 'evgen_jax[parquet]', or give a name "
            "that ends with .hdf5."
        ) from None


def _open_parts(parts: Path, run: dict) -> None:
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


def _read(part: Path) -> np.ndarray:
    with h5py.File(part) as file:
        return file[TABLE][:]


def _fitter(model: Model, settings: ReconstructionSettings) -> Callable[[Sequence[Event], np.ndarray], list[FitResult]]:
    scipy_settings = dict(settings.scipy_optimizer_settings)
    method = "batched"
    if settings.reco_optimizer_interface.lower() == "scipy":
        method = scipy_settings.pop("method", "BFGS")
    elif settings.reco_optimizer_interface != "batched":
        LOGGER.warning("reconstruction_settings.reco_optimizer_interface: '%s' is not there; events are fitted with "
                       "'batched'.", settings.reco_optimizer_interface)  # fmt: skip
    return make_fitter(
        model, settings.minimize_parameter_dict, settings.minimize_parameter_default_value, method=method,
        bounds=settings.parameter_boundaries, optimizer_settings=scipy_settings,
        covariance=settings.calculate_covariance_matrix or settings.estimate_angular_uncertainty,
        gradient_tolerance=settings.gradient_tolerance, max_iterations=settings.max_iterations,
        in_trafo_space=settings.minimize_in_trafo_space,
    )  # fmt: skip


def _reader(
    model: Model, handler: DataHandlerSettings, settings: ReconstructionSettings
) -> Callable[[Path], tuple[EventFile, np.ndarray]]:
    """A function file -> (events, seeds [E, S, H])."""
    names = (settings.seed,) if isinstance(settings.seed, str) else settings.seed
    tables = tuple(n for n in names if n != "x_parameters")
    columns = seed_columns(model, settings, handler) if tables else ()
    defaults = dict(handler.misc_settings.missing_value_dict) | dict(settings.seed_missing_value_dict)
    missing = settings.seed_missing_value
    if missing is None:
        missing = handler.misc_settings.missing_value
    if missing is not None:
        defaults = {c: defaults.get(c, missing) for c in columns}

    def read(path: Path) -> tuple[EventFile, np.ndarray]:
        file = read_event_file(
            path, handler, model.detector, labels="x_parameters" in names, seed_names=tables, seed_columns=columns,
            seed_defaults=defaults,
        )  # fmt: skip
        given = [file.labels if name == "x_parameters" else file.seeds[name] for name in names]
        seeds = np.stack([np.asarray(g, np.float64) for g in given], axis=1)
        if settings.num_random_seeds:
            # Of a file its own random numbers, whatever was read before.
            rng = np.random.default_rng((settings.random_seed, *(int(v) for v in file.ids[:1].ravel())))
            seeds = smear(seeds, model.parameter_names, settings.num_random_seeds, rng, settings.seed_spreads)
        return file, seeds

    return read


def _rows(model: Model, fit: Callable, file: EventFile, seeds: np.ndarray) -> np.ndarray:
    """Fits the events of one file."""
    events = [file.event(i) for i in range(len(file))]
    results: list[FitResult | str] = [""] * len(events)
    far = _far_away(model, seeds)
    for i, event in enumerate(events):
        if not np.any(np.asarray(event.pulses.mask)):
            results[i] = DARK
        elif not np.all(np.isfinite(seeds[i]), axis=-1).any():
            results[i] = "failed: the seed is missing or not finite"
        elif far[i].all():
            results[i] = f"failed: the seed lies more than {FAR_AWAY:g} m outside the detector"
    chosen = [i for i, result in enumerate(results) if result == ""]
    usable = np.where(far[..., None], np.nan, seeds)
    if chosen:
        for i, result in zip(chosen, fit([events[i] for i in chosen], usable[chosen]), strict=True):
            results[i] = result
    return fill(model.parameter_names, model.trafo.log, file.ids, seeds, results)


def _far_away(model: Model, seeds: np.ndarray) -> np.ndarray:
    """Which seeds [E, S] have a vertex far outside of the detector."""
    places = [i for i, n in enumerate(model.parameter_names) if n in ("x", "y", "z") or n.endswith(("_x", "_y", "_z"))]
    edge = float(np.max(np.abs(np.asarray(model.detector.position)))) + FAR_AWAY
    return np.any(np.abs(seeds[..., places]) > edge, axis=-1) if places else np.zeros(seeds.shape[:2], bool)
