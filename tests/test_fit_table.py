"""The table of fits: any number of columns, every format, covariances, and the reference's names for its own quantities."""

import csv
import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from conftest import full_disk

from evgen_jax.config.records import ReconstructionSettings
from evgen_jax.data.tables import TableFile
from evgen_jax.data.wide_tables import read_rows
from evgen_jax.data.writer import write_events
from evgen_jax.errors import DataError, ReconstructionError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.reconstruction.fit.covariance import Covariance
from evgen_jax.reconstruction.fit.result import Diagnostics, FitResult
from evgen_jax.reconstruction.run.covariance_columns import (
    FEW,
    covariance_element,
    covariance_labels,
    covariance_units,
    unpack_covariance,
)
from evgen_jax.reconstruction.run.file_fit import covariance_places
from evgen_jax.reconstruction.run.reference_columns import reference_units, with_reference_names
from evgen_jax.reconstruction.run.table import fill
from evgen_jax.reconstruction.run.table_file import check_output, notes_beside, read_table, write_table

NAMES = ("cascade_x", "cascade_zenith", "cascade_azimuth", "cascade_energy")
LOG = (False, False, False, True)


def model_of(names):
    """Stands for a model, of which the table needs the parameters alone."""
    return SimpleNamespace(parameter_names=tuple(names), parameters=read_parameters(names))


def fitted(size: int, log: tuple[bool, ...], free: np.ndarray) -> FitResult:
    """A fit with a covariance whose elements all differ."""
    own = np.random.default_rng(size).normal(size=(len(free), len(free)))
    hessian, sandwich = own @ own.T, 4 * (own @ own.T) + np.eye(len(free))
    covariance = Covariance(free, hessian, sandwich, hessian, sandwich, 0.1, 0.2, False)
    return FitResult(
        np.linspace(0.5, 2, size),
        -120.5,
        -130.0,
        covariance,
        Diagnostics(True, "converged", 1e-3, 7, 0.1),
        NAMES,
    )


def rows_of(names, log, free, truth=None):
    results = [fitted(len(names), log, np.array(free)), "failed: no light"]
    ids = np.array([[1, 5, 0, 0], [1, 6, 0, 0]])
    return fill(names, log, ids, np.ones((2, 1, len(names))), results, free, truth), results[0].covariance


@pytest.mark.parametrize("count", [7, 156, 3000])
def test_a_table_of_any_width_comes_back(count, tmp_path):
    names = (*NAMES, *(f"cascade_{i:05d}_energy" for i in range(count - len(NAMES))))
    log = tuple(name.endswith("energy") for name in names)
    free = tuple(range(min(count, 156)))
    table, covariance = rows_of(names, log, free)
    labels, model = covariance_labels(names, log, free), model_of(names)
    path = tmp_path / "fits.hdf5"
    write_table(path, table, model, "identity", labels, covariance_units(labels, model.parameters))
    back = read_table(path)
    assert set(back.dtype.names) == set(table.dtype.names)
    for name in table.dtype.names:
        np.testing.assert_array_equal(back[name], table[name])
    with h5py.File(path) as file:
        assert list(file["Variables"].attrs["parameter_names"]) == list(names)
        assert list(file["Variables"].attrs["covariance_parameters"])[3] == "log_cascade_energy"
        assert list(file["Variables"].attrs["covariance_units"])[:4] == ["m", "rad", "rad", ""]
        units = [u for name in file if file[name].dtype.names for u in file[name].attrs["units"]]
        # Scalar columns alone: this is what pandas takes.
        assert all(
            not kind.shape for name in file if file[name].dtype.names for kind, _ in file[name].dtype.fields.values()
        )
        assert all(
            file[name].dtype.names[:4] == ("Run", "Event", "SubEvent", "SubEventStream")
            for name in file
            if file[name].dtype.names
        )
    assert {"cascade_energy_unc: GeV", "cascade_x: m"} <= set(units)
    if count > FEW:
        np.testing.assert_array_equal(unpack_covariance(back["covariance"])[0], covariance.physical)
        np.testing.assert_array_equal(unpack_covariance(back["covariance_sandwich"])[0], covariance.physical_sandwich)
        assert np.all(np.isnan(back["covariance"][1]))
    else:
        assert back["cov_cascade_zenith_log_cascade_energy"][0] == covariance.physical[1, 3]
        assert back["cov_sandwich_cascade_x_cascade_x"][0] == covariance.physical_sandwich[0, 0]
        assert {"cov_cascade_x_log_cascade_energy: m", "cov_cascade_x_cascade_zenith: m rad"} <= set(units)
        assert "cov_log_cascade_energy_log_cascade_energy: " in units


