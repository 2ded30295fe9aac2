"""evgen-jax check: what files hold, what is missing, which units cannot be, and what a configuration would do."""

import re
import shutil

import h5py
import numpy as np
import pytest
from format_files import graphnet_tables, tables_of, write_hdf5, write_km3pipe, write_prometheus, write_sqlite

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.report.inventory import different_detectors, inventory

PLAIN = DataHandlerSettings(data_settings={})


@pytest.fixture(scope="module")
def tables(experiment):
    return tables_of(experiment / "events" / "small_000000.hdf5")


def changed(tables, name, **columns):
    rows = tables[name].copy()
    for column, change in columns.items():
        rows[column] = change(rows[column])
    return {**tables, name: rows}


def test_our_own_files_are_complete(experiment, tables):
    file = inventory(experiment / "events" / "small_000000.hdf5", PLAIN)
    assert file.format == "IceCube HDF5 (tableio)" and file.events == 20 and file.detector.startswith("'small' (")
    kinds = {table.name: (table.kind, table.rows) for table in file.tables}
    assert kinds["MCPulses"] == ("pulses", len(tables["MCPulses"])) and kinds["BadDomsList"] == ("modules", 20)
    assert kinds["LabelsMCCascade"] == kinds["ReadoutWindow"] == ("one row per event", 20)
    energy = next(
        c for t in file.tables if t.name == "LabelsMCCascade" for c in t.columns if c.name == "cascade_energy"
    )
    values = tables["LabelsMCCascade"]["cascade_energy"]
    assert (energy.low, energy.high) == (values.min(), values.max())
    assert file.for_fitting == "complete; seeds: SmearedSeed" and not file.doubts
    assert file.for_training.startswith(
        "the table of labels 'LabelsDeepLearning' is missing; LabelsMCCascade may be it: --set"
    )
    named = DataHandlerSettings(data_settings={}, label_settings={"label_key": "LabelsMCCascade"})
    assert inventory(file.path, named).for_training == ""


def test_what_is_missing_is_said(tables, loaded_detector, tmp_path):
    own = graphnet_tables(tables, loaded_detector)
    del own["truth"]["interaction_time"]
    file = inventory(write_sqlite(tmp_path / "events.db", own), PLAIN)
    assert file.for_training.startswith("table 'truth' has no column cascade_time (format_settings.vertex_time")
    assert file.for_fitting == "complete without seeds (seed: pulses)" and file.format == "graphnet SQLite"
    two = inventory(write_sqlite(tmp_path / "two.db", own | {"Other": own["SplitInIcePulses"]}), PLAIN)
    assert two.for_fitting.startswith("SplitInIcePulses, Other may be meant by pulse_key") and two.events is None
    named = DataHandlerSettings(data_settings={"pulse_key": "Pulses"})
    lost = inventory(tmp_path / "events.db", named)
    assert lost.for_fitting == "the table of pulses 'Pulses' is missing"


def test_groups_of_pandas_are_told(tmp_path):
    with h5py.File(tmp_path / "frame.hdf5", "w") as file:
        file.create_group("Labels").create_group("table")
    (note,) = inventory(tmp_path / "frame.hdf5", PLAIN).notes
    assert note.startswith("the group 'Labels' was written by pandas (DataFrame.to_hdf)")


def test_events_without_pulses_are_counted(tables, loaded_detector, tmp_path):
    pulses = tables["MCPulses"]
    path = write_prometheus(
        tmp_path / "p.parquet", {**tables, "MCPulses": pulses[pulses["Event"] > 2]}, loaded_detector
    )
    file = inventory(path, PLAIN)
    assert (
        file.events == 20
        and f"{20 - len(np.unique(pulses['Event'][pulses['Event'] > 2]))} events without any" in file.pulses
    )
    assert file.for_training == "" and any("turned round" in note for note in file.notes)
    empty = inventory(write_hdf5(tmp_path / "e.hdf5", {**tables, "MCPulses": pulses[:0]}), PLAIN)
    assert empty.for_fitting == "table 'MCPulses' holds no pulse" and empty.events == 20


@pytest.mark.parametrize(
    ("table", "columns", "expected"),
    [
        ("MCPulses", {"time": lambda v: v * 1e-9}, "'time': 80 % of the pulses .* are they in s\\? Expected ns"),
        ("MCPulses", {"time": lambda v: v * 1e-6}, "are they in ms\\?"),
        ("MCPulses", {"time": lambda v: v * 1e-3}, "are they in us\\?"),
        ("MCPulses", {"time": lambda v: v * 1e4}, "are they in ps, or of several events\\?"),
        ("MCPulses", {"charge": lambda v: v * 1e5}, "are they counts, or pC\\?"),
        ("MCPulses", {"charge": lambda v: v * 0}, "every pulse has 0 PE"),
        ("MCPulses", {"charge": lambda v: v - 100}, "pulses have negative charges"),
        ("LabelsMCCascade", {"cascade_zenith": np.degrees}, "'cascade_zenith': up to .*: is it in degrees\\?"),
        ("LabelsMCCascade", {"cascade_azimuth": np.degrees}, "'cascade_azimuth': up to .*: is it in degrees\\?"),
        ("LabelsMCCascade", {"cascade_energy": lambda v: np.log10(v) - 4}, "'cascade_energy': .* is it a logarithm\\?"),
        ("LabelsMCCascade", {"cascade_energy": lambda v: v * 1e9 * 1e3}, "is it in eV\\?"),
        ("LabelsMCCascade", {"cascade_z": lambda v: np.where(v > v.min(), v, np.nan)}, "not finite in 1 of 20 rows"),
    ],
)
def test_units_that_cannot_be(tables, tmp_path, table, columns, expected):
    named = DataHandlerSettings(data_settings={}, label_settings={"label_key": "LabelsMCCascade"})
    path = write_hdf5(tmp_path / "f.hdf5", changed(tables, table, **columns))
    (doubt,) = inventory(path, named).doubts
    assert re.search(expected, doubt), doubt


