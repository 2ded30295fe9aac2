"""What studies of fits share: events drawn from a model, seeds near their truth, an array that is quick to compute."""

import tempfile
from pathlib import Path

import jax
import numpy as np

import evgen_jax as eg
from evgen_jax.building.analytic import analytic_model
from evgen_jax.physics.sphere import unit_vectors
from evgen_jax.reconstruction.starts.smear import smear
from evgen_jax.simulation.events import EventSampler

READOUT = (0.0, 20000.0)
SPREADS = {"x": 30.0, "y": 30.0, "z": 30.0, "zenith": np.radians(30), "energy": 0.5, "time": 100.0}
NAMES = ("x", "y", "z", "zenith", "azimuth", "ln E", "time")


def small_array() -> eg.Detector:
    """16 strings of 15 modules, 60 m and 17 m apart, at the depth of DeepCore's middle."""
    x, y, z = np.meshgrid(*[np.arange(4) * 60.0 - 90.0] * 2, np.arange(15) * 17.0 - 319.0, indexing="ij")
    string, om = np.meshgrid(np.arange(16) + 1, np.arange(15) + 1, indexing="ij")
    count = x.size
    return eg.Detector(
        position=np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1).astype(np.float32),
        relative_efficiency=np.ones(count, np.float32),
        noise_rate=np.full(count, 5e-7, np.float32),
        string=string.ravel().astype(np.int32),
        om=om.ravel().astype(np.int32),
        usable=np.ones(count, bool),
        name="small",
    )


def water_array() -> eg.Detector:
    """7 strings of 18 modules in sea water, 90 m and 36 m apart; modules of 31 photomultipliers in rings, as KM3NeT's are."""
    angle = np.arange(6) * np.pi / 3
    rings = [(np.radians(zenith), angle + turn * np.pi / 6) for turn, zenith in enumerate((148, 123, 107, 73, 57))]
    axes = np.concatenate([unit_vectors(np.full(6, zenith), azimuth) for zenith, azimuth in rings] + [[[0, 0, -1]]])
    return _in_water(18, axes, "0.0045,pmt,0")


def small_water_array() -> eg.Detector:
    """7 strings of 12 modules in sea water, 90 m and 36 m apart; modules of 6 large sensors, along x, y and z, with noise of 7 kHz."""
    return _in_water(12, np.concatenate([np.eye(3), -np.eye(3)]), "0.0147,pmt,7e-6")


def _in_water(modules: int, axes: np.ndarray, rest: str) -> eg.Detector:
    """One string amid six; `rest` are area (m^2), kind and noise (1/ns) of a sensor."""
    angle = np.arange(6) * np.pi / 3
    at = 90 * np.stack([np.append(0, np.cos(angle)), np.append(0, np.sin(angle))], axis=1)
    string, module, tube = (own.ravel() for own in np.mgrid[:7, :modules, : len(axes)])
    columns = {
        "string": string + 1,
        "om": len(axes) * module + tube + 1,
        "x": at[string, 0],
        "y": at[string, 1],
        "z": 80 + 36 * module,
    }
    columns |= {f"axis_{k}": axes[tube, i] for i, k in enumerate("xyz")}
    names = [*columns, "area", "kind", "noise_rate"]
    rows = [",".join(f"{value:.6g}" for value in row) + f",{rest}" for row in zip(*columns.values(), strict=True)]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "water.csv"
        path.write_text("\n".join(["# kind pmt: cosine 1.5", ",".join(names), *rows, ""]))
        return eg.load_detector(path, medium="mediterranean_water")


ARRAYS = {"small": small_array, "water": water_array, "small_water": small_water_array}
"""Arrays that are made here, by name."""


def load(name: str, array: str = "icecube86") -> eg.Model:
    """An exported model, or for the word true the analytic one on the named array (of `ARRAYS`, or as `load_detector` takes it)."""
    if name != "true":
        return eg.load_model(Path(name))
    return analytic_model(ARRAYS[array]() if array in ARRAYS else eg.load_detector(array))


def draw(model: eg.Model, truth: np.ndarray, seed: int, least: int = 8) -> tuple[list[eg.Event], np.ndarray]:
    """Events [E] of hypotheses [E, H], drawn from the model itself; those of fewer than `least` pulses are left out."""
    events = EventSampler(model, READOUT).events(truth, jax.random.key(seed))
    bright = [i for i, e in enumerate(events) if e.pulses.mask.sum() >= least]
    return [events[i] for i in bright], truth[bright]


def cascades(rng: np.random.Generator, count: int, energies: tuple[float, float], detector: eg.Detector) -> np.ndarray:
    """Hypotheses [count, 7] within 60 % of the array in each direction, isotropic, flat in the logarithm of energy."""
    position = np.asarray(detector.position, np.float64)
    middle, half = (position.max(axis=0) + position.min(axis=0)) / 2, (position.max(axis=0) - position.min(axis=0)) / 2
    vertex = middle + 0.6 * half * rng.uniform(-1, 1, (count, 3))
    zenith, azimuth = np.arccos(rng.uniform(-1, 1, count)), rng.uniform(0, 2 * np.pi, count)
    energy = np.exp(rng.uniform(*np.log(energies), count))
    return np.column_stack([vertex, zenith, azimuth, energy, rng.uniform(9500, 10500, count)])


def smeared(model: eg.Model, truth: np.ndarray, copies: int, seed: int = 2) -> np.ndarray:
    """[E, copies, H] by 30 m, 30 degrees (rms angle: sqrt 2 times that), 0.5 in ln E, 100 ns."""
    spreads = {p.name: SPREADS[p.role] for p in model.parameters if p.role in SPREADS}
    return smear(truth[:, None], model.parameters, copies, np.random.default_rng(seed), spreads)[:, 1:]
