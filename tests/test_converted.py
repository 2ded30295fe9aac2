"""Converted events: batches bit for bit those of the files, whatever happens to the directory."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from conftest import full_disk
from filelock import FileLock
from format_files import graphnet_tables, tables_of, write_sqlite
from test_mutated_tables import damaged
from test_two_ways_in import random_tables, settings, write

from evgen_jax.building.experiment import open_stream
from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.config.validate import load_config
from evgen_jax.data.batches import find_files
from evgen_jax.data.conversion import Conversion
from evgen_jax.data.convert_files import convert, make_cache
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.sections import converted_tables, file_of, place_of_event, sections_of
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.hypothesis.trafo import TRAFO_FILE
from evgen_jax.interruption import Interrupted
from evgen_jax.physics.media import load_medium
from evgen_jax.training.metrics import read_metrics
from evgen_jax.training.restore import manager_directory
from evgen_jax.training.run import train

SMALL = 20_000
"""Size of a shard, bytes, with which the small files become several shards."""


@pytest.fixture(scope="module")
def config(experiment):
    return load_config(experiment / "config.yaml")


@pytest.fixture(scope="module")
def conversion(experiment, config, loaded_detector) -> Conversion:
    return Conversion(
        str(experiment / "events" / "*.hdf5"),
        config.data_handler_settings,
        loaded_detector,
        seeds=("SmearedSeed",),
        seed_columns=("x", "y", "z", "zenith", "azimuth", "energy", "time"),
    )


@pytest.fixture(scope="module")
def converted(conversion, tmp_path_factory) -> Path:
    """The three files of the experiment in several shards."""
    directory = tmp_path_factory.mktemp("converted") / "events"
    done = convert(conversion, directory, shard_bytes=SMALL)
    assert str(done) == "60 events of 3 files" and len(list(directory.glob("*.events"))) > 1
    return directory


def with_data(config, name, **changes):
    iterators = config.data_iterator_settings
    own = getattr(iterators, name).model_copy(update=changes)
    return config.model_copy(update={"data_iterator_settings": iterators.model_copy(update={name: own})})


def assert_equal(a, b):
    """Equal bit for bit: values, types and shapes."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


@pytest.mark.parametrize("more", [0, 1])
def test_batches_are_those_of_the_files_bit_for_bit(experiment, config, converted, loaded_detector, more):
    files = str(experiment / "events" / "*.hdf5")
    plain = open_stream(
        with_data(config, "training", input_data=files, num_add_files=more), "training", loaded_detector
    )
    stored = with_data(config, "training", input_data=str(converted), num_add_files=more)
    stream = open_stream(stored, "training", loaded_detector)
    positions = []
    for _ in range(40):  # more than an epoch
        batch, own = next(plain), next(stream)
        assert_equal((batch.events, batch.labels), (own.events, own.labels))
        assert stream.position == plain.position
        assert [name.split(" of ")[0] for name in batch.names] == [name.split(" of ")[0] for name in own.names]
        positions.append((stream.position, own))
    assert stream.position.epoch > 0
    # A run goes on from any position, whichever of the two it began with.
    resumed = open_stream(stored, "training", loaded_detector, positions[17][0])
    for position, batch in positions[18:]:
        own = next(resumed)
        assert_equal((batch.events, batch.labels), (own.events, own.labels))
        assert resumed.position == position


def assert_same_file(file, own):
    """The same events with the same names, labels, seeds and faults."""
    np.testing.assert_array_equal(file.ids, own.ids)
    assert file.faults == own.faults and file.good == own.good and file.times == own.times
    assert (file.ignored, file.unmatched, file.provenance) == (own.ignored, own.unmatched, own.provenance)
    assert (file.labels is None) == (own.labels is None) and file.seeds.keys() == own.seeds.keys()
    assert_equal((file.labels, file.seeds, file.anchors[file.good]), (own.labels, own.seeds, own.anchors[own.good]))
    for i in file.good:
        assert_equal(file.event(i), own.event(i))  # times in float64
        assert file.name(i) == own.name(i)