@pytest.mark.parametrize("ending", ["hdf5", "csv", "parquet"])
def test_a_full_disk_is_told_and_nothing_is_left(ending, tmp_path):
    """h5py itself would end the process."""
    names = (*NAMES, *(f"energy_loss_{i:04d}" for i in range(200)))
    table, _ = rows_of(names, (False,) * len(names), (0,))
    path = tmp_path / f"fits.{ending}"
    with pytest.raises(OSError, match=r"File too large") as raised, full_disk():
        write_table(path, table, model_of(names), "identity")
    assert raised.value.filename == str(path) and list(tmp_path.iterdir()) == []


def test_parquet_and_csv_hold_the_same_numbers(tmp_path):
    import pyarrow.parquet

    names = (*NAMES, *(f"energy_loss_{i:04d}" for i in range(FEW)))
    log, model = (False,) * len(names), model_of(names)
    table, covariance = rows_of(names, log, tuple(range(len(names))))
    labels = covariance_labels(names, log, range(len(names)))
    for ending in ("parquet", "csv"):
        write_table(
            tmp_path / f"fits.{ending}", table, model, "identity", labels, covariance_units(labels, model.parameters)
        )
    wide = pyarrow.parquet.read_table(tmp_path / "fits.parquet")
    packed = np.array(wide["covariance"].to_pylist()[0])
    np.testing.assert_array_equal(unpack_covariance(packed), covariance.physical)
    assert json.loads(wide.schema.metadata[b"covariance_parameters"]) == list(names)
    # A unit is a unit: a packed column has those of its rows and columns.
    assert json.loads(wide.schema.metadata[b"covariance_units"]) == ["m", "rad", "rad", *("GeV",) * (len(names) - 3)]
    assert {"covariance: ", "covariance_sandwich: "} <= set(json.loads(wide.schema.metadata[b"units"]))

    own, covariance = rows_of(NAMES, LOG, (0, 3))
    write_table(tmp_path / "few.csv", own, model_of(NAMES), "identity", covariance_labels(NAMES, LOG, (0, 3)))
    with (tmp_path / "few.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines] == ["converged", "failed: no light"]
    assert [line["Event"] for line in lines] == ["5", "6"] and lines[1]["cascade_x"] == "nan"
    for name in own.dtype.names:
        if name != "status":
            np.testing.assert_array_equal([float(line[name]) for line in lines], own[name])
    assert float(lines[0]["cov_cascade_x_log_cascade_energy"]) == covariance.physical[0, 1]
    notes = json.loads(notes_beside(tmp_path / "few.csv").read_text())
    assert notes["model_identity"] == "identity" and notes["units"]["cascade_energy"] == "GeV"


@pytest.mark.parametrize("count", [4, FEW + 5])
def test_an_element_of_a_covariance_is_found_in_any_order(count):
    names = (*NAMES, *(f"energy_loss_{i:04d}" for i in range(count - len(NAMES))))
    log, free = (False, False, False, True) + (False,) * (count - 4), tuple(range(1, count))
    table, covariance = rows_of(names, log, free)
    labels = covariance_labels(names, log, free)
    for i, first in enumerate(labels):
        for j, second in enumerate(labels):
            assert covariance_element(table, labels, first, second)[0] == covariance.physical[i, j]
    for first, second in (("cascade_azimuht", labels[0]), (labels[0], "cascade_azimuht")):
        with pytest.raises(ReconstructionError, match="'cascade_azimuht' is no row .*Did you mean 'cascade_azimuth'"):
            covariance_element(table, labels, first, second)
    with pytest.raises(ReconstructionError, match="their rows are none"):
        covariance_element(table, (), *labels[:2])
    bare = fill(names, log, np.zeros((1, 4), int), np.ones((1, 1, count)), ["failed: no light"], ())
    with pytest.raises(ReconstructionError, match="the table has no column 'cov.*fitted without covariances"):
        covariance_element(bare, labels, *labels[:2])
    with pytest.raises(ReconstructionError, match=r"n \(n \+ 1\) / 2\] of n parameters, got shape \(2, 7\)"):
        unpack_covariance(np.zeros((2, 7)))


def test_names_that_cannot_be_written_are_refused(tmp_path):
    for name, message in (
        ("fits.txt", r"the ending '.txt' says no kind of table; expected one of .hdf5, .h5, .hdf, .parquet, .csv"),
        ("fits", "the ending ''"),
        ("fits.parquett", "Did you mean '.parquet'"),
    ):
        with pytest.raises(ReconstructionError, match=message):
            check_output(tmp_path / name)
    check_output(tmp_path / "fits.CSV")
    notes_beside(tmp_path / "fits.csv").write_text("mine")
    with pytest.raises(ReconstructionError, match=r"fits\.csv\.json: exists already"):
        check_output(tmp_path / "fits.csv")


def test_reference_names_hold_the_quantities_of_the_reference():
    truth = (np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]), np.array([-121.0, np.nan]))
    table, covariance = rows_of(NAMES, LOG, (0, 1, 2, 3), truth)
    labels = covariance_labels(NAMES, LOG, (0, 1, 2, 3))
    theirs = with_reference_names(table, read_parameters(NAMES), LOG, labels)
    first = theirs[0]
    np.testing.assert_allclose([first[n] for n in NAMES], truth[0][0])
    np.testing.assert_allclose([first[f"{n}_reco"] for n in NAMES], np.linspace(0.5, 2, 4))
    assert first["loss_reco"] == 120.5 and first["loss_seed"] == 130.0 and first["loss_true"] == 121.0
    # Widths of ln(1 + E), where our own column is in GeV.
    for ending, matrix in (("unc", covariance.physical), ("unc_sandwhich", covariance.physical_sandwich)):
        expected = np.sqrt(np.diag(matrix))
        np.testing.assert_allclose([first[f"{n}_{ending}"] for n in NAMES], expected, rtol=1e-12)
    assert table["cascade_energy_unc"][0] == pytest.approx(3.0 * np.sqrt(covariance.physical[3, 3]))
    assert first["cov_zenith_azimuth"] == covariance.physical[1, 2]
    assert reference_units(read_parameters(NAMES), LOG)["cascade_energy_unc"] == ""
    # Other quantities than theirs have other names.
    assert not {"circular_unc", "event_p_value_1sided", "cascade_x_unc_fit"} & set(theirs.dtype.names)
    assert {"angular_unc_sandwich", "goodness_of_fit", "status"} <= set(theirs.dtype.names)


