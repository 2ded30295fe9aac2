"""The reconstruction program: files in, one HDF5 table of fits out."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.data.batches import find_files
from evgen_jax.data.event_file import EventFile, read_event_file
from evgen_jax.errors import DataError, ReconstructionError
from evgen_jax.model import Model
from evgen_jax.parameters import column_names
from evgen_jax.reconstruction.fit import make_fitter
from evgen_jax.version import __version__

LOGGER = logging.getLogger("evgen_jax")
TABLE = "Variables"
NOT_COMPUTED = (
    "calculate_covariance_matrix", "calculate_goodness_of_fit", "estimate_angular_uncertainty", "run_mcmc",
    "make_1d_llh_scans",
)  # fmt: skip


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
) -> tuple[int, int]:
    """Fits all events of the files and writes the table; returns the numbers of fitted and failed events.

    Seeds come from the table `settings.seed` (a name, or several of which the first is used), or from the labels if
    it is 'x_parameters'. An event whose seed is missing or not finite is marked failed, the others go on.

    Raises:
      ReconstructionError: the output exists, or settings that do not fit the model.
      DataError: a file that cannot be read.
    """
    output = Path(output)
    for switch in NOT_COMPUTED:
        if getattr(settings, switch):
            LOGGER.warning("reconstruction_settings.%s: is not computed by this version; the fit alone is.", switch)
    if settings.reco_optimizer_interface != "scipy":
        LOGGER.warning("reconstruction_settings.reco_optimizer_interface: '%s' is not there; SciPy fits with "
                       "scipy_optimizer_settings.", settings.reco_optimizer_interface)  # fmt: skip
    if output.exists():
        raise ReconstructionError(f"{output}: exists already. Give another name with -o or remove it first.")
    seed = settings.seed if isinstance(settings.seed, str) else settings.seed[0]
    from_labels = seed == "x_parameters"
    columns = () if from_labels else seed_columns(model, settings, handler)
    defaults = dict(handler.misc_settings.missing_value_dict) | dict(settings.seed_missing_value_dict)
    missing = settings.seed_missing_value
    if missing is None:
        missing = handler.misc_settings.missing_value
    if missing is not None:
        defaults = {c: defaults.get(c, missing) for c in columns}
    fit = make_fitter(
        model, settings.minimize_parameter_dict, settings.minimize_parameter_default_value,
        settings.scipy_optimizer_settings, settings.minimize_in_trafo_space,
    )  # fmt: skip
    loaded = [
        read_event_file(
            path,
            handler,
            model.detector,
            labels=from_labels,
            seed_names=() if from_labels else (seed,),
            seed_columns=columns,
            seed_defaults=defaults,
        )  # fmt: skip
        for path in find_files(list(files))
    ]
    if sum(len(f) for f in loaded) == 0:
        raise DataError("the files hold no event.")
    rows, failed = [], 0
    pairs = [(file, i) for file in loaded for i in range(len(file))]
    for file, i in progress(pairs):
        start = (file.labels if from_labels else file.seeds[seed])[i]
        row, ok = _fit_row(fit, file, i, start, model.parameter_names)
        failed += not ok
        rows.append(row)
    _write(output, rows, model)
    return len(rows) - failed, failed


def _fit_row(fit: Callable, file: EventFile, i: int, seed: np.ndarray, names: tuple[str, ...]) -> tuple[dict, bool]:
    row: dict[str, Any] = dict(
        zip(("Run", "Event", "SubEvent", "SubEventStream"), (int(v) for v in file.ids[i]), strict=True)
    )
    row |= {f"{name}_seed": float(v) for name, v in zip(names, seed, strict=True)}
    nothing = {name: np.nan for name in names} | {
        "log_likelihood": np.nan, "log_likelihood_seed": np.nan, "converged": 0, "gradient_norm": np.nan,
        "evaluations": 0, "runtime": 0.0,
    }  # fmt: skip
    if not np.all(np.isfinite(seed)):
        return row | nothing | {"status": "failed: the seed is missing or not finite"}, False
    try:
        result = fit(file.event(i), seed)
    except (ReconstructionError, DataError) as error:
        return row | nothing | {"status": f"failed: {error}"}, False
    row |= {name: float(v) for name, v in zip(names, result.hypothesis, strict=True)}
    row |= {
        "log_likelihood": result.log_likelihood, "log_likelihood_seed": result.log_likelihood_seed,
        "converged": int(result.converged), "gradient_norm": result.gradient_norm, "evaluations": result.evaluations,
        "runtime": result.runtime, "status": result.message,
    }  # fmt: skip
    return row, True


def _write(output: Path, rows: list[dict], model: Model) -> None:
    types: list[tuple[str, object]] = []
    for name, value in rows[0].items():
        kind = "S120" if name == "status" else "<i8" if isinstance(value, int) else "<f8"
        types.append((name, kind))
    table = np.zeros(len(rows), dtype=types)
    for i, row in enumerate(rows):
        for name, value in row.items():
            table[name][i] = value.encode()[:120] if isinstance(value, str) else value
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    with h5py.File(partial, "w") as file:
        data = file.create_dataset(TABLE, data=table)
        data.attrs["units"] = "m, rad, GeV, ns, s"
        data.attrs["parameter_names"] = list(model.parameter_names)
        data.attrs["evgen_jax_version"] = __version__
    partial.replace(output)
