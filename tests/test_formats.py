"""Files of every telescope give equal events; what a file cannot say is told, what it holds of another kind is refused."""

import sqlite3

import h5py
import numpy as np
import pytest
from format_files import (
    columns_of,
    graphnet_tables,
    records,
    tableio_tables,
    tables_of,
    write_hdf5,
    write_km3pipe,
    write_parquet,
    write_prometheus,
    write_records,
    write_sqlite,
)

from evgen_jax.building.experiment import build_model, create_trafo
from evgen_jax.config.records import DataHandlerSettings, FormatSettings, ReconstructionSettings
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import BatchStream
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.formats.photons import pulses_of_photons
from evgen_jax.data.formats.time_over_threshold import charge_of, time_of
from evgen_jax.data.found_tables import find_tables
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.hypothesis.trafo import load_trafo
from evgen_jax.reconstruction.run.program import _count_events
from evgen_jax.reconstruction.run.seeds import make_seed_reader

pytest.importorskip("pyarrow")
HDF5 = {
    "data_settings": {"pulse_key": "MCPulses", "event_id_key": "LabelsMCCascade"},
    "label_settings": {"label_key": "LabelsMCCascade"},
}


@pytest.fixture(scope="module")
def tables(experiment):
    """Tables of simulated events, without those that saw nothing."""
    found = tables_of(experiment / "events" / "small_000000.hdf5")
    seen = np.unique(found["MCPulses"]["Event"])
    return {name: rows[np.isin(rows["Event"], seen)] for name, rows in found.items()}


@pytest.fixture(scope="module")
def unit_charges(tables):
    """The events as single photons."""
    pulses = tables["MCPulses"].copy()
    pulses["charge"] = 1.0
    return {**tables, "MCPulses": pulses}


def read(path, detector, settings=None, **more):
    return read_event_file(path, DataHandlerSettings(**(settings or {"data_settings": {}})), detector, **more)


def assert_equal_events(file, reference, labels=0.0):
    """Pulses, windows and charges to all bits; labels too where they are not computed from others."""
    assert len(file) == len(reference) and not file.faults
    for kind in ("pulses", "active"):
        own, other = getattr(file.packed, kind), getattr(reference.packed, kind)
        np.testing.assert_array_equal(own.offsets, other.offsets)
        for name in other.values:
            np.testing.assert_array_equal(own[name], other[name], err_msg=f"{kind} {name}")
    np.testing.assert_array_equal(file.packed.readout, reference.packed.readout)
    np.testing.assert_allclose(file.labels, reference.labels, rtol=labels, atol=0)


@pytest.fixture(scope="module")
def reference(tables, loaded_detector, tmp_path_factory):
    return read(write_hdf5(tmp_path_factory.mktemp("reference") / "events.hdf5", tables), loaded_detector, HDF5)


def test_tableio_in_sqlite_and_parquet_gives_the_events_of_hdf5(tables, reference, loaded_detector, tmp_path):
    booked = tableio_tables(tables)
    write_sqlite(tmp_path / "events.db", booked)
    for number, (name, columns) in enumerate(booked.items()):
        write_parquet(tmp_path / "folder" / f"{name}.parquet{'.sz' * (number % 2)}", columns)
    for path in (tmp_path / "events.db", tmp_path / "folder"):
        file = read(path, loaded_detector, HDF5)
        assert_equal_events(file, reference)
        np.testing.assert_array_equal(file.ids, reference.ids)
        with open_tables(path) as opened:
            assert opened.format in ("IceCube SQLite (tableio)", "IceCube Parquet (tableio)")


def test_rows_that_fill_up_tables_of_tableio_do_not_exist(tables, loaded_detector, tmp_path):
    booked = tableio_tables(tables)
    labels = {name: values.copy() for name, values in booked["LabelsMCCascade"].items()}
    for name in set(labels) - {"event_no"}:
        labels[name][2] = 0
    path = write_sqlite(tmp_path / "events.db", booked | {"LabelsMCCascade": labels})
    file = read(path, loaded_detector, {**HDF5, "data_settings": {}})  # its events are those of I3EventHeader
    assert list(file.faults) == [2] and "nan" in file.faults[2]


