"""docs/data_layout.md: its example runs, and the columns that it names are those of the file, to the last one."""

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax.config.records import DataHandlerSettings, FormatSettings
from evgen_jax.data.event_file import read_event_file
from evgen_jax.errors import DataError
from evgen_jax.report.inventory import inventory

PAGE = (Path(__file__).parent.parent / "docs" / "data_layout.md").read_text()
SECTIONS = {"Pulses": "Pulses", "BrightModules": "Modules that take no part", "Saturated": "Time windows that take no part",
            "ReadoutWindow": "Readout windows", "LabelsDeepLearning": "Labels", "MySeed": "Seeds"}  # fmt: skip


def columns_of(text):
    """Columns of the first table of a text, with their types."""
    rows = re.findall(r"^\| (`[^|]*`) \| (\w+) \|", text, re.MULTILINE)
    end = re.search(r"\n\n(?=[^|])", text[text.index("|---") :]).start() + text.index("|---")
    rows = [(names, kind) for names, kind in rows if text.index(f"| {names} |") < end]
    return {name: kind for names, kind in rows for name in re.findall(r"`(\w+)`", names)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("layout")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        names = {}
        exec(code, names)  # noqa: S102 (the example itself)
    return directory / "events.hdf5", names


def test_the_page_names_every_column_with_its_type(written):
    path, _ = written
    ids = columns_of(PAGE[PAGE.index("## The tables of a file") :])
    assert list(ids) == ["Run", "Event", "SubEvent", "SubEventStream", "exists"]
    with h5py.File(path) as file:
        assert set(SECTIONS) == {name for name, data in file.items() if isinstance(data, h5py.Dataset)}
        for name, title in SECTIONS.items():
            told = ids | columns_of(PAGE[PAGE.index(f"**{title}**") :])
            kind = file[name].dtype
            assert {column: kind[column].str[1:] for column in kind.names} == told, name
        assert set(file["__I3Index__"]) == set(SECTIONS)
        assert all(f"`{key}`" in PAGE for key in file.attrs)


def test_the_example_is_read_back(written):
    path, names = written
    data = {
        "pulse_key": "Pulses",
        "dom_exclusions_key": "BrightModules",
        "time_exclusions_key": "Saturated",
        "readout_window_key": "ReadoutWindow",
    }
    detector = names["detector"]
    file = read_event_file(
        path, DataHandlerSettings(data_settings=data), detector, seed_names=("MySeed",), seed_columns=("x", "energy")
    )
    assert file.ids[:, :2].tolist() == [[138001, 17], [138001, 18], [138002, 17]] and file.fingerprinted
    np.testing.assert_array_equal(file.labels, np.array(list(names["labels"].values())).T)
    np.testing.assert_array_equal(file.seeds["MySeed"][:, 0], [40.0, 30.0, -240.0])
    np.testing.assert_array_equal(file.packed.readout, [[8000.0, 14000.0]] * 3)
    event = file.event(0)
    bright = detector.dom_index(np.array([35]), np.array([22]))[0]
    assert not event.usable[bright] and event.usable.sum() == np.sum(detector.usable) - 1
    assert file.packed.dropped == 0 and len(file.packed.windows["start"]) == 1
    assert inventory(path, DataHandlerSettings(data_settings={"time_exclusions_key": None})).for_training == ""


def test_the_page_names_every_key_of_formats():
    for key in FormatSettings.model_fields:
        assert f"`{key}`" in PAGE, key


PULSES = {"event": [0, 1], "string": [1, 2], "om": [1, 2], "time": [1.0, 2.0], "charge": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pulses": {**PULSES, "time": [1.0]}}, "pulses: 'time' has 1 values, 'event' has 2; expected equally many"),
        ({"pulses": {k: v for k, v in PULSES.items() if k != "charge"}}, "the column 'charge' is missing"),
        ({"pulses": {**PULSES, "event": [0, 5]}}, "'event' is 5, but there are 2 events"),
        ({"pulses": {**PULSES, "om": [1, 1.5]}}, "'om' must hold whole numbers from 0"),
        ({"pulses": {**PULSES, "string": [1, 77]}}, r"the module \(string 77, om 2\) is none of the detector 'small'"),
        ({"pulses": {**PULSES, "time": ["a", "b"]}}, "'time' must be a list of numbers"),
        ({"pulses": {**PULSES, "charge": [1.0, -1.0]}}, "'charge' is -1.0 in row 1 of 2; expected finite charges >= 0"),
        ({"pulses": {**PULSES, "time": [np.nan, 1.0]}}, "'time' is nan in row 0 of 2; expected finite times, ns"),
        ({"pulses": {**PULSES, "chrge": [1.0, 1.0]}}, "'chrge' is no column of pulses.*Did you mean 'charge'"),
        ({"labels": {"cascade_zenith": [1.0, 90.0]}}, r"'cascade_zenith' is 90.0; expected an angle in \[0, pi\]"),
        ({"labels": {"cascade_energy": [1.0, -5.0]}}, "'cascade_energy' is -5.0; expected an energy >= 0"),
        ({"labels": {"cascade_x": [1.0, 2.0, 3.0]}}, "LabelsDeepLearning' has 3 events, run has 2"),
        ({"run": [1, 1], "event_ids": [4, 4]}, "run 1, event 4 is given 2 times"),
        ({"event_ids": [1, 2**33]}, "event_ids: expected whole numbers from 0 to 4294967295"),
        ({"run": [0.5, 1.5]}, "run: expected whole numbers"),
        ({"module_tables": {"Bright": {"event": [0], "string": [1]}}}, "Bright: the column 'om' is missing"),
    ],
)
def test_what_cannot_be_written_is_one_message(loaded_detector, tmp_path, change, expected):
    given = {"pulses": PULSES, "run": [1, 1], **change}
    with pytest.raises(DataError, match=expected):
        eg.data.write_events(tmp_path / "f.hdf5", detector=loaded_detector, **given)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(DataError, match="the folder .*none does not exist. Make it first"):
        eg.data.write_events(tmp_path / "none" / "f.hdf5", pulses=PULSES)


