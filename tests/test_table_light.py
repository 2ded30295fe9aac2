"""Light of tables at sensors: densities, derivatives, acceptance, the model by name, networks that start from it."""

import hashlib
import json
from functools import partial

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_python_models import CHARGES, SHOWER

import evgen_jax as eg
from evgen_jax.building import decoders as d
from evgen_jax.building import zoo
from evgen_jax.building.analytic import analytic_model
from evgen_jax.cli.fit_settings import data_and_fit
from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.event_file import read_event_file
from evgen_jax.data.writer import TABLE_LIGHT, write_events
from evgen_jax.decoders import FAMILIES
from evgen_jax.errors import ConfigError, DataError, EvgenError, ModelDirectoryError
from evgen_jax.measurement.event import Event
from evgen_jax.measurement.point_light import paths, point_light, source_table
from evgen_jax.physics import constants
from evgen_jax.physics.geometry import flight_direction
from evgen_jax.simulation.record import check_record
from evgen_jax.sources.analytic.arrival_times import FASTEST, times_decoder
from evgen_jax.sources.analytic.point_source import AnalyticCascadeSource, AnalyticSegmentSource
from evgen_jax.sources.learned.light_start import gammas_of_light, times_of_light

SHOWER_AT = [20.0, -30.0, 10.0, 1.1, 2.0, 3e3, 9500.0]


@pytest.fixture(scope="module")
def small(detector):
    return jax.tree.map(jnp.asarray, detector)


def homogeneous(detector):
    """A detector in ice of its mean lengths everywhere."""
    ice = detector.medium
    one = {
        "scattering": 1 / np.full(1, ice.mean_scattering_length),
        "absorption": 1 / np.full(1, ice.mean_absorption_length),
    }
    return detector.replace(medium=ice.replace(**one))


@jax.jit
def shower_light(vertex, direction, detector):
    """The light of a shower in ice at all sensors."""
    return point_light(source_table("shower", "ice"), direction, paths(vertex, detector), detector)


def sources(detector):
    along = [20.0, -30.0, 10.0, 1.1, 2.0, 500.0, 9500.0, 12.0]
    return [
        (AnalyticCascadeSource(), SHOWER_AT),
        (AnalyticSegmentSource(), along),
        (AnalyticSegmentSource(with_mean_losses=True), along),
    ]


@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.nightly), 2])
def test_densities_are_distributions_at_every_sensor(small, number):
    source, hypothesis = sources(small)[number]
    _, latent, offset, _ = jax.jit(source.latents)(jnp.array(hypothesis), small)
    times = times_decoder(source.tables)
    # From before the first light to far behind the last, in units of 1000 ns; finer where the density begins.
    x = jnp.concatenate([jnp.linspace(-0.1, 3, 3101), jnp.linspace(3, 60, 1001)[1:]])
    shift = (offset[:, :1] - offset) / constants.TIME_UNIT

    @jax.jit
    @jax.vmap
    def at(x):
        terms = times.log_components(x + shift, times.prepare(latent))
        return jnp.exp(jax.nn.logsumexp(terms, -1)), jnp.sum(times.cdf_components(x + shift, latent), -1)

    density, cumulative = at(x)
    steps = (density[1:] + density[:-1]) / 2 * jnp.diff(x)[:, None]
    steps, cumulative = np.asarray(steps), np.asarray(cumulative)
    np.testing.assert_allclose(steps.sum(0) + cumulative[0], 1, atol=4e-3)
    np.testing.assert_allclose(cumulative[-1], 1, atol=1e-5)
    np.testing.assert_allclose(np.cumsum(steps, 0) + cumulative[0], cumulative[1:], atol=4e-3)


def awkward(detector):
    sensor = np.asarray(detector.position)[40]
    return {
        "at the sensor": [*sensor, *SHOWER_AT[3:]],
        "in the axis": [sensor[0], sensor[1], sensor[2] - 37.0, 0.0, 0.0, 3e3, 9500.0],
        "against the axis": [sensor[0], sensor[1], sensor[2] - 37.0, np.pi, 0.0, 3e3, 9500.0],
        "far away": [5000.0, 0.0, 0.0, *SHOWER_AT[3:]],
        "without energy": [*SHOWER_AT[:5], 0.0, 9500.0],
    }


