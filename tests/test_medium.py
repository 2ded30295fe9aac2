"""The medium: its files, its averages along straight paths, and where it is told, carried along and refused."""

import json
import logging
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.config.validate import load_config
from evgen_jax.data.event_file import read_event_file
from evgen_jax.errors import ConfigError, DataError, MediumError
from evgen_jax.hypothesis.trafo import typical_trafo
from evgen_jax.measurement.detector import fingerprint as detector_fingerprint
from evgen_jax.physics import media
from evgen_jax.physics.media import is_default, save_medium
from evgen_jax.physics.medium import coefficients_at, fingerprint, mean_coefficients, mean_lengths
from evgen_jax.simulation.record import check_record
from evgen_jax.simulation.simulate import simulate
from evgen_jax.sources.learned.options import LearnedOptions

HEADER = """# name: lake
# phase_index: 1.34
# group_index: 1.37
# asymmetry: 0.85
# liu_fraction: 0.2
# density: 1.0
# photons_per_gev: 20000
# photons_per_metre: 4000
# surface_z: 100
"""
LAYERS = "depth,effective_scattering_length,absorption_length\n10,50,25\n20,40,20\n35,20,10\n50,40,20\n"


def write(path, layers=LAYERS, header=HEADER):
    path.write_text(header + layers)
    return path


def test_south_pole_ice_is_that_of_its_table():
    ice = eg.load_medium()
    assert ice.name == "south_pole" and is_default(ice) and is_default(eg.load_medium("south_pole"))
    assert float(ice.group_velocity) == 0.22103046286329384
    assert 1948.07 - ice.first_z == pytest.approx(2488.4) and ice.step == pytest.approx((2488.4 - 1398.4) / 219)
    assert float(ice.mean_cosine) == 0.9
    water = eg.load_medium("mediterranean_water")
    assert float(265 * (1 - water.mean_cosine)) == pytest.approx(61.8, abs=0.1)
    # Frank-Tamm: 2 pi alpha sin^2 of the Cherenkov angle times 2.80e5 per m, and 4.657 m of track per GeV.
    frank_tamm = 2 * np.pi / 137.036 * (1 - 1 / water.phase_index**2) * 2.80e5
    assert float(water.photons_per_metre) == pytest.approx(frank_tamm, rel=2e-3)
    assert float(water.photons_per_gev) == pytest.approx(frank_tamm * 5.321 * 0.910 / water.density, rel=2e-3)
    # 3 of its 110 rows: in the clearest ice, in the dust (whose peak the spline smooths by 6 %), at the top of the table.
    for depth, scattering, absorption in ((2318.0, 78.0, 264.4), (2048.5, 5.0, 17.9), (1398.4, 13.2, 45.1)):
        lengths = mean_lengths(ice, 1948.07 - depth, 1948.07 - depth)
        np.testing.assert_allclose(lengths, [scattering, absorption], rtol=0.07)
    above, below = (np.asarray(coefficients_at(ice, z)) for z in (5000.0, -5000.0))
    np.testing.assert_allclose(1 / np.stack([above, below]), [[13.2, 45.1], [56.7, 185.2]], rtol=1e-5)


