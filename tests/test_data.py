"""Files as IceCube writes them, and what happens with files that are not."""

import h5py
import jax
import numpy as np
import pytest
from conftest import full_disk

from evgen_jax.building.experiment import open_stream
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import BatchStream, Position, files_as_given, find_files
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.writer import write_events
from evgen_jax.errors import ConfigError, DataError, TrafoError
from evgen_jax.hypothesis.trafo import fit_trafo, load_trafo
from evgen_jax.measurement.event import Event


@pytest.fixture(scope="module")
def config(experiment):
    return load_config(experiment / "config.yaml")


def test_written_files_are_read_back(experiment, config, loaded_detector):
    path = experiment / "events" / "small_000000.hdf5"
    file = read_event_file(path, config.data_handler_settings, loaded_detector)
    assert len(file) == 20
    with h5py.File(path) as raw:
        assert "photon transport" in raw.attrs["provenance"]
        rows = raw["MCPulses"][:]
        assert raw["__I3Index__"]["MCPulses"]["stop"][-1] == len(rows)
        np.testing.assert_allclose(file.labels[:, 5], raw["LabelsMCCascade"]["cascade_energy"])
    total = sum(file.event(i).charge.sum() for i in range(20))
    assert total == pytest.approx(rows["charge"].sum(), rel=1e-5)
    assert not file.event(3).usable[5] and file.event(3).usable.sum() == 107


def test_a_full_disk_leaves_no_half_written_events(tmp_path):
    rng, count = np.random.default_rng(1), 5000
    pulses = {
        "event": np.zeros(count, int),
        "string": np.ones(count, int),
        "om": np.ones(count, int),
        "time": rng.random(count),
        "charge": rng.random(count),
    }
    with pytest.raises(OSError, match=r"File too large: .*events.hdf5'"), full_disk():
        write_events(tmp_path / "events.hdf5", 1, 1, pulses, {}, pulse_key="pulses")
    assert list(tmp_path.iterdir()) == []
    write_events(tmp_path / "events.hdf5", 1, 1, pulses, {}, pulse_key="pulses")
    with h5py.File(tmp_path / "events.hdf5") as file:
        np.testing.assert_array_equal(file["pulses"]["time"], np.sort(pulses["time"]))


@pytest.mark.parametrize("jobs", [0, 2])
def test_stream_is_deterministic_and_resumes(config, loaded_detector, jobs):
    iterators = config.data_iterator_settings
    training = iterators.training.model_copy(update={"num_jobs": jobs, "num_add_files": 0})
    changed = config.model_copy(update={"data_iterator_settings": iterators.model_copy(update={"training": training})})
    stream = open_stream(changed, "training", loaded_detector)
    seen = []
    for _ in range(45):  # two passes over the files and a bit
        batch = next(stream)
        seen.append((batch.labels, stream.position))
    stream.close()
    assert stream.position.epoch > 0
    assert isinstance(seen[0][1], Position)
    # From the middle of an epoch, and from the last batch of one.
    last = next(i for i in range(1, len(seen) - 1) if seen[i + 1][1].epoch > seen[i][1].epoch > 0)
    for start in (11, last) if jobs == 0 else (last,):
        resumed = open_stream(changed, "training", loaded_detector, seen[start][1])
        for labels, position in seen[start + 1 :]:
            np.testing.assert_array_equal(next(resumed).labels, labels)
            assert resumed.position == position
        resumed.close()


def damaged(path, tmp_path, change):
    import shutil

    target = tmp_path / path.name
    shutil.copy(path, target)
    with h5py.File(target, "r+") as file:
        change(file)
    return target


def set_value(table, column, value, rows=0):
    places = rows

    def change(file):
        rows = file[table][:]
        rows[column][places] = value
        file[table][:] = rows

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.__delitem__("MCPulses"), "table 'MCPulses' is missing"),
        (set_value("MCPulses", "string", 77), "string 77"),
        (
            set_value("LabelsMCCascade", "cascade_energy", -5.0, rows=slice(0, 12)),
            "expected an energy >= 0 GeV .so in 12 of 20",
        ),
        (set_value("LabelsMCCascade", "cascade_zenith", 54.0, rows=slice(0, 12)), r"expected an angle in \[0, pi\]"),
    ],
)
def test_bad_files_are_named(experiment, config, loaded_detector, tmp_path, change, message):
    path = damaged(experiment / "events" / "small_000000.hdf5", tmp_path, change)
    with pytest.raises(DataError, match=message) as error:
        read_event_file(path, config.data_handler_settings, loaded_detector)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("MCPulses", "charge", -1.0, "charges must be finite and not negative"),
        ("MCPulses", "charge", np.nan, "charges must be finite and not negative"),
        ("MCPulses", "time", np.inf, "times finite"),
        ("LabelsMCCascade", "cascade_energy", -5.0, "expected an energy >= 0"),
        ("LabelsMCCascade", "cascade_zenith", 4.0, r"expected an angle in \[0, pi\]"),
        ("LabelsMCCascade", "cascade_x", np.nan, "expected a finite number"),
        ("ReadoutWindow", "exists", 0, "has no readout window"),
        ("ReadoutWindow", "stop", -500.0, "must not stop before it starts"),
    ],
)
def test_one_odd_event_is_marked_and_the_others_are_read(
    experiment, config, loaded_detector, tmp_path, table, column, value, message
):
    original = experiment / "events" / "small_000000.hdf5"
    path = damaged(original, tmp_path, set_value(table, column, value))
    whole = read_event_file(original, config.data_handler_settings, loaded_detector)
    file = read_event_file(path, config.data_handler_settings, loaded_detector)
    (odd,) = file.faults  # the event of the table's first row
    assert len(file) == 20 and file.good == [i for i in range(20) if i != odd]
    assert f"1 of 20 events cannot be used (run 1, event {odd} has" in file.notes()
    with pytest.raises(DataError, match=message):
        file.event(odd)
    for i in file.good[::6]:
        jax.tree.map(np.testing.assert_array_equal, file.event(i), whole.event(i))
    with pytest.raises(DataError, match=message) as error:
        read_event_file(path, config.data_handler_settings, loaded_detector, strict=True)
    assert str(path) in str(error.value)
    # A stream leaves the event out.
    test = config.data_iterator_settings.test.model_copy(update={"input_data": (str(path),), "batch_size": 7})
    batches = list(BatchStream(test, config.data_handler_settings, loaded_detector, seed=1))
    assert sum(len(b.labels) for b in batches) == 19 and all(np.isfinite(b.labels).all() for b in batches)


