"""Labels, light, detector and settings that do not belong together are told before a training begins."""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from evgen_jax.building.experiment import create_trafo, open_stream, trafo_iterator
from evgen_jax.config.validate import load_config
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.plausibility import LabelReport, usable_labels
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.hypothesis.trafo import load_trafo, read_origin
from evgen_jax.simulation.record import check_record, tell_dark_events, tell_far_ranges
from evgen_jax.simulation.simulate import simulate
from evgen_jax.training.data_check import check_data, outside_of_trafo
from evgen_jax.training.validation import read_validation_set


@pytest.fixture(scope="module")
def config(experiment):
    return load_config(experiment / "config.yaml")


@pytest.fixture(scope="module")
def trafo(experiment):
    return load_trafo(experiment / "trafo" / "trafo.json")


def with_files(config, files, name="training", **changes):
    iterators = config.data_iterator_settings
    changed = getattr(iterators, name).model_copy(update={"input_data": files, **changes})
    return config.model_copy(update={"data_iterator_settings": iterators.model_copy(update={name: changed})})


X, ENERGY, TIME = slice(0, 3), 5, 6


@pytest.mark.parametrize(
    ("parameter", "change", "unit", "outside"),
    [
        (X, lambda v: v * 1e3, "is it in mm?", True),
        (X, lambda v: v * 1e2, "is it in cm?", True),
        (X, lambda v: v / 1e3, "is it in km?", False),
        (X, lambda v: v + 8000.0, "of another origin?", True),
        (TIME, lambda v: v / 1e3, "is it in us?", True),
        (TIME, lambda v: v / 1e9, "is it in s?", True),
        (TIME, lambda v: v + 1e6, "begin elsewhere", True),
        (ENERGY, lambda v: v / 1e3, "is it in TeV?", True),
        (ENERGY, np.log10, "log10(E / GeV)", True),
        (ENERGY, np.log, "ln(E / GeV)", True),
        (4, np.degrees, "is it in degrees?", True),
    ],
)
def test_wrong_units_are_told_with_the_likely_one(
    experiment, config, loaded_detector, trafo, parameter, change, unit, outside
):
    report = LabelReport(read_parameters(trafo.parameter_names), loaded_detector)
    for path in sorted((experiment / "events").glob("*.hdf5")):
        file = read_event_file(path, config.data_handler_settings, loaded_detector)
        labels = file.labels.copy()
        labels[:, parameter] = change(labels[:, parameter])
        report.add(replace(file, labels=labels))
    wrong = np.atleast_1d(np.asarray(trafo.parameter_names)[parameter])
    doubts = report.doubts()
    assert [d.split("'")[1] for d in doubts] == list(wrong) and all(unit in d for d in doubts), doubts
    assert [d.split("'")[1] for d in outside_of_trafo(report, trafo)] == (list(wrong) if outside else [])


def test_directions_in_which_particles_go_are_told(experiment, config, loaded_detector, trafo):
    """The zenith is where a particle comes from; some programs write where it goes."""
    report = LabelReport(read_parameters(trafo.parameter_names), loaded_detector)
    for path in sorted((experiment / "events").glob("*.hdf5")):
        file = read_event_file(path, config.data_handler_settings, loaded_detector)
        labels = file.labels.copy()
        labels[:, 3], labels[:, 4] = np.pi - labels[:, 3], np.mod(labels[:, 4] + np.pi, 2 * np.pi)
        report.add(replace(file, labels=labels))
    (doubt,) = report.doubts()
    assert "zenith'" in doubt and "the light lies behind the vertex" in doubt
    assert "do zenith and azimuth say where the particle goes?" in doubt


