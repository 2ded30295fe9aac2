"""Angles in degrees are refused wherever a hypothesis begins: by name, as seeds, and from tables of seeds."""

import shutil

import h5py
import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.config.records import DataHandlerSettings, ReconstructionSettings
from evgen_jax.errors import DataError, HypothesisError, ReconstructionError
from evgen_jax.hypothesis.plausible_angles import implausible_angle
from evgen_jax.reconstruction.run.seeds import make_seed_reader

GOOD = {"x": 0.0, "y": 0.0, "z": 0.0, "zenith": 1.0, "azimuth": 2.0, "energy": 1e3, "time": 1e4}


@pytest.fixture(scope="module")
def model(loaded_detector):
    return analytic_model(loaded_detector)


def test_single_odd_angles_and_smeared_ones_pass(model):
    good = model.hypothesis(**GOOD)
    seeds = np.stack([good] * 5)
    zenith, azimuth = model.index("cascade_zenith"), model.index("cascade_azimuth")
    seeds[0, zenith], seeds[1, zenith], seeds[2, azimuth], seeds[3, zenith] = 1e9, -0.2, -3.1, np.nan
    assert implausible_angle(model.parameters, seeds) == ""
    seeds[:, zenith] = np.degrees(good[zenith])
    assert "is it in degrees? Expected radians, from 0 to 3.14" in implausible_angle(model.parameters, seeds)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("zenith", 57.0, "is it in degrees"), ("azimuth", 270.0, "is it in degrees"), ("energy", -5.0, "energy >= 0")],
)
def test_hypotheses_by_name(model, name, value, expected):
    with pytest.raises(HypothesisError, match=expected):
        model.hypothesis(**{**GOOD, name: value})


def test_seeds_of_python(model):
    event = eg.Event.from_pulses([1.0], [1e4], [5], [6], detector=model.detector)
    seed = model.hypothesis(**GOOD)
    seed[model.index("cascade_zenith")] = 60.0
    with pytest.raises(ReconstructionError, match="seeds: .*zenith' is 60: is it in degrees"):
        eg.reconstruct(model, [event], seed[None])


def test_tables_of_seeds(experiment, model, tmp_path):
    path = tmp_path / "seeds.hdf5"
    shutil.copy(experiment / "events" / "small_000002.hdf5", path)
    read = make_seed_reader(model, DataHandlerSettings(data_settings={}), ReconstructionSettings(seed="SmearedSeed"))
    assert len(read(path)[1]) == 20
    with h5py.File(path, "r+") as file:
        seeds = file["SmearedSeed"][:]
        seeds["zenith"] = np.degrees(seeds["zenith"])
        file["SmearedSeed"][...] = seeds
    with pytest.raises(DataError, match="seeds of table 'SmearedSeed': .*zenith' is .*is it in degrees"):
        read(path)
