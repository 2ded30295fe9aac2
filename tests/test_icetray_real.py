"""IceTray itself: its readers, writers and tableio around ours. Skipped where `import icecube` does not work."""

import subprocess
import sys

import numpy as np
import pytest
import tray as world
from icecube import dataclasses, icetray
from test_icetray import ARGUMENTS, PULSES, TRUTH, directory, event_frame, model, pulses  # noqa: F401
from test_icetray_files import made_frames

import evgen_jax as eg
from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.i3_file import frames_of
from evgen_jax.errors import DataError
from evgen_jax.icetray import (
    ApplyEventGeneratorReconstruction,
    CascadeClusterSearchModule,
    FlagSLCDeadTimeWindows,
    SphereInfTrackParticleConverter,
    SphereInfTrackSeedConverter,
    reading,
    writing,
)
from evgen_jax.icetray.records import FitStatus
from evgen_jax.reconstruction.run.table_file import read_table

pytestmark = pytest.mark.skipif(not world.REAL, reason=world.WHY_NOT)
DATA = {
    "pulse_key": PULSES,
    "event_id_key": "I3EventHeader",
    "time_exclusions_key": "CalibrationErrata",
    "dom_exclusions_key": "BadDomsList",
}


def tableio(source, path, keys, stream="split"):
    """Books keys of an I3 file as HDF5, with the writer of IceTray."""
    from icecube import tableio

    tray = icetray.I3Tray()
    tray.Add("I3Reader", filename=str(source))
    tray.Add(tableio.I3HDFWriter, Output=str(path), keys=keys, SubEventStreams=[stream])
    tray.Execute()
    tray.Finish()


@pytest.fixture(scope="module")
def files(pulses, loaded_detector, tmp_path_factory):  # noqa: F811
    """A GCD file, and a file of events without these frames, whose first event has no seed."""
    folder = tmp_path_factory.mktemp("real")
    frames = list(made_frames(pulses, loaded_detector))
    first = frames[4]
    for key in ("Monopod", "Taupede", "Other"):
        first.Delete(key)
    world.write_i3(folder / "gcd.i3.gz", frames[:3])
    world.write_i3(folder / "events.i3.zst", frames[3:])
    return folder


def test_icetray_may_be_imported_first():
    """h5py keeps its own HDF5 library where tableio has brought another one."""
    code = (
        "from icecube import icetray, dataclasses, dataio, tableio\n"
        "import evgen_jax.icetray as own, io\n"
        "from evgen_jax.data.hdf5_library import h5py\n"
        "own.ApplyEventGeneratorReconstruction\n"
        "file = h5py.File(io.BytesIO(), 'w')\n"
        "file['a'] = [1, 2, 3]\n"
        "print(file['a'][:].sum(), h5py.version.hdf5_version_tuple == h5py.h5.get_libversion())\n"
    )
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert found.stdout.split() == ["6", "True"], found.stderr


def test_a_job_reads_fits_and_writes(files, directory, tmp_path):  # noqa: F811
    """Readers and writers of IceTray on either side: files, order, and columns that the first event, which fails, has too."""
    from icecube import tableio

    keys = ["Fit", "Fit_I3Particle", "Fit_I3Particles", "Fit_cov_matrix_cov", "I3EventHeader"]
    tray = icetray.I3Tray()
    tray.Add("I3Reader", FilenameList=[str(files / "gcd.i3.gz"), str(files / "events.i3.zst")])
    tray.Add(ApplyEventGeneratorReconstruction, "fit", **dict(ARGUMENTS, model_names=directory, batch_frames=3))
    streams = [icetray.I3Frame.DAQ, icetray.I3Frame.Physics]
    tray.Add("I3Writer", filename=str(tmp_path / "out.i3.zst"), Streams=streams)
    tray.Add(tableio.I3HDFWriter, Output=str(tmp_path / "out.hdf5"), keys=keys, SubEventStreams=["split"])
    tray.Execute()
    tray.Finish()
    del tray  # closes the files
    written = list(frames_of(tmp_path / "out.i3.zst"))
    assert [world.stop_of(own) for own in written] == ["Q", "P"] * len(TRUTH)
    assert not [key for own in written for key in own.keys() if "CombinedExclusions" in key]  # noqa: SIM118
    fits = [own for own in written if world.stop_of(own) == "P"]
    assert [own["I3EventHeader"].event_id for own in fits] == list(range(len(TRUTH)))
    status = [FitStatus.MISSING_SEED] + [FitStatus.OK] * (len(TRUTH) - 1)
    assert [int(own["Fit_I3Particle"].fit_status) for own in fits] == status
    assert len({tuple(own["Fit"].keys()) for own in fits}) == 1
    assert len({tuple(own["Fit_cov_matrix_cov"].keys()) for own in fits}) == 1
    with open_tables(tmp_path / "out.hdf5") as tables:
        rows, particles = tables.read("Fit"), tables.read("Fit_I3Particle")
        assert np.isnan(rows["event_x_unc"][0]) and np.isnan(tables.read("Fit_cov_matrix_cov")["event_x_event_x"][0])
        for own, row, particle in zip(fits, rows, particles, strict=True):
            for name, value in own["Fit"].items():
                np.testing.assert_equal(float(row[name]), value, name)
            assert row["fit_status"] == particle["fit_status"]
        assert len(tables.read("Fit_I3Particles")) == 2 * len(TRUTH)