def test_tables_of_tableio_that_leave_events_out_are_refused(tables, loaded_detector, tmp_path):
    """event_no counts the events that have pulses: behind one without any, all would get those of another event."""
    without = {**tables, "MCPulses": tables["MCPulses"][tables["MCPulses"]["Event"] != tables["MCPulses"]["Event"][0]]}
    path = write_sqlite(tmp_path / "events.db", tableio_tables(without))
    with pytest.raises(
        DataError, match=r"'MCPulses' counts 1\d events and I3EventHeader \d+: some events have no rows"
    ):
        read(path, loaded_detector, HDF5)
    booked = tableio_tables(tables)
    del booked["I3EventHeader"]
    with pytest.raises(DataError, match="the table I3EventHeader, which has them, is missing"):
        read(write_sqlite(tmp_path / "without.db", booked), loaded_detector, HDF5)


def test_graphnet_gives_the_events_of_hdf5(tables, reference, loaded_detector, tmp_path):
    own = graphnet_tables(tables, loaded_detector)
    paths = [write_sqlite(tmp_path / "events.db", own), tmp_path / "merged"]
    for name, columns in own.items():
        half = np.median(columns["event_no"])
        for number, part in enumerate((columns["event_no"] < half, columns["event_no"] >= half)):
            write_parquet(
                tmp_path / "merged" / name / f"{name}_{number}.parquet", {c: v[part] for c, v in columns.items()}
            )
    pulses, truth = own["SplitInIcePulses"], own["truth"]
    single = ("event_no",)
    old = {
        "SplitInIcePulses": records(pulses, pulses["event_no"], single),
        "truth": records(truth, truth["event_no"], tuple(truth)),
    }
    paths.append(write_records(tmp_path / "records.parquet", old))
    for path in paths:
        assert_equal_events(read(path, loaded_detector), reference)
    # One numbered file stands for all tables of its number.
    part = read(tmp_path / "merged" / "SplitInIcePulses" / "SplitInIcePulses_1.parquet", loaded_detector)
    np.testing.assert_array_equal(part.labels, reference.labels[-len(part) :])
    assert 0 < len(part) < len(reference)
    for path in paths[:2]:
        some = read(path, loaded_detector, {"data_settings": {}, "format_settings": {"events": [102, 105]}})
        assert some.ids[:, 1].tolist() == [102, 103, 104]
        np.testing.assert_array_equal(some.labels, reference.labels[2:5])


def test_flags_of_a_pulse_map_are_tables_of_modules(tables, loaded_detector, tmp_path):
    path = write_sqlite(tmp_path / "events.db", graphnet_tables(tables, loaded_detector))
    file = read(path, loaded_detector, {"data_settings": {"dom_exclusions_key": "SplitInIcePulses.is_bright_dom"}})
    om = np.asarray(loaded_detector.om)
    for i in range(len(file)):
        event = file.event(i)
        lit = np.unique(
            tables["MCPulses"]["string"][
                (tables["MCPulses"]["Event"] == file.ids[i, 1] - 100) & (tables["MCPulses"]["om"] == 3)
            ]
        )
        excluded = (om == 3) & np.isin(np.asarray(loaded_detector.string), lit)
        np.testing.assert_array_equal(np.asarray(event.usable), np.asarray(loaded_detector.usable) & ~excluded)


def test_prometheus_gives_the_events_of_hdf5(unit_charges, loaded_detector, tmp_path):
    labels = unit_charges["LabelsMCCascade"].copy()
    assert labels["cascade_time"].min() > 0
    labels["cascade_time"] = 0.0
    shifted = {**unit_charges, "LabelsMCCascade": labels}
    reference = read(write_hdf5(tmp_path / "events.hdf5", shifted), loaded_detector, HDF5)
    path = write_prometheus(tmp_path / "events.parquet", unit_charges, loaded_detector)
    file = read(path, loaded_detector)
    assert_equal_events(file, reference, labels=1e-12)
    assert set(file.ids[:, 0]) == {7}
    later = read(path, loaded_detector, {"data_settings": {}, "format_settings": {"vertex_time": 9.0}})
    np.testing.assert_array_equal(later.labels[:, 6], 9.0)


@pytest.mark.parametrize("grouped", [False, True])
def test_km3pipe_gives_the_events_of_hdf5(unit_charges, loaded_detector, tmp_path, grouped):
    reference = read(write_hdf5(tmp_path / "events.hdf5", unit_charges), loaded_detector, HDF5)
    one = {"data_settings": {}, "format_settings": {"charge": "one"}}
    file = read(write_km3pipe(tmp_path / "hits.h5", unit_charges, grouped), loaded_detector, one)
    assert_equal_events(file, reference, labels=1e-12)
    assert file.ids[:3].tolist() == [[5, 3, 0, 0], [5, 3, 1, 0], [5, 3, 2, 0]]
    slice_times = read(write_km3pipe(tmp_path / "slice.h5", unit_charges, grouped, offset=4.5e7), loaded_detector, one)
    np.testing.assert_allclose(slice_times.packed.pulses["time"], reference.packed.pulses["time"], atol=1e-6)
    charged = read(tmp_path / "hits.h5", loaded_detector)
    assert np.allclose(charged.packed.pulses["charge"], 1.1176, atol=1e-4)  # 26 ns over the threshold


