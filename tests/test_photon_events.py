"""Events that are simulated photon by photon: charges, times, shared photons, files, and what cannot be simulated so."""

import json
from dataclasses import replace

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import write_config
from zoo import ZOO

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_counterpart, analytic_model
from evgen_jax.config.records import ModelSettings, SimulationSettings
from evgen_jax.config.validate import load_config, validate
from evgen_jax.data.writer import TABLE_LIGHT
from evgen_jax.errors import ConfigError, DataError
from evgen_jax.physics.geometry import flight_direction, shower_maximum
from evgen_jax.physics.transport.spheres import radii_from
from evgen_jax.simulation.expected_pulses import expected_pulses
from evgen_jax.simulation.photomultiplier import measured_times
from evgen_jax.simulation.photons import PhotonSampler
from evgen_jax.simulation.showers import with_shared_maxima
from evgen_jax.simulation.simulate import OF_OTHER_LIGHT, simulate

SMALLEST = 0.01
"""Smallest charge of expected pulses here, PE."""
CASCADE = np.array([10.0, -20.0, 15.0, 1.1, 2.0, 3000.0, 9000.0])
CASCADES = ModelSettings(model_class="AnalyticCascadeModel")
FEW = {"light": "photons", "photons": 3000, "sphere_radius": 8.0}


def sampled(model, hypotheses, seed=1, **settings):
    sampler = PhotonSampler(model, SimulationSettings(**(FEW | settings)))
    return sampler(np.asarray(hypotheses), jax.random.key(3), False, np.random.default_rng(seed))


def charges(pulses, event: int = 0, modules: int = 108) -> np.ndarray:
    own = pulses["event"] == event
    return np.bincount(pulses["dom"][own], pulses["charge"][own], modules)


@pytest.fixture(scope="module")
def cascades(detector) -> eg.Model:
    return analytic_model(detector, CASCADES)


@pytest.fixture(scope="module")
def files(tmp_path_factory, detector):
    directory = tmp_path_factory.mktemp("photons")
    settings = ["light=photons", "photons=500", "num_events=6", "events_per_file=3", "events_per_cascade=2"]
    config = load_config(write_config(directory, detector), [f"simulation_settings.{text}" for text in settings])
    return config, directory, simulate(config, directory / "events")


def test_photoelectrons_are_drawn_from_the_expected_charges(cascades):
    """Charges of events that share photons are Poissonian about the sum of the weights, and their times those of the weights."""
    count = 60
    same = np.tile(CASCADE, (count, 1))
    drawn = sampled(cascades, same, events_per_cascade=count)
    expected = sampled(cascades, CASCADE[None], draw=False, smallest_charge=SMALLEST)
    mean, whole = charges(expected), np.bincount(drawn["dom"], drawn["charge"], 108) / count
    assert mean[5] == whole[5] == 0, "a module that is not usable"
    assert np.all(drawn["charge"] == 1) and np.all(expected["charge"] >= SMALLEST)
    # Thinned pulses are of at least 0.01 PE, drawn ones of 1 PE in each of 60 events.
    off = (whole - mean) / np.sqrt(mean * (1 / count + SMALLEST) + 1e-3)
    assert np.mean(off**2) < 1.5 and mean.sum() > 100
    each = np.bincount(drawn["event"], minlength=count)
    assert each.std() == pytest.approx(np.sqrt(each.mean()), rel=0.35), "shot noise of events"
    middle = [np.average(p["time"], weights=p["charge"]) for p in (drawn, expected)]
    assert abs(middle[0] - middle[1]) < 10 and middle[1] > CASCADE[6]
    assert not np.any((drawn["time"] < CASCADE[6] - 12) | (drawn["time"] > 20000))