def test_a_file_is_read_as_csv_and_as_yaml(tmp_path):
    lake = eg.load_medium(write(tmp_path / "lake.csv"))
    assert lake.name == "lake" and not is_default(lake)
    # Layers of 10 and 15 m: twice as many points, upwards from the lowest one at a depth of 50 m.
    assert lake.scattering.shape == (8,) and lake.first_z == 50.0 and lake.step == pytest.approx(40 / 7)
    np.testing.assert_allclose([lake.scattering[0], lake.scattering[-1]], [1 / 40, 1 / 50])
    np.testing.assert_allclose(lake.absorption, 2 * lake.scattering)
    assert lake.mean_absorption_length == pytest.approx(1 / lake.absorption.mean())
    scalars = dict(line[2:].split(": ") for line in HEADER.splitlines())
    content = {key: value if key == "name" else float(value) for key, value in scalars.items()}
    content |= {"z": [90.0, 80.0, 65.0, 50.0], "effective_scattering_length": [50, 40, 20, 40], "absorption_length": [25, 20, 10, 20]}  # fmt: skip
    (tmp_path / "lake.yaml").write_text(yaml.safe_dump(content))
    assert fingerprint(eg.load_medium(tmp_path / "lake.yaml")) == fingerprint(lake)
    for own in (lake, eg.load_medium("mediterranean_water"), eg.load_medium()):
        single = own.astype(jnp.float32)
        save_medium(single, tmp_path / "again.csv")
        again = eg.load_medium(tmp_path / "again.csv")
        assert fingerprint(again) == fingerprint(single) == fingerprint(own) and again.name == own.name


def test_layers_of_very_different_thickness_keep_the_thinnest(tmp_path):
    rows = "z,effective_scattering_length,absorption_length\n0,40,40\n100,40,40\n102,1,1\n104,40,40\n204,40,40\n"
    lake = eg.load_medium(write(tmp_path / "lake.csv", rows))
    assert lake.step < 1.01
    total = np.asarray(mean_coefficients(lake, 0.0, 204.0))[1] * 204
    # The thin layer is a triangle of 2 m on either side.
    assert total == pytest.approx(204 / 40 + 2 * (1 - 1 / 40), rel=1e-3)


def test_means_along_paths_are_integrals(x64):
    ice = eg.load_medium()
    means, at = jax.jit(mean_coefficients), jax.jit(coefficients_at)
    paths = [
        (-500.0, 480.0),
        (-120.0, -95.0),
        (-100.0, -100.3),
        (-700.0, -530.0),
        (530.0, 900.0),
        (-900.0, 900.0),
        (3.0, 3.0),
    ]
    for start, end in paths:
        own = np.asarray(means(ice, start, end))
        np.testing.assert_allclose(own, np.asarray(means(ice, end, start)), rtol=1e-12)
        if start == end:
            np.testing.assert_allclose(own, np.asarray(at(ice, start)), rtol=1e-12)
            continue
        borders = np.asarray(ice.first_z) + np.asarray(ice.step) * (np.arange(221) - 0.5)
        low, high = min(start, end), max(start, end)
        edges = np.concatenate([[low], borders[(borders > low) & (borders < high)], [high]])
        # Polynomials between the edges: three Gauss points are exact.
        points, weights = np.polynomial.legendre.leggauss(3)
        z = edges[:-1, None] + np.diff(edges)[:, None] * (points + 1) / 2
        for i in range(2):
            pieces = np.asarray(at(ice, z)[i]) @ weights / 2 * np.diff(edges)
            assert own[i] == pytest.approx(pieces.sum() / (high - low), rel=1e-9)
    # The layers themselves, interpolated linearly, have nearly these means.
    rng = np.random.default_rng(0)
    start, end = rng.uniform(-500, 500, (2, 200))
    end = np.where(np.abs(end - start) < 20, start + 20, end)
    grid = np.asarray(ice.first_z) + np.asarray(ice.step) * np.arange(220)
    z = start[:, None] + (end - start)[:, None] * (np.arange(5000) + 0.5) / 5000
    linear = np.interp(z, grid, ice.absorption).mean(axis=1)
    np.testing.assert_allclose(mean_coefficients(ice, start, end)[1], linear, rtol=5e-3)