def test_two_detectors_in_one_list(tables, loaded_detector, experiment, tmp_path, command):
    own = graphnet_tables(tables, loaded_detector)
    moved = {**own, "SplitInIcePulses": {**own["SplitInIcePulses"], "dom_x": own["SplitInIcePulses"]["dom_x"] + 50}}
    one, two = write_sqlite(tmp_path / "one.db", own), write_sqlite(tmp_path / "two.db", moved)
    files = [inventory(path, PLAIN) for path in (one, two)]
    assert different_detectors(files[:1]) == [] == different_detectors([files[0], files[0]])
    (text,) = different_detectors(files)
    assert "two.db: the sensor (string" in text and "two detectors" in text
    code, out, _ = command("check", one, two, "--no-columns")
    assert code == 3 and "two detectors" in out
    hits = inventory(write_km3pipe(tmp_path / "hits.h5", tables, True), PLAIN)
    assert hits.detector == "42"
    (text,) = different_detectors([inventory(experiment / "events" / "small_000000.hdf5", PLAIN), hits])
    assert "is of the detector 42" in text


def test_the_command(experiment, tables, tmp_path, command):
    path = experiment / "events" / "small_000000.hdf5"
    label = ("--set", "data_handler_settings.label_settings.label_key=LabelsMCCascade")
    code, out, err = command("check", path, *label)
    assert code == 0 and "for training: complete" in out and "for fitting: complete; seeds: SmearedSeed" in out, err
    assert "charge 0" in out and "charge" not in command("check", path, "--no-columns")[1].split("pulses:")[0]
    (tmp_path / "text.db").write_text("no tables")
    code, out, err = command("check", path, tmp_path / "text.db")
    assert code == 3 and "damaged or of another kind" in out
    code, _, err = command("check", tmp_path / "text.db")
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    code, _, err = command("check", tmp_path / "*.nothing")
    assert code == 2 and "no file matches" in err
    code, _, err = command("check", path, "--set", "training_settings.save_frequency=3")
    assert code == 2 and "'training_settings' cannot be set here; known: data_handler_settings" in err


def test_a_configuration_is_rehearsed(experiment, tables, tmp_path, command):
    code, out, err = command("check", experiment / "config.yaml")
    assert code == 0, err
    assert "detector small: 108 sensors at 108 places, 9 strings, 107 usable" in out
    assert "training: 2 files: 40 events with labels, 0 without a pulse" in out
    assert "trafo.json is there" in out and "train would make 12 steps of 4 events" in out and "cascade_energy" in out
    degrees = write_hdf5(tmp_path / "degrees.hdf5", changed(tables, "LabelsMCCascade", cascade_azimuth=np.degrees))
    code, out, err = command("check", experiment / "config.yaml", degrees)
    assert code == 0 and "given files: 1 files: 20 events" in out and "is it in degrees" in out, err
    (tmp_path / "text.hdf5").write_text("no events")
    code, out, _ = command("check", experiment / "config.yaml", degrees, tmp_path / "text.hdf5")
    assert code == 3 and "cannot be read as HDF5" in out
    shutil.copy(experiment / "config.yaml", tmp_path / "bad.yaml")
    code, _, err = command("check", tmp_path / "bad.yaml", "--set", "training_settings.optimiser=Adam")
    assert code == 2 and "unknown key" in err
    missing = ("--set", f"data_iterator_settings.training.input_data={tmp_path}/none_*.hdf5")
    code, out, err = command("check", experiment / "config.yaml", *missing)
    assert code == 0 and "training: input_data: no file matches" in out, err


def test_what_a_training_would_refuse_is_refused(experiment, tables, tmp_path, command):
    """Classes that are unknown, flags that are too few, and files of which no event can be used."""
    config = experiment / "config.yaml"
    for setting, expected in (
        ("training_settings.optimizer_name=adamm", "adamm"),
        ("data_handler_settings.label_settings.trafo_log=[false,true]", "expected one flag or 7 flags"),
    ):
        code, _, err = command("check", config, "--set", setting)
        assert code == 2 and expected in err and err.count("\n") == 1, err
    dark = write_hdf5(tmp_path / "negative.hdf5", changed(tables, "MCPulses", charge=np.negative))
    code, out, err = command("check", config, dark)
    assert code == 3 and "20 of 20 events cannot be used" in out, out + err
    code, _, err = command("train", config, "--set", f"data_iterator_settings.training.input_data=[{dark}]")
    assert (
        code == 2
        and "none of the 20 events in 1 files can be used; the first: run 1, event 0 of" in err
        and "charge" in err
    ), err


def test_groups_and_arrays_in_the_place_of_tables_are_told(tmp_path, command):
    path = tmp_path / "own.hdf5"
    with h5py.File(path, "w") as file:
        file["Labels/x"], file["Labels/event"] = [1.0, 2.0], [1, 2]
        file["charges"] = np.ones((3, 2))
    code, said, err = command("check", path)
    assert code == 0 and not err
    assert "'Labels' is a group with event, x; expected one dataset with named columns" in said
    assert (
        "'charges' is an array of shape (3, 2) without named columns; expected one dataset with named columns" in said
    )