def test_light_and_derivatives_are_finite(small):
    source = AnalyticCascadeSource()

    def total(h):
        charge, latent, offset, _ = source.latents(h, small)
        return jnp.stack([jnp.sum(charge), jnp.sum(latent) / 1e3, jnp.sum(offset) / 1e3])

    for function in map(jax.jit, (total, jax.jacobian(total), jax.hessian(total))):
        for where, hypothesis in awkward(small).items():
            assert np.all(np.isfinite(function(jnp.array(hypothesis)))), where


def test_second_derivatives_are_continuous(small):
    """Along a line through many cells of the table, in float64: jumps shrink with the step."""
    with jax.enable_x64(True):
        source = AnalyticCascadeSource(dtype=jnp.float64)
        detector = homogeneous(small)

        def log_charge(t):
            along = jnp.array([0.3, 0.5, 0.8])
            vertex = jnp.array([-110.0, -110.0, -140.0]) - along * t
            h = jnp.concatenate([vertex, jnp.array([1.1, 2.0, 3e3, 9500.0])])
            return jnp.log(source.latents(h, detector)[0][0, 0])

        second = jax.jit(jax.vmap(jax.grad(jax.grad(log_charge))))
        coarse, fine = (float(jnp.max(jnp.abs(jnp.diff(second(jnp.arange(5.0, 120.0, h)))))) for h in (0.2, 0.02))
        assert fine < 0.15 * coarse


def test_light_remembers_the_direction(small):
    """Ratio of light ahead and behind, and its delay, against a photon Monte Carlo of 1.6e9 photons (30 m, 110 m)."""
    expected = {32: (6.2, 24, 160), 63: (4.0, 118, 306), 122: (3.2, 367, 573), 201: (2.95, 721, 929)}
    family = FAMILIES["GammaFunctionDecoder"]
    for distance, (ratio, ahead, behind) in expected.items():
        position = np.array([[0, 0, distance]], np.float32).repeat(2, 0)
        detector = small.replace(
            **{name: jnp.asarray(getattr(small, name)[:2]) for name in
               ("relative_efficiency", "noise_rate", "string", "om", "usable", "axis", "area", "kind")},
            position=jnp.asarray(position),
        )  # fmt: skip
        ice = {"scattering": jnp.array([1 / 30]), "absorption": jnp.array([1 / 110])}
        detector = detector.replace(medium=detector.medium.replace(**ice))
        found = []
        for cosine in (0.75, -0.9):
            direction = jnp.array([np.sqrt(1 - cosine**2), 0, cosine], jnp.float32)
            light = shower_light(jnp.zeros(3), direction, detector)
            weight = np.exp(np.asarray(light.log_weight[0]))
            times = np.linspace(0, 4000, 8001)
            parameters = tuple(p[:1] for p in (light.shape, light.rate))
            cdf = np.asarray(family.cdf(jnp.asarray(times[:, None], jnp.float32), parameters)) @ weight
            found.append((float(jnp.exp(light.log_charge[0])), float(np.interp(0.5, cdf, times))))
        # The Monte Carlo counts photons, a module at +z that looks down accepts both directions differently.
        flat = detector.replace(axis=jnp.asarray([[1.0, 0, 0]] * 2, jnp.float32))
        sides = [
            float(jnp.exp(shower_light(jnp.zeros(3), jnp.array([0.0, np.sqrt(1 - c**2), c], jnp.float32), flat).log_charge[0]))
            for c in (0.75, -0.9)
        ]  # fmt: skip
        assert sides[0] / sides[1] == pytest.approx(ratio, rel=0.05)
        assert found[0][1] == pytest.approx(ahead, rel=0.1, abs=3)
        assert found[1][1] == pytest.approx(behind, rel=0.06)