@pytest.mark.parametrize(("factor", "unit"), [(1e-3, "us"), (1e-9, "s")])
def test_pulses_of_another_unit_are_told(experiment, config, loaded_detector, trafo, tmp_path, factor, unit):
    path = shutil.copy(sorted((experiment / "events").glob("*.hdf5"))[0], tmp_path / "events.hdf5")
    with h5py.File(path, "r+") as file:
        pulses = file["MCPulses"][:]
        pulses["time"] *= factor
        file["MCPulses"][...] = pulses
    report = LabelReport(read_parameters(trafo.parameter_names), loaded_detector)
    report.add(read_event_file(path, config.data_handler_settings, loaded_detector))
    (doubt,) = report.doubts()
    assert f"is the time of pulses in {unit}? Expected ns." in doubt and "_time'" in doubt


def test_the_table_has_mean_spread_and_range_of_all_events(experiment, config, loaded_detector, trafo):
    report, labels = LabelReport(read_parameters(trafo.parameter_names), loaded_detector), []
    for path in sorted((experiment / "events").glob("*.hdf5")):
        file = read_event_file(path, config.data_handler_settings, loaded_detector)
        report.add(file)
        labels.append(file.labels)
    labels = np.concatenate(labels)
    for own, function in ((report.mean, np.mean), (report.std, np.std), (report.low, np.min), (report.high, np.max)):
        np.testing.assert_allclose(own, function(labels, axis=0), rtol=1e-9)
    table = report.table().splitlines()
    assert table[6].split() == [
        "cascade_energy",
        *(f"{f(labels[:, 5]):.5g}" for f in (np.mean, np.std, np.min, np.max)),
        "GeV",
    ]
    assert table[-1] == "60 events; detector: x -110 to 110, y -110 to 110, z -140 to 135 m; readout: 0 to 20000 ns"
    assert report.doubts() == outside_of_trafo(report, trafo) == [] and report.dark == 0


def without_pulses(experiment, target, events):
    """Copies a file; the first events lose their pulses."""
    shutil.copy(experiment / "events" / "small_000000.hdf5", target)
    with h5py.File(target, "r+") as file:
        rows = file["MCPulses"][:]
        del file["MCPulses"]
        file["MCPulses"] = rows[rows["Event"] >= events]
    return str(target)


def test_events_without_light_are_counted_and_refused_where_there_are_no_others(
    experiment, config, loaded_detector, trafo, tmp_path, caplog, monkeypatch
):
    few = without_pulses(experiment, tmp_path / "few.hdf5", 5)
    check_data(with_files(config, few), "training", loaded_detector, trafo)
    assert "5 of 20 events (25.0%) in 1 file have no pulse" in caplog.text
    none = without_pulses(experiment, tmp_path / "none.hdf5", 20)
    with pytest.raises(DataError, match="training.input_data: none of the 20 events in 1 files has a pulse"):
        check_data(with_files(config, none), "training", loaded_detector, trafo)
    caplog.clear()
    check_data(with_files(config, [none, few]), "training", loaded_detector, trafo)
    assert "25 of 40 events" in caplog.text
    caplog.clear()
    monkeypatch.setattr("evgen_jax.data.batches.INSPECTED_FILES", 1)
    stream = open_stream(with_files(config, [none, few]), "training", loaded_detector)
    while stream.position.epoch == 0:
        next(stream)
    assert caplog.text.count("25 of 40 events (62.5%) in 2 files have no pulse") == 1