def test_events_of_shared_photons_have_one_maximum(cascades):
    """The energy scales the light and moves the vertex along the axis; times move the pulses alone."""
    rng = np.random.default_rng(0)
    several = CASCADE * rng.uniform(0.7, 1.3, (5, 7))
    several[:, 5], several[:, 6] = [1e3, 4e3, 2e4, 5e3, 7e3], [9000.0, 8000.0, 7000.0, 1.0, 2.0]
    shared = with_shared_maxima(several, cascades.parameters, 3, 0.9216)
    np.testing.assert_array_equal(shared[:, 5:], several[:, 5:])
    np.testing.assert_array_equal(shared[1:3, 3:5], several[[0, 0], 3:5])
    np.testing.assert_array_equal(shared[3], several[3])
    direction = np.asarray(flight_direction(jnp.asarray(shared[:, 3]), jnp.asarray(shared[:, 4])))
    maximum = shared[:, :3] + np.asarray(shower_maximum(jnp.asarray(shared[:, 5])))[:, None] * direction
    np.testing.assert_allclose(maximum[:3], maximum[[0, 0, 0]], atol=1e-4)
    assert np.linalg.norm(shared[2, :3] - shared[0, :3]) > 1
    pulses = sampled(cascades, shared[:3], events_per_cascade=3, draw=False)
    total = [charges(pulses, event).sum() for event in range(3)]
    np.testing.assert_allclose(total, total[0] * np.array([1, 4, 20]), rtol=0.03)
    first = [pulses["time"][pulses["event"] == event].min() for event in range(3)]
    np.testing.assert_allclose(np.subtract(first, shared[:3, 6]), first[0] - shared[0, 6], atol=20)
    again = sampled(cascades, shared[:3], draw=False)
    assert charges(again, 0).sum() == pytest.approx(total[0], rel=0.03), "alone it has the photons of the group"
    np.testing.assert_array_equal(with_shared_maxima(several, cascades.parameters, 1, 1.0), several)


def test_several_cascades_share_the_photons_of_an_event(detector, cascades):
    two = ModelSettings(
        model_class="IndependentMultiSource",
        config={"sources": {"a": "c", "b": "c"}},
        multi_source_bases={"c": CASCADES},
    )
    other = CASCADE * np.array([-1, 1, -1, 1.5, 1, 2, 1])
    model = analytic_model(detector, two)
    both = charges(sampled(model, np.concatenate([CASCADE, other])[None], photons=9000, draw=False))
    each = [charges(sampled(cascades, [h], photons=6000, draw=False)) for h in (CASCADE, other)]
    assert both.sum() == pytest.approx(sum(e.sum() for e in each), rel=0.1)
    lit = sum(each) > 2
    assert np.std(np.log(both[lit] / sum(each)[lit])) < 0.4
    with pytest.raises(ConfigError, match="events_per_cascade: got 2; events of several cascades share no photons"):
        with_shared_maxima(np.concatenate([CASCADE, other])[None], model.parameters, 2, 1.0)


def test_cascades_along_an_axis_and_without_energy(detector):
    section, hypothesis = ZOO["starting cascades"]
    counterpart = analytic_counterpart(validate(ModelSettings, section, "test"), lambda path: None)
    model = analytic_model(detector, counterpart)
    dark = np.array(hypothesis)
    dark[[5, 7, 9, 11]] = 0
    pulses = sampled(model, [hypothesis, dark])
    assert len(pulses["event"]) > 100 and not np.any(pulses["event"] == 1)
    shared = sampled(model, [dark, hypothesis], events_per_cascade=2)
    assert len(shared["event"]) > 100 and not np.any(shared["event"] == 0)


def test_a_detector_without_usable_modules(detector):
    blind = detector.replace(usable=np.zeros(108, bool))
    with pytest.raises(ConfigError, match="detector 'small': none of its 108 modules is usable"):
        PhotonSampler(analytic_model(blind, CASCADES), SimulationSettings(**FEW))