def objects_of_an_event(event):
    own = {
        "Pulses": world.pulse_map([1, 1, 2], [2, 2, 5], [10.0 + event, 20.0, 5.0], [1.5, 2.5, 0.25], [1, 2, 4]),
        "Truth": icetray.I3Bool(event > 0),
        "Number": icetray.I3Int(5 + event),
        "Value": dataclasses.I3Double(2.5),
        "Particle": world.particle([1, 2, 3, 0.5, 6, 1e3, 9e3]),
        "Particles": dataclasses.I3VectorI3Particle([world.particle([1, 2, k, 0.5, 6, 1e3, 9e3]) for k in range(2)]),
        "Named": world.numbers(a=1.0, b=float(event)),
        "Windows": world.window_map((1, 2, 3.0, 4.0), (1, 2, 5.0, 6.0)),
        "Modules": world.sensor_list((1, 2), (3, 4)),
        "Reals": dataclasses.I3VectorDouble([1.0, 2.5]),
        "Wholes": dataclasses.I3VectorInt([1, 2]),
        "Long": dataclasses.I3VectorInt64([2**40]),
        "Flags": dataclasses.I3VectorBool([True, False]),
        "Tree": dataclasses.I3MCTree(),
    }
    for name, kind, value in (("Counts", dataclasses.I3MapStringInt, 3), ("Chosen", dataclasses.I3MapStringBool, True)):
        own[name] = kind()
        own[name]["n"] = value
    primary = world.particle([1, 2, 3, 0.5, 6, 1e3, 9e3])
    primary.type = dataclasses.I3Particle.ParticleType.NuE
    own["Tree"].add_primary(primary)
    own["Tree"].append_child(primary, world.particle([1, 2, 3, 0.5, 6, 5e2, 9e3]))
    return own


SOME = ("Truth", "Number", "Value", "Particle", "Named", "Counts", "Pulses", "Mask", "Union", "Packed", "ByModule")
"""Keys that the second event lacks."""


def test_tables_are_those_that_tableio_books(tmp_path):
    frames = []
    for event in range(3):
        held = world.header(7, event, stream="Split")
        held.start_time, held.end_time = dataclasses.I3Time(2020, 10**9 + event), dataclasses.I3Time(2020, 2 * 10**9)
        own = world.frame("P", I3EventHeader=held, **objects_of_an_event(event))
        mask = dataclasses.I3RecoPulseSeriesMapMask(own, "Pulses")
        mask.set(icetray.OMKey(1, 2), 0, False)
        own["Mask"] = mask
        own["Union"] = dataclasses.I3RecoPulseSeriesMapUnion(own, ["Pulses", "Mask"])
        own["Packed"] = dataclasses.I3SuperDST(own["Pulses"])
        own["ByModule"] = dataclasses.I3RecoPulseSeriesMapCombineByModule("Pulses")
        for key in SOME if event == 1 else ():
            own.Delete(key)
        frames += [world.frame("Q", I3EventHeader=held), own]
    keys = sorted(frames[1].keys())
    world.write_i3(tmp_path / "all.i3.zst", frames)
    tableio(tmp_path / "all.i3.zst", tmp_path / "all.hdf5", keys, "Split")
    with open_tables(tmp_path / "all.i3.zst") as own, open_tables(tmp_path / "all.hdf5") as other:
        assert sorted(own.table_names) == keys == sorted(other.table_names) and own.notes == []
        for key in keys:
            rows, booked = own.read(key), other.read(key)
            added = {"pmt"} if key == "Modules" else set()  # tableio does not book it
            assert set(rows.dtype.names) == set(booked.dtype.names) | added, key
            assert len(rows) == len(booked), key
            for name in booked.dtype.names:
                there = np.ones(len(rows), bool) if name in ("Run", "Event", "exists") else booked["exists"] == 1
                np.testing.assert_array_equal(rows[name][there], booked[name][there], f"{key}.{name}")


