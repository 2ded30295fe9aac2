"""Sensors: their axes, areas and angular curves, and detectors of modules with several photomultipliers."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import CASCADE, ONE

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.building.model import build_source, hypothesis_of
from evgen_jax.config.records import ModelSettings
from evgen_jax.errors import DetectorError
from evgen_jax.hypothesis.trafo import typical_trafo
from evgen_jax.measurement.detector import fingerprint, geometry_fingerprint
from evgen_jax.measurement.sensors import incoming_cosine
from evgen_jax.physics.acceptance import angular_acceptance
from evgen_jax.physics.angular_curves import NAMED, UNIFIED, moments, named_curve
from evgen_jax.physics.curve_forms import read_curve
from evgen_jax.reconstruction.starts.clusters import find_clusters
from evgen_jax.reconstruction.starts.pulses import first_pulses

HEADER = "string,om,x,y,z,axis_x,axis_y,axis_z,area,kind\n"
ROWS = "1,1,0,0,0,0,0,-2,0.0045,pmt\n1,2,0,0,0,3,0,4,0.0045,uniform\n2,1,50,0,0,0,0,1,0.0856,bfr-v2\n"


def shape_of_a_photomultiplier(cosine):
    return np.exp(1.5 * (cosine - 1)) * (1 + cosine) / 2


@pytest.fixture
def table(tmp_path):
    cosine = np.linspace(-1, 1, 41)
    rows = "".join(f"{c},{v}\n" for c, v in zip(cosine, shape_of_a_photomultiplier(cosine), strict=True))
    (tmp_path / "pmt.csv").write_text("cos_eta,acceptance\n" + rows)
    (tmp_path / "d.csv").write_text("# kind pmt: table pmt.csv\n" + HEADER + ROWS)
    return tmp_path / "d.csv"


def test_curves_have_the_means_of_their_sources(x64):
    # Means of the curves: h2-50cm 0.338, ftp-v3m and bfr-v2 0.340; integral 0.68 of the unified model and of msu.
    assert float(moments(named_curve("h2-50cm"))[0]) == pytest.approx(0.338, abs=5e-4)
    for name in (*UNIFIED, "ftp-v3m", "bfr-v2", "msu"):
        assert float(moments(named_curve(name))[0]) == pytest.approx(0.34, abs=5e-4), name
    np.testing.assert_allclose(moments(named_curve("uniform")), [1, 0], atol=1e-12)
    # 1/2 int_0^1 c^n dc and 3/2 int_0^1 c^(n + 1) dc.
    for power in (1.0, 2.5):
        own = read_curve("pmt", f"cosine {power}", None, "d.csv")
        np.testing.assert_allclose(moments(own), [0.5 / (power + 1), 1.5 / (power + 2)], rtol=1e-4)
    cosine = jnp.linspace(-1, 1, 300)
    np.testing.assert_allclose(
        read_curve("dom", "unified 0.25 -0.06", None, "d.csv")(cosine),
        angular_acceptance(cosine, 0.25, -0.06),
        rtol=1e-12,
    )
    for name in NAMED:
        assert np.all(np.asarray(named_curve(name)(cosine)) >= 0)


def test_a_table_becomes_a_smooth_curve(table, x64):
    detector = eg.load_detector(table)
    curve = next(own for own in detector.kinds if own.name == "pmt")
    cosine = jnp.linspace(-1, 1, 4001)
    np.testing.assert_allclose(curve(cosine), shape_of_a_photomultiplier(np.asarray(cosine)), atol=2e-5)
    second = np.asarray(jax.vmap(jax.grad(jax.grad(curve)))(cosine[1:-1]))
    assert np.abs(np.diff(second)).max() < 0.02 * np.abs(second).max()
    assert np.isfinite(jax.vmap(jax.grad(curve))(jnp.array([-1.0, 1.0]))).all()
    assert float(jax.grad(curve)(1.0)) == pytest.approx(1.5 + 0.5, rel=1e-2)


def test_a_table_of_sensors_is_read_and_written(table, tmp_path):
    detector = eg.load_detector(table)
    np.testing.assert_allclose(detector.axis, [[0, 0, -1], [0.6, 0, 0.8], [0, 0, 1]], rtol=1e-7)
    np.testing.assert_allclose(detector.area, [0.0045, 0.0045, 0.0856], rtol=1e-6)
    assert [detector.kinds[i].name for i in detector.kind] == ["pmt", "uniform", "bfr-v2"]
    cosine = jnp.array([0.3, 0.3, 1.0])
    response = eg.sensor_response(detector, cosine)
    np.testing.assert_allclose(
        response, [shape_of_a_photomultiplier(0.3), 1, 0.34 + 0.21 + 0.73 - 0.90 + 0.30], rtol=1e-4
    )
    mean, slope = eg.sensor_moments(detector)
    np.testing.assert_allclose(mean[1:], [1, 0.34], rtol=2e-3)
    assert slope[1] == pytest.approx(0, abs=1e-5) and slope[0] > slope[2] > 0
    single = jax.tree.map(jnp.asarray, detector)
    for name in ("again", "once_more"):
        single.to_csv(tmp_path / f"{name}.csv")
        again = eg.load_detector(tmp_path / f"{name}.csv")
        assert fingerprint(again) == fingerprint(single)
        np.testing.assert_array_equal(eg.sensor_response(again, cosine), response)
    plain = "string,om,x,y,z\n" + "".join(",".join(row.split(",")[:5]) + "\n" for row in ROWS.splitlines())
    (tmp_path / "plain.csv").write_text(plain)
    plain = eg.load_detector(tmp_path / "plain.csv")
    default = plain.replace(axis=detector.axis), plain.replace(area=detector.area), plain.replace(kind=detector.kind, kinds=detector.kinds)  # fmt: skip
    assert len({fingerprint(own) for own in (plain, detector, *default)}) == 5
    assert geometry_fingerprint(plain) != geometry_fingerprint(default[0])
    assert geometry_fingerprint(plain) == geometry_fingerprint(default[1]) == geometry_fingerprint(default[2])


def test_modules_that_are_listed_twice_are_told(tmp_path, caplog):
    """Their light would count twice; photomultipliers of one module look into different directions."""
    (tmp_path / "d.csv").write_text("string,om,x,y,z\n1,1,0,0,0\n1,2,0,0,50\n7,3,0,0,50\n2,1,50,0,0\n")
    eg.load_detector(tmp_path / "d.csv")
    assert "(string 1, om 2) and (string 7, om 3) are at one point and look the same way, as 1 sensors" in caplog.text
    caplog.clear()
    (tmp_path / "d.csv").write_text(
        HEADER + "1,1,0,0,0,0,0,-1,0.0045,uniform\n1,2,0,0,0,0,0,1,0.0045,uniform\n2,1,50,0,0,0,0,1,0.1,uniform\n"
    )
    eg.load_detector(tmp_path / "d.csv")
    assert "at one point" not in caplog.text


def test_old_tables_stay_as_they_are(detector, tmp_path):
    detector.to_csv(tmp_path / "d.csv")
    assert (tmp_path / "d.csv").read_text().splitlines()[1] == "string,om,x,y,z,relative_efficiency,noise_rate,usable"
    unit = jax.random.normal(jax.random.key(0), (108, 3))
    np.testing.assert_array_equal(incoming_cosine(detector, unit), unit[:, 2])


def test_a_known_curve_with_other_numbers_keeps_them(detector, tmp_path):
    curve = detector.kinds[0]
    steeper = detector.replace(kinds=(curve.replace(coefficients=1.5 * curve.coefficients),))
    assert fingerprint(steeper) != fingerprint(detector)
    steeper.to_csv(tmp_path / "d.csv")
    again = eg.load_detector(tmp_path / "d.csv")
    assert again.kinds[0].name == "own-icecube" and again.kinds[0].coefficients[0] == 1.5 * 0.32813
    for name in NAMED:
        own = jax.tree.map(jnp.asarray, detector.replace(kinds=(named_curve(name),)))
        own.to_csv(tmp_path / "d.csv")
        assert eg.load_detector(tmp_path / "d.csv").kinds[0].name == name


def test_kinds_of_a_configuration_count_before_those_of_the_table(table):
    detector = eg.load_detector(table, kinds={"pmt": "cosine 2"})
    assert float(eg.sensor_response(detector, jnp.array([0.5, 0.5, 0.5]))[0]) == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize(("text", "message"), [
    (HEADER + ROWS, "the kind 'pmt' has no angular curve. Declare it, '# kind pmt: table pmt.csv'"),
    ("# kind pnt: cosine 1\n" + HEADER + ROWS, "the kind 'pmt' has no angular curve.* Did you mean 'pnt'"),
    ("# kind pmt: table mpt.csv\n" + HEADER + ROWS, "mpt.csv: no such table of an angular curve. Did you mean 'pmt.csv'"),
    ("# kind pmt: cosin 1\n" + HEADER + ROWS, "kind pmt: 'cosin 1' is no angular curve; .* Did you mean 'cosine'"),
    ("# kind pmt: cosine -1\n" + HEADER + ROWS, "'cosine -1': expected 'cosine N' with a power from 0.5 to 100"),
    ("# kind pmt: unified 0.2\n" + HEADER + ROWS, "'unified 0.2': expected 'unified P0 P1'"),
    ("# kind pmt: polynomial -1\n" + HEADER + ROWS, "expected 'polynomial A0 A1 ...' with coefficients that are positive somewhere"),
    ("# kind uniform: cosine 1\n" + HEADER + ROWS, "'uniform' is the name of a known curve; give the kind another name"),
    ("# kind pmt: cosine 1\n# kind pmt: cosine 2\n" + HEADER + ROWS, "the kind 'pmt' is declared twice"),
    ("# kind: cosine 1\n" + HEADER + ROWS, "expected the form '# kind NAME: CURVE'"),
    (HEADER + ROWS.replace("0,0,-2", "0,0,0"), r"line 2: the axis \(0, 0, 0\) has no length; expected a direction"),
    (HEADER + ROWS.replace("0.0045", "45", 1), "line 2: 'area' is 45; expected an area above 0 and up to 10 m\\^2"),
    (HEADER + ROWS.replace("0.0045", "0", 1), "line 2: 'area' is 0; expected an area above 0"),
    (HEADER + ROWS.replace(",pmt", ","), "line 2: 'kind' is empty; expected the name of a kind of sensor"),
    (HEADER.replace("axis_y", "remark") + ROWS, "column 'axis_y' is missing; expected axis_x, axis_y, axis_z, or none"),
    (HEADER.replace("kind", "kinds") + ROWS, "column 'kinds' is unknown.*Did you mean 'kind'"),
    (HEADER + ROWS.replace("0,0,-2", "0,0,down"), "line 2: 'axis_z' must be a number, got 'down'"),
])  # fmt: skip
def test_what_cannot_be_is_told(table, text, message):
    table.write_text(text)
    with pytest.raises(DetectorError, match=message) as error:
        eg.load_detector(table)
    assert "d.csv" in str(error.value)


@pytest.mark.parametrize(("rows", "message"), [
    ("-1,0\n0,1\n1,1\n", "expected four lines or more with cosines from -1 to 1"),
    ("0,0\n0.1,0.1\n0.5,1\n1,1\n", "expected four lines or more with cosines from -1 to 1"),
    ("-1,0\n0.5,1\n0,1\n1,1\n", "line 3: expected cosines that rise from -1 to 1"),
    ("-1,0\n0,-1\n0.5,1\n1,1\n", "line 2: expected cosines that rise from -1 to 1 and acceptances >= 0"),
    ("-1,0\n0,some\n0.5,1\n1,1\n", "line 2: expected two numbers, cosine and relative acceptance, got 0,some"),
])  # fmt: skip
def test_a_table_of_a_curve_is_checked(table, rows, message):
    table.with_name("pmt.csv").write_text(rows)
    with pytest.raises(DetectorError, match=message):
        eg.load_detector(table)


def turned(vectors, angle=0.7):
    """Vectors (..., 3), turned about the x axis."""
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.asarray(vectors, np.float64) @ turn.T


def test_light_turns_with_the_detector(loaded_detector, x64):
    """In water everything may be turned: positions, axes, vertex and direction of the shower."""
    water = loaded_detector.replace(medium=eg.load_medium("mediterranean_water"))
    model = analytic_model(water)
    there = replace(model, detector=water.replace(position=turned(water.position), axis=turned(water.axis)))
    vertex, flight = np.array([20.0, -30.0, 15.0]), -eg_direction(1.1, 2.0)
    direction = -turned(flight)
    angles = np.arccos(direction[2]), np.arctan2(direction[1], direction[0])
    hypotheses = [*vertex, 1.1, 2.0, 3e3, 9900.0], [*turned(vertex), *angles, 3e3, 9900.0]
    times = jnp.array([10000.0])

    @jax.jit
    def view(model, hypothesis):
        return eg.make_dom_expectation(model)(model.variables, hypothesis, times)

    views = [view(own, jnp.array(h)) for own, h in zip((model, there), hypotheses, strict=True)]
    np.testing.assert_allclose(views[0].charge, views[1].charge, rtol=1e-4)
    still = replace(model, detector=there.detector.replace(axis=water.axis))
    other = view(still, jnp.array(hypotheses[1]))
    assert np.abs(other.charge / views[0].charge - 1).max() > 0.1


def eg_direction(zenith, azimuth):
    """The unit vector to where a particle comes from."""
    return np.array([np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth), np.cos(zenith)])


def test_learned_sources_see_axes_areas_and_kinds(loaded_detector):
    """Charges are those of the network times acceptance about the axis and area; the cosine may be an input."""
    section = ModelSettings.model_validate(CASCADE)
    source, _ = build_source(section, typical_trafo(hypothesis_of(section)))
    detector = jax.tree.map(jnp.asarray, loaded_detector)
    variables, hypothesis = source.init_variables(jax.random.key(0), detector), jnp.array(ONE, jnp.float32)
    event = eg.Event.from_pulses([1.0], [10000.0], [1], [1], detector=detector)
    flipped = detector.replace(
        axis=-detector.axis,
        area=2 * detector.area,
        kind=jnp.arange(108) % 2,
        kinds=(*detector.kinds, named_curve("uniform")),
    )
    plain, other = (source.light_yield(variables, hypothesis, event, own).charge for own in (detector, flipped))
    from_shower = detector.position - hypothesis[None, :3]
    geometry = source.geometry(hypothesis, source.trafo, detector, source.options)
    np.testing.assert_allclose(
        geometry.unit, from_shower / jnp.linalg.norm(from_shower, axis=1, keepdims=True), atol=0.1
    )
    formula = [np.asarray(angular_acceptance(sign * geometry.unit[:, 2], 0.25, -0.06)) + 0.01 for sign in (1, -1)]
    expected = 2 * np.where(np.arange(108) % 2, 1.01, formula[1]) / formula[0]
    np.testing.assert_allclose(other / plain, expected, rtol=1e-4)

    section = ModelSettings.model_validate(CASCADE | {"config": CASCADE["config"] | {"add_axis_cosine": True}})
    wider, _ = build_source(section, typical_trafo(hypothesis_of(section)))
    more = wider.init_variables(jax.random.key(0), detector)
    kernels = [tree["params"]["DomNetwork_0"]["layer_00_kernel"].shape for tree in (variables, more)]
    assert kernels[1][-2] == kernels[0][-2] + 1


@pytest.fixture(scope="module")
def water_detector(tmp_path_factory):
    """Seven strings of 18 modules of six photomultipliers, up, down and sideways, in the Mediterranean."""
    angle = 2 * np.pi * np.arange(6) / 6
    strings = np.concatenate([[[0.0, 0.0]], 90 * np.stack([np.cos(angle), np.sin(angle)], axis=1)])
    axes = np.array([[0, 0, -1], [0, 0, 1], [1, 0, -0.3], [-1, 0, -0.3], [0, 1, -0.3], [0, -1, -0.3]])
    rows = [
        f"{s + 1},{100 * m + p + 1},{x},{y},{36.0 * m - 306.0},{a},{b},{c},0.012,4e-6,pmt"
        for s, (x, y) in enumerate(strings) for m in range(18) for p, (a, b, c) in enumerate(axes)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("water") / "water.csv"
    header = "string,om,x,y,z,axis_x,axis_y,axis_z,area,noise_rate,kind"
    path.write_text("\n".join(["# name: water", "# kind pmt: cosine 1.5", header, *rows]) + "\n")
    return eg.load_detector(path, medium="mediterranean_water")


def test_modules_of_several_photomultipliers_are_sensors_at_one_place(water_detector):
    """Light, pulses, clusters and first pulses of a bright event; a sensor that looks at the shower sees more."""
    assert water_detector.num_doms == 756 and np.all(water_detector.position[:6] == water_detector.position[0])
    assert water_detector.dom_index([7, 3], [1706, 204]).tolist() == [755, 2 * 108 + 2 * 6 + 3]
    model = analytic_model(water_detector)
    hypothesis = jnp.array([20.0, 10.0, 0.0, 1.1, 2.0, 3e4, 9000.0], jnp.float32)
    view = jax.jit(lambda m, h: eg.make_dom_expectation(m)(m.variables, h, jnp.array([9500.0])))(model, hypothesis)
    charge = np.asarray(view.charge).reshape(7, 18, 6)
    assert np.all(charge > 0)
    # At the top of the central string light comes from below: down-looking photomultipliers see more than up-looking ones.
    light = charge - charge.min()  # far away there is noise alone
    assert light[0, 17, 0] > 1.2 * light[0, 17, 1] and light[0, 0, 1] > 1.2 * light[0, 0, 0]
    # The sideways ones that look along +x and -x, in a string at larger x than the shower.
    assert charge[1, 9, 3] > 1.5 * charge[1, 9, 2]

    pulses = jax.jit(eg.make_sampler(model))(model.variables, jax.random.key(1), hypothesis)
    seen = np.asarray(pulses.mask)
    hit, time = np.asarray(pulses.dom)[seen], np.asarray(pulses.time)[seen]
    assert int(pulses.count) == len(hit) > 1000
    labels = (np.asarray(water_detector.string)[hit], np.asarray(water_detector.om)[hit])
    event = eg.Event.from_pulses(np.ones(len(hit)), time, *labels, detector=water_detector)
    doms, charges, first = first_pulses(event)
    assert charges.sum() == pytest.approx(len(hit)) and np.all(np.isfinite(first)) and len(doms) == len(np.unique(hit))
    clusters = find_clusters(event, water_detector, 2)
    assert np.isfinite(clusters.position).all() and np.isfinite(clusters.time).all()
    # Three photomultipliers of one module are one module.
    one = eg.Event.from_pulses([5.0] * 3, [9300.0] * 3, [1] * 3, [1, 2, 3], detector=water_detector)
    assert len(find_clusters(one, water_detector, 1, min_doms=2).charge) == 0
    assert find_clusters(one, water_detector, 1, min_doms=1).charge.tolist() == [15.0]