def test_sensors_take_light_from_where_they_look(detector):
    """Photomultipliers at one place: each has its share by its axis, area, efficiency and curve, and the light of one module."""
    both = np.repeat(np.arange(108), 2)
    up = np.tile([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]], (108, 1)).astype(np.float32)
    per_sensor = {
        name: np.asarray(getattr(detector, name))[both]
        for name in ("position", "relative_efficiency", "noise_rate", "string", "usable", "area", "kind")
    }
    pairs = replace(detector, **per_sensor, om=np.arange(216).astype(np.int32), axis=up)
    doubled = pairs.replace(area=2 * pairs.area, relative_efficiency=0.75 * pairs.relative_efficiency)
    above = np.array([0.0, 0.0, 120.0, 0.0, 1.0, 3e4, 9000.0])[None]
    one, two, more = (
        charges(sampled(analytic_model(d, CASCADES), above, draw=False), modules=d.num_doms)
        for d in (detector, pairs, doubled)
    )
    down_looking, up_looking = two.reshape(108, 2).T
    assert down_looking.sum() == pytest.approx(one.sum(), rel=0.01)
    below = np.asarray(detector.position)[:, 2] < 60
    assert up_looking[below].sum() > 1.5 * down_looking[below].sum()
    assert more.sum() == pytest.approx(1.5 * two.sum(), rel=0.01)


def test_properties_of_ice_scale_the_light(detector, cascades):
    names = ["Absorption", "Scattering", "DOMEfficiency", "HoleIceForward_Unified_p0", "HoleIceForward_Unified_p1"]
    section = ModelSettings(model_class="AnalyticCascadeModel", config={"ice_parameters": names})
    model, far = analytic_model(detector, section), np.array([200.0, 200.0, 0.0, 1.1, 2.0, 1e5, 9000.0])

    def light(*ice: float) -> float:
        return charges(sampled(model, [np.concatenate([far, ice])], draw=False, photons=6000)).sum()

    usual = light(1.0, 1.0, 1.0, 0.25, -0.05)
    assert light(1.0, 1.0, 1.1, 0.25, -0.05) == pytest.approx(1.1 * usual, rel=0.02)
    assert light(1.2, 1.0, 1.0, 0.25, -0.05) < 0.9 * usual and light(1.0, 1.2, 1.0, 0.25, -0.05) < usual
    assert light(1.0, 1.0, 1.0, -0.5, -0.05) != pytest.approx(usual, rel=0.01)
    medium = detector.medium
    thicker = detector.replace(
        medium=medium.replace(absorption=1.2 * medium.absorption, scattering=1.1 * medium.scattering)
    )
    of_medium = charges(
        sampled(analytic_model(thicker, section), [[*far, 1, 1, 1, 0.25, -0.05]], draw=False, photons=6000)
    )
    assert light(1.2, 1.1, 1.0, 0.25, -0.05) == pytest.approx(of_medium.sum(), rel=0.02)


def test_tilt_and_anisotropy_of_a_configuration_change_the_light(detector, cascades):
    plain = charges(sampled(cascades, CASCADE[None], draw=False))
    for settings in (
        {"tilt": {"azimuth": 0.0, "distances": [-500.0, 500.0], "shifts": [60.0, 60.0]}},
        {"anisotropy": {"strength": 0.3, "azimuth": 0.5}},
    ):
        other = charges(sampled(cascades, CASCADE[None], draw=False, **settings))
        assert 0.2 < other.sum() / plain.sum() < 5 and np.std(other - plain) > 0.05 * plain.std()


def test_noise_is_drawn_and_not_expected(detector, caplog):
    model = analytic_model(detector)
    pulses = sampled(model, np.tile(CASCADE, (40, 1)), events_per_cascade=40)
    early = pulses["time"] < CASCADE[6] - 20
    expected = float(np.sum(np.asarray(detector.noise_rate)[np.asarray(detector.usable)])) * (CASCADE[6] - 20) * 40
    assert abs(early.sum() - expected) < 4 * np.sqrt(expected)
    assert not caplog.text
    undrawn = sampled(model, CASCADE[None], draw=False)
    assert undrawn["time"].min() > CASCADE[6] - 20
    assert caplog.text.count("expected events have no noise") == 1