def test_missing_exclusions_are_told(experiment, config, loaded_detector, caplog):
    data = config.data_handler_settings.data_settings.model_copy(update={"dom_exclusions_key": "NoSuchTable"})
    handler = config.data_handler_settings.model_copy(update={"data_settings": data})
    file = read_event_file(experiment / "events" / "small_000000.hdf5", handler, loaded_detector)
    assert file.event(0).usable.sum() == 107  # the detector's own table excludes one
    assert "table 'NoSuchTable' is missing in its files; no further DOM is excluded" in caplog.text


def test_truncated_and_foreign_files(config, experiment, loaded_detector, tmp_path):
    path = tmp_path / "cut.hdf5"
    path.write_bytes((experiment / "events" / "small_000000.hdf5").read_bytes()[:3000])
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        read_event_file(path, config.data_handler_settings, loaded_detector)
    with pytest.raises(DataError, match="no file matches"):
        find_files(str(tmp_path / "nothing*"))
    for name in "abc":
        (tmp_path / name).touch()
    given = [str(tmp_path / "c"), str(tmp_path / "[abc]"), str(tmp_path / "x" / ".." / "a")]
    (tmp_path / "x").mkdir()
    assert [path.name for path in files_as_given(given)] == ["c", "a", "b"]
    assert [path.name for path in find_files(given)] == ["a", "b", "c"]


def test_events_from_arrays(detector):
    event = Event.from_pulses([1, 2, 0.5], [10, 5, 7], [1, 1, 2], [1, 1, 3], detector=detector)
    assert event.charge[0] == 3 and event.charge[14] == 0.5
    np.testing.assert_array_equal(event.pulses.time[:3], [5, 10, 7])
    np.testing.assert_allclose(event.pulses.quantile[:3], [2 / 3, 1, 1])
    np.testing.assert_array_equal(event.pulses.first[:3], [True, False, True])
    assert tuple(event.readout) == (-95.0, 110.0)
    with pytest.raises(DataError, match="string 99, om 1"):
        Event.from_pulses([1], [1], [99], [1], detector=detector)
    with pytest.raises(DataError, match="charge nan"):
        Event.from_pulses([np.nan], [1], [1], [1], detector=detector)
    cut = Event.from_pulses([1, 1], [10, 50], [1, 1], [1, 1], detector=detector, excluded_windows=[(1, 1, 40, 60)])
    assert cut.charge[0] == 1 and cut.windows.mask.sum() == 1


def test_trafo(tmp_path):
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(5, 3, 1000), 10 ** rng.uniform(2, 5, 1000), np.ones(1000)], axis=1)
    trafo = fit_trafo(np.array_split(values, 7), ("x", "energy", "one"), (False, True, False))
    logged = np.stack([values[:, 0], np.log1p(values[:, 1]), values[:, 2]], axis=1)
    np.testing.assert_allclose(trafo.mean, logged.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(trafo.std[:2], logged.std(axis=0)[:2], rtol=1e-12)
    assert trafo.std[2] == 1
    back = trafo.inverse(trafo.transform(values.astype(np.float32)))
    np.testing.assert_allclose(back, values, rtol=1e-5, atol=1e-4)
    trafo.save(tmp_path / "t.json")
    assert load_trafo(tmp_path / "t.json", ("x", "energy", "one")) == trafo
    with pytest.raises(TrafoError, match="fitted for the parameters x, energy, one, but the model has a, b"):
        load_trafo(tmp_path / "t.json", ("a", "b"))
    with pytest.raises(TrafoError, match="create-trafo"):
        load_trafo(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("validation_frequency", "validation_frequenzy", "Did you mean 'validation_frequency'"),
        ("num_training_iterations: 12,", "", "num_training_iterations: is missing"),
        ("num_training_iterations: 12,", "num_training_iterations: many,", "got 'many'"),
        ("save_frequency: 4,", "save_frequency: 4, save_frequency: 5,", "given twice"),
    ],
)
def test_bad_configurations(experiment, tmp_path, old, new, message):
    path = tmp_path / "c.yaml"
    path.write_text((experiment / "config.yaml").read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=message) as error:
        load_config(path)
    assert "c.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DefaultCascadeModel", "DefaultCascadeModle", "Did you mean 'DefaultCascadeModel'"),
        ("[8, 8, 10]", "[8, 8, 11]", r"ends with 11 outputs, but the decoders need 2 \(charge\) \+ 8 \(time\)"),
        ("noise: noise", "noise: nois", "Did you mean 'noise'"),
        ("mixture_component_t_seeds: [0, 100]", "mixture_component_t_seeds: [0]", "1 entries, the time decoder 2"),
    ],
)
def test_models_that_do_not_fit(experiment, tmp_path, old, new, message):
    from evgen_jax.building.model import build_source

    path = tmp_path / "c.yaml"
    path.write_text((experiment / "config.yaml").read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        build_source(load_config(path).model_settings)