def test_derivatives_of_means_are_continuous_and_finite(x64):
    """At sources at the depth of the module too, and at the borders of the grid's cells."""
    ice = eg.load_medium()
    borders = np.asarray(ice.first_z) + np.asarray(ice.step) * (np.arange(221) - 0.5)
    start = jnp.asarray(np.concatenate([borders, np.linspace(-600, 600, 50)]))

    def mean(ends):
        return mean_coefficients(ice, ends[0], ends[1])[0]

    means, gradient, hessian = (jax.jit(jax.vmap(f)) for f in (mean, jax.grad(mean), jax.hessian(mean)))
    slopes = []
    for offset in (-1e-3, -1e-9, 0.0, 1e-9, 1e-3, 40.0):
        ends = jnp.stack([start, start + offset], axis=1)
        assert np.isfinite(hessian(ends)).all()
        slopes.append(np.asarray(gradient(ends)))
        step = jnp.array([[1e-4, 0.0]])
        differences = (means(ends + step) - means(ends - step)) / 2e-4
        np.testing.assert_allclose(slopes[-1][:, 0], differences, atol=1e-7)
    for other in slopes[:5]:
        np.testing.assert_allclose(other, slopes[2], atol=1e-6)
    single = jnp.stack([start, start + 1e-2], axis=1).astype(jnp.float32)
    np.testing.assert_allclose(means(single), means(single.astype(float)), rtol=1e-4)


@pytest.mark.parametrize(("layers", "header", "message"), [
    ("depth,absorption_length\n1,2", HEADER, "column 'effective_scattering_length' is missing; found depth, absorption_length"),
    (LAYERS.replace("35,20", "15,20"), HEADER, "line 13: layers out of order: 'depth' is 15 after 20; expected values that only rise"),
    (LAYERS.replace("20,40,20", "20,-40,20"), HEADER, "line 12: 'effective_scattering_length' is -40; expected a length above 0"),
    (LAYERS.replace("20,40,20", "20,40,0"), HEADER, "line 12: 'absorption_length' is 0; expected a length above 0"),
    (LAYERS.replace("20,40,20", "20,forty,20"), HEADER, "line 12: 'effective_scattering_length' must be a number, got 'forty'"),
    (LAYERS.replace("20,40,20", "20,40"), HEADER, "line 12: 'absorption_length' must be a number, got 2 columns instead of 3"),
    (LAYERS.replace("depth,", "dept,"), HEADER, "column 'z' or 'depth' is missing, which says where the 4 layers are"),
    (LAYERS.replace("20,40,20", "nan,40,20"), HEADER, "line 12: 'depth' is nan; expected up to 100000, in m"),
    (LAYERS, HEADER.replace("group_index", "group_indx"), "the key 'group_indx' is unknown; .* Did you mean 'group_index'"),
    (LAYERS, HEADER.replace("# group_index: 1.37\n", ""), "group_index is missing .*1.35634 in South Pole ice"),
    (LAYERS, HEADER.replace("1.37", "water"), "'# group_index: water': expected a number, a refractive index"),
    (LAYERS, HEADER.replace("1.37", "13.7"), "group_index is 13.7; expected a refractive index; .* from 1.01 to 3"),
    (LAYERS, HEADER + "# molecular_fraction: 0.9\n", "liu_fraction 0.2 and molecular_fraction 0.9 are more than 1"),
    (LAYERS, HEADER + "# density: 1.1\n", "'# density: 1.1': is given twice"),
    ("", HEADER, "expected a header line and one line per layer, got 0 lines"),
])  # fmt: skip
def test_every_number_of_a_file_is_checked(tmp_path, layers, header, message):
    with pytest.raises(MediumError, match=message) as error:
        eg.load_medium(write(tmp_path / "lake.csv", layers, header))
    assert "lake.csv" in str(error.value)


@pytest.mark.parametrize(("text", "message"), [
    ("absorption_length: 20", "column 'effective_scattering_length' is missing"),
    ("{effective_scattering_length: 20, absorption_length: [1, 2]}", "expected one number per layer in every column"),
    ("{effective_scattering_length: 20, absorption_length: clear}", "absorption_length: expected a number or a list of numbers"),
    ("{effective_scattering_length: 20, absorption_length: 20, groupindex: 1}", "'groupindex' is unknown.* Did you mean 'group_index'"),
    ("[1, 2", "lake.yaml"),
])  # fmt: skip
def test_every_key_of_a_yaml_file_is_checked(tmp_path, text, message):
    (tmp_path / "lake.yaml").write_text(text)
    with pytest.raises(MediumError, match=message):
        eg.load_medium(tmp_path / "lake.yaml")