def test_acceptance_follows_the_axis(small):
    """A sensor that looks towards the source sees more, by the share of its curve at the photons' mean direction."""
    turned = small.replace(axis=-small.axis)
    vertex, direction = jnp.array([0.0, 0.0, -400.0]), jnp.array([0.0, 0.0, 1.0])
    down, up = (jnp.exp(shower_light(vertex, direction, det).log_charge) for det in (small, turned))
    assert np.all(down > 1.3 * up)  # light comes from below


def test_ice_parameters_scale_lengths(small):
    """Twice the coefficients are half the lengths, whoever says it."""
    ice = AnalyticCascadeSource(("Absorption", "Scattering"))
    by_parameter = jax.jit(ice.latents)(jnp.array([*SHOWER_AT, 1.3, 0.7]), small)
    medium = small.medium.replace(scattering=small.medium.scattering * 0.7, absorption=small.medium.absorption * 1.3)
    by_medium = jax.jit(AnalyticCascadeSource().latents)(jnp.array(SHOWER_AT), small.replace(medium=medium))
    for ours, theirs in zip(by_parameter[:3], by_medium[:3], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4)


def test_a_segment_with_losses_is_the_sum_of_both(small):
    along = jnp.array([20.0, -30.0, 10.0, 1.1, 2.0, 500.0, 9500.0, 12.0])
    event = Event.from_pulses(
        charge=[1.0] * 4, time=[9600.0, 9700, 9800, 10200], string=[4, 5, 5, 6], om=[6, 6, 7, 8], detector=small
    )
    bare, whole = (
        jax.jit(AnalyticSegmentSource(with_mean_losses=w).apply)({}, along, event, small) for w in (False, True)
    )
    energy = 500.0 * 12.0 * 0.363e-3 * float(small.medium.density)
    light = shower_light(along[:3], flight_direction(along[3], along[4]), small)
    lost = energy * float(small.medium.photons_per_gev) * jnp.exp(light.log_charge) * small.usable
    np.testing.assert_allclose(whole.charge, bare.charge + lost, rtol=1e-5, atol=1e-12)
    assert np.all((whole.density > bare.density)[np.asarray(bare.density) > 0])


def test_fast_light_keeps_its_mean(small):
    """Close to a source the delays are hidden by the response: rates stay below the largest, means are those of the table."""
    vertex = jnp.asarray(small.position)[40] + jnp.array([1.0, 0.5, 0.0])
    light = shower_light(vertex, jnp.array([0.0, 0, 1]), small)
    assert float(light.rate[40].max()) > 3 * FASTEST
    _, latent, _, _ = jax.jit(AnalyticCascadeSource().latents)(jnp.array([*vertex, np.pi, 0.0, 0.1, 9500.0]), small)
    latent = latent[40].reshape(-1, 4)
    assert float(latent[:, 1].max()) < FASTEST * constants.TIME_UNIT
    np.testing.assert_allclose(
        latent[:3, 0] / latent[:3, 1] * constants.TIME_UNIT, light.shape[40] / light.rate[40], rtol=1e-3
    )


def test_a_model_by_name(loaded_detector, small_detector_csv, tmp_path):
    model = eg.load_model("icecube86-table")
    assert model.detector.num_doms == 5160 and not jax.tree.leaves(model.variables)
    other = eg.load_model("icecube86-table", small_detector_csv, "mediterranean_water")
    assert other.detector.num_doms == loaded_detector.num_doms and other.detector.medium.light == "water"
    again = eg.load_model("icecube86-table", loaded_detector)
    assert again.source == model.source
    with pytest.raises(ModelDirectoryError, match="does not exist"):
        eg.load_model("icecube86-tabel")
    saved = eg.save_model(again, tmp_path / "model")
    with pytest.raises(ModelDirectoryError, match="can be chosen for 'icecube86-table' alone"):
        eg.load_model(saved, medium="south_pole")


