"""Detector tables: the embedded one, any user's, and what is refused."""

import jax
import numpy as np
import pytest

from evgen_jax.errors import DetectorError
from evgen_jax.hypothesis.names import read_parameters
from evgen_jax.hypothesis.origin import relative_to_origin
from evgen_jax.measurement.detector import EMBEDDED_FINGERPRINT, fingerprint, load_detector


def test_the_embedded_table():
    ice = load_detector()
    assert ice.num_doms == 5160 and (~ice.usable).sum() == 77
    assert float(np.sum(ice.noise_rate)) * 9000 == pytest.approx(26.46, abs=0.01)
    assert ice.dom_index([1, 86, 87], [1, 60, 1]).tolist() == [0, 5159, -1]
    assert fingerprint(ice) == EMBEDDED_FINGERPRINT


def test_a_copy_of_the_embedded_table_knows_its_surface_modules(tmp_path):
    ice = load_detector()
    ice.to_csv(tmp_path / "copy.csv")
    text = (tmp_path / "copy.csv").read_text()
    (tmp_path / "old.csv").write_text("".join(line + "\n" for line in text.splitlines() if not line.startswith("#")))
    for name in ("copy", "old"):
        copy = load_detector(tmp_path / f"{name}.csv")
        assert copy.ignored == ice.ignored
        jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(copy), jax.tree.leaves(ice))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("string,om,x,y\n1,1,0,0", "column 'z' is missing"),
        ("string,om,x,y,z\n1,1,0,0,0\n1,1,0,0,5", "given 2 times"),
        ("string,om,x,y,z\n1,1.5,0,0,0", "line 2: 'om' is 1.5; expected a whole number"),
        ("string,om,x,y,z\n# a comment\n\n1,-2,0,0,0", "line 4: 'om' is -2; expected a whole number"),
        ("string,om,x,y,z\n1,4294967301,0,0,0", "'om' is 4294967301; expected a whole number from 0 to 2147483647"),
        ("string,om,x,y,z\n1,1,0,nan,0", "line 2: 'y' is nan; expected a finite number"),
        ("string,om,x,y,z\n1,1,0,north,0", "line 2: 'y' must be a number, got 'north'"),
        ("string,om,x,y,z\n1,1,0,0", "line 2: 'z' must be a number, got 4 columns instead of 5"),
        ("string,om,x,y,z,usable\n1,1,0,0,0,0\n1,2,0,0,9,0", "'usable' is 0 for all 2 modules"),
        ("string,om,x,y,z\n1,1,0,5,0\n1,2,0,5,0", r"all 2 modules are at one point \(0, 5, 0\)"),
        ("string,om,x,y,z,usable\n1,1,0,0,0,2", "'usable' is 2; expected 0 or 1"),
        ("string,om,x,y,z,noise_rate\n1,1,0,0,0,500", "'noise_rate' is 500; expected a rate .* 500 Hz are 5e-7 per ns"),
        ("string,om,x,y,z,noise_rate\n1,1,0,0,0,-1e-7", "'noise_rate' is -1e-7"),
        ("string,om,x,y,z,relative_efficiency\n1,1,0,0,0,-1", "'relative_efficiency' is -1"),
        ("string,om,x,y,z,noise_rates\n1,1,0,0,0,0", "column 'noise_rates' is unknown.*Did you mean 'noise_rate'"),
        ("string,om,x,y,z,z\n1,1,0,0,0,0", "column 'z' is given 2 times"),
        ("string,om,x,y,z\n1,1,-500000,0,0\n2,1,500000,0,0", "span 1e.06 m.* in mm or cm"),
        ("# ignored: om 61 to 66\nstring,om,x,y,z\n1,1,0,0,0", "expected the form 'string 1-86, om 61-66'"),
        ('string,om,x,y,z,"\n1,1,0,0,0,0', "a quotation mark is opened and not closed"),
        ("# origin: nan 0 0\nstring,om,x,y,z\n1,1,0,0,0", "expected three numbers"),
        ("# origin: here\nstring,om,x,y,z\n1,1,0,0,0", "expected three numbers"),
        ("string,om,x,y,z", "expected a header line and one line per DOM"),
    ],
)
def test_every_column_is_checked(tmp_path, rows, message):
    (tmp_path / "d.csv").write_text(rows + "\n")
    with pytest.raises(DetectorError, match=message) as error:
        load_detector(tmp_path / "d.csv")
    assert "d.csv" in str(error.value)


def test_other_columns_and_encodings_are_read_over(tmp_path):
    (tmp_path / "d.csv").write_bytes("\ufeffstring, om ,x,y,z,remark\n1,2,3,4,5,über\n".encode())
    detector = load_detector(tmp_path / "d.csv")
    assert detector.position.tolist() == [[3, 4, 5]] and detector.om.tolist() == [2]
    (tmp_path / "d.csv").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe")
    with pytest.raises(DetectorError, match="is no text file"):
        load_detector(tmp_path / "d.csv")


@pytest.mark.parametrize("largest", [100, 808969848])
def test_labels_of_any_size(tmp_path, largest):
    rng = np.random.default_rng(0)
    labels = np.unique(rng.integers(0, largest, (200, 2)), axis=0)
    rows = "".join(f"{s},{o},0,0,{i}\n" for i, (s, o) in enumerate(labels.tolist()))
    (tmp_path / "d.csv").write_text("string,om,x,y,z\n" + rows)
    detector = load_detector(tmp_path / "d.csv")
    order = rng.permutation(len(labels))
    np.testing.assert_array_equal(detector.dom_index(*labels[order].T), order)
    near = labels + rng.integers(-1, 2, labels.shape)
    known = {tuple(row): i for i, row in enumerate(labels.tolist())}
    np.testing.assert_array_equal(detector.dom_index(*near.T), [known.get(tuple(row), -1) for row in near.tolist()])
    string, om = labels[0]
    odd = np.array([om + 0.5, np.nan, -1.0, 2.0**40 + om, float(om)])
    assert detector.dom_index(np.full(5, string), odd).tolist() == [-1, -1, -1, -1, 0]
    wraps = np.array([2**32 + om, 2**64 - 1], np.uint64)
    assert detector.dom_index(np.full(2, string), wraps).tolist() == [-1, -1]


def test_coordinates_that_float32_does_not_hold_are_relative_to_an_origin(tmp_path):
    """Eastings and northings: positions keep a millimetre, the table and labels keep their own coordinates."""
    rows = [(587600.123, 4016800.457, -3400.5), (587690.124, 4016890.456, -3300.25)]
    text = "string,om,x,y,z\n" + "".join(f"1,{i + 1},{x},{y},{z}\n" for i, (x, y, z) in enumerate(rows))
    (tmp_path / "utm.csv").write_text(text)
    detector = load_detector(tmp_path / "utm.csv")
    assert detector.origin == (588000.0, 4017000.0, 0.0)
    np.testing.assert_allclose(detector.position + np.asarray(detector.origin), rows, atol=1e-3, rtol=0)
    own = read_parameters(("cascade_x", "cascade_y", "cascade_z", "cascade_energy"))
    there = np.array([587650.5, 4016850.25, -3350.0, 1e4])
    here = relative_to_origin(detector, own, there)
    assert here.tolist() == [-349.5, -149.75, -3350.0, 1e4]
    np.testing.assert_array_equal(relative_to_origin(detector, own, here, +1), there)
    detector.to_csv(tmp_path / "again.csv")
    again = load_detector(tmp_path / "again.csv")
    assert fingerprint(again) == fingerprint(detector) and again.origin == detector.origin and again.name == "utm"