def test_an_unknown_medium_is_told_with_the_nearest(experiment):
    with pytest.raises(MediumError, match="^south_pol: no such medium.* Did you mean 'south_pole'"):
        eg.load_medium("south_pol")
    with pytest.raises(MediumError, match="expected the name or the path of a medium, got 7"):
        eg.load_medium(7)
    config = load_config(experiment / "config.yaml", ["detector_settings.medium=mediteranean_water"])
    with pytest.raises(ConfigError, match="^detector_settings.medium: .* Did you mean 'mediterranean_water'"):
        simulate(config, experiment / "nowhere")


def test_modules_outside_of_the_layers_are_told_once(small_detector_csv, tmp_path, caplog):
    media._say_once.cache_clear()
    lake = write(tmp_path / "lake.csv")
    with caplog.at_level(logging.INFO, "evgen_jax"):
        for _ in range(2):
            eg.load_detector(small_detector_csv, medium=lake)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    # Points from 50 to 90 m, each in a cell of 40 / 7 m; three levels of nine modules are at 60, 85 and (outside) above.
    assert told == [
        ("INFO", "detector 'small': its medium is lake."),
        ("WARNING", "detector 'small': light in lake, whose mean cosine of scattering is 0.850, is that of the tables for ice (asymmetry "
                    "0.9, liu_fraction 0.45, molecular_fraction 0: 0.900), the nearest there are. After few scatterings the two differ: "
                    "events with simulation_settings.light: photons show by how much."),
        ("WARNING", "detector 'small': 90 of 108 modules are outside the layers of lake, z from 47.143 to 92.857 m; the first and "
                    "the last layer are extended. Is detector_settings.medium right?"),
    ]  # fmt: skip
    caplog.clear()
    with caplog.at_level(logging.WARNING, "evgen_jax"):
        for known in media.KNOWN:
            media.tell_medium(eg.load_medium(known), "small", np.zeros(1))
    assert not caplog.records  # there are tables of their own scattering


def test_a_file_and_a_model_belong_to_their_medium(experiment, loaded_detector, tmp_path):
    water = eg.load_medium("mediterranean_water")
    config = load_config(experiment / "config.yaml")
    path = sorted((experiment / "events").glob("*.hdf5"))[0]
    assert read_event_file(path, config.data_handler_settings, loaded_detector).fingerprinted
    wet = loaded_detector.replace(medium=water)
    with pytest.raises(DataError, match=r"holds events in the medium 'south_pole', which is not 'mediterranean_water'"):
        read_event_file(path, config.data_handler_settings, wet)
    darker = loaded_detector.replace(
        medium=loaded_detector.medium.replace(absorption=2 * loaded_detector.medium.absorption)
    )
    with pytest.raises(DataError, match=r"'south_pole', which is not 'south_pole' of other numbers"):
        read_event_file(path, config.data_handler_settings, darker)
    assert len({detector_fingerprint(own) for own in (loaded_detector, wet, darker)}) == 3

    dry, model = analytic_model(loaded_detector), analytic_model(wet)
    eg.save_model(dry, tmp_path / "dry")
    assert not (tmp_path / "dry" / "medium.csv").exists() and is_default(
        eg.load_model(tmp_path / "dry").detector.medium
    )
    eg.save_model(model, tmp_path / "wet")
    again = eg.load_model(tmp_path / "wet")
    assert again.detector.medium.name == "mediterranean_water"
    assert detector_fingerprint(again.detector) == detector_fingerprint(model.detector)
    assert json.loads((tmp_path / "wet" / "model.json").read_text())["medium"]["fingerprint"] == fingerprint(water)
    with pytest.raises(
        ConfigError, match="model 1 is of the medium 'mediterranean_water', the first one of 'south_pole'"
    ):
        eg.Ensemble([dry, model])
    other = load_config(experiment / "config.yaml", [f"simulation_settings.model={tmp_path / 'wet'}"])
    with pytest.raises(ConfigError, match="was trained in the medium 'mediterranean_water', which is not 'south_pole' of detector_settings"):  # fmt: skip
        simulate(other, tmp_path / "events")


