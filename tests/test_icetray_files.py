"""I3 files as tables and detectors, and the modules of IceTray that simulate, seed, convert and draw."""

import numpy as np
import pytest
import tray as world
from icecube import dataclasses
from test_icetray import PULSES, TRUTH, event_frame, pulses, seed_values  # noqa: F401
from toy_cascade import ONE, toy_model

import evgen_jax as eg
from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.formats.open import open_tables
from evgen_jax.data.gcd import load_gcd
from evgen_jax.errors import ConfigError, DataError, DetectorError
from evgen_jax.icetray import (
    ApplyEventGeneratorVisualizeBestFit,
    CascadeClusterSearchModule,
    EventGeneratorSimulation,
    FlagSLCDeadTimeWindows,
    SphereInfTrackParticleConverter,
    SphereInfTrackSeedConverter,
    simulation,
)
from evgen_jax.icetray.records import Particle


@pytest.fixture(scope="module")
def model(loaded_detector):
    return toy_model(loaded_detector)


@pytest.fixture(scope="module")
def i3_file(pulses, tmp_path_factory, loaded_detector):  # noqa: F811
    """Geometry, calibration, status, four events with pulses, exclusions, seeds and truth, the third without a seed."""
    path = tmp_path_factory.mktemp("i3") / "events.i3"
    world.write_i3(path, made_frames(pulses, loaded_detector))
    return path


def made_frames(columns, detector):
    yield world.frame("G", I3Geometry=world.geometry(detector))
    yield world.frame("C", I3Calibration=world.calibration(detector, 1.35, 6e-7))
    status = world.status(detector, off=[(1, 1)])
    yield world.frame("D", I3DetectorStatus=status, BadDomsList=world.sensor_list((2, 3)))
    for e in range(len(TRUTH)):
        yield world.frame("Q", I3EventHeader=world.header(7, e))
        names = ("x", "y", "z", "zenith", "azimuth", "energy", "time", "cascade_00001_energy", "cascade_00001_distance")
        own = event_frame(columns, e, Truth=world.numbers(**dict(zip(names, TRUTH[e], strict=True))))
        if e == 2:
            own.Delete("Monopod")
        yield own


def test_tables_of_an_i3_file_are_those_of_tableio(i3_file, pulses):  # noqa: F811
    with open_tables(i3_file) as file:
        assert {PULSES, "CalibrationErrata", "Monopod", "Taupede", "Other", "Truth", "I3EventHeader"} <= set(
            file.table_names
        )
        for name in (PULSES, "Monopod", "Truth"):  # known before a table is read
            assert file.columns(name) == file.read(name).dtype.names
        rows = file.read(PULSES, ("string", "om", "charge", "time"))
        assert rows.dtype.names[:5] == ("Run", "Event", "SubEvent", "SubEventStream", "exists")
        order = np.lexsort((pulses["om"], pulses["string"], pulses["event"]))
        for name, column in (
            ("Event", "event"),
            ("string", "string"),
            ("om", "om"),
            ("time", "time"),
            ("charge", "charge"),
        ):
            np.testing.assert_array_equal(rows[name], pulses[column][order])
        seeds = file.read("Monopod", ("x", "energy"))
        assert seeds["exists"].tolist() == [1, 1, 0, 1] and np.isnan(seeds["x"][2])
        np.testing.assert_allclose(seeds["energy"][[0, 1, 3]], seed_values("Monopod")[[0, 1, 3], 5])
        assert len(file.read("Taupede")) == 8 and file.read("Taupede")["vector_index"].tolist() == [0, 1] * 4
        np.testing.assert_allclose(file.read("Truth")["zenith"], TRUTH[:, 3])
        windows = file.read("CalibrationErrata", ("start_time", "stop_time"))
        assert windows["start_time"].tolist() == [9000] * 4 and windows["Event"].tolist() == [0, 1, 2, 3]
        with pytest.raises(DataError, match="table 'SplitPulse' is missing.*Did you mean 'SplitPulses'"):
            file.read("SplitPulse")


def test_events_of_an_i3_file_are_read_like_those_of_others(i3_file, loaded_detector):
    handler = DataHandlerSettings.model_validate(
        {
            "data_settings": {"pulse_key": PULSES, "event_id_key": "I3EventHeader", "time_exclusions_key": "CalibrationErrata",
                              "dom_exclusions_key": "BadDomsList"},
            "label_settings": {"label_key": "Truth"},
        }
    )  # fmt: skip
    file = read_event_file(
        i3_file, handler, loaded_detector, labels=False, seed_names=("Monopod",), seed_columns=("x", "energy")
    )
    assert len(file) == len(TRUTH) and file.faults == {} and file.packed.dropped > 0
    assert np.isnan(file.seeds["Monopod"][2]).all() and np.isfinite(file.seeds["Monopod"][[0, 1, 3]]).all()