def test_a_model_by_name_fits_a_file(experiment, small_detector_csv, command, tmp_path):
    file = tmp_path / "two.hdf5"
    with h5py.File(experiment / "events" / "small_000002.hdf5") as old, h5py.File(file, "w") as new:
        for name in (name for name in old if isinstance(old[name], h5py.Dataset)):
            new[name] = old[name][:][old[name]["Event"] < 2]
    columns = "reconstruction_settings.seed_parameter_names=[x,y,z,zenith,azimuth,energy,time]"
    code, _, error = command(
        "convert", file, "-o", tmp_path / "two", "--detector", small_detector_csv, "--seed", "SmearedSeed", "--set", columns,
    )  # fmt: skip
    assert code == 0, error
    fits = []
    for events in (file, tmp_path / "two"):
        output = tmp_path / f"fits_{events.name}.hdf5"
        code, out, error = command(
            "reconstruct", "icecube86-table", events, "-o", output, "--detector", small_detector_csv,
            "--seed", "SmearedSeed", "--set", "reconstruction_settings.max_iterations=2",
        )  # fmt: skip
        assert code == 0, error
        with h5py.File(output) as written:
            fits.append(next(written[name] for name in written if not name.startswith("_"))[:])
    assert np.all(np.isfinite(fits[0]["cascade_x"])) and len(fits[0]) == 2
    # Converted events are the events: ids, seeds and fits.
    for name in fits[0].dtype.names:
        if not name.startswith("runtime"):
            np.testing.assert_array_equal(fits[0][name], fits[1][name], err_msg=name)
    code, _, error = command("reconstruct", "icecube86-table", file, "-o", tmp_path / "other.hdf5", "--medium", "watre")
    assert code == 2 and "no such medium" in error


def table(columns, rows=3):
    return np.zeros(rows, [(name, "i8") for name in ("Run", "Event", "SubEvent", "SubEventStream", *columns)])


def test_tables_are_told_by_their_columns(tmp_path):
    path = tmp_path / "events.hdf5"
    with h5py.File(path, "w") as file:
        file["Pulses"] = table(["string", "om", "time", "charge"])
        file["Bad"] = table(["string", "om"])
        file["Windows"] = table(["string", "om", "start", "stop"])
        file["Truth"] = table(["x", "energy"])
    model = eg.load_model("icecube86-table")
    handler, fit = data_and_fit("icecube86-table", model, (), (), (str(path),))
    data = handler.data_settings
    assert (data.pulse_key, data.dom_exclusions_key, data.time_exclusions_key) == ("Pulses", "Bad", "Windows")
    assert (data.event_id_key, data.readout_window_key, fit.seed) == ("Truth", None, "pulses")
    with h5py.File(path, "a") as file:
        file["OtherPulses"] = table(["string", "om", "time", "charge"])
    with pytest.raises(ConfigError, match="OtherPulses, Pulses may be meant by pulse_key.*--set"):
        data_and_fit("icecube86-table", model, (), (), (str(path),))
    chosen = ("data_handler_settings.data_settings.pulse_key=OtherPulses",)
    assert data_and_fit("icecube86-table", model, (), chosen, (str(path),))[0].data_settings.pulse_key == "OtherPulses"
    with h5py.File(tmp_path / "none.hdf5", "w") as file:
        file["Truth"] = table(["x"])
    with pytest.raises(ConfigError, match="no table of pulses was found among Truth"):
        data_and_fit("icecube86-table", model, (), (), (str(tmp_path / "none.hdf5"),))


GAMMAS = d.MixtureModel(
    decoder_mapping={"G": ("Gamma", 4, 1.0)}, base_decoders={"Gamma": d.GammaFunctionDecoder()},
)  # fmt: skip


def of_light(**changes):
    return zoo.DefaultCascadeModel(
        num_filters_list=[6, 14], decoder_settings=GAMMAS, decoder_charge_settings=CHARGES,
        scale_charge_by_light=True, start_times_from_light=True, **changes,
    )  # fmt: skip


