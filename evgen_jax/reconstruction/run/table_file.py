"""The file of a table of fits: HDF5, parquet or CSV, with units and the identity of the model."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evgen_jax.data.hdf5_library import h5py
from evgen_jax.data.hdf5_output import new_hdf5
from evgen_jax.data.wide_tables import divide, mark, read_rows
from evgen_jax.errors import ReconstructionError, suggestion
from evgen_jax.files import replaced, write_whole
from evgen_jax.hypothesis.parameters import Parameter
from evgen_jax.model.ensemble import AnyModel
from evgen_jax.reconstruction.run.covariance_columns import ORDER, label_units
from evgen_jax.version import __version__

Attributes = dict[str, str | list[str]]
TABLE = "Variables"
"""Dataset of a table of fits."""
IDS = ("Run", "Event", "SubEvent", "SubEventStream")
"""Columns that name an event."""
ENDINGS_OF_PARAMETERS = ("", "_seed", "_unc", "_unc_sandwich", "_true")
"""Ends of a parameter's columns: its fit, seed, width by the Hessian, width by the sandwich, and truth."""
_FIT_UNITS = {"runtime": "s", "angular_unc": "rad", "angular_unc_sandwich": "rad"}
HDF5_ENDINGS = (".hdf5", ".h5", ".hdf")
"""Endings of HDF5 files."""
ENDINGS = (*HDF5_ENDINGS, ".parquet", ".csv")
"""Endings of files that a table can be written into."""
MANY_NAMES = 2000
"""Largest number of names in an attribute that all versions of HDF5 read."""


def check_output(path: Path) -> None:
    """Checks that a table can be written under a name, before the first fit.

    Args:
      path: of the table.

    Raises:
      ReconstructionError: the file or, for CSV, what belongs beside it exists; an ending that is not known; or parquet
        without pyarrow.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ReconstructionError(
            f"{path}: the ending '{path.suffix}' says no kind of table; expected one of {', '.join(ENDINGS)}."
            + suggestion(ending, ENDINGS)
        )
    for own in (path, *((notes_beside(path),) if ending == ".csv" else ())):
        if own.exists():
            raise ReconstructionError(f"{own}: exists already. Give another name with -o or remove it first.")
    if ending == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise ReconstructionError(
                f"{path}: writing parquet needs pyarrow. Install it with: pip install 'evgen_jax[parquet]', or give a name "
                "that ends with .hdf5 or .csv."
            ) from None


def notes_beside(path: Path) -> Path:
    """Names the file with units and identity of a CSV table.

    Args:
      path: of the table.

    Returns:
      `<name>.csv.json`.
    """
    return path.with_name(path.name + ".json")


def write_table(
    path: Path,
    table: np.ndarray,
    model: AnyModel,
    identity: str,
    labels: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Writes the table as HDF5, or as parquet or CSV where the name ends so; it appears only when complete.

    HDF5: the dataset `Variables`, and further ones that its attribute `continued_in` names for more columns than fit
    and for columns of arrays (`read_table` joins them). Units and the identity of the model are attributes in HDF5,
    metadata in parquet, and `<name>.csv.json` beside a CSV table, which has one line of column names and leaves arrays
    out.

    Args:
      path: of the file.
      table: rows, see `table.fill`.
      model: that was fitted.
      identity: of the model (`building.directory.model_identity`).
      labels: rows and columns of the covariances.
      units: of further columns than those of the parameters and of the fit; {column: unit}.
      notes: further attributes, beside the parameters and the identity of the model.

    Raises:
      OSError: the file cannot be written, such as on a full disk; nothing is left of it.
    """
    known = _FIT_UNITS | _units_of(model.parameters) | dict(units or {})
    own = {name: known.get(name, "") for name in table.dtype.names or ()}
    attributes: Attributes = {
        "parameter_names": list(model.parameter_names),
        "evgen_jax_version": __version__,
        "model_identity": identity,
        **(notes or {}),
    }
    if labels:
        attributes |= {
            "covariance_parameters": list(labels),
            "covariance_order": ORDER,
            "covariance_units": list(label_units(labels, model.parameters)),
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = path.suffix.lower()
    if ending in HDF5_ENDINGS:
        _write_hdf5(path, table, attributes, own)
        return
    with replaced(path) as partial:
        if ending == ".parquet":
            _write_parquet(partial, table, {**attributes, "units": [f"{n}: {u}" for n, u in own.items()]})
        else:
            _write_csv(partial, table)
            # Last, so that a full disk leaves none of the two behind.
            write_whole(notes_beside(path), json.dumps({**attributes, "units": own}, indent=1) + "\n")


def _units_of(parameters: Sequence[Parameter]) -> dict[str, str]:
    """{column: unit} of all columns that hold a parameter, its seed, width or truth."""
    return {f"{own.name}{ending}": own.unit for own in parameters for ending in ENDINGS_OF_PARAMETERS}


def read_table(path: Path) -> np.ndarray:
    """Reads all columns of an HDF5 table of fits, from as many datasets as they were written into.

    Args:
      path: of the file.

    Returns:
      Rows [E].

    Raises:
      OSError: no such table.
    """
    with h5py.File(path) as file:
        return read_rows(file, TABLE)


def _write_hdf5(path: Path, table: np.ndarray, attributes: Attributes, units: dict[str, str]) -> None:
    many = len(attributes["parameter_names"]) > MANY_NAMES
    with new_hdf5(path, libver="v110" if many else None) as file:
        datasets = divide(TABLE, table, IDS)
        for name, rows in datasets.items():
            data = file.create_dataset(name, data=rows)
            for key, value in attributes.items():
                data.attrs[key] = value
            if rows.dtype.names:
                data.attrs["units"] = [f"{column}: {units[column]}" for column in rows.dtype.names]
        mark(file, TABLE, list(datasets))


def _write_parquet(path: Path, table: np.ndarray, attributes: Attributes) -> None:
    import pyarrow
    import pyarrow.parquet

    arrays = {}
    for name in table.dtype.names or ():
        values = table[name].astype(str) if table[name].dtype.kind == "S" else table[name]
        flat = pyarrow.array(np.ascontiguousarray(values).reshape(-1))
        arrays[name] = flat if values.ndim == 1 else pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
    content = pyarrow.table(arrays)
    plain = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
    pyarrow.parquet.write_table(content.replace_schema_metadata(plain), path)


def _write_csv(path: Path, table: np.ndarray) -> None:
    names = [name for name in table.dtype.names or () if not table.dtype[name].shape]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in table:
            # Shortest texts that give back the same number.
            writer.writerow([v.decode() if isinstance(v, bytes) else v for v in (row[name].item() for name in names)])
