"""Opens tables of fits in pandas, polars or NumPy, whatever kind of file they are, with their units."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evgen_jax.data.batches import files_as_given
from evgen_jax.data.hdf5_library import h5py
from evgen_jax.data.wide_tables import read_rows
from evgen_jax.errors import DataError, ReconstructionError, suggestion
from evgen_jax.extras import need
from evgen_jax.reconstruction.run.table import COUNTS, STATUS_LENGTH
from evgen_jax.reconstruction.run.table_file import ENDINGS, HDF5_ENDINGS, IDS, TABLE, notes_beside

LIBRARIES = ("pandas", "polars", "numpy")
"""What a table can be opened in."""
Notes = dict[str, Any]
"""Units of columns, names of parameters and the identity of the model, as they stand in a file."""


def read_results(path: str | Path | Sequence[str | Path], library: str = "pandas") -> Any:
    """Opens a table of fits that `evgen-jax reconstruct` has written.

    Args:
      path: .hdf5, .parquet or .csv; a pattern such as 'fits_*.hdf5' or several files are joined, such as the tables of
        shards.
      library: 'pandas', 'polars' or 'numpy'.

    Returns:
      A `pandas.DataFrame` whose `attrs` hold the notes of `read_result_notes`, `attrs["units"]` among them; a
      `polars.DataFrame`, which can hold no notes; or a structured array. Covariances that are packed into one column are
      arrays.

    Raises:
      ReconstructionError: no file matches, no table of fits, tables of different models or columns, or an unknown library.
      ConfigError: a package is not installed.

    Example:
      `eg.read_results("fits.hdf5").attrs["units"]["cascade_energy"]` is 'GeV'.
    """
    if library not in LIBRARIES:
        raise ReconstructionError(
            f"read_results: expected one of {', '.join(LIBRARIES)}, got {library!r}." + suggestion(library, LIBRARIES)
        )
    if library != "numpy":
        need(library, "read_results")
    table, notes = _read_all(path)
    if library == "numpy":
        return table
    columns = {name: _plain(table[name]) for name in table.dtype.names or ()}
    if library == "polars":
        import polars

        return polars.DataFrame(columns)
    import pandas

    frame = pandas.DataFrame({name: list(own) if np.ndim(own) == 2 else own for name, own in columns.items()})
    frame.attrs = notes
    return frame


def read_result_notes(path: str | Path | Sequence[str | Path]) -> Notes:
    """Reads what a table of fits says of itself.

    Args:
      path: .hdf5, .parquet or .csv, a pattern or several files, as of `read_results`.

    Returns:
      `units`: {column: unit}, '' for a number; `parameter_names`; `model_identity`; `evgen_jax_version`; and, if the table
      has covariances, `covariance_parameters`, `covariance_order` and `covariance_units`.

    Raises:
      ReconstructionError: no file matches, no table of fits, or tables of different models or columns.
    """
    return _read_all(path)[1]


def _read_all(path: str | Path | Sequence[str | Path]) -> tuple[np.ndarray, Notes]:
    """Rows and notes of one file, or of several after another."""
    given = [path] if isinstance(path, str | Path) else list(path)
    try:
        paths = files_as_given([str(own) for own in given])
    except DataError as error:
        raise ReconstructionError(str(error).removeprefix("input_data: ")) from None
    found = [_read(own) for own in paths]
    first, notes = found[0]
    for own, (rows, other) in zip(paths[1:], found[1:], strict=True):
        if rows.dtype != first.dtype:
            differ = set(rows.dtype.names or ()) ^ set(first.dtype.names or ())
            raise ReconstructionError(
                f"{own}: has other columns than {paths[0]} ({', '.join(sorted(differ)[:5]) or 'in another order or kind'}). "
                "Open them one by one."
            )
        if other.get("model_identity") != notes.get("model_identity"):
            raise ReconstructionError(f"{own}: was fitted with another model than {paths[0]}. Open them one by one.")
    return np.concatenate([rows for rows, _ in found]), notes


def _read(path: Path) -> tuple[np.ndarray, Notes]:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ReconstructionError(
            f"{path}: the ending '{path.suffix}' says no kind of table; expected one of {', '.join(ENDINGS)}."
            + suggestion(ending, ENDINGS)
        )
    try:
        if ending in HDF5_ENDINGS:
            return _read_hdf5(path)
        return _read_parquet(path) if ending == ".parquet" else _read_csv(path)
    except (OSError, ValueError, KeyError) as error:
        raise ReconstructionError(f"{path}: is no table of fits, or is damaged ({error}).") from None


def _read_hdf5(path: Path) -> tuple[np.ndarray, Notes]:
    with h5py.File(path) as file:
        if TABLE not in file or "parameter_names" not in file[TABLE].attrs:
            raise ReconstructionError(
                f"{path}: holds no table of fits, which evgen-jax reconstruct writes; found {', '.join(file) or 'nothing'}."
            )
        notes = {key: _as_text(value) for key, value in file[TABLE].attrs.items() if key != "continued_in"}
        units = [text for own in file.values() for text in own.attrs.get("units", ())]
        rows = read_rows(file, TABLE)
    return rows, _with_units(notes, units, rows)


def _read_parquet(path: Path) -> tuple[np.ndarray, Notes]:
    need("pyarrow", str(path))
    import pyarrow.parquet

    content = pyarrow.parquet.read_table(path)
    metadata = {key.decode(): value.decode() for key, value in (content.schema.metadata or {}).items()}
    if "parameter_names" not in metadata:
        raise ReconstructionError(f"{path}: holds no table of fits, which evgen-jax reconstruct writes.")
    notes = {key: json.loads(value) if value.startswith("[") else value for key, value in metadata.items()}
    columns = {}
    for name, column in zip(content.column_names, content.columns, strict=True):
        values = column.combine_chunks()
        if hasattr(values.type, "list_size"):
            columns[name] = np.asarray(values.flatten()).reshape(-1, values.type.list_size)
        elif name == "status":
            columns[name] = np.array([text.encode() for text in values.to_pylist()], f"S{STATUS_LENGTH}")
        else:
            columns[name] = values.to_numpy(zero_copy_only=False)
    rows = _structured(columns)
    return rows, _with_units(notes, notes.pop("units"), rows)


def _read_csv(path: Path) -> tuple[np.ndarray, Notes]:
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file))
    if not set(IDS) <= set(header):
        raise ReconstructionError(f"{path}: holds no table of fits, which evgen-jax reconstruct writes.")
    kinds = {name: np.dtype("<i8") for name in (*IDS, *COUNTS)} | {"status": np.dtype(f"S{STATUS_LENGTH}")}
    columns = {}
    for name, values in zip(header, zip(*lines, strict=True) if lines else [()] * len(header), strict=True):
        kind = kinds.get(name, np.dtype("<f8"))
        columns[name] = np.array([text.encode() for text in values] if kind.kind == "S" else values, kind)
    beside = notes_beside(path)
    if not beside.is_file():
        raise ReconstructionError(f"{beside}: is missing, which holds the units of {path}. Copy it beside the table.")
    return _structured(columns), json.loads(beside.read_text())


def _structured(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Columns [E] or [E, n] as rows [E]."""
    length = len(next(iter(columns.values())))
    rows = np.empty(length, [(name, own.dtype.newbyteorder("<"), own.shape[1:]) for name, own in columns.items()])
    for name, own in columns.items():
        rows[name] = own
    return rows


def _with_units(notes: Notes, units: Sequence[str], rows: np.ndarray) -> Notes:
    """Notes with the units of columns, which files hold as 'column: unit'."""
    pairs = (text.partition(":") for text in units)
    known = {name: unit.strip() for name, _, unit in pairs}
    return notes | {"units": {name: known.get(name, "") for name in rows.dtype.names or ()}}


def _as_text(value: Any) -> Any:
    return [str(own) for own in value] if isinstance(value, np.ndarray) else str(value)


def _plain(values: np.ndarray) -> Any:
    """A column as data frames take it: text instead of bytes."""
    return [text.decode() for text in values] if values.dtype.kind == "S" else values
