"""Random damage to every table of a file: it is read with numbers that can be, or refused in one line that names the file."""

import h5py
import jax
import numpy as np
import pytest
from test_two_ways_in import random_tables, settings

from evgen_jax.data.batches import make_batch
from evgen_jax.data.detector_match import compare_with_detector
from evgen_jax.data.event_file import read_event_file
from evgen_jax.errors import DataError

ODD = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, -1e300, 1e-320, 2.0**31, 2.0**63, 61.0, 0.5)
KINDS = ("<f4", ">f8", "<i8", "S5", "(3,)<f8", "?", "<f2", "<u1", "<c16")


def with_column(rows, column, kind):
    """The rows with one column of another type; values that it cannot hold are 0."""
    new = np.zeros(len(rows), [(n, kind if n == column else rows.dtype[n]) for n in rows.dtype.names])
    for name in rows.dtype.names:
        if name != column or np.dtype(kind).kind in "iufbc" and not np.dtype(kind).shape:
            with np.errstate(all="ignore"):
                new[name] = rows[name]
    return new


def damaged(rng, rows):
    """Rows with one thing wrong, or what is no table at all."""
    column = str(rng.choice(rows.dtype.names))
    places = rng.integers(0, len(rows), rng.integers(1, 4)) if rng.integers(2) else slice(None)
    what = rng.integers(0, 9)
    if what == 0:
        kept = [n for n in rows.dtype.names if n != column]
        return np.array([tuple(row[n] for n in kept) for row in rows], [(n, rows.dtype[n]) for n in kept])
    if what == 1:
        return with_column(rows, column, str(rng.choice(KINDS)))
    if what == 2:
        return rng.permutation(rows)
    if what == 3:
        return rows[: rng.integers(0, len(rows))]
    if what == 4:
        return np.concatenate([rows, rows[: rng.integers(0, len(rows))]])
    if what == 5:
        return rows.reshape(-1, 1)
    if what == 6:
        return np.zeros((4, 4))
    new = with_column(rows, column, "<f8")
    new[column][places] = rng.choice(ODD)
    return new


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("block", range(4))
def test_damaged_tables(loaded_detector, tmp_path, block):
    read = refused = 0
    for seed in range(50 * block, 50 * block + 50):
        rng = np.random.default_rng(seed)
        tables = random_tables(loaded_detector, seed)
        for name in rng.choice(list(tables), rng.integers(1, 3), replace=False):
            tables[name] = damaged(rng, tables[name])
        path = tmp_path / "f.hdf5"
        with h5py.File(path, "w") as file:
            for name, rows in tables.items():
                file[name] = rows
        handler = settings(readout_window_key="Readout" if rng.integers(2) else None)
        try:
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                file = read_event_file(path, handler, loaded_detector)
                compare_with_detector(file, loaded_detector)
                batch = make_batch([(file, i) for i in file.good], np.arange(len(file.good))) if file.good else None
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error), seed
            refused += 1
            continue
        read += 1
        for leaf in jax.tree.leaves((batch.events, batch.labels) if batch else ()):
            assert np.all(np.isfinite(leaf)), seed
        for i in file.good:
            event = file.event(i)
            np.testing.assert_allclose(event.charge.sum(), event.pulses.charge.sum(), rtol=1e-4, err_msg=str(seed))
    assert read > 10 and refused > 10