def test_times_have_the_response_and_late_pulses():
    """Against the values of IceCube's simulation of photomultipliers: mean 1.26 ns, 2.46 ns, steep early; late by 60 ns in the mean."""
    rng = np.random.default_rng(2)
    delay = measured_times(rng, np.full(200_000, 1e9)) - 1e9
    late = delay > 18
    assert late.mean() == pytest.approx(0.035, abs=0.002)
    own = delay[~late]
    assert own.mean() == pytest.approx(1.26, abs=0.03) and own.std() == pytest.approx(2.46, rel=0.02)
    assert np.mean((own - own.mean()) ** 3) / own.std() ** 3 == pytest.approx(1.14, abs=0.1)
    assert np.quantile(own, 2e-3) > -4 and np.mean(own < -2) == pytest.approx(
        np.exp(-np.exp((2 + 0.153) / 1.918)), rel=0.1
    )
    # 0.0791, 0.4839, 0.3235, 0.0879 and 0.0256 of means 35.3, 47.4, 68.0, 118.5 and 142.6 ns, with the transit time.
    assert delay[late].mean() == pytest.approx(61.8 + 1.26, abs=1.2)
    assert np.median(delay[late]) == pytest.approx(60.3, abs=1.0) and np.mean(delay[late] > 100) == pytest.approx(
        0.09, abs=0.02
    )


def test_smaller_spheres_have_the_same_light(cascades):
    settings = {"photons": 60_000, "draw": False, "smallest_charge": SMALLEST}
    wide, narrow = (
        sampled(cascades, CASCADE[None], **settings, sphere_radius_by_distance=share) for share in (0.4, 0.1)
    )
    assert charges(wide).sum() == pytest.approx(charges(narrow).sum(), rel=0.1)
    spheres = PhotonSampler(cascades, SimulationSettings(**FEW, sphere_radius_by_distance=0.1))._spheres
    near = jnp.asarray(spheres.centre[0]) + jnp.array([30.0, 0.0, 40.0])
    assert float(radii_from(spheres, near)[0]) == pytest.approx(5.0)
    with pytest.raises(ConfigError, match="sphere_radius_by_distance"):
        validate(SimulationSettings, {"light": "photons", "sphere_radius_by_distance": 0.0}, "test")


def test_records_of_table_light_do_not_hold_what_photons_alone_depend_on():
    """Directories of events that were simulated before such a key was there go on."""
    of_photons = {"photons", "sphere_radius", "sphere_radius_by_distance", "events_per_cascade", "tilt", "anisotropy"}
    assert set(OF_OTHER_LIGHT) == of_photons | {"light", "draw"}


def test_expected_pulses_keep_charges_and_times():
    rng = np.random.default_rng(4)
    number = 200_000
    sensor, time = rng.integers(0, 50, number), 1e4 + rng.exponential(400.0, number)
    charge = rng.exponential(1e-3, number) * (1 + sensor)
    kept = expected_pulses(rng, sensor, time, charge, SMALLEST)
    assert len(kept[0]) < number / 10 and kept[2].min() >= SMALLEST
    whole, fewer = (np.bincount(s, c, 50) for s, c in ((sensor, charge), (kept[0], kept[2])))
    np.testing.assert_allclose(fewer, whole, rtol=0.05)
    assert fewer.sum() == pytest.approx(whole.sum(), rel=2e-3)
    assert np.average(kept[1], weights=kept[2]) == pytest.approx(np.average(time, weights=charge), abs=2)
    assert len(expected_pulses(rng, sensor[:0], time[:0], charge[:0], SMALLEST)[0]) == 0


def test_files_are_those_of_other_simulations(files, detector):
    config, directory, paths = files
    assert [path.name for path in paths] == ["small_000000.hdf5", "small_000001.hdf5"]
    with h5py.File(paths[0]) as file:
        labels, pulses = file["LabelsMCCascade"][:], file["MCPulses"][:]
        assert "500 weighted photons an event" in file.attrs["provenance"] and "south_pole" in file.attrs["provenance"]
        assert TABLE_LIGHT not in file.attrs["provenance"] and file["SmearedSeed"].shape == (3,)
    assert labels["cascade_zenith"][0] == labels["cascade_zenith"][1] != labels["cascade_zenith"][2]
    assert labels["cascade_energy"][0] != labels["cascade_energy"][1]
    assert len(np.unique(pulses["Event"])) == 3 and np.all((pulses["time"] >= 0) & (pulses["time"] <= 20000))
    record = json.loads((directory / "events" / "small.simulation.json").read_text())
    assert record["light"] == "photons" and record["photons"] == 500 and record["medium"] == "south_pole"
    assert record["events_per_cascade"] == 2 and record["tilt"] is None


