"""Containers of KM3NeT's events: the tree E of offline ROOT files, and the HDF5 files of km3pipe."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from evgen_jax.data.protocol import CachedTables, columns_of, rows_of
from evgen_jax.data.tables import TableFile
from evgen_jax.errors import DataError
from evgen_jax.extras import need

MAGIC = b"root"
"""First bytes of a ROOT file."""
ROW = "row"
"""Column of every table: number of the event in the file, from 0."""
HITS = (
    "dom_id", "channel_id", "pmt_id", "tot", "trig", "t", "a", "pos.x", "pos.y", "pos.z",
)  # fmt: skip
TRACKS = ("id", "pos.x", "pos.y", "pos.z", "dir.x", "dir.y", "dir.z", "t", "E", "len", "type", "status", "mother_id")
EVENT = (
    "id", "det_id", "mc_id", "run_id", "mc_run_id", "frame_index", "trigger_mask", "trigger_counter", "overlays", "mc_t",
)  # fmt: skip
BRANCHES = {"event_info": EVENT, "hits": HITS, "mc_hits": HITS, "mc_trks": TRACKS}
"""Table -> leaves of the tree that are its columns, as far as a file has them."""


class RootEvents(CachedTables):
    """Is an open offline ROOT file of KM3NeT or ANTARES; use it in a `with` statement.

    Args:
      path: of the file.

    Raises:
      ConfigError: on opening, if uproot is not installed.
      DataError: on opening, if the file is damaged or holds no tree E of events.
    """

    format = "ROOT"

    def __enter__(self) -> "RootEvents":
        need("uproot", f"{self.path}: reading ROOT")
        import uproot

        with self._told("the file"):
            self._file = uproot.open(self.path)
            names = {name.split(";")[0]: kind for name, kind in self._file.classnames(recursive=False).items()}
            keys = self._file["E"].keys(recursive=True) if names.get("E") == "TTree" else []
        if "Evt/hits/hits.t" not in keys:
            found = ", ".join(f"{name} ({kind})" for name, kind in names.items())
            raise DataError(
                f"{self.path}: is a ROOT file of another kind: expected the tree E of KM3NeT's offline format, with the branch "
                f"Evt/hits; found {found or 'nothing'}."
            )
        self._tree, self._keys = self._file["E"], set(keys)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Makes one message of what uproot and its decompressors raise where a file is damaged: errors of many kinds."""
        try:
            yield
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(f"{self.path}: {what} cannot be read as ROOT; it is damaged ({reason}).") from None

    @property
    def table_names(self) -> list[str]:
        """Returns the names of the tables that the tree has."""
        return [name for name in BRANCHES if self._leaves(name)]

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table, without reading it.

        Args:
          name: of the table.

        Returns:
          Names, with `row` first.
        """
        return (ROW, *self._leaves(name))

    def _leaves(self, name: str) -> dict[str, str]:
        """Column of a table -> leaf of the tree."""
        prefix = "Evt/" if name == "event_info" else f"Evt/{name}/{name}."
        return {leaf.replace(".", "_"): prefix + leaf for leaf in BRANCHES[name] if prefix + leaf in self._keys}

    def _load(self, name: str) -> np.ndarray:
        self._check_there(name)
        import awkward

        leaves = self._leaves(name)
        with self._told(f"'{name}'"):
            values = {column: self._tree[leaf].array(library="ak") for column, leaf in leaves.items()}
        row = np.arange(self._tree.num_entries)
        if name != "event_info":
            row = np.repeat(row, awkward.to_numpy(awkward.num(next(iter(values.values())), axis=1)))
            values = {column: awkward.flatten(array) for column, array in values.items()}
        return rows_of({ROW: row, **{column: awkward.to_numpy(array) for column, array in values.items()}})


class Km3pipeTables(TableFile):
    """Gives the tables of an open HDF5 file of km3pipe, which are datasets or groups of columns.

    Args:
      file: open file, which its owner closes.
    """

    format = "HDF5 (km3pipe)"
    _names = {"mc_trks": "mc_tracks"}

    def __init__(self, file: TableFile):
        super().__init__(file.path)
        self._file = file._file

    @property
    def table_names(self) -> list[str]:
        """Returns the names of the tables of events."""
        return [name for name in BRANCHES if self.has(self._names.get(name, name))]

    def columns(self, name: str) -> tuple[str, ...]:
        """Returns the names of the columns of a table.

        Args:
          name: of the table.

        Returns:
          Names, with `row` first.
        """
        return CachedTables.columns(self, name)

    def _load(self, name: str) -> np.ndarray:
        self._check_there(name)
        with self._told():
            found = self._file[self._names.get(name, name)]
            columns = self._columns_of(name, found)
        group = columns.get("group_id", columns.get("event_id"))
        if group is None:
            raise DataError(f"{self.path}: '{name}' has neither group_id nor event_id, which tell the events apart.")
        if name == "event_info":
            return rows_of({ROW: np.arange(len(group)), **columns})
        info = self.read("event_info")
        own = info["group_id" if "group_id" in columns and "group_id" in (info.dtype.names or ()) else "event_id"]
        order = np.argsort(own, kind="stable")
        place = np.searchsorted(own[order], group)
        inside = place < len(own)
        row = np.full(len(group), -1)
        row[inside] = np.where(own[order][place[inside]] == group[inside], order[place[inside]], -1)
        if np.any(row < 0):
            raise DataError(
                f"{self.path}: '{name}' has rows of event {group[np.argmin(row)]}, which event_info does not have."
            )
        return rows_of({ROW: row, **columns})

    def _columns_of(self, name: str, found: Any) -> Mapping[str, np.ndarray]:
        if getattr(found, "dtype", None) is not None:
            return columns_of(self._decoded(name, found, partial(found.__getitem__, slice(None))))
        parts = {column: part for column, part in found.items() if not column.startswith("_")}
        lost = [column for column, part in parts.items() if getattr(part, "dtype", None) is None]
        if lost:
            raise DataError(
                f"{self.path}: '{lost[0]}' of table '{name}' is no column; the file is damaged or of another kind."
            )
        columns = {
            column: self._decoded(name, part, partial(part.__getitem__, slice(None))) for column, part in parts.items()
        }
        if len({values.shape for values in columns.values()}) > 1:
            raise DataError(
                f"{self.path}: the columns of '{name}' have unequal lengths; expected one value per row in each."
            )
        return columns


def is_km3pipe(file: TableFile) -> bool:
    """Returns whether an HDF5 file was written by km3pipe.

    Args:
      file: open file.
    """
    if not file.has("event_info"):
        return False
    return file.attribute("km3pipe") is not None or file.has("mc_tracks") or file.has("hits")
