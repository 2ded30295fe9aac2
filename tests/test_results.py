"""Tables of fits in other people's libraries: the same numbers from every kind of file, with units."""

import h5py
import numpy as np
import pytest
from test_fit_table import LOG, NAMES, model_of, rows_of

import evgen_jax as eg
from evgen_jax.errors import ReconstructionError
from evgen_jax.reconstruction.run.covariance_columns import FEW, covariance_labels, covariance_units, unpack_covariance
from evgen_jax.reconstruction.run.table_file import notes_beside, write_table

ENDINGS = ("hdf5", "parquet", "csv")
MANY = (*NAMES, *(f"energy_loss_{i:04d}" for i in range(FEW)))


def written(directory, ending, names=NAMES, log=LOG, free=(0, 3), identity="identity", name="fits"):
    table, covariance = rows_of(names, log, free)
    labels, model = covariance_labels(names, log, free), model_of(names)
    path = directory / f"{name}.{ending}"
    write_table(path, table, model, identity, labels, covariance_units(labels, model.parameters))
    return path, table, covariance


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_file_opens_in_every_library(ending, tmp_path):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    path, table, _ = written(tmp_path, ending)
    rows, frame, other = (eg.read_results(path, library) for library in ("numpy", "pandas", "polars"))
    assert isinstance(frame, pandas.DataFrame) and isinstance(other, polars.DataFrame)
    assert list(frame.columns) == other.columns == list(rows.dtype.names) == list(table.dtype.names)
    assert rows.dtype == table.dtype
    for name in table.dtype.names:
        if name == "status":
            assert list(frame[name]) == other[name].to_list() == ["converged", "failed: no light"]
            continue
        for found in (rows[name], frame[name].to_numpy(), other[name].to_numpy()):
            np.testing.assert_array_equal(found, table[name])
            assert found.dtype == table[name].dtype
    notes = eg.read_result_notes(path)
    assert frame.attrs == notes and notes["parameter_names"] == list(NAMES) and notes["model_identity"] == "identity"
    units = notes["units"]
    assert list(units) == list(table.dtype.names)
    assert (units["cascade_x_unc"], units["runtime"], units["converged"], units["angular_unc"]) == ("m", "s", "", "rad")
    assert (
        units["cov_cascade_x_log_cascade_energy"] == "m" and notes["covariance_parameters"][1] == "log_cascade_energy"
    )


@pytest.mark.parametrize("ending", ["hdf5", "parquet"])
def test_packed_covariances_are_arrays(ending, tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    path, _, covariance = written(tmp_path, ending, MANY, (False,) * len(MANY), tuple(range(len(MANY))))
    for library in ("numpy", "pandas", "polars"):
        packed = np.asarray(eg.read_results(path, library)["covariance"][0])
        np.testing.assert_array_equal(unpack_covariance(packed), covariance.physical)


def test_several_tables_are_one(tmp_path):
    for i in (1, 2):
        _, table, _ = written(tmp_path, "hdf5", name=f"fits_{i}_of_2")
    rows = eg.read_results(tmp_path / "fits_*_of_2.hdf5", "numpy")
    assert len(rows) == 4 and list(rows["Event"]) == [5, 6, 5, 6]
    assert eg.read_result_notes([tmp_path / "fits_1_of_2.hdf5"])["units"]["cascade_x"] == "m"
    other, _, _ = written(tmp_path, "hdf5", name="other", identity="another")
    with pytest.raises(ReconstructionError, match="other.hdf5: was fitted with another model than"):
        eg.read_results([tmp_path / "fits_1_of_2.hdf5", other], "numpy")
    more, _, _ = written(tmp_path, "csv", name="more", free=())
    with pytest.raises(ReconstructionError, match="more.csv: has other columns than .*cov_cascade_x_cascade_x"):
        eg.read_results([other, more], "numpy")


def test_what_is_no_table_of_fits(tmp_path, monkeypatch):
    path, _, _ = written(tmp_path, "csv")
    notes_beside(path).unlink()
    with pytest.raises(ReconstructionError, match="fits.csv.json: is missing, which holds the units"):
        eg.read_results(path, "numpy")
    with h5py.File(tmp_path / "events.hdf5", "w") as file:
        file["Pulses"] = np.zeros(2)
    with pytest.raises(ReconstructionError, match="events.hdf5: holds no table of fits.* found Pulses"):
        eg.read_results(tmp_path / "events.hdf5", "numpy")
    for name in ("text.csv", "text.hdf5", "text.parquet"):
        (tmp_path / name).write_text("a,b\n1,2\n")
        with pytest.raises(ReconstructionError, match=f"{name}: (holds|is) no table of fits"):
            eg.read_results(tmp_path / name, "numpy")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ReconstructionError, match="empty.csv: is no table of fits"):
        eg.read_results(tmp_path / "empty.csv", "numpy")
    with pytest.raises(ReconstructionError, match="^no file matches .*gone.hdf5"):
        eg.read_results(tmp_path / "gone.hdf5", "numpy")
    with pytest.raises(ReconstructionError, match="Did you mean 'pandas'"):
        eg.read_results(path, "panda")
    monkeypatch.setattr("evgen_jax.extras.find_spec", lambda name: None)
    with pytest.raises(
        eg.EvgenError, match=r"read_results needs polars. Install it with: pip install 'evgen_jax\[tables\]'"
    ):
        eg.read_results(path, "polars")