def test_widths_of_fits_in_physical_units_are_taken_as_they_are():
    """Such a fit knows no ln(1 + p), whatever the transformation of the model has; held parameters have no covariance."""
    model = SimpleNamespace(parameter_names=NAMES, parameters=read_parameters(NAMES), trafo=SimpleNamespace(log=LOG))
    held = {"cascade_zenith": False}
    usual = ReconstructionSettings(minimize_parameter_dict=held)
    assert covariance_places(model, usual) == (LOG, (0, 2, 3))
    physical = ReconstructionSettings(minimize_in_trafo_space=False, minimize_parameter_dict=held)
    assert covariance_places(model, physical) == ((False,) * 4, (0, 2, 3))
    assert covariance_places(model, ReconstructionSettings(calculate_covariance_matrix=False)) == (LOG, ())


def test_labels_of_any_number_are_written_and_read(tmp_path):
    count, none = 1000, {k: np.zeros(0, int) for k in ("event", "string", "om", "time", "charge")}
    values = {f"cascade_{i:05d}_energy": np.array([i, i + 0.5]) for i in range(count)}
    path = tmp_path / "events.hdf5"
    write_events(path, 1, 2, none, {"Labels": values}, pulse_key="Pulses")
    with TableFile(path) as file:
        rows = file.read("Labels", ("cascade_00000_energy", f"cascade_{count - 1:05d}_energy"))
    for name, expected in values.items():
        np.testing.assert_array_equal(rows[name], expected)
    with h5py.File(path, "r+") as file:
        (other,) = file["Labels"].attrs["continued_in"]
        np.testing.assert_array_equal(file["__I3Index__"][other][:], file["__I3Index__"]["Labels"][:])
        del file[other]
        with pytest.raises(OSError, match="are missing"):
            read_rows(file, "Labels")
    with TableFile(path) as file, pytest.raises(DataError, match=f"its columns in '{other}' are missing"):
        file.read("Labels")
