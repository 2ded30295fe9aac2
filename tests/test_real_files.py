"""The three steps on files as IceCube writes them: only paths and table names of the demo's configuration change."""

from importlib import resources
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest

from evgen_jax.config.records import DataHandlerSettings
from evgen_jax.data.event_file import read_event_file
from evgen_jax.hypothesis.trafo import Trafo
from evgen_jax.measurement.detector import load_detector
from evgen_jax.reconstruction.fit.covariance import to_physical

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason="needs the experiment's files")]
SEED = "MonopodFit4_PartialExclusion"
FITTED = 1
FILES = {
    # file: (events, pulse table, label table, table of excluded DOMs)
    "cascade_mesc_l5_nue_low.hdf5": (2, "InIceDSTPulses", "LabelsDeepLearning", "BrightDOMs"),
    "reference_events.hdf5": (32, "MCPulses", "LabelsMCCascade", "BadDomsList"),
}


def write_config(path: Path, file: Path, steps: int) -> Path:
    events, pulses, labels, excluded = FILES[file.name]
    covariance = "true" if events < 10 else "false"  # minutes of compilation for many shapes of events
    text = (resources.files("evgen_jax") / "tables" / "demo.yaml").read_text()
    for pattern in ("demo_00000[0-6].hdf5", "demo_000007.hdf5"):
        text = text.replace(f"{{directory}}/events/{pattern}", str(file))
    for old, new in (
        ("{directory}", str(path.parent)),
        ("pulse_key: MCPulses", f"pulse_key: {pulses}"),
        ("LabelsMCCascade", labels),
        ("BadDomsList", excluded),
        ("seed: SmearedSeed", f"seed: {SEED}, max_iterations: 3, calculate_covariance_matrix: {covariance}"),
        ("\n        readout_window_key: ReadoutWindow,", ""),
        ("batch_size: 32", "batch_size: 2"),
        ("num_training_iterations: 1500", f"num_training_iterations: {steps}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)
    return path


def copy_first_events(source: Path, destination: Path, count: int) -> None:
    """Tables with the rows of the first events of the label table alone."""
    with h5py.File(source) as old, h5py.File(destination, "w") as new:
        labels = old[FILES[source.name][2]][:]
        kept = {(row["Run"], row["Event"]) for row in labels[:count]}
        for name, table in old.items():
            if isinstance(table, h5py.Dataset):
                rows = table[:]
                new[name] = rows[[(row["Run"], row["Event"]) in kept for row in rows]]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.nightly if name == "reference_events.hdf5" else ()) for name in FILES]
)
def test_three_steps_and_a_fit(name, command, tmp_path):
    config = write_config(tmp_path / "config.yaml", DATA / name, steps=4)
    for arguments in (("create-trafo", config), ("train", config), ("export", config, "-o", tmp_path / "model")):
        code, _, err = command(*arguments)
        assert code == 0, err
    # Every shape of event is compiled for: one is enough.
    few, output = tmp_path / "few.hdf5", tmp_path / "fits.hdf5"
    copy_first_events(DATA / name, few, FITTED)
    code, _, err = command("reconstruct", tmp_path / "model", few, "-o", output)
    assert code == 0, err
    with h5py.File(output) as file:
        rows = file["Variables"][:]
    with h5py.File(few) as file:
        seeds = file[SEED][:]
    assert len(rows) == FITTED
    np.testing.assert_allclose(rows["cascade_energy_seed"], seeds["energy"])
    assert np.all(rows["log_likelihood"] > rows["log_likelihood_seed"])


def test_pulses_inside_excluded_windows_are_those_that_the_experiment_removed():
    """A file with the pulses of the same events before and after its own removal."""
    tables = {
        "event_id_key": "LabelsMCCascade",
        "dom_exclusions_key": "BadDomsList",
        "time_exclusions_key": "TimeExclusions",
    }
    files = [
        read_event_file(
            DATA / "reference_events.hdf5",
            DataHandlerSettings(data_settings={"pulse_key": key, **tables}),
            load_detector(),
            labels=False,
        )
        for key in ("MCPulses", "MCPulsesTW")
    ]
    assert files[0].packed.dropped == 1275 and files[1].packed.dropped == 0
    for i in range(len(files[0])):
        a, b = (file.event(i) for file in files)
        jax.tree.map(np.testing.assert_array_equal, (a.charge, a.pulses, a.active), (b.charge, b.pulses, b.active))


def test_charges_of_two_real_events():
    settings = DataHandlerSettings(
        data_settings={
            "pulse_key": "InIceDSTPulses",
            "event_id_key": "LabelsDeepLearning",
            "dom_exclusions_key": "BrightDOMs",
        }
    )
    file = read_event_file(DATA / "cascade_mesc_l5_nue_low.hdf5", settings, load_detector(), labels=False)
    events = [file.event(i) for i in range(2)]
    assert [float(e.charge.sum()) for e in events] == pytest.approx([1080.05, 668.425], rel=1e-5)
    # Three bright modules each, besides the 77 that never give data.
    assert [int((~e.usable).sum()) for e in events] == [80, 80]


@pytest.mark.parametrize("name", ["reco_results_low_energy.hdf5", "reco_results_medium_energy.hdf5"])
def test_stored_covariances_scale_as_ours(name):
    """Matrices that the reference stored in both units, with the widths of its normalisation."""
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not there")
    parameters = [f"cascade_{n}" for n in ("x", "y", "z", "zenith", "azimuth")] + ["log_cascade_energy", "cascade_time"]
    std = (326.45940287, 311.9522641, 348.98148025, 0.68485024, 1.81440668, 2.61131475, 571.21529914)
    trafo = Trafo(tuple(parameters), (0.0,) * 7, std, (False,) * 5 + (True, False))
    checked = 0
    with h5py.File(DATA / name) as file:
        for table in [n for n in file if n.endswith("_trafo") and "cov_matrix" in n]:
            normalised, physical = file[table][:], file[table.removesuffix("_trafo")][:]
            for own, stored in zip(normalised, physical, strict=True):
                given, expected = (_matrix(row, parameters) for row in (own, stored))
                np.testing.assert_allclose(to_physical(given, trafo), expected, rtol=1e-8)
                checked += 1
    assert checked >= 9


def _matrix(row, parameters):
    """From the columns <a>_<b> of the upper triangle."""
    full = np.zeros((7, 7))
    for i, a in enumerate(parameters):
        for j, b in enumerate(parameters[i:], i):
            column = f"{a}_{b}"
            full[i, j] = full[j, i] = row[column if column in row.dtype.names else f"{b}_{a}"]
    return full