@pytest.mark.parametrize("end", ["i3", "i3.gz", "i3.zst"])
def test_events_of_all_files_are_equal(pulses, loaded_detector, tmp_path, end):  # noqa: F811
    """Read by IceTray, compressed or not, and from the HDF5 file that its tableio writes."""
    source, booked = tmp_path / f"events.{end}", tmp_path / "events.hdf5"
    world.write_i3(source, made_frames(pulses, loaded_detector))
    tableio(source, booked, list(DATA.values()))
    handler = DataHandlerSettings.model_validate({"data_settings": DATA, "label_settings": {}})
    found, other = (read_event_file(path, handler, loaded_detector, labels=False) for path in (source, booked))
    np.testing.assert_array_equal(found.ids[:, :2], other.ids[:, :2])
    assert found.packed.dropped == other.packed.dropped > 0
    for i in range(len(TRUTH)):
        for part in ("pulses", "windows"):
            one, two = (getattr(file.event(i), part) for file in (found, other))
            for name in ("time", "charge", "slot", "mask") if part == "pulses" else ("start", "stop", "slot", "mask"):
                np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_commands_take_i3_files_and_give_the_numbers_of_the_segment(files, directory, tmp_path, command):  # noqa: F811
    """The file that the segment leaves behind, with its pulses and exclusions, checked, converted and fitted."""
    source = tmp_path / "fitted.i3.gz"
    arguments = dict(ARGUMENTS, model_names=directory, seed_keys="Other", seed_distances=[], clean_up=False)
    given = lambda: frames_of(files / "events.i3.zst")  # noqa: E731
    found = world.run(given, (ApplyEventGeneratorReconstruction, "fit", arguments))
    world.write_i3(source, found)
    fits = [own["Fit"] for own in found if own.Has("Fit")]
    code, said, errors = command("check", source)
    assert code == 0 and "time windows of modules" in said, errors
    ends = {"pulse_key": "Pulses", "dom_exclusions_key": "DOMs", "time_exclusions_key": "TimeWindows"}
    names = {key: f"fitCombinedExclusions{end}" for key, end in ends.items()} | {"event_id_key": "I3EventHeader"}
    chosen = [f"data_handler_settings.data_settings.{key}={name}" for key, name in names.items()]
    chosen = [text for own in chosen for text in ("--set", own)]
    columns = "[x,y,z,zenith,azimuth,energy,time,cascade_00001_energy,cascade_00001_distance]"
    made = ("convert", source, "-o", tmp_path / "converted", "--detector", f"{directory}/detector.csv", "--no-labels")
    seeds = ("--seed", "Other", "--set", f"reconstruction_settings.seed_parameter_names={columns}")
    code, _, errors = command(*made, *seeds, *chosen)
    assert code == 0, errors
    tables = []
    for events, settings in ((source, chosen), (tmp_path / "converted", [])):
        output = tmp_path / f"fits_{len(tables)}.hdf5"
        code, said, errors = command("reconstruct", directory, events, "-o", output, "--seed", "Other", *settings)
        assert code == 3 and "1 failed" in said, errors  # the first has no seed
        tables.append(read_table(output))
    assert fits[0]["fit_status"] == FitStatus.MISSING_SEED and np.isnan(tables[0]["event_x"][0])
    parameters = eg.load_model(directory).parameter_names
    for row, converted, fit in list(zip(*tables, fits, strict=True))[1:]:
        for name in (*parameters, *(f"{name}_unc" for name in parameters), "angular_unc"):
            assert fit[name] == pytest.approx(row[name], rel=1e-6, abs=1e-9), name
            assert converted[name] == pytest.approx(row[name], rel=1e-6, abs=1e-9), name