def test_charges_of_times_over_threshold():
    """Charges that KM3NeT's own calibration gave to hits of these times, in km3net-testdata."""
    facts = {
        1: 0.2406,
        10: 0.3048,
        18: 0.5227,
        20: 0.6244,
        26: 1.1176,
        30: 1.6695,
        50: 4.6938,
        100: 13.5853,
        150: 27.958,
        200: 91.0437,
    }
    np.testing.assert_allclose(charge_of(np.array(list(facts))), list(facts.values()), rtol=3e-4)
    charges = np.geomspace(0.25, 90, 200)
    np.testing.assert_allclose(charge_of(time_of(charges)), charges, rtol=1e-3)
    assert np.all(np.diff(time_of(charges)) > 0) and charge_of(np.array([255.0])) == 100


def test_photons_become_pulses_by_their_probability_time_and_threshold():
    rng = np.random.default_rng(0)
    event, sensor = np.repeat(np.arange(50), 200), rng.integers(0, 40, 10_000)
    time = rng.uniform(0, 1000, 10_000)
    kept, drawn = pulses_of_photons(event, sensor, time, FormatSettings(efficiency=0.3, jitter=2.0, seed=1))
    assert abs(len(kept) / len(time) - 0.3) < 4 * np.sqrt(0.21 / len(time))
    assert abs(np.std(drawn - time[kept]) - 2.0) < 0.1 and abs(np.mean(drawn - time[kept])) < 0.2
    # An event has its own random numbers, whatever stands before it.
    own = event == 30
    alone, times = pulses_of_photons(
        event[own], sensor[own], time[own], FormatSettings(efficiency=0.3, jitter=2.0, seed=1)
    )
    np.testing.assert_array_equal(np.flatnonzero(own)[alone], kept[event[kept] == 30])
    np.testing.assert_array_equal(times, drawn[event[kept] == 30])
    bright, _ = pulses_of_photons(event, sensor, time, FormatSettings(threshold=8))
    counts = np.bincount(event * 40 + sensor)
    np.testing.assert_array_equal(bright, np.flatnonzero(counts[event * 40 + sensor] >= 8))
    everything, same = pulses_of_photons(event, sensor, time, FormatSettings())
    assert len(everything) == len(time) and np.array_equal(same, time)


def test_sensors_that_stand_elsewhere_are_of_another_detector(tables, loaded_detector, tmp_path):
    own = graphnet_tables(tables, loaded_detector)
    shifted = {
        **own,
        "SplitInIcePulses": {**own["SplitInIcePulses"], "dom_z": own["SplitInIcePulses"]["dom_z"] - 1948.07},
    }
    with pytest.raises(
        DataError, match=r"All \d+ sensors are shifted by .*-1948.07\) m: file and detector count from different"
    ):
        read(write_sqlite(tmp_path / "shifted.db", shifted), loaded_detector)
    wide = {**own, "SplitInIcePulses": {**own["SplitInIcePulses"], "dom_x": 100 * own["SplitInIcePulses"]["dom_x"]}}
    with pytest.raises(DataError, match="another detector, or its coordinates are in another unit"):
        read(write_sqlite(tmp_path / "wide.db", wide), loaded_detector)


