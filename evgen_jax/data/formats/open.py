"""The door to event files: what a path holds is told by its content, not by its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evgen_jax.config.records import FormatSettings
from evgen_jax.data.formats import km3net_files, parquet, sqlite
from evgen_jax.data.formats.antares import AntaresTables, is_antares
from evgen_jax.data.formats.graphnet import GraphnetTables, is_graphnet
from evgen_jax.data.formats.i3 import I3Tables
from evgen_jax.data.formats.km3net import Km3netTables
from evgen_jax.data.formats.prometheus import PrometheusTables, is_prometheus
from evgen_jax.data.formats.tableio import TableioTables, is_tableio
from evgen_jax.data.i3_file import is_i3_file
from evgen_jax.data.protocol import Tables
from evgen_jax.data.tables import TableFile
from evgen_jax.errors import DataError


@contextmanager
def open_tables(path: str | Path, settings: FormatSettings | None = None) -> Iterator[Tables]:
    """Opens the tables of an event file.

    Known are HDF5 of IceCube's tableio, of ANTARES and of km3pipe, Parquet and SQLite of tableio (v1.17) and of graphnet, Parquet of
    Prometheus, offline ROOT files of KM3NeT, and I3 files where IceTray is installed.

    Args:
      path: of a file, or of a folder of Parquet files.
      settings: what the format needs to be told; None: nothing.

    Yields:
      The open tables, each with the columns Run and Event, pulses with string, om, time (ns) and charge (PE).

    Raises:
      ConfigError: a package that reads the format is not installed; names the extra that brings it.
      DataError: a file that cannot be read, or of another kind.

    Example:
      with open_tables("merged/") as file:
          print(file.format, file.table_names)
    """
    path, settings = Path(path), settings or FormatSettings()
    if not path.exists():
        raise DataError(f"{path}: no such file.")
    start = b"" if path.is_dir() else _first_bytes(path)
    if path.is_dir() or start.startswith(parquet.MAGIC):
        with parquet.ParquetTables(path, settings.events) as folder:
            yield _of_layout(folder, settings)
    elif start == sqlite.MAGIC:
        with sqlite.SQLiteFile(path, settings.events) as base:
            yield _of_layout(base, settings)
    elif start.startswith(km3net_files.MAGIC):
        with km3net_files.RootEvents(path) as events:
            yield Km3netTables(events, settings)
    elif is_i3_file(path):
        with I3Tables(path) as frames:
            yield frames
    else:
        with TableFile(path) as file:
            if km3net_files.is_km3pipe(file):
                yield Km3netTables(km3net_files.Km3pipeTables(file), settings)
            else:
                yield AntaresTables(file) if is_antares(file) else file


def _of_layout(tables: Tables, settings: FormatSettings) -> Tables:
    """The reader of the layout that tables have."""
    if is_prometheus(tables):
        return PrometheusTables(tables, settings)
    if is_graphnet(tables):
        return GraphnetTables(tables, settings)
    if is_tableio(tables):
        return TableioTables(tables)
    found = "; ".join(f"{name} ({', '.join(tables.columns(name)[:6])})" for name in tables.table_names[:6])
    raise DataError(
        f"{tables.path}: is {tables.format} of another kind: expected tables of IceCube's tableio (I3EventHeader and others with "
        f"event_no), of graphnet (pulses with event_no, dom_x, dom_time) or of Prometheus (photons, mc_truth); found "
        f"{found or 'no table'}."
    )


def _first_bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(len(sqlite.MAGIC))
    except PermissionError:
        raise DataError(f"{path}: may not be read (permission denied).") from None
