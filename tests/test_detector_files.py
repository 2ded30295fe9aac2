"""Detectors of other programs as detector tables: places, axes, areas and kinds of their sensors."""

import re

import numpy as np
import pytest
from format_files import write_parquet

from evgen_jax.errors import DetectorError
from evgen_jax.measurement.detector import LabelRange, fingerprint, load_detector
from evgen_jax.measurement.detector_files import read_detector_file
from evgen_jax.measurement.detx import read_detx
from evgen_jax.physics.diffusion import DOM_AREA

GEO = "### Metadata ###\nMedium:\t{medium}\nDOM Radius [cm]:\t30\n### Modules ###\n"
MODULES = "-256.14\t-521.08\t-1452.04\t1\t1\n-256.14\t-521.08\t-1469.06\t1\t2\n10.0\t0.0\t-1500\t2\t1\n"
PMT = " {number} {x} 2.0 3.5 0.0 0.6 -0.8 {offset}{status}\n"


def detx(version):
    """Two modules of two photomultipliers; the status of the last one says that it takes no part."""
    head = {1: "7 2\n"}.get(
        version, f"# a comment\n7 v{version}\n1580056200.0 9999999999.0\nUTM WGS84 32N 1.0 2.0 -2440.0\n2\n"
    )
    text = head
    for module in range(2):
        place = " 1.0 2.0 3.0 1 0 0 0 0.0" + (" 0" if version == 5 else "") if version > 3 else ""
        text += f"{808000001 + module} {module + 4} 9{place} 2\n"
        for channel in range(2):
            number = 2 * module + channel
            status = f" {int(number == 3)}" if version > 2 else ""
            text += PMT.format(number=100 + number, x=10.0 * module + channel, offset=5.0 * number, status=status)
    return text


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_detx_of_every_version(tmp_path, version):
    path = tmp_path / "telescope"  # no ending says what it is
    path.write_text(detx(version))
    own = read_detx(path)
    assert own.identifier == 7 and own.line.tolist() == [4, 4, 5, 5] and own.floor.tolist() == [9] * 4
    assert own.number.tolist() == [100, 101, 102, 103] and own.time_offset.tolist() == [0.0, 5.0, 10.0, 15.0]
    detector = load_detector(path, "mediterranean_water")
    assert detector.string.tolist() == [808000001] * 2 + [808000002] * 2 and detector.om.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(detector.position, [[0, 2, 3.5], [1, 2, 3.5], [10, 2, 3.5], [11, 2, 3.5]])
    np.testing.assert_allclose(detector.axis, np.tile([0.0, 0.6, -0.8], (4, 1)), atol=1e-7)
    np.testing.assert_allclose(detector.area, 0.0045)
    assert [curve.name for curve in detector.kinds] == ["pmt"]
    np.testing.assert_allclose(detector.kinds[0](np.array([-1.0, 0.5, 1.0], np.float32)), [0, 0.5, 1], atol=1e-6)
    assert np.asarray(detector.usable).tolist() == [True, True, True, version < 3]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text[: len(text) // 2], "ends before all its modules are there"),
        (lambda text: text.replace(" 0.6 ", " north "), "line 7: .*expected at least 9 numbers"),
        (lambda text: text.replace("808000002", "808000001"), r"DOM \(string 808000001, om 0\) is given 2 times"),
    ],
)
def test_detx_that_cannot_be(tmp_path, change, expected):
    (tmp_path / "d.detx").write_text(change(detx(3)))
    with pytest.raises(DetectorError, match=expected):
        load_detector(tmp_path / "d.detx")


@pytest.mark.parametrize("medium", ["ice", "water"])
def test_geo_of_prometheus(tmp_path, medium):
    (tmp_path / "d.geo").write_text(GEO.format(medium=medium) + MODULES)
    detector = load_detector(tmp_path / "d.geo")
    assert detector.string.tolist() == [1, 1, 2] and detector.om.tolist() == [1, 2, 1]
    np.testing.assert_allclose(detector.position[1], [-256.14, -521.08, -1469.06], rtol=1e-6)
    np.testing.assert_allclose(detector.area, np.pi * 0.3**2, rtol=1e-6)
    assert detector.kinds[0].name == ("uniform" if medium == "water" else "icecube")
    (tmp_path / "d.geo").write_text(GEO.format(medium=medium) + MODULES + "1 2 3\n")
    with pytest.raises(DetectorError, match=r"line 8: '1 2 3': expected x, y, z \(m\), string and om"):
        load_detector(tmp_path / "d.geo")
    (tmp_path / "d.geo").write_text("### Metadata ###\n")
    with pytest.raises(DetectorError, match="has no line '### Modules ###'"):
        load_detector(tmp_path / "d.geo")


