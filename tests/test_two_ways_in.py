"""An event from a file and the same event from arrays are the same event, to all bits, whatever is excluded."""

import pickle

import h5py
import jax
import numpy as np
import pytest
from test_event_file import rows_of

from evgen_jax.config.records import DataHandlerSettings, LabelSettings
from evgen_jax.data.batches import make_batch
from evgen_jax.data.detector_match import compare_with_detector, scatter_of_light
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.protocol import MissingTable
from evgen_jax.data.writer import write_events
from evgen_jax.errors import DataError
from evgen_jax.measurement.detector import LabelRange, load_detector
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.measured import Measured, with_merged_windows, without_pulses_in_windows
from evgen_jax.measurement.ragged import Rows
from evgen_jax.reconstruction.uncertainty.goodness_of_fit import without_unusable_pulses

LABELS = ("cascade_x", "cascade_y", "cascade_z", "cascade_zenith", "cascade_azimuth", "cascade_energy", "cascade_t")
EVENTS = 12


def settings(**data):
    return DataHandlerSettings(
        data_settings={
            "pulse_key": "Pulses",
            "event_id_key": "Labels",
            "dom_exclusions_key": "Excluded",
            "time_exclusions_key": "Windows",
            **data,
        },
        label_settings={"label_key": "Labels"},
    )


def random_tables(detector, seed):
    """Pulses, excluded modules and windows (some of no length, some that overlap) of a few events, as a file holds them."""
    rng = np.random.default_rng(seed)
    string, om = np.asarray(detector.string), np.asarray(detector.om)

    def modules(size):
        dom = rng.integers(0, 20, size)  # few modules: many pulses, windows and exclusions meet
        return {"string": string[dom], "om": om[dom]}

    event = np.sort(rng.integers(0, EVENTS - 1, 400))  # the last event sees nothing
    start = rng.uniform(9000, 12000, 60)
    length = rng.choice([0.0, 50.0, 400.0], 60)
    excluded, windows = np.sort(rng.integers(0, EVENTS, 25)), rng.integers(0, EVENTS, 60)
    times = np.round(rng.uniform(9000, 12500, 400))
    start[:10] = times[:10]  # windows that begin at a pulse
    return {
        "Pulses": rows_of(event, **modules(400), time=times, charge=rng.uniform(0, 3, 400)),
        "Labels": rows_of(np.arange(EVENTS), **{name: rng.uniform(1, 2, EVENTS) for name in LABELS}),
        "Excluded": rows_of(excluded, **modules(25)),
        "Windows": rows_of(windows, **modules(60), start=start, stop=start + length),
        "Readout": rows_of(np.arange(EVENTS), start=np.full(EVENTS, 8000.0), stop=np.full(EVENTS, 13000.0)),
    }


def write(path, tables):
    with h5py.File(path, "w") as file:
        for name, rows in tables.items():
            file[name] = rows
    return path


def from_arrays(tables, number, detector, **more):
    own = {name: rows[rows["Event"] == number] for name, rows in tables.items()}
    pulses, windows, excluded = own["Pulses"], own["Windows"], own["Excluded"]
    return Event.from_pulses(
        pulses["charge"],
        pulses["time"],
        pulses["string"],
        pulses["om"],
        detector=detector,
        excluded_doms=list(zip(excluded["string"], excluded["om"], strict=True)),
        excluded_windows=[tuple(w) for w in windows[["string", "om", "start", "stop"]].tolist()],
        **more,
    )


