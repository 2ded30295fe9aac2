"""Tables as others write them: id columns that are missing or repeated, groups, plain arrays, compression."""

import h5py
import numpy as np
import pytest
from test_event_file import rows_of
from test_two_ways_in import LABELS

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.event_ids import EventIds
from evgen_jax.data.tables import TableFile, existing
from evgen_jax.errors import DataError


def without(rows, *names):
    kept = [n for n in rows.dtype.names if n not in names]
    out = np.zeros(len(rows), [(n, rows.dtype[n]) for n in kept])
    for n in kept:
        out[n] = rows[n]
    return out


@pytest.fixture
def opened(tmp_path):
    """Writes tables and opens them; closed at the end."""
    files = []

    def open_(**tables):
        path = tmp_path / f"{len(files)}.hdf5"
        with h5py.File(path, "w") as file:
            for name, rows in tables.items():
                file[name] = rows
        files.append(TableFile(path).__enter__())
        return files[-1]

    yield open_
    for file in files:
        file.__exit__()


def test_equal_ids_are_refused(opened):
    twice = rows_of(np.array([3, 4, 4, 4, 5]), x=np.arange(5.0))
    with pytest.raises(
        DataError, match="'Labels' has 3 rows for run 1, event 4.*Were files with equal event ids merged"
    ):
        EventIds(opened(Labels=twice), "Labels")
    ragged = rows_of(np.array([3, 3, 4]), vector_index=np.array([0, 1, 0]))
    with pytest.raises(DataError, match=r"2 rows for run 1, event 3.*\(2 different events in 3 rows\). Name a table"):
        EventIds(opened(Pulses=ragged), "Pulses")
    # Fillers are no events, and SubEvents tell events apart.
    twice["exists"][[2, 3]] = 0
    assert len(EventIds(opened(Labels=twice), "Labels")) == 3
    twice["exists"], twice["SubEvent"] = 1, np.arange(5)
    assert len(EventIds(opened(Labels=twice), "Labels")) == 5


def test_ids_beyond_those_of_fits_are_refused(opened):
    ids = rows_of(np.array([3, 4]))
    ids = ids.astype([(n, "<u8") for n in ids.dtype.names])
    assert EventIds(opened(Labels=ids), "Labels").values[1, 1] == 4
    ids["Event"][1] = 2**63
    with pytest.raises(DataError, match="column 'Event' of table 'Labels' holds 9223372036854775808, larger than 2"):
        EventIds(opened(Labels=ids), "Labels")


def test_a_table_with_several_rows_per_event_gives_no_seed(opened):
    file = opened(Labels=rows_of(np.arange(3), x=np.arange(3.0)), Seed=rows_of(np.array([0, 1, 1]), x=np.arange(3.0)))
    with pytest.raises(DataError, match="'Seed' has 2 rows for run 1, event 1; expected one row per event"):
        EventIds(file, "Labels").align("Seed", ("x",))
    np.testing.assert_array_equal(EventIds(file, "Labels").align("Labels", ("x",))[:, 0], [0, 1, 2])


@pytest.mark.parametrize("stream", [0, 6])
def test_tables_are_joined_on_the_id_columns_that_both_have(opened, stream):
    """ANTARES and older IceTray have no SubEventStream; where one table has it and another not, it does not separate them."""
    labels, other = rows_of(np.array([7, 8]), x=np.array([1.0, 2.0])), rows_of(np.array([8, 7]), y=np.array([3.0, 4.0]))
    labels["SubEventStream"] = other["SubEventStream"] = stream
    for a in (labels, without(labels, "SubEventStream"), without(labels, "SubEvent", "SubEventStream")):
        for b in (other, without(other, "SubEventStream"), without(other, "SubEvent", "SubEventStream")):
            file = opened(A=a, B=b)
            np.testing.assert_array_equal(EventIds(file, "A").match("B", existing(file.read("B"))), [1, 0])