def test_the_detector_of_a_gcd_file(i3_file, loaded_detector, tmp_path, command):
    found = load_gcd(i3_file)
    code, _, errors = command("detector", i3_file, "-o", tmp_path / "table.csv")
    assert code == 0, errors
    np.testing.assert_allclose(eg.load_detector(tmp_path / "table.csv").position, found.position)
    code, _, errors = command("detector", i3_file, "-o", tmp_path / "other.csv", "--area", "0.1")
    assert code == 2 and "--area and --kind are not for GCD files" in errors
    np.testing.assert_allclose(found.position, loaded_detector.position)
    assert np.allclose(found.relative_efficiency, 1.35) and np.allclose(found.noise_rate, 6e-7)
    dead = {(int(s), int(o)) for s, o, u in zip(found.string, found.om, found.usable, strict=True) if not u}
    assert dead == {(1, 1), (2, 3)}
    found.to_csv(tmp_path / "detector.csv")
    np.testing.assert_allclose(eg.load_detector(tmp_path / "detector.csv").position, loaded_detector.position)
    with pytest.raises(DetectorError, match="is an I3 file.*evgen-jax detector events.i3 -o detector.csv"):
        eg.load_detector(i3_file)
    world.write_i3(tmp_path / "empty.i3", [world.frame("Q", I3EventHeader=world.header(1, 2))])
    with pytest.raises(DataError, match="has no geometry frame"):
        load_gcd(tmp_path / "empty.i3")
    with pytest.raises(DataError, match="no such file"):
        load_gcd(tmp_path / "absent.i3")


# Simulation.


def node(kind, energy, *daughters, z=0.0, length=np.nan, time=10000.0):
    return simulation.TreeNode(Particle(0.0, 0.0, z, 1.0, 2.0, energy, time, length, kind=kind), daughters)


def test_cascades_of_a_tree():
    tree = [
        node(
            "NuE",
            1e5,
            node("EMinus", 5e4, node("Gamma", 1e3)),
            node("Hadrons", 5e4, node("Pi0", 3e4), node("Gamma", 10.0)),
            z=9e4,
        )
    ]
    found = simulation.cascades_of(tree)
    assert [(own.kind, own.energy) for own in found] == [("EMinus", 5e4), ("Pi0", 3e4)]
    assert [own.kind for own in simulation.cascades_of(tree, electron_daughters=True)] == ["Gamma", "Pi0"]
    assert len(simulation.cascades_of(tree, min_energy=1.0)) == 3
    far = node("Brems", 1e3, z=3000.0)
    assert (
        simulation.cascades_of([far]) == []
        and len(simulation.cascades_of([node("Brems", 1e3, z=3000.0, length=800.0)])) == 1
    )
    with pytest.raises(DataError, match="the tree has a MuMinus of 500 GeV at 0 m, which cascades do not describe"):
        simulation.cascades_of([node("NuMu", 1e3, node("MuMinus", 500.0, node("Brems", 200.0)))])
    with pytest.raises(DataError, match="Hadrons of 500 GeV without daughters"):
        simulation.cascades_of([node("Hadrons", 500.0)])


@pytest.fixture(scope="module")
def one(loaded_detector):
    return toy_model(loaded_detector, ONE)


def test_noise_is_drawn_once_and_charges_have_a_response(one):
    cascade, noise = simulation.parts_of(one, "one")
    sampler = simulation.TreeSampler(cascade, noise, 3)
    bright = Particle(0.0, 0.0, 0.0, 1.0, 2.0, 3e4, 10000.0)
    hypotheses = simulation.hypotheses_of_cascades(cascade, [bright] * 8, {"Absorption": 1.0}, "default_values")
    window = (0.0, 4e6)
    drawn = sampler(hypotheses, 0, window)
    expected = simulation.expected_charges(cascade, hypotheses).sum()
    noisy = float(np.sum(np.asarray(one.detector.noise_rate)) * (window[1] - window[0]))
    late = drawn["time"] > 20000.0
    assert drawn["charge"][~late].sum() == pytest.approx(expected, rel=6 / np.sqrt(expected))
    assert abs(late.sum() - noisy) < 6 * np.sqrt(noisy)
    assert np.std(drawn["charge"]) > 0.1 and np.all(np.diff(drawn["dom"]) >= 0)
    again = sampler(hypotheses, 0, window)
    np.testing.assert_array_equal(again["time"], drawn["time"])
    other = sampler(hypotheses, 1, window)
    assert len(other["time"]) != len(drawn["time"]) or np.any(other["time"] != drawn["time"])
    with pytest.raises(ConfigError, match="expected a model of one cascade"):
        simulation.parts_of(toy_model(one.detector), "two")