def test_a_transformation_of_other_data_or_settings_is_told(
    experiment, config, loaded_detector, trafo, tmp_path, caplog, capsys
):
    origin = read_origin(experiment / "trafo" / "trafo.json")
    assert origin["files"] == [f"small_00000{i}.hdf5" for i in range(3)] and origin["num_events"] == 60
    check_data(config, "training", loaded_detector, trafo)
    assert caplog.text == ""
    labels = config.data_handler_settings.label_settings.model_copy(update={"trafo_log": True})
    handler = config.data_handler_settings.model_copy(update={"label_settings": labels})
    other = with_files(config, str(experiment / "events" / "small_000001.hdf5"), "trafo").model_copy(
        update={"data_handler_settings": handler}
    )
    check_data(other, "training", loaded_detector, trafo)
    assert "files: 3 then, 1 now, 2 gone (small_000000.hdf5, ...)" in caplog.text
    assert "label_settings.trafo_log: [False, False, False, False, False, True, False] -> True" in caplog.text
    assert "Run create-trafo again" in caplog.text
    caplog.clear()
    # One without a record is of an earlier version, and loads.
    trafo.save(tmp_path / "trafo.json")
    assert load_trafo(tmp_path / "trafo.json") == trafo and read_origin(tmp_path / "trafo.json") is None
    here = config.data_trafo_settings.model_copy(update={"model_dir": str(tmp_path)})
    check_data(other.model_copy(update={"data_trafo_settings": here}), "training", loaded_detector, trafo)
    assert caplog.text == ""
    shown = []
    create_trafo(config.model_copy(update={"data_trafo_settings": here}), show=shown.append)
    # The same numbers: nothing is kept beside them, and they have a record now.
    assert shown[0].startswith("parameter") and capsys.readouterr().out == ""
    assert load_trafo(tmp_path / "trafo.json") == trafo and read_origin(tmp_path / "trafo.json") == origin
    # Fewer events: those that are looked at are those that count.
    few = here.model_copy(update={"num_batches": 3, "model_dir": str(tmp_path / "few")})
    iterators = config.data_iterator_settings.model_copy(
        update={"trafo": trafo_iterator(config).model_copy(update={"batch_size": 8})}
    )
    path = create_trafo(
        config.model_copy(update={"data_trafo_settings": few, "data_iterator_settings": iterators}), show=shown.append
    )
    labels = [
        usable_labels(read_event_file(f, config.data_handler_settings, loaded_detector))
        for f in sorted((experiment / "events").glob("*.hdf5"))
    ]
    first = np.concatenate(labels)[:24]
    assert f"{first[:, 0].mean():11.5g}" in shown[1].splitlines()[1] and read_origin(path)["num_events"] == 24
    assert "num_batches times batch_size = 24" in shown[2]
    np.testing.assert_allclose(load_trafo(path).mean[0], first[:, 0].mean(), rtol=1e-6)
    replace(trafo, mean=(1.0, *trafo.mean[1:])).save(tmp_path / "trafo.json")
    create_trafo(config.model_copy(update={"data_trafo_settings": here}))
    assert "the earlier transformation is kept in" in caplog.text
    assert load_trafo(tmp_path / "trafo.json") == trafo


def test_the_validation_is_all_events_or_the_same_part_of_them(experiment, config, loaded_detector, caplog):
    def labels(validation):
        used = [b.labels[w > 0] for b, w in zip(validation.batches, validation.weights, strict=True)]
        return np.concatenate(used)

    whole = read_validation_set(
        with_files(config, config.data_iterator_settings.validation.input_data, "validation", batch_size=8),
        loaded_detector,
    )
    assert [len(b.labels) for b in whole.batches] == [8, 8, 8] and whole.count == 20 and caplog.text == ""
    file = read_event_file(experiment / "events" / "small_000002.hdf5", config.data_handler_settings, loaded_detector)
    expected = file.labels.astype(np.float32)
    np.testing.assert_array_equal(np.sort(labels(whole), axis=0), np.sort(expected, axis=0))
    means, per_pe = whole.loss(lambda variables, events, labels: {"loss": labels[:, 5]}, {})
    charge = np.mean([file.event(i).charge.sum() for i in range(20)])
    assert means["loss"] == pytest.approx(expected[:, 5].mean(dtype=np.float64), rel=1e-9)
    assert per_pe == pytest.approx(means["loss"] / charge, rel=1e-6)
    bad = whole.not_finite(lambda variables, events, labels: {"loss": np.where(labels[:, 5] > 4500, np.nan, 1.0)}, {})
    assert len(bad) == np.sum(expected[:, 5] > 4500) and all(name.startswith("run 3, event ") for name in bad)

    training = config.training_settings
    parts = [
        read_validation_set(
            config.model_copy(
                update={"training_settings": training.model_copy(update={"validation_events": 7, "random_seed": seed})}
            ),
            loaded_detector,
        )
        for seed in (1, 2)
    ]
    assert parts[0].count == 7 and parts[0].available == 20
    np.testing.assert_array_equal(labels(parts[0]), labels(parts[1]))
    read_validation_set(with_files(config, f"{experiment}/events/*.hdf5", "validation"), loaded_detector)
    assert "2 of 3 validation files train the model as well" in caplog.text