def test_ids_that_do_not_tell_events_apart(opened):
    split = rows_of(np.array([7, 7]), x=np.array([1.0, 2.0]))
    split["SubEvent"] = [0, 1]
    plain = without(split, "SubEvent")
    file = opened(Split=split, Plain=plain[:1], Both=split)
    with pytest.raises(
        DataError, match="'Plain' has no column SubEvent, which tells the events of table 'Split' apart"
    ):
        EventIds(file, "Split").match("Plain", file.read("Plain"))
    with pytest.raises(DataError, match="'Both' has 2 different SubEvent for run 1, event 7, but table 'Plain'"):
        EventIds(file, "Plain").match("Both", file.read("Both"))
    with pytest.raises(DataError, match="'NoRun' has no column 'Run'; it has Event"):
        EventIds(opened(NoRun=without(split, "Run")), "NoRun")
    broken = split.astype([(n, "<f8") for n in split.dtype.names])
    broken["Event"][1] = 7.5
    with pytest.raises(DataError, match="'Event' of table 'Broken' must hold whole numbers"):
        EventIds(opened(Broken=broken), "Broken")


def test_what_is_no_table_is_told_as_what_it_is(tmp_path, opened):
    with pytest.raises(
        DataError, match=r"'Labels' is an array of shape \(8, 7\) and type float64 without named columns"
    ):
        opened(Labels=np.zeros((8, 7))).read("Labels")
    path = tmp_path / "groups.hdf5"
    with h5py.File(path, "w") as file:
        file["Columns/x"] = np.zeros(3)
        file["Frame/axis0"] = np.zeros(3)
        file["Frame/block0_values"] = np.zeros((3, 2))
        nested = np.zeros(3, [("Run", "<i4"), ("Event", "<i4"), ("x", "<f8", (3,)), ("name", "S8")])
        file["Nested"] = nested
    with TableFile(path) as file:
        with pytest.raises(
            DataError, match="'Columns' is a group with x inside; expected one dataset with named columns"
        ):
            file.read("Columns")
        with pytest.raises(DataError, match="'Frame' is a group that pandas wrote .*to_records"):
            file.read("Frame")
        with pytest.raises(DataError, match="table 'Column' is missing; found Nested and the groups Columns, Frame"):
            file.read("Column")
        for column in ("x", "name"):
            with pytest.raises(DataError, match=f"column '{column}' of table 'Nested' holds .* expected one number"):
                file.read("Nested", (column,))
    with pytest.raises(DataError, match="is a directory"), TableFile(tmp_path):
        pass


def test_a_missing_compression_filter_is_no_damage(tmp_path):
    path = tmp_path / "f.hdf5"
    with h5py.File(path, "w") as file:
        # A chunk as a filter of a number that nobody has would have written it.
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(40001, h5py.h5z.FLAG_OPTIONAL, (3,))
        kind = np.dtype([("Run", "<i4"), ("Event", "<i4")])
        space = h5py.h5s.create_simple((4,))
        data = h5py.h5d.create(file.id, b"Pulses", h5py.h5t.py_create(kind), space, plist)
        data.write_direct_chunk((0,), b"\x28\xb5\x2f\xfd" + bytes(8))
    with (
        TableFile(path) as file,
        pytest.raises(DataError, match="is compressed with .*number 40001.*pip install hdf5plugin"),
    ):
        file.read("Pulses")


def test_a_width_in_the_place_of_a_stop_time_is_told(tmp_path, loaded_detector):
    """tableio books windows as pulses with the stop time in 'width'; a table with widths would exclude nothing, or all."""
    modules = {"string": np.array([1, 1], "<i4"), "om": np.array([1, 2], "<u4")}
    pulses = rows_of(np.array([0, 1]), **modules, time=np.array([900.0, 2100.0]), charge=np.ones(2))
    data = {"pulse_key": "Pulses", "event_id_key": "Labels", "time_exclusions_key": "W"}
    handler = DataHandlerSettings(data_settings=data, label_settings={"label_key": "Labels"})

    def read(**columns):
        with h5py.File(tmp_path / "f.hdf5", "w") as file:
            file["Labels"] = rows_of(np.array([0, 1]), **{name: np.ones(2) for name in LABELS})
            file["Pulses"], file["W"] = pulses, rows_of(np.array([0, 1]), **modules, **columns)
        return read_event_file(tmp_path / "f.hdf5", handler, loaded_detector)

    time, stop = np.array([1000.0, 2000.0]), np.array([1200.0, 2200.0])
    assert read(time=time, width=stop).packed.dropped == read(start=time, stop=stop).packed.dropped == 1
    assert read(start_time=time, stop_time=stop).packed.dropped == 1  # as tableio books an I3TimeWindowSeriesMap
    with pytest.raises(DataError, match="'width' is before 'time', expected the time at which the window stops"):
        read(time=time, width=stop - time)
    with pytest.raises(DataError, match="has the columns .*begin, end; expected start and stop, or start_time and"):
        read(begin=time, end=stop)