def icecube_table():
    """Two modules of IceCube, one without a known efficiency, one of IceTop, two photomultipliers of an mDOM."""
    return {
        "dom_x": np.array([1.0, 1.0, 2.0, 3.0, 3.0]), "dom_y": np.zeros(5), "dom_z": np.array([100.0, 83.0, 1950.0, -300.0, -300.0]),
        "string": np.array([1, 1, 1, 88, 88]), "dom_number": np.array([1, 2, 61, 5, 5]), "pmt_number": np.array([0, 0, 0, 0, 3]),
        "dom_type": np.array([20, 20, 30, 130, 130]), "rde": np.array([1.35, np.nan, 1.0, 1.0, 1.0]),
        "pmt_area": np.array([0.0444, 0.0444, 0.0444, 0.00817128, 0.00817128]),
        "pmt_dir_x": np.array([0.0, 0.0, 0.0, 1.0, 0.0]), "pmt_dir_y": np.zeros(5), "pmt_dir_z": np.array([-1.0, -1.0, -1.0, 0.0, 2.0]),
    }  # fmt: skip


def test_modules_of_graphnet(tmp_path):
    pytest.importorskip("pyarrow")
    path = write_parquet(tmp_path / "icecube_upgrade.parquet", icecube_table())
    detector = load_detector(path)
    assert detector.string.tolist() == [1, 1, 88, 88] and detector.om.tolist() == [1, 2, 5, 3005]
    assert detector.ignored == (LabelRange(1, 1, 61, 61),)
    np.testing.assert_allclose(detector.relative_efficiency, [1.35, 1, 1, 1])
    np.testing.assert_allclose(detector.area, DOM_AREA * np.array([1, 1, 0.18404, 0.18404]), rtol=1e-4)
    np.testing.assert_allclose(detector.axis, [[0, 0, -1], [0, 0, -1], [1, 0, 0], [0, 0, 1]], atol=1e-7)
    assert [detector.kinds[i].name for i in detector.kind] == ["icecube", "icecube", "mdom", "mdom"]
    sensors = {f"sensor_pos_{axis}": np.arange(3.0) for axis in "xyz"} | {
        "sensor_string_id": np.zeros(3),
        "sensor_id": np.arange(3),
    }
    orca = load_detector(write_parquet(tmp_path / "orca.parquet", sensors))
    assert orca.string.tolist() == [0, 0, 0] and orca.om.tolist() == [0, 1, 2] and orca.kinds[0].name == "uniform"
    with pytest.raises(DetectorError, match="is no table of modules: expected the columns dom_x, .*found title"):
        load_detector(write_parquet(tmp_path / "other.parquet", {"title": np.arange(3)}))


def test_the_command_writes_a_table_of_the_same_detector(tmp_path, command):
    path, table = tmp_path / "arca.detx", tmp_path / "arca.csv"
    path.write_text(detx(4))
    code, out, err = command("detector", path, "-o", table)
    assert code == 0 and "4 sensors at 4 places, 2 strings, 3 usable" in out, err
    assert fingerprint(load_detector(table)) == fingerprint(load_detector(path))
    assert "# kind pmt: cosine 1\n" in table.read_text()
    code, _, err = command("detector", path, "-o", table)
    assert code == 2 and "exists already" in err
    (tmp_path / "pmt.csv").write_text("cos,acceptance\n-1,0\n0,0.2\n0.5,0.6\n1,1\n")
    changed = tmp_path / "changed.csv"
    code, _, err = command(
        "detector", path, "-o", changed, "--area", "0.01", "--kind", f"pmt=table {tmp_path / 'pmt.csv'}"
    )
    assert code == 0, err
    np.testing.assert_allclose(load_detector(changed).area, 0.01)
    assert abs(float(load_detector(changed).kinds[0](np.float32(0))) - 0.2) < 1e-3
    for options, expected in (
        (("--area", "50"), "--area 50: expected an area above 0 and up to 10 m"),
        (("--kind", "mpt=uniform"), "--kind mpt: no sensor of .* is of this kind; it has pmt. Did you mean 'pmt'"),
        (("--kind", "pmt"), "expected NAME=CURVE"),
        (("--kind", "pmt=cosin 1"), "is no angular curve"),
    ):
        code, _, err = command("detector", path, "-o", tmp_path / "bad.csv", *options)
        assert code == 2 and re.search(expected, err), err
        assert not list(tmp_path.glob("bad*"))
    code, _, err = command("detector", tmp_path / "nothing.detx", "-o", tmp_path / "bad.csv")
    assert code == 2 and "no such file" in err


def test_odd_detector_files_are_read_or_are_one_message(tmp_path):
    rng, path, refused = np.random.default_rng(0), tmp_path / "detector", 0
    odd = ["nan", "inf", "-1", "1e30", "", "x", "v9", "99999999999999999999", "0.5", "\n"]
    for number in range(300):
        text = [*map(detx, range(1, 6)), GEO.format(medium="water") + MODULES][number % 6]
        separator = " " if number % 2 else "\n"
        words = text.split(separator)
        words[rng.integers(len(words))] = rng.choice(odd)
        path.write_text(separator.join(words))
        try:
            read_detector_file(path)
        except DetectorError as error:
            assert str(path) in str(error)
            refused += 1
    assert 100 < refused < 300
