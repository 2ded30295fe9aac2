"""Hadronic showers: less light than an electron's, which fluctuates; labels hold the light, a table the particle."""

import h5py
import numpy as np
import pytest

import evgen_jax as eg
from evgen_jax.config.validate import load_config
from evgen_jax.errors import ConfigError
from evgen_jax.simulation import hadronic
from evgen_jax.simulation.hadronic import light_energies
from evgen_jax.simulation.simulate import simulate

ICE = eg.load_medium()


@pytest.mark.parametrize(
    ("energy", "mean", "spread"), [(100.0, 386 / 526, 0.12), (1e4, 448 / 526, 0.049), (1e6, 480 / 526, 0.023)]
)
def test_pions_have_the_published_yield(energy, mean, spread):
    """Track lengths per GeV of pions and electrons, and their spread, as measured with FLUKA."""
    light = light_energies(np.random.default_rng(1), "pi+", np.full(1000, energy), ICE) / energy
    assert np.mean(light) == pytest.approx(mean, rel=0.02)
    assert np.std(light) / np.mean(light) == pytest.approx(spread, rel=0.12)


def test_electrons_stay_as_they_are():
    energy = np.array([1.0, 1e7])
    assert light_energies(np.random.default_rng(1), "electron", energy, ICE) is energy


def test_labels_are_the_light_and_a_table_has_the_particle(experiment, tmp_path):
    small = ["simulation_settings.num_events=4", "simulation_settings.events_per_file=4"]
    plain = simulate(load_config(experiment / "config.yaml", small), tmp_path / "plain")[0]
    pions = ["simulation_settings.shower_particle=pi-"]
    hadrons = simulate(load_config(experiment / "config.yaml", [*small, *pions]), tmp_path / "pions")[0]
    with h5py.File(plain) as was, h5py.File(hadrons) as now:
        assert hadronic.PARTICLE_TABLE not in was
        particle, light = now[hadronic.PARTICLE_TABLE][:], now["LabelsMCCascade"][:]
        np.testing.assert_allclose(particle["cascade_energy"], was["LabelsMCCascade"]["cascade_energy"])
        assert np.all(particle["pdg"] == -211)
        share = light["cascade_energy"] / particle["cascade_energy"]
        assert np.all((share > 0.3) & (share < 1.0)) and len(set(share)) == 4


def test_what_cannot_be_is_told(monkeypatch, experiment, tmp_path):
    with pytest.raises(ConfigError, match="an energy is 2 GeV; light of hadronic showers is known from 10 to 1e"):
        light_energies(np.random.default_rng(1), "pi+", np.array([100.0, 2.0]), ICE)
    with pytest.raises(ConfigError, match="shower_particle.*pion"):
        load_config(experiment / "config.yaml", ["simulation_settings.shower_particle=pion"])
    monkeypatch.setattr("evgen_jax.extras.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"shower_particle: pi\+ needs acem.*evgen_jax\[hadronic\]"):
        light_energies(np.random.default_rng(1), "pi+", np.array([100.0]), ICE)