def test_the_simulation_writes_pulses_of_a_tree(one, tmp_path):
    directory = str(eg.save_model(one, tmp_path / "one"))
    tree = dataclasses.I3MCTree()
    primary = world.particle([0, 0, 0, 1.0, 2.0, 1e5, 10000.0], shape="Null")
    primary.type = dataclasses.I3Particle.ParticleType.NuE
    tree.add_primary(primary)
    for energy in (2e4, 1e4, 50.0):
        shower = world.particle([0, 0, 0, 1.0, 2.0, energy, 10000.0])
        shower.type = dataclasses.I3Particle.ParticleType.EMinus
        tree.append_child(primary, shower)
    parameters = dict(model_name=directory, output_key="Sim", StoreChargePrediction=True, MergePulses=True)
    (own,) = world.run([world.frame("Q", I3MCTree=tree)], (EventGeneratorSimulation, "simulate", parameters))
    drawn = [pulse for _, series in own["Sim"].items() for pulse in series]
    expected = sum(pulse.charge for _, series in own["Sim_Prediction"].items() for pulse in series)
    total = sum(pulse.charge for pulse in drawn)
    assert total == pytest.approx(expected, rel=0.5) and expected > 20
    window = own["SimTimeRange"]
    assert all(window.start <= pulse.time <= window.stop for pulse in drawn)
    with pytest.raises((DataError, RuntimeError), match="the frame has no 'I3MCTree'"):
        world.run([world.frame("Q")], (EventGeneratorSimulation, "simulate", parameters))


# Seeds, converters, figures.


def test_clusters_of_light_become_seeds(loaded_detector):
    two = [(1, om, 10000.0 + 5 * om, 5.0) for om in range(1, 5)] + [(9, om, 10900.0, 9.0) for om in range(8, 12)]
    held = world.pulse_map(*zip(*two, strict=True))
    given = [world.frame("G", I3Geometry=world.geometry(loaded_detector)), world.frame("P", Pulses=held)]
    parameters = dict(pulse_key="Pulses", n_clusters=3, min_dist=150.0)
    found = world.run(given, (CascadeClusterSearchModule, "clusters", parameters))[-1]["CascadeClusters"]
    assert found["found_clusters"] == 2 and np.isinf(found["cluster_000002_x"]) and np.isfinite(found["zenith"])
    # The brighter one first, at its string.
    assert found["cluster_000000_x"] == pytest.approx(110) and found["cluster_000001_x"] == pytest.approx(-110)
    assert found["cluster_000001_t"] < found["cluster_000000_t"]
    vertex = world.particle([110.0, 110.0, 80.0, 0.0, 0.0, 1.0, 1.0])
    given[1] = world.frame("P", Pulses=held, Vertex=vertex)
    parameters |= {"initial_clusters_particles": ["Vertex"], "output_key": "WithVertex"}
    found = world.run(given, (CascadeClusterSearchModule, "clusters", parameters))[-1]["WithVertex"]
    assert (
        found["found_clusters"] == 2
        and found["cluster_000000_z"] == 80
        and found["cluster_000001_x"] == pytest.approx(-110)
    )


def test_converters_and_dead_times_in_a_tray():
    isolated = world.pulse_map([1, 1], [1, 1], [100.0, 2200.0], [1.0, 1.0], [4, 1])
    own = world.frame("P", Track=world.particle([0, 0, 100.0, 0.5, 1.0, np.nan, 10000.0]), Pulses=isolated)
    steps = (
        (SphereInfTrackSeedConverter, "to", {"seed_key": "Track"}),
        (SphereInfTrackParticleConverter, "back", {"label_key": "Track_SphereInfTrackSeed"}),
        (FlagSLCDeadTimeWindows, "flag", {"PulseKey": "Pulses", "RunOnPFrames": True}),
    )
    (found,) = world.run([own], *steps)
    seed, back = found["Track_SphereInfTrackSeed"], found["Track_SphereInfTrackSeed_I3Particle"]
    assert seed["entry_energy"] == 1e4 and np.hypot(
        np.hypot(seed["entry_x"], seed["entry_y"]), seed["entry_z"]
    ) == pytest.approx(750)
    assert [back.pos.x, back.pos.z] == pytest.approx([seed["entry_x"], seed["entry_z"]])
    ((_, windows),) = found["SLCDeadTimeWindows"].items()
    assert (windows[0].start, windows[0].stop) == (150.0, 2200.0)
    with pytest.raises((ConfigError, RuntimeError), match="label_key: the frame's 'Track' lacks"):
        world.run([own], (SphereInfTrackParticleConverter, "back", {"label_key": "Track"}))


def test_figures_of_fits(model, pulses, tmp_path):  # noqa: F811
    directory = str(eg.save_model(model, tmp_path / "two"))
    fit = world.numbers(**dict(zip(model.parameter_names, TRUTH[1], strict=True)))
    parameters = dict(
        pulse_key=PULSES,
        reco_key="Fit",
        model_names=directory,
        output_dir=str(tmp_path / "figures"),
        n_doms_x=2,
        n_doms_y=1,
    )
    given = [event_frame(pulses, 1, Fit=fit), event_frame(pulses, 2)]
    found = world.run(given, (ApplyEventGeneratorVisualizeBestFit, "draw", parameters))
    assert len(found) == 2
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == [
        "dom_cdf_000007_000001.png",
        "dom_pdf_000007_000001.png",
    ]