def test_data_that_end_give_one_pass(config, experiment, loaded_detector):
    once = with_files(
        config, str(experiment / "events" / "small_000001.hdf5"), pick_random_files_forever=False, batch_size=8
    )
    stream, sizes, places = open_stream(once, "training", loaded_detector), [], []
    for batch in stream:
        sizes.append(len(batch.labels))
        places.append(stream.position)
    assert sizes == [8] * 5  # 20 events, twice
    assert list(open_stream(once, "training", loaded_detector, places[-1])) == []
    assert len(list(open_stream(once, "training", loaded_detector, places[2]))) == 2
    assert list(open_stream(once, "training", loaded_detector, stream.position)) == []


def test_simulated_events_of_other_settings_are_refused(experiment, config, loaded_detector, tmp_path, caplog):
    events = experiment / "events"
    assert len(simulate(config, events)) == 3  # all there
    settings = config.simulation_settings
    ranges = {**settings.ranges, "x": (-50.0, 100.0)}
    for changes, message in (
        ({"ranges": ranges}, r"ranges.cascade_x: \[-100.0, 100.0\] -> \[-50.0, 100.0\]"),
        ({"random_seed": 2}, "random_seed: 1 -> 2"),
        ({"num_events": 50}, "num_events: 60 -> 50"),
    ):
        other = config.model_copy(update={"simulation_settings": settings.model_copy(update=changes)})
        with pytest.raises(
            DataError, match=f"holds 3 files of 'small' that were simulated with other settings: {message}"
        ):
            simulate(other, events)
    numbers = {"num_events": 40, "events_per_file": 20}
    (tmp_path / "a_000000.hdf5").touch()
    check_record(tmp_path, "a", numbers)
    assert "keeps 1 files (a_000000.hdf5, ...) that do not say" in caplog.text
    check_record(tmp_path, "a", {**numbers, "num_events": 60})  # full files, and more of them
    check_record(tmp_path, "a", {**numbers, "num_events": 70})
    with pytest.raises(DataError, match="num_events: 70 -> 90"):
        check_record(tmp_path, "a", {**numbers, "num_events": 90})  # the last file of 10 would stay as it is

    caplog.clear()
    names = ("cascade_x", "cascade_z", "cascade_energy")
    tell_far_ranges(read_parameters(names), np.array([[-500.0, 500], [-100, 100], [1e3, 1e4]]), loaded_detector)
    tell_dark_events(0, 20)
    assert caplog.text == ""
    tell_far_ranges(read_parameters(names), np.array([[-500.0, 500], [-2450, -1950], [1e3, 1e4]]), loaded_detector)
    assert "ranges.cascade_z: from -2450 to -1950 m ends 1810 m outside of the detector (-140 to 135 m)" in caplog.text
    assert "its centre is 2198 m from the middle" in caplog.text
    tell_dark_events(3, 20)
    assert "3 of 20 simulated events (15.0%) have no pulse" in caplog.text
    with pytest.raises(DataError, match="none of the 20 simulated events has a pulse"):
        tell_dark_events(20, 20)


def test_events_of_more_light_than_the_memory_holds_are_refused(experiment, config, tmp_path):
    """1e11 GeV in the detector would be drawn photon by photon, until the memory is full."""
    ranges = {**config.simulation_settings.ranges, "energy": [1e11, 2e11]}
    settings = config.simulation_settings.model_copy(update={"ranges": ranges, "num_events": 2})
    with pytest.raises(
        ConfigError, match=r"expected to have .*e\+\d+ photoelectrons, the memory is for 8.39e\+06: cascade_x"
    ):
        simulate(config.model_copy(update={"simulation_settings": settings}), tmp_path / "events")
