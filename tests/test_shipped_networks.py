"""Networks that come with the package: models by name, near the likelihood that they learned."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax.building.model_files import SHIPPED, shipped_path
from evgen_jax.building.named_models import is_named
from evgen_jax.building.parts import load_part
from evgen_jax.errors import ModelDirectoryError
from evgen_jax.measurement.detector import fingerprint
from evgen_jax.simulation.draw import draw_hypotheses
from evgen_jax.simulation.events import EventSampler

LARGEST = {"demo": 500_000, "icecube86-cascade": 1_000_000}
REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "photon" / "layered_cascades.npz"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_is_a_model_by_name(name):
    model = eg.load_model(name)
    assert is_named(name) and fingerprint(model.detector) == fingerprint(eg.load_detector())
    assert sum(path.stat().st_size for path in shipped_path(name).rglob("weights.npz")) < LARGEST[name]
    assert [parameter.role for parameter in model.parameters] == [
        "x", "y", "z", "zenith", "azimuth", "energy", "time",
    ]  # fmt: skip
    cascade = load_part(f"{name}/cascade")
    assert len(cascade.parameters) == 7 and "data_handler_settings" not in model.settings


def test_a_model_of_that_name_comes_first_and_other_folders_do_not(tmp_path, monkeypatch, caplog):
    """`evgen-jax demo -o demo` leaves a folder that is no model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "report.html").touch()
    for path in ("demo", "demo/cascade"):
        assert len(load_part(path).parameters) == 7
    assert is_named("demo") and "the folder of that name here holds no model" in caplog.text
    (tmp_path / "demo" / "model.json").write_text("{}")  # one that is damaged is not passed over
    assert not is_named("demo")
    with pytest.raises(ModelDirectoryError, match="is no model directory"):
        eg.load_model("demo")


def test_other_detectors_and_names_are_told(small_detector_csv):
    with pytest.raises(ModelDirectoryError, match="can be chosen for 'icecube86-table' alone"):
        eg.load_model("demo", small_detector_csv)
    with pytest.raises(ModelDirectoryError, match="Did you mean 'icecube86-cascade'"):
        eg.load_model("icecube86-cascde")


def test_the_network_of_the_demo_is_near_the_true_likelihood():
    """At the truth of simulated events; with three events the gap of some 5 has an error of a few."""
    network, truth = eg.load_model("demo"), eg.load_model("icecube86-table")
    ranges = np.array([[-300, 300], [-300, 300], [-300, 300], [0, np.pi], [0, 2 * np.pi], [2e3, 2e4], [9500, 9900]])
    hypotheses = draw_hypotheses(np.random.default_rng(3), truth.parameters, ranges, 3)
    events = EventSampler(truth, (0.0, 20000.0)).events(hypotheses, jax.random.key(5))
    batch = eg.stack_events(events, factor=4)
    found = [
        jax.jit(jax.vmap(eg.log_likelihood, in_axes=(None, 0, 0)))(model, jnp.asarray(hypotheses, jnp.float32), batch)
        for model in (network, truth)
    ]
    assert -15 < np.mean(found[1] - found[0]) < 15
    assert np.mean([event.charge.sum() for event in events]) > 300


@pytest.mark.skipif(not REFERENCE.exists(), reason="photons of an independent Monte Carlo are not here")
def test_the_photon_network_knows_the_layers():
    """Charges of modules with over 0.3 photoelectrons at 10 TeV, further than 15 m; the light table scatters by 19 %."""
    reference, model = np.load(REFERENCE), eg.load_model("icecube86-cascade/cascade")
    detector = jax.tree.map(np.asarray, model.detector)
    expectation = jax.jit(eg.make_dom_expectation(model))
    scatter = []
    for number, (x, y, z, zenith, azimuth) in enumerate(reference["hypothesis"]):
        from_maximum = _at_maximum(model, [x, y, z, zenith, azimuth, 1e4, 0.0])
        charge = np.asarray(expectation(model.variables, from_maximum, jnp.zeros(1)).charge)
        factor = float(detector.medium.photons_per_gev) * 1e4 * detector.area * detector.relative_efficiency
        expected = reference["accepted"][number] * factor
        far = np.linalg.norm(detector.position - [x, y, z], axis=1) > 15
        lit = (expected > 0.3) & far & detector.usable
        scatter.append(np.std(np.log(charge[lit] / expected[lit])))
    assert np.mean(scatter) < 0.075


def _at_maximum(model: eg.Model, values: list[float]) -> jnp.ndarray:
    """The hypothesis whose shower has its maximum at the place given."""
    hypothesis = jnp.asarray(values, jnp.float32)
    view = model.source.geometry(hypothesis, model.source.trafo, model.detector, model.source.options)
    ahead = view.source - hypothesis[:3]
    return hypothesis.at[:3].add(-ahead)
