"""The three steps on files as IceCube writes them: only paths and table names of the demo's configuration change."""

from importlib import resources
from pathlib import Path

import h5py
import numpy as np
import pytest

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not DATA.is_dir(), reason="needs the experiment's files")]
SEED = "MonopodFit4_PartialExclusion"
FILES = {
    # file: (events, pulse table, label table, table of excluded DOMs)
    "cascade_mesc_l5_nue_low.hdf5": (2, "InIceDSTPulses", "LabelsDeepLearning", "BrightDOMs"),
    "reference_events.hdf5": (32, "MCPulses", "LabelsMCCascade", "BadDomsList"),
}


def write_config(path: Path, file: Path, steps: int) -> Path:
    _, pulses, labels, excluded = FILES[file.name]
    text = (resources.files("evgen_jax") / "tables" / "demo.yaml").read_text()
    for pattern in ("demo_00000[0-6].hdf5", "demo_000007.hdf5"):
        text = text.replace(f"{{directory}}/events/{pattern}", str(file))
    for old, new in (
        ("{directory}", str(path.parent)), ("pulse_key: MCPulses", f"pulse_key: {pulses}"),
        ("LabelsMCCascade", labels), ("BadDomsList", excluded), ("seed: SmearedSeed", f"seed: {SEED}, max_iterations: 3"),
        ("\n        readout_window_key: ReadoutWindow,", ""), ("batch_size: 8", "batch_size: 2"),
        ("batch_size: 32", "batch_size: 2"), ("num_training_iterations: 3000", f"num_training_iterations: {steps}"),
    ):  # fmt: skip
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", FILES)
def test_three_steps_and_a_fit(name, command, tmp_path):
    config = write_config(tmp_path / "config.yaml", DATA / name, steps=4)
    for arguments in (("create-trafo", config), ("train", config), ("export", config, "-o", tmp_path / "model")):
        code, _, err = command(*arguments)
        assert code == 0, err
    output = tmp_path / "fits.hdf5"
    code, _, err = command("reconstruct", tmp_path / "model", DATA / name, "-o", output)
    assert code == 0, err
    with h5py.File(output) as file:
        rows = file["Variables"][:]
    with h5py.File(DATA / name) as file:
        seeds = file[SEED][:]
    assert len(rows) == FILES[name][0]
    np.testing.assert_allclose(rows["cascade_energy_seed"], seeds["energy"])
    assert np.all(rows["log_likelihood"] > rows["log_likelihood_seed"])
