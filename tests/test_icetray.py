"""In IceTray: pure functions over records, then modules and segments in a tray, of IceTray itself where it is installed."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import test_public_face as face
import tray as world
from icecube import dataclasses, icetray
from toy_cascade import toy_model

import evgen_jax as eg
import evgen_jax.icetray
from evgen_jax.data.i3_file import frames_of
from evgen_jax.data.writer import write_events
from evgen_jax.errors import ConfigError, DataError, EvgenError, ReconstructionError
from evgen_jax.hypothesis.parameters import column_names, further_cascades, standard_parameters
from evgen_jax.icetray import (
    ApplyEventGeneratorReconstruction,
    EventGeneratorReconstruction,
    exclusions,
    seeds,
    sphere_track,
)
from evgen_jax.icetray.records import FitStatus, FrameEvent, Particle, PulseTable, WindowTable
from evgen_jax.icetray.waiting import HELD_PER_WANTED, Waiting
from evgen_jax.reconstruction.run.table_file import read_table
from evgen_jax.reconstruction.starts import two_cascades
from evgen_jax.simulation.events import EventSampler

TRUTH = np.array(
    [
        [20.0, -30.0, 15.0, 1.1, 2.0, 3000.0, 9900.0, 2000.0, 60.0],
        [-40.0, 10.0, -25.0, 2.2, 5.0, 2000.0, 10050.0, 3000.0, 40.0],
        [5.0, 60.0, 40.0, 0.4, 1.0, 4000.0, 10000.0, 1000.0, 30.0],
        [-60.0, -60.0, 0.0, 1.5, 3.0, 2500.0, 9950.0, 2500.0, 50.0],
    ]
)
PULSES = world.PULSES
BAD, WINDOW = (2, 3), (5, 5, 9000.0, 10400.0)


def table(rows):
    """Pulses of (string, om, time, charge[, flags])."""
    sensor = np.array([[row[0], row[1], 0] for row in rows], np.int64).reshape(-1, 3)
    time, charge = (np.array([row[k] for row in rows], np.float64) for k in (2, 3))
    flags = np.array([row[4] if len(row) > 4 else 0 for row in rows], np.int64)
    return PulseTable(sensor, time, charge, np.ones(len(rows)), flags)


def windows(*rows):
    sensor = np.array([[row[0], row[1], 0] for row in rows], np.int64).reshape(-1, 3)
    return WindowTable(sensor, *(np.array([row[k] for row in rows], np.float64) for k in (2, 3)))


# Exclusions.


def test_bright_modules_exceed_both_thresholds():
    pulses = table([(1, 1, 0, 90), (1, 1, 5, 30), (1, 2, 0, 95), (2, 1, 0, 20)])  # 120, 95 and 20 of 235 PE
    assert exclusions.bright_sensors(pulses).tolist() == [[1, 1, 0]]
    assert exclusions.bright_sensors(pulses, charge=120.0).tolist() == []
    assert exclusions.bright_sensors(pulses, 0.4, 90.0).tolist() == [[1, 1, 0], [1, 2, 0]]
    assert exclusions.bright_sensors(pulses.select(np.zeros(4, bool))).shape == (0, 3)


def test_windows_that_overlap_or_touch_are_united():
    united = exclusions.union_of_windows(
        [windows((2, 1, 0, 5), (1, 1, 10, 20)), windows((1, 1, 15, 30), (1, 1, 30, 31))]
    )
    assert united.sensor.tolist() == [[1, 1, 0], [2, 1, 0]]
    assert united.start.tolist() == [10, 0] and united.stop.tolist() == [31, 5]
    assert len(exclusions.union_of_windows([])) == 0


def test_exclusions_are_partial_or_whole():
    listed, own = np.array([[3, 1, 0]]), windows((1, 1, 10, 20), (3, 1, 0, 9))
    excluded, partly = exclusions.combined([listed], [own])
    assert excluded.tolist() == [[3, 1, 0]] and partly.sensor.tolist() == [[1, 1, 0]]
    excluded, partly = exclusions.combined([listed], [own], partial=False)
    assert excluded.tolist() == [[1, 1, 0], [3, 1, 0]] and len(partly) == 0
    pulses = table([(1, 1, 9.9, 1), (1, 1, 10, 1), (1, 1, 20, 1), (1, 1, 20.1, 1), (3, 1, 50, 1), (4, 1, 15, 1)])
    assert exclusions.outside_exclusions(pulses, listed, own).tolist() == [True, False, False, True, False, True]


def test_merged_pulses_keep_the_first_time_and_all_charge():
    pulses = table([(1, 1, 104, 2, 3), (1, 1, 100, 1, 1), (1, 1, 105, 4, 1), (1, 2, 104, 8, 1)])
    found = exclusions.merged(pulses, 5.0)
    assert found.sensor[:, 1].tolist() == [1, 1, 2] and found.time.tolist() == [100, 105, 104]
    assert (
        found.charge.tolist() == [3, 4, 8] and found.width.tolist() == [5, 1, 1] and found.flags.tolist() == [1, 1, 1]
    )
    assert len(exclusions.merged(pulses.select(np.zeros(4, bool)), 5.0)) == 0
    with pytest.raises(ConfigError, match="merge_pulses_time_threshold: expected a time above 0 ns"):
        exclusions.merged(pulses, 0.0)


def test_modules_sleep_after_isolated_readouts_until_their_next_pulse():
    pulses = table([(1, 1, 0, 1, 4), (1, 1, 100, 1, 1), (1, 1, 2000, 1, 1), (2, 1, 50, 1, 4), (2, 1, 9000, 1, 4)])
    found = exclusions.dead_time_windows(pulses)
    assert found.sensor[:, 0].tolist() == [1, 2, 2]
    assert found.start.tolist() == [50, 100, 9050] and found.stop.tolist() == [2000, 2550, 11500]


# Two cascades.


def test_seeds_of_two_cascades_keep_energy_and_centre_of_light():
    parameters = analytic_parameters()
    two = two_cascades.find_two_cascades(parameters)
    one = np.array([10.0, 20.0, 30.0, 0.0, 0.0, 1000.0, 9000.0, np.nan, np.nan])  # flies down
    found = two_cascades.split_cascade(two, one, (0.25,), (40.0, 20.0))
    assert found[0].tolist() == [10, 20, 40, 0, 0, 750, 9000 - 10 / 0.299792458, 250, 40]
    assert found[1, 2] == 35 and found[1, 8] == 20
    np.testing.assert_allclose(two_cascades.as_one_cascade(two, found)[:, :7], np.stack([one, one])[:, :7])
    assert two_cascades.as_one_cascade(two, found)[:, 7].tolist() == [0, 0]
    assert two_cascades.length(two, found).tolist() == [40, 20]
    assert two_cascades.energy_asymmetry(two, found).tolist() == [0.5, 0.5]
    with pytest.raises(ReconstructionError, match="seed_energy_shares: expected shares between 0 and 1, got 1.5"):
        two_cascades.split_cascade(two, one, (1.5,), (40.0,))


def test_two_cascades_with_vertices_of_their_own():
    one = standard_parameters(("x", "y", "z", "zenith", "azimuth", "energy", "time"))
    parameters = tuple(p.under(source) for source in ("first", "second") for p in one)
    two = two_cascades.find_two_cascades(parameters)
    seed = np.array([10.0, 20.0, 30.0, 0.0, 0.0, 1000.0, 9000.0, *[np.nan] * 7])
    found = two_cascades.split_cascade(two, seed, (0.5,), (40.0,))[0]
    np.testing.assert_allclose(found[7:13], [10, 20, 10, 0, 0, 500])
    assert two_cascades.length(two, found) == pytest.approx(40) and len(two.of_second) == 7
    back = two_cascades.as_one_cascade(two, found)
    np.testing.assert_allclose(back[:7], seed[:7])
    assert two_cascades.find_two_cascades(one) is None


# Seeds.


def analytic_parameters():
    own = standard_parameters(("x", "y", "z", "zenith", "azimuth", "energy", "time"))
    return tuple(p.under("event") for p in own + further_cascades(1, 2))


MONOPOD = Particle(10.0, 20.0, 30.0, 0.0, 0.0, 1000.0, 9000.0, status=FitStatus.OK)


def test_seeds_come_from_particles_pairs_and_named_numbers():
    parameters = analytic_parameters()
    rules = seeds.SeedRules(("mono",), distances=(10.0, 50.0), distances_per_energy=(0.05,))
    found, note = seeds.hypotheses_of(MONOPOD, rules, parameters)
    assert note == "" and found[:, 8].tolist() == [10, 50, 50] and found[:, 7].tolist() == [500] * 3
    # A length of the seed counts before the distances; two particles are both cascades.
    found, _ = seeds.hypotheses_of(replace(MONOPOD, length=33.0), rules, parameters)
    assert found[:, 8].tolist() == [33]
    second = replace(MONOPOD, z=-10.0, energy=300.0)
    found, _ = seeds.hypotheses_of((MONOPOD, second), rules, parameters)
    assert found[:, [5, 7, 8]].tolist() == [[1000, 300, 40]]
    # Names of a table of fits: without the sources before them, a time spelled either way.
    named = dict(x=1.0, y=2.0, z=3.0, zenith=1.0, azimuth=2.0, energy=5.0, t=7.0)
    named |= {"cascade_00001_energy": 3.0, "cascade_00001_distance": 4.0}
    found, note = seeds.hypotheses_of(named, rules, parameters)
    assert note == "" and found.tolist() == [[1, 2, 3, 1, 2, 5, 7, 3, 4]]
    # A fit of one cascade of another model: its names tell what they are, its uncertainties are none of them.
    other = {f"cascade_{name}": value for name, value in zip("xyz", (1.0, 2.0, 3.0), strict=True)}
    other |= {
        "cascade_zenith": 0.0,
        "cascade_azimuth": 0.0,
        "cascade_energy": 8.0,
        "cascade_t": 7.0,
        "cascade_x_unc": 9.0,
    }
    found, note = seeds.hypotheses_of(other, seeds.SeedRules(("eg",), distances=(4.0,)), parameters)
    assert note == "" and found[0].tolist() == [1, 2, 5, 0, 0, 4, 7 - 2 / 0.299792458, 4, 4]


def test_what_seeds_lack_is_given_or_told():
    parameters, rules = analytic_parameters(), seeds.SeedRules(("mono",))
    found, note = seeds.hypotheses_of(MONOPOD, rules, parameters)
    assert len(found) == 0 and "no finite value of event_cascade_00001_energy, event_cascade_00001_distance" in note
    given = seeds.SeedRules(("mono",), {"event_cascade_00001_energy": 7.0, "cascade_00001_distance": 5.0})
    found, note = seeds.hypotheses_of(MONOPOD, given, parameters)
    assert note == "" and found[0, 7:].tolist() == [7, 5]
    assert (
        seeds.hypotheses_of(replace(MONOPOD, status=FitStatus.GENERAL_FAILURE), given, parameters)[1]
        == "is a fit that failed"
    )
    assert seeds.hypotheses_of((), given, parameters)[1] == "holds no particle"
    with pytest.raises(ReconstructionError, match="missing_seed_value_dict: 'enrgy' is no parameter.*Did you mean"):
        seeds.check_rules(seeds.SeedRules(("mono",), {"enrgy": 1.0}), parameters)
    with pytest.raises(ReconstructionError, match="seed_distances: are for hypotheses of two cascades"):
        seeds.check_rules(seeds.SeedRules(("mono",), distances=(5.0,)), parameters[:7])


def test_seeds_of_an_event_keep_their_places():
    rules = seeds.SeedRules(("absent", "mono"), distances=(10.0, 20.0))
    found, notes = seeds.seeds_of_event(FrameEvent(seeds={"mono": MONOPOD}), rules, analytic_parameters())
    assert found.shape == (4, 9) and np.isnan(found[:2]).all() and found[2:, 8].tolist() == [10, 20]
    assert notes == ["the frame has no seed 'absent'"]


# Tracks through a sphere.


def test_tracks_enter_the_sphere_and_come_back():
    track = Particle(0.0, 0.0, 100.0, 0.0, 0.0, 5e4, 10000.0)
    entry = sphere_track.sphere_seed(track)
    assert entry["entry_z"] == pytest.approx(750) and entry["entry_zenith"] == pytest.approx(0, abs=1e-6)
    assert entry["entry_t"] == pytest.approx(10000 - 650 / 0.299792458) and entry["entry_energy"] == 5e4
    moved = replace(track, x=550.0, z=-200.0)  # the same, 300 m lower, in a detector that is counted from there
    assert sphere_track.entering_track(moved, centre=(550.0, 0.0, -300.0)) == sphere_track.entering_track(track)
    assert sphere_track.sphere_seed(moved, centre=(550.0, 0.0, -300.0))["entry_z"] == pytest.approx(450)
    assert sphere_track.particle_of_entry(entry, centre=(550.0, 0.0, -300.0)).z == pytest.approx(450)
    back = sphere_track.particle_of_entry(entry)
    assert back.z == pytest.approx(750) and back.shape == "InfiniteTrack" and back.status == FitStatus.OK
    assert sphere_track.entering_track(replace(track, energy=np.nan))["entry_energy"] == 1e4
    assert np.isnan(sphere_track.entering_track(replace(track, x=np.nan))["entry_time"])
    assert sphere_track.particle_of_entry(entry | {"finite_length": 200.0}).shape == "StoppingTrack"


# Frames that wait.


def test_frames_wait_in_order_until_a_batch_is_full():
    worked: list[list[str]] = []
    waiting = Waiting(worked.append, 2)
    assert waiting.add("G", False) == ["G"] and waiting.add("p1", True) == [] and waiting.add("q", False) == []
    assert waiting.add("p2", True) == ["p1", "q", "p2"] and worked == [["p1", "p2"]]
    assert waiting.add("p3", True) == [] and waiting.flush() == ["p3"] and waiting.flush() == []
    assert worked[1:] == [["p3"]]
    # Frames without an event do not pile up behind one.
    assert waiting.add("p4", True) == []
    for _ in range(2 * HELD_PER_WANTED - 2):
        assert waiting.add("q", False) == []
    assert len(waiting.add("q", False)) == 2 * HELD_PER_WANTED and worked[2:] == [["p4"]]
    with pytest.raises(ConfigError, match="batch_frames: expected a whole number >= 1, got 0"):
        Waiting(worked.append, 0)


# Fits in a tray.


@pytest.fixture(scope="module")
def model(loaded_detector):
    return toy_model(loaded_detector)


@pytest.fixture(scope="module")
def directory(model, tmp_path_factory):
    return str(eg.save_model(model, tmp_path_factory.mktemp("icetray") / "two"))


@pytest.fixture(scope="module")
def pulses(model):
    """Columns of all events: event, string, om, time, charge."""
    drawn = EventSampler(model, (0.0, 20000.0))(TRUTH, jax.random.key(3), True, np.random.default_rng(1))
    string, om = np.asarray(model.detector.string)[drawn["dom"]], np.asarray(model.detector.om)[drawn["dom"]]
    return {**drawn, "string": string, "om": om, "charge": world.float32(drawn["charge"])}


SEEDS = {"Monopod": (12.0, 0.1), "Taupede": (-8.0, -0.1), "Other": (3.0, 0.2)}


def seed_values(name):
    """[E, 9], off the truth; Monopod's is one cascade."""
    shift, turn = SEEDS[name]
    values = TRUTH.copy()
    values[:, :3] += shift
    values[:, 3] += turn
    if name == "Monopod":
        values[:, 5] += values[:, 7]
        values[:, 7:] = np.nan
    return values