def test_what_a_file_leaves_open_is_told_and_asked(tables, loaded_detector, tmp_path, caplog):
    own = graphnet_tables(tables, loaded_detector)
    two = write_sqlite(tmp_path / "two.db", {**own, "InIcePulses": own["SplitInIcePulses"]})
    with pytest.raises(ConfigError, match="SplitInIcePulses, InIcePulses may be meant by pulse_key. Name one of them"):
        read(two, loaded_detector)
    file = read(two, loaded_detector, {"data_settings": {"pulse_key": "InIcePulses"}})
    assert "event_id_key truth, label_key truth" in caplog.text and len(file) == len(tables["LabelsMCCascade"])
    with pytest.raises(
        DataError,
        match="'InIcePulse' is missing; found SplitInIcePulses, truth, InIcePulses.*Did you mean 'InIcePulses'",
    ):
        read(two, loaded_detector, {"data_settings": {"pulse_key": "InIcePulse"}})
    del own["truth"]["interaction_time"]
    timeless = write_sqlite(tmp_path / "timeless.db", own)
    with pytest.raises(
        DataError, match="no column 'cascade_time'.* has no time of the interaction; give one .*vertex_time=9800"
    ):
        read(timeless, loaded_detector)
    settings = {"data_settings": {}, "format_settings": {"vertex_time": 9800.0}}
    np.testing.assert_array_equal(read(timeless, loaded_detector, settings).labels[:, 6], 9800.0)
    with pytest.raises(DataError, match="charge: time_over_threshold: table 'SplitInIcePulses' has none"):
        read(
            timeless,
            loaded_detector,
            {"data_settings": {}, "format_settings": {"charge": "time_over_threshold"}},
            labels=False,
        )