@pytest.mark.parametrize("seed", range(6))
def test_exclusions_windows_and_odd_events_are_kept(seed, loaded_detector, tmp_path):
    tables = random_tables(loaded_detector, seed)
    tables["Pulses"]["charge"][7] = np.nan  # one odd event
    tables["Readout"]["stop"][3] = 0.0
    tables["Labels"]["cascade_energy"][5] = -1.0
    if seed % 2:  # times that float32 does not hold
        for name, columns in (("Pulses", ["time"]), ("Windows", ["start", "stop"]), ("Readout", ["start", "stop"])):
            for column in columns:
                tables[name][column] += 1e9
    key = {"readout_window_key": "Readout"} if seed < 4 else {}
    handler = settings(discard_pulses_from_excluded_doms=seed in (1, 2), time_window_buffer=50.0, **key)
    path = write(tmp_path / "f.hdf5", tables)
    done = convert(Conversion(str(path), handler, loaded_detector), tmp_path / "store")
    (section,) = find_files(str(tmp_path / "store"))
    own = read_event_file(section, handler, loaded_detector)
    plain = read_event_file(path, handler, loaded_detector)
    assert own.packed.windows.sizes.sum() > 0 and 5 in own.faults and done.files == 1
    assert section.name == "f.hdf5" and own.notes().split(";")[0].endswith(
        plain.notes().split(": ", 1)[1].split(";")[0]
    )
    assert_same_file(plain, own)
    # Fits need no labels: the event with the odd one is used.
    for more in ({"labels": False}, {"labels": True, "need_labels": False}):
        plain, own = (read_event_file(p, handler, loaded_detector, **more) for p in (path, section))
        assert 5 in own.good and own.notes().split(": ", 1)[1] == plain.notes().split(": ", 1)[1]
        assert_same_file(plain, own)
    with pytest.raises(DataError, match="f.hdf5: run 1, event . has"):
        read_event_file(section, handler, loaded_detector, strict=True)


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_damaged_tables_are_what_they_are_in_the_file(loaded_detector, tmp_path):
    kept = 0
    for seed in range(40):
        rng, tables = np.random.default_rng(seed), random_tables(loaded_detector, seed)
        name = str(rng.choice(list(tables)))
        tables[name] = damaged(rng, tables[name])
        path, handler = write(tmp_path / f"{seed}.hdf5", tables), settings(readout_window_key="Readout")
        try:
            plain = read_event_file(path, handler, loaded_detector)
        except DataError:
            continue
        directory = tmp_path / f"{seed}"
        convert(Conversion(str(path), handler, loaded_detector), directory)
        assert_same_file(plain, read_event_file(directory, handler, loaded_detector))
        kept += 1
    assert kept > 10


def test_seeds_labels_and_ids_are_those_of_the_file(experiment, conversion, converted, config, loaded_detector):
    files, sections = find_files(conversion.files), find_files(str(converted))
    assert [s.name for s in sections] == [f.name for f in files] and [file_of(s) for s in sections] == files
    # A shard and a pattern of shards stand for their sections, as a directory does.
    assert (
        find_files(str(converted / "*.events")) == sections and sections_of(converted / "00001.events") == sections[1:2]
    )
    more = {"seed_names": ("SmearedSeed",), "seed_columns": ("energy", "x", "time")}
    for path, section in zip(files, sections, strict=True):
        plain, own = (
            read_event_file(p, config.data_handler_settings, loaded_detector, **more) for p in (path, section)
        )
        assert_same_file(plain, own)
    # Without settings: those of the conversion.
    own = read_event_file(sections[2], None, loaded_detector, **more)
    assert_equal((plain.labels, plain.seeds), (own.labels, own.seeds))
    assert place_of_event(converted, 45) == (sections[2], 5) and place_of_event(files[0], 45) == (files[0], 45)
    with pytest.raises(DataError, match="has 60 events, counted from 0; there is no event 60"):
        place_of_event(converted, 60)
    with pytest.raises(DataError, match="holds the events of 3 files. Read them one by one"):
        read_event_file(converted, config.data_handler_settings, loaded_detector)


def test_coordinates_with_an_origin(experiment, config, loaded_detector, tmp_path):
    moved = loaded_detector.replace(origin=(4.5e5, 5.1e6 + 0.1, -2000.0))
    path = tmp_path / "f.hdf5"
    shutil.copy(experiment / "events" / "small_000000.hdf5", path)
    with h5py.File(path, "r+") as file:
        for name in ("detector_fingerprint", "medium_fingerprint"):
            del file.attrs[name]
    handler = config.data_handler_settings
    convert(Conversion(str(path), handler, moved), tmp_path / "store")
    plain, own = (read_event_file(p, handler, moved) for p in (path, tmp_path / "store"))
    assert plain.labels[0, 0] < -4e5
    assert_same_file(plain, own)
    # Parameters of a model may say that the labels are no coordinates.
    unknown = read_parameters([f"a{i}" for i in range(7)])
    plain, own = (read_event_file(p, handler, moved, parameters=unknown) for p in (path, tmp_path / "store"))
    np.testing.assert_allclose(own.labels, plain.labels, rtol=1e-9)