def test_pulses_of_every_kind_are_read_and_selected_with_their_flags():
    frame = world.frame("P", Map=objects_of_an_event(0)["Pulses"])
    mask = dataclasses.I3RecoPulseSeriesMapMask(frame, "Map")
    mask.set(icetray.OMKey(1, 2), 0, False)
    frame["Mask"], frame["Union"] = mask, dataclasses.I3RecoPulseSeriesMapUnion(frame, ["Mask"])
    frame["Empty"] = dataclasses.I3RecoPulseSeriesMap()
    found = reading.read_pulses(frame, "Map", flags=True)
    assert found.sensor.tolist() == [[1, 2, 0], [1, 2, 0], [2, 5, 0]]
    assert (found.time.tolist(), found.charge.tolist(), found.flags.tolist()) == (
        [10, 20, 5],
        [1.5, 2.5, 0.25],
        [1, 2, 4],
    )
    for key in ("Mask", "Union"):
        found = reading.read_pulses(frame, key, flags=True)
        assert (found.time.tolist(), found.flags.tolist()) == ([20, 5], [2, 4])
        frame[f"Of{key}"] = writing.selected_pulses(frame, key, found, np.array([False, True]))
        left = reading.read_pulses(frame, f"Of{key}", flags=True)
        assert (left.time.tolist(), left.flags.tolist(), type(frame[f"Of{key}"]).__name__) == (
            [5],
            [4],
            "I3RecoPulseSeriesMap",
        )
    nothing = reading.read_pulses(frame, "Empty")
    assert len(nothing) == 0 and len(writing.selected_pulses(frame, "Empty", nothing, np.zeros(0, bool))) == 0
    with pytest.raises(DataError, match="the frame's 'Numbers' cannot be read as pulses"):
        frame["Numbers"] = world.numbers(a=1.0)
        reading.read_pulses(frame, "Numbers")


def test_seeds_converters_and_windows_are_written_and_read_again(files, tmp_path):
    steps = (
        (SphereInfTrackSeedConverter, "to", {"seed_key": "Monopod"}),
        (SphereInfTrackParticleConverter, "back", {"label_key": "Monopod_SphereInfTrackSeed"}),
        (FlagSLCDeadTimeWindows, "flag", {"PulseKey": PULSES, "RunOnPFrames": True}),
        (CascadeClusterSearchModule, "clusters", {"pulse_key": PULSES, "n_clusters": 3}),
        ("I3Writer", "write", {"filename": str(tmp_path / "out.i3.gz")}),
    )
    given = lambda: (own for name in ("gcd.i3.gz", "events.i3.zst") for own in frames_of(files / name))  # noqa: E731
    seen = [own for own in world.run(given, *steps) if world.stop_of(own) == "P"]
    read = [own for own in frames_of(tmp_path / "out.i3.gz") if world.stop_of(own) == "P"]
    assert len(read) == len(seen) == len(TRUTH)
    for own, other in zip(seen, read, strict=True):
        np.testing.assert_equal(*(dict(frame["CascadeClusters"].items()) for frame in (own, other)))
        assert own["SLCDeadTimeWindows"] == other["SLCDeadTimeWindows"]
        assert own.Has("Monopod") == other.Has("Monopod_SphereInfTrackSeed_I3Particle")
    back, track = (read[1][key] for key in ("Monopod_SphereInfTrackSeed_I3Particle", "Monopod"))
    assert (back.dir.zenith, back.dir.azimuth) == (track.dir.zenith, track.dir.azimuth)
    assert (back.time - track.time) * back.speed == pytest.approx(-(back.pos - track.pos).magnitude)


def test_arrays_and_numbers_of_modules_are_frame_objects():
    frame = world.frame("P")
    arrays = {"small": [1, 2], "large": [2**40], "real": [0.5, np.nan], "none": np.zeros(0)}
    for key, values in arrays.items():
        writing.put(frame, key, writing.to_array(np.array(values)))
        np.testing.assert_array_equal(list(frame[key]), values)
    writing.put(frame, "modules", writing.to_sensor_numbers(np.array([[1, 2, 0], [3, 4, 5]]), np.array([0.1, 0.2])))
    assert frame["modules"][icetray.OMKey(3, 4, 5)] == 0.2
    assert [type(frame[key]).__name__ for key in ("small", "large", "real", "modules")] == [
        "I3VectorInt",
        "I3VectorInt64",
        "I3VectorDouble",
        "I3MapKeyDouble",
    ]


def test_particles_without_a_name_have_a_code():
    particle = dataclasses.I3Particle()
    particle.pdg_encoding = 9900042
    assert reading.read_particle(particle).kind == "particle of PDG code 9900042"


def test_files_that_end_early_are_told(pulses, loaded_detector, tmp_path, capfd):  # noqa: F811
    world.write_i3(tmp_path / "events.i3", made_frames(pulses, loaded_detector))
    whole = (tmp_path / "events.i3").read_bytes()
    (tmp_path / "cut.i3").write_bytes(whole[: len(whole) - 100])
    with pytest.raises(DataError, match=r"cut.i3: is damaged behind \d+ frames .*a job was still writing"):
        list(frames_of(tmp_path / "cut.i3"))
    (tmp_path / "text.i3").write_text("no frame at all\n")
    with pytest.raises(DataError, match=r"text.i3: is no I3 file \(.{1,80}\)\.$"):
        list(frames_of(tmp_path / "text.i3"))
    assert capfd.readouterr().err == ""  # IceTray's own log does not repeat it