def event_frame(pulses, e, **more):
    own = pulses["event"] == e
    objects = dict(
        I3EventHeader=world.header(7, e),
        BadDomsList=world.sensor_list(BAD),
        CalibrationErrata=world.window_map(WINDOW),
        Monopod=world.particle(seed_values("Monopod")[e]),
        Other=world.numbers(**dict(zip(("x", "y", "z", "zenith", "azimuth", "energy", "time"), seed_values("Other")[e][:7], strict=True)),
                            cascade_00001_energy=seed_values("Other")[e][7], cascade_00001_distance=seed_values("Other")[e][8]),
    )  # fmt: skip
    first = seed_values("Taupede")[e]
    flight = -np.array([np.sin(first[3]) * np.cos(first[4]), np.sin(first[3]) * np.sin(first[4]), np.cos(first[3])])
    second = [*(first[:3] + first[8] * flight), first[3], first[4], first[7], first[6]]
    objects["Taupede"] = dataclasses.I3VectorI3Particle([world.particle(first), world.particle(second)])
    objects[world.PULSES] = world.pulse_map(*(pulses[c][own] for c in ("string", "om", "time", "charge")))
    return world.frame("P", **(objects | more))


ARGUMENTS = dict(
    pulse_key=world.PULSES,
    seed_keys=["Monopod", "Taupede", "Other"],
    output_key="Fit",
    add_covariances=True,
    readout_window_key="",
    seed_distances=[20.0],
)