def test_files_of_another_format(experiment, loaded_detector, small_detector_csv, tmp_path, command):
    """A database of graphnet, whose tables and labels the format names."""
    path = tmp_path / "events.db"
    write_sqlite(path, graphnet_tables(tables_of(experiment / "events" / "small_000000.hdf5"), loaded_detector))
    handler = DataHandlerSettings(data_settings={})
    plain = read_event_file(path, handler, loaded_detector)
    # As a configuration reads it, and by the command without one.
    convert(Conversion(str(path), handler, loaded_detector), tmp_path / "a")
    code, out, err = command("convert", path, "-o", tmp_path / "b", "--detector", small_detector_csv)
    assert code == 0 and out.startswith(f"{len(plain)} events of 1 files"), err
    assert_same_file(plain, read_event_file(tmp_path / "a", handler, loaded_detector))
    found = DataHandlerSettings(data_settings=converted_tables(find_files(str(tmp_path / "b"))[0]))
    assert found.data_settings.pulse_key == "SplitInIcePulses"
    assert_same_file(*(read_event_file(p, found, loaded_detector) for p in (path, tmp_path / "b")))
    other = DataHandlerSettings(data_settings={}, format_settings={"vertex_time": 5.0})
    with pytest.raises(DataError, match="format_settings.vertex_time null, but the configuration has 5.0"):
        read_event_file(tmp_path / "a", other, loaded_detector)


def change_header(change):
    def damage(shard: Path):
        header = json.loads((shard / "header.json").read_text())
        change(header)
        (shard / "header.json").write_text(json.dumps(header))

    return damage


def flip(name: str, place: int):
    def damage(shard: Path):
        content = bytearray((shard / name).read_bytes())
        content[place] ^= 1
        (shard / name).write_bytes(content)

    return damage


def cut(name: str, size: int):
    return lambda shard: (shard / name).write_bytes((shard / name).read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip("pulses.time.npy", -5), "checksum of pulses.time.npy"),
        (flip("labels.npy", -50), "checksum of labels.npy"),
        (cut("pulses.charge.npy", 1000), "pulses.charge.npy: is truncated or damaged"),
        (cut("ids.npy", 20), "ids.npy: is truncated or damaged"),
        (cut("header.json", 700), "header.json: cannot be read; it is damaged"),
        (lambda shard: np.save(shard / "readout.npy", np.zeros((3, 2))), r"readout.npy: holds <f8 of shape \[3, 2\]"),
        (lambda shard: np.save(shard / "readout.npy", [None, 1]), "readout.npy: is truncated or damaged"),
        (lambda shard: (shard / "active.dom.npy").unlink(), "active.dom.npy: is missing. Convert its files again"),
        (
            change_header(lambda h: h.update(version=2)),
            "has the version 2 of 'evgen_jax events'; this program reads version 1",
        ),
        (
            change_header(lambda h: h["sections"][0].update(stop=4)),
            "header.json: is damaged: its checksum is another one",
        ),
        (shutil.rmtree, "the shard 00000.events is missing"),
    ],
)
def test_damage_is_one_clear_line(damage, message, converted, config, loaded_detector, tmp_path):
    directory = tmp_path / "store"
    shutil.copytree(converted, directory)
    damage(directory / "00000.events")
    with pytest.raises(DataError, match=message) as error:
        for section in find_files(str(directory)):
            read_event_file(section, config.data_handler_settings, loaded_detector)
    assert str(directory) in str(error.value) and "\n" not in str(error.value)