def test_pulses_alone_are_enough(loaded_detector, tmp_path):
    eg.data.write_events(tmp_path / "f.hdf5", pulses=PULSES, detector=loaded_detector)
    with h5py.File(tmp_path / "f.hdf5") as file:
        assert file["Pulses"]["Event"].tolist() == [0, 1] and file["Pulses"]["Run"].tolist() == [1, 1]
    file = read_event_file(tmp_path / "f.hdf5", None, loaded_detector, labels=False)
    assert len(file) == 2 and file.event(1).charge.sum() == 1


def test_labels_are_told_by_their_columns_where_parameters_are_given(loaded_detector, tmp_path):
    path, model = tmp_path / "f.hdf5", eg.load_model("demo")
    names = model.parameter_names
    values = {name: np.array([0.25, 0.5]) + 0.125 * i for i, name in enumerate(names)}
    eg.data.write_events(path, pulses=PULSES, detector=loaded_detector, labels=values)
    with h5py.File(path, "a") as file:
        file.move("LabelsDeepLearning", "MyTruth")
    file = read_event_file(path, None, loaded_detector, parameters=model.parameters)
    np.testing.assert_array_equal(file.relative_labels(), np.stack(list(values.values()), axis=1))
    with pytest.raises(DataError, match="LabelsDeepLearning"):
        read_event_file(path, None, loaded_detector)


def test_an_event_whose_pulses_are_outside_its_readout_is_refused(loaded_detector):
    one = {"charge": [1.0], "time": [9000.0], "string": [1], "om": [1]}
    with pytest.raises(
        DataError, match="no pulse within its readout window from 0 to 5000 ns; the first of its 1 is at 9000 ns"
    ):
        eg.Event.from_pulses(*one.values(), detector=loaded_detector, readout=(0.0, 5000.0))
    assert eg.Event.from_pulses(*one.values(), detector=loaded_detector, readout=(0.0, 9000.0)).charge.sum() == 1


def test_events_of_a_file_outside_their_readout_cannot_be_used(loaded_detector, tmp_path):
    """The first event has its pulse within its window, the second has none there."""
    path = tmp_path / "f.hdf5"
    eg.data.write_events(path, pulses=PULSES, detector=loaded_detector)
    with h5py.File(path, "a") as file:
        pulses = file["Pulses"][:]
        windows = np.zeros(2, [("Run", "i8"), ("Event", "i8"), ("start", "f8"), ("stop", "f8")])
        windows["Run"], windows["Event"] = 1, [0, 1]
        for i in (0, 1):
            own = pulses["time"][pulses["Event"] == i]
            windows["start"][i], windows["stop"][i] = own.min() - 10, own.max() + 10
        windows["start"][1] += 1e6
        windows["stop"][1] += 1e6
        file["ReadoutWindow"] = windows
    names = {"pulse_key": "Pulses", "event_id_key": "ReadoutWindow", "readout_window_key": "ReadoutWindow"}
    file = read_event_file(path, DataHandlerSettings(data_settings=names), loaded_detector, labels=False)
    assert list(file.faults) == [1] and "no pulse within its readout window" in file.faults[1]