@pytest.fixture(scope="module")
def fitted(directory, pulses):
    """Frames behind the segment: Q and P frames of four events, two of which are fitted together."""
    given = [world.frame("G", I3Geometry=world.geometry(eg.load_detector(f"{directory}/detector.csv")))]
    for e in range(len(TRUTH)):
        given += [world.frame("Q", I3EventHeader=world.header(7, e)), event_frame(pulses, e)]
    parameters = dict(ARGUMENTS, model_names=directory, batch_frames=len(TRUTH), add_log_likelihood_ratio=True)
    return world.run(given, (ApplyEventGeneratorReconstruction, "apply", parameters))


def test_the_example_of_the_page_can_be_added(directory):
    page = Path(__file__).parents[1] / "docs" / "how_to" / "icetray.md"
    (code,) = re.findall(r"```py\n(.*?)```", page.read_text(), re.DOTALL)
    tray = icetray.I3Tray()
    exec(code.replace("DIR", directory), {"tray": tray})  # noqa: S102 (the example itself)


@pytest.mark.parametrize(
    "check",
    [face.test_every_name_is_there_once_and_on_the_contents_page, face.test_type_checkers_see_the_names_that_there_are],
)
def test_names_are_those_of_the_contents_page_and_the_stub(check):
    check(evgen_jax.icetray)


