"""The table of fitted events: fixed columns, units and the identity of the model as attributes."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from evgen_jax.files import replaced
from evgen_jax.model import Model
from evgen_jax.parameters import unit_of
from evgen_jax.reconstruction.result import FitResult
from evgen_jax.version import __version__

TABLE = "Variables"
IDS = ("Run", "Event", "SubEvent", "SubEventStream")
STATUS_LENGTH = 160
NUMBERS = (
    "log_likelihood", "log_likelihood_seed", "angular_unc", "angular_unc_sandwich", "gradient_norm", "runtime",
    "goodness_of_fit", "goodness_of_fit_two_sided",
)  # fmt: skip
COUNTS = ("converged", "covariance_repaired", "evaluations", "best_seed")


def columns(names: Sequence[str]) -> list[tuple[str, str]]:
    """(name, numpy type) of all columns for a model's parameters, in order."""
    own = [f"{name}{ending}" for name in names for ending in ("", "_seed", "_unc", "_unc_sandwich")]
    return [
        *((name, "<i8") for name in IDS), *((name, "<f8") for name in own), *((name, "<f8") for name in NUMBERS),
        *((name, "<i8") for name in COUNTS), ("status", f"S{STATUS_LENGTH}"),
    ]  # fmt: skip


def fill(
    names: Sequence[str], log: Sequence[bool], ids: np.ndarray, seeds: np.ndarray, results: Sequence[FitResult | str]
) -> np.ndarray:
    """The rows of events.

    Args:
      names, log: parameters, and which of them are fitted as ln(1 + p).
      ids: [E, 4].
      seeds: [E, S, H].
      results: a fit, or why there is none.
    """
    table = np.zeros(len(ids), dtype=columns(names))
    for name in table.dtype.names or ():
        if table.dtype[name].kind == "f":
            table[name] = np.nan
    for i, result in enumerate(results):
        row = table[i]
        for name, value in zip(IDS, ids[i], strict=True):
            row[name] = value
        best = 0 if isinstance(result, str) or np.isnan(seeds[i]).all() else result.diagnostics.best_seed
        for k, name in enumerate(names):
            row[f"{name}_seed"] = seeds[i, best, k]
        if isinstance(result, str):
            row["status"] = result.encode()[:STATUS_LENGTH]
            continue
        for k, name in enumerate(names):
            row[name] = result.hypothesis[k]
        notes = result.diagnostics
        row["log_likelihood"], row["log_likelihood_seed"] = result.log_likelihood, result.log_likelihood_seed
        row["converged"], row["gradient_norm"], row["runtime"] = notes.converged, notes.gradient_norm, notes.runtime
        row["evaluations"], row["best_seed"] = notes.evaluations, notes.best_seed
        message = f"failed: {notes.message}" if result.failed else notes.message
        row["status"] = message.encode()[:STATUS_LENGTH]
        if result.covariance is not None:
            _uncertainties(row, names, log, result)
    return table


def _uncertainties(row, names: Sequence[str], log: Sequence[bool], result: FitResult) -> None:
    covariance = result.covariance
    assert covariance is not None
    for place, hessian, sandwich in zip(
        covariance.free, np.diag(covariance.physical), np.diag(covariance.physical_sandwich), strict=True
    ):
        # From ln(1 + p) to p.
        factor = 1 + result.hypothesis[place] if log[place] else 1.0
        row[f"{names[place]}_unc"] = factor * np.sqrt(hessian)
        row[f"{names[place]}_unc_sandwich"] = factor * np.sqrt(sandwich)
    row["angular_unc"], row["angular_unc_sandwich"] = covariance.angular, covariance.angular_sandwich
    row["covariance_repaired"] = covariance.repaired


REFERENCE_NAMES = {
    "log_likelihood": "loss_reco", "log_likelihood_seed": "loss_seed", "angular_unc_sandwich": "circular_unc",
    "goodness_of_fit": "event_p_value_1sided", "goodness_of_fit_two_sided": "event_p_value_2sided",
}  # fmt: skip
REFERENCE_ENDINGS = {"": "_reco", "_seed": "_seed", "_unc": "_unc", "_unc_sandwich": "_unc_sandwhich"}


def with_reference_names(table: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The same rows under the column names of Event-Generator's tables; losses are minus the log-likelihoods."""
    new = {f"{n}{ending}": f"{n}{other}" for n in names for ending, other in REFERENCE_ENDINGS.items()}
    new |= REFERENCE_NAMES
    renamed = table.copy()
    for column in ("log_likelihood", "log_likelihood_seed"):
        renamed[column] *= -1
    renamed.dtype.names = tuple(new.get(n, n) for n in table.dtype.names or ())
    return renamed


def write_table(path: Path, table: np.ndarray, model: Model, identity: str) -> None:
    """Writes the table as HDF5, or as parquet where the name ends so; it appears only when complete."""
    attributes = {
        "parameter_names": list(model.parameter_names), "evgen_jax_version": __version__, "model_identity": identity,
        "units": [f"{name}: {unit_of(name)}" for name in table.dtype.names or ()],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as partial:
        if path.suffix == ".parquet":
            _write_parquet(partial, table, attributes)
            return
        with h5py.File(partial, "w") as file:
            data = file.create_dataset(TABLE, data=table)
            for key, value in attributes.items():
                data.attrs[key] = value


def _write_parquet(path: Path, table: np.ndarray, attributes: dict) -> None:
    import json

    import pyarrow
    import pyarrow.parquet

    arrays = {n: table[n].astype(str) if table[n].dtype.kind == "S" else table[n] for n in table.dtype.names or ()}
    content = pyarrow.table(arrays)
    plain = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
    pyarrow.parquet.write_table(content.replace_schema_metadata(plain), path)