def test_a_damaged_shard_is_skipped_as_a_damaged_file_is(converted, config, loaded_detector, tmp_path, caplog):
    shutil.copytree(converted, tmp_path / "store")
    flip("pulses.time.npy", -5)(tmp_path / "store" / "00001.events")
    stored = with_data(config, "test", input_data=str(tmp_path / "store"), batch_size=7)
    batches = list(open_stream(stored, "test", loaded_detector))
    assert sum(len(batch.labels) for batch in batches) == 40
    assert "skipped" in caplog.text and "the checksum of pulses.time.npy is another one" in caplog.text


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (
            {"pulse_key": "Other"},
            {},
            r'converted with data_settings.pulse_key "MCPulses", but the configuration has "Other"',
        ),
        ({"dom_exclusions_key": None}, {}, r'dom_exclusions_key "BadDomsList", but the configuration has null'),
        ({"time_window_buffer": 3.0}, {}, "time_window_buffer 100.0, but the configuration has 3.0"),
        ({}, {"label_key": "Truth"}, 'label_settings.label_key "LabelsMCCascade", but the configuration has "Truth"'),
        (
            {},
            {"additional_labels": ("cascade_enrgy",)},
            "without the label 'cascade_enrgy'; it has cascade_x, .*Did you mean 'cascade_energy'",
        ),
    ],
)
def test_other_settings_are_one_clear_line(data, labels, message, converted, config, loaded_detector):
    handler = config.data_handler_settings
    handler = handler.model_copy(
        update={
            "data_settings": handler.data_settings.model_copy(update=data),
            "label_settings": handler.label_settings.model_copy(update=labels),
        }
    )
    section = find_files(str(converted))[0]
    with pytest.raises(DataError, match=message) as error:
        read_event_file(section, handler, loaded_detector)
    assert str(converted) in str(error.value)
    if labels:  # without labels theirs do not matter
        assert len(read_event_file(section, handler, loaded_detector, labels=False)) == 20


def test_another_detector_medium_or_seed_is_one_clear_line(converted, config, loaded_detector, tmp_path, conversion):
    section, handler = find_files(str(converted))[0], config.data_handler_settings
    position = np.array(loaded_detector.position)
    position[3, 2] += 1
    with pytest.raises(
        DataError, match="holds events of the detector 'small', whose modules or positions are not those"
    ):
        read_event_file(section, handler, loaded_detector.replace(position=position))
    water = load_medium("mediterranean_water")
    with pytest.raises(DataError, match="holds events in the medium 'south_pole', which is not 'mediterranean_water'"):
        read_event_file(section, handler, loaded_detector.replace(medium=water))
    more = {"seed_columns": ("x",)}
    with pytest.raises(
        DataError, match="without the seeds 'SmearedSeeds'; it has SmearedSeed.*Did you mean 'SmearedSeed'"
    ):
        read_event_file(section, handler, loaded_detector, seed_names=("SmearedSeeds",), **more)
    with pytest.raises(DataError, match="without the seed column of 'SmearedSeed' 'length'"):
        read_event_file(section, handler, loaded_detector, seed_names=("SmearedSeed",), seed_columns=("x", "length"))
    # Values for columns that the table lacks are part of what was converted.
    filled = replace(conversion, seed_columns=("x", "length"), seed_defaults={"length": 5.0})
    convert(filled, tmp_path / "store")
    section = find_files(str(tmp_path / "store"))[0]
    read = partial(
        read_event_file, section, handler, loaded_detector, seed_names=("SmearedSeed",), seed_columns=("length",)
    )
    assert np.all(read(seed_defaults={"length": 5.0}).seeds["SmearedSeed"] == 5.0)
    with pytest.raises(DataError, match="with 5.0 for missing values of 'length' .* but 6.0 is asked for"):
        read(seed_defaults={"length": 6.0})
    # Unusable modules count where pulses at them were left out.
    section = find_files(str(converted))[0]
    usable = np.array(loaded_detector.usable)
    usable[7] = False
    assert not read_event_file(section, handler, loaded_detector.replace(usable=usable)).event(0).usable[7]