def test_without_icetray_there_is_one_line(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "icecube"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("evgen_jax.data.i3_file.find_spec", lambda name: None)
    with pytest.raises(DataError, match="EventGeneratorSimulation needs IceTray .*cannot be imported here"):
        evgen_jax.icetray.__getattr__("EventGeneratorSimulation")


def ids(found):
    return [(world.stop_of(own), own["I3EventHeader"].event_id) for own in found if own.Has("I3EventHeader")]


def test_the_segment_gives_the_numbers_of_the_command(fitted, directory, pulses, model, tmp_path, command):
    """The same pulses in an HDF5 file, with the exclusions that the segment makes and the seeds that it makes."""
    two, columns = two_cascades.find_two_cascades(model.parameters), model.parameter_names
    split = np.array([two_cascades.split_cascade(two, own, (0.5,), (20.0,))[0] for own in seed_values("Monopod")])
    tables = {"Ids": {"number": np.arange(len(TRUTH))}}
    for name, values in (("Monopod", split), ("Taupede", seed_values("Taupede")), ("Other", seed_values("Other"))):
        tables[name] = dict(zip(column_names(model.parameters), values.T, strict=True))
    key = (pulses["string"] == WINDOW[0]) & (pulses["om"] == WINDOW[1])
    masked = key & (pulses["time"] >= WINDOW[2]) & (pulses["time"] <= WINDOW[3])
    masked |= (pulses["string"] == BAD[0]) & (pulses["om"] == BAD[1])
    assert masked.any()
    kept = {name: pulses[name][~masked] for name in ("event", "string", "om", "time", "charge")}
    everywhere = np.tile(np.array([WINDOW]), (len(TRUTH), 1))
    window = {"string": everywhere[:, 0], "om": everywhere[:, 1], "start": everywhere[:, 2], "stop": everywhere[:, 3]}
    write_events(
        tmp_path / "events.hdf5", 7, len(TRUTH), kept, tables | {"Windows": window}, pulse_key="Pulses",
        dom_tables={"Bad": (np.array([BAD[0]]), np.array([BAD[1]]))},
    )  # fmt: skip
    settings = ["data_settings.pulse_key=Pulses", "data_settings.event_id_key=Ids", "data_settings.dom_exclusions_key=Bad",
                "data_settings.time_exclusions_key=Windows"]  # fmt: skip
    chosen = [text for own in settings for text in ("--set", f"data_handler_settings.{own}")]
    chosen += ["--set", "reconstruction_settings.seed=[Monopod, Taupede, Other]"]
    code, _, errors = command("reconstruct", directory, tmp_path / "events.hdf5", "-o", tmp_path / "fits.hdf5", *chosen)
    assert code == 0, errors
    rows = read_table(tmp_path / "fits.hdf5")
    found = [own for own in fitted if own.Has("Fit")]
    assert len(found) == len(rows) == len(TRUTH)
    for own, row in zip(found, rows, strict=True):
        values = dict(own["Fit"].items())
        for name in (*columns, *(f"{c}_unc" for c in columns), "gradient_norm", "angular_unc"):
            assert values[name] == pytest.approx(row[name], rel=1e-6, abs=1e-9), name
        assert -values["loss_reco"] == pytest.approx(row["log_likelihood"], rel=1e-9)
        assert values["best_seed"] == row["best_seed"] and values["minimization_success"] == row["converged"]
        covariance = dict(own["Fit_cov_matrix_cov"].items())
        assert covariance["event_x_event_y"] == pytest.approx(row["cov_event_x_event_y"], rel=1e-6)


def test_a_fit_says_what_it_is(fitted, directory, model):
    first = next(own for own in fitted if own.Has("Fit"))
    values, particle = dict(first["Fit"].items()), first["Fit_I3Particle"]
    assert int(particle.fit_status) == values["fit_status"] == FitStatus.OK
    assert str(particle.shape) == "Cascade" and str(particle.type) == "EMinus"
    assert particle.energy == pytest.approx(values["event_energy"] + values["event_cascade_00001_energy"])
    assert particle.length == pytest.approx(values["length"]) == pytest.approx(values["event_cascade_00001_distance"])
    both = list(first["Fit_I3Particles"])
    assert [own.energy for own in both] == pytest.approx([values["event_energy"], values["event_cascade_00001_energy"]])
    apart = np.array([[own.pos.x, own.pos.y, own.pos.z] for own in both])
    assert np.linalg.norm(apart[1] - apart[0]) == pytest.approx(abs(values["length"]))
    assert values["energy_asymmetry"] == pytest.approx((both[0].energy - both[1].energy) / particle.energy)
    assert first["Fit_model"].value == directory and first["Fit_status"].value == "converged"
    assert first["Fit_seed"].value in ARGUMENTS["seed_keys"]
    # Two cascades that are apart fit better than one, and never worse.
    ratios = [dict(own["Fit"].items())["log_likelihood_ratio"] for own in fitted if own.Has("Fit")]
    assert min(ratios) > -1e-3 and max(ratios) > 10


def test_frames_keep_their_order_and_helpers_are_deleted(fitted):
    assert ids(fitted) == [(stop, e) for e in range(len(TRUTH)) for stop in "QP"]
    assert not [key for own in fitted for key in own.keys() if "CombinedExclusions" in key]  # noqa: SIM118


def test_other_batches_give_the_same_fits_in_the_same_order(fitted, directory, pulses):
    parameters = dict(ARGUMENTS, model_names=directory, batch_frames=3, add_covariances=False, clean_up=False)
    found = world.run(
        [event_frame(pulses, e) for e in range(4)], (ApplyEventGeneratorReconstruction, "apply", parameters)
    )
    assert ids(found) == [("P", e) for e in range(4)]
    for own, other in zip(found, (own for own in fitted if own.Has("Fit")), strict=True):
        for name in ("loss_reco", "event_x", "event_zenith"):
            assert own["Fit"][name] == pytest.approx(other["Fit"][name], rel=1e-6), name
        assert own.Has("applyCombinedExclusionsPulses") and len(own["applyCombinedExclusionsDOMs"]) == 1
        assert not own.Has("Fit_cov_matrix_cov")


def test_a_broken_frame_in_the_middle_gets_a_marker_and_the_tray_goes_on(directory, pulses, caplog):
    nothing = world.pulse_map([], [], [], [])
    foreign = world.pulse_map([200], [1], [100.0], [1.0])
    given = [
        event_frame(pulses, 0),
        event_frame(pulses, 1, **{world.PULSES: dataclasses.I3String("no pulses")}),
        event_frame(pulses, 2, **{world.PULSES: nothing}),
        event_frame(pulses, 3, Monopod=world.particle(np.full(7, np.nan)), Taupede=dataclasses.I3VectorI3Particle([])),
        event_frame(pulses, 1, **{world.PULSES: foreign}),
        event_frame(pulses, 1),
    ]
    given[3].Delete("Other")
    given[5].Delete("Monopod")
    parameters = dict(ARGUMENTS, model_names=directory, batch_frames=4, add_covariances=False)
    found = world.run(given, (ApplyEventGeneratorReconstruction, "apply", parameters))
    status = [int(own["Fit"]["fit_status"]) for own in found]
    assert ids(found) == [("P", e) for e in (0, 1, 2, 3, 1, 1)]
    assert status == [
        FitStatus.OK,
        FitStatus.GENERAL_FAILURE,
        FitStatus.INSUFFICIENT_HITS,
        FitStatus.MISSING_SEED,
        FitStatus.GENERAL_FAILURE,
        FitStatus.OK,
    ]
    texts = [own["Fit_status"].value for own in found]
    assert "cannot be read as pulses" in texts[1] and texts[2] == "no usable pulse"
    assert "the frame has no seed 'Other'" in texts[3] and "seed 'Taupede' holds no particle" in texts[3]
    assert "string 200, om 1, which the detector" in texts[4]
    assert texts[5] == "converged; the frame has no seed 'Monopod'"
    assert len({tuple(own["Fit"].keys()) for own in found}) == 1  # tableio takes columns from the first frame
    for own in found[1:5]:
        assert np.isnan(own["Fit"]["loss_reco"]) and np.isnan(own["Fit_I3Particle"].pos.x)
        assert int(own["Fit_I3Particle"].fit_status) == int(own["Fit"]["fit_status"])
    assert "4 of 6 events could not be fitted" in caplog.text
    assert "no frame had the exclusions" not in caplog.text


def test_events_are_chosen_and_others_keep_their_place(directory, pulses):
    given = [event_frame(pulses, e) for e in range(3)]
    parameters = dict(ARGUMENTS, model_names=directory, add_covariances=False)
    parameters["If"] = lambda own: own["I3EventHeader"].event_id == 1
    found = world.run(given, (EventGeneratorReconstruction, "fit", parameters))
    assert ids(found) == [("P", 0), ("P", 1), ("P", 2)] and [own.Has("Fit") for own in found] == [False, True, False]
    given = [event_frame(pulses, e) for e in range(3)]
    found = world.run(given, (ApplyEventGeneratorReconstruction, "apply", parameters | {"clean_up": False}))
    for key in ("Fit", "applyCombinedExclusionsPulses"):
        assert [own.Has(key) for own in found] == [False, True, False]


def test_parameters_that_cannot_be_are_one_message(directory, pulses, loaded_detector):
    def fails(message, frames=(), **changes):
        with pytest.raises((EvgenError, RuntimeError), match=message):
            parameters = dict(ARGUMENTS, model_names=directory, add_covariances=False) | changes
            world.run(list(frames), (ApplyEventGeneratorReconstruction, "apply", parameters))

    fails("'seed_kyes' is no parameter.*Did you mean 'seed_keys'", seed_kyes=["a"])
    fails("parameter_boundaries.*enrgy", parameter_boundaries={"enrgy": [1.0, 2.0]})
    fails("batch_frames: expected a whole number >= 1", batch_frames=0)
    fails("seed_keys: expected", seed_keys=None)
    moved = world.frame("G", I3Geometry=world.geometry(loaded_detector, 3.0))
    fails("stands 3 m from its place", [moved, event_frame(pulses, 0)])
    fails("the frame has a 'Fit' already", [event_frame(pulses, 0, Fit=world.numbers(a=1.0))])


def test_lists_of_the_caller_stay_as_they_are(directory, pulses):
    excluded, keys = ["BadDomsList"], ["Monopod"]
    for _ in range(2):
        parameters = dict(ARGUMENTS, model_names=directory, dom_and_tw_exclusions=excluded, seed_keys=keys)
        world.run([], (ApplyEventGeneratorReconstruction, "apply", parameters))
    assert excluded == ["BadDomsList"] and keys == ["Monopod"]


@pytest.mark.skipif(not world.REAL, reason=world.WHY_NOT)
def test_frames_go_through_a_file_and_a_mask_of_pulses(directory, pulses, tmp_path):
    """IceTray itself: frames are written and read, P frames get what their Q frame holds, a mask stands for its pulses."""
    path = tmp_path / "events.i3.zst"
    given = []
    for e in range(2):
        own = event_frame(pulses, e)
        given += [world.frame("Q", I3EventHeader=world.header(7, e), Q=own[world.PULSES]), own]
        own["Mask"] = dataclasses.I3RecoPulseSeriesMapMask(own, world.PULSES)
    world.write_i3(path, given)
    parameters = dict(ARGUMENTS, model_names=directory, add_covariances=False, pulse_key="Mask")
    read = list(frames_of(path))
    found = world.run(read, (ApplyEventGeneratorReconstruction, "apply", parameters))
    assert ids(found) == [(stop, e) for e in range(2) for stop in "QP"]
    fits = [own for own in found if own.Has("Fit")]
    assert len(fits) == 2 and all(own["Fit"]["fit_status"] == 0 and own.Has("Q") for own in fits)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


@pytest.mark.nightly
def test_two_thousand_frames_hold_memory_flat(directory, pulses):
    """Memory, MB, after 500 frames and after 2000: frames and fits that have gone on leave nothing behind."""
    seen: list[float] = []

    def given():
        for i in range(2000):
            yield world.frame("Q", I3EventHeader=world.header(7, i))
            yield event_frame(pulses, i % len(TRUTH))

    def count(frame):
        seen.append(resident())

    parameters = dict(ARGUMENTS, model_names=directory, add_covariances=True)
    world.run(given, (ApplyEventGeneratorReconstruction, "apply", parameters), collect=count, all_stops="P")
    assert len(seen) == 2000
    print(f"MB after 500, 1000, 1500 and 2000 frames: {[round(seen[i - 1]) for i in (500, 1000, 1500, 2000)]}")
    assert seen[-1] - seen[499] < 60