def test_events_of_earlier_versions_were_in_south_pole_ice(tmp_path):
    settings = {"num_events": 5, "events_per_file": 5, "medium": "south_pole"}
    earlier = {key: value for key, value in settings.items() if key != "medium"}
    (tmp_path / "events_000000.hdf5").touch()
    (tmp_path / "events.simulation.json").write_text(json.dumps(earlier))
    check_record(tmp_path, "events", settings)
    with pytest.raises(DataError, match="medium: south_pole -> mediterranean_water"):
        check_record(tmp_path, "events", settings | {"medium": "mediterranean_water"})


def test_the_likelihood_has_gradients_by_the_medium(loaded_detector, x64):
    """And the light of a detector with an origin is that of its layers, which are in the coordinates of its table."""
    model = analytic_model(loaded_detector)
    hypothesis = jnp.array([20.0, -30.0, 15.0, 1.1, 2.0, 3e3, 9900.0])
    times = jnp.array([10000.0])

    @jax.jit
    def charge(medium, detector=loaded_detector, h=hypothesis):
        own = replace(model, detector=detector.replace(medium=medium))
        return jnp.sum(eg.make_dom_expectation(own)(own.variables, h, times).charge)

    ice = jax.tree.map(jnp.asarray, loaded_detector.medium)
    slopes = jax.jit(jax.grad(charge))(ice)
    for name, step in (("absorption", 1e-5), ("scattering", 1e-5), ("photons_per_gev", 10.0)):  # the source is float32
        up, down = (charge(ice.replace(**{name: getattr(ice, name) + sign * step})) for sign in (1, -1))
        assert float(jnp.sum(getattr(slopes, name))) == pytest.approx(float(up - down) / (2 * step), rel=2e-3)
    moved = loaded_detector.replace(
        origin=(0.0, 0.0, 30.0), position=loaded_detector.position - np.float32([0.0, 0.0, 30.0])
    )
    assert float(charge(ice, moved, hypothesis.at[2].add(-30.0))) == pytest.approx(float(charge(ice)), rel=1e-5)


def test_learned_times_follow_the_group_velocity(loaded_detector):
    geometry = eg.sources.CascadeGeometry(shift_cascade_vertex=False)
    with_diffusion = LearnedOptions(scale_charge_by_diffusion=True)
    trafo = typical_trafo(geometry.parameters)
    hypothesis = jnp.array([20.0, -30.0, 15.0, 1.1, 2.0, 3e3, 9900.0])
    wet = loaded_detector.replace(medium=eg.load_medium("mediterranean_water"))
    ice, water = (geometry(hypothesis, trafo, own, with_diffusion) for own in (loaded_detector, wet))
    np.testing.assert_allclose(water.arrival / ice.arrival, 1.375 / 1.35634, rtol=1e-6)
    # In the mean lengths of the medium: 30 and 110 m, 265 and 60 m. Near the source all that counts are the photons.
    near, far = np.argsort(np.asarray(ice.distance))[[0, -1]]
    ratio = np.asarray(water.homogeneous_charge / ice.homogeneous_charge)
    assert ratio[near] != pytest.approx(ratio[far], rel=0.1)
    track = eg.sources.SphereTrackGeometry(300.0)
    muon = jnp.array([1.2, 2.1, 9200.0, 5000.0, 1.0, 2.0])
    views = [track(muon, typical_trafo(track.parameters), own, with_diffusion) for own in (loaded_detector, wet)]
    assert np.all(np.isfinite(views[1].homogeneous_charge)) and not np.allclose(views[0].arrival, views[1].arrival)
