"""A detector in sea water, 7 strings of 18 modules of six photomultipliers each, through all commands."""

import h5py
import numpy as np
import pytest
from conftest import CONFIG

import evgen_jax as eg
from evgen_jax.config.validate import load_config
from evgen_jax.physics.sphere import angle_between, unit_vectors
from evgen_jax.reconstruction.run.table_file import read_table
from evgen_jax.simulation.simulate import simulate

pytestmark = pytest.mark.nightly
AXES = np.array([[0, 0, -1], [0, 0, 1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], float)
"""Where the photomultipliers of a module look."""
NUM_EVENTS = 8
CHANGES = (
    ("geometry: DIRECTORY/detector.csv", "geometry: DIRECTORY/detector.csv, medium: mediterranean_water"),
    ("num_events: 60, events_per_file: 20", f"num_events: {2 * NUM_EVENTS}, events_per_file: {NUM_EVENTS}"),
    ("x: [-100.0, 100.0], y: [-100.0, 100.0], z: [-100.0, 100.0], energy: [500.0, 5e3]",
     "x: [-60.0, 60.0], y: [-60.0, 60.0], z: [300.0, 500.0], energy: [5e3, 2e4]"),
    ("_00000[01].hdf5", "_000000.hdf5"),
    ("_000002.hdf5", "_000001.hdf5"),
    ("num_training_iterations: 12", "num_training_iterations: 4"),
    ("max_iterations: 3, scipy_optimizer_settings: {method: L-BFGS-B, options: {maxiter: 5}}", "max_iterations: 100"),
)  # fmt: skip


def write_detector(path):
    """A string in the middle of six at 90 m; modules 36 m apart, from 80 m above the sea floor on."""
    angle = np.arange(6) * np.pi / 3
    x, y = np.append(0, 90 * np.cos(angle)), np.append(0, 90 * np.sin(angle))
    rows = [
        f"{string + 1},{6 * module + tube + 1},{x[string]},{y[string]},{80 + 36 * module},{','.join(map(str, AXES[tube]))},0.0045,pmt\n"
        for string in range(7)
        for module in range(18)
        for tube in range(6)
    ]
    path.write_text("# kind pmt: cosine 1.5\nstring,om,x,y,z,axis_x,axis_y,axis_z,area,kind\n" + "".join(rows))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("water")
    write_detector(directory / "detector.csv")
    text = CONFIG.read_text().replace("locally_connected", "convolution")
    for old, new in CHANGES:
        assert old in text, old
        text = text.replace(old, new)
    (directory / "config.yaml").write_text(text.replace("DIRECTORY", str(directory)))
    simulate(load_config(directory / "config.yaml"), directory / "events")
    return directory


def test_all_commands(directory, command):
    config, events = directory / "config.yaml", directory / "again"
    model, fits = directory / "model", directory / "fits.hdf5"
    for arguments in (
        ("simulate", config, "-o", events),
        ("create-trafo", config),
        ("train", config),
        ("export", config, "-o", model),
        ("reconstruct", model, events / "small_000001.hdf5", "-o", fits),
        ("show", model, events / "small_000001.hdf5", "-o", directory / "pages", "--event", "0"),
    ):
        code, _, err = command(*arguments)
        assert code == 0 and "south_pole" not in err, (arguments[0], err)
    with h5py.File(events / "small_000001.hdf5") as file:
        assert file.attrs["medium"] == "mediterranean_water"
        pulses = file["MCPulses"][:]
        assert pulses["om"].max() > 60 and len(pulses) > 100 * NUM_EVENTS
    trained = eg.load_model(model)
    assert trained.detector.medium.name == "mediterranean_water" and trained.detector.num_doms == 7 * 18 * 6
    table = read_table(fits)
    assert len(table) == NUM_EVENTS and np.all(table["log_likelihood"] >= table["log_likelihood_seed"])
    assert list((directory / "pages").rglob("*.png"))


def test_the_light_of_the_table_finds_the_cascades(directory, command):
    """Without seeds, the light of the table finds each shower: some hundred pulses tell its energy to 10 %."""
    events, fits = directory / "events" / "small_000001.hdf5", directory / "table_fits.hdf5"
    medium = ("--medium", "mediterranean_water", "--detector", directory / "detector.csv")
    code, _, err = command("reconstruct", "icecube86-table", events, *medium, "-o", fits)
    assert code == 0, err
    with h5py.File(events) as file:
        truth, own = file["LabelsMCCascade"][:], read_table(fits)
    place = np.linalg.norm([own[f"cascade_{k}"] - truth[f"cascade_{k}"] for k in "xyz"], axis=0)
    angle = angle_between(*(unit_vectors(row["cascade_zenith"], row["cascade_azimuth"]) for row in (own, truth)))
    assert np.median(place) < 4 and np.median(np.degrees(angle)) < 8, (place, np.degrees(angle))
    assert np.median(np.abs(np.log(own["cascade_energy"] / truth["cascade_energy"]))) < 0.2