def test_an_unreadable_file_among_others_keeps_its_place(experiment, config, loaded_detector, tmp_path, caplog):
    shutil.copytree(experiment / "events", tmp_path / "events")
    (tmp_path / "events" / "small_000001.hdf5").write_bytes(b"no HDF5")
    files = str(tmp_path / "events" / "*.hdf5")
    conversion = Conversion(files, config.data_handler_settings, loaded_detector)
    done = convert(conversion, tmp_path / "store", shard_bytes=SMALL)
    assert str(done) == "40 events of 3 files, 1 of them could not be read" and "left out: " in caplog.text
    streams = [
        open_stream(with_data(config, "training", input_data=own), "training", loaded_detector)
        for own in (files, str(tmp_path / "store"))
    ]
    for _ in range(12):
        batch, own = (next(stream) for stream in streams)
        assert_equal((batch.events, batch.labels), (own.events, own.labels))
    with pytest.raises(DataError, match="could not be converted: .*small_000001.hdf5: cannot be read as HDF5"):
        read_event_file(find_files(str(tmp_path / "store"))[1], config.data_handler_settings, loaded_detector)
    (tmp_path / "one.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="one.hdf5: cannot be read as HDF5"):
        convert(replace(conversion, files=str(tmp_path / "one.hdf5")), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def content(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_an_interrupted_conversion_goes_on(conversion, converted, tmp_path, monkeypatch):
    directory, read, seen = tmp_path / "store", Conversion.read, []

    def stop_at_the_last(self, path):
        if path.name.endswith("2.hdf5"):
            raise KeyboardInterrupt
        return read(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Conversion, "read", stop_at_the_last)
        with pytest.raises(Interrupted, match=f"Complete shards are kept in {directory}: run the same command again"):
            convert(conversion, directory, shard_bytes=SMALL)
    assert sorted(p.name for p in directory.iterdir()) == ["00000.events", "00001.events", "conversion.json"]
    with pytest.raises(DataError, match="its conversion was not finished. Run the command"):
        find_files(str(directory))
    with pytest.raises(ConfigError, match="converted from, or with, other settings. Give another name"):
        convert(replace(conversion, handler=with_buffer(conversion.handler)), directory)
    shutil.copytree(directory / "00000.events", directory / "00002.events.partial")  # of a process that was killed
    monkeypatch.setattr(Conversion, "read", lambda self, path: seen.append(path.name) or read(self, path))
    convert(conversion, directory, shard_bytes=SMALL)
    assert seen == ["small_000002.hdf5"] and content(directory) == content(converted)
    # Once more: nothing to do, unless something is damaged.
    assert str(convert(conversion, directory)) == "60 events of 3 files" and len(seen) == 1
    for damage in (flip("pulses.time.npy", -5), lambda shard: (shard / "header.json").unlink()):
        damage(directory / "00001.events")
        convert(conversion, directory, shard_bytes=SMALL)
        assert content(directory) == content(converted)
    assert seen[1:] == 2 * ["small_000001.hdf5", "small_000002.hdf5"]
    (directory / "conversion.json").write_text("{")
    with pytest.raises(DataError, match=f"is damaged .* Remove {directory} and convert the files again"):
        convert(conversion, directory)


def with_buffer(handler):
    return handler.model_copy(
        update={"data_settings": handler.data_settings.model_copy(update={"time_window_buffer": 7.0})}
    )


def test_a_full_disk_leaves_complete_shards_alone(conversion, converted, tmp_path):
    directory = tmp_path / "store"
    with pytest.raises(OSError, match=r"File too large: .*00000.events'"), full_disk(8000):
        convert(conversion, directory, shard_bytes=SMALL)
    assert [p.name for p in directory.iterdir()] == ["conversion.json"]
    convert(conversion, directory, shard_bytes=SMALL)
    assert content(directory) == content(converted)


def test_directories_of_somebody_else(conversion, converted, tmp_path, monkeypatch, caplog):
    (tmp_path / "notes.txt").touch()
    for make in (convert, make_cache):
        with pytest.raises(ConfigError, match="is no directory of converted events, and holds notes.txt"):
            make(conversion, tmp_path)
    with pytest.raises(ConfigError, match="holds converted events; give the files they were made from"):
        convert(replace(conversion, files=str(converted)), tmp_path / "store")
    directory = tmp_path / "busy"
    directory.mkdir()
    with FileLock(directory / "conversion.lock"), pytest.raises(ConfigError, match="being written by another program"):
        convert(conversion, directory)

    def unlocked(self):
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", unlocked)
    convert(conversion, tmp_path / "store", shard_bytes=SMALL)
    assert "its file system has no locks" in caplog.text and content(tmp_path / "store") == content(converted)


def test_a_cache_is_made_anew_when_anything_changes(experiment, conversion, tmp_path, caplog, monkeypatch):
    shutil.copytree(experiment / "events", tmp_path / "events")
    files, cache, seen = replace(conversion, files=str(tmp_path / "events" / "*.hdf5")), tmp_path / "cache", []
    read = Conversion.read
    monkeypatch.setattr(Conversion, "read", lambda self, path: seen.append(path.name) or read(self, path))
    make_cache(files, cache)
    make_cache(files, cache)
    assert len(seen) == 3 and "made anew" not in caplog.text
    noisy = conversion.detector.replace(usable=np.arange(108) != 7)
    changed = tmp_path / "events" / "small_000001.hdf5"
    for change, what in (
        (lambda: changed.write_bytes(changed.read_bytes() + b" "), "other files than it was made from"),
        (lambda: replace(files, handler=with_buffer(files.handler)), "other settings than"),
        (lambda: replace(files, seeds=()), "other settings, seeds than"),
        (lambda: replace(files, detector=noisy), "other seeds, unusable modules than"),
        (lambda: flip("pulses.time.npy", -5)(cache / "00000.events"), "the checksum of pulses.time.npy is another one"),
    ):
        caplog.clear()
        own = change()
        make_cache(own if isinstance(own, Conversion) else files, cache)
        assert f"{cache}: is made anew: " in caplog.text and what in caplog.text
    assert len(seen) == 18 and len(find_files(str(cache))) == 3


def test_training_from_a_cache_is_the_training(experiment, config, tmp_path, caplog):
    losses = []
    for number, cache in enumerate((None, tmp_path / "cache")):
        manager = config.model_manager_settings
        own = manager.config.model_copy(update={"manager_dir": str(tmp_path / f"{number}")})
        changed = config.model_copy(update={"model_manager_settings": manager.model_copy(update={"config": own})})
        train(changed, cache=cache)
        losses.append(
            [(line["step"], line["loss"]) for line in read_metrics(manager_directory(changed)) if "loss" in line]
        )
    assert losses[0] and losses[0] == losses[1]
    assert len(find_files(str(tmp_path / "cache"))) == 2 and "made anew" not in caplog.text


def test_the_command(experiment, converted, small_detector_csv, command, tmp_path, caplog):
    files, store = experiment / "events" / "*.hdf5", tmp_path / "store"
    code, out, err = command(
        "convert", files, "-o", store, "--config", experiment / "config.yaml", "--seed", "SmearedSeed", "--workers", 1
    )
    assert (code, out.strip()) == (0, f"60 events of 3 files; they are in {store}"), err
    assert len(list(store.glob("*.events"))) == 1
    code, out, err = command("check", store)
    assert code == 0 and out.count("20 events, detector 'small'") == 3, err
    assert "seeds: SmearedSeed" in out and "for training: complete" in out and "pulse_key MCPulses" in out
    assert f"from {experiment / 'events' / 'small_000001.hdf5'}" in out
    # Without a configuration: tables by their columns, labels and seeds where they are named.
    code, _, err = command("convert", files, "-o", tmp_path / "b")
    assert code == 2 and "--detector: is missing" in err
    plain = ("convert", files, "-o", tmp_path / "b", "--detector", small_detector_csv)
    code, _, err = command(*plain, "--seed", "SmearedSeed")
    assert code == 2 and "--seed SmearedSeed: nothing says which columns" in err and not (tmp_path / "b").exists()
    columns = "reconstruction_settings.seed_parameter_names=[x,y,z,zenith,azimuth,energy,time]"
    code, out, err = command(*plain, "--seed", "SmearedSeed", "--set", columns)
    assert code == 0 and "labels are not kept: nothing says which they are" in caplog.text
    code, _, err = command(*plain)
    assert code == 2 and "converted from, or with, other seeds" in err
    code, _, err = command("convert", store, "-o", tmp_path / "c", "--detector", small_detector_csv)
    assert code == 2 and "holds converted events; give the files they were made from" in err
    # The transformation is that of the files.
    text = (experiment / "config.yaml").read_text()
    changed = text.replace(f"{experiment}/events/{{unique_name}}_*.hdf5", str(store)).replace(
        f"{experiment}/trafo", str(tmp_path / "trafo")
    )
    assert changed.count(str(store)) == 1
    (tmp_path / "c.yaml").write_text(changed)
    assert command("create-trafo", tmp_path / "c.yaml")[0] == 0
    assert (tmp_path / "trafo" / TRAFO_FILE).read_text() == (experiment / "trafo" / TRAFO_FILE).read_text()