def test_files_of_another_kind_are_one_message(tables, loaded_detector, tmp_path):
    base = sqlite3.connect(tmp_path / "other.db")
    base.execute("CREATE TABLE songs (title, year)")
    base.commit()
    base.close()
    write_parquet(tmp_path / "other.parquet", {"title": np.arange(3), "year": np.arange(3)})
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.hdf5").write_text("no tables\n")
    (tmp_path / "cut.db").write_bytes(b"SQLite format 3\x00" + bytes(100))
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + bytes(20))
    (tmp_path / "events.i3.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    with h5py.File(tmp_path / "unjoined.h5", "w") as file:
        file.attrs["km3pipe"] = "9"
        file["event_info"] = np.zeros(2, [("group_id", int), ("run_id", int)])
        file["hits"] = np.zeros(2, [("time", float), ("tot", int)])
    for name, expected in (
        ("other.db", r"is SQLite of another kind: expected .*found songs \(title, year\)"),
        ("other.parquet", r"is Parquet of another kind: .*found other \(title, year\)"),
        ("empty", "is a directory without tables"),
        ("text.hdf5", "damaged or of another kind"),
        ("cut.db", "cannot be read as an SQLite database"),
        ("cut.parquet", "cannot be read as Parquet"),
        ("events.i3.zst", "an I3 file"),
        ("nothing", "no such file"),
        ("unjoined.h5", "neither group_id nor event_id"),
    ):
        with pytest.raises(DataError, match=expected):
            read(tmp_path / name, loaded_detector, labels=False)


def test_root_files_of_another_kind(loaded_detector, tmp_path):
    uproot = pytest.importorskip("uproot")
    with uproot.recreate(tmp_path / "other.root") as file:
        file["songs"] = {"year": np.arange(3)}  # a tree, or its successor
    with pytest.raises(DataError, match=r"is a ROOT file of another kind: expected the tree E .*found songs"):
        read(tmp_path / "other.root", loaded_detector)
    (tmp_path / "cut.root").write_bytes(b"root" + bytes(range(200)))
    with pytest.raises(DataError, match="cannot be read as ROOT"):
        read(tmp_path / "cut.root", loaded_detector)


def test_missing_packages_are_one_line(tables, loaded_detector, tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "truth.parquet", columns_of(tables["LabelsMCCascade"]))
    (tmp_path / "events.root").write_bytes(b"root" + bytes(100))
    monkeypatch.setattr("evgen_jax.extras.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"reading Parquet needs pyarrow. Install it with: pip install 'evgen_jax\[parquet\]'"
    ):
        read(path, loaded_detector)
    with pytest.raises(
        ConfigError, match=r"reading ROOT needs uproot. Install it with: pip install 'evgen_jax\[km3net\]'"
    ):
        read(tmp_path / "events.root", loaded_detector)


def test_trainings_fits_and_transformations_read_them(tables, reference, experiment, loaded_detector, tmp_path):
    own = graphnet_tables(tables, loaded_detector)
    write_sqlite(tmp_path / "events.db", own)
    names = {
        "pulse_key": "SplitInIcePulses",
        "event_id_key": "truth",
        "readout_window_key": None,
        "dom_exclusions_key": None,
    }
    changes = [
        *(f"data_handler_settings.data_settings.{key}={name or 'null'}" for key, name in names.items()),
        "data_handler_settings.label_settings.label_key=truth",
        *(f"data_iterator_settings.{name}.input_data={tmp_path}/*.db" for name in ("training", "trafo", "validation")),
        f"data_trafo_settings.model_dir={tmp_path}/trafo",
    ]
    config = load_config(experiment / "config.yaml", changes)
    stream = BatchStream(config.data_iterator_settings.trafo, config.data_handler_settings, loaded_detector, seed=1)
    labels = np.concatenate([batch.labels for batch in stream])
    np.testing.assert_array_equal(np.sort(labels, axis=0), np.sort(reference.labels.astype(np.float32), axis=0))
    trafo = load_trafo(create_trafo(config))
    np.testing.assert_allclose(np.asarray(trafo.mean)[:3], reference.labels[:, :3].mean(axis=0), rtol=1e-6)
    model = build_model(config)
    file, seeds = make_seed_reader(model, config.data_handler_settings, ReconstructionSettings(seed="x_parameters"))(
        tmp_path / "events.db"
    )
    np.testing.assert_array_equal(seeds[:, 0], reference.labels)
    assert _count_events([(tmp_path / "events.db", tmp_path)], config.data_handler_settings) == len(reference)
    found = find_tables(tmp_path / "events.db", {})
    assert found["dom_exclusions_key"] is None and found["readout_window_key"] is None
    assert found["pulse_key"] == "SplitInIcePulses" and found["event_id_key"] == "truth" and file.fingerprinted


@pytest.mark.parametrize("kind", ["graphnet.db", "graphnet", "tableio.db", "prometheus.parquet", "hits.h5"])
def test_a_configuration_is_made_of_any_format(tables, loaded_detector, small_detector_csv, command, tmp_path, kind):
    """Labels are made when the truth is read: its columns in the file are called otherwise."""
    paths = [tmp_path / part / kind for part in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        if kind == "graphnet":
            for name, columns in graphnet_tables(tables, loaded_detector).items():
                write_parquet(path / name / f"{name}_0.parquet", columns)
        elif kind.endswith(".db"):
            write_sqlite(
                path, tableio_tables(tables) if "tableio" in kind else graphnet_tables(tables, loaded_detector)
            )
        elif "prometheus" in kind:
            write_prometheus(path, tables, loaded_detector)
        else:
            write_km3pipe(path, tables, True)
    code, _, err = command("init", *paths, "--detector", small_detector_csv, "-o", tmp_path / "own.yaml")
    assert code == 0, err
    config = load_config(tmp_path / "own.yaml")
    trafo = load_trafo(create_trafo(config))
    place = tables["LabelsMCCascade"][["cascade_x", "cascade_y", "cascade_z"]]
    np.testing.assert_allclose(trafo.mean[:3], [place[name].mean() for name in place.dtype.names], rtol=1e-5)
    code, _, err = command("init", paths[0], "--detector", small_detector_csv, "-o", tmp_path / "one.yaml")
    assert code == 2 and "is the only file" in err and err.count("\n") == 1


@pytest.mark.parametrize("kind", ["graphnet.db", "tableio.db", "prometheus.parquet", "hits.h5"])
def test_damaged_files_and_columns_are_one_message(tables, loaded_detector, tmp_path, kind):
    """Bytes that are changed or cut off, columns that are missing or texts: read, or refused in one line."""
    path = tmp_path / kind
    if kind == "graphnet.db":
        write_sqlite(path, graphnet_tables(tables, loaded_detector))
    elif kind == "tableio.db":
        write_sqlite(path, tableio_tables(tables))
    elif kind == "prometheus.parquet":
        write_prometheus(path, tables, loaded_detector)
    else:
        write_km3pipe(path, tables, True)
    content, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for number in range(40):
        changed = bytearray(content)
        if number % 2:
            changed = changed[: rng.integers(20, len(changed))]
        else:
            for place in rng.integers(20, len(changed), 50):
                changed[place] = rng.integers(256)
        path.write_bytes(changed)
        try:
            with open_tables(path) as opened:
                for name in opened.table_names:
                    opened.read(name)
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    "column", ["dom_time", "string", "dom_number", "dom_x", "charge", "event_no", "zenith", "energy_cascade"]
)
def test_columns_of_texts_are_one_message(tables, loaded_detector, tmp_path, column):
    own = graphnet_tables(tables, loaded_detector)
    name = next(name for name, columns in own.items() if column in columns)
    own[name] = {**own[name], column: np.full(len(own[name][column]), "many")}
    with pytest.raises(DataError, match=f"column '{column}' of table '{name}' holds .* expected one number"):
        read(write_sqlite(tmp_path / "events.db", own), loaded_detector)