def test_an_interrupted_simulation_goes_on(files, detector):
    config, directory, paths = files
    with h5py.File(paths[1]) as file:
        before = file["MCPulses"][:]
    kept, _ = paths[0].stat().st_mtime_ns, paths[1].unlink()
    simulate(config, directory / "events")
    assert paths[0].stat().st_mtime_ns == kept
    with h5py.File(paths[1]) as file:
        np.testing.assert_array_equal(file["MCPulses"][:], before)
    other = config.model_copy(
        update={"simulation_settings": config.simulation_settings.model_copy(update={"sphere_radius": 3.0})}
    )
    with pytest.raises(DataError, match=r"other settings: sphere_radius: 6.0 -> 3.0"):
        simulate(other, directory / "events")


def test_records_of_other_light_do_not_know_photons(experiment):
    record = json.loads((experiment / "events" / "small.simulation.json").read_text())
    assert not {"light", "photons", "sphere_radius", "draw", "events_per_cascade", "tilt", "anisotropy"} & set(record)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"photons": 0, "light": "photons"},
            r"simulation_settings\.photons: got 0; expected .*greater than or equal to 1",
        ),
        (
            {"sphere_radius": -1.0, "light": "photons"},
            r"simulation_settings\.sphere_radius: got -1\.0; expected .*greater than 0",
        ),
        ({"light": "foton"}, r"simulation_settings\.light: got 'foton'; expected 'table' or 'photons'"),
        ({"draw": False}, r"simulation_settings\.draw: False writes expected events of photons, but light is table"),
        ({"light": "photons", "model": "m"}, r"simulation_settings\.model: light: photons simulates without a model"),
        ({"light": "photons", "events_per_cascade": 0}, r"events_per_cascade: got 0"),
        (
            {"light": "photons", "anisotropy": {"strength": 2.0, "azimuth": 0.0}},
            r"anisotropy\.strength: got 2\.0; expected",
        ),
        ({"light": "photons", "anisotropy": {"strength": 0.1}}, r"anisotropy\.azimuth: is missing"),
        (
            {"light": "photons", "tilt": {"azimuth": 0.0, "distances": [0.0, 1.0], "shifts": [1.0]}},
            r"tilt\.distances: 2 distances and 1 shifts; expected as many of either",
        ),
        (
            {"light": "photons", "tilt": {"azimuth": 0.0, "distances": [1.0, 0.0], "shifts": [1.0, 2.0]}},
            r"tilt\.distances: distances: 0 after 1; expected ascending places",
        ),
    ],
)
def test_bad_settings_are_told(experiment, settings, message):
    values = "{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in settings.items()) + "}"
    with pytest.raises(ConfigError, match=message) as told:
        load_config(
            experiment / "config.yaml", [f"simulation_settings.{key}={json.dumps(v)}" for key, v in settings.items()]
        )
    assert "\n" not in str(told.value), values


@pytest.mark.parametrize("name", ["analytic track", "track with cascades"])
def test_light_of_tracks_is_not_made_of_photons(detector, name):
    section, _ = ZOO[name]
    counterpart = analytic_counterpart(validate(ModelSettings, section, "test"), lambda path: None)
    with pytest.raises(
        ConfigError, match=r"simulation_settings\.light: photons can be followed from cascades, .*light: table"
    ):
        PhotonSampler(analytic_model(detector, counterpart), SimulationSettings(**FEW))


def test_too_much_light_is_told(cascades):
    bright = CASCADE * np.array([1, 1, 1, 1, 1, 1e6, 1])
    with pytest.raises(ConfigError, match=r"expected to have .* photoelectrons, .* energy 3e\+09.*Lower the energies"):
        sampled(cascades, bright[None])