@pytest.mark.parametrize("discard", [False, True])
@pytest.mark.parametrize("with_readout", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_files_and_arrays_give_the_same_events(loaded_detector, tmp_path, seed, with_readout, discard):
    tables = random_tables(loaded_detector, seed)
    key = {"readout_window_key": "Readout"} if with_readout else {}
    file = read_event_file(
        write(tmp_path / "f.hdf5", tables), settings(discard_pulses_from_excluded_doms=discard, **key), loaded_detector
    )
    more = {"readout": (8000.0, 13000.0)} if with_readout else {}
    for i in range(EVENTS):
        jax.tree.map(
            np.testing.assert_array_equal,
            file.event(i),
            from_arrays(tables, i, loaded_detector, discard_excluded=discard, **more),
        )
        assert not file.event(i).usable[5]  # unusable in the detector's table
    # The default of both is one.
    default = read_event_file(tmp_path / "f.hdf5", settings(**key), loaded_detector)
    jax.tree.map(np.testing.assert_array_equal, default.event(0), from_arrays(tables, 0, loaded_detector, **more))


@pytest.mark.parametrize("seed", range(20))
def test_windows_against_a_loop_over_all(seed):
    rng = np.random.default_rng(seed)
    count, doms = 300, 4
    pulses = [
        rng.integers(0, 3, count),
        rng.integers(0, doms, count),
        np.ones(count),
        np.round(rng.uniform(0, 100, count)),
    ]
    start = np.round(rng.uniform(0, 100, 25))
    window = np.stack([start, start + rng.choice([0, 3, 20], 25)], axis=1)
    which = [rng.integers(0, 3, 25), rng.integers(0, doms, 25)]
    rows = Rows(*pulses[:2], {"charge": pulses[2], "time": pulses[3]})
    measured = Measured(3, rows, windows=Rows(*which, {"start": window[:, 0], "stop": window[:, 1]}))
    merged = with_merged_windows(measured, doms)
    kept, dropped = without_pulses_in_windows(merged, doms)
    inside = np.zeros(count, bool)
    for event, dom, (a, b) in zip(*which, window, strict=True):
        inside |= (pulses[0] == event) & (pulses[1] == dom) & (pulses[3] >= a) & (pulses[3] <= b)
    np.testing.assert_array_equal(kept.pulses["time"], pulses[3][~inside])
    assert dropped == inside.sum() > 0
    # Merged windows cover the same times and nothing twice.
    grid = np.arange(0, 130, 0.5)
    for event in range(3):
        for dom in range(doms):

            def covered(events, modules, windows, e=event, d=dom):
                own = windows[(events == e) & (modules == d)]
                return np.sum([(grid >= a) & (grid <= b) for a, b in own], axis=0) if len(own) else np.zeros(len(grid))

            once = covered(
                merged.windows.event,
                merged.windows.dom,
                np.stack([merged.windows["start"], merged.windows["stop"]], axis=1),
            )
            np.testing.assert_array_equal(once, covered(*which, window) > 0)


@pytest.mark.parametrize("offset", [1e5, 1e8, 1e12])
def test_times_are_counted_from_the_begin_of_the_readout(loaded_detector, tmp_path, offset):
    """Adding one number to all times changes no bit of a batch."""
    tables = random_tables(loaded_detector, 0)
    early = {name: rows.copy() for name, rows in tables.items()}
    for rows in early.values():  # the begin of the readout is 0: anchored or not, the numbers are the same
        for name in {"time", "start", "stop", "cascade_t"} & set(rows.dtype.names):
            rows[name] = np.round(rows[name]) - 8000.0
    late = {name: rows.copy() for name, rows in early.items()}
    for rows in late.values():
        for name in {"time", "start", "stop", "cascade_t"} & set(rows.dtype.names):
            rows[name] += offset
    key = settings(readout_window_key="Readout")
    batches = []
    for i, own in enumerate((early, late)):
        file = read_event_file(write(tmp_path / f"{i}.hdf5", own), key, loaded_detector)
        batches.append(make_batch([(file, k) for k in range(EVENTS)], np.arange(EVENTS)))
    jax.tree.map(np.testing.assert_array_equal, batches[0].events, batches[1].events)
    np.testing.assert_array_equal(batches[0].labels, batches[1].labels)
    assert batches[1].labels[:, 6].max() < 2e4

    names = key.model_copy(
        update={
            "label_module": "GeneralLabelModule",
            "label_settings": key.label_settings.model_copy(update={"parameter_names": ("cascade_x", "when")}),
        }
    )
    late["Labels"] = rows_of(np.arange(EVENTS), cascade_x=np.zeros(EVENTS), when=np.full(EVENTS, offset))
    file = read_event_file(write(tmp_path / "2.hdf5", late), names, loaded_detector)
    with pytest.raises(DataError, match="do not tell which of them are times"):
        file.relative_labels()


def test_modules_that_the_detector_ignores_are_counted(loaded_detector, tmp_path):
    tables = random_tables(loaded_detector, 1)
    tables["Pulses"]["om"][:7] = 61
    path = write(tmp_path / "f.hdf5", tables)
    with pytest.raises(DataError, match="om 61.*does not know"):
        read_event_file(path, settings(), loaded_detector)
    surface = loaded_detector.replace(ignored=(LabelRange(1, 9, 61, 66),))
    file = read_event_file(path, settings(), surface)
    assert file.ignored == 7 and "7 pulses at modules that the detector ignores" in file.notes()
    jax.tree.map(np.testing.assert_array_equal, file.event(0), from_arrays(tables, 0, surface))
    surface.to_csv(tmp_path / "surface.csv")
    assert load_detector(tmp_path / "surface.csv").ignored == surface.ignored
    assert load_detector().ignored == (LabelRange(1, 86, 61, 66),)


def test_files_belong_to_a_detector(loaded_detector, tmp_path):
    tables = random_tables(loaded_detector, 2)
    pulses = {name: tables["Pulses"][name] for name in ("string", "om", "time", "charge")} | {
        "event": tables["Pulses"]["Event"]
    }
    labels = {"Labels": {name: tables["Labels"][name] for name in LABELS}}
    write_events(tmp_path / "f.hdf5", 1, EVENTS, pulses, labels, pulse_key="Pulses", detector=loaded_detector)
    plain = settings(dom_exclusions_key=None, time_exclusions_key=None)
    assert read_event_file(tmp_path / "f.hdf5", plain, loaded_detector).fingerprinted
    # Efficiencies and dead modules may change from run to run, positions may not.
    aged = loaded_detector.replace(relative_efficiency=loaded_detector.relative_efficiency * np.float32(0.9))
    assert read_event_file(tmp_path / "f.hdf5", plain, aged).fingerprinted
    moved = loaded_detector.replace(position=loaded_detector.position + np.float32(1), name="other")
    with pytest.raises(DataError, match="detector 'small', whose modules or positions are not those of 'other'"):
        read_event_file(tmp_path / "f.hdf5", plain, moved)
    assert not read_event_file(write(tmp_path / "g.hdf5", tables), settings(), moved).fingerprinted


def test_light_tells_another_detector_where_the_file_does_not(experiment, loaded_detector, tmp_path, caplog):
    """Few modules, but the order of the strings shows: modules of another numbering scatter the light."""
    from evgen_jax.config.validate import load_config

    handler = load_config(experiment / "config.yaml").data_handler_settings
    with h5py.File(experiment / "events" / "small_000000.hdf5") as old, h5py.File(tmp_path / "f.hdf5", "w") as new:
        for name, table in old.items():
            if isinstance(table, h5py.Dataset):
                new[name] = table[:]
    file = read_event_file(tmp_path / "f.hdf5", handler, loaded_detector)
    assert not file.fingerprinted and 0.8 < scatter_of_light(file, loaded_detector)[0] < 0.92
    for _ in range(2):
        compare_with_detector(file, loaded_detector)
    assert caplog.text.count("do not say which detector they belong to") == 1 and "do not stand" not in caplog.text
    mixed = loaded_detector.replace(position=np.random.default_rng(0).permutation(loaded_detector.position))
    compare_with_detector(read_event_file(tmp_path / "f.hdf5", handler, mixed), mixed)
    assert (
        "bright modules do not stand nearer to each other" in caplog.text and "light seems to spread" not in caplog.text
    )


def test_light_faster_than_light_is_told(experiment, loaded_detector, tmp_path, caplog):
    """A file that is wholly in microseconds agrees with itself: labels, readouts and pulses."""
    from evgen_jax.config.validate import load_config

    handler = load_config(experiment / "config.yaml").data_handler_settings
    with h5py.File(experiment / "events" / "small_000000.hdf5") as old, h5py.File(tmp_path / "f.hdf5", "w") as new:
        for name, table in old.items():
            if not isinstance(table, h5py.Dataset):
                continue
            rows = table[:]
            for column in {"time", "value", "cascade_time", "cascade_t"} & set(rows.dtype.names):
                rows[column] /= 1e3
            new[name] = rows
    compare_with_detector(read_event_file(tmp_path / "f.hdf5", handler, loaded_detector), loaded_detector)
    assert "light seems to spread at" in caplog.text and "are the times of pulses in us" in caplog.text


def test_goodness_of_fit_sees_usable_modules_alone(loaded_detector):
    """Whatever the fit does with arrival times at excluded modules, measured and simulated events are treated alike."""
    tables = random_tables(loaded_detector, 3)
    kept, dropped = (from_arrays(tables, 2, loaded_detector, discard_excluded=d) for d in (False, True))
    assert kept.pulses.mask.sum() > dropped.pulses.mask.sum()
    jax.tree.map(np.testing.assert_array_equal, without_unusable_pulses(kept), dropped)


def test_a_missing_table_is_told_with_its_key(loaded_detector, tmp_path):
    tables = random_tables(loaded_detector, 1)
    path = write(tmp_path / "f.hdf5", tables)
    for key in ("event_id_key", "pulse_key"):
        with pytest.raises(DataError, match=f"table 'Nothing' is missing; found .* It is that of data_settings.{key}"):
            read_event_file(path, settings(**{key: "Nothing"}), loaded_detector)
    named = settings().model_copy(update={"label_settings": LabelSettings(label_key="Labls")})
    with pytest.raises(DataError, match=r"Did you mean 'Labels'\? It is that of label_settings.label_key\."):
        read_event_file(path, named, loaded_detector)
    own = pickle.loads(pickle.dumps(MissingTable("Labels", "is missing")))  # as processes of readers hand it over
    assert own.table == "Labels" and str(own) == "is missing"
    names = ["chrge" if name == "charge" else name for name in tables["Pulses"].dtype.names]
    tables["Pulses"].dtype.names = tuple(names)
    with pytest.raises(DataError, match="has no column 'charge'; .* The nearest name is 'chrge'"):
        read_event_file(write(tmp_path / "g.hdf5", tables), settings(), loaded_detector)
