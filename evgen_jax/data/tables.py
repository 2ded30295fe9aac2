"""Reading of the HDF5 tables that IceCube's tableio writes: compound tables with event-id columns."""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from evgen_jax.data.hdf5_library import h5py
from evgen_jax.data.protocol import CachedTables, MissingTable
from evgen_jax.data.wide_tables import read_rows
from evgen_jax.errors import DataError, suggestion

EXPECTED = (
    "expected one dataset with named columns (an HDF5 compound table), such as file['{name}'] = "
    "frame.to_records(index=False) of h5py and pandas writes"
)
"""End of messages about datasets that are no tables."""


class TableFile(CachedTables):
    """Is an open HDF5 file; use it in a `with` statement.

    Args:
      path: of the file.

    Raises:
      DataError: on opening, if the file is missing, truncated or no HDF5 file.

    Example:
      with TableFile(path) as file:
          rows = file.read("InIcePulses", ("string", "om", "charge", "time"))
    """

    format = "IceCube HDF5 (tableio)"

    def __enter__(self) -> "TableFile":
        if self.path.is_dir():
            raise DataError(f"{self.path}: is a directory; expected an HDF5 file.")
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such file.")
        try:
            self._file = h5py.File(self.path, "r")
        except PermissionError:
            raise DataError(f"{self.path}: may not be read (permission denied).") from None
        except BlockingIOError:
            raise DataError(f"{self.path}: is being written by another program; wait until that is done.") from None
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be read as HDF5; it is damaged or of another kind ({error})."
            ) from None
        with self._told():
            content = dict(self._file.items())
            for name, found in content.items():
                if isinstance(found, h5py.Group) and _is_of_pandas(found):
                    self.notes.append(
                        f"the group '{name}' was written by pandas (DataFrame.to_hdf) and is no table of named columns: write "
                        "it with eg.data.write_events, or with h5py as a structured array"
                    )
            if not self.notes and not any(isinstance(v, h5py.Dataset) and v.dtype.names for v in content.values()):
                self.notes += [_what_it_is(name, found) for name, found in content.items()]
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def table_names(self) -> list[str]:
        """Returns the names of all datasets at the top of the file."""
        with self._told():
            return [k for k, v in self._file.items() if isinstance(v, h5py.Dataset)]

    def has(self, name: str) -> bool:
        """Returns whether the file has something under a name.

        Args:
          name: of a dataset or group.

        Returns:
          True if it is there.
        """
        with self._told():
            return name in self._file

    def attribute(self, name: str) -> Any:
        """Returns an attribute of the file.

        Args:
          name: of the attribute.

        Returns:
          Its value; None where there is none.
        """
        with self._told():
            return self._file.attrs.get(name)

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a dataset at the top of the file, none of one without named columns.

        Args:
          name: of the dataset.

        Returns:
          Names in the order of the dataset.
        """
        with self._told():
            return tuple(self._file[name].dtype.names or ())

    def _load(self, name: str) -> np.ndarray:
        with self._told():
            found = self._file.get(name)
        if found is None:
            groups = {k: v for k, v in self._file.items() if isinstance(v, h5py.Group) and k != "__I3Index__"}
            beside = f" and the groups {', '.join(groups)}" if groups else ""
            if any(_is_of_pandas(group) for group in groups.values()):
                beside += " (which pandas wrote, DataFrame.to_hdf: such groups are no tables of named columns)"
            raise MissingTable(
                name,
                f"{self.path}: table '{name}' is missing; found {', '.join(self.table_names) or 'none'}{beside}."
                + suggestion(name, self.table_names),
            )
        expected = EXPECTED.format(name=name)
        if isinstance(found, h5py.Group):
            inside = list(found)
            what = "a group that pandas wrote (DataFrame.to_hdf)" if _is_of_pandas(found) else "a group"
            raise DataError(
                f"{self.path}: '{name}' is {what} with {', '.join(inside[:6]) or 'nothing'} inside; {expected}."
            )
        if found.dtype.names is None or found.ndim != 1:
            raise DataError(
                f"{self.path}: '{name}' is an array of shape {found.shape} and type {found.dtype} without named columns; "
                f"{expected}."
            )
        return self._decoded(name, found, lambda: read_rows(self._file, name))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Makes one message of what the HDF5 library raises where a file is damaged."""
        try:
            yield
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            raise DataError(f"{self.path}: cannot be read as HDF5; it is damaged ({error}).") from None

    def _decoded(self, name: str, dataset: h5py.Dataset, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Reads from a dataset, whose compression may need a plug-in of HDF5."""
        try:
            return read()
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            problem = error
        missing = _missing_filters(dataset)
        if missing and importlib.util.find_spec("hdf5plugin") is not None:
            importlib.import_module("hdf5plugin")  # registers its filters
            missing = _missing_filters(dataset)
            try:
                return read()
            except (OSError, RuntimeError, ValueError, TypeError) as error:
                problem = error
        if missing:
            raise DataError(
                f"{self.path}: table '{name}' is compressed with {', '.join(missing)}, which is not installed. Install it "
                "with: pip install hdf5plugin, or write the file with gzip."
            )
        raise DataError(f"{self.path}: table '{name}' is damaged ({problem}).")


def _what_it_is(name: str, found: h5py.Group | h5py.Dataset) -> str:
    """What stands in the place of a table."""
    if isinstance(found, h5py.Group):
        inside = list(found)
        what = f"a group with {', '.join(inside[:6])}{', ...' * (len(inside) > 6)}" if inside else "an empty group"
    else:
        what = f"an array of shape {found.shape} without named columns"
    return f"'{name}' is {what}; {EXPECTED.format(name=name)}"


def _is_of_pandas(group: h5py.Group) -> bool:
    return "pandas_type" in group.attrs or "axis0" in group or "block0_values" in group or "table" in group


def _missing_filters(dataset: h5py.Dataset) -> list[str]:
    """Compression filters of a dataset that this machine's HDF5 does not have."""
    plist = dataset.id.get_create_plist()
    missing = []
    for i in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            missing.append(f"the filter {name.decode(errors='replace') or 'of HDF5'} (number {code})")
    return missing


def existing(rows: np.ndarray) -> np.ndarray:
    """Drops the rows of frames that did not have the object (exists = 0).

    Args:
      rows: structured array [N].

    Returns:
      The remaining rows; all where there is no column 'exists'.
    """
    if "exists" not in (rows.dtype.names or ()):
        return rows
    there = rows["exists"] > 0
    return rows if there.all() else rows[there]
