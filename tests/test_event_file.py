"""What a user can ask of the reader: selections, exclusions, seeds, tables in another order of events."""

import shutil

import h5py
import numpy as np
import pytest

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.config.validate import load_config, validate
from evgen_jax.data.event_file import read_event_file
from evgen_jax.errors import DataError

ID = [("Run", "<u4"), ("Event", "<u4"), ("SubEvent", "<u4"), ("SubEventStream", "<i4"), ("exists", "u1")]


@pytest.fixture
def path(experiment, tmp_path):
    return shutil.copy(experiment / "events" / "small_000000.hdf5", tmp_path / "events.hdf5")


@pytest.fixture
def read(experiment, path, loaded_detector):
    """Reads with some settings of the data handler changed, given as nested dictionaries."""
    plain = load_config(experiment / "config.yaml").data_handler_settings.model_dump(mode="json")

    def run(changes=None, **more):
        settings = {k: {**v, **(changes or {}).get(k, {})} if isinstance(v, dict) else v for k, v in plain.items()}
        return read_event_file(path, validate(DataHandlerSettings, settings, "test"), loaded_detector, **more)

    return run


def rows_of(events, **columns):
    kinds = {"string": "<i4", "om": "<u4", "vector_index": "<u8"}
    rows = np.zeros(len(events), ID + [(name, kinds.get(name, "<f8")) for name in columns])
    rows["Run"], rows["Event"], rows["exists"] = 1, events, 1
    for name, values in columns.items():
        rows[name] = values
    return rows


def test_selections_by_column_and_by_place_in_a_vector(read, path):
    energy = read().labels[:, 5]
    chosen = read({"filter_settings": {"constraints": [["LabelsMCCascade", "cascade_energy", ">", 1500.0]]}})
    np.testing.assert_array_equal(chosen.labels[:, 5], energy[energy > 1500])
    both = read(
        {
            "filter_settings": {
                "constraints": [
                    ["LabelsMCCascade", "cascade_energy", ">", 1500.0],
                    ["LabelsMCCascade", "cascade_z", "<=", 0.0],
                ]
            }
        }
    )
    assert 0 < len(both) < len(chosen) and np.all(both.labels[:, 2] <= 0)
    for i in range(len(both)):  # pulses stay with their event
        original = next(k for k in range(20) if np.array_equal(read().labels[k], both.labels[i]))
        np.testing.assert_array_equal(both.event(i).charge, read().event(original).charge)
    with h5py.File(path, "r+") as file:
        events = np.repeat(np.arange(20), 2)
        file["Scores"] = rows_of(events, vector_index=np.tile([0, 1], 20), item=np.where(events % 5 == 0, 1.0, 0.0))
    assert len(read({"filter_settings": {"constraints": [["Scores", 1, "==", 1.0]]}})) == 4
    with pytest.raises(DataError, match=r"Scores.1: '=>' is none of <, >"):
        read({"filter_settings": {"constraints": [["Scores", 1, "=>", 1.0]]}})


@pytest.mark.parametrize("stop_column", ["width", "stop"])
def test_excluded_time_windows(read, path, stop_column):
    """The stop time stands in the column 'width' where IceCube's writer books windows as pulses."""
    start_column = "start" if stop_column == "stop" else "time"
    with h5py.File(path, "r+") as file:
        pulses = file["MCPulses"][:]
        own = pulses[pulses["Event"] == 3]
        string, om = own[0]["string"], own[0]["om"]
        file["TimeExclusions"] = rows_of(
            [3, 3],
            string=[string, string],
            om=[om, om],
            **{start_column: [30000.0, 40000.0], stop_column: [30500.0, 40500.0]},
        )
    file = read({"data_settings": {"time_exclusions_key": "TimeExclusions"}})
    event = file.event(3)
    assert event.windows.mask.sum() == 2 and file.event(2).windows.mask.sum() == 0
    np.testing.assert_array_equal(event.windows.start[event.windows.mask], [30000.0, 40000.0])
    np.testing.assert_array_equal(event.windows.stop[event.windows.mask], [30500.0, 40500.0])
    dom = event.active[event.windows.slot[event.windows.mask]]
    assert len(set(dom)) == 1 and event.charge[dom[0]] > 0
    with h5py.File(path, "r+") as file:
        rows = file["TimeExclusions"][:]
        rows[stop_column][1] = 39000.0
        file["TimeExclusions"][:] = rows
    assert (
        "must not stop before they start"
        in read({"data_settings": {"time_exclusions_key": "TimeExclusions"}}).faults[3]
    )


def test_pulses_at_excluded_doms(read, path):
    with h5py.File(path, "r+") as file:
        pulses = file["MCPulses"][:]
        own = pulses[pulses["Event"] == 3][-1]
        file["BrightDOMs"] = rows_of([3], vector_index=[0], string=[own["string"]], om=[own["om"]])
    kept = read({"data_settings": {"dom_exclusions_key": "BrightDOMs"}}).event(3)
    dead = {5}  # unusable in the detector's own table
    dropped = read(
        {"data_settings": {"dom_exclusions_key": "BrightDOMs", "discard_pulses_from_excluded_doms": True}}
    ).event(3)
    (dom,) = set(np.flatnonzero(~kept.usable)) - dead
    at_dom = np.asarray(kept.active)[kept.pulses.slot] == dom
    assert kept.pulses.mask[at_dom].any() and not dropped.pulses.mask[at_dom].any()
    # The charge of the module is kept, the losses leave the module out.
    np.testing.assert_array_equal(kept.charge, dropped.charge)


def test_readout_window_and_quantiles(read):
    event = read({"data_settings": {"readout_window_key": None, "time_window_buffer": 50.0}}).event(0)
    times = event.pulses.time[event.pulses.mask]
    np.testing.assert_allclose(event.readout, [times.min() - 50, times.max() + 50])
    np.testing.assert_allclose(read().event(0).readout, [0.0, 20000.0])
    quantile, slot = event.pulses.quantile[event.pulses.mask], event.pulses.slot[event.pulses.mask]
    assert np.all((quantile > 0) & (quantile <= 1 + 1e-6))
    last = np.append(slot[1:] != slot[:-1], True)
    np.testing.assert_allclose(quantile[last], 1, rtol=1e-6)


def test_tables_are_joined_by_event_and_not_by_place(read, path):
    labels, seeds = read().labels, read(seed_names=("SmearedSeed",), seed_columns=("x", "energy")).seeds["SmearedSeed"]
    rng = np.random.default_rng(0)
    with h5py.File(path, "r+") as file:
        for name in ("SmearedSeed", "ReadoutWindow"):
            file[name][:] = rng.permutation(file[name][:])
        rows = file["LabelsMCCascade"][:]
        rows["exists"][4] = 0  # a filler row is no event
        file["LabelsMCCascade"][:] = rng.permutation(rows)
    again = read(seed_names=("SmearedSeed",), seed_columns=("x", "energy"))
    assert len(again) == 19
    order = again.ids[:, 1]
    assert 4 not in order
    np.testing.assert_array_equal(again.labels, labels[order])
    np.testing.assert_array_equal(again.seeds["SmearedSeed"], seeds[order])


def test_seed_columns_with_defaults(read):
    file = read(seed_names=("SmearedSeed",), seed_columns=("x", "Absorption"), seed_defaults={"Absorption": 1.0})
    np.testing.assert_array_equal(file.seeds["SmearedSeed"][:, 1], 1.0)
    with pytest.raises(DataError, match="table 'SmearedSeed' has no column 'Absorption'"):
        read(seed_names=("SmearedSeed",), seed_columns=("x", "Absorption"))