def test_a_network_starts_from_the_light(small):
    """A network whose outputs are 0 has the charges and arrival times of a shower in the medium's mean lengths."""
    detector = homogeneous(small)
    source = of_light().build()
    variables = jax.tree.map(jnp.zeros_like, source.init_variables(jax.random.key(0), detector))
    event = Event.from_pulses(charge=[1.0], time=[9700.0], string=[5], om=[7], detector=detector)
    event = event.replace(active=jnp.arange(detector.num_doms))
    hypothesis = jnp.array(SHOWER_AT)
    charge, latent, _, _ = jax.jit(partial(source.apply, method=source.outputs))(variables, hypothesis, event, detector)
    true = jax.jit(AnalyticCascadeSource().latents)(hypothesis, detector)[0][:, 0]
    shift = np.asarray(small.usable)
    np.testing.assert_allclose(charge[shift, CHARGES.build().loc_parameters == ("mu",) and 0], true[shift], rtol=2e-3)
    light = shower_light(hypothesis[:3], flight_direction(*hypothesis[3:5]), detector)
    decoder = GAMMAS.build()
    np.testing.assert_allclose(times_of_light(decoder, gammas_of_light(light)).shape, latent.shape)
    first = decoder.components[0].decoder.mean(latent.reshape(-1, 4, 3)[..., :2])[:, :3]
    assert np.all(np.isfinite(first)) and np.median(first) > 0.05


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: of_light(scale_charge_by_diffusion=True), "exclude each other"),
        (lambda: zoo.DefaultCascadeModel(**{**dict(SHOWER), "start_times_from_light": True}), "3 gamma distributions"),
        (
            lambda: zoo.EnteringSphereInfTrack(
                num_filters_list=[6, 14], sphere_radius=300.0, decoder_settings=GAMMAS,
                decoder_charge_settings=CHARGES, scale_charge_by_light=True,
            ),
            "known of cascades, not of tracks",
        ),
    ],
)  # fmt: skip
def test_what_the_light_cannot_do(make, message):
    with pytest.raises(EvgenError, match=message):
        make()


def test_analytic_model_in_water(small):
    """The medium chooses the tables; forward light is stronger in water, which scatters less."""
    water = small.replace(medium=eg.load_medium("mediterranean_water"))
    assert small.medium.light == "ice" and water.medium.light == "water"
    model = analytic_model(water)
    light = jax.jit(model.source.bases[0][1].latents)(jnp.array(SHOWER_AT), water)
    assert np.all(np.isfinite(light[0]))


def test_light_of_earlier_versions_is_told(small, tmp_path, caplog):
    """Files are read with one line about them; models are refused, since fits with them would change without a word."""
    path = tmp_path / "events.hdf5"
    pulses = {name: np.array([value]) for name, value in
              {"event": 0, "string": 5, "om": 7, "time": 9700.0, "charge": 1.0}.items()}  # fmt: skip
    notice = "physics-motivated toy; not IceCube simulation"
    write_events(path, 1, 1, pulses, {"Ids": {"x": np.zeros(1)}}, pulse_key="Pulses", detector=small, notice=notice)
    handler = DataHandlerSettings(data_settings={"pulse_key": "Pulses", "event_id_key": "Ids"})
    assert len(read_event_file(path, handler, small, labels=False)) == 1
    assert "light forgot the direction" in caplog.text and "evgen-jax simulate" in caplog.text
    saved = eg.save_model(eg.load_model("icecube86-table", small), tmp_path / "model")
    content = json.loads((saved / "model.json").read_text())
    del content["computed_light"]
    (saved / "model.json").write_text(json.dumps(content))
    sums = json.loads((saved / "checksums.json").read_text())
    sums["model.json"] = hashlib.sha256((saved / "model.json").read_bytes()).hexdigest()
    (saved / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(
        ModelDirectoryError, match="its computed light is that of an earlier version.*Save the model again"
    ):
        eg.load_model(saved)
    settings = {"num_events": 5, "events_per_file": 5, "provenance": TABLE_LIGHT}
    (tmp_path / "old_000000.hdf5").touch()
    (tmp_path / "old.simulation.json").write_text(json.dumps({"num_events": 5, "events_per_file": 5}))
    with pytest.raises(DataError, match="provenance: physics-motivated toy .of an earlier version. -> light of tables"):
        check_record(tmp_path, "old", settings)
